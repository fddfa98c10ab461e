"""Compiled equals reference in every number: named cases, and random experiments with overflow."""

import contextlib
import io

import pytest
from hypothesis import given, settings

from spikebp_plugins.conformance import parametrize
from tests.core.experiment import MAGNITUDES, assert_equals_reference
from tests.core.strategies import any_network, experiments
from tests.core.test_cli import install_faulty
from tests.profiles import examples

#: Rows of kernels that are a vector, nearly two, and three.
VECTORS = (16, 17, 48)


@parametrize("reference", "compiled")
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.smoke
@settings(max_examples=examples(1000))
@given(
    experiments(
        nets=any_network,
        magnitudes=(*MAGNITUDES, 30.0),
        scales=(0.05, 0.5, 1.5, 20.0),
        wide=VECTORS,
        max_steps=20,
    )
)
def test_compiled_equals_reference(experiment):
    assert_equals_reference(experiment, "compiled")


def test_a_failure_prints_a_script_that_repeats_it(monkeypatch):
    install_faulty(monkeypatch)

    @settings(deadline=None, database=None, report_multiple_bugs=False)
    @given(experiments(max_depth=2, max_steps=3))
    def search(experiment):
        assert_equals_reference(experiment, "faulty")

    with pytest.raises(AssertionError) as failure:
        search()
    (note,) = [text for text in failure.value.__notes__ if "To see it again" in text]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(note.partition("\n\n")[2], {})
    training, prediction, training_again = printed.getvalue().splitlines()
    assert training.startswith("spikes differ at sample 1")
    assert prediction == "None"
    assert training_again == training
