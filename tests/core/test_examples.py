"""The examples that need the core alone run, as short as they can."""

import re

import pytest

from tests.documentation import ROOT
from tests.scripts import loaded, printed_by

pytestmark = pytest.mark.once

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


def test_a_board_goes_on_learning(tmp_path):
    missing = loaded(FOLDER / "board" / "emulated.py").why_no_board()
    if missing is not None:
        pytest.skip(missing)
    printed = printed_by(FOLDER / "board_digits.py", tmp_path, "--samples", "50", "--core", "M4")
    lines = printed.splitlines()
    assert lines[0].startswith("1387 digits learned on this computer: test error ")
    assert lines[1].startswith("program for the Cortex-M4: ")
    assert lines[2].startswith("50 digits learned on the board")
    assert lines[-1] == "this computer would have learned the same weights"
    assert list(tmp_path.iterdir()) == []
