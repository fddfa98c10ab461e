"""The learned state of a network, which a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.network.arithmetic import FixedPoint, Reals, arithmetic_of
from spikebp_plugins.network.fields import VALUES_PER_DRAW, Definition

Integers = NDArray[np.signedinteger[Any]]
Matrices = tuple[Reals, ...]


class OnGrid(Sequence[Reals]):
    """Arrays of numbers on a grid: integers times a power of 2, which are read as real numbers.

    Nothing changes them: what is read is read-only, too.

    Parameters
    ----------
    units : iterable of ndarray of int
        The integers, which nobody else changes, each array in the smallest type: see `narrowed`.
    exponent : int
        They stand for themselves times 2**exponent.

    Raises
    ------
    ValueError
        If an array has other numbers than signed integers.
    """

    def __init__(self, units: Iterable[Integers], exponent: int) -> None:
        self.units, self.exponent = tuple(units), exponent
        for array in self.units:
            if array.dtype.kind != "i":
                raise wrong_argument("units", "arrays of signed integers", str(array.dtype))
            array.flags.writeable = False

    @classmethod
    def of(cls, arrays: Iterable[NDArray[Any]], exponent: int) -> OnGrid:
        """Return real numbers on the grid as what they are.

        Raises
        ------
        ValueError
            If a number is not on the grid.
        """
        return cls((narrowed(in_units(array, exponent)) for array in arrays), exponent)

    def __len__(self) -> int:
        return len(self.units)

    @overload
    def __getitem__(self, index: int) -> Reals: ...
    @overload
    def __getitem__(self, index: slice) -> Matrices: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        reals = self._reals(index)
        reals.flags.writeable = False
        return reals

    def copies(self) -> list[Reals]:
        """Return all arrays in real numbers, which may be changed."""
        return [self._reals(i) for i in range(len(self))]

    def _reals(self, i: int) -> Reals:
        reals: Reals = self.units[i].astype(np.float64)
        reals *= 2.0**self.exponent
        return reals

    def rows(self) -> Iterator[tuple[int, int, Integers]]:
        """Yield some rows after the other: the array, counted from 0, the first row, and these."""
        for i, array in enumerate(self.units):
            for first, rows in in_parts(array):
                yield i, first, rows

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, OnGrid)
            and self.exponent == other.exponent
            and len(self) == len(other)
            and all(map(np.array_equal, self.units, other.units))
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        arrays = ", ".join(f"{array.dtype} of shape {array.shape}" for array in self.units)
        return f"<{arrays or 'no array'}, in units of 2**{self.exponent}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return OnGrid, (self.units, self.exponent)

    def __deepcopy__(self, memo: dict[int, Any]) -> OnGrid:
        return self


class DrawnWeights(OnGrid):
    """The initial weights of a definition, drawn when somebody needs them.

    An engine takes them row by row. The matrices are made for who asks for one.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self._net, self.exponent = net, arithmetic_of(net).exponent_of_weights

    def rows(self, first_input: int = 0) -> Iterator[tuple[int, int, Integers]]:
        """Yield some rows after the other, as they are drawn or as they were.

        Those of inputs before the first that is wanted are left out.
        """
        if "units" in vars(self):
            yield from super().rows()
            return
        arithmetic = arithmetic_of(self._net)
        for l, first, drawn in self._net.drawn_weights(first_input):
            rounded = _rounded(arithmetic, "weight", l, drawn)
            yield l - 1, first, in_units(rounded, self.exponent)

    @cached_property
    def units(self) -> tuple[Integers, ...]:  # type: ignore[override]
        """The integers, all of them."""
        return self.continued(()).units

    def continued(self, parts: Iterable[tuple[int, int, Integers]], first_input: int = 0) -> OnGrid:
        """Return weights in which some rows are others, which may have fewer columns.

        Parameters
        ----------
        parts : iterable
            As `rows` yields them.
        first_input : int, default=0
            The first input whose weights are not among them.
        """
        matrices = [np.zeros(shape, np.int8) for shape in self._net.weight_shapes]
        for i, first, rows in chain(self.rows(first_input), parts):
            held = np.promote_types(matrices[i].dtype, narrowed(rows).dtype)
            matrices[i] = matrices[i].astype(held, copy=False)
            matrices[i][first:][tuple(map(slice, rows.shape))] = rows
        return OnGrid(matrices, self.exponent)

    def __len__(self) -> int:
        return self._net.n_layers

    def __reduce__(self) -> tuple[Any, ...]:
        return DrawnWeights, (self._net,)


class LearningState(NamedTuple):
    r"""The state that lasts from sample to sample, in the integers that it is.

    Attributes
    ----------
    weights : OnGrid
        :math:`W_1` to :math:`W_L`, of shape (n_in, n_out), or that of the connection.
    backward_potentials : OnGrid
        :math:`\psi_1` to :math:`\psi_{L-1}` after the last training sample, of shape (n_units,).
    feedback : OnGrid
        The random backward weights :math:`B_2` to :math:`B_L`, of shape (n_out, n_in); none with
        ``feedback="transpose"``.
    samples_seen : int
        Training samples so far.
    """

    weights: OnGrid
    backward_potentials: OnGrid
    feedback: OnGrid
    samples_seen: int

    def with_reals(self, **arrays: Iterable[NDArray[Any]]) -> LearningState:
        """Return the state with real numbers on the grid in place of some of its parts.

        Raises
        ------
        ValueError
            If a number is not on the grid.
        """
        known = self._asdict()
        parts = {name: OnGrid.of(given, known[name].exponent) for name, given in arrays.items()}
        return LearningState(**known | parts)

    def reals(self) -> RealState:
        """Return the same state in real numbers."""
        return RealState(
            weights=tuple(self.weights),
            backward_potentials=tuple(self.backward_potentials),
            feedback=tuple(self.feedback),
            samples_seen=self.samples_seen,
        )


class RealState(NamedTuple):
    """A `LearningState` in real numbers, as the step rules compute with it.

    Attributes
    ----------
    weights, backward_potentials, feedback : tuple of ndarray
        As those of a `LearningState`.
    samples_seen : int
        Training samples so far.
    """

    weights: Matrices
    backward_potentials: Matrices
    feedback: Matrices
    samples_seen: int

    def on_grid(self, net: Definition) -> LearningState:
        """Return the same state in integers.

        Raises
        ------
        ValueError
            If a number is not on the grid of the definition.
        """
        arithmetic = arithmetic_of(net)
        of_weights, of_states = arithmetic.exponent_of_weights, -arithmetic.fraction_bits
        return LearningState(
            weights=OnGrid.of(self.weights, of_weights),
            backward_potentials=OnGrid.of(self.backward_potentials, of_states),
            feedback=OnGrid.of(self.feedback, of_weights),
            samples_seen=self.samples_seen,
        )


def in_units(values: NDArray[Any], exponent: int) -> NDArray[np.int64]:
    """Return real numbers on the grid as integers, in units of 2**exponent.

    Raises
    ------
    ValueError
        If a number is not on the grid.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of what no integer is
        scaled = values * 2.0**-exponent
        units: NDArray[np.int64] = scaled.astype(np.int64)
    if not np.array_equal(units, scaled):
        wrong = values[units != scaled][0]
        raise ValueError(f"what was learned must be multiples of 2**{exponent}; got {wrong}")
    return units


def narrowed(units: Integers, copy: bool = True) -> Integers:
    """Return integers in the smallest type that holds them, as a copy or maybe as they are."""
    lowest, highest = int(units.min(initial=0)), int(units.max(initial=0))
    return units.astype(np.min_scalar_type(min(lowest, -1 - highest)), copy=copy)


def in_parts(matrix: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield some rows after the other, and the number of the first: few enough for the cache."""
    n_rows = max(1, VALUES_PER_DRAW * len(matrix) // max(matrix.size, 1))
    for first in range(0, len(matrix), n_rows):
        yield first, matrix[first : first + n_rows]


def initial_state(net: Definition, weights: Any = None, feedback: Any = None) -> LearningState:
    """Return the state before the first training sample.

    Parameters
    ----------
    net : Definition
        The definition.
    weights : sequence of array-like of shape (n_in, n_out) or None, default=None
        Real weights, rounded to the grid; None takes ``net.init_weights()``.
    feedback : sequence of array-like of shape (n_out, n_in) or None, default=None
        Backward weights for ``feedback="random"``; None takes ``net.init_feedback()``.

    Raises
    ------
    ValueError
        If a matrix has the wrong shape or holds anything but finite real numbers.
    OverflowError
        If a weight is out of the range of the grid.
    """
    arithmetic = arithmetic_of(net)
    if net.feedback == "transpose":
        if feedback is not None:
            raise wrong_argument("feedback", "None with feedback='transpose'", "matrices")
        backward = OnGrid((), arithmetic.exponent_of_weights)
    else:
        given = net.init_feedback() if feedback is None else feedback
        backward = _matrices(arithmetic, "feedback", given, net.feedback_shapes, first_layer=2)
    return LearningState(
        weights=DrawnWeights(net)
        if weights is None
        else _matrices(arithmetic, "weights", weights, net.weight_shapes, first_layer=1),
        backward_potentials=OnGrid(
            (np.zeros(n, np.int8) for n in net.layer_sizes[1:-1]), -net.fraction_bits
        ),
        feedback=backward,
        samples_seen=0,
    )


def drawn_backward_potentials(net: Definition, samples_seen: int) -> Matrices:
    """Return the backward potentials that ``backward_init="uniform"`` draws for a sample.

    They are uniform in [-1/2, 1/2) on the grid. They come from the counter-based generator Philox,
    so they depend on the seed and on the number of training samples seen, and on nothing else.
    """
    bits, drawn = net.fraction_bits, []
    generator = np.random.Philox(key=net.seed, counter=[0, 0, samples_seen, 0])
    for size in net.layer_sizes[1:-1]:
        units = (generator.random_raw(size) >> np.uint64(64 - bits)).astype(np.int64)
        drawn.append(np.ldexp((units - 2 ** (bits - 1)).astype(np.float64), -bits))
    return tuple(drawn)


def _matrices(
    arithmetic: FixedPoint,
    name: str,
    given: Any,
    shapes: tuple[tuple[int, ...], ...],
    first_layer: int,
) -> OnGrid:
    try:
        matrices = list(given)
        came = [np.shape(matrix) for matrix in matrices]
    except (TypeError, ValueError):
        came = []
    if came != list(shapes):
        raise wrong_argument(name, f"matrices of shapes {list(shapes)}", came or repr(given))
    rounded = []
    for layer, given_matrix in enumerate(matrices, first_layer):
        matrix, allowed = f"{name} of layer {layer}", "finite real numbers"
        array = finite(matrix, array_of(matrix, given_matrix, REALS, allowed), allowed)
        quantity = "weight" if name == "weights" else "feedback weight"
        rounded.append(_rounded(arithmetic, quantity, layer, array))
    return OnGrid.of(rounded, arithmetic.exponent_of_weights)


def _rounded(arithmetic: FixedPoint, quantity: str, layer: int, values: NDArray[Any]) -> Reals:
    return arithmetic.check(arithmetic.round_weights(values), quantity, layer)
