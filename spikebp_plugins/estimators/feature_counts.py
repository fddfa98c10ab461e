"""How often each feature of a stream has not been zero, at the cost of those that are not."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

#: Counts are halved until they are of fewer readings than this.
MOST_READINGS: Final = 1 << 9


class FeatureCounts:
    """Counts of features, changed in place; what is too new is taken back.

    A scaling belongs to an estimator once its samples have been learned. If these are refused, the
    one before goes on, and its counts are those that it had: each change keeps what it has
    replaced, until a scaling that has seen as many samples asks.

    Parameters
    ----------
    n_features : int
        The number of features.
    """

    def __init__(self, n_features: int) -> None:
        # The readings that were not zero, and the samples at the end of the block that had the
        # first of them; -1 if none has come.
        self._of = np.empty((n_features, 2), np.int64)
        self._of[:] = 0, -1
        self._replaced: list[tuple[int, Integers, Integers]] = []

    @classmethod
    def of_counts(cls, counts: Integers) -> FeatureCounts:
        """Return counts as `at` returns them."""
        of_counts = cls(len(counts))
        of_counts._of[:] = counts
        return of_counts

    @classmethod
    def of_all(cls, nonzero: Integers, bits: int) -> FeatureCounts:
        """Return the counts of features that have not been zero so often, times 2^-bits."""
        counts = cls(len(nonzero))
        counts._of[:, 0], counts._of[:, 1] = nonzero >> bits, np.where(nonzero > 0, 0, -1)
        return counts

    def __len__(self) -> int:
        return len(self._of)

    def at(self, n_seen: int) -> Integers:
        """Return the counts after so many samples, of shape (n_features, 2).

        The second column has the number of samples after which each feature is counted; -1 if it
        has always been zero.
        """
        while self._replaced:
            after, features, values = self._replaced[-1]
            if after <= n_seen:
                self._replaced.clear()
            else:
                self._of[features] = values
                self._replaced.pop()
        return self._of

    def resized(self, n_features: int, n_seen: int) -> FeatureCounts:
        """Return a copy for more features, which have been 0 so far, or for the first ones."""
        counts, n = FeatureCounts(n_features), min(n_features, len(self))
        counts._of[:n] = self.at(n_seen)[:n]
        return counts

    def add(self, features: Integers, times: Any, n_seen: int) -> int:
        """Count readings that are not zero, and return how many features have come with them.

        Parameters
        ----------
        features : ndarray of shape (n,)
            Features.
        times : ndarray of shape (n,), or int
            How often each has not been zero.
        n_seen : int
            The samples with these.
        """
        before = self._of.take(features, axis=0)  # quicker than by an index
        self._replaced.append((n_seen, features, before))
        is_new = (before[:, 1] < 0) & (times > 0)
        n_new = 0
        if is_new.any():
            new = np.unique(features[is_new])
            self._of[new, 1] = n_seen
            n_new = len(new)
        np.add.at(self._of[:, 0], features, times)
        return n_new

    def shares(self, features: Integers, n_seen: int) -> tuple[Integers, Integers]:
        """Return for features that are counted how many of how many readings were not zero.

        Long counts are halved before, so that what came later counts more.
        """
        before = self._of.take(features, axis=0)
        nonzero, since = before.T
        n = n_seen - since
        if n.max(initial=0) >= MOST_READINGS:
            self._replaced.append((n_seen, features, before))
            by = np.frexp(n // MOST_READINGS)[1]
            nonzero, n = nonzero >> by, n >> by
            self._of[features] = np.stack([nonzero, n_seen - n], axis=1)
        return nonzero, n
