"""A connection decides how weights are laid out: the reference runs one that shares its weights."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP, UnsupportedError, to_relu
from spikebp_plugins.network.arithmetic import FixedPoint
from spikebp_plugins.network.checkpoint import to_arrays
from spikebp_plugins.network.connections import Arriving, Connection, Dense
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules.sample import run_sample
from tests.core.literal import LiteralNetwork

WIDTH = 3


@dataclass(frozen=True)
class Kernel(Connection):
    """Unit j above is joined to units j, j + 1, j + 2 below, by the same three weights."""

    weight_shape = feedback_shape = (WIDTH,)
    fan_in = fan_out = WIDTH

    @property
    def n_synapses(self):
        return WIDTH * self.n_above

    @property
    def most_uses(self):
        return self.n_above

    def backward_weights(self, W):
        return W

    def spread(self, W):
        matrix = np.zeros((self.n_below, self.n_above), W.dtype)
        for w in range(WIDTH):
            matrix[range(w, w + self.n_above), range(self.n_above)] = W[w]
        return matrix

    def forward(self, k, W):
        active = np.flatnonzero(k)
        return Arriving(k[active], self.spread(W)[active])

    def backward(self, e, B):
        active = np.flatnonzero(e)
        return Arriving(e[active], self.spread(B).T[active])

    def outer(self, c, e):
        return np.array([c[w : w + self.n_above] @ e for w in range(WIDTH)])

    def synapses_with(self, c, e):
        ones = np.ones(WIDTH, int)
        return int((self.spread(ones) * np.outer(c != 0, e != 0)).sum())

    def forward_operations(self, spikes):
        return int(self.spread(np.ones(WIDTH, int)).sum(1) @ spikes)

    def backward_operations(self, errors):
        return int(self.spread(np.ones(WIDTH, int)).sum(0) @ errors)


class WithKernel(SpikingMLP):
    @property
    def connections(self):
        first, *others = self.layer_sizes
        return Dense(first, others[0]), *(Kernel(*pair) for pair in pairwise(others))


class LiteralKernel(LiteralNetwork):
    """The literal rules, with three weights where the rules go through synapses."""

    def synapses(self, l):
        n_below, n_above = self.sizes[l - 1 : l + 1]
        if l == 1:
            return [(i, j, (i, j)) for i in range(n_below) for j in range(n_above)]
        return [(j + w, j, w) for j in range(n_above) for w in range(WIDTH)]

    def weight_of(self, matrix, w):
        return matrix[w[0]][w[1]] if isinstance(w, tuple) else matrix[w]

    def forward(self, l, k):
        drive = [0] * self.sizes[l]
        for i, j, w in self.synapses(l):
            drive[j] += k[i] * self.weight_of(self.W[l], w)
        return drive

    def backward(self, l, e):
        B = self.W if self.B is None else self.B
        drive = [0] * self.sizes[l - 1]
        for i, j, w in self.synapses(l):
            drive[i] += e[j] * self.weight_of(B[l], w)
        return drive

    def descend(self, l, e):
        for i, j, w in self.synapses(l):
            change = self.rate * self.c[l - 1][i] * e[j]
            if isinstance(w, tuple):
                self.W[l][i][j] -= change
            else:
                self.W[l][w] -= change


def literal(net, state):
    found = LiteralKernel(net, [], [])
    found.W = [None, *(np.ldexp(W, net.fraction_bits).astype(int).tolist() for W in state.weights)]
    if state.feedback:
        units = [np.ldexp(B, net.fraction_bits).astype(int).tolist() for B in state.feedback]
        found.B = [None, None, *units]
    return found


def definition(**fields):
    return WithKernel((5, 8, 6, 4), n_steps=6, learning_rate=0.5, seed=3, **fields)


def started(net):
    random = np.random.RandomState(0)
    weights = [random.standard_normal(shape) * 0.5 for shape in net.weight_shapes]
    return initial_state(net, [weights[0], *map(np.abs, weights[1:])])


@pytest.mark.parametrize("feedback", ["transpose", "random"])
@pytest.mark.parametrize("update", ["fractional", "outer"])
@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_weights_that_are_shared_follow_the_rules(timing, update, feedback):
    net = definition(timing=timing, update=update, feedback=feedback)
    state = started(net)
    expected = literal(net, state)
    random = np.random.RandomState(1)
    changed = 0
    for _ in range(4):
        x = np.rint(random.rand(1, 5) * 3 * 2**net.fraction_bits) / 2**net.fraction_bits
        y = np.eye(4)[[random.randint(4)]]
        before = state
        state, shown = run_sample(net, state, x, y, net.n_steps)
        k, e, _ = expected.show(np.repeat(x, 6, axis=0), np.repeat(y, 6, axis=0))
        for t, sent in enumerate(shown.steps):
            assert [counts.tolist() for counts in sent.k] == k[t]
            assert [counts.tolist() for counts in sent.e[1:]] == e[t][1:]
        for l, W in enumerate(state.weights, 1):
            assert np.ldexp(W, net.fraction_bits).astype(int).tolist() == expected.W[l]
            changed += l > 1 and not np.array_equal(W, before.weights[l - 1])
        operations = shown.operations
        lost = [sum(sent.k[l] for sent in shown.steps) for l in range(4)]
        # A unit at the border below has fewer synapses than one in the middle.
        fan_out = [net.connections[l].spread(np.ones(WIDTH, int)).sum(1) for l in (1, 2)]
        upper = sum(int(fan @ lost[l]) for l, fan in enumerate(fan_out, 1))
        assert operations.forward == 8 * np.abs([sent.k[0] for sent in shown.steps]).sum() + upper
        assert operations.dense == 3 * (40 + 18 + 12)
    assert changed


def test_files_bounds_and_draws_ask_the_connection():
    net = definition(feedback="random")
    state = started(net)
    arrays = to_arrays(Checkpoint(net, state))
    assert [arrays[f"weights_{l}"].shape for l in (1, 2, 3)] == [(5, 8), (3,), (3,)]
    assert [arrays[f"feedback_{l}"].shape for l in (2, 3)] == [(3,), (3,)]
    drawn = np.random.RandomState(net.seed + 1).standard_normal((2, 3)) / np.sqrt(3)
    assert np.array_equal(net.init_feedback(), drawn)
    # The bound of an update counts the four synapses that share a weight.
    number, c, e = FixedPoint(12, 1), np.full(6, 2**25 + 1), np.full(4, -(2**25) - 1)
    changed = number.descend(np.zeros(3), net.connections[2], c, e, 3)
    assert np.ldexp(changed, 12).tolist() == [4 * (2**25 + 1) ** 2] * 3
    with pytest.raises(OverflowError, match="weight of layer 3"):
        number.descend(np.zeros(3), net.connections[2], 2 * c, e, 3)


def test_an_engine_refuses_a_kind_that_it_does_not_know():
    net = definition()
    with pytest.raises(UnsupportedError, match=r"it knows Dense connections, not Kernel$"):
        Simulator(net)
    with Simulator(net, "reference", started(net).weights) as sim:
        assert sim.train(np.ones((2, 5)), [0, 1]).shape == (2, 4)
        with pytest.raises(ValueError, match=r"source must be a network of dense connections; got"):
            to_relu(sim)
