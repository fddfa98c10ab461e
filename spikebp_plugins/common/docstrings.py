"""Docstrings of classes that take the parameters of their bases, each described once.

docs/site_docstrings.py, which imports nothing of the package, runs this file.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import TypeVar

C = TypeVar("C", bound=type)

HEADING = "Parameters\n----------\n"
ATTRIBUTES = "Attributes\n----------\n"


def with_parameters(docstring: str, *others: str) -> str:
    """Return a docstring whose list of parameters is extended by those of other docstrings.

    Without such a list it has attributes, before which one begins.
    """
    if HEADING not in docstring:
        docstring = docstring.replace(ATTRIBUTES, f"{HEADING}\n\n{ATTRIBUTES}", 1)
    before, heading, after = docstring.partition(HEADING)
    own, gap, rest = after.partition("\n\n")
    lists = (own, *(other.partition(HEADING)[2] for other in others))
    parameters = "\n".join(filter(None, lists))
    return before + heading + parameters + gap + rest


def with_shared_parameters(cls: C) -> C:
    """Add to the docstring of a class the parameters that it has from bases that describe them."""
    bases = [
        base for base in cls.__mro__[1:] if HEADING in cleandoc(vars(base).get("__doc__") or "")
    ]
    cls.__doc__ = with_parameters(*(cleandoc(c.__doc__ or "") for c in (cls, *bases)))
    return cls
