"""The interface of a connection: shapes, products, and counts of operations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def total(counts: Any) -> int:
    """Return the sum of an array of counts by unit, or a count that is the sum already."""
    return int(counts.sum()) if isinstance(counts, np.ndarray) else int(counts)


class WeightedCounts(NamedTuple):
    """The counts that units send through a connection, and the weights that multiply them.

    The receiving layer gets ``product(counts, weights)``. Each spike adds at most one of the
    weights to each receiving unit.

    Attributes
    ----------
    counts : ndarray of shape (n,), int64
        Spikes or errors of units. Units that sent none may be left out.
    weights : ndarray
        The weights of these units' synapses.
    product : callable, default=np.matmul
        The sum over the synapses, for arrays of real numbers or of Python's integers.
    """

    counts: Array
    weights: Array
    product: Callable[[Array, Array], Array] = np.matmul


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

    #: The name of the kind, as users know it.
    kind: ClassVar[str]
    #: Whether several synapses use one weight.
    shares_weights: ClassVar[bool] = False

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights W; (0,) if there is a `constant_weight` in their place."""

    @property
    @abstractmethod
    def feedback_shape(self) -> tuple[int, ...]:
        """The shape of the backward weights B."""

    @property
    @abstractmethod
    def n_synapses(self) -> int:
        """The number of synapses."""

    @property
    @abstractmethod
    def fan_in(self) -> float:
        """Synapses of a unit above, away from borders; initial weights may depend on it."""

    @property
    @abstractmethod
    def fan_out(self) -> float:
        """Synapses of a unit below, away from borders; random feedback is divided by its root."""

    @property
    def most_uses(self) -> int:
        """The largest number of synapses that share one weight."""
        return 1

    @property
    def constant_weight(self) -> float | None:
        """The weight of every synapse, not rounded, if no weights learn; otherwise None."""
        return None

    @property
    def times_met(self) -> Array:
        """The times that each unit below meets one set of weights, of shape (n_below,)."""
        return np.ones(self.n_below, np.int64)

    def squares(self, c: Array) -> int:
        """Return the squared counts c, each as often as its unit meets one set of weights."""
        active = np.flatnonzero(c)
        counts, times = c[active].astype(object), self.times_met[active].astype(object)
        return int(np.dot(counts * counts, times))

    @abstractmethod
    def backward_weights(self, W: Array) -> Array:
        """Return the B with which errors travel back through the synapses of W."""

    @abstractmethod
    def forward(self, k: Array, W: Array) -> WeightedCounts:
        """Return spikes of shape (n_below,) and the weights W that lead them up."""

    @abstractmethod
    def backward(self, e: Array, B: Array) -> WeightedCounts:
        """Return errors of shape (n_above,) and the weights B that lead them down."""

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
