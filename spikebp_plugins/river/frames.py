"""Mini-batches of river: a frame of features and a series of targets, both of pandas."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.sparse_rows import SparseRows, rows_of_array, rows_of_matrix
from spikebp_plugins.river.names import MANY, Places, is_real

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: The kinds of types of which nothing but infinity and NaN has to be found.
NUMBERS: Final = frozenset("biuf")


def columns_of(X: pd.DataFrame) -> tuple[list[Hashable], Array | SparseRows]:
    """Return the names of the features of a frame, and their values.

    Returns
    -------
    list of hashable
        Names.
    ndarray of shape (n_samples, n_columns), or SparseRows
        Lists where all columns are sparse, as those of river's `BagOfWords` are.

    Raises
    ------
    ValueError
        If `X` is no frame, two columns have one name, or a value is no finite real number.
    """
    if not hasattr(X, "columns"):
        raise wrong_argument("X", "a DataFrame of pandas", type(X).__name__)
    names: list[Hashable] = X.columns.tolist()
    if len(set(names)) < len(names):
        raise wrong_argument("X", "a frame whose columns have different names", repr(names))
    if names and all(_lists_what_is_not_zero(kind) for kind in X.dtypes):
        listed = rows_of_matrix("X", X.sparse.to_coo())
        return names, replace(listed, number=real_numbers("X", listed.number))
    if all(getattr(kind, "kind", "O") in NUMBERS for kind in X.dtypes):
        columns = X.to_numpy(dtype=np.float64)
        if np.isfinite(columns).all():
            return names, columns
    columns = np.empty(X.shape)
    for i, name in enumerate(names):
        columns[:, i] = real_numbers(f"X[{name!r}]", X.iloc[:, i].to_numpy())
    return names, columns


def _lists_what_is_not_zero(kind: Any) -> bool:
    """Return whether a column of this type is a list of numbers of which all others are zero."""
    return hasattr(kind, "fill_value") and kind.kind in NUMBERS and kind.fill_value == 0


def targets_of(y: pd.Series, n_samples: int) -> list[Any]:
    """Return the targets of a series; raise ValueError if it has another length than a frame."""
    values = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(values) != n_samples:
        raise wrong_argument("y", f"of length {n_samples}, as X has rows", len(values))
    return values


def real_numbers(name: str, values: NDArray[Any]) -> Array:
    """Return an array of any type as doubles; raise ValueError if one is no finite real number."""
    if values.dtype.kind not in NUMBERS:
        for value in values.tolist():
            if not is_real(value):
                raise wrong_argument(name, "finite real numbers", repr(value))
    numbers: Array = values.astype(np.float64)
    is_wrong = ~np.isfinite(numbers)
    if is_wrong.any():
        raise wrong_argument(name, "finite real numbers", repr(values[is_wrong].tolist()[0]))
    return numbers


def placed(
    columns: Array | SparseRows,
    names: list[Hashable],
    places: Places,
    new: Places,
    width: int,
    missing: float,
) -> Array | SparseRows:
    """Return columns by their places, of shape (n_samples, width); others are left out."""
    found = (places[name] if name in places else new.get(name, -1) for name in names)
    at = np.array(list(found), np.int32)
    known = np.flatnonzero(at >= 0)
    if missing == 0 and (isinstance(columns, SparseRows) or MANY * len(known) < width):
        rows = columns if isinstance(columns, SparseRows) else rows_of_array(columns)
        return rows.renamed(at, width)
    values = columns.dense() if isinstance(columns, SparseRows) else columns
    filled = np.full((len(values), width), missing)
    filled[:, at[known]] = values[:, known]
    return filled
