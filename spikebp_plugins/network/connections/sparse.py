"""Sparse connections: some pairs of units, a weight each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np

from spikebp_plugins.common.errors import INTEGERS, array_of, integer, real, wrong_argument
from spikebp_plugins.network.connections.connection import Array
from spikebp_plugins.network.connections.layer import Layer, Shape
from spikebp_plugins.network.connections.pairs import Pairs
from spikebp_plugins.network.connections.synapse_list import SynapseList, Synapses

#: The units of pairs are numbers of 32 bits.
MOST_UNITS: Final = 2**31 - 1


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
            if (highest := int(pairs.i[-1])) >= below.size:
                raise wrong_argument(
                    "pairs", f"of units below {below.size} in layer {l - 1}", highest
                )
        return SparseConnection(below.size, self.n, pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the kind of layer and its fields, as any layer does."""
        pairs = None if self.pairs is None else tuple(self.pairs)
        return super().to_dict() | {"pairs": pairs}


@dataclass(frozen=True)
class SparseConnection(SynapseList):
    """The synapses of some pairs of units; W has the shape (n_synapses,), sorted by (i, j).

    Parameters
    ----------
    pairs : Pairs
        The pairs (i, j), sorted.
    """

    pairs: Pairs

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

    def listed(self) -> Synapses:
        """Return the synapses (i, j, w)."""
        i, j = (units.astype(np.int64) for units in (self.pairs.i, self.pairs.j))
        return Synapses(i, j, np.arange(len(i)))

    @cached_property
    def fan_out_of_units(self) -> Array:
        """The synapses of each unit below."""
        return np.bincount(self.pairs.i, minlength=self.n_below).astype(np.int32)

    @cached_property
    def fan_in_of_units(self) -> Array:
        """The synapses of each unit above."""
        return np.bincount(self.pairs.j, minlength=self.n_above).astype(np.int32)


def _checked_pairs(given: Any, n: int) -> Pairs:
    allowed = f"an array of shape (n_pairs, 2) of integers from 0 to {MOST_UNITS - 1}"
    array = array_of("pairs", given, INTEGERS, allowed)
    is_list = array.ndim == 2 and array.shape[1] == 2 and array.size > 0
    if not is_list or array.min() < 0 or array.max() >= MOST_UNITS:
        raise wrong_argument("pairs", allowed, f"an array of shape {array.shape}")
    i, j = array.astype(np.int64).T
    if (highest := int(j.max())) >= n:
        raise wrong_argument("pairs", f"of units below {n} in their second column", highest)
    unique, times = np.unique(i * n + j, return_counts=True)
    i, j = np.divmod(unique, n)
    if (times > 1).any():
        repeated = int(i[times.argmax()]), int(j[times.argmax()])
        raise wrong_argument("pairs", "different from each other", f"{repeated} more than once")
    return Pairs(i, j)


def _drawn_pairs(n_below: int, n: int, density: float, seed: int, l: int) -> Pairs:
    """Return, for each unit j of layer l, the inputs with the lowest random numbers."""
    fan_in = max(1, round(density * n_below))
    i = np.empty((n, fan_in), np.int32)
    for j in range(n):
        drawn = np.random.Philox(key=seed, counter=[0, 0, j, l]).random_raw(n_below)
        highest = np.partition(drawn, fan_in - 1)[fan_in - 1]
        below, equal = np.flatnonzero(drawn < highest), np.flatnonzero(drawn == highest)
        i[j] = np.append(below, equal[: fan_in - len(below)])
    order = np.argsort(i.reshape(-1), kind="stable")  # they are in the order of j
    return Pairs(i.reshape(-1)[order], order // fan_in)
