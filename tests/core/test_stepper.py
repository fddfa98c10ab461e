"""The network step by step equals the reference, in integers and in doubles on the grid."""

from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings

from spikebp_plugins import SpikingMLP
from spikebp_plugins.backends import Outcome, Recording, registry
from spikebp_plugins.backends.base import IntegerOption, StatefulBackend
from spikebp_plugins.backends.layout import Layout
from spikebp_plugins.backends.stepper import Schedule, Stepper
from spikebp_plugins.operations import count_operations
from tests.core.experiment import MAGNITUDES, Experiment, assert_equals_reference
from tests.core.strategies import experiments


class StepwiseBackend(StatefulBackend):
    """A back end that calls a Stepper, `together` steps at a time where the input is constant."""

    options: ClassVar = {"numbers": ("int64", "float64"), "together": IntegerOption(lowest=1)}

    def __init__(self, net, state, numbers, together):
        super().__init__(net, state)
        self._layout, self._together = Layout(net, numbers), together

    def _show(self, batch, record):
        outcomes = [self._show_sample(batch[i : i + 1]) for i in range(len(batch))]
        scores, recordings = zip(*outcomes, strict=True)
        spikes, errors, step_scores = zip(*recordings, strict=True)
        layers = range(self.net.n_layers + 1)
        return Outcome(
            np.concatenate(scores),
            Recording(
                [np.concatenate([shown[l] for shown in spikes]) for l in layers],
                None
                if batch.y is None
                else [None, *(np.concatenate([e[l] for e in errors]) for l in layers[1:])],
                np.concatenate(step_scores),
            ),
        )

    def _show_sample(self, sample):
        net, layout, (state, operations) = self.net, self._layout, self._so_far
        learning, totals = layout.learning(state), layout.totals()
        record = layout.record(1, sample.n_steps)
        stepper, schedule = Stepper(layout, learning, totals, input_scale=1.0), Schedule()
        x = sample.inputs()[0]
        y = None if sample.y is None else sample.targets()[0]
        same = len(x) == 1 and (y is None or len(y) == 1)
        t = 0
        while t < sample.n_steps:
            n = min(self._together if same else 1, sample.n_steps - t)
            moment = schedule.advance(n, y is not None, t + n == sample.n_steps)
            target = None if y is None else y[t % len(y)]
            stepper.show(x[t % len(x)], target, moment, state.samples_seen, record, t, n)
            t += n
        trained = int(y is not None)
        operations += count_operations(
            net, totals.spikes, totals.errors, totals.updates[0], shown=1, trained=trained
        )
        if trained:
            state = layout.state(learning, state.samples_seen + 1)
        self._so_far = (state, operations)
        starts = np.cumsum(net.layer_sizes)[:-1]
        spikes, errors = (
            np.split(values.astype(np.int64), starts, axis=2)
            for values in (record.spikes, record.errors)
        )
        steps = np.arange(1, sample.n_steps + 1)[:, np.newaxis]
        scores = layout.scores(stepper.summed_drive, sample.n_steps)
        return scores[np.newaxis], (spikes, errors, layout.scores(record.drive, steps))


@pytest.fixture(scope="module", autouse=True)
def _installed():
    found = registry.available_backends
    entry = EntryPoint("stepwise", f"{__name__}:StepwiseBackend", registry.GROUP)
    registry.available_backends = lambda: {**found(), "stepwise": entry}
    yield
    registry.available_backends = found


@pytest.mark.parametrize("numbers", ["int64", "float64"])
@settings(max_examples=3 * settings.default.max_examples // 2, deadline=None)
@given(experiment=experiments(magnitudes=MAGNITUDES, timing="immediate"))
def test_steps_equal_the_reference(numbers, experiment):
    names = [f"stepwise:numbers={numbers},together={together}" for together in (1, 3)]
    assert_equals_reference(experiment, *names)


def test_a_step_by_the_reference_counts_the_weights_that_it_changes():
    """What doubles cannot prove goes to the reference, from the first step of a sample on."""
    net = SpikingMLP((8, 6, 6), n_steps=1, learning_rate=0.1)
    random = np.random.RandomState(71)
    weights = [random.standard_normal(shape) * 0.5 for shape in net.weight_shapes]
    # Each sample changes weights so much that the next has more spikes by far.
    x, y = (random.uniform(-1e4, 2e4, (4, n)) for n in (8, 6))
    experiment = Experiment(net, weights, x, y, x)
    assert experiment.on("reference")[2].update > 0
    assert_equals_reference(experiment, "stepwise:numbers=float64,together=1")
