"""Graphs of Lava processes for the tests, and the reference's results for their samples."""

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg, Loihi2SimCfg

from spikebp_lava import SampleSource, ScoreSink, SpikingMLPProcess
from spikebp_plugins import Simulator, SpikingMLP

TAGS = ("floating_pt", "fixed_pt")
IMPLEMENTATIONS = ("leaf", "hierarchical")

#: With integer input, which both tags can send, and two hidden layers, so that errors cross one.
NET = SpikingMLP((9, 8, 7, 3), n_steps=7, learning_rate=0.5, input_scale=0.25)
N_SAMPLES = 6
N_STEPS = N_SAMPLES * NET.n_steps


def configuration(tag, implementation, cls=Loihi2SimCfg):
    return cls(select_tag=tag, select_sub_proc_model=implementation == "hierarchical")


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


__all__ = [
    "IMPLEMENTATIONS",
    "NET",
    "N_SAMPLES",
    "N_STEPS",
    "TAGS",
    "Line",
    "Loihi1SimCfg",
    "Loihi2SimCfg",
    "Samples",
    "assert_same_state",
    "configuration",
]
