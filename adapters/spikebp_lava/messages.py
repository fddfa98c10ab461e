"""What crosses the ports between neurons and synapses of Lava's own.

Neurons compute with real numbers under both tags, by the rules of the reference. A spike and an
error have a payload of two, since a synapse's trace adds half of what comes.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.engine import LARGEST_FACTOR, EngineRate
from spikebp_plugins import SpikingMLP
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of

Array = NDArray[Any]

#: The payload of one spike.
PAYLOAD: Final = 2


class Messages(Protocol):
    """How numbers of neurons become messages, and messages numbers."""

    def spikes(self, k: Array, layer: int) -> Array:
        """Return the message of spikes."""

    def errors(self, e: Array) -> Array:
        """Return the message of errors."""

    def factors(self, values: Array) -> Array:
        """Return the third factor of errors, or of counts that errors meet."""

    def drive(self, sums: Array, layer: int) -> Array:
        """Return what sums of weights bring that arrive."""

    def values(self, carried: Array) -> Array:
        """Return targets that arrive, and drives that leave, as real numbers on the grid."""

    def units(self, values: Array) -> Array:
        """Return real numbers as ports carry them."""

    def held(self, weights: Array) -> Array:
        """Return weights as synapses hold them."""

    def weights(self, held: Array) -> Array:
        """Return the weights that synapses hold."""


class FloatingMessages(NamedTuple):
    """Under floating_pt: doubles that hold the values.

    Attributes
    ----------
    net : SpikingMLP
        The definition.
    """

    net: SpikingMLP

    def spikes(self, k: Array, layer: int) -> Array:
        """Return the message of spikes."""
        return PAYLOAD * k.astype(np.float64)

    def errors(self, e: Array) -> Array:
        """Return the message of errors."""
        return PAYLOAD * e.astype(np.float64)

    def factors(self, values: Array) -> Array:
        """Return them times the rate."""
        return values * self.net.rate

    def drive(self, sums: Array, layer: int) -> Array:
        """Return half of the sums, or raise OverflowError if one is out of range."""
        return arithmetic_of(self.net).check(sums / PAYLOAD, "drive of a step", layer)

    def values(self, carried: Array) -> Array:
        """Return them rounded to the grid, if there is one."""
        return arithmetic_of(self.net).round(carried)

    def units(self, values: Array) -> Array:
        """Return them as they are."""
        return values

    def held(self, weights: Array) -> Array:
        """Return them as they are."""
        return weights

    def weights(self, held: Array) -> Array:
        """Return them as they are."""
        return held


class FixedMessages(NamedTuple):
    """Under fixed_pt: integers, for the learning engine that Lava simulates.

    Attributes
    ----------
    net : SpikingMLP
        The definition, of ``arithmetic="loihi2"``.
    rate : EngineRate
        The rate as the engine has it.
    """

    net: SpikingMLP
    rate: EngineRate

    def spikes(self, k: Array, layer: int) -> Array:
        """Return the message of spikes, none of which may be negative."""
        if (k < 0).any():
            allowed = "without negative spikes in fixed_pt, whose traces have no sign"
            raise wrong_argument(f"layer {layer}", allowed, k[k < 0][0])
        return (PAYLOAD * k).astype(np.int32)

    def errors(self, e: Array) -> Array:
        """Return the message of errors."""
        return (PAYLOAD * e).astype(np.int32)

    def factors(self, values: Array) -> Array:
        """Return them times the mantissa of the rate, within what the engine multiplies."""
        factors = self.rate.factor * values
        return np.clip(factors, -LARGEST_FACTOR, LARGEST_FACTOR).astype(np.int32)

    def drive(self, sums: Array, layer: int) -> Array:
        """Return half of the sums, in units of a weight's last bit."""
        return np.ldexp(sums.astype(np.float64), self._exponent - 1)

    def values(self, carried: Array) -> Array:
        """Return what grid units stand for."""
        return arithmetic_of(self.net).round(np.ldexp(carried.astype(np.float64), -self._bits))

    def units(self, values: Array) -> Array:
        """Return grid units."""
        return np.ldexp(values, self._bits).astype(np.int64)

    def held(self, weights: Array) -> Array:
        """Return integers."""
        return np.ldexp(weights, -self._exponent).astype(np.int64)

    def weights(self, held: Array) -> Array:
        """Return what integers stand for."""
        return np.ldexp(held.astype(np.float64), self._exponent)

    @property
    def _exponent(self) -> int:
        assert self.net.weight_exponent is not None
        return self.net.weight_exponent

    @property
    def _bits(self) -> int:
        assert self.net.fraction_bits is not None
        return self.net.fraction_bits
