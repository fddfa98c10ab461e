"""The integer types of a network in C: those of weights are chosen, all others follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from spikebp_plugins.common.errors import choice
from spikebp_plugins.network.arithmetic import LIMIT
from spikebp_plugins.network.fields import Definition

#: The bits that a weight may have.
WEIGHT_BITS: Final = (16, 32, 64)

#: The longest sample whose binary spikes a count of 8 bits holds.
LARGEST_SHORT_COUNT: Final = 127


@dataclass(frozen=True)
class NumberTypes:
    """The bits of each kind of number, and the largest magnitudes that are allowed.

    Limits are one less than a power of two. Potentials and summed drive have room for what arrives
    in a step besides: that stays below `largest_sum`, if a layer sends no more spikes in a step
    than `largest_weight` goes into it.

    Attributes
    ----------
    weight_bits, state_bits, count_bits : int
        Bits of weights; of potentials, drives and targets; and of spike counts and errors.
    largest_weight, largest_state, largest_count, largest_sum : int
        The largest magnitude of each, and of a sum of weights that arrives in a step.
    largest_fraction_bits : int
        The most fraction bits with which a potential holds some tens of spikes.
    """

    weight_bits: int
    state_bits: int
    count_bits: int
    largest_weight: int
    largest_state: int
    largest_count: int
    largest_sum: int
    largest_fraction_bits: int


_LARGEST: Final = LIMIT - 1
_OF_WEIGHT_BITS: Final = {
    16: NumberTypes(16, 32, 16, 2**15 - 1, 2**30 - 1, 2**15 - 1, 2**30 - 1, 24),
    32: NumberTypes(32, 64, 32, 2**31 - 1, _LARGEST, 2**31 - 1, 2**62 - 1, 40),
    64: NumberTypes(64, 64, 64, 2**43 - 1, _LARGEST, _LARGEST, 2**62 - 1, 40),
}


def number_types(net: Definition, weight_bits: int) -> NumberTypes:
    """Return the types of a network whose weights have so many bits."""
    types = _OF_WEIGHT_BITS[choice("weight_bits", weight_bits, WEIGHT_BITS)]
    if net.spikes == "binary" and net.n_steps <= LARGEST_SHORT_COUNT:
        return replace(types, count_bits=8, largest_count=LARGEST_SHORT_COUNT)
    return types
