"""Weights of few bits: the integers, their exponents, and the network that they make."""

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP, with_bias_input
from spikebp_plugins.conversion.quantized import quantized_weights
from tests.core.one_for_one import from_relu
from tests.core.small_nets import assert_all_equal, lively_simulator, samples, small_net

BITS = pytest.mark.parametrize("bits", [2, 3, 4, 8, 9, 16, 17, 32])
SHARED_BY = pytest.mark.parametrize("shared_by", ["layer", "unit"])


def of(matrix, bits, **options):
    """Return integers and exponents (as lists) of a network of one layer."""
    matrix = np.array(matrix, float)
    sim = Simulator(SpikingMLP.paper(matrix.shape, fraction_bits=20), weights=[matrix])
    found = quantized_weights(sim, bits, **options)
    return found.weights[0].tolist(), found.exponents[0].tolist()


def refusal(error, *arguments, **named):
    with pytest.raises(ValueError, match=error):
        quantized_weights(*arguments, **named)


@pytest.mark.parametrize(
    ("matrix", "bits", "integers", "exponent"),
    [
        ([[1.0, -1.0]], 8, [[64, -64]], -6),
        ([[-1.0, 0.5]], 8, [[-128, 64]], -7),
        ([[1.0, 0.25]], 3, [[2, 0]], -1),  # 0.25 / 0.5 is a tie, to even
        ([[1.0, 0.75]], 3, [[2, 2]], -1),
        ([[0.9, -0.1]], 4, [[7, -1]], -3),  # 7.2 and -0.8 eighths
        ([[0.9375, 0.0]], 4, [[4, 0]], -2),  # 7.5 eighths would round to 8
        ([[100.0, -3.0]], 4, [[6, 0]], 4),
        ([[0.0, 0.0]], 8, [[0, 0]], -1),
    ],
)
def test_the_smallest_exponent_with_which_the_largest_weight_fits(matrix, bits, integers, exponent):
    assert of(matrix, bits) == (integers, exponent)


def test_each_unit_may_have_an_exponent_of_its_own():
    matrix = [[1.0, 0.01, 0.0], [0.25, -0.03125, 0.0]]
    integers, exponents = of(matrix, 4, shared_by="unit")
    assert exponents == [-2, -8, -1]
    assert integers == [[4, 3, 0], [1, -8, 0]]


@BITS
@SHARED_BY
@pytest.mark.parametrize("seed", range(5))
def test_integers_are_the_nearest_and_have_the_bits(bits, shared_by, seed):
    W = np.random.RandomState(seed).standard_normal((20, 7)) * 10.0 ** np.arange(-3, 4)
    sim = Simulator(SpikingMLP.paper((20, 7), fraction_bits=30), weights=[W])
    found = quantized_weights(sim, bits, shared_by=shared_by)
    (Q,), (e,) = found.weights, found.exponents
    assert Q.dtype == {1: np.int8, 2: np.int16, 3: np.int32, 4: np.int32}[-(-bits // 8)]
    assert e.shape == (() if shared_by == "layer" else (7,))
    assert Q.min() >= -(2 ** (bits - 1))
    assert Q.max() <= 2 ** (bits - 1) - 1
    (V,) = found.checkpoint().state.weights
    np.testing.assert_array_equal(V, Q * 2.0**e)
    assert np.all(np.abs(V - sim.weights[0]) <= 2.0**e / 2)
    # With half of the step something would not fit, where weights are not exact already.
    half = np.rint(sim.weights[0] / 2.0 ** (e - 1))
    exceeds = (half < -(2 ** (bits - 1))) | (half > 2 ** (bits - 1) - 1)
    assert np.all(exceeds.any(axis=None if shared_by == "layer" else 0) | (e == -30))


def test_bits_enough_for_the_grid_lose_nothing():
    sim = lively_simulator(small_net(fraction_bits=12))
    found = quantized_weights(sim, 32)
    assert [int(e) for e in found.exponents] == [-12, -12, -12]
    assert_all_equal(found.checkpoint().state.weights, sim.checkpoint().state.weights)


def test_clipping_takes_the_exponent_with_the_least_squared_error():
    matrix = np.array([[0.1] * 50 + [1.0]])
    kept, exponent = of(matrix, 3)
    assert (kept[0][0], kept[0][-1], exponent) == (0, 2, -1)
    clipped, exponent = of(matrix, 3, clip=True)
    # Steps of 1/8 hold 50 weights of 0.1 to within 0.025, for 1 - 3/8 at the last one.
    errors = {
        e: np.sum((matrix - 2.0**e * np.clip(np.rint(matrix / 2.0**e), -4, 3)) ** 2)
        for e in range(-6, 0)
    }
    assert exponent == min(errors, key=errors.get) == -3
    assert (clipped[0][0], clipped[0][-1]) == (1, 3)
    assert of([[1.0, -0.5]], 8, clip=True) == of([[1.0, -0.5]], 8)


@SHARED_BY
@pytest.mark.parametrize("bits", [4, 8])
def test_integers_and_thresholds_alone_give_the_spikes(bits, shared_by):
    net = small_net(n_steps=20)
    found = quantized_weights(lively_simulator(net), bits, shared_by=shared_by)
    x, _ = samples(net, 10)
    with found.checkpoint().simulate("reference") as sim:
        trace = sim.predict(x, record=True)
    for sample in range(10):
        potentials = [np.zeros(n, np.int64) for n in net.layer_sizes[1:]]
        for step in range(20):
            k = trace.spikes[0][sample, step]
            for l, (Q, thresholds) in enumerate(zip(found.weights, found.thresholds, strict=True)):
                theta = thresholds.astype(np.int64)
                assert np.all(theta == thresholds)
                v = potentials[l] + k @ Q.astype(np.int64)
                k = np.zeros_like(v)
                while (v > theta).any():
                    k += v > theta
                    v -= np.where(v > theta, 2 * theta, 0)
                potentials[l] = v
                np.testing.assert_array_equal(k, trace.spikes[l + 1][sample, step])


def test_units_that_are_always_on_stay_so():
    layers = [(np.full((3, 4), 0.01), np.full(4, 0.3)), (np.ones((4, 2)), np.ones(2))]
    checkpoint = from_relu(layers)
    for options in ({}, {"shared_by": "unit"}, {"shared_by": "unit", "clip": True}):
        found = quantized_weights(checkpoint, 3, **options).checkpoint()
        with found.simulate("reference") as sim:
            trace = sim.predict(with_bias_input(np.ones((1, 3))), record=True)
        np.testing.assert_array_equal(trace.spikes[1][:, :, -1], 1)


@pytest.mark.parametrize("bits", [1, 33, 0, -8, 8.0, "8", True, None])
def test_bits_are_a_small_integer(bits):
    refusal("bits must be an integer from 2 to 32", lively_simulator(small_net()), bits)


def test_other_arguments_are_refused():
    sim = lively_simulator(small_net())
    refusal("source must be a Checkpoint, a Simulator, or", [np.eye(2)])
    refusal("shared_by must be one of 'layer', 'unit'; got 'network'", sim, shared_by="network")
    refusal("clip must be True or False; got 1", sim, clip=1)
