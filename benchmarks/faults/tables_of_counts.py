"""The tables of docs/reliability.md."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from kinds import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"

#: What a file may come to, as its column is called.
VERDICTS = {
    "refused": "refused",
    "same": "read, the same",
    "other": "read, other values",
    "failed": "failed",
}

NAMES = {"command": "`spikebp train`"}


def markdown(head: list[str], rows: list[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def table_of_files(files: Mapping[str, Counter[str]]) -> str:
    """Return the table of damaged files by kind."""
    rows = []
    for name, counts in files.items():
        found = [counts[verdict] for verdict in VERDICTS]
        rows.append([KINDS[name].title, sum(found), *found])
    columns = zip(*(row[1:] for row in rows), strict=True)
    rows.append(["all", *map(sum, columns)])
    return markdown(["kind", "tried", *VERDICTS.values()], rows)


def table_of_stops(stops: Mapping[tuple[str, ...], Counter[str]]) -> str:
    """Return the table of interrupts and kills, survived of tried, by operation and back end."""
    backends = list(dict.fromkeys(backend for _, _, backend in stops))
    rows = []
    for how, operation in dict.fromkeys((how, operation) for how, operation, _ in stops):
        cells = []
        for backend in backends:
            counts = stops.get((how, operation, backend), Counter())
            tried = counts["survived"] + counts["failed"]
            cells.append(f"{counts['survived']} of {tried}" if tried else "–")
        rows.append([how, NAMES.get(operation, operation), *cells])
    return markdown(["stopped by", "what", *(f"`{backend}`" for backend in backends)], rows)


def tables(
    files: Mapping[str, Counter[str]], stops: Mapping[tuple[str, ...], Counter[str]]
) -> dict[str, str]:
    """Return the tables by what the page calls them."""
    found = {}
    if files:
        found["damaged files"] = table_of_files(files)
    if stops:
        found["interrupts and kills"] = table_of_stops(stops)
    return found


def write(found: Mapping[str, str]) -> None:
    """Put the tables into the page."""
    text = PAGE.read_text("utf-8")
    for name, table in found.items():
        text = re.sub(rf"(<!-- table: {name} -->\n)(\|.*\n)*", rf"\g<1>{table}\n", text)
    PAGE.write_text(text, "utf-8")
