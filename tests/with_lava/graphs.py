"""Graphs of Lava processes for the tests, and the reference's results for their samples."""

import numpy as np
import pytest
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg, Loihi2SimCfg

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess, StandardMLP
from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    Trace,
)
from spikebp_plugins.backends import recording_from
from spikebp_plugins.network.delays import steps_of_sample
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import initial_state

TAGS = ("floating_pt", "fixed_pt")

#: With integer input, which both tags can send, and two hidden layers, so that errors cross one.
NET = SpikingMLP.paper((9, 8, 7, 3), n_steps=7, learning_rate=0.5, input_scale=0.25)
#: Networks of Lava's own synapses; the numbers of the second are those of a chip.
PIPELINED = NET.replace(learning_rate=0.1, timing="pipelined")
CHIP = PIPELINED.replace(arithmetic="loihi2", weight_exponent=-7)
#: All kinds of connections, with a pool in the middle and a kernel that overlaps the border.
IMAGES = SpikingNetwork.paper(
    (5, 4),
    [Conv2D(3, 3, padding=1), AveragePool2D(2), Sparse(6, density=0.5), Dense(3)],
    n_steps=5,
    learning_rate=0.1,
    input_scale=0.25,
)
N_SAMPLES = 6
N_STEPS = N_SAMPLES * NET.n_steps


def of_layers(*layers, **fields):
    """Return a small network of images, with these layers below its output."""
    return SpikingNetwork.paper((3, 3), [*layers, Dense(2)], n_steps=4, **fields)


def configuration(tag, cls=Loihi2SimCfg):
    return cls(select_tag=tag)


class Samples:
    """Samples with labels, and weights with which all layers spike."""

    def __init__(self, net=NET, seed=1):
        random = np.random.RandomState(seed)
        self.net = net
        self.weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
        self.x = random.randint(-3, 8, (N_SAMPLES, net.n_inputs))
        self.y = random.randint(0, net.n_outputs, N_SAMPLES)

    def by_reference(self, x=None, y=None):
        """Return the trace of training in the reference, the simulator's state and operations."""
        with Simulator(self.net, "reference", self.weights) as sim:
            trace = sim.train(self.x if x is None else x, self.y if y is None else y, record=True)
            return trace, sim.checkpoint().state, sim.operations


class Line:
    """A source, a network and a sink, connected by labels."""

    def __init__(self, samples, **options):
        self.mlp = SpikingMLPProcess(samples.net, weights=samples.weights, **options)
        self.source = SampleSource(samples.net, samples.x, samples.y, **granularity(options))
        self.sink = ScoreSink(samples.net, N_SAMPLES, **granularity(options))
        self.source.spikes_out.connect(self.mlp.spikes_in)
        self.source.label_out.connect(self.mlp.label_in)
        self.mlp.summed_drive_out.connect(self.sink.summed_drive_in)

    def run(self, n_steps, run_cfg=None):
        self.mlp.run(condition=RunSteps(num_steps=n_steps), run_cfg=run_cfg)


class StandardLine:
    """A source, a graph of standard parts, and a sink."""

    def __init__(self, net, n_samples=6, **options):
        samples = Samples(net)
        self.net, self.start = net, Checkpoint(net, initial_state(net, samples.weights))
        self.x, self.y = abs(samples.x[:n_samples]), samples.y[:n_samples]
        self.period = steps_of_sample(net, net.n_steps)
        n_rows = n_samples * self.period
        self.mlp = StandardMLP(self.start, **options)
        self.mlp.shared.make_room(n_rows)
        self.mlp.shared.switches.recording[0] = True
        self.source, self.sink = SampleSource(net, self.x, self.y), ScoreSink(net, n_samples)

    def connect(self, ports=None):
        ports = ports or self.mlp
        self.source.spikes_out.connect(ports.spikes_in)
        self.source.label_out.connect(ports.label_in)
        ports.summed_drive_out.connect(self.sink.summed_drive_in)
        return self

    def show(self, training=True, run_cfg=None):
        """Show all samples, and return their trace."""
        mlp, n_rows = self.mlp, len(self.x) * self.period
        mlp.learning = training
        self.source.run(RunSteps(num_steps=n_rows), run_cfg or Loihi2SimCfg(select_tag=mlp.tag))
        mlp.shared.switches.steps_before[0] += n_rows
        batch = check_batch(self.net, self.x, self.y if training else None)
        spikes, errors, drives = mlp.shared.record.copied(n_rows)

        def of_samples(rows):
            return rows.reshape(len(self.x), self.period, -1)

        recording = recording_from(
            batch, [*map(of_samples, spikes)], [*map(of_samples, errors[1:])], of_samples(drives)
        )
        return Trace(*recording, self.sink.scores.copy(), mlp.weights)

    def by_reference(self):
        with Simulator.from_checkpoint(self.start, "reference") as sim:
            return sim.train(self.x, self.y, record=True), sim.checkpoint().state

    def part(self, name):
        return getattr(self.mlp.procs, name)


def granularity(options):
    return {name: value for name, value in options.items() if name == "granularity"}


def assert_same_state(checkpoint, expected):
    state = checkpoint.state
    assert state.samples_seen == expected.samples_seen
    for name in ("weights", "backward_potentials", "feedback"):
        for l, (found, wanted) in enumerate(
            zip(getattr(state, name), getattr(expected, name), strict=True)
        ):
            assert np.array_equal(found, wanted), f"{name}[{l}]"


RATES = (0.8, 0.1, 0.3)


def assert_learns_at_rates(mlp, run, sim, x, y):
    """Assert that a process learns samples at one rate after the other as a simulator does.

    The rate cannot be set where a sample is half shown.
    """
    duration = steps_of_sample(mlp.net, mlp.net.n_steps)
    for turn, factor in enumerate(RATES):
        rate = factor * sim.learning_rate
        mlp.learning_rate = sim.learning_rate = rate
        part = slice(2 * turn, 2 * turn + 2)
        sim.train(x[part], y[part])
        run(duration + 2)
        with pytest.raises(RuntimeError, match="set between samples, and the present one is half"):
            mlp.learning_rate = 0.5
        assert mlp.learning_rate == rate
        run(duration - 2)
        assert mlp.checkpoint().net == sim.net
        assert_same_state(mlp.checkpoint(), sim.checkpoint().state)
    with pytest.raises(ValueError, match="learning_rate must be"):
        mlp.learning_rate = 1e-12
    mlp.stop()
    assert mlp.learning_rate == rate


__all__ = [
    "CHIP",
    "IMAGES",
    "NET",
    "N_SAMPLES",
    "N_STEPS",
    "PIPELINED",
    "TAGS",
    "Line",
    "Loihi1SimCfg",
    "Loihi2SimCfg",
    "Samples",
    "StandardLine",
    "assert_learns_at_rates",
    "assert_same_state",
    "configuration",
    "of_layers",
]
