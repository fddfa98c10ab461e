"""Samples for a network, and the reference's results for them."""

import numpy as np
import pytest
from brian2 import SpikeGeneratorGroup, TimedArray, ms, second

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.network.delays import steps_of_sample

#: Three layers of weights, so that errors pass two hidden layers.
NET = SpikingMLP.paper((9, 8, 7, 3), n_steps=7, learning_rate=0.5)
N_SAMPLES = 8

DT = 0.1 * ms
SAMPLE = NET.n_steps * DT


class Experiment:
    """Samples for a network, and the reference's results for them."""

    def __init__(self, net, seed=1, counts=False):
        random = np.random.RandomState(seed)
        self.net = net
        self.weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
        if counts:
            # Spike counts of 0 or 1 for each step.
            self.x = random.randint(0, 2, (N_SAMPLES, net.n_steps, net.n_inputs))
        else:
            self.x = random.uniform(-1, 2, (N_SAMPLES, net.n_inputs))
        self.y = random.randint(0, net.n_outputs, N_SAMPLES)
        with Simulator(net, "reference", self.weights) as sim:
            self.trace = sim.train(self.x, self.y, record=True)
            self.operations = sim.operations
            self.end = sim.checkpoint().state

    def assert_learned_by(self, mlp):
        """Assert that a group has the learning state of the reference."""
        assert_equal_states(mlp.checkpoint().state, self.end)


def labels(experiment, step=DT):
    """Labels of an experiment as a TimedArray."""
    net = experiment.net
    return TimedArray(experiment.y.astype(float), dt=steps_of_sample(net, net.n_steps) * step)


def shown(experiment, step=DT):
    """Input and labels of an experiment as TimedArrays."""
    given = labels(experiment, step)
    return {"input": TimedArray(experiment.x, dt=given.dt * second), "label": given}


def generator(experiment, step_in_dt=1, spread=False):
    """A source that fires the experiment's counts, anywhere in each step or at its last dt."""
    samples, steps, units = np.nonzero(experiment.x)
    dts = (samples * experiment.net.n_steps + steps) * step_in_dt
    dts += np.random.RandomState(3).randint(0, step_in_dt, len(dts)) if spread else 0
    order = np.argsort(dts, kind="stable")
    return SpikeGeneratorGroup(experiment.net.n_inputs, units[order], dts[order] * DT)


def assert_equal_states(found, expected):
    """Assert that two learning states are equal."""
    assert found.samples_seen == expected.samples_seen
    for name in ("weights", "backward_potentials", "feedback"):
        pairs = zip(getattr(found, name), getattr(expected, name), strict=True)
        for l, (one, other) in enumerate(pairs):
            assert np.array_equal(one, other), f"{name}[{l}]"


def refusal_of(network, duration=DT):
    """Return the error with which a run is refused before it begins."""
    with pytest.raises(Exception, match="preparing an object") as error:
        network.run(duration)
    return error.value.__cause__
