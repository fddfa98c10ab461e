"""Rows of input that list the units that have some: those of a sparse matrix of SciPy.

A row is the input of a sample, or of all steps of a sample one behind the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS_AND_BOOLEANS, array_of, wrong_argument

#: The most units of a row.
LARGEST_ROW: Final = 2**31 - 1


@dataclass(frozen=True, eq=False, slots=True)
class SparseRows:
    """Rows of numbers, most of them zero, by lists of those that are not.

    Attributes
    ----------
    begin : ndarray of shape (n_rows + 1,), int64
        Where the list of each row begins, and where the last one ends.
    unit : ndarray of int32
        The units of all lists; in a row each once, and in order if it has the input of several
        steps.
    number : ndarray
        The number of each.
    n_units : int
        The units of a row.
    """

    begin: NDArray[np.int64]
    unit: NDArray[np.int32]
    number: NDArray[Any]
    n_units: int

    @classmethod
    def one(cls, unit: NDArray[Any], number: NDArray[Any], n_units: int) -> SparseRows:
        """Return a row, given its units in order and their numbers."""
        begin = np.array([0, len(unit)], np.int64)
        return cls(begin, np.ascontiguousarray(unit, np.int32), number, n_units)

    @classmethod
    def none(cls, n_units: int) -> SparseRows:
        """Return a row of zeros."""
        return cls.one(np.empty(0, np.int32), np.empty(0, np.int64), n_units)

    def __len__(self) -> int:
        return len(self.begin) - 1

    def __getitem__(self, index: slice | NDArray[np.int64]) -> SparseRows:
        if isinstance(index, np.ndarray):
            return self._taken(index)
        n = len(self)
        start, stop, _ = index.indices(n)
        if start == 0 and stop == n:
            return self
        begin = self.begin[start : max(start, stop) + 1]
        # Whoever converts the numbers of a block would else convert those of all others too.
        listed = slice(begin[0], begin[-1])
        return SparseRows(begin - begin[0], self.unit[listed], self.number[listed], self.n_units)

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

    def copy(self) -> SparseRows:
        """Return a copy."""
        lists = self.begin.copy(), self.unit.copy(), self.number.copy()
        return SparseRows(*lists, self.n_units)

    def matrix(self) -> Any:
        """Return the rows as a sparse matrix of SciPy."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.number, self.unit, self.begin), self.shape)

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
        rows[self.row_of_each, self.unit] = self.number
        return rows

    def by_step(self, n_units: int) -> SparseRows:
        """Return rows of several steps as a row for each step, of so many units."""
        place = self.row_of_each * self.n_units + self.unit
        begin = np.searchsorted(place, np.arange(0, len(self) * self.n_units + 1, n_units))
        return SparseRows(begin.astype(np.int64), self.unit % n_units, self.number, n_units)

    def by_sample(self, n_steps: int) -> SparseRows:
        """Return rows of single steps as a row for each sample of so many.

        Raises
        ------
        ValueError
            If 32 bits do not hold the number of its units.
        """
        n_units = n_steps * self.n_units
        if n_units > LARGEST_ROW:
            allowed = f"at most {LARGEST_ROW}, for a list of 32 bits"
            raise wrong_argument(f"{n_steps} steps of {self.n_units} inputs", allowed, n_units)
        unit = self.unit + self.row_of_each % n_steps * self.n_units
        return SparseRows(self.begin[::n_steps], unit.astype(np.int32), self.number, n_units)

    def renamed(self, names: NDArray[np.int32], n_units: int) -> SparseRows:
        """Return the rows with other names for their units; those of -1 are left out."""
        renamed = names[self.unit]
        kept = renamed >= 0
        entries = self.row_of_each[kept], renamed[kept], self.number[kept]
        return rows_of_entries(*entries, (len(self), n_units))

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
        number : ndarray of shape (n_rows or 1, n)
            The numbers of each row, or of all.
        """
        n, n_added = len(self), len(unit)
        if n == 1:
            begin = np.array([0, n_added + len(self.unit)])
            units: Any = np.concatenate([unit, self.unit], dtype=np.int32, casting="same_kind")
            return SparseRows(begin, units, np.concatenate([number[0], self.number]), self.n_units)
        begin = self.begin + n_added * np.arange(n + 1)
        at = begin[:-1, np.newaxis] + np.arange(n_added)
        is_there = np.ones(begin[-1], np.bool_)
        is_there[at] = False
        units, numbers = np.empty(begin[-1], np.int32), np.empty(begin[-1])
        units[at], units[is_there] = unit, self.unit
        numbers[at], numbers[is_there] = number, self.number
        return SparseRows(begin, units, numbers, self.n_units)

    @property
    def row_of_each(self) -> NDArray[np.int64]:
        """The row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.begin))


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
    rows = [part if isinstance(part, SparseRows) else rows_of_array(part) for part in parts]
    begins: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    end = 0
    for part in rows:
        begins.append(part.begin[1:] + end)
        end += part.begin[-1]
    return SparseRows(
        np.concatenate(begins),
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
    return rows_of_entries(row, unit, x[row, unit], (len(x), x.shape[1]))


def rows_of_entries(
    row: NDArray[np.int64], unit: NDArray[Any], number: NDArray[Any], shape: tuple[int, int]
) -> SparseRows:
    """Return rows, given row, unit and number of each entry, row by row, and the shape of all."""
    n_rows, n_units = shape
    begin = np.searchsorted(row, np.arange(n_rows + 1)).astype(np.int64)
    return SparseRows(begin, unit.astype(np.int32, copy=False), number, n_units)


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
    unit = unit[:n]
    # A negative one is larger than all others, read without its sign.
    if n and not np.maximum.reduce(unit.view(f"u{unit.itemsize}")) < n_units:
        allowed = f"a sparse matrix with columns from 0 to {n_units - 1}"
        raise wrong_argument(name, allowed, f"{unit.min()} to {unit.max()}")
    if n_units > LARGEST_ROW:
        raise wrong_argument(name, f"of at most {LARGEST_ROW} columns", f"shape {csr.shape}")
    # What SciPy notes of the order may be older than the entries.
    is_rising, starts = unit[1:] > unit[:-1], begin[1:-1]
    if len(starts):
        is_rising[starts[(starts > 0) & (starts < n)] - 1] = True
    if 0 in is_rising.tobytes():
        csr = csr.copy()
        csr.sum_duplicates()
    number = array_of(name, csr.data, REALS_AND_BOOLEANS, "a sparse matrix of real numbers")
    if number.dtype.char == "?":
        number = number.astype(np.uint8)
    begin, n = np.ascontiguousarray(csr.indptr, np.int64), int(csr.indptr[-1])
    unit = np.ascontiguousarray(csr.indices[:n], np.int32)
    return SparseRows(begin, unit, np.ascontiguousarray(number[:n]), n_units)
