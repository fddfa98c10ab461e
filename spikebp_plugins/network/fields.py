"""The fields of every definition of a network, and the quantities that follow from them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    ArgumentError,
    boolean,
    choice,
    integer,
    positive,
    rising_pair,
    wrong_argument,
)
from spikebp_plugins.common.layer_sizes import LayerSizes
from spikebp_plugins.network import growing_weights
from spikebp_plugins.network.connections import Connection, Convolution, DenseConnection, Shape
from spikebp_plugins.network.defaults import (
    AUTOMATIC,
    CHOSEN_TOGETHER,
    GRADED,
    PAPER,
    defaults,
    targets_of_labels,
)
from spikebp_plugins.network.learning_rule import (
    HIDDEN_RATE_BITS,
    LearningRule,
    learning_rule_of,
)

if TYPE_CHECKING:
    from typing_extensions import Self

#: The allowed values of every field that is a choice.
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "timing": ("immediate", "pipelined"),
    "input_coding": ("values", "spikes"),
    "update": ("fractional", "outer", "normalized"),
    "presynaptic": ("counts", "drive"),
    "spikes": ("graded", "binary"),
    "arithmetic": ("fixed", "loihi2"),
    "backward_init": ("carry", "zero", "uniform"),
    "feedback": ("transpose", "random"),
    "weight_init": ("paper", "he", "quiet", "growing"),
}

#: How many initial weights are drawn at a time, so that they stay in the cache until used.
VALUES_PER_DRAW: Final = 1 << 15

#: The standard deviation of initial weights with "paper".
PAPER_DEVIATION: Final = 0.01
#: The share of the deviation of "he" that W_1 has with "quiet".
QUIET_SHARE: Final = 0.25

#: The values that a field with some value limits others to. The rates of "normalized" are integers
#: that are made of counts. A synapse of a chip learns at every step, from a count of spikes.
LIMITED: Final[dict[tuple[str, str], dict[str, tuple[object, ...]]]] = {
    ("update", "normalized"): {
        "arithmetic": ("fixed",),
        "presynaptic": ("counts",),
        "bounded": (True,),
    },
    ("arithmetic", "loihi2"): {
        "update": ("fractional",),
        "presynaptic": ("counts",),
        "bounded": (False,),
    },
    ("presynaptic", "drive"): {"bounded": (False,)},
}

#: With ``update="normalized"``: the bits of the learning rate in units of 2^-f, which decide the
#: default of `fraction_bits`, and its bounds.
NORMALIZED_RATE_BITS: Final = 16
NORMALIZED_FRACTION_BITS: Final = (20, 24)
#: With more steps times spikes per unit, the added number would not be an exact double.
LARGEST_NORMALIZED_UNIT: Final = 2**24

#: With ``arithmetic="loihi2"``: the defaults of `fraction_bits` and `weight_exponent`.
LOIHI2_FRACTION_BITS: Final = 12
LOIHI2_WEIGHT_EXPONENT: Final = -9
LARGEST_LOIHI2_FRACTION_BITS: Final = 16
#: There the rate is held in units of the last bit of a weight, with this many fraction bits.
LOIHI2_RATE_BITS: Final = 16
LARGEST_LOIHI2_RATE: Final = 2**24
LARGEST_LOIHI2_WEIGHT: Final = 127

#: ``fraction_bits=None`` takes the smallest of these for which the rate is exact enough.
AUTOMATIC_FRACTION_BITS: Final = range(12, 41)
RATE_TOLERANCE: Final = 0.01

#: Counts over a sample stay exact for any number of steps that can be run.
LARGEST_N_STEPS: Final = 2**31 - 1

#: A spike of an input is then a thousandth of what 1 stands for: finer than steps resolve.
LARGEST_SPIKES_PER_UNIT: Final = 2**10

#: RandomState takes 32 bits, and random feedback draws from ``seed + 1``.
LARGEST_SEED: Final = 2**32 - 2


@dataclass(frozen=True, repr=False, kw_only=True)
class Definition(LayerSizes, ABC):
    r"""The definition of a network without its layers and connections: the base of both kinds.

    A definition holds every number that decides a result, and is the same on every back end.
    It is immutable, hashable, and compares by value.

    Parameters
    ----------
    n_steps : int, default=2
        T, the steps for which a sample is shown.
    spikes_per_unit : int, default=4
        g, how many spikes stand for 1 in the input, a power of two: a step sends
        ``x * input_scale * g``. Targets and scores are in spikes a step.
    learning_rate : float, default=0.25, or 1 unless all connections are dense
        :math:`\eta` of stochastic gradient descent; a step's update is scaled by
        :math:`\eta / T^2`, or with ``update="normalized"`` as docs/semantics.md says.
    timing : {"immediate", "pipelined"}, default="immediate"
        "immediate": spikes and errors cross the whole network within a step. "pipelined": they take
        one step for each connection, as between the cores of a chip.
    input_coding : {"values", "spikes"}, default="values"
        Whether `x` holds values that layer 0 quantizes, or the signed spike counts of layer 0.
    input_scale : float, default=1.0
        The unit of the data: ``1/255`` for 8-bit pixels. Layer 0 quantizes
        ``x * input_scale * spikes_per_unit``.
    update : {"fractional", "outer", "normalized"}, default="normalized"
        Whether weights change at every step, or once at the end of a sample; with "normalized" once
        too, at a rate that is divided by the squared counts of the layer below. It then needs no
        other learning rate for wide layers, or for input that sends many spikes.
    bounded : bool, default=True
        Whether no sample with a wrong reading of any size can undo what was learned
        (docs/semantics.md). With ``update="normalized"`` it is True: spike counts and errors are
        cut off where they teach, at limits above what samples of usual size send. With all others
        it is False unless it is given, and means that weights do not learn from an update that
        would overshoot. With ``arithmetic="loihi2"``, whose synapses have limits of their
        own, and with ``presynaptic="drive"`` it is False.
    presynaptic : {"counts", "drive"}, default="counts"
        The factor of an error in the update of a weight: the spikes that the unit below has sent
        in this sample, or its summed drive, as if it could send parts of a spike (the paper's
        smoothed gradients). The drive is rectified, except in layer 0. The back end ``reference``
        alone knows "drive".
    spikes : {"graded", "binary"}, default="graded"
        Whether a unit may send several spikes in one step.
    arithmetic : {"fixed", "loihi2"}, default="fixed"
        Exact fixed point; or the numbers of a chip: weights of 8 bits that learn with stochastic
        rounding, states of 24 bits that saturate, and messages of at most 127 spikes.
    fraction_bits : int or None, default=None
        f of the grid :math:`2^{-f}` of fixed arithmetic, 1 to 40. None takes the smallest of 12
        to 40 that holds the rate to within 1 %, and with ``update="normalized"`` 20 for rates from
        1/16 up, and up to 24 below; the attribute is then that number. With
        ``arithmetic="loihi2"`` it is the f of the states, 1 to 16, and None takes 12.
    weight_exponent : int or None, default=None
        With ``arithmetic="loihi2"``: g, from -f to -1. A weight is an integer from -128 to 127
        times :math:`2^g`. None takes -9, for weights from -1/4 to 1/4.
    backward_init : {"carry", "zero", "uniform"}, default="carry"
        Backward potentials at the start of a training sample: kept from the one before, zero, or
        drawn anew, which the back end ``reference`` does alone.
    feedback : {"transpose", "random"}, default="transpose"
        Errors travel through the transposed weights (backpropagation) or through fixed random
        ones (feedback alignment). Random ones need a rate a tenth as large, or less, that is
        halved in time, or learning breaks down after good epochs (docs/hardware.md says why).
    weight_init : {"paper", "he", "quiet", "growing"}, default="quiet"
        Standard deviation of the initial weights, which are normal: 0.01, or with "he" the root of
        2 / fan-in, :math:`\sqrt{2 / n_{l-1}}` in a dense layer. "quiet" is "he" with a quarter of
        it for :math:`W_1`, and none for :math:`W_L`, which is zero: outputs are silent until they
        have learned. "growing" is "quiet" for any number of inputs and outputs, and draws each
        weight by itself: more may be added later (``Checkpoint.grown``).
    label_targets : sequence of two floats, default=(6.0, 36.0)
        The targets of each wrong output and of the right one for an integer label, in spikes a
        step. Finite numbers, the second above the first by at least 2^-f; both are rounded to the
        grid as targets are.
    seed : int, default=0
        Seed of the initial weights, of random feedback and of drawn backward potentials.

    Notes
    -----
    The defaults of `n_steps`, `spikes_per_unit`, `learning_rate`, `update`, `bounded`,
    `weight_init` and `label_targets` are those of one row of a table, which other fields choose:
    docs/defaults.md. The attributes are what was taken.
    """

    n_steps: int = AUTOMATIC
    spikes_per_unit: int = AUTOMATIC
    learning_rate: float = AUTOMATIC
    timing: str = "immediate"
    input_coding: str = "values"
    input_scale: float = 1.0
    update: str = AUTOMATIC
    bounded: bool = AUTOMATIC
    presynaptic: str = "counts"
    spikes: str = "graded"
    arithmetic: str = "fixed"
    fraction_bits: int = AUTOMATIC
    weight_exponent: int | None = None
    backward_init: str = "carry"
    feedback: str = "transpose"
    weight_init: str = AUTOMATIC
    label_targets: tuple[float, float] = AUTOMATIC
    seed: int = 0

    def __post_init__(self) -> None:
        # The class is frozen. Here alone fields are replaced, each by its plain Python form.
        def settle(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        for name, value in self._settled_layers().items():
            settle(name, value)
        settle("seed", integer("seed", self.seed, 0, LARGEST_SEED))
        for name, value in self._defaults(self.update).items():
            if getattr(self, name) is AUTOMATIC:
                settle(name, value)
        settle("n_steps", integer("n_steps", self.n_steps, 1, LARGEST_N_STEPS))
        settle("spikes_per_unit", _power_of_two("spikes_per_unit", self.spikes_per_unit))
        settle("learning_rate", positive("learning_rate", self.learning_rate))
        settle("input_scale", positive("input_scale", self.input_scale))
        positive("input_scale times spikes_per_unit", self.input_factor)
        settle("label_targets", rising_pair("label_targets", self.label_targets))
        for name, allowed in CHOICES.items():
            settle(name, choice(name, getattr(self, name), allowed))
        settle("bounded", boolean("bounded", self.bounded))
        self._check_limited()
        for name, value in self._settled_grid().items():
            settle(name, value)
        wrong, right = self.label_targets
        if right - wrong < 2.0**-self.fraction_bits:
            apart = f"at least 2**-{self.fraction_bits} apart, a unit of the last place"
            raise wrong_argument("label_targets", apart, repr(self.label_targets))
        self._check_kinds()

    @classmethod
    def paper(cls, *layers: Any, **fields: Any) -> Self:
        """Return a network with the settings of the paper (section 4) where `fields` name no other.

        Ten steps, a spike for 1, weights of 0.01, targets of 0 and 1, and a learning rate of 0.01.
        Where not all connections are dense, of which the paper has none, weights are those of "he".

        Parameters
        ----------
        *layers
            Layers and connections, as the class takes them.
        **fields
            Fields of the definition.
        """
        net = cls(*layers, **(PAPER._asdict() | fields))
        if "weight_init" in fields or net.is_dense:
            return net
        return net.replace(weight_init="he")

    @classmethod
    def graded(cls, *layers: Any, **fields: Any) -> Self:
        """Return a network of one step of finely graded spikes, the fastest on a processor.

        That is a quantized network of rectified units, whose errors are coded as the paper codes
        them, on the same rules: no sample ends early, and no unit sends more than one message.

        Parameters
        ----------
        *layers
            Layers and connections, as the class takes them.
        **fields
            Fields of the definition.
        """
        net = cls(*layers, **(GRADED._asdict() | {"bounded": True} | fields))
        if "label_targets" in fields:
            return net
        return net.replace(label_targets=targets_of_labels(GRADED, net.n_layers, net.n_outputs))

    @abstractmethod
    def _settled_layers(self) -> dict[str, object]:
        """Check the fields of the layers; return each in its plain Python form."""

    @property
    @abstractmethod
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of layers 0 to L, which know how units are numbered."""

    @property
    def layer_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of arrays whose elements are numbered as the units of layers 0 to L are."""
        return tuple(shape.of_array for shape in self.shapes)

    @property
    @abstractmethod
    def connections(self) -> tuple[Connection, ...]:
        """The connections that lead to layers 1 to L."""

    @property
    def is_dense(self) -> bool:
        """Whether all connections are dense."""
        return all(isinstance(connection, DenseConnection) for connection in self.connections)

    def _defaults(self, update: str | None) -> dict[str, Any]:
        """Return the defaults of fields that are not given; `update` may be None too."""
        kernels = [one for one in self.connections if isinstance(one, Convolution)]
        return defaults(
            update=update,
            presynaptic=self.presynaptic,
            spikes=self.spikes,
            arithmetic=self.arithmetic,
            feedback=self.feedback,
            n_layers=self.n_layers,
            n_outputs=self.n_outputs,
            is_dense=self.is_dense,
            most_pixels=max((one.n_above // one.layer.channels for one in kernels), default=0),
        )

    def _check_kinds(self) -> None:
        """Refuse fields that have no meaning for the kinds of connections."""
        if self.weight_init == "growing" and not self.is_dense:
            allowed = "another where not all connections are dense"
            raise wrong_argument("weight_init", allowed, repr(self.weight_init))
        for l, connection in enumerate(self.connections, 1):
            if connection.constant_weight is not None:
                self._check_constant_weight(l, connection.constant_weight)

    def _check_constant_weight(self, l: int, weight: float) -> None:
        """Refuse a constant weight that the numbers of weights do not hold to within 1 %."""
        if self.weight_exponent is not None:
            units = min(round(math.ldexp(weight, -self.weight_exponent)), LARGEST_LOIHI2_WEIGHT)
            held = math.ldexp(units, self.weight_exponent)
        else:
            held = math.ldexp(round(math.ldexp(weight, self.fraction_bits)), -self.fraction_bits)
        if abs(held - weight) > RATE_TOLERANCE * weight:
            allowed = f"one whose constant weight {weight:.6g} weights hold to within 1 %"
            raise wrong_argument(f"layer {l}", allowed, f"{held:.6g}")

    def _check_limited(self) -> None:
        """Refuse fields that do not go together."""
        for (by, value), limited in LIMITED.items():
            if getattr(self, by) == value:
                for name, allowed in limited.items():
                    choice(name, getattr(self, name), allowed, f"with {by}={value!r}")
        if self.update == "normalized":
            integer("n_steps", self.n_steps, 1, LARGEST_NORMALIZED_UNIT // self.spikes_per_unit)

    def _settled_grid(self) -> dict[str, object]:
        if self.arithmetic == "loihi2":
            return self._settled_loihi2_fields()
        if self.weight_exponent is not None:
            allowed = f"None with arithmetic={self.arithmetic!r}"
            raise wrong_argument("weight_exponent", allowed, repr(self.weight_exponent))
        return {"fraction_bits": self._settled_fraction_bits()}

    def _settled_loihi2_fields(self) -> dict[str, object]:
        given: int | None = self.fraction_bits
        bits = LOIHI2_FRACTION_BITS if given is None else given
        bits = integer("fraction_bits", bits, 1, LARGEST_LOIHI2_FRACTION_BITS)
        exponent = self.weight_exponent
        exponent = max(LOIHI2_WEIGHT_EXPONENT, -bits) if exponent is None else exponent
        exponent = integer("weight_exponent", exponent, -bits, -1)
        # Cut off at the first rate that is refused: of larger ones the units may not be a double.
        limit = math.ldexp(LARGEST_LOIHI2_RATE, exponent - LOIHI2_RATE_BITS)
        units = _rate_units(min(self._real_rate, limit), LOIHI2_RATE_BITS - exponent)
        if not 0 < units < LARGEST_LOIHI2_RATE:
            smallest, largest = (
                math.ldexp(r, exponent - LOIHI2_RATE_BITS) * self.n_steps**2
                for r in (0.5, LARGEST_LOIHI2_RATE - 0.5)
            )
            raise self._wrong_rate(
                f"above {smallest:.3g} and below {largest:.3g} with weight_exponent={exponent} "
                f"and n_steps={self.n_steps}"
            )
        return {"fraction_bits": bits, "weight_exponent": exponent}

    def _settled_fraction_bits(self) -> int:
        given: int | None = self.fraction_bits
        is_normalized = self.update == "normalized"
        lowest = self._normalized_fraction_bits if is_normalized else AUTOMATIC_FRACTION_BITS[0]
        bits = lowest if given is None else integer("fraction_bits", given, 1, 40)
        # Like any other number on the grid the rate stays below 2**53 units of 2^-f.
        limit = math.ldexp(1.0, 53 - bits)
        if self._real_rate >= limit:
            most = limit * self._rate_divisor
            raise self._wrong_rate(f"below {most:.3g} with n_steps={self.n_steps}")
        if is_normalized:
            lowered = HIDDEN_RATE_BITS if self.n_layers > 1 else 0
            if _rate_units(self._real_rate, bits) >> lowered == 0:
                smallest = math.ldexp(1.0, lowered - bits)
                raise self._wrong_rate(f"at least {smallest:.3g} with fraction_bits={bits}")
            return bits
        if given is None:
            return _automatic_fraction_bits(self._real_rate)
        if _rate_units(self._real_rate, bits) == 0:
            smallest = 0.5 * 2.0**-bits * self._rate_divisor
            raise self._wrong_rate(
                f"above {smallest:.3g} with fraction_bits={bits} and n_steps={self.n_steps} "
                "(smaller ones round to zero on the grid)"
            )
        return bits

    @property
    def _normalized_fraction_bits(self) -> int:
        """Fraction bits that hold the learning rate as 2**16 units of 2^-f or more."""
        _, exponent = math.frexp(self.learning_rate)
        least, most = NORMALIZED_FRACTION_BITS
        return min(max(NORMALIZED_RATE_BITS + 1 - exponent, least), most)

    def _wrong_rate(self, allowed: str) -> ArgumentError:
        return wrong_argument("learning_rate", allowed, repr(self.learning_rate))

    @property
    def _real_rate(self) -> float:
        return self.learning_rate / self._rate_divisor

    @property
    def _rate_divisor(self) -> int:
        return 1 if self.update == "normalized" else self.n_steps**2

    @property
    def input_factor(self) -> float:
        """The factor of input: `input_scale` times `spikes_per_unit`."""
        return self.input_scale * self.spikes_per_unit

    @cached_property
    def learning_rule(self) -> LearningRule:
        """How weights learn, as the plain numbers that back ends read."""
        return learning_rule_of(
            update=self.update,
            bounded=self.bounded,
            is_chip=self.arithmetic == "loihi2",
            rate=self.rate_units,
            n_layers=self.n_layers,
            n_steps=self.n_steps,
            spikes_per_unit=self.spikes_per_unit,
            fraction_bits=self.fraction_bits,
            label_targets=self.label_targets,
        )

    @property
    def weight_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of :math:`W_1` to :math:`W_L`."""
        return tuple(connection.weight_shape for connection in self.connections)

    @property
    def feedback_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the backward weights :math:`B_2` to :math:`B_L`."""
        return tuple(connection.feedback_shape for connection in self.connections[1:])

    @property
    def rate_units(self) -> int:
        """The integer r with rate = r * 2**-f in fixed arithmetic.

        With ``arithmetic="loihi2"`` rate = r * 2**(g - 16), g being `weight_exponent`.
        """
        return _rate_units(self._real_rate, self._rate_bits)

    @property
    def _rate_bits(self) -> int:
        if self.weight_exponent is not None:
            return LOIHI2_RATE_BITS - self.weight_exponent
        return self.fraction_bits

    @property
    def rate(self) -> float:
        """The factor of a step's update: eta / T**2, on a grid rounded to `rate_units`.

        With ``update="normalized"`` it is eta, which each sample divides.
        """
        return math.ldexp(self.rate_units, -self._rate_bits)

    @property
    def effective_learning_rate(self) -> float:
        """The learning rate that :attr:`rate` amounts to."""
        return self.rate * self._rate_divisor

    def init_weights(self) -> list[NDArray[np.float64]]:
        """Draw the initial weights.

        Returns
        -------
        list of ndarray
            :math:`W_1` to :math:`W_L`, from ``RandomState(seed)`` in turn, standard normal times
            the deviation of `weight_init`, not yet rounded to the grid. With "growing" each weight
            is drawn by itself, in another way (docs/semantics.md).
        """
        weights = list(map(np.empty, self.weight_shapes))
        for l, first, rows in self.drawn_weights():
            weights[l - 1][first : first + len(rows)] = rows
        return weights

    def drawn_weights(self, first_input: int = 0) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
        """Draw the initial weights of `init_weights` a few rows at a time.

        Parameters
        ----------
        first_input : int, default=0
            The first input whose weights are wanted; above 0 with "growing" alone, where each row
            is drawn by itself.

        Yields
        ------
        l : int
            The layer, from 1 to L in turn.
        first : int
            The number of the first row.
        rows : ndarray
            Consecutive rows of W_l.
        """
        draw = self._drawing(growing_weights.WEIGHTS)
        for l, connection in enumerate(self.connections, 1):
            n, *of_row = connection.weight_shape
            deviation = self._deviation(l, connection)
            n_rows = max(1, VALUES_PER_DRAW // math.prod(of_row))
            for first in range(first_input if l == 1 else 0, n, n_rows):
                part = slice(first, min(first + n_rows, n))
                rows = draw(l, (part.stop - first, *of_row), first)
                yield l, first, rows * (deviation[part] if np.ndim(deviation) else deviation)

    def _deviation(self, l: int, connection: Connection) -> Any:
        """Return the standard deviation of initial weights, of all or of each input."""
        if self.weight_init == "paper":
            return PAPER_DEVIATION
        is_quiet = self.weight_init != "he"
        if is_quiet and l == self.n_layers:
            return 0.0
        is_growing = self.weight_init == "growing" and l == 1
        fan_in = growing_weights.fan_in(connection.n_below) if is_growing else connection.fan_in
        return np.sqrt(2 / fan_in) * (QUIET_SHARE if is_quiet and l == 1 else 1.0)

    def init_feedback(self) -> list[NDArray[np.float64]]:
        r"""Draw the fixed backward weights of ``feedback="random"``.

        Returns
        -------
        list of ndarray
            :math:`B_2` to :math:`B_L`, from ``RandomState(seed + 1)`` in turn, standard normal
            divided by the root of the fan-out (:math:`n_l` if dense), not yet rounded to the grid.
            With ``weight_init="growing"`` each is drawn by itself, and :math:`B_L` is divided by 2.
        """
        draw = self._drawing(growing_weights.FEEDBACK)
        return [
            draw(l, connection.feedback_shape, 0) / self._feedback_divisor(l, connection)
            for l, connection in enumerate(self.connections[1:], 2)
        ]

    def _feedback_divisor(self, l: int, connection: Connection) -> float:
        if self.weight_init == "growing" and l == self.n_layers:
            return growing_weights.FEEDBACK_DIVISOR
        return math.sqrt(connection.fan_out)

    def _drawing(self, what: int) -> Callable[[int, tuple[int, ...], int], NDArray[np.float64]]:
        """Return a function that draws rows of mean 0 and deviation 1, in turn, layer after layer.

        Its arguments are the layer, the shape of the rows, and the number of the first.
        """
        if self.weight_init == "growing":
            return partial(growing_weights.unit_weights, self.seed, what)
        random = np.random.RandomState(self.seed + (what == growing_weights.FEEDBACK))
        return lambda _l, shape, _first: random.standard_normal(shape)

    def replace(self, **changes: Any) -> Self:
        """Return a definition with some fields changed.

        What has its default is chosen anew: ``fraction_bits``, so that a changed rate finds its own
        grid, and what docs/defaults.md names, where a change leads to another row of its table. A
        change to an arithmetic other than "loihi2" drops `weight_exponent`.
        """
        values = self.field_values()
        if "fraction_bits" not in changes and self._has_automatic_fraction_bits:
            values["fraction_bits"] = None
        if changes.get("arithmetic", "loihi2") != "loihi2":
            values["weight_exponent"] = None
        row = self._defaults(self.update)
        for names in CHOSEN_TOGETHER:
            if all(values[name] == row[name] for name in names):
                values |= dict.fromkeys(names, AUTOMATIC)
        # A default is replaced if it does not go with a change. A value that was given stays.
        if self.update == "normalized" == self._defaults(None)["update"]:
            values["update"] = AUTOMATIC
        return type(self)(**self._known_fields(values | changes))

    def at_rate(self, learning_rate: float) -> Self:
        """Return a definition with another learning rate and the same grid.

        Raises
        ------
        ValueError
            If the rate rounds to zero on the grid.
        """
        other = self.replace(learning_rate=learning_rate, fraction_bits=self.fraction_bits)
        # The same connections, whose synapses take time to find.
        vars(other)["connections"] = self.connections
        return other

    @property
    def _has_automatic_fraction_bits(self) -> bool:
        if self.arithmetic == "loihi2":
            return self.fraction_bits == LOIHI2_FRACTION_BITS
        if self.update == "normalized":
            return self.fraction_bits == self._normalized_fraction_bits
        try:
            return self.fraction_bits == _automatic_fraction_bits(self._real_rate)
        except ArgumentError:
            return False

    @classmethod
    def field_names(cls) -> list[str]:
        """Return the names of all fields, those of the layers first."""
        shared = [field.name for field in fields(Definition)]
        return [f.name for f in fields(cls) if f.name not in shared] + shared

    def field_values(self) -> dict[str, Any]:
        """Return the fields, by their names."""
        return {name: getattr(self, name) for name in self.field_names()}

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain Python values that JSON can hold.

        A field that means nothing with the arithmetic is None.
        """
        return {name: self._plain(value) for name, value in self.field_values().items()}

    def _plain(self, value: Any) -> Any:
        """Return the value of a field as JSON can hold it."""
        return list(value) if isinstance(value, tuple) else value

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the definition that :meth:`to_dict` described.

        Fields that are not named, but for those of the layers, have their defaults.

        Raises
        ------
        ValueError
            If a field is unknown, missing or wrong.
        """
        needed = next(iter(cls.field_names()))
        if not isinstance(values, Mapping) or needed not in values:
            raise wrong_argument("values", f"a mapping with {needed!r}", repr(values))
        return cls(**cls._known_fields(values))

    @classmethod
    def _known_fields(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        what, names = f"a field of {cls.__name__}", cls.field_names()
        return {choice(what, name, names): value for name, value in values.items()}

    def __getstate__(self) -> dict[str, Any]:
        return self.field_values()  # without cached properties

    def __repr__(self) -> str:
        # The layers, the three most important numbers, and all fields that are not the default.
        always = ("n_steps", "learning_rate", "fraction_bits")
        usual = {field.name: field.default for field in fields(Definition)} | self._defaults(
            self.update
        )
        usual["update"] = self._defaults(None)["update"]
        parts = []
        for name, value in self.field_values().items():
            if name not in usual:
                parts += self._repr_of_layers(name, value)
            elif name in always or value != usual[name]:
                parts.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def _repr_of_layers(self, name: str, value: Any) -> list[str]:
        return [repr(value)]


def _power_of_two(name: str, value: object) -> int:
    """Return a power of two up to 1,024, by which products are exact."""
    allowed = f"a power of two from 1 to {LARGEST_SPIKES_PER_UNIT}"
    given = integer(name, value, 1, LARGEST_SPIKES_PER_UNIT, allowed=allowed)
    if given.bit_count() != 1:
        raise wrong_argument(name, allowed, repr(value))
    return given


def _rate_units(rate: float, bits: int) -> int:
    return round(math.ldexp(rate, bits))


def _automatic_fraction_bits(rate: float) -> int:
    for bits in AUTOMATIC_FRACTION_BITS:
        rounded = math.ldexp(_rate_units(rate, bits), -bits)
        # Rates so small that learning_rate / n_steps**2 is zero round to zero on any grid.
        if rounded > 0 and abs(rounded - rate) <= RATE_TOLERANCE * rate:
            return bits
    raise wrong_argument(
        "learning_rate",
        "large enough for learning_rate / n_steps**2 to be within 1 % of a multiple of 2**-40 "
        "(give fraction_bits to accept a coarser rate)",
        f"learning_rate / n_steps**2 = {rate!r}",
    )
