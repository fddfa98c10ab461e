"""Make the table of features by back ends that docs/conformance.md shows.

``python docs/conformance_table.py`` writes it anew from docs/conformance.json, which holds what
the last runs of the suite found. Names of back ends first run against these what the suite asks
now and was not asked then, for example ``python docs/conformance_table.py compiled brian2:numpy``;
``--all`` takes all that stand in the table, and ``--anew`` asks everything again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from spikebp_plugins.conformance import CASES, Case, Cell, Table
from spikebp_plugins.conformance.__main__ import run_table
from spikebp_plugins.simulation.comparison import all_backends

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conformance.md"
KEPT = ROOT / "docs" / "conformance.json"

#: Forms of back ends besides those that `spikebp backends` names.
OTHER_FORMS = (
    "lava:tag=fixed_pt,granularity=sample",
    "lava:tag=floating_pt,granularity=sample",
    "lava:tag=floating_pt,implementation=standard",
)

#: What may be installed, and decides what a column shows.
PACKAGES = ("numpy", "brian2", "lava-nc")


class Found(NamedTuple):
    """What a run found for one feature, what it was asked, and the versions it was made with."""

    backend: str
    feature: str
    asked: str
    outcome: str
    reason: str
    environment: str


def digest_of(case: Case) -> str:
    """Return what changes whenever the suite asks for something else in a case."""
    names = case.feature, case.inputs.__name__, case.targets.__name__
    asked = *names, case.weight_scale, sorted(case.net.to_dict().items())
    return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]


def environment() -> str:
    """Return the versions that a column is made with."""
    parts = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def kept() -> list[Found]:
    """Return what the last runs found."""
    return [Found(*row) for row in json.loads(KEPT.read_text("utf-8"))]


def keep(found: Iterable[Found]) -> None:
    """Write what runs found, a cell of the table a line."""
    rows = ",\n".join(json.dumps(row) for row in sorted(found))
    KEPT.write_text(f"[\n{rows}\n]\n", "utf-8")


def stale(backend: str, found: Iterable[Found]) -> list[Case]:
    """Return the cases that a back end was not asked as they are now."""
    asked = {row.asked for row in found if row.backend == backend}
    return [case for case in CASES if digest_of(case) not in asked]


def run(backend: str, anew: bool) -> bool:
    """Run the suite against a back end, and keep what it finds; return whether none failed.

    Each case is kept once it has run, so that a column that takes long may be interrupted.
    """
    asked = {digest_of(case) for case in CASES}
    found = [row for row in kept() if row.backend != backend or (row.asked in asked and not anew)]
    good = True
    for case in stale(backend, found):
        table = run_table([backend], [case])
        cell = table.columns[backend][case.feature]
        found.append(Found(backend, case.feature, digest_of(case), *cell, environment()))
        keep(found)
        good = good and not table.failed
    return good


def written(text: str) -> str:
    """Return the page with its table as it is now: back ends of which all is equal share a column.

    The features stand in the order of the suite; none may be missing.
    """
    found = {(row.backend, row.feature): Cell(row.outcome, row.reason) for row in kept()}
    names = {name for name, _ in found}
    shared: dict[tuple[Cell, ...], list[str]] = {}
    for name in sorted(names, key=lambda name: (name != "reference", name != "compiled", name)):
        cells = tuple(found[name, case.feature] for case in CASES)
        shared.setdefault(cells, []).append(name)
    features = [case.feature for case in CASES]
    columns = {
        "`<br>`".join(names): dict(zip(features, cells, strict=True))
        for cells, names in shared.items()
    }
    made_with = sorted({row.environment for row in kept()})
    shown = Table(columns).to_markdown() + "".join(f"\nRun with {text}.\n" for text in made_with)
    place = r"(<!-- table -->\n).*?(<!-- end -->)"
    return re.sub(place, lambda m: f"{m[1]}{shown}{m[2]}", text, flags=re.DOTALL)


def main() -> int:
    """Run what is asked for, write the page, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backends", nargs="*", metavar="NAME", help="run the suite against it")
    parser.add_argument("--all", action="store_true", help="run it against all back ends")
    parser.add_argument("--anew", action="store_true", help="also what it was asked before")
    options = parser.parse_args()
    names = [*all_backends(), *OTHER_FORMS] if options.all else options.backends
    good = [run(name, options.anew) for name in names]
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    return int(not all(good))


if __name__ == "__main__":
    sys.exit(main())
