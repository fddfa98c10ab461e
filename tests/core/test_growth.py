"""Networks that grow: a larger one begins with, and learns, the same integers as a smaller one."""

import re

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP
from spikebp_plugins.network.growing_weights import unit_weights
from spikebp_plugins.network.state import initial_state
from tests.core.streams import assert_equal_checkpoints

SIZES = (3, 5, 4, 2)


def growing(*sizes, **fields):
    return SpikingMLP.paper(sizes or SIZES, weight_init="growing", **fields)


def untrained(net):
    return Checkpoint(net, initial_state(net))


# --- initial weights ------------------------------------------------------------------------------


def weight_by_the_rule(seed, what, l, i, j):
    raw = np.random.Philox(key=seed, counter=[0, i, l, what]).random_raw(3 * j + 3)[-3:]
    parts = [(int(number) >> shift) & 0xFFFF for number in raw for shift in (0, 16, 32, 48)]
    return (sum(parts) - 6 * (2**16 - 1)) / 2**16


def test_each_initial_weight_is_drawn_by_itself():
    net = growing(seed=12345)
    W1, W2, W3 = net.init_weights()
    for i, j in ((0, 0), (2, 4), (1, 3)):
        assert W1[i, j] == weight_by_the_rule(12345, 1, 1, i, j) * (np.sqrt(2 / (8 + i)) / 4)
        assert W2[i, j % 4] == weight_by_the_rule(12345, 1, 2, i, j % 4) * np.sqrt(2 / 5)
    assert not W3.any()
    assert not growing(3, 2).init_weights()[0].any()
    B2, B3 = net.replace(feedback="random").init_feedback()
    assert B2[3, 2] == weight_by_the_rule(12345, 2, 2, 3, 2) / np.sqrt(4)
    assert B3[1, 3] == weight_by_the_rule(12345, 2, 3, 1, 3) / 2


def test_initial_weights_are_normal_and_do_not_depend_on_each_other():
    drawn = unit_weights(1, 1, 1, (300, 200))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs(np.mean(drawn**4) - 2.9) < 0.1  # 3 less 1.2 / 12 for a sum of twelve
    for other in (
        unit_weights(2, 1, 1, (300, 200)),
        unit_weights(1, 2, 1, (300, 200)),
        unit_weights(1, 1, 2, (300, 200)),
        np.roll(drawn, 1, axis=0),
        np.roll(drawn, 1, axis=1),
    ):
        assert abs(np.mean(drawn * other)) < 0.02


# --- checkpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"feedback": "random"},
        {"timing": "pipelined"},
        {"update": "normalized", "backward_init": "zero"},
        {"update": "outer", "spikes": "binary"},
    ],
)
@pytest.mark.parametrize("sizes", [SIZES, (3, 2)])
def test_a_grown_network_goes_on_as_if_it_had_always_been_as_large(sizes, fields, tmp_path):
    random = np.random.RandomState(0)
    x, y = random.uniform(-1, 2, (20, sizes[0] + 2)), random.randint(0, sizes[-1], 20)
    x[:10, sizes[0] :] = 0
    small = growing(*sizes, learning_rate=0.1, **fields)
    with Simulator(small) as sim:
        sim.train(x[:10, : sizes[0]], y[:10])
        grown = sim.checkpoint().grown(sizes[0] + 2, sizes[-1] + 3)
    large = small.replace(layer_sizes=(sizes[0] + 2, *sizes[1:-1], sizes[-1] + 3))
    with Simulator(large) as sim:
        sim.train(x[:10], np.eye(sizes[-1] + 3)[y[:10]])
        assert_equal_checkpoints(grown, sim.checkpoint())
        sim.train(x[10:], y[10:] + 3)
        expected = sim.checkpoint()
    with grown.simulate("reference") as sim:
        sim.train(x[10:], y[10:] + 3)
        assert_equal_checkpoints(sim.checkpoint(), expected)
        sim.save(tmp_path / "grown.npz")
    assert_equal_checkpoints(Checkpoint.load(tmp_path / "grown.npz"), expected)
    assert_equal_checkpoints(grown.grown(), grown)


def test_a_grown_network_keeps_its_grid():
    net = growing(learning_rate=0.5, fraction_bits=30)
    with Simulator(net) as sim:
        sim.train(np.ones((2, 3)), [0, 1])
        grown = sim.checkpoint().at_rate(0.125).grown(n_outputs=3)
    assert (grown.net.fraction_bits, grown.net.learning_rate) == (30, 0.125)
    assert grown.net.layer_sizes == (3, 5, 4, 3)


@pytest.mark.parametrize(
    ("net", "sizes", "message"),
    [
        (growing(), (2, 2), "n_inputs must be an integer of at least 3; got 2"),
        (growing(), (3, 1), "n_outputs must be an integer of at least 2; got 1"),
        (growing(), (3.0, 2), "n_inputs must be an integer of at least 3; got 3.0"),
        (
            SpikingMLP.paper(SIZES),
            (4, 2),
            "weight_init must be 'growing', for a network to grow; got",
        ),
        (
            growing(arithmetic="loihi2", learning_rate=0.1),
            (4, 2),
            "arithmetic must be 'fixed', for a network to grow; got 'loihi2'",
        ),
    ],
)
def test_what_cannot_grow_is_refused(net, sizes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        untrained(net).grown(*sizes)
