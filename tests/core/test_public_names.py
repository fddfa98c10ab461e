"""The names of the package: imported when they are asked for, and the same for tools and users."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import spikebp_plugins

ESTIMATORS = {"SpikingMLPClassifier", "SpikingMLPRegressor"}
PLACES = {name: place for place, names in spikebp_plugins._NAMES.items() for name in names}


def printed_by(code):
    """Return what a new process prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_tools_read_what_is_imported():
    tree = ast.parse(Path(spikebp_plugins.__file__).read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    read = {
        alias.name: node.module.removeprefix("spikebp_plugins.")
        for node in imports
        if node.module.startswith("spikebp_plugins.")
        for alias in node.names
    }
    assert read == PLACES
    assert set(spikebp_plugins.__all__) == PLACES.keys() - ESTIMATORS
    assert len(set(spikebp_plugins.__all__)) == len(spikebp_plugins.__all__)


def test_each_name_is_that_of_its_module():
    for name, place in PLACES.items():
        module = import_module(f"spikebp_plugins.{place}")
        assert getattr(spikebp_plugins, name) is getattr(module, name)
    assert set(PLACES) <= set(dir(spikebp_plugins))
    with pytest.raises(AttributeError, match="'spikebp_plugins' has no attribute 'nothing'"):
        _ = spikebp_plugins.nothing


def test_nothing_is_imported_before_it_is_asked_for():
    code = "old = {*sys.modules}; import spikebp_plugins.cli; print(*{*sys.modules} - old)"
    found = printed_by(f"import sys; {code}")
    assert set(found) == {"spikebp_plugins", "spikebp_plugins.cli"}


def test_all_names_come_without_scikit_learn():
    code = "import sys; from spikebp_plugins import *; print('sklearn' in sys.modules, *dir())"
    imported, *names = printed_by(code)
    assert imported == "False"
    assert set(spikebp_plugins.__all__) <= set(names)


@pytest.mark.parametrize("name", ["simulation.stream.Stream", "conversion.quantized", "data.aer"])
def test_rooms_are_there_without_an_import_of_their_own(name):
    assert printed_by(f"import spikebp_plugins; print(repr(spikebp_plugins.{name})[0])") == ["<"]
