"""Which samples each shard learns in each round, whatever the workers are.

The samples are in partitions. An epoch draws an order of the partitions, and one within each. A
shard takes the next part of that order, so that it reads few partitions, one after the other; and a
round the next part of a shard. All follows from the numbers below, so that a run gives the same
integers on any number of workers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.data.images import shuffled


class Part(NamedTuple):
    """Samples of one partition, in the order in which they are learned.

    Attributes
    ----------
    partition : int
        The partition.
    rows : ndarray of shape (n,), int64
        Its rows.
    """

    partition: int
    rows: NDArray[np.int64]


class Plan(NamedTuple):
    """The samples of shards and rounds.

    Attributes
    ----------
    lengths : tuple of int
        The samples of each partition.
    n_shards : int
        The shards, at most as many as there are samples.
    samples_per_round : int
        The most samples that a shard learns in a round.
    seed : int or None
        Seeds the orders; None keeps the order in which samples are given.
    """

    lengths: tuple[int, ...]
    n_shards: int
    samples_per_round: int
    seed: int | None

    @property
    def n_samples(self) -> int:
        """The samples of an epoch."""
        return sum(self.lengths)

    @property
    def n_rounds(self) -> int:
        """The rounds of an epoch."""
        most = -(-self.n_samples // self.n_shards)
        return -(-most // self.samples_per_round)

    def round(self, epoch: int, i: int) -> list[list[Part]]:
        """Return the samples of each shard in round `i` of an epoch, in their order."""
        partitions: NDArray[np.int64] = np.arange(len(self.lengths))
        if self.seed is not None:
            partitions = shuffled(len(partitions), self.seed, epoch)
        ends = np.cumsum(np.array(self.lengths)[partitions])
        shards = [self.n_samples * s // self.n_shards for s in range(self.n_shards + 1)]
        return [
            self._parts(
                epoch,
                partitions,
                ends,
                first + (last - first) * i // self.n_rounds,
                first + (last - first) * (i + 1) // self.n_rounds,
            )
            for first, last in pairwise(shards)
        ]

    def _parts(
        self,
        epoch: int,
        partitions: NDArray[np.int64],
        ends: NDArray[np.int64],
        first: int,
        last: int,
    ) -> list[Part]:
        """Return some of the order of an epoch by partition."""
        parts = []
        at = int(np.searchsorted(ends, first, side="right"))
        while first < last:
            partition, end = int(partitions[at]), int(ends[at])
            begin = end - self.lengths[partition]
            rows = self._order(epoch, partition)[first - begin : last - begin]
            if len(rows):
                parts.append(Part(partition, rows))
            first, at = max(first, end), at + 1
        return parts

    def _order(self, epoch: int, partition: int) -> NDArray[np.int64]:
        """Return the order of the samples of a partition."""
        n = self.lengths[partition]
        if self.seed is None:
            return np.arange(n)
        return np.random.RandomState([self.seed, epoch, partition]).permutation(n)
