"""A network that is handed on in the middle of training ends as if it had never moved.

Every back end is a leg, and so are a Brian2 script and a graph of Lava processes. What one has
learned goes to the next as a checkpoint; the last must be the same file, byte for byte, as that of
the reference, which has learned from all samples alone.
"""

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")
pytest.importorskip("lava", reason="Lava is not installed")

import brian2
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from spikebp_brian2 import SpikingNetworkGroup
from spikebp_lava import SampleSource, SpikingMLPProcess
from spikebp_plugins.embedded.network_in_c import why_not_in_c
from spikebp_plugins.network.delays import steps_of_sample
from tests.core.small_nets import checkpoint_bytes, lively_simulator
from tests.with_lava.graphs import IMAGES, NET

SAMPLES_OF_A_LEG = 3

BACKENDS = ("reference", "compiled", "brian2:numpy", "lava:fixed_pt")
MORE_BACKENDS = (*BACKENDS, "brian2:cython", "lava:tag=floating_pt,granularity=sample")


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
    mlp.run(condition=steps, run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    mlp.stop()
    return mlp.checkpoint()


def legs_for(net, backends):
    backends = list(backends)
    if net.timing == "pipelined" and net.is_dense:  # which Lava's own synapses know
        backends.append("lava:tag=floating_pt,implementation=standard")
    if why_not_in_c(net) is None:
        backends.append("c")
    return [*map(by_simulator, backends), by_brian2_script, by_lava_graph]


@pytest.mark.parametrize(
    ("net", "backends", "seed"),
    [
        (NET.replace(learning_rate=0.02, timing="pipelined"), BACKENDS, 0),
        pytest.param(NET.replace(learning_rate=0.05), MORE_BACKENDS, 1, marks=pytest.mark.thorough),
        pytest.param(IMAGES, MORE_BACKENDS, 2, marks=pytest.mark.thorough),
    ],
    ids=["pipelined", "immediate", "connections of all kinds"],
)
def test_a_relay_in_any_order_ends_in_the_same_bytes(net, backends, seed):
    random, legs = np.random.RandomState(seed), legs_for(net, backends)
    x = random.randint(0, 4, (len(legs), SAMPLES_OF_A_LEG, net.n_inputs)).astype(np.uint8)
    y = random.randint(0, net.n_outputs, x.shape[:2])
    with lively_simulator(net) as sim:
        checkpoint = sim.checkpoint()
        sim.train(np.concatenate(x), np.concatenate(y))
        expected = checkpoint_bytes(sim)
    for leg, x_leg, y_leg in zip(random.permutation(len(legs)), x, y, strict=True):
        before = checkpoint
        checkpoint = legs[leg](checkpoint, x_leg, y_leg)
        pairs = zip(checkpoint.state.weights, before.state.weights, strict=True)
        assert not all(np.array_equal(*pair) for pair in pairs)  # every leg learns something
    assert checkpoint_bytes(checkpoint) == expected
