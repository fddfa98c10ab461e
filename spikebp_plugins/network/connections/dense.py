"""Dense connections: all pairs of units, a weight each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spikebp_plugins.common.errors import integer
from spikebp_plugins.network.connections.connection import Array, Connection, WeightedCounts, total
from spikebp_plugins.network.connections.layer import Layer, Shape


@dataclass(frozen=True)
class Dense(Layer):
    """A layer whose units are joined to each unit below, by a weight of its own.

    Parameters
    ----------
    n : int
        Units of the layer.
    """

    n: int

    def __post_init__(self) -> None:
        self._settle(n=integer("n", self.n, 1))

    def above(self, below: Shape) -> Shape:
        """Return the shape (n,)."""
        return Shape((self.n,))

    def connect(self, below: Shape, seed: int, l: int) -> DenseConnection:
        """Return the connection from a layer of any shape."""
        return DenseConnection(below.size, self.n)


@dataclass(frozen=True)
class DenseConnection(Connection):
    """Each unit below is joined to each unit above, by a weight of its own.

    W has the shape (n_below, n_above), B the shape (n_above, n_below).
    """

    kind: ClassVar = "Dense"

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights W."""
        return self.n_below, self.n_above

    @property
    def feedback_shape(self) -> tuple[int, ...]:
        """The shape of the backward weights B."""
        return self.n_above, self.n_below

    @property
    def n_synapses(self) -> int:
        """The number of synapses."""
        return self.n_below * self.n_above

    @property
    def fan_in(self) -> int:
        """Synapses of a unit above."""
        return self.n_below

    @property
    def fan_out(self) -> int:
        """Synapses of a unit below."""
        return self.n_above

    def backward_weights(self, W: Array) -> Array:
        """Return the transposed weights."""
        return W.T

    def forward(self, k: Array, W: Array) -> WeightedCounts:
        """Return the rows of W of the units that sent spikes."""
        active = np.flatnonzero(k)
        return WeightedCounts(k[active], W[active])

    def backward(self, e: Array, B: Array) -> WeightedCounts:
        """Return the rows of B of the units that sent errors."""
        return self.forward(e, B)

    def outer(self, c: Array, e: Array) -> Array:
        """Return the outer product."""
        product: Array = np.outer(c, e)
        return product

    def synapses_with(self, c: Array, e: Array) -> int:
        """Return the number of products c_i e_j that are not zero."""
        return int(np.count_nonzero(c)) * int(np.count_nonzero(e))

    def forward_operations(self, spikes: Any) -> int:
        """Return one operation for each spike and each unit above."""
        return total(spikes) * self.n_above

    def backward_operations(self, errors: Any) -> int:
        """Return one operation for each error and each unit below."""
        return total(errors) * self.n_below
