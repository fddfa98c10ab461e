"""The limits that the quantizers and the event-driven products state, on exact numbers."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from spikebp_plugins.common.errors import ArgumentError
from spikebp_plugins.rules.quantization import (
    incremental_dot_product,
    incremental_outer_product,
    rectified,
    rectified_spiking_quantization,
    signed,
    spiking_stream_quantization,
    spiking_vector_quantization,
)
from tests.profiles import examples

HALF = Fraction(1, 2)
LIMIT = 2.0**53
PROFILE = settings(max_examples=examples(100))


def dyadic(shape, denominator=2**10, largest=4):
    """Arrays of multiples of 1 / denominator, so that no sum in these tests is rounded."""
    bound = largest * denominator
    return arrays(np.int64, shape, elements=st.integers(-bound, bound)).map(
        lambda units: units / denominator
    )


def counts(shape):
    return arrays(np.int64, shape, elements=st.integers(-4, 4))


STREAM_SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=20)


def around_the_thresholds(dtype):
    """Half-integers and their two neighbours, of either sign: ties, and where ties end."""
    ties = np.array([0, 0.5, 1, 1.5, 2, 2.5, 7.5], dtype=dtype)
    above, below = np.nextafter(ties, dtype(np.inf)), np.nextafter(ties, dtype(-np.inf))
    near = np.concatenate([ties, above, below])
    return np.concatenate([near, -near])


def fire_one_by_one(value, binary, negative):
    """Fire by the letter of the rule: while |v| > 1/2 fire one spike and subtract it."""
    v, fired = Fraction(float(value)), 0
    while v > HALF or (negative and v < -HALF):
        spike = 1 if v > 0 else -1
        v, fired = v - spike, fired + spike
        if binary:
            break
    return fired, v


def assert_fires_by_the_letter(rule, potential, binary):
    before = potential.copy()
    spikes, left = rule(potential, binary)
    assert spikes.dtype == np.int64
    assert left.dtype == potential.dtype
    assert spikes.shape == left.shape == potential.shape
    assert isinstance(spikes, np.ndarray)
    assert isinstance(left, np.ndarray)
    np.testing.assert_array_equal(potential, before)
    expected = [fire_one_by_one(v, binary, rule is signed) for v in potential.ravel()]
    assert [(int(k), Fraction(float(v))) for k, v in zip(spikes.flat, left.flat, strict=True)] == (
        expected
    )


RULES = pytest.mark.parametrize("rule", [signed, rectified])
BINARY = pytest.mark.parametrize("binary", [False, True])


@RULES
@BINARY
@pytest.mark.parametrize("width", [32, 64])
@PROFILE
@given(data=st.data())
def test_a_rule_fires_one_by_one_whatever_the_potential(rule, binary, width, data):
    elements = st.floats(-50, 50, width=width) | dyadic((), 2, 20).map(float)
    shape = data.draw(array_shapes(min_dims=0, max_dims=3, max_side=3))
    potential = data.draw(arrays(np.dtype(f"f{width // 8}"), shape, elements=elements))
    assert_fires_by_the_letter(rule, potential, binary)


@RULES
@BINARY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_is_strict_at_the_threshold(rule, binary, dtype):
    assert_fires_by_the_letter(rule, around_the_thresholds(dtype), binary)


@RULES
@pytest.mark.parametrize(
    ("dtype", "odd"),
    [
        (np.float32, 2**23 + 1),
        (np.float32, 2**24 - 1),
        (np.float64, 2**52 + 1),
        (np.float64, 2**53 - 1),
    ],
)
def test_large_odd_potentials_are_counted_exactly(rule, dtype, odd):
    # Here v - 1/2 is no longer a float, so the closed form must not compute it.
    spikes, left = rule(np.array([odd], dtype=dtype))
    assert spikes.tolist() == [odd]
    assert left.tolist() == [0]


@RULES
def test_a_rule_takes_arrays_without_elements(rule):
    spikes, left = rule(np.zeros((0, 3), dtype=np.float32))
    assert spikes.shape == left.shape == (0, 3)


@PROFILE
@given(array_shapes(min_dims=0, max_dims=3, max_side=4).flatmap(dyadic), st.integers(1, 40))
def test_the_mean_of_a_quantized_vector_is_within_half_a_spike_per_t(vector, n_steps):
    spikes = spiking_vector_quantization(vector, n_steps)
    assert spikes.dtype == np.int64
    assert spikes.shape == (n_steps, *np.shape(vector))
    steps = np.arange(1, n_steps + 1).reshape(-1, *[1] * np.ndim(vector))
    # |mean - v| <= 1/(2T), times T: all of it is exact in float64.
    assert np.all(np.abs(np.cumsum(spikes, axis=0) - steps * vector) <= 0.5)


@PROFILE
@given(STREAM_SHAPES.flatmap(dyadic))
def test_the_sum_of_a_quantized_stream_is_within_one_half(stream):
    spikes = spiking_stream_quantization(stream)
    assert spikes.dtype == np.int64
    assert spikes.shape == stream.shape
    assert np.all(np.abs(np.cumsum(spikes, axis=0) - np.cumsum(stream, axis=0)) <= 0.5)


@PROFILE
@given(STREAM_SHAPES.flatmap(lambda shape: dyadic(shape, 2) | dyadic(shape)))
def test_rectified_spikes_quantize_the_running_maximum(stream):
    spikes = rectified_spiking_quantization(stream)
    assert spikes.dtype == np.int64
    assert spikes.shape == stream.shape
    for unit, column in enumerate(stream.T.tolist()):
        total, highest, fired = Fraction(0), None, 0
        for t, x in enumerate(column):
            total += Fraction(x)
            highest = total if highest is None else max(highest, total)
            fired += int(spikes[t, unit])
            assert fired == max(0, math.ceil(highest - HALF))


@PROFILE
@given(st.data(), STREAM_SHAPES, st.integers(1, 5))
def test_the_incremental_dot_product_is_the_product_of_the_counts(data, shape, n_outputs):
    spikes = data.draw(counts(shape))
    weights = data.draw(dyadic((shape[1], n_outputs)))
    sums = incremental_dot_product(spikes, weights)
    assert sums.dtype == np.float64
    np.testing.assert_array_equal(sums, np.cumsum(spikes, axis=0) @ weights, strict=True)


@PROFILE
@given(st.data(), STREAM_SHAPES, st.integers(1, 5))
def test_the_incremental_outer_product_is_the_sum_over_the_steps(data, shape, n_second):
    first, second = data.draw(counts(shape)), data.draw(counts((shape[0], n_second)))
    product = incremental_outer_product(first, second)
    assert product.dtype == np.int64
    assert product.shape == (shape[1], n_second)
    np.testing.assert_array_equal(product, np.cumsum(first, axis=0).T @ second)
    swapped = incremental_outer_product(second, first).T
    totals = np.outer(first.sum(axis=0), second.sum(axis=0))
    np.testing.assert_array_equal(product + swapped, totals + first.T @ second)


@PROFILE
@given(dyadic(3), dyadic(2), st.integers(1, 60))
def test_the_incremental_outer_product_is_within_its_stated_limit(u, v, n_steps):
    first = spiking_vector_quantization(u, n_steps)
    second = spiking_vector_quantization(v, n_steps)
    product = incremental_outer_product(first, second)
    U, V = np.abs(u)[:, None], np.abs(v)
    # The limit times T^2, which keeps it exact.
    error = np.abs(2 * product - n_steps**2 * np.outer(u, v))
    assert np.all(error <= n_steps * (U * V + 2 * U + V) + 0.5)


def test_streams_may_be_empty():
    assert spiking_stream_quantization(np.zeros((0, 3))).shape == (0, 3)
    assert rectified_spiking_quantization(np.zeros((4, 0))).shape == (4, 0)
    none = np.zeros((0, 3), dtype=int)
    assert incremental_dot_product(none, np.zeros((3, 2))).shape == (0, 2)
    assert incremental_outer_product(none, none).tolist() == [[0] * 3] * 3


def test_integers_of_any_width_are_taken():
    assert spiking_vector_quantization(np.array([3], dtype=np.uint8), 2).tolist() == [[3], [3]]
    spikes = np.array([[1], [-2]], dtype=np.int8)
    assert incremental_dot_product(spikes, [[100]]).tolist() == [[100], [-100]]
    assert incremental_outer_product(spikes * 50, spikes).tolist() == [[150]]


SPIKES = np.array([[1, 0], [0, -1]])
NOT_FINITE = [np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("value", NOT_FINITE)
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("potential", lambda value: signed(np.array([0.5, value]))),
        ("potential", lambda value: rectified(np.array([0.5, value], dtype=np.float32))),
        ("vector", lambda value: spiking_vector_quantization([0.5, value], 3)),
        ("stream", lambda value: spiking_stream_quantization([[0.5, value]])),
        ("stream", lambda value: rectified_spiking_quantization([[0.5, value]])),
        ("weights", lambda value: incremental_dot_product(SPIKES, [[1.0], [value]])),
    ],
)
def test_numbers_must_be_finite(name, call, value):
    with pytest.raises(ArgumentError, match=f"^{name} must be finite; got (nan|inf)$"):
        call(value)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("potential", lambda value: signed(np.array([0.5, value]))),
        ("potential", lambda value: rectified(np.array([value], dtype=np.float32))),
        ("vector", lambda value: spiking_vector_quantization([value], 3)),
        ("vector", lambda value: spiking_vector_quantization(int(value), 3)),
        ("stream", lambda value: spiking_stream_quantization([[value]])),
        ("potential", lambda value: rectified_spiking_quantization([[-abs(value) / 2]] * 2)),
        ("spikes", lambda value: incremental_dot_product([[int(value)]], [[1.0]])),
        ("weights", lambda value: incremental_dot_product(SPIKES, [[1.0], [value]])),
        ("first", lambda value: incremental_outer_product([[int(value)]], [[1]])),
        ("second", lambda value: incremental_outer_product([[1]], [[int(value)]])),
        (
            "the product of the counts of first and second",
            lambda value: incremental_outer_product(
                [[2**26]] * 2, [[2**25 * int(value / LIMIT)]] * 2
            ),
        ),
    ],
)
def test_counts_that_are_not_exact_are_an_overflow(name, call, sign):
    message = f"^{name} must stay below 2\\*\\*53 in size, .* got 9.0072e\\+15$"
    with pytest.raises(OverflowError, match=message):
        call(sign * LIMIT)


def test_the_smallest_integer_is_an_overflow_too():
    # Its absolute value does not fit into 64 bits.
    with pytest.raises(OverflowError, match=r"^spikes must stay below"):
        incremental_dot_product([[-(2**63)]], [[1.0]])


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (
            "potential must be an array of float64 or float32; got an array of int64",
            lambda: signed(np.array([1], dtype=np.int64)),
        ),
        (
            "potential must be an array of float64 or float32; got an array of float16",
            lambda: rectified(np.array([1], dtype=np.float16)),
        ),
        (
            "vector must be an array of real numbers; got an array of complex128",
            lambda: spiking_vector_quantization([1j], 3),
        ),
        (
            "vector must be an array of real numbers; got a ragged array",
            lambda: spiking_vector_quantization([[1], [1, 2]], 3),
        ),
        (
            "stream must be two-dimensional; got shape (2,)",
            lambda: spiking_stream_quantization([1, 2]),
        ),
        (
            "stream must be two-dimensional; got shape (1, 1, 1)",
            lambda: rectified_spiking_quantization([[[1]]]),
        ),
        (
            "spikes must be an array of integers; got an array of float64",
            lambda: incremental_dot_product([[0.5]], [[1]]),
        ),
        (
            "spikes must be two-dimensional; got shape (1,)",
            lambda: incremental_dot_product([1], [[1]]),
        ),
        (
            "weights must be two-dimensional; got shape (2,)",
            lambda: incremental_dot_product(SPIKES, [1.0, 2.0]),
        ),
        (
            "weights must be of shape (2, n_outputs); got shape (3, 1)",
            lambda: incremental_dot_product(SPIKES, [[1.0]] * 3),
        ),
        (
            "first must be an array of integers; got an array of float64",
            lambda: incremental_outer_product([[1.0]], [[1]]),
        ),
        (
            "second must be an array of integers; got an array of bool",
            lambda: incremental_outer_product([[1]], [[True]]),
        ),
        (
            "second must be of shape (2, n_second); got shape (3, 1)",
            lambda: incremental_outer_product(SPIKES, [[1]] * 3),
        ),
    ],
)
def test_a_wrong_argument_is_named(message, call):
    with pytest.raises(ArgumentError) as error:
        call()
    assert str(error.value) == message
