"""Checks, from the record of a run, that its sums were exact.

Lava's own synapses check no range. The spikes and errors that they received bound their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.messages import PAYLOAD
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]


def require_exact_sums(
    net: Definition, before: LearningState, spikes: list[Array], errors: list[Array]
) -> None:
    """Raise OverflowError unless every sum that the synapses made was exact.

    The record is right up to the first sum that may be inexact, and therefore reveals that sum.

    Parameters
    ----------
    net : Definition
        The definition.
    before : LearningState
        The learning state before the run.
    spikes, errors : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Spikes and errors of layers 0 to L in each step of Lava; layer 0 has no errors.
    """
    limit = arithmetic_of(net).limit
    feedback: Sequence[Any] = (None, None, *before.feedback)
    for l in range(1, net.n_layers + 1):
        counts, teaching = spikes[l - 1], errors[l]
        if net.learning_rule.learns_once:
            counts, teaching = (values.sum(axis=1, keepdims=True) for values in (counts, teaching))
        else:
            counts = np.cumsum(counts, axis=1)
        changes = float((_largest(counts) * _largest(teaching)).sum())
        weight = float(np.abs(before.weights[l - 1]).max()) + net.rate * changes
        up = PAYLOAD * weight * _most(spikes[l - 1])
        down = float(np.abs(feedback[l]).max()) if net.feedback == "random" and l > 1 else weight
        if not max(weight, up, PAYLOAD * down * _most(errors[l])) < limit / 2:
            raise OverflowError(f"sums of layer {l} may leave the range in which all are exact")


def _largest(values: Array) -> Array:
    largest: Array = np.abs(values.astype(np.float64)).max(axis=2)
    return largest


def _most(values: Array) -> float:
    return float(np.abs(values.astype(np.float64)).sum(axis=2).max(initial=0.0))
