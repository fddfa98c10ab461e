"""Counter-based random numbers: each follows from its key and its position in the stream."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.fields import LOIHI2_RATE_BITS

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return 64-bit numbers after the finalizer of SplitMix64."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def draw_key(*parts: int) -> NDArray[np.uint64]:
    """Return the state of SplitMix64 that belongs to seed, samples seen, step and layer."""
    key: NDArray[np.uint64] = np.zeros((), np.uint64)
    for part in parts:
        with np.errstate(over="ignore"):
            key = mixed(key + _GOLDEN * np.uint64(part + 1))
    return key


def numbers_of(key: NDArray[np.uint64], n: int, first: int = 0) -> NDArray[np.uint64]:
    """Return n random numbers of 64 bits: those from position `first` on in the stream of a key."""
    position = np.arange(first + 1, first + n + 1, dtype=np.uint64)
    with np.errstate(over="ignore"):
        return mixed(key + _GOLDEN * position)


def draws_of(key: NDArray[np.uint64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return a random number of 16 bits for each weight of a matrix, numbered row by row."""
    drawn = numbers_of(key, math.prod(shape)) >> np.uint64(64 - LOIHI2_RATE_BITS)
    return drawn.astype(np.int64).reshape(shape)
