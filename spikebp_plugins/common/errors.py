"""The one form that a message about a wrong argument has."""

from collections.abc import Iterable


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
