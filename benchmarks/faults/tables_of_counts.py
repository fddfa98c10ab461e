"""The tables of docs/reliability.md, from the counts that docs/reliability.json keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

#: Verdicts by what was counted.
Counts = Mapping[str, Mapping[str, int]]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
KEPT = PAGE.with_suffix(".json")

TITLES = {
    "checkpoint": "checkpoint (npz)",
    "trace": "trace (npz)",
    "quantized": "quantized weights (npz)",
    "idx": "IDX images and labels",
    "idx.gz": "IDX, gzipped",
    "aer": "recording (AER)",
    "nir": "graph of NIR (HDF5)",
    "netx": "network of netx (HDF5)",
    "epochs": "list of epochs (JSON)",
    "command": "`spikebp train`",
}

#: What a file may come to, as its column is called.
VERDICTS = {
    "refused": "refused",
    "same": "read, the same",
    "other": "read, other values",
    "failed": "failed",
}


def markdown(head: list[str], rows: list[list[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def table_of_files(files: Counts) -> str:
    """Return the table of damaged files by kind."""
    rows: list[list[object]] = []
    for name, counts in files.items():
        found = [counts.get(verdict, 0) for verdict in VERDICTS]
        rows.append([TITLES[name], sum(found), *found])
    rows.append(["all", *map(sum, zip(*(row[1:] for row in rows), strict=True))])
    return markdown(["kind", "tried", *VERDICTS.values()], rows)


def table_of_stops(stops: Counts) -> str:
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
    return markdown(["stopped by", "what", *names, "in the middle"], rows)


def tables(found: Mapping[str, Counts]) -> dict[str, str]:
    """Return the tables by what the page calls them."""
    makers = {"damaged files": table_of_files, "interrupts and kills": table_of_stops}
    return {name: makers[name](counts) for name, counts in found.items() if counts}


def written(text: str) -> str:
    """Return a page with the tables of the counts that are kept."""
    for name, table in tables(json.loads(KEPT.read_text("utf-8"))).items():
        text = re.sub(rf"(<!-- table: {name} -->\n)(\|.*\n)*", rf"\g<1>{table}\n", text)
    return text


def keep(found: Mapping[str, Counts]) -> None:
    """Keep counts, those of an earlier run where there are no new ones, and write the page."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    kept = {name: kept.get(name, {}) | dict(counts) for name, counts in found.items()}
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
