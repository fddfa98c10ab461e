r"""The mean of what shards have learned, and the weights from which they go on.

After round r the network is the mean of the weights of n shards, on the grid,

.. math:: M_r = \mathrm{rint}(\tfrac{1}{n} \sum_s W_r^{(s)})

A mean of n shards moves about as far as one of them, although n times as many samples have been
learned. So the next round does not begin at the mean. It begins further along the way that the mean
went:

.. math:: W_{r + 1} = M_r + \mathrm{rint}(\mu \, (M_r - M_{r - 1})), \quad \mu = 1 - \tfrac{1}{n}

This is the momentum of Y. Nesterov ("A method of solving a convex programming problem with
convergence rate O(1/k²)", 1983), with rounds as its steps: what a round has found is taken 1 + μ +
μ² + ... = n times in all. One shard has no momentum, and learns as without rounds. What is given
back is the mean, which has less error than where the next round would begin.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.checkpoint import Checkpoint, rounded_quotient
from spikebp_plugins.network.state import OnGrid, narrowed

Integers = NDArray[np.int64]


class Learned(NamedTuple):
    """What shards have learned in a round, which can be added in any groups.

    Attributes
    ----------
    weights : tuple of ndarray of int64
        The sums of their weights.
    loss, spikes : float, int
        The sums of the losses and of the spikes of their samples.
    labels : frozenset of int
        The labels that have come.
    last : Any
        The learner of the last shard, as it is after the round; None in sums without it.
    """

    weights: tuple[Integers, ...]
    loss: float
    spikes: int
    labels: frozenset[int]
    last: Any

    def added(self, later: Learned) -> Learned:
        """Return the sum of these shards and later ones."""
        return Learned(
            tuple(map(np.add, self.weights, later.weights)),
            self.loss + later.loss,
            self.spikes + later.spikes,
            self.labels | later.labels,
            later.last,
        )


def whole_weights(checkpoint: Checkpoint) -> tuple[Integers, ...]:
    """Return the weights of a checkpoint as integers that can be added."""
    return tuple(units.astype(np.int64) for units in checkpoint.state.weights.units)


def mean_of(total: tuple[Integers, ...], n_shards: int) -> tuple[Integers, ...]:
    """Return the mean of the weights of shards, given their sum."""
    return tuple(rounded_quotient(units, n_shards) for units in total)


def next_start(
    checkpoint: Checkpoint, before: tuple[Integers, ...], n_shards: int
) -> tuple[Integers, ...]:
    """Return the weights with which the next round begins.

    Parameters
    ----------
    checkpoint : Checkpoint
        The mean of the shards.
    before : tuple of ndarray of int64
        The mean of the weights after the round before.
    n_shards : int
        n.
    """
    ends = arithmetic_of(checkpoint.net).range_of_weights
    return tuple(
        np.clip(mean + rounded_quotient((mean - last) * (n_shards - 1), n_shards), *ends)
        for mean, last in zip(whole_weights(checkpoint), before, strict=True)
    )


def with_weights(checkpoint: Checkpoint, weights: tuple[Integers, ...]) -> Checkpoint:
    """Return a checkpoint with other weights, given as integers."""
    state = checkpoint.state
    on_grid = OnGrid(map(narrowed, weights), state.weights.exponent)
    return replace(checkpoint, state=state._replace(weights=on_grid))
