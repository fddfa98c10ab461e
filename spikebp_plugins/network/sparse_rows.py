"""Rows of input that list the units that have some: those of a sparse matrix of SciPy."""

from __future__ import annotations

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

    def __getitem__(self, index: slice) -> SparseRows:
        start, stop, _ = index.indices(len(self))
        return SparseRows(self.begin[start : stop + 1], self.unit, self.number, self.n_units)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the matrix."""
        return len(self), self.n_units

    def dense(self) -> NDArray[Any]:
        """Return the rows as an array."""
        rows = np.zeros(self.shape, self.number.dtype)
        listed = slice(self.begin[0], self.begin[-1])
        of_row = np.repeat(np.arange(len(self)), np.diff(self.begin))
        rows[of_row, self.unit[listed]] = self.number[listed]
        return rows


def of_one_step(x: NDArray[Any] | SparseRows) -> NDArray[Any]:
    """Return a row of input as an array of one sample and one step."""
    row: NDArray[Any] = x.dense() if isinstance(x, SparseRows) else x[np.newaxis]
    return row[np.newaxis]


def is_sparse(x: Any) -> bool:
    """Return whether something is a sparse matrix or array of SciPy, which need not be there."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


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
    begin, unit = np.asarray(csr.indptr, np.int64), np.asarray(csr.indices)
    n = int(begin[-1])
    if begin[0] or (np.diff(begin) < 0).any() or not n <= min(len(unit), len(csr.data)):
        raise wrong_argument(name, "a sparse matrix whose rows lie in order", "another indptr")
    if n and not 0 <= unit[:n].min() <= unit[:n].max() < csr.shape[1]:
        allowed = f"a sparse matrix with columns from 0 to {csr.shape[1] - 1}"
        raise wrong_argument(name, allowed, f"{unit[:n].min()} to {unit[:n].max()}")
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    number = array_of(name, csr.data, REALS_AND_BOOLEANS, "a sparse matrix of real numbers")
    if number.dtype.char == "?":
        number = number.astype(np.uint8)
    begin, n = np.ascontiguousarray(csr.indptr, np.int64), int(csr.indptr[-1])
    unit = np.ascontiguousarray(csr.indices[:n], np.int32)
    return SparseRows(begin, unit, np.ascontiguousarray(number[:n]), csr.shape[1])
