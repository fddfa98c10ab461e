r"""Connections: the synapses between two layers, and all that depends on how they are laid out.

A connection is a set of synapses (i, j, w): unit i below, unit j above, and the index w of the
weight that they use. The rules of ``docs/semantics.md`` touch weights in three sums:

.. math::

    d_j = \sum_{(i, j, w)} k_i W_w, \qquad
    \psi_i \leftarrow \psi_i + \sum_{(i, j, w)} e_j B_w, \qquad
    W_w \leftarrow W_w - r \sum_{(i, j, w)} c_i e_j

All code asks a connection for its shapes, fan-out and products. Each engine has one table of what
it builds for each kind of connection, and refuses kinds that are not in the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument

Array = NDArray[Any]


def total(counts: Any) -> int:
    """Return the sum of an array of counts by unit, or a count that is the sum already."""
    return int(counts.sum()) if isinstance(counts, np.ndarray) else int(counts)


class Arriving(NamedTuple):
    """The counts that some units send through a connection, and the weights of their synapses.

    The units of the receiving layer get ``counts @ weights``.

    Attributes
    ----------
    counts : ndarray of shape (n_active,), int64
        Spikes or errors of the units that sent some.
    weights : ndarray of shape (n_active, n_units)
        The weights from each of these units to all units of the receiving layer.
    """

    counts: Array
    weights: Array


@dataclass(frozen=True)
class Connection(ABC):
    """The synapses from one layer to the next.

    Parameters
    ----------
    n_below, n_above : int
        Units of the lower and of the upper layer.
    """

    n_below: int
    n_above: int

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights W."""

    @property
    @abstractmethod
    def feedback_shape(self) -> tuple[int, ...]:
        """The shape of the backward weights B."""

    @property
    @abstractmethod
    def n_synapses(self) -> int:
        """How many synapses there are."""

    @property
    @abstractmethod
    def fan_in(self) -> int:
        """Synapses of a unit above, away from borders; initial weights may depend on it."""

    @property
    @abstractmethod
    def fan_out(self) -> int:
        """Synapses of a unit below, away from borders; random feedback is divided by its root."""

    @property
    def most_uses(self) -> int:
        """The largest number of synapses that share one weight."""
        return 1

    @abstractmethod
    def backward_weights(self, W: Array) -> Array:
        """Return the B with which errors travel back through the synapses of W."""

    @abstractmethod
    def forward(self, k: Array, W: Array) -> Arriving:
        """Return what spikes of shape (n_below,) bring to the layer above."""

    @abstractmethod
    def backward(self, e: Array, B: Array) -> Arriving:
        """Return what errors of shape (n_above,) bring to the layer below."""

    @abstractmethod
    def outer(self, c: Array, e: Array) -> Array:
        """Return the sum of c_i e_j over the synapses of each weight, in the shape of W."""

    @abstractmethod
    def synapses_with(self, c: Array, e: Array) -> int:
        """Return the number of synapses with nonzero c_i and e_j: those that an update changes."""

    @abstractmethod
    def forward_operations(self, spikes: Any) -> int:
        """Return the synaptic operations of spikes, given their number by unit or in total."""

    @abstractmethod
    def backward_operations(self, errors: Any) -> int:
        """Return the synaptic operations of errors, given their number by unit or in total."""


@dataclass(frozen=True)
class Dense(Connection):
    """Each unit below is joined to each unit above, by a weight of its own.

    W has the shape (n_below, n_above), B the shape (n_above, n_below).
    """

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
        """How many synapses there are."""
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

    def forward(self, k: Array, W: Array) -> Arriving:
        """Return the rows of W of the units that sent spikes."""
        active = np.flatnonzero(k)
        return Arriving(k[active], W[active])

    def backward(self, e: Array, B: Array) -> Arriving:
        """Return the rows of B of the units that sent errors."""
        return self.forward(e, B)

    def outer(self, c: Array, e: Array) -> Array:
        """Return the outer product."""
        product: Array = np.outer(c, e)
        return product

    def synapses_with(self, c: Array, e: Array) -> int:
        """Return how many products c_i e_j are not zero."""
        return int(np.count_nonzero(c)) * int(np.count_nonzero(e))

    def forward_operations(self, spikes: Any) -> int:
        """Return one operation for each spike and each unit above."""
        return total(spikes) * self.n_above

    def backward_operations(self, errors: Any) -> int:
        """Return one operation for each error and each unit below."""
        return total(errors) * self.n_below


def require_dense(name: str, connections: Iterable[Connection]) -> None:
    """Raise an error about the argument `name` unless all connections are dense."""
    if (reason := refused_connections(connections, (Dense,))) is not None:
        raise wrong_argument(name, "a network of dense connections", f"another: {reason}")


def refused_connections(connections: Iterable[Connection], known: Collection[type]) -> str | None:
    """Return why an engine for the kinds `known` cannot build these connections, or None."""
    for connection in connections:
        if type(connection) not in known:
            names = ", ".join(kind.__name__ for kind in known)
            return f"it knows {names} connections, not {type(connection).__name__}"
    return None
