"""Names of features and labels in a stream, and the indices that they get."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.sparse_rows import SparseRows

Places = Mapping[Hashable, int]

ONE_OR_MORE: Final = "an integer of at least 1"

#: A sample is a list if there are more than so many times its features.
MANY: Final = 8

#: The types of most values, of which nothing but infinity and NaN has to be found.
_NUMBERS: Final = frozenset([float, int, np.float64])


def capacity(name: str, value: Any) -> int | None:
    """Return the largest number of names, from the parameter `name`; None for any number."""
    return None if value is None else integer(name, value, 1, allowed="None or " + ONE_OR_MORE)


def new_places(
    places: Places, names: Iterable[Hashable], parameter: str, most: int | None
) -> dict[Hashable, int]:
    """Return the indices of those names that are new: the next ones that are free.

    Parameters
    ----------
    places : mapping
        The places of the names before.
    names : iterable
        Names, some of them new.
    parameter : str
        The parameter of an estimator that says how many names there may be.
    most : int or None
        Its value.

    Raises
    ------
    ValueError
        If there are more.
    """
    new = [name for name in names if name not in places]
    if not new:
        return {}
    new.sort(key=repr)  # so that the order of a sample's features has no effect
    count = len(places) + len(new)
    if most is not None and count > most:
        allowed = f"at least {count}, so that there is room for {new[most - len(places)]!r}"
        raise wrong_argument(parameter, allowed, most)
    return {name: place for place, name in enumerate(new, len(places))}


class FeatureReader:
    """Reads the features of samples; fast where a sample has the names of the last, in order."""

    def __init__(self) -> None:
        self._names: tuple[Hashable, ...] = ()
        self._at: NDArray[np.int32] = np.empty(0, np.int32)

    def knows(self, x: Mapping[Any, Any], places: Places) -> bool:
        """Return whether all features of a sample have places; they stay what they are."""
        names = tuple(x)
        if names == self._names:
            return True
        found = [places.get(name, -1) for name in names]
        if -1 in found:
            return False
        self._names, self._at = names, np.array(found, np.int32)
        return True

    def features(
        self, x: Mapping[Any, Any], places: Places, new: Places, width: int, missing: float
    ) -> NDArray[np.float64] | SparseRows:
        """Return the features of a sample by their places.

        Parameters
        ----------
        x : mapping
            Real numbers by name.
        places, new : mapping
            The places of names; others are left out.
        width : int
            The number of indices.
        missing : float
            The value of features that the sample does not have.

        Returns
        -------
        ndarray of shape (1, width), or SparseRows
            Lists where the sample has few of many features, and others are 0.

        Raises
        ------
        ValueError
            If a value is no finite real number.
        """
        values = real_values(x)
        if self.knows(x, places):
            at = self._at
        else:
            found = [places[name] if name in places else new.get(name, -1) for name in x]
            values = [value for value, place in zip(values, found, strict=True) if place >= 0]
            at = np.array([place for place in found if place >= 0], np.int32)
        if missing == 0 and MANY * len(at) < width:
            return SparseRows(np.array([0, len(at)]), at, np.array(values, np.float64), width)
        features = np.full((1, width), missing)
        features[0, at] = values
        return features


def real_values(x: Mapping[Any, Any]) -> list[Any]:
    """Return the values of a sample, which must be finite real numbers."""
    values = list(x.values())
    if not (_NUMBERS.issuperset(map(type, values)) and is_finite(sum(values))):
        for name, value in x.items():
            if not is_real(value):
                raise wrong_argument(f"x[{name!r}]", "a finite real number", repr(value))
    return values


def is_missing(label: Any) -> bool:
    """Return whether a label is None, NaN, or a missing value of pandas."""
    try:
        return label is None or bool(label != label)
    except TypeError:  # whether pandas' NA is equal to itself is NA
        return True


def is_real(value: Any) -> bool:
    """Return whether a value is a finite real number."""
    return isinstance(value, (Real, np.bool_)) and is_finite(value)


def is_finite(value: Any) -> bool:
    """Return whether a number is finite, and a double may hold it."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no double holds
        return False
