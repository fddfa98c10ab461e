"""Samples that are all there before any is learned, and how a scale asks about them.

It asks for a few of them, and for sums of parts, which are exact: so the parts may be anywhere, on
this machine or on others, and the sums are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.repetition import WholeWeights
from spikebp_plugins.network.sparse_rows import SparseRows

if TYPE_CHECKING:
    from typing_extensions import Self

#: The samples that tell where to begin, if there are more.
SAMPLED: Final = 4096
#: A part of samples in memory has about so many numbers: few enough to stay in the caches.
NUMBERS_AT_ONCE: Final = 1 << 18

#: Features of samples: an array of shape (n_samples, n_features), or lists.
Rows = NDArray[np.float64] | SparseRows
Sum = TypeVar("Sum")
#: What makes readings of samples, and leaves out those that have none.
Reader = Callable[[Rows, WholeWeights], tuple[Any, WholeWeights]]


class AllRows(Protocol):
    """Samples that are all there, wherever they are."""

    @property
    def total(self) -> int:
        """The sum of the weights, times 2^bits."""

    @property
    def bits(self) -> int:
        """The bits of the fractions of weights."""

    @property
    def is_sampled(self) -> bool:
        """Whether `some` are not all."""

    @property
    def some(self) -> Any:
        """The readings of `SAMPLED` samples at most, evenly spaced."""

    def read_by(self, reader: Reader) -> Self:
        """Return the same samples, with readings that are made of them."""

    def summed(
        self, of_part: Callable[[Any, WholeWeights], Sum], added: Callable[[Sum, Sum], Sum]
    ) -> Sum:
        """Return the sum of what is found in each part of the readings, added in their order."""


def as_they_are(X: Rows, weights: WholeWeights) -> tuple[Rows, WholeWeights]:
    """Return samples as their own readings."""
    return X, weights


class RowsInMemory(NamedTuple):
    """Samples that are in memory.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), or SparseRows
        Samples.
    weights : WholeWeights
        How often each counts.
    reader : callable
        Makes readings of them.
    """

    X: Rows
    weights: WholeWeights
    reader: Reader = as_they_are

    @classmethod
    def of(cls, X: Rows, weights: NDArray[np.float64] | None = None) -> Self:
        """Return samples with weights as they are given; None for equal ones."""
        return cls(X, WholeWeights.of(weights, len(X)))

    @property
    def total(self) -> int:
        """The sum of the weights, times 2^bits."""
        return self.weights.total

    @property
    def bits(self) -> int:
        """The bits of the fractions of weights."""
        return self.weights.bits

    @property
    def is_sampled(self) -> bool:
        """Whether `some` are not all."""
        return len(self.X) > SAMPLED

    @property
    def some(self) -> Any:
        """The readings of `SAMPLED` samples at most, evenly spaced."""
        rows = sampled(0, len(self.X), len(self.X))
        return self.reader(self.X[rows], self.weights.take(rows))[0]

    def read_by(self, reader: Reader) -> Self:
        """Return the same samples, with readings that are made of them."""
        return self._replace(reader=reader)

    def summed(
        self, of_part: Callable[[Any, WholeWeights], Sum], added: Callable[[Sum, Sum], Sum]
    ) -> Sum:
        """Return the sum of what is found in each part of the readings, added in their order."""
        n = len(self.X)
        numbers = self.X.size if isinstance(self.X, np.ndarray) else len(self.X.number)
        at_once = max(1, NUMBERS_AT_ONCE * n // max(1, numbers))
        parts = (slice(start, start + at_once) for start in range(0, max(1, n), at_once))
        return reduce(
            added,
            (of_part(*self.reader(self.X[rows], self.weights.take(rows))) for rows in parts),
        )


def sampled(start: int, end: int, n: int) -> NDArray[np.int64]:
    """Return which of the rows from start to end are among `SAMPLED` of all n, less the start."""
    step = max(1, -(-n // SAMPLED))
    return np.arange(-(-start // step) * step, end, step) - start
