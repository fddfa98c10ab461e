"""The learned state of a network, which a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.network.arithmetic import FixedPoint, arithmetic_of
from spikebp_plugins.network.fields import VALUES_PER_DRAW, Definition

Matrices = tuple[NDArray[np.floating[Any]], ...]


class LearningState(NamedTuple):
    r"""The state that lasts from sample to sample.

    All values are numbers of the network's arithmetic: in fixed arithmetic they are on the grid.

    Attributes
    ----------
    weights : sequence of ndarray of shape (n_in, n_out)
        :math:`W_1` to :math:`W_L`.
    backward_potentials : tuple of ndarray of shape (n_units,)
        :math:`\psi_1` to :math:`\psi_{L-1}` after the last training sample.
    feedback : tuple of ndarray of shape (n_out, n_in)
        The random backward weights :math:`B_2` to :math:`B_L`; empty with
        ``feedback="transpose"``.
    samples_seen : int
        Training samples so far.
    """

    weights: Sequence[NDArray[np.floating[Any]]]
    backward_potentials: Matrices
    feedback: Matrices
    samples_seen: int

    def copy(self) -> LearningState:
        """Return the same state in arrays of its own."""
        return self._replace(
            weights=tuple(w.copy() for w in self.weights),
            backward_potentials=tuple(psi.copy() for psi in self.backward_potentials),
            feedback=tuple(b.copy() for b in self.feedback),
        )


class DrawnWeights(Sequence[NDArray[np.floating[Any]]]):
    """The initial weights of a definition on its grid, drawn when somebody needs them.

    An engine takes them row by row. The matrices are made for who asks for one.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self._net = net

    def rows(self) -> Iterator[tuple[int, int, NDArray[np.floating[Any]]]]:
        """Yield some rows after the other: the layer, the number of the first row, and the rows."""
        arithmetic = arithmetic_of(self._net)
        for l, first, rows in self._net.drawn_weights():
            yield l, first, _rounded(arithmetic, "weight", l, rows)

    @cached_property
    def _matrices(self) -> Matrices:
        matrices = tuple(map(np.empty, self._net.weight_shapes))
        for l, first, rows in self.rows():
            matrices[l - 1][first : first + len(rows)] = rows
        return matrices

    def __len__(self) -> int:
        return self._net.n_layers

    @overload
    def __getitem__(self, index: int) -> NDArray[np.floating[Any]]: ...
    @overload
    def __getitem__(self, index: slice) -> Matrices: ...
    def __getitem__(self, index: Any) -> Any:
        return self._matrices[index]


def rows_of(
    weights: Sequence[NDArray[np.floating[Any]]],
) -> Iterator[tuple[int, int, NDArray[np.floating[Any]]]]:
    """Yield weights as `DrawnWeights.rows` does, and draw them where there are none yet."""
    if isinstance(weights, DrawnWeights) and "_matrices" not in vars(weights):
        yield from weights.rows()
        return
    for l, matrix in enumerate(weights, 1):
        for first, rows in in_parts(matrix):
            yield l, first, rows


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
        backward: Matrices = ()
    else:
        given = net.init_feedback() if feedback is None else feedback
        backward = _matrices(arithmetic, "feedback", given, net.feedback_shapes, first_layer=2)
    return LearningState(
        weights=DrawnWeights(net)
        if weights is None
        else _matrices(arithmetic, "weights", weights, net.weight_shapes, first_layer=1),
        backward_potentials=tuple(map(np.zeros, net.layer_sizes[1:-1])),
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
) -> Matrices:
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
    return tuple(rounded)


def _rounded(
    arithmetic: FixedPoint, quantity: str, layer: int, values: NDArray[Any]
) -> NDArray[np.floating[Any]]:
    return arithmetic.check(arithmetic.round_weights(values), quantity, layer)
