"""The learned state of a network, which a checkpoint keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.network.arithmetic import FixedPoint, arithmetic_of
from spikebp_plugins.network.fields import Definition

Matrices = tuple[NDArray[np.floating[Any]], ...]


class LearningState(NamedTuple):
    r"""The state that lasts from sample to sample.

    All values are numbers of the network's arithmetic: in fixed arithmetic they are on the grid.

    Attributes
    ----------
    weights : tuple of ndarray of shape (n_in, n_out)
        :math:`W_1` to :math:`W_L`.
    backward_potentials : tuple of ndarray of shape (n_units,)
        :math:`\psi_1` to :math:`\psi_{L-1}` after the last training sample.
    feedback : tuple of ndarray of shape (n_out, n_in)
        The random backward weights :math:`B_2` to :math:`B_L`; empty with
        ``feedback="transpose"``.
    samples_seen : int
        Training samples so far.
    """

    weights: Matrices
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
    given = net.init_weights() if weights is None else weights
    return LearningState(
        weights=_matrices(arithmetic, "weights", given, net.weight_shapes, first_layer=1),
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
        rounded.append(arithmetic.check(arithmetic.round_weights(array), quantity, layer))
    return tuple(rounded)
