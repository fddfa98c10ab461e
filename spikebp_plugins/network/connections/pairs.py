"""Pairs of units that synapses join, as an array that compares by value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Pairs(Sequence[tuple[int, int]]):
    """Pairs (i, j) of a unit below and a unit above: a sequence of tuples, each once, sorted.

    Tuples of Python's integers would take twenty times the memory.

    Parameters
    ----------
    i, j : ndarray of shape (n_pairs,)
        Their units, sorted by i and then by j.
    """

    def __init__(self, i: NDArray[Any], j: NDArray[Any]) -> None:
        self.i, self.j = (np.array(units, np.int32) for units in (i, j))
        for units in (self.i, self.j):
            units.flags.writeable = False

    def __len__(self) -> int:
        return len(self.i)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Pairs(self.i[index], self.j[index])
        return int(self.i[index]), int(self.j[index])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.i.tolist(), self.j.tolist(), strict=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pairs):
            return NotImplemented
        return np.array_equal(self.i, other.i) and np.array_equal(self.j, other.j)

    def __hash__(self) -> int:
        return hash((self.i.tobytes(), self.j.tobytes()))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Pairs, (self.i, self.j)

    def __deepcopy__(self, memo: dict[int, Any]) -> Pairs:
        return self
