"""Vectors in kernels do, lane by lane, what NumPy does."""

import numpy as np
import pytest
from numba import njit

from spikebp_plugins.compiled.kernels.vectors import (
    larger,
    load,
    lowest,
    nonzero,
    smaller,
    store,
    zeros,
)

LANES = 16
NARROW, WIDE = 48, 128  # of one part or several


def at_limits(dtype, n):
    """Numbers of which some wrap when they are added or multiplied."""
    limits = np.iinfo(dtype)
    random = np.random.default_rng(3)
    values = random.integers(limits.min, limits.max, n, dtype, endpoint=True)
    values[: n // 2] = random.integers(-3, 4, n // 2)
    return values


def build_compute(lanes):
    @njit
    def compute(a, b, number, bits, results):
        v, w = load(a, 0, lanes), load(b, 0, lanes)
        store(results[0], 0, v + w)
        store(results[1], 0, v - number)
        store(results[2], 0, number * w)
        store(results[3], 0, v >> bits)
        store(results[4], 0, w << bits)
        store(results[5], 0, larger(v, w))
        store(results[6], 0, smaller(v, number))
        total = zeros(a, lanes)
        for _ in range(3):
            total += v
        total -= w
        store(results[7], 0, total)

    return compute


@pytest.mark.parametrize(
    ("dtype", "lanes"), [(np.int32, LANES), (np.int32, WIDE), (np.int64, NARROW)]
)
def test_operators_are_those_of_numpy(dtype, lanes):
    a, b = at_limits(dtype, lanes), at_limits(dtype, lanes)[::-1].copy()
    number, bits = dtype(-5), 3
    results = np.zeros((8, lanes), dtype)
    build_compute(lanes)(a, b, number, bits, results)
    with np.errstate(over="ignore"):
        expected = [
            a + b,
            a - number,
            number * b,
            a >> dtype(bits),
            b << dtype(bits),
            np.maximum(a, b),
            np.minimum(a, number),
            a + a + a - b,
        ]
    assert np.array_equal(results, expected)


def test_a_vector_begins_anywhere_and_ends_where_it_should():
    @njit
    def move(source, target):
        store(target, 3, load(source, 5, NARROW))

    source, target = np.arange(60), np.zeros(60, np.int64)
    move(source, target)
    assert np.array_equal(target[3:51], source[5:53])
    assert not target[:3].any()
    assert not target[51:].any()


def build_find(lanes):
    @njit
    def find(values, places):
        n, left = 0, nonzero(load(values, 0, lanes))
        while left != 0:
            places[n] = lowest(left)
            left &= left - 1
            n += 1
        return n

    return find


@pytest.mark.parametrize(
    ("dtype", "lanes"),
    [(np.uint8, 64), (np.int32, 16), (np.int64, 48), (np.float32, 48), (np.float64, 16)],
)
def test_nonzero_lanes_are_found_in_order(dtype, lanes):
    find, places = build_find(lanes), np.zeros(lanes, np.int64)
    for share in (0, 0.3, 1):
        values = np.where(np.random.default_rng(4).random(lanes) < share, 255, 0).astype(dtype)
        values[-1] = share > 0
        n = find(values, places)
        assert np.array_equal(places[:n], np.flatnonzero(values))
