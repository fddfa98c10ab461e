"""The benchmark runs, on digits and for as short as it can; what it times is not a test."""

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from tests.core.test_benchmarks import run

pytestmark = [pytest.mark.once, pytest.mark.thorough]


def test_learning_is_timed_beside_a_network_that_predicts():
    sizes = ("--layers", "8", "--samples", "3", "--trained-on", "20")
    (row,) = run("brian2_targets.py", "--targets", "numpy", *sizes)["rows"]
    assert row["target"] == "numpy"
    learning, predicting = (
        row["milliseconds_per_sample"],
        row["forward_only_milliseconds_per_sample"],
    )
    assert learning > predicting > 0
