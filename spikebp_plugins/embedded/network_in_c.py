"""A network in C: the types, sizes and constants that follow from its definition."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import UnsupportedError, refused_kind
from spikebp_plugins.embedded.features_in_c import BLOCK, LARGEST_EXPONENT, FeaturesInC
from spikebp_plugins.embedded.geometry import GEOMETRIES, geometry_of
from spikebp_plugins.embedded.number_types import WEIGHT_BITS, number_types
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import CHOICES, Definition
from spikebp_plugins.network.learning_rule import Limit
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

#: Bytes of the state before the weights: letters and sizes, key, and samples seen.
HEADER_BYTES: Final = 20
CHECKSUM_BYTES: Final = 4

#: The values that C runs, of fields whose values not every back end runs.
CHOICES_IN_C: Final = {"timing": CHOICES["timing"]}

#: By default weights may become so many times as large as the largest of them, and as 1. Those of
#: the default network, which are below 1/2 at first, reach 5.
ROOM_TO_LEARN: Final = 16

#: Options of ``spikebp train`` with which weights of 16 bits have room. Large targets make large
#: weights, and a rate that is finer than the last bit teaches too much.
SETTINGS_FOR_16_BITS: Final = (
    "--update fractional --steps 8 --spikes-per-unit 1 --rate 0.0078125 --label-targets 0.25 3 "
    "--fraction-bits 14"
)


class NetworkInC:
    """A network in C: types, sizes and tables.

    Parameters
    ----------
    net : Definition
        A definition that C knows.
    weight_bits : {16, 32, 64}
        Bits of a weight.
    incremental : bool, default=True
        Whether to evaluate by what has changed since the sample before, where C knows how.
    features : FeaturesInC or None, default=None
        What scales features to its input, if anything.
    """

    def __init__(
        self,
        net: Definition,
        weight_bits: int,
        incremental: bool = True,
        features: FeaturesInC | None = None,
    ) -> None:
        self.net = net
        self.incremental = incremental
        self.features = features
        self.types = number_types(net, weight_bits)
        self.geometries = [geometry_of(connection) for connection in net.connections]
        self.sizes_of_weights = [int(np.prod(shape)) for shape in net.weight_shapes]
        self.n_weights = sum(self.sizes_of_weights)
        self.n_feedback = sum(self.sizes_of_weights[1:]) if net.feedback == "random" else 0
        self.n_hidden = sum(net.layer_sizes[1:-1])

    @classmethod
    def holding(
        cls,
        checkpoint: Checkpoint,
        weight_bits: int | None,
        incremental: bool = True,
        features: FeaturesInC | None = None,
    ) -> NetworkInC:
        """Return a network for C whose types hold what was learned.

        Parameters
        ----------
        checkpoint : Checkpoint
            The network, and what it has learned.
        weight_bits : {16, 32, 64} or None
            Bits of a weight; None takes the fewest with which weights have `ROOM_TO_LEARN`.
        incremental, features
            As for the constructor.

        Raises
        ------
        UnsupportedError
            If there is no program in C for the network.
        OverflowError
            If a number does not fit its type.
        """
        net, state = checkpoint.net, checkpoint.state
        if weight_bits is None:
            weight_bits = next(filter(partial(_has_room, net, state), WEIGHT_BITS), WEIGHT_BITS[-1])
        network = cls.of(net, weight_bits, incremental, features)
        network.check_state(state)
        return network

    @classmethod
    def of(
        cls,
        net: Definition,
        weight_bits: int,
        incremental: bool = True,
        features: FeaturesInC | None = None,
    ) -> NetworkInC:
        """Return a network for C, or raise UnsupportedError with the reason why there is none."""
        number_types(net, weight_bits)
        reason = why_not_in_c(net, weight_bits)
        if reason is None:
            network = cls(net, weight_bits, incremental, features)
            reason = None if features is None else network._why_no_features(features)
        if reason is not None:
            raise UnsupportedError(f"there is no program in C for this network: {reason}")
        return network

    def _why_no_features(self, features: FeaturesInC) -> str | None:
        """Return why features cannot be scaled to its input, at all rates, or None."""
        one = 2.0**self.fraction_bits
        if features.input_of_one * one != self.units([features.input_of_one])[0]:
            return f"its {self.fraction_bits} fraction bits are too few for scaled features"
        rule = self.net.learning_rule
        for halvings in range(1, len(features.marks) + 1):
            halved = self.net.at_rate(self.net.learning_rate / 2**halvings)
            pairs = zip(rule.weights, halved.learning_rule.weights, strict=True)
            if not all(now.rate >> halvings == later.rate for now, later in pairs):
                return "its learning rate cannot be halved on its grid"
        return None

    @property
    def fraction_bits(self) -> int:
        """The fraction bits of all numbers."""
        return arithmetic_of(self.net).fraction_bits

    @property
    def unit_bits(self) -> int:
        """Bits of the number of a unit within its layer."""
        return 16 if max(self.net.layer_sizes) < 2**16 else 32

    @property
    def steps_after(self) -> int:
        """Steps of a training sample behind the last step of input."""
        return delays_of(self.net).errors[1]

    @property
    def steps_logged(self) -> int:
        """Steps that can be undone; none has to be where weights learn at the end."""
        return 1 if self.net.learning_rule.learns_once else self.net.n_steps + self.steps_after

    @property
    def state_size(self) -> int:
        """Bytes of what is learned."""
        weights = self.n_weights * self.types.weight_bits // 8
        known = 0 if self.features is None else self.features.size
        potentials = self.n_hidden * self.types.state_bits // 8
        return HEADER_BYTES + weights + potentials + known + CHECKSUM_BYTES

    @property
    def key(self) -> int:
        """The number that identifies states of this network, the same at any learning rate."""
        fields = {name: v for name, v in self.net.to_dict().items() if name != "learning_rate"}
        of_features = 0 if self.features is None else self.features.key
        return zlib.crc32(json.dumps(fields, sort_keys=True).encode(), of_features)

    def units(self, values: Any) -> NDArray[np.int64]:
        """Return real numbers of the grid as integers."""
        return arithmetic_of(self.net).encode(np.asarray(values))

    def weights(self, state: LearningState) -> NDArray[np.int64]:
        """Return all weights in units of 2^-f, in the order of C."""
        return _joined(state.weights.units)

    def backward_potentials(self, state: LearningState) -> NDArray[np.int64]:
        """Return all backward potentials in units of 2^-f."""
        return _joined(state.backward_potentials.units)

    def feedback(self, state: LearningState) -> NDArray[np.int64]:
        """Return all random backward weights in units of 2^-f, in the order of forward ones."""
        units = state.feedback.units
        pairs = zip(self.net.connections[1:], units, strict=bool(units))
        # The function that turns forward weights into backward ones is its own inverse.
        return _joined(connection.backward_weights(b) for connection, b in pairs)

    def check_state(self, state: LearningState) -> None:
        """Refuse numbers that do not fit their types.

        Raises
        ------
        OverflowError
            If a weight or a backward potential is too large.
        """
        for name, units, limit in (
            ("weight", self.weights(state), "largest_weight"),
            ("feedback weight", self.feedback(state), "largest_weight"),
            ("backward potential", self.backward_potentials(state), "largest_state"),
        ):
            reached, largest = int(np.abs(units).max(initial=0)), getattr(self.types, limit)
            if reached > largest:
                wider = (number_types(self.net, bits) for bits in WEIGHT_BITS)
                enough = [t.weight_bits for t in wider if reached <= getattr(t, limit)]
                advice = f"weight_bits={enough[0]} is" if enough else "no weight_bits are"
                message = (
                    f"each {name} must be at most {largest} units of the last place with "
                    f"weight_bits={self.types.weight_bits}; one is {reached}, for which {advice} "
                    "enough"
                )
                if self.types.weight_bits == WEIGHT_BITS[0]:
                    message += f", or train with {SETTINGS_FOR_16_BITS}"
                raise OverflowError(message)

    @cached_property
    def takes_pixels(self) -> bool:
        """Whether input may be 8-bit pixels, whose sums fit the types."""
        if self.net.input_coding == "spikes" or self.features is not None:
            return False
        return int(np.abs(self.pixel_values()).max()) <= self.types.largest_state

    def pixel_values(self) -> NDArray[np.int64]:
        """Return the input of each 8-bit pixel value, in units of 2^-f a step, of shape (256,)."""
        pixels = np.broadcast_to(np.arange(256)[:, np.newaxis], (256, self.net.n_inputs))
        return self.units(Batch(self.net, pixels, None, 1).inputs()[:, 0, 0])

    @property
    def keeps_drive(self) -> bool:
        """Whether whole samples are evaluated by the changes since the sample before.

        Each row of weights must belong to one unit, and each sample be one step, so that the counts
        of the step are those of the update. Products of two counts of 64 bits may leave their type.
        """
        is_dense = all(geometry.is_dense for geometry in self.geometries)
        learns = all(connection.constant_weight is None for connection in self.net.connections)
        may_keep = is_dense and learns and self.net.n_steps == 1 and not self.steps_after
        return self.incremental and may_keep and self.types.weight_bits < 64

    def held_limit(self, limit: Limit) -> tuple[int, ...]:
        """Return a limit, whose numbers are at most the largest count."""
        return tuple(min(number, self.types.largest_count) for number in limit)

    def label_targets(self) -> tuple[int, int]:
        """Return the targets of a wrong output and of the right one, in units of 2^-f a step."""
        wrong, right = self.units(arithmetic_of(self.net).round(self.net.label_targets))
        return int(wrong), int(right)

    def constants(self) -> dict[str, int]:
        """Return the numbers that the file defines, by their names."""
        net, types = self.net, self.types
        sizes, is_delayed = net.layer_sizes, self.steps_after > 0
        units, upper = sum(sizes), sum(sizes[1:])
        one = 2**self.fraction_bits
        wrong, right = self.label_targets()
        rule = net.learning_rule
        count_limit, count_limit_per_step = self.held_limit(rule.count_limit)
        return {
            "LAYERS": net.n_layers,
            "UNITS": units,
            "LOWER_UNITS": units - net.n_outputs,
            "UPPER_UNITS": upper,
            "N_HIDDEN": self.n_hidden,
            "HIDDEN_UNITS": max(1, self.n_hidden),
            "N_WEIGHTS": self.n_weights,
            "WEIGHTS": max(1, self.n_weights),
            "ARRIVING": upper if is_delayed or self.keeps_drive else max(sizes[1:]),
            "ARRIVING_BACK": max(1, self.n_hidden if is_delayed else max(sizes[1:-1], default=1)),
            "TARGETS_KEPT": net.n_layers + 1 if is_delayed else 1,
            "STEPS_AFTER": self.steps_after,
            "STEPS_LOGGED": self.steps_logged,
            "MOST_CHANNELS": max(geometry.above[2] for geometry in self.geometries),
            "MOST_PIXELS": max(geometry.n_output_pixels for geometry in self.geometries),
            "PIPELINED": int(is_delayed),
            "LEARNS_ONCE": int(net.learning_rule.learns_once),
            "DIVIDES_RATE": int(rule.divides_rate),
            "LIMITS_GAIN": int(rule.limits_gain),
            "GAIN_LIMIT": rule.gain_limit.least if rule.limits_gain else 0,
            "GAIN_LIMIT_PER_STEP": rule.gain_limit.per_step,
            "COUNT_LIMIT": count_limit,
            "COUNT_LIMIT_PER_STEP": count_limit_per_step,
            "BINARY_SPIKES": int(net.spikes == "binary"),
            "STARTS_AT_ZERO": int(net.backward_init == "zero"),
            "RANDOM_FEEDBACK": int(net.feedback == "random"),
            "ONE": one,
            "HALF": one // 2,
            "LARGEST_WEIGHT": types.largest_weight,
            "LARGEST_STATE": types.largest_state,
            "LARGEST_COUNT": types.largest_count,
            "LARGEST_SUM": types.largest_sum,
            "RATE_UNITS": net.rate_units,
            "KEEPS_DRIVE": int(self.keeps_drive),
            "MOST_BELOW": max(sizes[:-1]),
            "WRONG_TARGET": wrong,
            "RIGHT_TARGET": right,
            **({} if self.features is None else self._constants_of(self.features)),
        }

    def _constants_of(self, features: FeaturesInC) -> dict[str, int]:
        input_of_one, constant = self.units([features.input_of_one, features.constant]).tolist()
        return {
            "BLOCK": BLOCK,
            "LARGEST_EXPONENT": LARGEST_EXPONENT,
            "INPUT_OF_ONE": input_of_one,
            "CONSTANT_INPUT": constant,
        }

    def public_constants(self) -> dict[str, int]:
        """Return the numbers that the header defines, by their names."""
        net = self.net
        return {
            "NET_INPUTS": net.n_inputs,
            "NET_OUTPUTS": net.n_outputs,
            "NET_INPUT_IS_SPIKES": int(net.input_coding == "spikes"),
            "NET_TAKES_PIXELS": int(self.takes_pixels),
            "NET_TAKES_FEATURES": int(self.features is not None),
            "NET_STEPS": net.n_steps,
            "NET_FRACTION_BITS": self.fraction_bits,
            "NET_WEIGHT_BITS": self.types.weight_bits,
            "NET_STATE_SIZE": self.state_size,
        } | ({} if self.features is None else {"NET_FEATURES": self.features.n_features})


def _joined(arrays: Iterable[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(array.reshape(-1) for array in arrays)])


def _has_room(net: Definition, state: LearningState, weight_bits: int) -> bool:
    """Return whether types hold what was learned, and weights that have become far larger."""
    if why_not_in_c(net, weight_bits) is not None:
        return False
    network = NetworkInC(net, weight_bits)
    one = 2**network.fraction_bits
    needed = ROOM_TO_LEARN * max(one, int(np.abs(network.weights(state)).max(initial=0)))
    try:
        network.check_state(state)
    except OverflowError:
        return False
    return bool(needed <= network.types.largest_weight)


def why_not_in_c(net: Definition, weight_bits: int = 64) -> str | None:
    """Return why a network cannot be a program in C, or None if it can.

    Parameters
    ----------
    net : Definition
        The definition.
    weight_bits : {16, 32, 64}, default=64
        Bits of a weight.
    """
    refusal = refused_kind(net, CHOICES_IN_C, tuple(GEOMETRIES))
    if refusal is not None:
        return refusal
    network = NetworkInC(net, weight_bits)
    types = network.types
    most = types.largest_fraction_bits
    if network.fraction_bits > most:
        return (
            f"with weight_bits={weight_bits} it has at most {most} fraction bits, not "
            f"{network.fraction_bits}; weight_bits=32 is enough"
        )
    numbers = {"learning_rate": [net.rate_units], "label_targets": network.label_targets()}
    for name, units in numbers.items():
        if max(map(abs, units)) > types.largest_state:
            return f"{name} leaves the {types.state_bits} bits of its potentials"
    return None
