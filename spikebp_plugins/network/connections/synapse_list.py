"""Connections that list their synapses: the three sums of the rules, for any set of synapses."""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.connections.connection import Array, Connection, WeightedCounts


class Synapses(NamedTuple):
    """Synapses (i, j, w), sorted by i and then by j.

    Attributes
    ----------
    i, j, w : ndarray of shape (n_synapses,), int64
        The unit below, the unit above, and the index of the weight in the flat array of weights.
    """

    i: Array
    j: Array
    w: Array

    @classmethod
    def ordered(cls, i: Array, j: Array, w: Array) -> Synapses:
        """Return synapses in their order."""
        order = np.lexsort((j, i))
        return cls(i[order], j[order], w[order])


class SynapseList(Connection):
    """A connection whose sums run over a list of its synapses.

    A kind says which synapses there are, and the shape of its weights. W and B have the same
    shape, and the weight of a synapse has the same index in both. How many synapses there are, it
    says without listing them: only sums need the list, which takes much more than the weights.
    """

    @abstractmethod
    def listed(self) -> Synapses:
        """Return the synapses (i, j, w), listed anew."""

    @cached_property
    def synapses(self) -> Synapses:
        """The synapses (i, j, w)."""
        return self.listed()

    @property
    def feedback_shape(self) -> tuple[int, ...]:
        """The shape of the backward weights B, that of W."""
        return self.weight_shape

    @property
    def n_synapses(self) -> int:
        """The number of synapses."""
        return int(self.fan_in_of_units.sum(dtype=np.int64))

    @cached_property
    @abstractmethod
    def fan_out_of_units(self) -> Array:
        """The synapses of each unit below, of 32 bits."""

    @cached_property
    @abstractmethod
    def fan_in_of_units(self) -> Array:
        """The synapses of each unit above, of 32 bits."""

    def backward_weights(self, W: Array) -> Array:
        """Return W itself: errors pass the same synapses in the other direction."""
        return W

    def forward(self, k: Array, W: Array) -> WeightedCounts:
        """Return the counts and the weights, with the product that sums k_i W_w for each unit j."""
        return WeightedCounts(k, W, self._forward)

    def backward(self, e: Array, B: Array) -> WeightedCounts:
        """Return the errors and the weights, with the product that sums e_j B_w for each unit i."""
        return WeightedCounts(e, B, self._backward)

    def outer(self, c: Array, e: Array) -> Array:
        """Return the sum of c_i e_j over the synapses of each weight, in the shape of W."""
        i, j, w = self.synapses
        return _sums(w, c[i] * e[j], np.prod(self.weight_shape)).reshape(self.weight_shape)

    def synapses_with(self, c: Array, e: Array) -> int:
        """Return the number of synapses with nonzero c_i and e_j."""
        i, j, _ = self.synapses
        return int(np.count_nonzero((c != 0)[i] & (e != 0)[j]))

    def forward_operations(self, spikes: Any) -> int:
        """Return one operation for each spike and each synapse of its unit."""
        return _operations("spikes", spikes, self.fan_out_of_units)

    def backward_operations(self, errors: Any) -> int:
        """Return one operation for each error and each synapse of its unit."""
        return _operations("errors", errors, self.fan_in_of_units)

    def _forward(self, k: Array, W: Array) -> Array:
        i, j, w = self.synapses
        return _sums(j, k[i] * W.reshape(-1)[w], self.n_above)

    def _backward(self, e: Array, B: Array) -> Array:
        i, j, w = self.synapses
        return _sums(i, e[j] * B.reshape(-1)[w], self.n_below)


def _sums(indices: Array, values: Array, n: Any) -> Array:
    """Return the sums of the values of each of n indices, of shape (n,)."""
    if values.dtype == np.float64:
        return np.bincount(indices, values, minlength=n)
    sums = np.zeros(n, values.dtype)
    np.add.at(sums, indices, values)
    return sums


def _operations(name: str, counts: Any, fans: Array) -> int:
    by_unit = np.asarray(counts)
    if by_unit.shape != fans.shape:
        raise wrong_argument(name, "one count for each unit", f"an array of shape {by_unit.shape}")
    return int(np.dot(by_unit.astype(object), fans.astype(object)))
