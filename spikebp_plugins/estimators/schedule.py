"""The learning rate of an estimator, which is halved as samples go by."""

from __future__ import annotations

from typing import Final, NamedTuple

#: After how many training samples the rate is halved first, and by how much that grows each time.
FIRST_MARK: Final = 128
GROWTH: Final = 4


class Schedule(NamedTuple):
    """A learning rate and how often it is halved: after 128 training samples, 512, 2,048, ..

    Attributes
    ----------
    rate : float
        The learning rate before the first mark.
    halvings : int
        How many marks there are.
    """

    rate: float
    halvings: int

    @property
    def lowest(self) -> float:
        """The learning rate after the last mark."""
        return self.rate / 2.0**self.halvings

    def at(self, n_seen: int) -> float:
        """Return the learning rate after some training samples."""
        return self.rate / 2.0 ** sum(mark <= n_seen for mark in self._marks)

    def lasts(self, n_seen: int, n_samples: int) -> int:
        """Return how many of some samples to come are learned at the present rate."""
        return min([n_samples, *(mark - n_seen for mark in self._marks if mark > n_seen)])

    @property
    def _marks(self) -> list[int]:
        return [FIRST_MARK * GROWTH**i for i in range(self.halvings)]
