"""A network on the core: the widths and depths that it needs, and where its numbers lie."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import IntegerOption, refused_kind
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import DenseConnection
from spikebp_plugins.network.fields import Definition

#: Weights a clock, and how many unless it is said.
LANES: Final = (1, 2, 4, 8, 16)
DEFAULT_LANES: Final = 8
#: Bits of a weight.
FEWEST_BITS: Final = 16
MOST_BITS: Final = 32
LANE_OPTION: Final = IntegerOption(LANES)
BITS_OPTION: Final = IntegerOption(range(FEWEST_BITS, MOST_BITS + 1))
#: By default weights have so many bits more than a fraction: they reach -8 to 8.
BITS_BEFORE_POINT: Final = 4
#: Spikes that a connection may be sent in a step: 2 to this. A sum of so many weights has two bits
#: of room in a potential.
BITS_OF_SENT: Final = 14
#: A layer has a number of 4 bits.
MOST_LAYERS: Final = 15
#: Bits of counts and errors, and of what is divided and of limits: R, or a gain that is limited.
COUNT_BITS: Final = (12, 16)
LIMIT_BITS: Final = (24, 53)
RATE_BITS: Final = 17
#: What is added to squared counts has fewer bits than their sum, in every layout.
MOST_ADDED: Final = 2**29
#: Places for spikes of the input that wait for products.
RING: Final = 16

#: Sources and templates, and the place of a number in one.
FOLDER: Final = Path(__file__).parent
PLACE: Final = re.compile(r"\bNET_([A-Z]+(?:_[A-Z]+)*)")

Integers = NDArray[np.int64]


def why_not_in_hardware(net: Definition, weight_bits: int | None = None) -> str | None:
    """Return why the core cannot run a definition, or None if it can."""
    if (refusal := refused_kind(net, {}, (DenseConnection,))) is not None:
        return refusal
    if net.spikes != "graded":
        return f"it knows spikes='graded', not spikes={net.spikes!r}"
    if net.feedback != "transpose":
        return f"it knows feedback='transpose', not feedback={net.feedback!r}"
    if net.n_layers > MOST_LAYERS:
        return f"it has up to {MOST_LAYERS} layers of weights, not {net.n_layers}"
    if weight_bits is None and net.fraction_bits > MOST_BITS - BITS_BEFORE_POINT:
        most = MOST_BITS - BITS_BEFORE_POINT
        return f"its weights have up to {MOST_BITS} bits, so fraction_bits up to {most}"
    rule = net.learning_rule
    fastest = max(w.rate // max(w.added_squares, 1) for w in rule.weights)
    if fastest >= 2**RATE_BITS:
        return f"rates have up to {RATE_BITS} bits, and one is {fastest} units of the last place"
    if max(w.added_squares for w in rule.weights) >= MOST_ADDED:
        return "n_steps times spikes_per_unit is too large for its sums of squared counts"
    bits = _weight_bits(net, weight_bits) + BITS_OF_SENT - 1
    if net.fraction_bits >= bits:
        return f"with weight_bits={weight_bits} it has less than {bits} fraction bits"
    if math.ldexp(max(map(abs, net.label_targets)), net.fraction_bits) >= 2**bits:
        return f"its label_targets={net.label_targets} do not fit potentials of {bits + 3} bits"
    return None


def _weight_bits(net: Definition, given: int | None) -> int:
    return given or max(FEWEST_BITS, net.fraction_bits + BITS_BEFORE_POINT)


def bits_of(n: int) -> int:
    """Return the bits of an address of n places, as $clog2 does."""
    return (n - 1).bit_length()


def _rounded(n: int, least: int) -> int:
    return max(least, 1 << bits_of(n))


@dataclass(frozen=True)
class Layout:
    """A network on the core.

    Attributes
    ----------
    net : Definition
        A definition that the core knows.
    lanes : {1, 2, 4, 8, 16}
        P, weights a clock.
    weight_bits : int
        Bits of a weight, 16 to 32.
    simulated : bool
        Whether memories may be deeper than the network needs, so that one simulation serves many
        networks.
    """

    net: Definition
    lanes: int
    weight_bits: int
    simulated: bool = False

    @classmethod
    def of(
        cls, net: Definition, lanes: int | None, weight_bits: int | None, simulated: bool = False
    ) -> Layout:
        """Return the layout for a network that the core knows, with what is None by default."""
        return cls(net, lanes or DEFAULT_LANES, _weight_bits(net, weight_bits), simulated)

    # ---- numbers of the network

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of layers 0..L."""
        return tuple(self.net.layer_sizes)

    @cached_property
    def words(self) -> list[int]:
        """Words of P units of layers 0..L."""
        return [-(-n // self.lanes) for n in self.sizes]

    @cached_property
    def tiles_at(self) -> list[int]:
        """Where the tiles of P times P weights of each connection begin, for layers 0..L + 1."""
        tiles = (below * above for below, above in zip(self.words, self.words[1:], strict=False))
        return [0, *accumulate(tiles, initial=0)]

    @property
    def fraction_bits(self) -> int:
        """The fraction bits of all numbers."""
        return arithmetic_of(self.net).fraction_bits

    @cached_property
    def count_bits(self) -> int:
        """Bits of counts and errors: limits of the definition fit, or are beyond all counts."""
        rule = self.net.learning_rule
        limits = [rule.count_limit.least, *(w.error_limit.least for w in rule.weights)]
        few, many = COUNT_BITS
        return many if any(2 ** (few - 2) <= limit < 2 ** (many - 1) for limit in limits) else few

    @property
    def most_counted(self) -> int:
        """The largest magnitude of a count that is cut off nowhere."""
        return (1 << (self.count_bits - 1)) - 1

    @cached_property
    def sum_bits(self) -> int:
        """Bits of potentials."""
        return self.weight_bits + BITS_OF_SENT + 2

    @property
    def largest_weight(self) -> int:
        """The largest magnitude of a weight, in units of 2^-f."""
        return (1 << (self.weight_bits - 1)) - 1

    @property
    def largest_target(self) -> int:
        """The largest magnitude of a target, in units of 2^-f."""
        return (1 << (self.sum_bits - 3)) - 1

    @property
    def updates(self) -> int:
        """Updates of a sample that have to be undone if it does not fit."""
        return 1 if self.net.learning_rule.learns_once else self.net.n_steps

    # ---- what the core is told

    @cached_property
    def parameters(self) -> dict[str, int]:
        """Widths and depths, which ``spikebp_network.svh`` explains."""
        net, words = self.net, self.words
        rule = net.learning_rule
        wide = rule.limits_gain or max(w.rate for w in rule.weights) >= 2 ** LIMIT_BITS[0]
        depths = {
            "INPUTS": (self.sizes[0], 256),
            "UNITS": (sum(self.sizes[:-1]), 512),
            "LISTED": (RING + sum(self.sizes[1:]), 512),
            "BANK_DEPTH": (self.weight_depth, 4096),
            "WORDS": (sum(words[1:]), 256),
            "HIDDEN_WORDS": (max(1, sum(words[1:-1])), 256),
            "OUTPUT_WORDS": (words[-1], 64),
            "UPDATES": (self.updates, 16),
        }
        sized = {
            name: _rounded(n, least) if self.simulated else n for name, (n, least) in depths.items()
        }
        sums = sized["WORDS"] + 2 * sized["HIDDEN_WORDS"] + sized["OUTPUT_WORDS"]
        return {
            "LAYERS": max(net.n_layers, 4) if self.simulated else net.n_layers,
            "LANE_BITS": bits_of(self.lanes),
            "WEIGHT_BITS": self.weight_bits,
            "COUNT_BITS": self.count_bits,
            "SUM_BITS": self.sum_bits,
            "LEFT_BITS": self.sum_bits - 3 if self.simulated else self.fraction_bits + 1,
            "LIMIT_BITS": LIMIT_BITS[wide],
            "NUMBER_BITS": bits_of(max(*sized.values(), sums, sized["UPDATES"] * sized["UNITS"]))
            + 1,
            "SUM_DEPTH": sums,
            **sized,
        }

    @cached_property
    def network(self) -> tuple[int, int]:
        """What the core is told of networks with the same parameters: a number, and its bits."""
        net, rule, given = self.net, self.net.learning_rule, self.parameters
        number, limit = given["NUMBER_BITS"], given["LIMIT_BITS"]
        square = 2 * self.count_bits + number
        limits = rule.count_limit, rule.weights[-1].error_limit, rule.gain_limit
        none, most = (1 << limit) - 1, (1 << (self.count_bits - 1)) - 1
        fields = [
            *((self.fraction_bits, 6), (net.n_layers, 4), (self.updates, number)),
            *((int(rule.learns_once), 1), (int(rule.divides_rate), 1)),
            *((int(rule.limits_gain), 1), (int(net.backward_init == "zero"), 1)),
            *((min(each.least, none), limit) for each in limits),
            *((min(each.per_step, none), limit) for each in limits),
        ]
        list_at = [0, *accumulate(self.sizes[1:-1], initial=RING)]
        met_at = [0, *accumulate(self.sizes[:-1])]
        for l, weights in enumerate([None, *rule.weights]):
            places = self.tiles_at[l], self.drive_at[l], self.psi_at[l], list_at[l], met_at[l]
            fields += ((n, number) for n in (self.sizes[l], self.words[l], *places))
            fields += [
                (weights.rate if weights else 0, limit),
                (weights.added_squares if weights else 0, square),
                (min(weights.error_limit.least, most) if weights else 0, limit),
            ]
        return packed(fields)

    def written(self, template: str, **values: Any) -> str:
        """Return a template with its numbers: parameters, and others by their names."""
        known = self.parameters | {name.upper(): value for name, value in values.items()}
        text = (FOLDER / template).read_text("utf-8")
        return PLACE.sub(lambda place: str(known[place[1]]), text)

    @property
    def host_sums(self) -> int:
        """Words of a lane of sums that the host sees: drive, and backward potentials."""
        return self.parameters["WORDS"] + self.parameters["HIDDEN_WORDS"]

    @property
    def weight_depth(self) -> int:
        """Words of a bank that hold weights."""
        return self.tiles_at[-1] * self.lanes

    @cached_property
    def psi_at(self) -> list[int]:
        """Where backward potentials of layers 1..L-1 are among the sums; 0 for the others."""
        first = accumulate(self.words[1:-1], initial=self.parameters["WORDS"])
        return [0, *list(first)[:-1], 0]

    @cached_property
    def drive_at(self) -> list[int]:
        """Where summed drive of layers 1..L is among the sums; 0 for the input."""
        return [0, *accumulate(self.words[1:-1], initial=0)]

    # ---- where weights and potentials lie

    def places(self, l: int) -> tuple[Integers, Integers]:
        """Return bank and address of each weight of W_l, as arrays of its shape."""
        i, j = np.indices((self.sizes[l - 1], self.sizes[l]))
        tile = self.tiles_at[l] + i // self.lanes * self.words[l] + j // self.lanes
        return (i + j) % self.lanes, tile * self.lanes + i % self.lanes

    def units_at(self, first: int, n: int) -> tuple[Integers, Integers]:
        """Return lane and address of n units whose sums begin at a word."""
        units = np.arange(n)
        return units % self.lanes, first + units // self.lanes


def packed(fields: list[tuple[int, int]]) -> tuple[int, int]:
    """Return numbers of some bits each as one, the first the lowest, and its bits."""
    value = at = 0
    for number, bits in fields:
        if not 0 <= number < 1 << bits:
            raise ValueError(f"{number} has more than {bits} bits")
        value |= number << at
        at += bits
    return value, at
