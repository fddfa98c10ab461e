"""The names of the package: imported when they are asked for, and the same for tools and users."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import spikebp_plugins


def printed_by(code):
    """Return what a new process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_each_name_is_that_of_its_module():
    stub = ast.parse(Path(spikebp_plugins.__file__).with_suffix(".pyi").read_text("utf-8"))
    places = {alias.asname: node.module for node in stub.body for alias in node.names}
    for name, place in places.items():
        module = import_module(f"spikebp_plugins.{place}")
        assert getattr(spikebp_plugins, name) is getattr(module, name)
    assert set(places) == set(dir(spikebp_plugins))
    with pytest.raises(AttributeError, match="nothing"):
        _ = spikebp_plugins.nothing


def test_a_star_brings_the_names():
    names = {}
    exec("from spikebp_plugins import *", names)
    assert names.keys() - {"__builtins__"} == set(dir(spikebp_plugins))
    assert names["Simulator"] is spikebp_plugins.Simulator


def test_nothing_that_takes_long_is_imported_before_it_is_asked_for():
    code = "import sys; import spikebp_plugins.cli; print(*sys.modules)"
    found = {name.split(".")[0] for name in printed_by(code)} - set(sys.stdlib_module_names)
    assert {"spikebp_plugins", "lazy_loader"} <= found
    assert not {"numpy", "typer", "sklearn"} & found
