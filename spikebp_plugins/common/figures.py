"""Numbers as text in commands, reports and errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def count(value: float | None) -> str:
    """Return a mean count as text; None is a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def shapes(layers: Iterable[Sequence[int]]) -> str:
    """Return the shapes of layers as text.

    Examples
    --------
    >>> shapes([(28, 28), (12, 12, 16), (10,)])
    '28x28-12x12x16-10'
    """
    return "-".join("x".join(map(str, sizes)) for sizes in layers)


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Return two numbers with six digits, or with all where these are the same.

    Examples
    --------
    >>> told_apart(2**53, 1e300)
    ('9.0072e+15', '1e+300')
    >>> told_apart(2**53, 2**53 + 1)
    ('9007199254740992', '9007199254740993')
    """
    short = f"{first:.6g}", f"{second:.6g}"
    return short if short[0] != short[1] else (_whole(first), _whole(second))


def _whole(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:.17g}"
