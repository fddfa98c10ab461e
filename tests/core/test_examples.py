"""The examples that need the core alone run, as short as they can."""

import re

import numpy as np
import pytest

from spikebp_plugins.embedded.toolchain import find_compiler
from tests.documentation import ROOT
from tests.scripts import loaded, printed_by

FOLDER = ROOT / "examples"


def test_a_drifting_stream_is_followed(tmp_path):
    printed = printed_by(FOLDER / "drifting_stream.py", tmp_path, "--samples", "33")
    title, *windows = printed.splitlines()
    assert title.startswith("33 digits")
    assert title.endswith("classes change at 16")
    found = [re.match(r" *(\d+) to +(\d+): +([\d.]+) %", line).groups() for line in windows]
    starts, ends = ([int(row[column]) for row in found] for column in (0, 1))
    assert starts == [0, *(end + 1 for end in ends[:-1])]
    assert ends[-1] == 32
    assert ["change" in line for line in windows].index(True) == starts.index(16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_file", [False, True])
def test_messages_are_learned_as_they_come(has_file, tmp_path):
    options = ["--messages", "120"]
    if has_file:
        kinds = ("spam\tfree prize, call now", "ham\tsee you at home")
        lines = [f"{kinds[i % 3 > 0]} {i}" for i in range(130)]
        (tmp_path / "messages").write_text("\n".join(lines), "utf-8")
        options += ["--file", str(tmp_path / "messages")]
    title, *windows = printed_by(FOLDER / "sparse_messages.py", tmp_path, *options).splitlines()
    shares = "67 % ham, 33 % spam" if has_file else r"\d+ % news, \d+ % offer"
    assert re.fullmatch(f"120 messages, .* learned; {shares}", title)
    assert [line.split(":")[0] for line in windows[::9]] == ["    0 to    11", "  108 to   119"]
    first, last = (float(re.search(r"([\d.]+) %", line)[1]) for line in windows[::9])
    assert first <= last
    assert len(list(tmp_path.iterdir())) == has_file


@pytest.mark.parametrize("options", [(), pytest.param(("--board",), marks=pytest.mark.thorough)])
def test_a_wearable_learns_its_wearer(options, tmp_path):
    if options and (reason := why_no_board()) is not None:
        pytest.skip(reason)
    printed = printed_by(FOLDER / "wearable.py", tmp_path, *options)
    usual, before, usual_after, after, share = map(float, re.findall(r"([\d.]+) %", printed))
    assert min(usual, usual_after) > 95
    assert before < 50
    assert after > 90
    assert share < 50
    assert ("the same: True" in printed) == bool(options)
    assert list(tmp_path.iterdir()) == []


def why_no_board():
    return loaded(FOLDER / "board" / "emulated.py").why_no_board()


@pytest.mark.thorough
@pytest.mark.parametrize("where", ["board", "here"])
def test_a_board_learns_a_new_class(tmp_path, where):
    if where == "board" and (missing := why_no_board()) is not None:
        pytest.skip(missing)
    if where == "here" and find_compiler() is None:
        pytest.skip("no compiler of C")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    options = ["--here"] if where == "here" else []
    printed = printed_by(FOLDER / "new_class_on_a_board.py", tmp_path, *options)
    rows = re.findall(r"^ *(\d+) +([\d.]+) % +([\d.]+) %$", printed, re.MULTILINE)
    seen, new, others = ([float(row[column]) for row in rows] for column in range(3))
    assert seen[0] == new[0] == 0
    assert seen[-1] == 60
    assert new[-1] > 90
    assert min(others) > 85
    assert ("instructions to learn" in printed) == (where == "board")
    last = printed.splitlines()[-1]
    assert last == "weights are those that this machine would have learned: True"
    assert [path.name for path in tmp_path.iterdir()] == ["new_class.png"]


@pytest.mark.thorough
@pytest.mark.parametrize("has_table", [False, True])
def test_a_board_goes_on_from_a_table_of_vibrations(has_table, tmp_path):
    if (missing := why_no_board()) is not None:
        pytest.skip(missing)
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    options = []
    if has_table:
        random = np.random.RandomState(0)
        kinds = random.randint(3, size=600)
        rows = random.normal(np.array([0.2, 1.5, 4.0])[kinds], 0.2)
        lines = [f"{x:.3f},{'abc'[kind]},{x / 7:.5f}" for x, kind in zip(rows, kinds, strict=True)]
        (tmp_path / "table.csv").write_text("\n".join(["near,state,far", *lines]), "utf-8")
        options = ["table.csv", "--target", "state"]
    printed = printed_by(FOLDER / "vibrations_on_a_board.py", tmp_path, *options)
    found = re.findall(r"([\d.]+) % wrong, +([\d.]+) % without learning", printed)
    wrong, frozen = np.array(found, float).T
    assert len(wrong) == (4 if has_table else 20)
    assert max(wrong[0], wrong[-1]) < 10
    assert frozen[-1] > 25
    assert wrong.mean() < frozen.mean() / 2
    assert printed.rstrip().endswith("the board has learned what partial_fit learns here: True")
    assert (tmp_path / "vibrations.png").exists()
