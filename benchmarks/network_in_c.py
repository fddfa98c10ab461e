"""The network in C on this machine, beside the compiled back end, in one process.

Both go on from the same checkpoint, with the same samples in alternating blocks, one thread each,
and end with the same weights. Then how long each takes from nothing to the first sample: that of
the compiled back end in a process of its own, with an empty cache of kernels::

    python benchmarks/network_in_c.py
    python benchmarks/network_in_c.py --samples 2000 --json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from measuring import Spiking, alternate, data_for_benchmark, print_rows, summary

from spikebp_plugins import SpikingMLP

#: From the import to the scores of the first sample.
FIRST_SAMPLE = """
import numpy as np
from spikebp_plugins import Simulator, SpikingMLP
net = SpikingMLP({sizes}, n_steps=5, learning_rate=100 / 2**14, fraction_bits=14)
Simulator(net, {backend!r}).train(np.zeros((1, {sizes}[0]), np.uint8), [0])
"""


def definition(data):
    return SpikingMLP(
        (data.x_train.shape[1], 100, 50, data.n_classes),
        n_steps=5,
        learning_rate=100 / 2**14,
        fraction_bits=14,
        weight_init="he",
        label_targets=(1, 5),
        input_scale=data.input_scale,
    )


class InC(Spiking):
    """The network in C, with weights of 16 bits."""

    def __init__(self, checkpoint):
        self.name = "spikebp (C, 16-bit weights)"
        self.sim = checkpoint.simulate("c:16")


class Compiled(Spiking):
    """The compiled back end, which goes on from a checkpoint."""

    def __init__(self, checkpoint):
        self.name = "spikebp (compiled)"
        self.sim = checkpoint.simulate("compiled", n_jobs=1)


def seconds_to_first_sample(net, backend):
    with tempfile.TemporaryDirectory() as folder:
        code = FIRST_SAMPLE.format(sizes=net.layer_sizes, backend=backend)
        environment = os.environ | {"NUMBA_CACHE_DIR": folder}
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000, help="to learn and to predict")
    parser.add_argument("--block", type=int, default=500, help="samples between two turns")
    parser.add_argument("--without-start", action="store_true", help="do not time first samples")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = data_for_benchmark()
    net = definition(data)
    n = min(options.samples, len(data.x_train))
    x, y = data.x_train[:n], data.y_train[:n]
    before = Spiking(net)
    before.train(x, y)
    checkpoint = before.sim.checkpoint()
    competitors = {"compiled": Compiled(checkpoint), "c": InC(checkpoint)}
    train = lambda _, competitor, part: competitor.train(x[part], y[part])  # noqa: E731
    predict = lambda _, competitor, part: competitor.predict(x[part])  # noqa: E731
    results = {}
    for doing, call in (("training", train), ("prediction", predict)):
        alternate(competitors, call, min(n, options.block), options.block)
        times = alternate(competitors, call, n, options.block)
        results[doing] = summary(competitors, times, "c")
    pairs = zip(*(competitor.sim.weights for competitor in competitors.values()), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs), "both learn the same weights"
    if not options.without_start:
        results["first_sample"] = {
            name: seconds_to_first_sample(net, backend)
            for name, backend in (("compiled", "compiled:wait=True"), ("c", "c:16"))
        }
    if options.json:
        print(json.dumps(results))
        return
    sizes = "-".join(map(str, net.layer_sizes))
    for doing in ("training", "prediction"):
        print_rows(f"{doing}, {data.name}, {sizes}, T = 5", results[doing], own="C")
    for name, seconds in results.get("first_sample", {}).items():
        print(f"\nFrom nothing to the first sample, {name}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
