"""Make the table of features by back ends that the README and docs/conformance.md show.

``python docs/conformance_table.py`` writes it anew from docs/conformance.json, which holds what
the last runs of the suite found. Names of back ends first run against these what the suite asks
now and was not asked then, for example ``python docs/conformance_table.py compiled brian2:numpy``;
``--all`` takes all that stand in the table, and ``--anew`` asks everything again, for which the
compiled targets of Brian2 need about an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spikebp_plugins.conformance import CASES, Case, Table
from spikebp_plugins.conformance.__main__ import run_table
from spikebp_plugins.conformance.checks import CHECKS
from spikebp_plugins.simulation.comparison import all_backends

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "docs" / "conformance.json"

#: Forms of back ends beside those that `spikebp backends` names.
OTHER_FORMS = (
    "lava:tag=fixed_pt,implementation=hierarchical",
    "lava:tag=floating_pt,implementation=hierarchical",
    "lava:tag=fixed_pt,granularity=sample",
    "lava:tag=floating_pt,granularity=sample",
    "lava:tag=floating_pt,implementation=standard",
)

#: What may be installed, and decides what a column shows.
PACKAGES = ("numpy", "numba", "brian2", "lava-nc")


def digest_of(case: Case) -> str:
    """Return what changes whenever the suite asks for something else in a case."""
    asked = (
        *(check.__name__ for check in CHECKS),
        repr(case.net),
        case.inputs.__name__,
        case.targets.__name__,
        case.weight_scale,
        case.weight_bits,
    )
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def stale(column: dict[str, Any]) -> list[Case]:
    """Return the cases that a column does not know as they are now."""
    known = column["asked"]
    return [case for case in CASES if known.get(case.feature) != digest_of(case)]


def environment() -> str:
    """Return the versions that a column was made with."""
    parts = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def kept() -> dict[str, Any]:
    """Return what the last runs found, by back end."""
    found: dict[str, Any] = json.loads(KEPT.read_text("utf-8")) if KEPT.exists() else {}
    return found


def run(backends: list[str], anew: bool) -> bool:
    """Run the suite, one back end after the other, and keep what it finds; False if one failed."""
    good = True
    for name in backends:
        before = None if anew else kept().get(name)
        column = before or {"asked": {}, "cells": {}}
        if cases := stale(column):
            table = run_table([name], cases)
            cells = column["cells"] | table.to_dict()[name]
            column = {
                "asked": {case.feature: digest_of(case) for case in CASES},
                "cells": {case.feature: cells[case.feature] for case in CASES},
                "environment": environment(),
            }
            found = kept() | {name: column}
            KEPT.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
            good = good and not table.failed
    return good


def tables() -> dict[str, str]:
    """Return the tables that pages show, as Markdown, by the name of their place."""
    found = kept()
    features = [case.feature for case in CASES]
    # In the order of the suite, of whose features none may be missing.
    columns = {name: {f: column["cells"][f] for f in features} for name, column in found.items()}
    table = Table.from_dict(columns)
    main = [name for name in found if name not in OTHER_FORMS]
    main.sort(key=lambda name: (name != "reference", name != "compiled", name))
    made_with = sorted({column["environment"] for column in found.values()})
    footer = "\n".join(f"Run with {text}." for text in made_with)
    return {
        "back ends": f"{table.only(main).to_markdown()}\n{footer}\n",
        "other forms": table.only(OTHER_FORMS).to_markdown(),
    }


def written(text: str) -> str:
    """Return a page with its tables as they are now."""
    found = tables()
    place = r"(<!-- table: (.*?) -->\n).*?(<!-- end -->)"
    return re.sub(place, lambda m: f"{m[1]}{found[m[2]]}{m[3]}", text, flags=re.DOTALL)


def main() -> int:
    """Run what is asked for, write the pages, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", metavar="NAME", help="run the suite against it")
    parser.add_argument("--all", action="store_true", help="run it against all back ends")
    parser.add_argument("--anew", action="store_true", help="also what it was asked before")
    options = parser.parse_args()
    names = [*all_backends(), *OTHER_FORMS] if options.all else options.backends
    good = run(names, options.anew)
    for page in (ROOT / "README.md", ROOT / "docs" / "conformance.md"):
        page.write_text(written(page.read_text("utf-8")), "utf-8")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
