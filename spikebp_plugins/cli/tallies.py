"""How far what a network says of rows is from what the table says, and how that is printed."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.cli.output import percent, print_table

#: A confusion table of more classes would be wider than a terminal; the usual mistakes are listed.
MOST_IN_TABLE: Final = 12
MOST_MISTAKES: Final = 12


class ClassTally:
    """The rows of each class, by the class that the network names.

    Attributes
    ----------
    counts : Counter of (str, str)
        How many rows of a class were given which name.
    """

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, y: NDArray[Any], said: NDArray[Any]) -> None:
        """Count rows, given their classes and what the network says."""
        self.counts.update(zip(y.tolist(), said.tolist(), strict=True))

    @property
    def n(self) -> int:
        """The number of rows."""
        return self.counts.total()

    @property
    def classes(self) -> list[str]:
        """The classes that have come, in order."""
        return sorted({name for pair in self.counts for name in pair})

    def __str__(self) -> str:
        return f"error {percent(self._error())}"

    def _error(self) -> float:
        wrong = sum(n for (y, said), n in self.counts.items() if y != said)
        return 100 * wrong / self.n if self.n else math.nan

    def _of_class(self, name: str) -> int:
        return sum(n for (y, _), n in self.counts.items() if y == name)

    def _error_of_one_name(self) -> float:
        """Return the error of calling all rows by the name that most have."""
        most = max(map(self._of_class, self.classes), default=0)
        return 100 * (1 - most / self.n) if self.n else math.nan

    def report(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        confusion = [[self.counts[y, said] for said in self.classes] for y in self.classes]
        return {
            "error": self._error(),
            "error_of_one_name": self._error_of_one_name(),
            "classes": self.classes,
            "confusion": confusion,
        }

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table of results."""
        return [
            ("error", percent(self._error())),
            ("error of always the most frequent class", percent(self._error_of_one_name())),
        ]

    def print(self, of: str) -> None:
        """Print which classes are taken for which."""
        if not self.n:
            return
        if len(self.classes) <= MOST_IN_TABLE:
            rows = [
                (y, *(f"{self.counts[y, said]:,}" for said in self.classes)) for y in self.classes
            ]
            print_table(of, ("taken for", *self.classes), rows)
            return
        wrong = Counter({pair: n for pair, n in self.counts.items() if pair[0] != pair[1]})
        print_table(
            f"{of}: the most frequent mistakes",
            ("class", "taken for", "rows", "of"),
            [
                (y, said, f"{n:,}", f"{self._of_class(y):,}")
                for (y, said), n in wrong.most_common(MOST_MISTAKES)
            ],
        )


class NumberTally:
    """The errors of numbers that a network says.

    Attributes
    ----------
    n : int
        The number of rows.
    """

    def __init__(self) -> None:
        self.n, self._mean = 0, 0.0
        # Sums of squares: of errors, and of differences from the mean.
        self._of_errors = self._of_differences = 0.0

    def add(self, y: NDArray[Any], said: NDArray[Any]) -> None:
        """Count rows, given their numbers and what the network says."""
        if not len(y):
            return
        n, mean = self.n + len(y), float(y.mean())
        step = mean - self._mean
        self._of_errors += float(np.sum((y - said) ** 2))
        self._of_differences += float(np.sum((y - mean) ** 2)) + step**2 * self.n * len(y) / n
        self._mean += step * len(y) / n
        self.n = n

    def __str__(self) -> str:
        error, r2 = self._figures()
        return f"root mean square error {error:.4g}, R² {r2:.4f}"

    def _figures(self) -> tuple[float, float]:
        """Return the root mean square error and R²; NaN where they are not known."""
        error = math.sqrt(self._of_errors / self.n) if self.n else math.nan
        spread = self._of_differences
        return error, 1 - self._of_errors / spread if spread else math.nan

    def report(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return dict(zip(("root_mean_square_error", "r2"), self._figures(), strict=True))

    def rows(self) -> list[tuple[str, str]]:
        """Return the rows of the table of results."""
        error, r2 = self._figures()
        return [("root mean square error", f"{error:.4g}"), ("R²", f"{r2:.4f}")]

    def print(self, of: str) -> None:
        """Print nothing more."""


Tally = ClassTally | NumberTally
