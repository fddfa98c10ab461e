r"""Proving that a run was exact.

Brian2 computes with doubles, which hold every multiple of :math:`2^{-f}` below the limit
:math:`2^{53-f}`. Potentials, drives and counts are checked at every step. Weights, and the
partial sums over synapses that form between two checks, are bounded once the run is over. The
bounds follow from the largest spike count K and error E of each unit in a step and from its weight
travel V, the sum of the magnitudes of all changes of the weights that start from the unit:

.. math::

    |W_{ij}| \le M_{ij} = |W_{ij}^{end}| + V_i, \qquad
    \Big|\sum_i k_i W_{ij}\Big| \le \sum_i K_i M_{ij}, \qquad
    \Big|\sum_j e_j W_{ij}\Big| \le \sum_j E_j M_{ij}

If all bounds stay below the limit, no sum was rounded, in whatever order its terms were added.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import FixedPoint, arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState


class Seen(NamedTuple):
    """What the units of a layer saw in a run; zeros for a variable that the layer does not have.

    Attributes
    ----------
    overflows : ndarray of shape (n_units,)
        How many checks of the range have failed.
    not_counts : ndarray of shape (n_units,)
        How many inputs were not spike counts, with ``input_coding="spikes"``.
    not_labels : ndarray of shape (n_units,)
        How many steps had a label that is no class.
    most_spikes, most_errors : ndarray of shape (n_units,)
        The largest magnitudes of spike counts and error counts in one step.
    weight_travel : ndarray of shape (n_units,)
        The sum of the magnitudes of all changes of the weights that start from the unit.
    """

    overflows: NDArray[Any]
    not_counts: NDArray[Any]
    not_labels: NDArray[Any]
    most_spikes: NDArray[Any]
    most_errors: NDArray[Any]
    weight_travel: NDArray[Any]


def prove_range(net: Definition, state: LearningState, seen: list[Seen]) -> None:
    """Prove that no value left the range in a run.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The state at the end of the run.
    seen : list of Seen
        What layers 0..L have seen.

    Raises
    ------
    OverflowError
        If a value left the range, or may have; the message names the layer.
    ValueError
        If an input was not a spike count, with ``input_coding="spikes"``, or a label no class.
    """
    arithmetic = arithmetic_of(net)
    if np.any(seen[0].not_counts):
        allowed = "-1, 0 or 1" if net.spikes == "binary" else "whole numbers"
        unit = int(np.flatnonzero(seen[0].not_counts)[0])
        raise ValueError(
            f"the input of a step must be {allowed} with input_coding='spikes'; unit {unit} of "
            "layer 0 received something else in this run"
        )
    if np.any(seen[-1].not_labels):
        raise ValueError(
            f"the label of a step must be {allowed_labels(net)}; there was another in this run"
        )
    for l, layer in enumerate(seen):
        if np.any(layer.overflows):
            raise _overflow("a value", l, arithmetic.limit)
    if not isinstance(arithmetic, FixedPoint):
        return
    for l in range(1, net.n_layers + 1):
        below, above = seen[l - 1], seen[l]
        travel = np.broadcast_to(below.weight_travel, net.layer_sizes[l - 1])
        largest = np.abs(state.weights[l - 1]) + travel[:, np.newaxis]
        if not np.all(largest < arithmetic.limit):
            raise _overflow("a weight", l, arithmetic.limit)
        if not np.all(below.most_spikes @ largest < arithmetic.limit / 2):
            raise _overflow("a sum of drives", l, arithmetic.limit)
        if l > 1:
            backward = np.abs(state.feedback[l - 2].T) if state.feedback else largest
            if not np.all(backward @ above.most_errors < arithmetic.limit / 2):
                raise _overflow("a sum of errors", l - 1, arithmetic.limit)


def check_on_grid(net: Definition, state: LearningState) -> None:
    """Check the weights and backward potentials, which a user may have overwritten.

    Raises
    ------
    ValueError
        If a value is off the grid.
    OverflowError
        If a value is out of range.
    """
    arithmetic = arithmetic_of(net)
    groups = (
        ("weight", 1, state.weights),
        ("backward_weight", 2, state.feedback),
        ("backward_potential", 1, state.backward_potentials),
    )
    for name, first, arrays in groups:
        for l, array in enumerate(arrays, first):
            arithmetic.check(array, name.replace("_", " "), l)
            off = np.flatnonzero(array != arithmetic.round(array))
            if len(off):
                raise ValueError(
                    f"{name} of layer {l} must be a multiple of 2**-{net.fraction_bits}; "
                    f"got {array.flat[off[0]]} (round it: np.rint(v * 2**f) / 2**f)"
                )


def allowed_labels(net: Definition) -> str:
    """Return the phrase for the labels that a step may have."""
    return f"a whole number below {net.n_outputs}, or any below 0 where it is not known"


def _overflow(what: str, l: int, limit: float) -> OverflowError:
    return OverflowError(
        f"{what} of layer {l} may have left the range in this run: it must stay below {limit:.6g} "
        "in magnitude, partial sums included"
    )
