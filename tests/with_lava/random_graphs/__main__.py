"""Random graphs for Lava: each must equal the reference, or be refused with an error."""

import argparse
import faulthandler
import sys
import time
from functools import partial

from tqdm import tqdm

from tests.verdicts import judged, print_counts
from tests.with_lava.random_graphs import draw, judge

#: Seconds after which a graph hangs.
TIME_LIMIT = 120


def judge_in_time(graph):
    """Return the verdict on a graph; if there is none in time, print all stacks and end."""
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    verdict = judge(graph)
    faulthandler.cancel_dump_traceback_later()
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--graphs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all-kinds", action="store_true", help="with connections of all kinds")
    given = parser.parse_args()
    began = time.perf_counter()
    seeds = tqdm(range(given.seed, given.seed + given.graphs))
    outcomes, kinds = judged(
        seeds, partial(draw, has_all_kinds=given.all_kinds), judge_in_time, tqdm.write
    )
    print_counts(outcomes, kinds, time.perf_counter() - began)
    sys.exit(bool(outcomes["different"]))


if __name__ == "__main__":
    main()
