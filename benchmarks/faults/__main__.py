"""Interrupt and kill, and count what is survived.

    python benchmarks/faults                     # everything: some twenty minutes on one core
    python benchmarks/faults --share 0.1         # a tenth of the stops
    python benchmarks/faults --only interrupt:train:lava:7  # one case, and what came of it
    python benchmarks/faults --write             # and put the table into docs/reliability.md

Nothing is timed. A case is decided by its name, its number and the seed; at which instruction an
interrupt arrives also by the machine. The exit code is 0 if nothing failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from fnmatch import fnmatch

import children
import table_of_counts
from tqdm import tqdm

BACKENDS = ("compiled", "reference", "brian2:numpy", "lava")
OPERATIONS = ("train", "predict", "feed", "save")

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


def counted(case: tuple[object, ...], n: int) -> Counter[str]:
    """Play a case some times, print what fails, and return how often there was each verdict."""
    name = ":".join(map(str, case[:-1]))
    counts: Counter[str] = Counter()
    for result in tqdm(children.results(case, range(n)), name, n, mininterval=1):
        counts[result["verdict"]] += 1
        counts["inside"] += result.get("inside", 0)
        if result["verdict"] == "failed":
            tqdm.write(f"{name}:{result['number']} failed: {result['reason']}")
    return counts


def play_one(case: str, seed: int) -> None:
    """Play one case, and print all that came of it."""
    how, operation, *backend, number = case.split(":")
    arguments, first = (how, operation, ":".join(backend), seed), int(number)
    for result in children.results(arguments, range(first, first + 1)):
        print(result.pop("reason"))
        print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="share of all stops")
    parser.add_argument("--stopped", default="*", help='a pattern such as "kill:*:lava"')
    parser.add_argument("--only", help="one case: how:operation:back end:number")
    parser.add_argument("--write", action="store_true", help="write the table into the page")
    given = parser.parse_args()
    if given.only:
        play_one(given.only, given.seed)
        return
    found = {
        "/".join(case): counted((*case, given.seed), n)
        for case, n in stops(given.share).items()
        if n and fnmatch(":".join(case), given.stopped)
    }
    print(table_of_counts.table(found))
    if given.write:
        table_of_counts.keep(found)
    sys.exit(any(counts["failed"] for counts in found.values()))


if __name__ == "__main__":
    main()
