"""Figures as commands and reports print them."""

from __future__ import annotations


def count(value: float | None) -> str:
    """Return a mean count as text; None is a dash."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
