"""Damage files, interrupt and kill, and count what is survived.

    python benchmarks/faults                          # everything: half an hour on one core
    python benchmarks/faults --files 100 --stops 0.1  # 100 files of each kind, a tenth of the stops
    python benchmarks/faults --only nir:331           # one case, and what came of it
    python benchmarks/faults --only interrupt:train:lava:7
    python benchmarks/faults --write                  # and put the tables into docs/reliability.md

Nothing is timed. A case is decided by its name, its number and the seed; at which instruction an
interrupt arrives also by the machine. The exit code is 0 if nothing failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch

import children
import tables_of_counts
from kinds import KINDS
from tqdm import tqdm

BACKENDS = ("compiled", "reference", "brian2:numpy", "lava")
OPERATIONS = ("train", "predict", "feed", "save")

#: Files of each kind.
FILES = 1500

#: Interrupts and kills of each operation, by back end. Back ends of simulators take seconds each.
STOPS = {
    "interrupt": {"compiled": 60, "reference": 60, "brian2:numpy": 30, "lava": 30},
    "kill": {"compiled": 20, "reference": 20, "brian2:numpy": 15, "lava": 10},
}

#: Back ends that show whole samples: they have no streams to feed.
WITHOUT_STREAMS = ("brian2:numpy", "lava")

#: Runs of the command ``spikebp train``, which take seconds each.
COMMANDS = 8


def stops(share: float) -> dict[tuple[str, ...], int]:
    """Return how often to stop what, by how, operation and back end."""
    planned = {
        (how, operation, backend): n
        for how, counts in STOPS.items()
        for operation in OPERATIONS
        for backend, n in counts.items()
        if not (operation == "feed" and backend in WITHOUT_STREAMS)
    }
    planned |= {(how, "command", name): COMMANDS for how in STOPS for name in BACKENDS[:2]}
    return {case: round(n * share) for case, n in planned.items()}


def counted(name: str, module: str, arguments: Sequence[object], n: int) -> Counter[str]:
    """Play cases, print those that fail, and return how often there was each verdict."""
    counts: Counter[str] = Counter()
    found = children.results(module, tuple(arguments), range(n))
    for result in tqdm(found, name, n, mininterval=1):
        counts[result["verdict"]] += 1
        if "inside" in result:
            counts["inside"] += result["inside"]
        if result["verdict"] == "failed":
            tqdm.write(f"{name}:{result['number']} failed: {result['reason']}")
    return counts


def play_one(case: str, seed: int) -> None:
    """Play one case, and print all that came of it."""
    *name, number = case.split(":")
    if name[0] in KINDS:
        module, arguments = "files", (name[0], seed)
    else:
        how, operation, *backend = name
        module, arguments = "stops", (how, operation, ":".join(backend), seed)
    first = int(number)
    for result in children.results(module, arguments, range(first, first + 1)):
        print(result.pop("reason"))
        print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, default=FILES, help="files of each kind")
    parser.add_argument("--stops", type=float, default=1.0, help="share of all stops")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of files, by commas")
    parser.add_argument("--stopped", default="*", help='a pattern such as "kill:*:lava"')
    parser.add_argument("--only", help="one case: kind:number or how:operation:back end:number")
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    given = parser.parse_args()
    if given.only:
        play_one(given.only, given.seed)
        return
    files = {
        name: counted(name, "files", (name, given.seed), given.files)
        for name in given.kinds.split(",")
        if given.files
    }
    stopped = {
        "/".join(case): counted(":".join(case), "stops", (*case, given.seed), n)
        for case, n in stops(given.stops).items()
        if n and fnmatch(":".join(case), given.stopped)
    }
    found = {"damaged files": files, "interrupts and kills": stopped}
    print("\n\n".join(tables_of_counts.tables(found).values()))
    if given.write:
        tables_of_counts.keep(found)
    sys.exit(any(counts["failed"] for counts in (*files.values(), *stopped.values())))


if __name__ == "__main__":
    main()
