"""Sparse connections: some pairs of units, a weight each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from spikebp_plugins.common.errors import INTEGERS, array_of, integer, real, wrong_argument
from spikebp_plugins.network.connections.layer import Layer, Shape
from spikebp_plugins.network.connections.synapse_list import SynapseList, Synapses


@dataclass(frozen=True)
class Sparse(Layer):
    """A layer whose units are joined to some of the units below, by a weight for each pair.

    Either `density` or `pairs` is given.

    Parameters
    ----------
    n : int
        Units of the layer.
    density : float or None, default=None
        p, above 0 and at most 1: each unit is joined to max(1, rint(p n_below)) units below, which
        the seed of the network draws.
    pairs : array-like of shape (n_pairs, 2) or None, default=None
        The pairs (i, j) of a unit below and a unit of this layer, each once, in any order.
    """

    n: int
    density: float | None = None
    pairs: Any = None

    def __post_init__(self) -> None:
        n = integer("n", self.n, 1)
        if (self.density is None) == (self.pairs is None):
            got = f"density={self.density!r} and pairs={self.pairs!r}"
            raise wrong_argument("Sparse", "given either density or pairs", got)
        self._settle(n=n)
        if self.density is not None:
            allowed = "above 0 and at most 1"
            self._settle(density=real("density", self.density, allowed, lambda p: 0 < p <= 1))
        else:
            self._settle(pairs=_checked_pairs(self.pairs, n))

    def above(self, below: Shape) -> Shape:
        """Return the shape (n,)."""
        return Shape((self.n,))

    def connect(self, below: Shape, seed: int, l: int) -> SparseConnection:
        """Return the connection from a layer of any shape."""
        if self.density is not None:
            pairs = _drawn_pairs(below.size, self.n, self.density, seed, l)
        else:
            pairs = self.pairs
            if (highest := max(i for i, _ in pairs)) >= below.size:
                raise wrong_argument(
                    "pairs", f"of units below {below.size} in layer {l - 1}", highest
                )
        return SparseConnection(below.size, self.n, pairs)


@dataclass(frozen=True)
class SparseConnection(SynapseList):
    """The synapses of some pairs of units; W has the shape (n_synapses,), sorted by (i, j).

    Parameters
    ----------
    pairs : tuple of pairs of int
        The pairs (i, j), sorted.
    """

    pairs: tuple[tuple[int, int], ...]

    kind: ClassVar = "Sparse"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights, one for each pair."""
        return (len(self.pairs),)

    @property
    def fan_in(self) -> float:
        """Synapses of a unit above, on average."""
        return len(self.pairs) / self.n_above

    @property
    def fan_out(self) -> float:
        """Synapses of a unit below, on average."""
        return len(self.pairs) / self.n_below

    @cached_property
    def synapses(self) -> Synapses:
        """The synapses (i, j, w)."""
        i, j = np.array(self.pairs).T
        return Synapses(i, j, np.arange(len(i)))


def _checked_pairs(given: Any, n: int) -> tuple[tuple[int, int], ...]:
    allowed = "an array of shape (n_pairs, 2) of integers that are not negative"
    array = array_of("pairs", given, INTEGERS, allowed)
    if array.ndim != 2 or array.shape[1] != 2 or not array.size or array.min() < 0:
        raise wrong_argument("pairs", allowed, f"an array of shape {array.shape}")
    if (highest := int(array[:, 1].max())) >= n:
        raise wrong_argument("pairs", f"of units below {n} in their second column", highest)
    unique, times = np.unique(array, axis=0, return_counts=True)
    if (times > 1).any():
        repeated = tuple(unique[times.argmax()].tolist())
        raise wrong_argument("pairs", "different from each other", f"{repeated} more than once")
    return tuple((int(i), int(j)) for i, j in unique)


def _drawn_pairs(
    n_below: int, n: int, density: float, seed: int, l: int
) -> tuple[tuple[int, int], ...]:
    """Return, for each unit j of layer l, the inputs with the lowest random numbers."""
    fan_in = max(1, round(density * n_below))
    pairs = []
    for j in range(n):
        drawn = np.random.Philox(key=seed, counter=[0, 0, j, l]).random_raw(n_below)
        lowest = np.argsort(drawn, kind="stable")[:fan_in]
        pairs += [(int(i), j) for i in lowest]
    return tuple(sorted(pairs))
