"""The numbers a network computes with: a fixed-point grid, or those of a chip.

They offer the operations that the step rules need, on NumPy arrays of real values:
rounding input, checking the range (or saturating), adding weights for spikes, and updating weights
by an outer product, which is scaled by the rate or has a factor that was scaled and rounded before.
These operations are exact: a sum of doubles is exact while every partial sum stays below
:math:`2^{53}` units of the last place (:math:`2^{-f}`). Where that is not proven beforehand, the
operation uses Python's integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.figures import told_apart
from spikebp_plugins.network.connections import Connection, WeightedCounts
from spikebp_plugins.network.draws import draw_key, draws_of
from spikebp_plugins.network.fields import LOIHI2_RATE_BITS, Definition

Array = NDArray[Any]
Reals = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Magnitudes of values (in units of 2^-f) and of spike counts stay below this ("Range" in
#: docs/semantics.md).
LIMIT: Final = 2**53

#: Spike counts of input are limited to this, which is out of range in any case.
LARGEST_COUNT: Final = 2**62

#: Bits of a state (potential or summed drive) on a chip, which is a signed integer.
STATE_BITS: Final = 24
LARGEST_STATE: Final = 2 ** (STATE_BITS - 1) - 1

#: Bits of a weight on a chip, which is a signed integer.
WEIGHT_BITS: Final = 8
LOWEST_WEIGHT: Final = -(2 ** (WEIGHT_BITS - 1))
HIGHEST_WEIGHT: Final = 2 ** (WEIGHT_BITS - 1) - 1

#: The most spikes or errors of one sign that a message on a chip holds.
LARGEST_PAYLOAD: Final = 127


class Change(NamedTuple):
    """The factors of an update.

    Attributes
    ----------
    rate : int
        The rate, in units of the last place of a weight.
    counts : ndarray of int
        The factors of the units below.
    errors : ndarray of int
        Those of the units above.
    """

    rate: int
    counts: Array
    errors: Integers


@dataclass(frozen=True)
class FixedPoint:
    """Multiples of :math:`2^{-f}`, held in doubles.

    Parameters
    ----------
    fraction_bits : int
        f.
    """

    fraction_bits: int

    #: Bits of a magnitude in units of 2^-f.
    magnitude_bits: ClassVar[int] = 53
    #: How many spikes a unit can send in one step; None is any number.
    largest_payload: ClassVar[int | None] = None

    @property
    def exponent_of_weights(self) -> int:
        """The exponent of 2 by which integers stand for weights; for states it is -f."""
        return -self.fraction_bits

    @property
    def range_of_weights(self) -> tuple[int, int]:
        """The lowest and the highest integer that stands for a weight."""
        return 1 - 2**self.magnitude_bits, 2**self.magnitude_bits - 1

    @property
    def limit(self) -> float:
        """The magnitude that no value reaches."""
        return math.ldexp(1.0, self.magnitude_bits - self.fraction_bits)

    def round(self, values: Any) -> Reals:
        """Round to the nearest multiple of the grid, ties to even."""
        with np.errstate(over="ignore"):
            units = np.rint(np.asarray(values, np.float64) * 2.0**self.fraction_bits)
        return self.decode(units)

    def round_weights(self, values: Any) -> Reals:
        """Round weights to numbers of the arithmetic."""
        return self.round(values)

    def at(self, samples_seen: int, t: int) -> FixedPoint:
        """Return the arithmetic for step `t` of a training sample, with its random numbers."""
        return self

    def check(self, values: Reals, quantity: str, layer: int) -> Reals:
        """Return `values`, or raise OverflowError if one has left the range."""
        return _checked(values, self.limit, quantity, layer)

    def add_product(
        self, values: Reals, arriving: WeightedCounts, quantity: str, layer: int
    ) -> Reals:
        """Return ``values + product(counts, weights)`` of the given counts and weights."""
        counts, weights, product = arriving
        n_spikes = np.abs(counts.astype(np.float64)).sum()
        if n_spikes * _largest(weights) < self.limit / 2:
            total: Reals = values + product(counts.astype(np.float64), weights)
        else:
            # A sum beyond the limit is rounded to a double, but stays beyond it and is found.
            arrived = product(counts.astype(object), self._to_python(weights))
            units = self._to_python(values) + arrived
            total = self.decode(units)
        return self.check(total, quantity, layer)

    def descend(self, weights: Reals, connection: Connection, change: Change, layer: int) -> Reals:
        """Return ``weights - rate * outer(counts, errors)``, summed for each weight."""
        r, counts, errors = change
        if _largest(counts) * _largest(errors) * r * connection.most_uses < LIMIT / 2:
            rate = math.ldexp(r, -self.fraction_bits)
            changed: Reals = weights - rate * connection.outer(counts.astype(np.float64), errors)
        else:
            units = r * connection.outer(counts.astype(object), errors.astype(object))
            changed = self.decode(self._to_python(weights) - units)
        return self.check(changed, "weight", layer)

    def smoothed(self, rate: int, drive: Reals) -> Array:
        """Return ``rate * drive`` in units of 2^-f, rounded to whole ones, ties to even."""
        bits, one = self.fraction_bits, 2**self.fraction_bits
        product = rate * self._to_python(drive)
        is_odd = (product >> bits) & 1
        rounded: Array = (product + (one // 2 - 1) + is_odd) >> bits
        return rounded

    def encode(self, values: Reals) -> Integers:
        """Return values on the grid as integers, for a file or another back end."""
        return (values * math.ldexp(1.0, self.fraction_bits)).astype(np.int64)

    def decode(self, units: Array) -> Reals:
        """Return the values that :meth:`encode` turned into integers."""
        return units.astype(np.float64) * math.ldexp(1.0, -self.fraction_bits)

    def _to_python(self, values: Reals) -> NDArray[np.object_]:
        return self.encode(values).astype(object)


@dataclass(frozen=True)
class Loihi2(FixedPoint):
    r"""States of 24 bits that saturate, on the grid :math:`2^{-f}`, and weights of 8 bits.

    A model of the numbers of a chip of the kind of Loihi 2; it was not run on a chip. Results are
    equal on every back end that has this arithmetic. "Numbers of a chip" in ``docs/semantics.md``
    has the rules.

    Parameters
    ----------
    fraction_bits : int
        f, of the states. The rate is in units of :math:`2^{g - 16}`.
    weight_exponent : int
        g: a weight is an integer from -128 to 127 times :math:`2^g`.
    seed : int
        Seed of stochastic rounding.
    moment : tuple of int, default=(0, 0)
        Training samples seen, and the step of the sample. A random number depends on both, besides
        the seed and the weight that it is for.
    """

    weight_exponent: int
    seed: int
    moment: tuple[int, int] = (0, 0)

    magnitude_bits: ClassVar = STATE_BITS - 1
    largest_payload: ClassVar = LARGEST_PAYLOAD

    @property
    def exponent_of_weights(self) -> int:
        """The exponent of 2 by which integers stand for weights."""
        return self.weight_exponent

    @property
    def range_of_weights(self) -> tuple[int, int]:
        """The lowest and the highest integer that stands for a weight."""
        return LOWEST_WEIGHT, HIGHEST_WEIGHT

    def at(self, samples_seen: int, t: int) -> Loihi2:
        """Return the arithmetic for step `t` of a training sample, with its random numbers."""
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
        return units.astype(np.float64) * math.ldexp(1.0, self.weight_exponent)

    def weight_units(self, weights: Reals) -> Integers:
        """Return the integers of 8 bits that stand for weights."""
        return np.ldexp(weights, -self.weight_exponent).astype(np.int64)

    def check(self, values: Reals, quantity: str, layer: int) -> Reals:
        """Return `values`, saturated to the states that 24 bits hold."""
        largest = math.ldexp(LARGEST_STATE, -self.fraction_bits)
        saturated: Reals = np.clip(values, -largest, largest)
        return saturated

    def descend(self, weights: Reals, connection: Connection, change: Change, layer: int) -> Reals:
        """Return ``weights - rate * outer(counts, errors)``, rounded stochastically."""
        product = change.rate * connection.outer(change.counts, change.errors)
        draws = draws_of(draw_key(self.seed, *self.moment, layer), product.shape)
        units = self.weight_units(weights) - ((product + draws) >> LOIHI2_RATE_BITS)
        return self.weights_from(np.clip(units, LOWEST_WEIGHT, HIGHEST_WEIGHT))


def arithmetic_of(net: Definition) -> FixedPoint:
    """Return the arithmetic that a definition asks for."""
    if net.weight_exponent is None:
        return FixedPoint(net.fraction_bits)
    return Loihi2(net.fraction_bits, net.weight_exponent, net.seed)


def constant_in(net: Definition, connection: Connection) -> Reals:
    """Return the constant of a connection without weights of its own, rounded as weights are."""
    return arithmetic_of(net).round_weights(np.array([connection.constant_weight]))


def check_counts(counts: Integers, layer: int) -> Integers:
    """Return spike counts, or raise OverflowError if a double could not hold one exactly."""
    # As doubles: the magnitude of the smallest integer does not fit into 64 bits.
    magnitude = np.abs(counts.astype(np.float64))
    if not np.all(magnitude < LIMIT):
        reached = abs(int(counts.flat[magnitude.argmax()]))
        raise out_of_range("spike count", layer, LIMIT, reached)
    return counts


def out_of_range(quantity: str, layer: int, limit: float, reached: float) -> OverflowError:
    """Return the error for a value that is not below its limit in magnitude."""
    allowed, found = told_apart(limit, reached)
    more = " or more" if reached == LARGEST_COUNT and quantity == "spike count" else ""
    return OverflowError(
        f"{quantity} of layer {layer} must stay below {allowed} in magnitude; "
        f"it reached {found}{more}"
    )


def _checked(values: Reals, limit: float, quantity: str, layer: int) -> Reals:
    magnitude = np.abs(values)
    if not np.all(magnitude < limit):
        raise out_of_range(quantity, layer, limit, float(magnitude.max()))
    return values


def _largest(values: NDArray[Any]) -> float:
    return float(np.abs(values).max(initial=0))
