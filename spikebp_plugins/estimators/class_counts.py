r"""How often a stream shows samples of classes, so that rare ones count as much as others.

With n samples so far, of :math:`n_c` in class c of K, and r in the rarest, a sample is shown

.. math:: \min\!\left(4, \frac{n}{K r}\right) \frac{r}{n_c}

times: each class as often as the others. `fit` repeats samples of a rare class as often as the
others demand; in a stream, where a sample comes once, a network has learned it by heart after four
times, and learns classes in balance only where samples of the others are left out. A class does not
count as rarer than one in 64 K, or one wrong label would stop the learning of all others. Counts
are halved from time to time, since proportions may change.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: A sample is shown so many times at most.
MOST_TIMES: Final = 4
#: A class counts as no rarer than one sample in so many, times the number of classes.
RAREST: Final = 64
#: Counts are halved when there are so many samples a class.
WINDOW: Final = 1024


class ClassCounts:
    """The samples of each class that a stream has had."""

    def __init__(self) -> None:
        self._counts: dict[Hashable, int] = {}
        self._total = 0

    def copy(self) -> ClassCounts:
        """Return an independent copy."""
        other = ClassCounts()
        other._counts, other._total = self._counts.copy(), self._total
        return other

    def weights(self, labels: Iterable[Hashable]) -> NDArray[np.float64]:
        """Count samples in turn, and return how often each is to be shown."""
        return np.array([self._weight(label) for label in labels], np.float64)

    def _weight(self, label: Hashable) -> float:
        counts = self._counts
        counts[label] = counts.get(label, 0) + 1
        self._total += 1
        if self._total >= WINDOW * len(counts):
            counts.update((name, (n + 1) // 2) for name, n in counts.items())
            self._total = sum(counts.values())
        of_one = self._total / len(counts)
        rarest = max(min(counts.values()), of_one / RAREST)
        return min(MOST_TIMES, of_one / rarest) * min(1.0, rarest / counts[label])
