"""The first call of `sim.train` in an empty cache, for a network whose kernels Numba compiles.

How long until scores come, and at what cost? Each run is a process of its own that finds nothing
compiled. Beside the default, which lets the reference show samples while kernels are compiled,
stands ``wait=True``, which waits for them; they take turns. Of processors, all seconds count from
the start of the process to the end of what it has started, the compiler beside it included::

    python benchmarks/first_run.py                      # 100 digits, then 5,000
    python benchmarks/first_run.py --samples 1000 --turns 3
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

#: Learns digits once and prints the seconds that took; then waits for what was started meanwhile.
SCRIPT = """
import json, resource, sys, threading, time
from spikebp_plugins import Simulator, SpikingMLP, load_dataset

n, wait = int(sys.argv[1]), sys.argv[2] == "wait"
data = load_dataset("digits", raw=True)
fields = {"timing": "pipelined", "input_scale": data.input_scale}
net = SpikingMLP((64, 100, 10), n_steps=10, learning_rate=0.01, **fields)
index = [i % len(data.x_train) for i in range(n)]
begin = time.perf_counter()
sim = Simulator(net, wait=wait)
sim.train(data.x_train[index], data.y_train[index])
seconds = time.perf_counter() - begin
for thread in threading.enumerate():
    if thread.name == "spikebp-compiler":
        thread.join()
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([seconds, sum(usage.ru_utime + usage.ru_stime for usage in used)]))
"""


def first_run(n_samples, way):
    """Return the seconds until scores have come, and of processors."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(n_samples), way],
            env=os.environ | {"NUMBA_CACHE_DIR": folder},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[100, 5000])
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for n_samples in options.samples:
        taken = {"beside": [], "wait": []}
        for _ in range(options.turns):
            for way, times in taken.items():
                times.append(first_run(n_samples, way))
        medians = {
            way: [statistics.median(column) for column in zip(*times, strict=True)]
            for way, times in taken.items()
        }
        rows += [
            {
                "samples": n_samples,
                "way": way,
                "seconds": seconds,
                "processor_seconds": processors,
                "beside_over_it": medians["beside"][0] / seconds,
            }
            for way, (seconds, processors) in medians.items()
        ]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    print("| digits | | scores after, s | of processors, s | beside / it |")
    print("|---|---|---|---|---|")
    names = {"beside": "compiled beside", "wait": "`wait=True`"}
    for row in rows:
        print(
            f"| {row['samples']:,} | {names[row['way']]} | {row['seconds']:.1f} | "
            f"{row['processor_seconds']:.1f} | {row['beside_over_it']:.2f} |"
        )


if __name__ == "__main__":
    main()
