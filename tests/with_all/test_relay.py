"""A network that is handed on in the middle of training ends as if it had never moved.

Every back end is a leg, and so are a Brian2 script and a graph of Lava processes. What one has
learned goes to the next as a checkpoint; the last must be the same file, byte for byte, as that of
the reference, which has learned from all samples alone.
"""

import shutil

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")
pytest.importorskip("lava", reason="Lava is not installed")

import brian2
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi1SimCfg

from spikebp_brian2 import SpikingNetworkGroup
from spikebp_lava import SampleSource, SpikingMLPProcess
from spikebp_plugins import Checkpoint, ReplayBuffer, Simulator, load
from spikebp_plugins.conformance import CASES
from spikebp_plugins.embedded.network_in_c import why_not_in_c
from spikebp_plugins.network.delays import steps_of_sample
from tests.core.small_nets import checkpoint_bytes, lively_simulator, samples, small_net

SAMPLES_OF_A_LEG = 10

#: Cases of the conformance suite, whose programs the tests of Brian2 have compiled.
DEFINITIONS = {
    case.feature: case
    for case in CASES
    if case.feature
    in (
        "8-bit pixels",
        "backward potentials drawn, binary spikes",
        "pipelined timing",
        "connections of all kinds",
        "convolution, pipelined timing",
    )
}

#: Of networks whose connections are not all dense, each back end has met one.
LONG = ("convolution, pipelined timing",)

BACKENDS = (
    "reference",
    "compiled",
    "brian2:numpy",
    "brian2:cython",
    "brian2:cpp_standalone",
    "lava:floating_pt",
    "lava:fixed_pt",
    "lava:tag=fixed_pt,implementation=hierarchical",
    "lava:tag=floating_pt,granularity=sample",
)


def by_simulator(backend):
    def leg(checkpoint, x, y):
        with checkpoint.simulate(backend) as sim:
            sim.train(x, y)
            return sim.checkpoint()

    return leg


def by_brian2_script(checkpoint, x, y):
    brian2.prefs.codegen.target = "numpy"
    sample = steps_of_sample(checkpoint.net, checkpoint.net.n_steps) * brian2.defaultclock.dt
    pixels, digits = (brian2.TimedArray(values, dt=sample) for values in (x, y))
    mlp = SpikingNetworkGroup(checkpoint, input=pixels, label=digits)
    brian2.Network(mlp).run(len(x) * sample)
    return mlp.checkpoint()


def by_lava_graph(checkpoint, x, y):
    mlp = SpikingMLPProcess(checkpoint)
    source = SampleSource(checkpoint.net, x, y)
    source.spikes_out.connect(mlp.spikes_in)
    source.label_out.connect(mlp.label_in)
    steps = RunSteps(num_steps=len(x) * steps_of_sample(checkpoint.net, checkpoint.net.n_steps))
    mlp.run(condition=steps, run_cfg=Loihi1SimCfg(select_tag="fixed_pt"))
    mlp.stop()
    return mlp.checkpoint()


def legs_for(net):
    backends = list(BACKENDS)
    if net.timing == "pipelined" and net.is_dense:  # which Lava's own synapses know
        backends.append("lava:tag=floating_pt,implementation=standard")
    if why_not_in_c(net) is None:
        backends.append("c")
    return [*map(by_simulator, backends), by_brian2_script, by_lava_graph]


def saved(checkpoint, folder):
    path = folder / "relay.npz"
    checkpoint.save(path)
    return path.read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiled targets of Brian2 need g++")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.thorough] if n in LONG else []) for n in DEFINITIONS],
)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.thorough) for n in (1, 2))]
)
def test_a_relay_in_any_order_ends_in_the_same_bytes(name, seed, tmp_path):
    case, random = DEFINITIONS[name], np.random.RandomState(seed)
    # With a higher rate pipelined outputs may fall silent, and a leg teach nothing.
    rate = 0.02 if case.net.timing == "pipelined" else 0.1
    net = case.net.replace(input_scale=1 / 255, learning_rate=rate)
    legs = legs_for(net)
    x = random.randint(0, 256, (len(legs), SAMPLES_OF_A_LEG, net.n_inputs)).astype(np.uint8)
    y = random.randint(0, net.n_outputs, x.shape[:2])
    with Simulator(net, "reference", case.weights()) as sim:
        checkpoint = sim.checkpoint()
        sim.train(np.concatenate(x), np.concatenate(y))
        expected = sim.checkpoint()
    for leg, x_leg, y_leg in zip(random.permutation(len(legs)), x, y, strict=True):
        before = checkpoint
        checkpoint = legs[leg](checkpoint, x_leg, y_leg)
        pairs = zip(checkpoint.state.weights, before.state.weights, strict=True)
        assert not all(np.array_equal(*pair) for pair in pairs)  # every leg learns something
    assert saved(checkpoint, tmp_path) == saved(expected, tmp_path)


def test_samples_that_are_learned_again_go_from_back_end_to_back_end(tmp_path):
    net, path = small_net(), tmp_path / "net.npz"
    x, y = samples(net, 12)
    with lively_simulator(net) as sim:
        sim.train(x, y, replay=ReplayBuffer(4))
        expected = checkpoint_bytes(sim)
    lively_simulator(net).save(path, replay=ReplayBuffer(4))
    for start, backend in ((0, "brian2:numpy"), (4, "lava"), (8, "compiled")):
        rows, checkpoint = slice(start, start + 4), load(path)
        with checkpoint.simulate(backend) as sim:
            sim.train(x[rows], y[rows], replay=checkpoint.replay)
            sim.save(path, replay=checkpoint.replay)
    assert checkpoint_bytes(Checkpoint(net, load(path).state)) == expected
