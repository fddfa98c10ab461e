"""Random graphs for Lava: each must equal the reference, or be refused with an error."""

import argparse
import faulthandler
import sys
import time
from collections import Counter

from tqdm import tqdm

from tests.with_lava.random_graphs import draw, judge

#: Seconds after which a graph hangs.
TIME_LIMIT = 120


def run(seeds, report=print, progress=iter):
    """Judge the graphs of some seeds; return the counts of outcomes and of kinds."""
    outcomes, kinds = Counter(), Counter()
    for seed in progress(seeds):
        graph = draw(seed)
        faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
        verdict = judge(graph)
        faulthandler.cancel_dump_traceback_later()
        outcomes[verdict.outcome] += 1
        kinds.update(set(graph.kinds()))
        if verdict.outcome == "different":
            report(f"seed {seed}: different\n{graph}\n{verdict.reason}\n")
        elif verdict.outcome == "refused":
            report(f"seed {seed}: refused: {verdict.reason}")
    return outcomes, kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.perf_counter()
    outcomes, kinds = run(range(given.seed, given.seed + given.graphs), tqdm.write, tqdm)
    for kind, count in sorted(kinds.items()):
        print(f"{count:5} {kind}")
    names = ("equal", "refused", "different")
    print(", ".join(f"{outcomes[name]} {name}" for name in names))
    print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(bool(outcomes["different"]))


if __name__ == "__main__":
    main()
