"""Checks of arguments, and the one form of message about a wrong argument.

A check returns the argument as plain Python has it. Callers go on with that: a product of numbers
of 16 bits, for example, would leave its range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Choice = TypeVar("Choice")
Number = TypeVar("Number", bound=np.generic)

#: The type codes of NumPy for `array_of`.
INTEGERS: Final = np.typecodes["AllInteger"]
REALS: Final = INTEGERS + np.typecodes["Float"]
REALS_AND_BOOLEANS: Final = REALS + "?"


class ArgumentError(ValueError, TypeError):
    """An argument has a value or a type that is not allowed.

    Both a ``ValueError`` and a ``TypeError``, so that a caller may catch either without having to
    know whether ``n_steps="ten"`` is a wrong value or a wrong type.
    """


def wrong_argument(name: str, allowed: str, got: object) -> ArgumentError:
    """Return the error for argument `name`: what is allowed, and what came.

    Examples
    --------
    >>> str(wrong_argument("n_steps", "a positive integer", 0))
    'n_steps must be a positive integer; got 0'
    """
    return ArgumentError(f"{name} must be {allowed}; got {got}")


def one_of(allowed: Iterable[object]) -> str:
    """Return the phrase "one of 'a', 'b'" for a message."""
    values = [repr(value) for value in allowed]
    return values[0] if len(values) == 1 else "one of " + ", ".join(values)


def is_integer(value: object) -> bool:
    """Return whether a value is an integer of Python or NumPy; a Boolean is none."""
    # The first comparison is a short cut for Python's own numbers.
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def integer(
    name: str,
    value: Any,
    lowest: int | None = None,
    highest: int | None = None,
    *,
    allowed: str | None = None,
) -> int:
    """Return an integer within bounds; `allowed` replaces what the message says of them.

    Examples
    --------
    >>> integer("n_steps", np.int16(3), 1)
    3
    """
    low, high = -math.inf if lowest is None else lowest, math.inf if highest is None else highest
    if not is_integer(value) or not low <= int(value) <= high:
        bounds = "" if lowest is None else f" of at least {lowest}"
        bounds = bounds if highest is None else f" from {lowest} to {highest}"
        raise wrong_argument(name, allowed or f"an integer{bounds}", repr(value))
    return int(value)


def sizes(name: str, value: Any, allowed: str, fewest: int = 0) -> tuple[int, ...]:
    """Return a sequence of at least `fewest` positive integers."""
    values = value.tolist() if isinstance(value, np.ndarray) else value
    is_sequence = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    if not is_sequence or len(values) < fewest or not all(is_integer(n) and n > 0 for n in values):
        raise wrong_argument(name, allowed, repr(value))
    return tuple(map(int, values))


def real(name: str, value: Any, allowed: str, holds: Callable[[float], bool]) -> float:
    """Return a finite number for which a condition holds."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    try:
        number = float(value) if is_real else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not holds(number):
        raise wrong_argument(name, allowed, repr(value))
    return number


def positive(name: str, value: Any, allowed: str = "a positive finite number") -> float:
    """Return a finite number above zero."""
    return real(name, value, allowed, lambda number: number > 0)


def rising_pair(name: str, value: Any) -> tuple[float, float]:
    """Return a sequence of two rising finite numbers; -0.0 becomes 0.0, to which it is equal."""
    values = value.tolist() if isinstance(value, np.ndarray) else value
    allowed = "two finite numbers, the second one larger"
    is_sequence = isinstance(values, Sequence) and not isinstance(values, (str, bytes))
    if not is_sequence or len(values) != 2:
        raise wrong_argument(name, allowed, repr(value))
    try:
        first, second = (real(name, number, allowed, math.isfinite) + 0.0 for number in values)
    except ArgumentError:
        raise wrong_argument(name, allowed, repr(value)) from None
    if not first < second:
        raise wrong_argument(name, allowed, repr(value))
    return first, second


def boolean(name: str, value: object) -> bool:
    """Return a Boolean; raise ArgumentError for any other value."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_argument(name, "True or False", repr(value))
    return bool(value)


def choice(name: str, value: object, allowed: Iterable[Choice], where: str = "") -> Choice:
    """Return the one of the allowed values that came; `where` says when these are allowed."""
    known = list(allowed)
    for one in known:
        if isinstance(value, type(one)) and value == one:
            return one
    raise wrong_argument(name, f"{one_of(known)} {where}".rstrip(), repr(value))


def as_array(name: str, values: Any, allowed: str) -> NDArray[Any]:
    """Return values as an array; refuse those of different lengths, and those that are masked."""
    if type(values) is np.ndarray:
        return values
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)  # type: ignore[no-untyped-call]
        if np.ma.flatten_mask(mask).any():  # type: ignore[no-untyped-call]
            raise wrong_argument(name, f"{allowed}, without masked values", "a masked array")
    try:
        return np.asarray(values)
    except ValueError:
        raise wrong_argument(name, allowed, "a ragged array") from None


def array_of(name: str, values: ArrayLike, typecodes: str, allowed: str) -> NDArray[Any]:
    """Return an array of one of some types."""
    array = as_array(name, values, allowed)
    if array.dtype.char not in typecodes:
        raise wrong_argument(name, allowed, f"an array of {array.dtype}")
    return array


def whole(name: str, array: NDArray[Any], allowed: str) -> NDArray[Any]:
    """Return an array of whole numbers of any type."""
    if array.dtype.kind == "f":
        is_whole = np.isfinite(array) & (np.rint(array) == array)
        if not is_whole.all():
            raise wrong_argument(name, allowed, array[~is_whole][0])
    return array


def finite(name: str, array: NDArray[Number], allowed: str = "finite") -> NDArray[Number]:
    """Return an array without infinities and NaN."""
    if array.dtype.kind in "iub":
        return array
    is_finite = np.isfinite(array)
    if not is_finite.all():
        raise wrong_argument(name, allowed, array[~is_finite][0])
    return array
