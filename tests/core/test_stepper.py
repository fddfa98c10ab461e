"""The network step by step equals the reference."""

import copy
from contextlib import suppress
from functools import partial
from importlib.metadata import EntryPoint
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings

from spikebp_plugins import SpikingMLP
from spikebp_plugins.backends import Outcome, registry
from spikebp_plugins.backends.base import IntegerOption, StatefulBackend
from spikebp_plugins.backends.outcome import joined
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.compiled.stepper import Moment, Remembering, Stepper
from spikebp_plugins.compiled.synapse_arrays import KINDS
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from tests.core.experiment import MAGNITUDES, Experiment, assert_equals_reference
from tests.core.strategies import experiments, networks
from tests.interrupts import interrupted_in_python
from tests.profiles import examples


class StepwiseBackend(StatefulBackend):
    """A back end that calls a Stepper, `together` steps at a time where the input is constant."""

    choices: ClassVar = ReferenceBackend.choices
    connections: ClassVar = tuple(KINDS)
    options: ClassVar = {"together": IntegerOption(lowest=1)}

    def __init__(self, net, state, together):
        super().__init__(net, state)
        self._layout, self._together = Layout(net.replace(input_scale=1.0), np.int64), together

    def _show(self, batch, record):
        return joined([self._show_or_raise(batch[i : i + 1]) for i in range(len(batch))])

    def _show_or_raise(self, sample):
        try:
            return self._show_sample(sample)
        except OverflowError:
            # Before its first label a sample does not know that it learns, and checks fewer sums:
            # the error is that of the reference, but perhaps of a later step.
            ReferenceBackend(self.net, self.state).train(sample, False)
            raise

    def _show_sample(self, sample):
        net, layout, (state, operations) = self.net, self._layout, self._so_far
        learning, totals = layout.learning(state), layout.totals()
        n_steps = steps_of_sample(net, sample.n_steps)
        record = layout.record(1, n_steps)
        stepper = Stepper(layout, learning, totals)
        delay = delays_of(net).spikes[-1]
        x = sample.inputs()[0]
        y = None if sample.y is None else sample.targets()[0]
        same = len(x) == 1 and (y is None or len(y) == 1)
        t = 0
        while t < n_steps:
            n = min(self._together if same else 1, n_steps - t)
            learns, closes = y is not None and t + n > delay, t + n == n_steps
            moment = Moment(
                opens=t == 0,
                closes=closes,
                restarts=learns and t <= delay,
                learns=learns,
                updates=closes and learns,
                t=t + 1,
                n_inputs=sample.n_steps,
            )
            target = y[max(t - delay, 0) % len(y)] if learns else None
            stepper.show(x[t % len(x)], target, moment, state.samples_seen, record, t, n)
            t += n
        trained = int(y is not None)
        counts = totals.spikes.tolist(), totals.errors.tolist(), int(totals.updates[0])
        operations += layout.operations(*counts, shown=1, trained=trained)
        if trained:
            state = layout.state(learning, state.samples_seen + 1)
        self._so_far = (state, operations)
        recording = layout.recording(record.arrays, sample.n_steps, y is not None)
        return Outcome(layout.scores(stepper.summed_drive, sample.n_steps)[np.newaxis], recording)


@pytest.fixture(scope="module", autouse=True)
def _installed():
    found = registry.available_backends
    entry = EntryPoint("stepwise", f"{__name__}:StepwiseBackend", registry.GROUP)
    registry.available_backends = lambda: {**found(), "stepwise": entry}
    yield
    registry.available_backends = found


@settings(max_examples=examples(150))
@given(experiment=experiments(magnitudes=MAGNITUDES))
def test_steps_equal_the_reference(experiment):
    assert_equals_reference(experiment, "stepwise:together=1", "stepwise:together=3")


@pytest.mark.thorough
@settings(max_examples=examples(50))
@given(experiment=experiments(magnitudes=MAGNITUDES, nets=networks))
def test_steps_equal_the_reference_through_connections_of_any_kind(experiment):
    assert_equals_reference(experiment, "stepwise:together=1")


def test_a_step_by_the_reference_counts_the_weights_that_it_changes():
    """What no kernel can prove goes to the reference, from the first step of a sample on."""
    net = SpikingMLP((8, 6, 6), n_steps=1, learning_rate=0.1)
    random = np.random.RandomState(71)
    weights = [random.standard_normal(shape) * 0.5 for shape in net.weight_shapes]
    # Each sample changes weights so much that the next has more spikes by far.
    x, y = (random.uniform(-1e4, 2e4, (4, n)) for n in (8, 6))
    experiment = Experiment(net, weights, x, y, x)
    assert experiment.on("reference")[2].update > 0
    assert_equals_reference(experiment, "stepwise:together=1")


def test_an_interrupt_leaves_no_value_of_another_argument():
    one, two = np.array([1.0]), np.array([2.0])
    files = {Remembering.__call__.__code__.co_filename}
    for position in range(1000):
        remembering, is_over = Remembering(np.negative), False
        know_one = partial(remembering, one)
        with suppress(KeyboardInterrupt), interrupted_in_python(position, files, know_one):
            remembering(two)
            is_over = True
        # Each of its own, since a call forgets what the other would have returned.
        assert (copy.copy(remembering)(one), copy.copy(remembering)(two)) == (-1, -2)
        if is_over:
            break
    assert 5 < position < 999
