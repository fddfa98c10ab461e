"""The integer network of rectified units: its equations by hand, and what it refuses."""

from itertools import pairwise

import numpy as np
import pytest

from spikebp_plugins import SpikingMLP
from spikebp_plugins.engine import library
from spikebp_plugins.engine.building import levels
from spikebp_plugins.engine.library import best_level, why_missing
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.reproduce.integer_relu import IntegerReluLearner
from tests.core.engine_copies import skip_without_engine

skip_without_engine()
LEVELS = [] if why_missing() else [level for level in levels() if level <= best_level()]


def network(*sizes, rate=2.0**-7, **fields):
    fields = {"n_steps": 1, "fraction_bits": 14, "input_scale": 1 / 255, "seed": 5} | fields
    fields = {"weight_init": "he"} | fields
    return SpikingMLP.paper(sizes, learning_rate=rate, **fields)


def learner(net, weights=None):
    return IntegerReluLearner(Checkpoint(net, initial_state(net, weights)))


def units(learner):
    net = learner.checkpoint().net
    return [
        np.ldexp(matrix, net.fraction_bits).astype(np.int64)
        for matrix in learner.checkpoint().state.weights
    ]


def rounded(values, bits):
    return (values + (1 << (bits - 1))) >> bits


def literal(W, f, rate_bits, x, y):
    """Return the weights after some samples, the scores of each, and the multiply-adds."""
    W, scores, done = [matrix.copy() for matrix in W], [], np.zeros(3, int)
    for x_i, y_i in zip(x, y, strict=True):
        a = [np.rint(x_i / 255 * 2**8).astype(np.int64)]
        for matrix in W:
            s = a[-1] @ matrix
            done[0] += np.count_nonzero(a[-1]) * matrix.shape[1]
            a.append(np.maximum(s >> f, 0))
        scores.append(s / 2.0 ** (f + 8))
        e = rounded(s - np.rint(y_i * 2.0 ** (f + 8)).astype(np.int64), f + 8 - 6)
        for l in range(len(W) - 1, -1, -1):
            n = np.count_nonzero(a[l]) * np.count_nonzero(e)
            done[1:] += n * (l > 0), n
            below = rounded(W[l] @ e, f) * (a[l] > 0)
            W[l] -= rounded(np.outer(a[l], e), 8 + 6 + rate_bits - f)
            e = below
    return W, np.array(scores), done


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("sizes", "fraction_bits"),
    [((20, 17, 15, 3), 14), ((130, 200, 40, 10), 17), ((64, 10), 14)],
    ids=str,
)
def test_it_computes_its_equations(sizes, fraction_bits, level, monkeypatch):
    monkeypatch.setattr(library, "best_level", lambda: level)
    random = np.random.RandomState(1)
    own = learner(network(*sizes, fraction_bits=fraction_bits))
    x = np.uint8(random.randint(0, 256, (40, sizes[0])) * (random.rand(40, sizes[0]) < 0.3))
    # Some samples ask for what the network says, and so leave few errors.
    y = np.where(random.rand(40, 1) < 0.3, own.scores(x), random.rand(40, sizes[-1]))
    W, scores, done = literal(units(own), fraction_bits, 7, x, y)
    assert np.array_equal(own.scores(x[:1]), scores[:1])
    before = own.operations
    own.learn(x, y)
    assert all(map(np.array_equal, units(own), W))
    learned = own.operations - before
    assert (learned.forward, learned.backward, learned.update) == tuple(done)
    assert learned.samples == 40
    assert 0 < learned.update < 40 * sum(a * b for a, b in pairwise(sizes))


def test_it_goes_on_from_its_checkpoint():
    random = np.random.RandomState(2)
    x, y = random.randint(0, 256, (30, 20), np.uint8), random.rand(30, 3)
    whole = learner(network(20, 17, 3))
    parts = learner(network(20, 17, 3))
    whole.learn(x, y)
    parts.learn(x[:10], y[:10])
    parts = IntegerReluLearner(parts.checkpoint())
    parts.learn(x[10:], y[10:])
    assert all(map(np.array_equal, units(whole), units(parts)))
    assert parts.operations.samples == 20
    assert learner(network(20, 17, 3)).operations == Operations()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 2}, "start must be dense, with n_steps=1 and at most 18 fraction bits"),
        ({"fraction_bits": 19}, "start must be dense, with n_steps=1 and at most 18 fraction bits"),
        ({"rate": 0.01}, r"learning_rate must be a power of two below 2\*\*0; got 0.01"),
        ({"rate": 1.0}, r"learning_rate must be a power of two below 2\*\*0; got 1.0"),
    ],
    ids=str,
)
def test_it_refuses_what_its_integers_do_not_hold(changes, message):
    with pytest.raises(ValueError, match=message):
        learner(network(20, 10, **changes))


@pytest.mark.parametrize("error_bits", [0, 22, 6.5])
def test_it_refuses_errors_that_are_no_coarser_than_drive(error_bits):
    start = learner(network(20, 10)).checkpoint()
    with pytest.raises((ValueError, TypeError), match="error_bits must be an integer"):
        IntegerReluLearner(start, error_bits=error_bits)


@pytest.mark.parametrize(
    ("sizes", "fields", "weight", "target", "n"),
    [
        ((4, 2), {"rate": 2.0**-4}, 0.1, 9.0, 20),  # weights, on their way to 2.25
        ((90, 1, 1), {}, 1.9, None, 1),  # activations, here of 171
        ((300, 1), {}, 1.9, 0.0, 1),  # drive, here of 570
        ((90, 1), {"fraction_bits": 17}, 1.9, 0.0, 1),  # the same in 32 bits
        ((90, 9), {"fraction_bits": 6, "rate": 2.0**-5}, 6.0, 0.0, 1),  # errors, here of 540
        ((1, 1, 100), {"fraction_bits": 18}, 1.9, 2.61, 1),  # what errors of 1 bring back
    ],
    ids=["weights", "activations", "drive", "drive in 32 bits", "errors", "passed errors"],
)
def test_numbers_that_leave_their_types_end_the_learning(sizes, fields, weight, target, n):
    weights = [np.full(shape, weight) for shape in pairwise(sizes)]
    own = learner(network(*sizes, **fields), weights)
    x = np.full((n, sizes[0]), 255, np.uint8)
    with pytest.raises(OverflowError, match="a number might leave its type"):
        own.scores(x) if target is None else own.learn(x, np.full((n, sizes[-1]), target))


def test_sums_are_in_range_whatever_their_terms():
    signs = np.where(np.arange(100) % 2, 1.9, -1.9)
    for weights, y in (
        ([signs[:, None]], np.zeros((1, 1))),
        ([np.ones((1, 1)), signs[None]], signs[None] - 1),
    ):
        sizes = [len(weights[0]), *(matrix.shape[1] for matrix in weights)]
        own = learner(network(*sizes, fraction_bits=18), weights)
        x = np.full((1, sizes[0]), 255, np.uint8)
        W, _, _ = literal(units(own), 18, 7, x, y)
        own.learn(x, y)
        assert all(map(np.array_equal, units(own), W))


def test_it_refuses_samples_that_its_arrays_do_not_hold():
    own, x = learner(network(4, 2)), np.zeros((3, 4), np.uint8)
    y = np.zeros((3, 2))
    for wrong in ((x[:, :3], y), (x.astype(int), y), (x, y[:, :1]), (x, y[:0])):
        with pytest.raises(ValueError, match=r"must be of shape \(3, [24]\)"):
            own.learn(*wrong)
    with pytest.raises(ValueError, match=r"y must be of values below 512; got 600"):
        own.learn(x, np.full((3, 2), 600.0))
    with pytest.raises(ValueError, match=r"start must be of values below 2; got 2.5"):
        learner(network(4, 2), [np.full((4, 2), 2.5)])
    assert own.operations == Operations()
