"""Figures as commands, reports and errors print them."""

from __future__ import annotations


def count(value: float | None) -> str:
    """Return a mean count as text; None is a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


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
