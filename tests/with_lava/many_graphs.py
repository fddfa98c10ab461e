"""Start, run, read and stop many short graphs, beside processes that keep the machine busy.

    python -m tests.with_lava.many_graphs 500 --busy 2

No graph may hang: if one takes longer than two minutes, the program prints all stacks and ends.
"""

import argparse
import faulthandler
import multiprocessing
import time

from tqdm import tqdm

from tests.with_lava.graphs import N_STEPS, TAGS, Line, Samples, assert_same_state, configuration


def spin():
    while True:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", type=int, help="how many")
    parser.add_argument("--busy", type=int, default=0, help="processes that keep a core busy each")
    arguments = parser.parse_args()
    busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(arguments.busy)]
    for process in busy:
        process.start()
    samples = Samples()
    _, state, _ = samples.by_reference()
    longest = 0.0
    for number in tqdm(range(arguments.graphs)):
        faulthandler.dump_traceback_later(120, exit=True)
        begin = time.monotonic()
        line = Line(samples)
        implementation = ("leaf", "hierarchical")[number // 2 % 2]
        line.run(N_STEPS, configuration(TAGS[number % 2], implementation))
        assert_same_state(line.mlp.checkpoint(), state)
        line.mlp.stop()
        longest = max(longest, time.monotonic() - begin)
        faulthandler.cancel_dump_traceback_later()
    for process in busy:
        process.kill()
    print(f"{arguments.graphs} graphs ended; the longest took {longest:.1f} s")


if __name__ == "__main__":
    main()
