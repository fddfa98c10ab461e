"""The notebooks run in a fresh kernel, and print what is stored in them."""

import pytest

from tests.notebooks import assert_prints_what_is_stored, marks, notebooks_with

NOTEBOOKS = notebooks_with("brian2")

pytestmark = marks("brian2")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_prints_what_is_stored_in_it(path, tmp_path):
    assert_prints_what_is_stored(path, tmp_path)


def test_there_are_two_and_they_are_small():
    assert len(NOTEBOOKS) == 2
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 400_000
