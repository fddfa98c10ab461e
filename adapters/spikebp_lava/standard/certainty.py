"""The proof, from the record of a run, that its sums were exact.

Synapses of Lava's own check no range. Whether they have left it follows from the spikes and errors
that they received.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]


class Flow(NamedTuple):
    """The spikes and errors that the layers of a pipelined network sent in each step of Lava.

    Attributes
    ----------
    spikes : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Spikes of layers 0..L.
    errors : list of ndarray of shape (n_samples, n_steps, n_units), int64
        Errors of layers 0..L, which are zero for layer 0.
    """

    spikes: list[Array]
    errors: list[Array]

    @classmethod
    def of(cls, net: Definition, spikes: Array, errors: Array) -> Flow:
        """Return the flow, from arrays whose last axis holds the units of all layers in a row."""
        starts = np.cumsum(net.layer_sizes)[:-1]
        layers = (np.split(values.astype(np.int64), starts, axis=2) for values in (spikes, errors))
        return cls(*layers)

    def teaching(self, net: Definition, l: int) -> tuple[Array, Array]:
        """Return input counts and errors of layer l, for each step in which its weights learn."""
        counts, errors = self.spikes[l - 1], self.errors[l]
        if net.learns_once:
            return counts.sum(axis=1, keepdims=True), errors.sum(axis=1, keepdims=True)
        return np.cumsum(counts, axis=1), errors


def require_certain(net: Definition, before: LearningState, flow: Flow, payload: int) -> None:
    """Raise OverflowError unless every sum that the synapses made was exact.

    The record is right up to the first sum that may be inexact, and therefore reveals that sum.
    """
    limit = arithmetic_of(net).limit
    feedback: Sequence[Any] = (None, None, *before.feedback)
    for l in range(1, net.n_layers + 1):
        counts, errors = flow.teaching(net, l)
        changes = _largest(counts) * _largest(errors)
        weight = float(np.abs(before.weights[l - 1]).max()) + net.rate * float(changes.sum())
        up = payload * weight * _most(flow.spikes[l - 1])
        down = float(np.abs(feedback[l]).max()) if net.feedback == "random" and l > 1 else weight
        if not max(weight, up, payload * down * _most(flow.errors[l])) < limit / 2:
            raise OverflowError(f"sums of layer {l} may leave the range in which all are exact")


def _largest(values: Array) -> Array:
    largest: Array = np.abs(values.astype(np.float64)).max(axis=2)
    return largest


def _most(values: Array) -> float:
    return float(np.abs(values.astype(np.float64)).sum(axis=2).max(initial=0.0))
