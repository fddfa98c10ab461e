"""Rows of input that list the units that have some: those of a sparse matrix of SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS_AND_BOOLEANS, array_of, wrong_argument


@dataclass(frozen=True, eq=False, slots=True)
class SparseRows:
    """Rows of numbers, most of them zero, by lists of those that are not.

    Attributes
    ----------
    begin : ndarray of shape (n_rows + 1,), int64
        Where the list of each row begins, and where the last one ends.
    unit : ndarray of int32
        The units of all lists; in a row each once, in any order.
    number : ndarray
        The number of each.
    n_units : int
        The units of a row.
    """

    begin: NDArray[np.int64]
    unit: NDArray[np.int32]
    number: NDArray[Any]
    n_units: int

    def __len__(self) -> int:
        return len(self.begin) - 1

    def __getitem__(self, index: slice | NDArray[np.int64]) -> SparseRows:
        if isinstance(index, np.ndarray):
            return self._taken(index)
        start, stop, _ = index.indices(len(self))
        return SparseRows(self.begin[start : stop + 1], self.unit, self.number, self.n_units)

    def _taken(self, rows: NDArray[np.int64]) -> SparseRows:
        """Return copies of some rows."""
        sizes = self.begin[rows + 1] - self.begin[rows]
        begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        at = np.repeat(self.begin[rows] - begin[:-1], sizes) + np.arange(begin[-1])
        return SparseRows(begin, self.unit[at], self.number[at], self.n_units)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return len(self), self.n_units

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return self.number.dtype

    def matrix(self) -> Any:
        """Return the rows as a sparse matrix of SciPy."""
        from scipy.sparse import csr_matrix

        listed = slice(self.begin[0], self.begin[-1])
        lists = self.number[listed], self.unit[listed], self.begin - self.begin[0]
        return csr_matrix(lists, self.shape)

    def apart(
        self, rows: NDArray[np.int64] | None = None, dtype: np.dtype[Any] | None = None
    ) -> RowsApart:
        """Return copies of all or of some rows, of their own type or of one that holds it."""
        rows = np.arange(len(self)) if rows is None else rows
        dtype = dtype or self.dtype
        apart = RowsApart.room(len(rows), self.n_units, dtype)
        for i, row in enumerate(rows.tolist()):
            listed = slice(self.begin[row], self.begin[row + 1])
            apart.lists[i] = np.empty(listed.stop - listed.start, _entry(dtype))
            apart.lists[i]["unit"] = self.unit[listed]
            apart.lists[i]["number"] = self.number[listed]
        return apart

    def dense(self) -> NDArray[Any]:
        """Return the rows as an array."""
        rows = np.zeros(self.shape, self.number.dtype)
        row, unit, number = self.entries()
        rows[row, unit] = number
        return rows

    def entries(self) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
        """Return row, unit and number of all entries, row by row."""
        row = np.repeat(np.arange(len(self)), np.diff(self.begin))
        listed = slice(self.begin[0], self.begin[-1])
        return row, self.unit[listed], self.number[listed]

    def compact(self) -> SparseRows:
        """Return the rows with no entries but theirs."""
        if self.begin[0] == 0 and self.begin[-1] == len(self.unit):
            return self
        listed = slice(self.begin[0], self.begin[-1])
        return SparseRows(
            self.begin - self.begin[0], self.unit[listed], self.number[listed], self.n_units
        )

    def renamed(self, names: NDArray[np.int32], n_units: int) -> SparseRows:
        """Return the rows with other names for their units; those of -1 are left out."""
        row, unit, number = self.entries()
        renamed = names[unit]
        kept = renamed >= 0
        begin = np.searchsorted(row[kept], np.arange(len(self) + 1)).astype(np.int64)
        return SparseRows(begin, renamed[kept], number[kept], n_units)

    def resized(self, n_units: int) -> SparseRows:
        """Return the rows of the first units, or of more, which have no entries."""
        names = np.arange(self.n_units, dtype=np.int32)
        return self.renamed(np.where(names < n_units, names, np.int32(-1)), n_units)

    def with_entries(self, unit: NDArray[Any], number: NDArray[Any]) -> SparseRows:
        """Return the rows with entries of other units in front of theirs.

        Parameters
        ----------
        unit : ndarray of shape (n,)
            Units, of which no row has an entry.
        number : ndarray of shape (n_rows, n)
            The numbers of each row.
        """
        rows, (n, n_added) = self.compact(), number.shape
        begin = rows.begin + n_added * np.arange(n + 1)
        if n == 1:
            units: Any = np.concatenate([unit.astype(np.int32), rows.unit])
            return SparseRows(begin, units, np.concatenate([number[0], rows.number]), self.n_units)
        at = begin[:-1, np.newaxis] + np.arange(n_added)
        is_there = np.ones(begin[-1], np.bool_)
        is_there[at] = False
        units, numbers = np.empty(begin[-1], np.int32), np.empty(begin[-1])
        units[at], units[is_there] = unit, rows.unit
        numbers[at], numbers[is_there] = number, rows.number
        return SparseRows(begin, units, numbers, self.n_units)


@dataclass(frozen=True, eq=False, slots=True)
class RowsApart:
    """Rows whose lists are arrays of their own, so that one is replaced without the others.

    Attributes
    ----------
    lists : ndarray of shape (n_rows,), object
        For each row an array of its units and their numbers.
    n_units : int
        The units of a row.
    dtype : dtype
        The type of the numbers.
    """

    lists: NDArray[np.object_]
    n_units: int
    dtype: np.dtype[Any]

    @classmethod
    def room(cls, n: int, n_units: int, dtype: np.dtype[Any]) -> RowsApart:
        """Return room for n rows, which are yet to be set."""
        return cls(np.empty(n, object), n_units, dtype)

    def __len__(self) -> int:
        return len(self.lists)

    def __getitem__(self, index: Any) -> RowsApart:
        return RowsApart(self.lists[index], self.n_units, self.dtype)

    def __setitem__(self, index: Any, rows: RowsApart) -> None:
        self.lists[index] = rows.lists

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return len(self), self.n_units

    @property
    def nbytes(self) -> int:
        """The bytes of all lists."""
        return sum(entries.nbytes for entries in self.lists)

    def equals(self, other: Any) -> bool:
        """Return whether something else has the same lists."""
        return (
            isinstance(other, RowsApart)
            and self.dtype == other.dtype
            and all(map(np.array_equal, self.lists, other.lists))
        )

    def joined(self) -> SparseRows:
        """Return the rows with their lists one behind the other."""
        entries = np.concatenate([np.empty(0, _entry(self.dtype)), *self.lists])
        unit, number = (np.ascontiguousarray(entries[name]) for name in ("unit", "number"))
        begin = np.cumsum([0, *map(len, self.lists)], dtype=np.int64)
        return SparseRows(begin, unit, number, self.n_units)


def _entry(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of an entry of a list."""
    return np.dtype([("unit", np.int32), ("number", dtype)])


def of_one_step(x: NDArray[Any] | SparseRows) -> NDArray[Any]:
    """Return a row of input as an array of one sample and one step."""
    row: NDArray[Any] = x.dense() if isinstance(x, SparseRows) else x[np.newaxis]
    return row[np.newaxis]


def joined_rows(parts: Sequence[Any]) -> SparseRows:
    """Return rows one behind the other; those of arrays, too."""
    rows = [(p if isinstance(p, SparseRows) else rows_of_array(p)).compact() for p in parts]
    ends = np.cumsum([0, *(part.begin[-1] for part in rows)])
    begins = [part.begin[1:] + end for part, end in zip(rows, ends, strict=False)]
    return SparseRows(
        np.concatenate([np.zeros(1, np.int64), *begins]),
        np.concatenate([part.unit for part in rows]),
        np.concatenate([part.number for part in rows]),
        rows[0].n_units,
    )


def is_sparse(x: Any) -> bool:
    """Return whether something is a sparse matrix or array of SciPy, which need not be there."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def rows_of_array(x: NDArray[Any]) -> SparseRows:
    """Return the rows of an array of two dimensions."""
    row, unit = np.nonzero(x)
    begin = np.searchsorted(row, np.arange(len(x) + 1)).astype(np.int64)
    return SparseRows(begin, unit.astype(np.int32), x[row, unit], x.shape[1])


def rows_of_matrix(name: str, matrix: Any) -> SparseRows:
    """Return the rows of a sparse matrix, whose equal entries are added.

    Raises
    ------
    ValueError
        If it is no matrix of real numbers, or has entries that lie outside.
    """
    csr = matrix.tocsr()
    if csr.ndim != 2:
        raise wrong_argument(name, "a sparse matrix of two dimensions", f"shape {csr.shape}")
    # Whoever makes one from its parts may get them wrong; sums, and engines, trust them.
    begin, unit, n_units = csr.indptr, csr.indices, csr.shape[1]
    n = int(begin[-1])
    is_in_order = begin[0] == 0 and (len(begin) == 2 or not (begin[1:] < begin[:-1]).any())
    if not (is_in_order and 0 <= n <= min(len(unit), len(csr.data))):
        raise wrong_argument(name, "a sparse matrix whose rows lie in order", "another indptr")
    lowest, highest = unit[:n].min(initial=0), unit[:n].max(initial=0)
    if lowest < 0 or highest >= max(n_units, 1):
        allowed = f"a sparse matrix with columns from 0 to {n_units - 1}"
        raise wrong_argument(name, allowed, f"{lowest} to {highest}")
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    number = array_of(name, csr.data, REALS_AND_BOOLEANS, "a sparse matrix of real numbers")
    if number.dtype.char == "?":
        number = number.astype(np.uint8)
    begin, n = np.ascontiguousarray(csr.indptr, np.int64), int(csr.indptr[-1])
    unit = np.ascontiguousarray(csr.indices[:n], np.int32)
    return SparseRows(begin, unit, np.ascontiguousarray(number[:n]), n_units)
