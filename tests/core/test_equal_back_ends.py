"""Compiled equals reference in every number, overflow included, over random experiments."""

import contextlib
import io

import pytest
from hypothesis import given, settings

from spikebp_plugins.conformance import parametrize
from tests.core.experiment import MAGNITUDES, assert_equals_reference
from tests.core.strategies import chip_definitions, experiments, networks
from tests.core.test_cli import install_faulty
from tests.profiles import examples

#: Thousands in one environment of tox; the others draw hundreds each, of other experiments.
EXPERIMENTS = examples(2000)
#: Rows of kernels that are a vector, nearly two, and three.
VECTORS = (16, 17, 48)


@settings(max_examples=EXPERIMENTS)
@given(experiments(magnitudes=MAGNITUDES))
def test_compiled_equals_reference(experiment):
    assert_equals_reference(experiment, "compiled")


@settings(max_examples=EXPERIMENTS // 4)
@given(experiments(magnitudes=MAGNITUDES, max_depth=5, max_width=40, max_steps=20))
def test_compiled_equals_reference_in_larger_networks(experiment):
    assert_equals_reference(experiment, "compiled")


@settings(max_examples=EXPERIMENTS // 4)
@given(
    experiments(magnitudes=(1.0, 30.0, *MAGNITUDES), scales=(0.1, 1.0, 20.0), nets=chip_definitions)
)
def test_compiled_equals_reference_with_the_numbers_of_a_chip(experiment):
    assert_equals_reference(experiment, "compiled")


@settings(max_examples=EXPERIMENTS // 5)
@given(experiments(magnitudes=MAGNITUDES, nets=networks, wide=VECTORS))
def test_compiled_equals_reference_through_connections_of_any_kind(experiment):
    assert_equals_reference(experiment, "compiled")


@settings(max_examples=examples(10))
@given(experiments(magnitudes=MAGNITUDES, nets=networks))
def test_the_script_of_an_experiment_repeats_it(experiment):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(experiment.script("compiled"), {})
    lines = printed.getvalue().splitlines()
    for line, shown in zip(lines, experiment.on("reference")[0], strict=True):
        assert line == (str((shown, shown)) if isinstance(shown, str) else "None")


@pytest.mark.once
def test_a_failure_prints_a_script(monkeypatch):
    install_faulty(monkeypatch)

    @settings(deadline=None, database=None, report_multiple_bugs=False)
    @given(experiments(max_depth=2, max_steps=3))
    def search(experiment):
        assert_equals_reference(experiment, "faulty")

    with pytest.raises(AssertionError) as failure:
        search()
    assert any("To see it again" in line for line in failure.value.__notes__)


@parametrize("reference", "compiled")
def test_conformance(conformance_test):
    conformance_test.run()
