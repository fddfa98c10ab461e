"""Fills templates of C, and writes numbers in C."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Final

from spikebp_plugins.common.errors import wrong_argument

#: A placeholder: a comment ``/*@name@*/``, or a word ``@name@``.
PLACES: Final = re.compile(r"/\*@(\w+)@\*/|@(\w+)@")

#: Lines that begin and end a conditional part.
CONDITION: Final = re.compile(r"#if (!?)(\w+)(?: == (\d+))?")

#: Numbers of an array in a line.
NUMBERS_PER_LINE: Final = 16


def fill(template: str, parts: Mapping[str, str], constants: Mapping[str, int]) -> str:
    """Return a template with its parts.

    Parameters
    ----------
    template : str
        The name of a file of this folder.
    parts : mapping of str
        The text for each placeholder.
    constants : mapping of int
        The constants that conditions may test: lines for other networks are left out.
    """
    text = resolved(files(__package__).joinpath(template).read_text("utf-8"), constants)
    return PLACES.sub(lambda place: parts[place[1] or place[2]], text)


def check_stem(stem: object) -> None:
    """Refuse a stem that cannot be a file name and a prefix of public names in C."""
    if not (isinstance(stem, str) and stem.isascii() and stem.isidentifier()):
        raise wrong_argument("stem", "an identifier of C", repr(stem))


def named(text: str, stem: str, name: str = "net") -> str:
    """Return a text with `stem` in place of a name, in file names and in declared names."""
    names = re.compile(rf"\b({name}|{name.upper()})(?=_\w|\.[ch]\b)")
    return names.sub(lambda found: stem if found[1] == name else stem.upper(), text)


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


def text_in_c(text: str) -> str:
    """Return a text as C writes it, in UTF-8, which `named` does not change."""
    plain = (
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode()
    )
    return '"' + re.sub("(?<=net|NET)_", r"\\137", "".join(plain)) + '"'


def wrapped(text: str, begin: str) -> str:
    """Return a text in lines that begin with `begin`, but for the first one."""
    return f"\n{begin}".join(textwrap.wrap(text, 100 - len(begin), break_on_hyphens=False))


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
