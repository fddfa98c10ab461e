"""Compiled equals reference in every number, overflow included, over random experiments."""

import numpy as np
from hypothesis import given, settings

from spikebp_plugins import Simulator, compare
from spikebp_plugins.conformance import parametrize
from tests.core.strategies import experiments

#: From no spikes at all to far beyond the range; in between lie sums that only just fit.
MAGNITUDES = (0.0, 0.1, 1.0, 10.0, 1e3, 1e6, 2.0**29, 2.0**35, 2.0**41, 2.0**49, 2.0**60, 1e300)


def run(net, weights, x, y, x_test, backend):
    """Everything that a back end shows, errors included."""
    shown = []
    with Simulator(net, backend, weights) as sim:
        for call, arguments in ((sim.train, (x, y)), (sim.predict, (x_test,)), (sim.train, (x, y))):
            try:
                shown.append(call(*arguments, record=True))
            except OverflowError as error:
                shown.append(str(error))
        return shown, sim.checkpoint().state, sim.operations


def assert_equal_runs(one, other):
    (shown, state, operations), (shown_2, state_2, operations_2) = one, other
    for a, b in zip(shown, shown_2, strict=True):
        if isinstance(a, str) or isinstance(b, str):
            assert a == b
        else:
            assert compare(a, b) is None
    assert operations == operations_2
    assert state.samples_seen == state_2.samples_seen
    for a, b in zip(
        (*state.weights, *state.backward_potentials, *state.feedback),
        (*state_2.weights, *state_2.backward_potentials, *state_2.feedback),
        strict=True,
    ):
        assert np.array_equal(a, b)


@settings(max_examples=300, deadline=None)
@given(experiments(magnitudes=MAGNITUDES))
def test_compiled_equals_reference(experiment):
    assert_equal_runs(run(*experiment, "reference"), run(*experiment, "compiled"))


@parametrize("reference", "compiled")
def test_conformance(conformance_test):
    conformance_test.run()
