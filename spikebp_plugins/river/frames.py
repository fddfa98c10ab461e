"""Mini-batches of river: a frame of features and a series of targets, both of pandas."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.river.names import Places, is_real

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: The kinds of types of which nothing but infinity and NaN has to be found.
NUMBERS: Final = frozenset("biuf")


def columns_of(X: pd.DataFrame) -> tuple[list[Hashable], Array]:
    """Return the names of the features of a frame, and their values.

    Returns
    -------
    list of hashable, ndarray of shape (n_samples, n_columns)

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
    if all(getattr(kind, "kind", "O") in NUMBERS for kind in X.dtypes):
        columns = X.to_numpy(dtype=np.float64)
        if np.isfinite(columns).all():
            return names, columns
    columns = np.empty(X.shape)
    for i, name in enumerate(names):
        columns[:, i] = real_numbers(f"X[{name!r}]", X.iloc[:, i].to_numpy())
    return names, columns


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
    columns: Array, names: list[Hashable], places: Places, width: int, missing: float
) -> Array:
    """Return columns by their places, of shape (n_samples, width); others are left out."""
    rows = np.full((len(columns), width), missing)
    known = [i for i, name in enumerate(names) if name in places]
    rows[:, [places[names[i]] for i in known]] = columns[:, known]
    return rows
