"""The pages of the site: their code runs as it stands, and a reader finds them all."""

import pydoc
import re

import pytest

import spikebp_plugins
from spikebp_plugins import Checkpoint
from tests.documentation import ROOT, sections
from tests.scripts import loaded, printed_by

CONFIGURATION = (ROOT / "mkdocs.yml").read_text("utf-8")


@pytest.mark.smoke
def test_the_code_of_the_first_five_minutes_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in sections("docs/start.md").values():
        exec(code, names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[4] in (ROOT / "docs" / "start.md").read_text("utf-8")
    assert printed[-1] == "None"
    assert Checkpoint.load("first.npz").state.samples_seen == 5 * len(names["data"].x_train)


def test_the_back_end_of_the_page_is_found_and_equal(tmp_path, monkeypatch, capsys):
    code = sections("docs/backends.md")
    (tmp_path / "toy_backend.py").write_text(code["A complete one"], "utf-8")
    group, entry = sections("docs/backends.md", "toml")["Make it known"].splitlines()
    # What an installer writes of them.
    information = tmp_path / "toy-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n", "utf-8")
    name = re.fullmatch(r'\[project.entry-points."(.+)"\]', group)[1]
    points = f"[{name}]\n{entry}\n".replace('"', "")
    (information / "entry_points.txt").write_text(points, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = {}
    exec(code["A complete one"], names)
    exec(code["Make it known"], names)
    assert "'toy'" in capsys.readouterr().out
    assert names["scores"].shape == (4, 2)
    exec(code["Show that it is right"], names)
    tests = {test.case.feature: test for test in names["test_conformance"].pytestmark[0].args[1]}
    assert {test.backend for test in tests.values()} == {"toy"}
    names["test_conformance"](tests["3 layers of weights"])
    reason = tests["random feedback, outer update"].run()
    assert reason == "it knows feedback='transpose', not feedback='random'"


@pytest.mark.thorough
def test_the_pictures_of_the_algorithm_are_made(tmp_path):
    pytest.importorskip("matplotlib")
    page = (ROOT / "docs" / "algorithm.md").read_text("utf-8")
    shown = re.findall(r"\]\((algorithm_\w+\.png)\)", page)
    script = ROOT / "docs" / "algorithm_pictures.py"
    printed_by(script, tmp_path, "--folder", str(tmp_path))
    assert sorted(shown) == sorted(path.name for path in tmp_path.glob("*.png"))
    lesson = loaded(script).learned()
    additions = lesson.operations[-1].forward / len(lesson.data.x_train)
    assert f"costs {round(additions, -2):,.0f} additions" in " ".join(page.split())


def test_the_code_of_the_algorithm_prints_what_it_says(capsys):
    (code,) = sections("docs/algorithm.md").values()
    exec(code, {})
    for line in capsys.readouterr().out.splitlines():
        assert f"# {line}\n" in code


def test_the_packages_are_shown_as_they_are():
    script = loaded(ROOT / "docs" / "architecture_picture.py")
    arrows, page = script.arrows(), script.PAGE.read_text("utf-8")
    assert set(script.questions()) == set(arrows)
    drawn = script.PICTURE.read_text("utf-8")
    assert drawn == script.picture(), "draw it anew: python docs/architecture_picture.py"
    for room, text in re.findall(r"^### (\S+)$(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL):
        said = re.findall(r"`(.+?)`", re.split(r"\bimports\s", text)[-1])
        assert set(said) == arrows[room], f"what {room} imports"


def test_the_files_that_the_page_on_architecture_names_are_there():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", page))
    folders = ("spikebp_plugins", "adapters", "docs", "tests")
    paths = [path.as_posix() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(named) > 50
    assert not {name for name in named if not any(path.endswith(f"/{name}") for path in paths)}


def test_every_page_is_in_the_navigation():
    navigation = re.search(r"^nav:\n((?: .*\n)+)", CONFIGURATION, re.MULTILINE)[1]
    named = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    notebooks = {
        path.relative_to(ROOT).with_suffix(".md").as_posix()
        for path in (ROOT / "examples").rglob("*.ipynb")
    }
    assert sorted(named) == sorted(pages | notebooks | {"examples/index.md"})


def test_every_public_name_is_in_the_api():
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    named = set(re.findall(r"^::: spikebp_plugins\.(?:estimators\.)?(\w+)$", page, re.MULTILINE))
    assert set(dir(spikebp_plugins)) <= named


def test_help_begins_with_a_description_of_all_public_names():
    shown = pydoc.plain(pydoc.render_doc(spikebp_plugins))
    assert shown.index("networks  ") < shown.index("PACKAGE CONTENTS")
    described = set(re.findall(r"\w+", spikebp_plugins.__doc__))
    assert set(dir(spikebp_plugins)) <= described
