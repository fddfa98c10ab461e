"""Fills templates of C, and writes numbers as C has them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

#: What is filled in: a comment ``/*@name@*/``, or a word ``@name@``.
PLACES: Final = re.compile(r"/\*@(\w+)@\*/|@(\w+)@")

#: The names that begin with that of the network.
NAMES: Final = re.compile(r"\b(net|NET)_(?=\w)")

#: Lines that begin and end what is there under a condition.
CONDITION: Final = re.compile(r"#if (!?)(\w+)(?: == (\d+))?")

#: Numbers of an array in a line.
NUMBERS_PER_LINE: Final = 16


def fill(template: str, stem: str, parts: Mapping[str, str], constants: Mapping[str, int]) -> str:
    """Return a template with its parts, and with `stem` in the place of ``net``.

    Parameters
    ----------
    template : str
        The name of a file of this folder.
    stem : str
        What all public names begin with.
    parts : mapping of str
        The text for each place.
    constants : mapping of int
        What conditions may ask for: lines for another network are left out.
    """
    text = resolved(files(__package__).joinpath(template).read_text("utf-8"), constants)
    return renamed(PLACES.sub(lambda place: parts[place[1] or place[2]], text), stem)


def renamed(text: str, stem: str) -> str:
    """Return a text with `stem` in the place of ``net`` at the beginning of names."""
    return NAMES.sub(lambda name: f"{stem}_" if name[1] == "net" else f"{stem.upper()}_", text)


def resolved(text: str, constants: Mapping[str, int]) -> str:
    """Return a text without the lines whose condition on known constants does not hold.

    ``#if NAME``, ``#if !NAME`` and ``#if NAME == number`` are known; others stay as they are.
    """
    kept: list[str] = []
    open_conditions: list[bool | None] = []  # whether one holds; None for one that stays
    for line in text.split("\n"):
        if line.startswith("#if"):
            condition = CONDITION.fullmatch(line)
            holds = None
            if condition is not None and condition[2] in constants:
                value = constants[condition[2]]
                holds = (value == int(condition[3]) if condition[3] else value != 0) != (
                    condition[1] == "!"
                )
            open_conditions.append(holds)
        elif line == "#else" and open_conditions[-1] is not None:
            open_conditions[-1] = not open_conditions[-1]
            continue
        elif line == "#endif":
            holds = open_conditions.pop()
        else:
            holds = None
        if holds is None and False not in open_conditions:
            kept.append(line)
    return "\n".join(kept)


def defined(constants: Mapping[str, int]) -> str:
    """Return the lines that define numbers."""
    width = max(map(len, constants))
    return "\n".join(f"#define {name:{width}} {number(n)}" for name, n in constants.items())


def number(value: int) -> str:
    """Return an integer as C writes it within an expression."""
    return f"({value})" if value < 0 else str(value)


def array_of(declared: str, values: Iterable[int] = ()) -> str:
    """Return the declaration of an array with its first numbers, unless all are zero."""
    numbers = [str(int(value)) for value in values]
    if all(text == "0" for text in numbers):
        return f"{declared};"
    lines = (
        f"    {', '.join(numbers[start : start + NUMBERS_PER_LINE])},"
        for start in range(0, len(numbers), NUMBERS_PER_LINE)
    )
    return "\n".join([f"{declared} = {{", *lines, "};"])
