"""What a release needs: archives that build and install with nothing else, and how to cite it."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from spikebp_plugins.engine.building import IS_64_BIT, compilers, sources
from tests.documentation import ROOT

PACKAGES = ("spikebp_plugins", "spikebp_brian2", "spikebp_fpga", "spikebp_lava")
NO_NETWORK = re.compile("error sending request|dns error|[Nn]etwork connectivity is disabled")


def uv(*arguments):
    program = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("uv is not installed")
    result = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    if result.returncode and NO_NETWORK.search(result.stderr):
        pytest.skip("there is no network")
    assert result.returncode == 0, result.stderr


def output_of(*command, folder):
    """Run a program in a folder outside of the source tree."""
    result = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The source archive, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--out-dir", folder, ROOT)
    return {path.suffix: path for path in folder.iterdir() if path.name.startswith("spikebp")}


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [".gz", ".whl"], ids=["sdist", "wheel"])
def test_an_archive_installs_without_extras(archives, kind, tmp_path):
    uv("venv", "--python", sys.executable, tmp_path / "env")
    scripts = tmp_path / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    python = scripts / "python"
    uv("pip", "install", "--python", python, archives[kind])
    code = "import spikebp_plugins as s; print(s.__file__, *s.available_backends())"
    printed = output_of(python, "-c", code, folder=tmp_path)
    assert printed.startswith(str(tmp_path / "env")), printed
    assert printed.split()[1:] == ["brian2", "c", "compiled", "fpga", "lava", "reference"]
    for adapter, extra in (("spikebp_brian2", "brian2"), ("spikebp_lava", "lava")):
        printed = output_of(python, "-c", f"import {adapter}", folder=tmp_path)
        assert f"pip install 'spikebp-plugins[{extra}]'" in printed
    assert "Usage: spikebp demo" in output_of(
        scripts / "spikebp", "demo", "--help", folder=tmp_path
    )


@pytest.mark.thorough
def test_archives_hold_what_they_should(archives):
    with zipfile.ZipFile(archives[".whl"]) as wheel:
        names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {
        *PACKAGES,
        f"spikebp_plugins-{version('spikebp-plugins')}.dist-info",
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    templates = ("host.c", "network.c", "network.h", "network.md")
    assert {f"spikebp_plugins/embedded/{name}" for name in templates} <= set(names)
    adapters = ROOT / "adapters"
    hardware = [path for path in (adapters / "spikebp_fpga").rglob("*.*v") if path.is_file()]
    assert hardware
    assert {path.relative_to(adapters).as_posix() for path in hardware} <= set(names)
    is_pure = archives[".whl"].name.endswith("-py3-none-any.whl")
    assert any("engine/c/_engine." in name for name in names) == (not is_pure)
    assert not (is_pure and IS_64_BIT and compilers())
    with tarfile.open(archives[".gz"]) as source:
        names = source.getnames()
    assert not any("engine/c/_engine." in name for name in names)
    compiled = {path.relative_to(ROOT).as_posix() for path in sources(ROOT / "spikebp_plugins")}
    assert compiled <= {name.partition("/")[2] for name in names}
    tops = {name.split("/")[1] for name in names}
    assert {
        *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md"),
        *("adapters", "benchmarks", "docs", "examples", "hatch_build.py", "spikebp_plugins"),
        *("tests", "tox.ini"),
    } <= tops


def test_the_changelog_has_a_place_for_what_comes():
    titles = re.findall(r"^#+ .+$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert titles[:2] == ["# Changelog", "## [Unreleased]"]
    assert set(titles[2:]) <= {
        *("### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"),
        f"## [{version('spikebp-plugins')}]",
    }


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (.+)$", text, re.MULTILINE)[1] == version("spikebp-plugins")


def test_the_citation_names_the_software_and_the_paper():
    yaml = pytest.importorskip("yaml", reason="PyYAML, which Dask brings, is not installed")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"] == "spikebp-plugins"
    assert citation["license"] == "MIT"
    assert citation["authors"] == [{"name": "The spikebp-plugins developers"}]
    paper = citation["preferred-citation"]
    assert paper["type"] == "article"
    assert paper["title"] == "Deep Spiking Networks"
    assert [author["family-names"] for author in paper["authors"]] == ["O'Connor", "Welling"]
    assert paper["year"] == 2016
    assert paper["url"].endswith("1602.08323")
