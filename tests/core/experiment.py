"""Experiments that compare a back end with the reference, and all of their results."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import note

from spikebp_plugins import Simulator
from spikebp_plugins.network.fields import Definition

#: Of input and targets: from no spikes at all, over sums that just fit, to far out of range.
MAGNITUDES = (0.0, 0.1, 1.0, 10.0, 1e3, 1e6, 2.0**29, 2.0**35, 2.0**41, 2.0**49, 2.0**60, 1e300)

SCRIPT = """\
from numpy import array, float64, int64
from spikebp_plugins import Simulator
from spikebp_plugins.network.definition import definition_from_dict

net = definition_from_dict({net})
weights = [{weights}]
x = {x}
y = {y}
x_test = {x_test}

def shown(backend):
    with Simulator(net, backend, weights) as sim:
        for call, samples in ((sim.train, (x, y)), (sim.predict, (x_test,)), (sim.train, (x, y))):
            try:
                yield call(*samples, record=True)
            except OverflowError as error:
                yield str(error)

for one, other in zip(shown("reference"), shown("{backend}")):
    traces = not isinstance(one, str) and not isinstance(other, str)
    print(one.diff(other) if traces else (one, other))
"""


class Experiment(NamedTuple):
    """A definition, initial weights, samples to train on and samples to predict."""

    net: Definition
    weights: list
    x: Any
    y: Any
    x_test: Any

    def on(self, backend):
        """Train, predict, train again; return traces or error messages, state and operations."""
        shown = []
        with Simulator(self.net, backend, self.weights) as sim:
            training = sim.train, (self.x, self.y)
            for call, samples in (training, (sim.predict, (self.x_test,)), training):
                try:
                    shown.append(call(*samples, record=True))
                except OverflowError as error:
                    shown.append(str(error))
            return shown, sim.checkpoint().state, sim.operations

    def script(self, backend):
        """Return a script that shows the experiment to the reference and to a back end."""
        arrays = {name: _source(getattr(self, name)) for name in ("x", "y", "x_test")}
        weights = ", ".join(_source(matrix) for matrix in self.weights)
        return SCRIPT.format(net=self.net.to_dict(), weights=weights, backend=backend, **arrays)


def _source(values):
    return f"array({np.asarray(values).tolist()!r}, {np.asarray(values).dtype})"


def assert_equals_reference(experiment, *backends):
    """Assert that back ends do what the reference does; print a script for one that does not."""
    expected = experiment.on("reference")
    for backend in backends:
        try:
            assert_equal_runs(experiment.on(backend), expected)
        except Exception:
            note(f"To see it again:\n\n{experiment.script(backend)}")
            raise


def assert_equal_runs(one, other):
    (shown, state, operations), (shown_2, state_2, operations_2) = one, other
    for a, b in zip(shown, shown_2, strict=True):
        if isinstance(a, str) or isinstance(b, str):
            assert a == b
        else:
            assert a.diff(b) is None
    assert operations == operations_2
    assert state.samples_seen == state_2.samples_seen
    for a, b in zip(
        (*state.weights, *state.backward_potentials, *state.feedback),
        (*state_2.weights, *state_2.backward_potentials, *state_2.feedback),
        strict=True,
    ):
        assert np.array_equal(a, b)
