r"""The arithmetic of a neuromorphic chip: weights of 8 bits, learned with stochastic rounding.

A model of what a chip of the kind of Loihi 2 holds and computes, exact and the same on every back
end that has it; "Arithmetic of a chip" in ``docs/semantics.md`` has the rules. It is a model and
was not run on a chip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import FixedPoint, Integers, Reals
from spikebp_plugins.network.definition import LOIHI2_RATE_BITS

#: States (potentials and summed drives) are signed integers of so many bits.
STATE_BITS: Final = 24
LARGEST_STATE: Final = 2 ** (STATE_BITS - 1) - 1

#: Weights are signed integers of so many bits.
WEIGHT_BITS: Final = 8
LOWEST_WEIGHT: Final = -(2 ** (WEIGHT_BITS - 1))
HIGHEST_WEIGHT: Final = 2 ** (WEIGHT_BITS - 1) - 1

#: A message holds at most so many spikes or errors of one sign.
LARGEST_PAYLOAD: Final = 127

#: The trace with which a synapse learns counts no further than this.
LARGEST_TRACE: Final = 127

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Loihi2(FixedPoint):
    r"""States of 24 bits that saturate, on the grid :math:`2^{-f}`, and weights of 8 bits.

    Parameters
    ----------
    fraction_bits : int
        f, of the states.
    rate_units : int
        r, the rate in units of :math:`2^{g - 16}`.
    weight_exponent : int
        g: a weight is an integer from -128 to 127 times :math:`2^g`.
    seed : int
        Seed of stochastic rounding.
    moment : tuple of int, default=(0, 0)
        Training samples seen, and the step of the sample: what a random number depends on, besides
        the weight that it is for.
    """

    weight_exponent: int
    seed: int
    moment: tuple[int, int] = (0, 0)

    largest_payload: ClassVar = LARGEST_PAYLOAD

    @property
    def limit(self) -> float:
        """The magnitude that no value reaches."""
        return math.ldexp(1.0, STATE_BITS - 1 - self.fraction_bits)

    def at(self, samples_seen: int, t: int) -> Loihi2:
        """Return the arithmetic of a step, which has random numbers of its own."""
        return replace(self, moment=(samples_seen, t))

    def round(self, values: Any) -> Reals:
        """Round to the nearest multiple of the grid, ties to even, and saturate."""
        return self.check(super().round(values), "", 0)

    def round_weights(self, values: Any) -> Reals:
        """Round to weights of 8 bits, ties to even, and saturate."""
        with np.errstate(over="ignore"):
            units = np.rint(np.ldexp(np.asarray(values, np.float64), -self.weight_exponent))
        return self.weights_from(np.clip(units, LOWEST_WEIGHT, HIGHEST_WEIGHT))

    def weights_from(self, units: NDArray[Any]) -> Reals:
        """Return the weights that integers of 8 bits stand for."""
        weights: Reals = np.ldexp(units.astype(np.float64), self.weight_exponent)
        return weights

    def weight_units(self, weights: Reals) -> Integers:
        """Return the integers of 8 bits that stand for weights."""
        return np.ldexp(weights, -self.weight_exponent).astype(np.int64)

    def check(self, values: Reals, quantity: str, layer: int) -> Reals:
        """Return `values`, each the nearest that 24 bits hold."""
        largest = math.ldexp(LARGEST_STATE, -self.fraction_bits)
        saturated: Reals = np.clip(values, -largest, largest)
        return saturated

    def trace(self, counts: Integers) -> Integers:
        """Return what a synapse has counted of these spikes."""
        return np.clip(counts, -LARGEST_TRACE, LARGEST_TRACE)

    def descend(self, weights: Reals, counts: Integers, errors: Integers, layer: int) -> Reals:
        """Return ``weights - rate * outer(counts, errors)``, rounded stochastically."""
        product = self.rate_units * np.outer(counts, errors)
        draws = draws_of(draw_key(self.seed, *self.moment, layer), product.shape)
        units = self.weight_units(weights) - ((product + draws) >> LOIHI2_RATE_BITS)
        return self.weights_from(np.clip(units, LOWEST_WEIGHT, HIGHEST_WEIGHT))


def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finalizer of SplitMix64 of 64-bit numbers."""
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


def draws_of(key: NDArray[np.uint64], shape: tuple[int, ...]) -> Integers:
    """Return a random number of 16 bits for each weight, in their order."""
    position = np.arange(1, math.prod(shape) + 1, dtype=np.uint64).reshape(shape)
    with np.errstate(over="ignore"):
        drawn = mixed(key + _GOLDEN * position) >> np.uint64(64 - LOIHI2_RATE_BITS)
    return drawn.astype(np.int64)
