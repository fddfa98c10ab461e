r"""The check that all values of a run are proven in range, so that the run was exact.

Brian2 computes with doubles, which hold every multiple of :math:`2^{-f}` below the limit
:math:`2^{53-f}`. Potentials, drives and counts are checked at every step. Weights, and the
partial sums over synapses that form between two checks, are bounded once the run is over. The
bounds follow from the largest spike count K and error E of each unit in a step and from the travel
V of each weight, the sum of the magnitudes of all its changes:

.. math::

    |W_w| \le M_w = |W_w^{end}| + V_w, \qquad
    \Big|\sum k_i W_w\Big| \le \sum K_i M_w, \qquad
    \Big|\sum e_j W_w\Big| \le \sum E_j M_w

where sums run over the synapses of unit j, and of unit i. Of weights that are not shared, what is
kept is the travel of all that start from a unit together.

If all bounds stay below the limit, no sum was rounded, in whatever order its terms were added.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import WeightedCounts
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import RealState
from spikebp_plugins.rules.step import backward_weights, synaptic_weights


class UnitExtremes(NamedTuple):
    """Extremes of a layer in a run, by unit; zeros for a variable that the layer does not have.

    Attributes
    ----------
    overflows : ndarray of shape (n_units,)
        The number of failed checks of the range.
    refused_values : ndarray of shape (n_units,)
        The number of inputs that were not finite, or no spike counts with
        ``input_coding="spikes"``; of targets that were not finite, and labels that are no class.
    most_spikes, most_errors : ndarray of shape (n_units,)
        The largest magnitudes of spike counts and error counts in one step.
    """

    overflows: NDArray[Any]
    refused_values: NDArray[Any]
    most_spikes: NDArray[Any]
    most_errors: NDArray[Any]


class RunExtremes(NamedTuple):
    """Extremes of a network in a run.

    Attributes
    ----------
    units : list of UnitExtremes
        The extremes of the units of layers 0..L.
    travel : list of ndarray
        A bound of the travel of each weight, in the shapes of W_1..W_L.
    """

    units: list[UnitExtremes]
    travel: list[NDArray[Any]]


def prove_range(net: Definition, state: RealState, seen: RunExtremes) -> None:
    """Prove that no value left the range in a run.

    Parameters
    ----------
    net : Definition
        The definition.
    state : RealState
        The state at the end of the run.
    seen : RunExtremes
        The extremes of the run.

    Raises
    ------
    OverflowError
        If a value left the range, or may have; the message names the layer.
    ValueError
        If an input was not finite, or no spike count with ``input_coding="spikes"``; if a target
        was not finite, or a label no class.
    """
    limit, units = arithmetic_of(net).limit, seen.units
    for layer, what, allowed in (
        (0, "input", _allowed_input(net)),
        (net.n_layers, "label", f"{allowed_labels(net)}, and its target finite"),
    ):
        if len(refused := np.flatnonzero(units[layer].refused_values)):
            raise ValueError(
                f"the {what} of a step must be {allowed}; unit {refused[0]} of layer {layer} "
                "received something else in this run"
            )
    for l, of_layer in enumerate(units):
        if np.any(of_layer.overflows):
            raise _overflow("a value", l, limit)
    largest = state._replace(
        weights=tuple(np.abs(W) + V for W, V in zip(state.weights, seen.travel, strict=True)),
        feedback=tuple(map(np.abs, state.feedback)),
    )
    W, B = synaptic_weights(net, largest), backward_weights(net, largest)
    for l, connection in enumerate(net.connections, 1):
        if not np.all(W[l] < limit):
            raise _overflow("a weight", l, limit)
        drives = _sums(connection.forward(units[l - 1].most_spikes, W[l]))
        if not np.all(drives < limit / 2):
            raise _overflow("a sum of drives", l, limit)
        if l > 1:
            errors = _sums(connection.backward(units[l].most_errors, B[l]))
            if not np.all(errors < limit / 2):
                raise _overflow("a sum of errors", l - 1, limit)


def _sums(arriving: WeightedCounts) -> NDArray[Any]:
    return arriving.product(arriving.counts, arriving.weights)


def check_on_grid(net: Definition, state: RealState) -> None:
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


def _allowed_input(net: Definition) -> str:
    if net.input_coding == "values":
        return "finite"
    counts = "-1, 0 or 1" if net.spikes == "binary" else "whole numbers"
    return f"{counts} with input_coding='spikes'"


def allowed_labels(net: Definition) -> str:
    """Return the phrase for the labels that a step may have."""
    return f"a whole number below {net.n_outputs}, or any below 0 where it is not known"


def _overflow(what: str, l: int, limit: float) -> OverflowError:
    return OverflowError(
        f"{what} of layer {l} may have left the range in this run: it must stay below {limit:.6g} "
        "in magnitude, partial sums included"
    )
