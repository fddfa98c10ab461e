"""The samples of a call of an estimator, which it shows to the network in parts and in an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.repetition import shown_in_epoch
from spikebp_plugins.network.sparse_rows import SparseRows

#: Rows of a sparse matrix that are shown at once, or of which some are learned again.
ROWS_AT_ONCE: Final = 1000
#: Columns by which arrays are sorted at once.
COLUMNS_AT_ONCE: Final = 64


class Samples(NamedTuple):
    """Checked samples.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), or SparseRows
        Features in double precision.
    y : ndarray of shape (n_samples,) or (n_samples, n_targets)
        Indices of classes, or real targets.
    weights : ndarray of shape (n_samples,) or None
        The times that an epoch shows each sample; None for once.
    are_inputs : bool
        Whether `X` is what the network is shown, and not features.
    """

    X: Any
    y: NDArray[Any]
    weights: NDArray[np.float64] | None
    are_inputs: bool = False

    @property
    def are_left_out(self) -> bool:
        """Whether all of them have the weight 0."""
        return self.weights is not None and not self.weights.any()

    def take(self, rows: NDArray[np.int64]) -> Samples:
        """Return some of the samples."""
        weights = None if self.weights is None else self.weights[rows]
        return self._replace(X=self.X[rows], y=self.y[rows], weights=weights)

    def sorted(self) -> Samples:
        """Return the samples in an order that does not depend on the one in which they are given.

        Equal samples become one with the sum of their weights, and those of weight 0 are left out.
        """
        samples = self if self.weights is None else self.take(np.flatnonzero(self.weights))
        _, first, places = np.unique(samples._ranks(), return_index=True, return_inverse=True)
        taken = samples.take(first)
        if samples.weights is None and len(first) == len(samples.y):
            return taken
        weights: NDArray[Any] = np.bincount(places, samples.weights)
        return taken._replace(weights=weights.astype(np.float64))

    def shown_in_epoch(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that an epoch shows, before they are shuffled."""
        if self.weights is None:
            return np.arange(len(self.y))
        return shown_in_epoch(self.weights, epoch)

    def _ranks(self) -> NDArray[np.int64]:
        """Return integers in the order of the samples by their bytes, the same for equal ones."""
        ranks: NDArray[np.int64] = np.zeros(len(self.y), np.int64)
        of_features: Iterable[NDArray[np.float64]] = ()
        if isinstance(self.X, SparseRows):
            ranks = _ranks_of_lists(self.X)
        else:
            of_features = _columns(self.X)
        for columns in chain(of_features, [self.y.reshape(len(ranks), -1)]):
            # -0.0 + 0.0 is 0.0, and bytes are in the same order on every machine.
            numbers = np.ascontiguousarray(columns + 0.0, dtype=">f8")
            keys = numbers.view(np.dtype((np.void, 8 * numbers.shape[1]))).ravel()
            _, next_ranks = np.unique(keys, return_inverse=True)
            distinct, ranks = np.unique(ranks * len(ranks) + next_ranks, return_inverse=True)
            if len(distinct) == len(ranks):
                break
        return ranks


def _columns(X: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield all features, some at a time."""
    for start in range(0, X.shape[1], COLUMNS_AT_ONCE):
        yield X[:, start : start + COLUMNS_AT_ONCE]


def _ranks_of_lists(X: SparseRows) -> NDArray[np.int64]:
    """Return the ranks that rows would have as an array, where 0 has the least bytes.

    Of two lists, at the first difference, that of the lower feature is not 0 where the other is.
    """
    kept = X.number != 0
    entries = np.empty(np.count_nonzero(kept), [("from_last", ">i8"), ("number", ">f8")])
    entries["from_last"], entries["number"] = X.n_units - X.unit[kept], X.number[kept]
    ends = np.concatenate([[0], np.cumsum(kept)])[X.begin] * entries.itemsize
    data = entries.tobytes()
    keys = [data[a:b] for a, b in pairwise(ends.tolist())]
    rank_of = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([rank_of[key] for key in keys], np.int64)


def parts_of(X: Any, order: NDArray[np.int64] | None) -> Iterator[Any]:
    """Yield an order in parts of no more rows than there are, or a slice of all rows for None.

    So weights of samples take no memory for copies.
    """
    if order is None:
        yield slice(None)
        return
    at_once = max(ROWS_AT_ONCE, len(X))
    for start in range(0, max(1, len(order)), at_once):
        yield order[start : start + at_once]
