"""The benchmark runs, on digits and for as short as it can; what it times is not a test."""

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from tests.core.test_benchmarks import run

pytestmark = pytest.mark.thorough

FORMS = ["a message a step", "a message a sample"]


def test_learning_is_compared_with_graphs_of_empty_processes():
    result = run("lava_processes.py", "--layers", "8,7", "--blocks", "1")
    assert [row["form"] for row in result["rows"]] == FORMS
    assert all(row["empty_milliseconds_per_sample"] > 0 for row in result["rows"])
    assert result["plain_variable_milliseconds"] > result["writing_milliseconds"] > 0


def test_weights_are_compared_with_those_of_the_compiled_back_end():
    result = run("lava_processes.py", "--layers", "8", "--same", "5")
    assert {form: result[form] for form in FORMS} == dict.fromkeys(FORMS, True)
