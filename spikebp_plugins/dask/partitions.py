"""Samples in partitions of Dask collections, which stay where they are.

A partition is known by what computes it. It is computed on a worker, used there, and forgotten: so
there may be more samples than the workers have memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
from dask.base import is_dask_collection
from dask.delayed import delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.estimators.all_rows import (
    SAMPLED,
    Reader,
    Rows,
    RowsInMemory,
    as_they_are,
    sampled,
)
from spikebp_plugins.estimators.repetition import WholeWeights
from spikebp_plugins.estimators.validation import validate_data
from spikebp_plugins.network.sparse_rows import SparseRows, is_sparse, joined_rows

if TYPE_CHECKING:
    from typing_extensions import Self

Sum = TypeVar("Sum")

#: So many sums are added by one task, for which they are sent to its worker.
ADDED_AT_ONCE: Final = 8


class Partitions(NamedTuple):
    """Samples in partitions.

    Attributes
    ----------
    X, y : list of Delayed
        What computes the features and the targets of each partition.
    """

    X: list[Any]
    y: list[Any]

    @classmethod
    def of(cls, X: Any, y: Any) -> Self:
        """Return the partitions of two collections, which have the same rows."""
        check_collection("X", X)
        check_collection("y", y)
        if _chunks(X) is not None and _chunks(y) is not None:
            if X.shape[0] != y.shape[0]:
                raise wrong_argument("y", f"a target for each of {X.shape[0]} samples", y.shape)
            y = y.rechunk({0: _chunks(X)})
        parts = cls(*(list(np.ravel(in_whole_rows(rows).to_delayed())) for rows in (X, y)))
        if len(parts.X) != len(parts.y):
            allowed = f"in {len(parts.X)} partitions, as X is"
            raise wrong_argument("y", allowed, f"{len(parts.y)} partitions")
        return parts


class PartitionedRows(NamedTuple):
    """Samples in partitions as `AllRows`.

    Attributes
    ----------
    client : Client
        The client of the cluster.
    blocks : list of Delayed
        What computes each partition.
    lengths : tuple of int
        The samples of each.
    of_block : callable
        Returns the samples of a partition that has some.
    reader : callable
        Makes readings of samples.
    """

    client: Any
    blocks: list[Any]
    lengths: tuple[int, ...]
    of_block: Callable[[Any], Rows]
    reader: Reader = as_they_are

    @property
    def total(self) -> int:
        """The number of samples."""
        return sum(self.lengths)

    @property
    def bits(self) -> int:
        """No sample counts less than once."""
        return 0

    @property
    def is_sampled(self) -> bool:
        """Whether `some` are not all."""
        return self.total > SAMPLED

    @property
    def some(self) -> Any:
        """The readings of `SAMPLED` samples at most, evenly spaced."""
        ends = accumulate(self.lengths, initial=0)
        how = delayed((self.of_block, self.reader), traverse=False)
        tasks = [
            delayed(_some)(block, rows, how)
            for block, (start, end) in zip(self.blocks, pairwise(ends), strict=True)
            if len(rows := sampled(start, end, self.total))
        ]
        found = [future.result() for future in self.client.compute(tasks)]
        if any(isinstance(readings, SparseRows) for readings in found):
            return joined_rows(found)
        return np.concatenate(found)

    def read_by(self, reader: Reader) -> Self:
        """Return the same samples, with readings that are made of them."""
        return self._replace(reader=reader)

    def summed(
        self, of_part: Callable[[Any, WholeWeights], Sum], added: Callable[[Sum, Sum], Sum]
    ) -> Sum:
        """Return the sum of what is found in each part of the readings, added in their order."""
        how = delayed((self.of_block, self.reader, of_part, added), traverse=False)
        tasks = [
            delayed(_summed)(block, how)
            for block, n in zip(self.blocks, self.lengths, strict=True)
            if n
        ]
        while len(tasks) > 1:
            tasks = [delayed(sum_of)(group, added) for group in groups(tasks)]
        found: Sum = self.client.compute(tasks[0]).result()
        return found


def check_collection(name: str, values: Any) -> None:
    """Refuse what is no collection of Dask with rows."""
    if not (is_dask_collection(values) and hasattr(values, "to_delayed")):
        allowed = "an array or a frame of Dask (dask.array.from_array makes one)"
        raise wrong_argument(name, allowed, type(values).__name__)


def in_whole_rows(values: Any) -> Any:
    """Return a collection whose partitions have whole rows."""
    if hasattr(values, "rechunk") and values.ndim > 1:
        return values.rechunk(dict.fromkeys(range(1, values.ndim), -1))
    return values


def sum_of(sums: list[Sum], added: Callable[[Sum, Sum], Sum]) -> Sum:
    """Return the sum of sums, added in their order."""
    return reduce(added, sums)


def groups(items: list[Any]) -> Iterator[list[Any]]:
    """Yield the items that one task adds, in their order."""
    for start in range(0, len(items), ADDED_AT_ONCE):
        yield items[start : start + ADDED_AT_ONCE]


def features_of(block: Any) -> Rows:
    """Return the features of a partition as numbers of double precision."""
    checked: Rows = validate_data(BaseEstimator(), block, dtype=np.float64, accept_sparse="csr")
    return checked


def targets_of(block: Any) -> NDArray[np.float64]:
    """Return the real targets of a partition, of shape (n_samples, n_targets)."""
    return np.asarray(block, np.float64).reshape(len(block), -1)


def taken(block: Any, rows: Any) -> Any:
    """Return some rows of an array, a frame or a sparse matrix."""
    if is_sparse(block):
        return block.tocsr()[rows]
    return block.iloc[rows] if hasattr(block, "iloc") else block[rows]


def _chunks(values: Any) -> tuple[int, ...] | None:
    """Return the rows of each chunk of an array; None for those of which that is not known."""
    chunks: tuple[Any, ...] = values.chunks[0] if hasattr(values, "chunks") else (np.nan,)
    return None if any(np.isnan(size) for size in chunks) else chunks


def _some(block: Any, rows: Any, how: tuple[Callable[[Any], Rows], Reader]) -> Any:
    of_block, reader = how
    X = of_block(taken(block, rows))
    return reader(X, WholeWeights.of(None, len(X)))[0]


def _summed(block: Any, how: tuple[Any, ...]) -> Any:
    of_block, reader, of_part, added = how
    return RowsInMemory.of(of_block(block)).read_by(reader).summed(of_part, added)
