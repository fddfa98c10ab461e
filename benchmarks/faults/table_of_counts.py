"""The table of docs/reliability.md, from the counts that docs/reliability.json keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

#: Verdicts by what was counted.
Counts = Mapping[str, Mapping[str, int]]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
KEPT = PAGE.with_suffix(".json")

TITLES = {"command": "`spikebp train`"}


def table(stops: Counts) -> str:
    """Return the table of interrupts and kills by operation and back end."""
    cases = {tuple(name.split("/")): counts for name, counts in stops.items()}
    backends = list(dict.fromkeys(backend for _, _, backend in cases))
    rows: list[list[object]] = []
    for how, operation in dict.fromkeys((how, operation) for how, operation, _ in cases):
        found = [cases.get((how, operation, backend), {}) for backend in backends]
        cells = []
        for counts in found:
            tried = counts.get("survived", 0) + counts.get("failed", 0)
            cells.append(f"{counts.get('survived', 0)} of {tried}" if tried else "–")
        inside = sum(counts.get("inside", 0) for counts in found)
        rows.append([how, TITLES.get(operation, operation), *cells, inside])
    names = [f"`{backend}`" for backend in backends]
    head = ["stopped by", "what", *names, "in the middle"]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def written(text: str) -> str:
    """Return a page with the table of the counts that are kept."""
    shown = table(json.loads(KEPT.read_text("utf-8")))
    return re.sub(r"(<!-- table: interrupts and kills -->\n)(\|.*\n)*", rf"\g<1>{shown}\n", text)


def keep(found: Counts) -> None:
    """Keep counts, those of an earlier run where there are no new ones, and write the page."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    KEPT.write_text(json.dumps(kept | dict(found), indent=1) + "\n", "utf-8")
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
