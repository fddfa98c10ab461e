"""A small share of the faults on purpose, and the page that shows what all of them came to."""

import json
import subprocess
import sys

import pytest

from spikebp_plugins import Checkpoint
from tests.documentation import ROOT, sections
from tests.scripts import loaded

FOLDER = ROOT / "benchmarks" / "faults"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def results(script, *arguments):
    """Return the verdicts that a program prints."""
    command = [sys.executable, str(FOLDER / script), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert not [case for case in found if case["verdict"] == "failed"]
    return found


@pytest.mark.thorough
@LINUX
def test_nothing_is_lost_by_interrupts_and_kills():
    operations, backends = "train,predict,feed,save", "compiled,reference"
    found = results("stops.py", "interrupt,kill", operations, backends, "1", "0", "1")
    assert [case["verdict"] for case in found] == ["survived"] * 16
    assert any(case["inside"] for case in found if case["case"].startswith("interrupt"))


@pytest.fixture
def script():
    return loaded(FOLDER / "table_of_counts.py")


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    (code,) = sections("docs/reliability.md").values()
    exec(code, names)
    assert Checkpoint.load("digits.npz").state.samples_seen == len(names["data"].x_train)


def test_the_page_shows_what_was_counted(script):
    text = script.PAGE.read_text("utf-8")
    assert script.written(text) == text, "run it anew: python benchmarks/faults --write"


def test_as_many_faults_were_tried_as_the_page_says(script):
    stops = json.loads(script.KEPT.read_text("utf-8"))
    assert not sum(found.get("failed", 0) for found in stops.values())
    assert sum(found["survived"] for found in stops.values()) >= 500
    assert {name.split("/")[2] for name in stops} == {
        "compiled",
        "reference",
        "brian2:numpy",
        "lava",
    }
