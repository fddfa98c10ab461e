"""The messages that neurons exchange with synapses of Lava's own.

Neurons compute with real numbers under both tags, by the rules of the reference. A spike or an
error has a payload of two, since a synapse adds half of each payload to its trace.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.engine import LARGEST_FACTOR, EngineRate
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]

#: The payload of one spike.
PAYLOAD: Final = 2


class MessageConverter:
    """Converts the numbers of neurons to messages and back; under floating_pt, doubles hold them.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self.net = net

    def spikes(self, k: Array, layer: int) -> Array:
        """Return the message of spikes, of shape (n_units,)."""
        return PAYLOAD * k.astype(np.float64)

    def errors(self, e: Array) -> Array:
        """Return the message of errors, of shape (n_units,)."""
        return PAYLOAD * e.astype(np.float64)

    def factors(self, values: Array) -> Array:
        """Return the message of a third factor, for errors or for input counts: times the rate."""
        return values * self.net.rate

    def drive(self, sums: Array, layer: int) -> Array:
        """Return the drive of a layer, given the sums that its synapses send.

        Raises
        ------
        OverflowError
            If it is out of range.
        """
        return arithmetic_of(self.net).check(sums / PAYLOAD, "drive of a step", layer)

    def values(self, carried: Array) -> Array:
        """Return the real numbers on the grid that a message of targets carries."""
        return arithmetic_of(self.net).round(carried)

    def units(self, values: Array) -> Array:
        """Return the message of real numbers on the grid."""
        return values

    def held(self, weights: Array) -> Array:
        """Return weights in the numbers that synapses hold."""
        return weights

    def weights(self, held: Array) -> Array:
        """Return the weights of the numbers that synapses hold."""
        return held


class FixedMessageConverter(MessageConverter):
    """The messages under fixed_pt: integers, for the learning engine that Lava simulates.

    Parameters
    ----------
    net : Definition
        The definition, with ``arithmetic="loihi2"``.
    """

    def __init__(self, net: Definition) -> None:
        super().__init__(net)
        self._rate = EngineRate.of(net)
        assert net.weight_exponent is not None
        self._exponent, self._bits = net.weight_exponent, net.fraction_bits

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
        """Return the values times the rate's factor, limited to what the engine can multiply."""
        factors = self._rate.factor * values
        return np.clip(factors, -LARGEST_FACTOR, LARGEST_FACTOR).astype(np.int32)

    def drive(self, sums: Array, layer: int) -> Array:
        """Return half of the sums as real numbers; the sums are in units of a weight's last bit."""
        return np.ldexp(sums.astype(np.float64), self._exponent - 1)

    def values(self, carried: Array) -> Array:
        """Return integers in units of 2^-f as real numbers."""
        return arithmetic_of(self.net).round(np.ldexp(carried.astype(np.float64), -self._bits))

    def units(self, values: Array) -> Array:
        """Return real numbers as integers in units of 2^-f."""
        return np.ldexp(values, self._bits).astype(np.int64)

    def held(self, weights: Array) -> Array:
        """Return weights in units of their last bit."""
        return np.ldexp(weights, -self._exponent).astype(np.int64)

    def weights(self, held: Array) -> Array:
        """Return the weights of integers in units of the last bit."""
        return np.ldexp(held.astype(np.float64), self._exponent)


def converter_of(net: Definition) -> MessageConverter:
    """Return the converter for the tag that the arithmetic of a definition needs."""
    return (FixedMessageConverter if net.arithmetic == "loihi2" else MessageConverter)(net)
