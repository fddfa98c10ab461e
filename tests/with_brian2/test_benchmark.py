"""The benchmark runs, on digits and for as short as it can; what it times is not a test."""

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from tests.core.test_benchmarks import run

pytestmark = pytest.mark.thorough


def test_learning_is_compared_with_a_network_that_predicts():
    sizes = ("--layers", "8", "--samples", "3", "--trained-on", "20")
    (row,) = run("brian2_targets.py", "--targets", "numpy", *sizes)["rows"]
    assert row["target"] == "numpy"
    learning, predicting = (
        row["milliseconds_per_sample"],
        row["forward_only_milliseconds_per_sample"],
    )
    assert learning > predicting > 0


def test_steps_of_several_dt_are_compared_with_those_of_one():
    sizes = ("--layers", "8", "--samples", "3", "--trained-on", "20", "--dts-per-step", "50")
    (row,) = run("brian2_targets.py", "--targets", "numpy", *sizes)["rows"]
    assert row["ratio"] > 0
