"""The first run of the README's Brian2 script with Cython, in an empty cache.

Each script is a process of its own that finds nothing compiled; they take turns. The README's
script is compared with a network written by hand that only predicts the same samples; `--other`
names the folder of a checkout to time as well::

    python benchmarks/brian2_first_run.py
    python benchmarks/brian2_first_run.py --other ../checkout-of-before --turns 3
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

BY_HAND = """
import numpy as np
from brian2 import *
from brian2_targets import forward_only
from spikebp_plugins import SpikingMLP, load_dataset
data = load_dataset("digits")
net = SpikingMLP((64, 60, 10))
network = forward_only(net, net.init_weights(), data.x_train)
spikes = SpikeMonitor(next(o for o in network.objects if len(o) == 60), variables=["spike_count"])
network.add(spikes)
network.run(100*net.n_steps*ms, namespace={})
"""


def script_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("### In a Brian2 script")[2]
    return re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]


def first_run(script, source):
    """Return the seconds of wall clock and of processors that a script takes in empty caches."""
    head = 'import brian2\nbrian2.prefs.codegen.target = "cython"\n'
    with tempfile.TemporaryDirectory() as folder:
        head += f'brian2.prefs.codegen.runtime.cython.cache_dir = "{folder}/cython"\n'
        paths = [str(path) for path in (source, source / "adapters", ROOT / "benchmarks")]
        begin, before = time.perf_counter(), os.times()
        subprocess.run(
            [sys.executable, "-c", head + script],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            check=True,
            capture_output=True,
        )
        seconds, after = time.perf_counter() - begin, os.times()
    used = after.children_user + after.children_system
    return seconds, used - before.children_user - before.children_system


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="folder of another checkout")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    readme = script_of_the_readme()
    scripts = {"this checkout": (readme, ROOT), "by hand, without learning": (BY_HAND, ROOT)}
    if options.other is not None:
        scripts[str(options.other)] = readme, options.other.resolve()
    taken = {name: [] for name in scripts}
    for _ in range(options.turns):
        for name, (script, source) in scripts.items():
            taken[name].append(first_run(script, source))
    rows = []
    for name, times in taken.items():
        seconds, processors = (statistics.median(column) for column in zip(*times, strict=True))
        rows.append({"script": name, "seconds": seconds, "processor_seconds": processors})
    for row in rows:
        row["this_checkout_over_it"] = rows[0]["seconds"] / row["seconds"]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    print("| script | first run, s | of processors, s | this checkout / it |")
    print("|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['script']} | {row['seconds']:.1f} | {row['processor_seconds']:.1f} | "
            f"{row['this_checkout_over_it']:.2f} |"
        )


if __name__ == "__main__":
    main()
