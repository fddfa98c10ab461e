"""Prediction one sample at a time: the spiking network compared with others, in one process.

The spiking network is trained for two epochs, and its rivals take over its weights; then all
predict the test images in alternating blocks, one thread each. Last, all cores predict at once.
``pip install --group rivals`` brings Numba::

    python benchmarks/inference.py
    python benchmarks/inference.py --layers 200,200 --steps 10 --json
"""

import argparse
import json
import time

import numpy as np
from measuring import (
    Spiking,
    alternate,
    data_for_benchmark,
    hidden_sizes,
    limit_level,
    network,
    print_rows,
    summary,
)
from online_training import epoch_orders
from rivals import one_thread, rivals

from spikebp_plugins import Simulator
from spikebp_plugins.data.images import error_percent


def measure(data, hidden, n_steps, repeats, block, without):
    net = network(data, hidden, n_steps)
    own = Spiking(net)
    for order in epoch_orders(len(data.x_train)):
        own.train(data.x_train[order], data.y_train[order])
    weights = own.sim.weights
    # scikit-learn's network cannot take over weights without biases.
    competitors = {"own": own, **rivals(weights, net.learning_rate, (*without, "scikitlearn"))}
    scaled = data.x_test * np.float32(data.input_scale)
    inputs = {
        name: c.prepare(data.x_test if name == "own" else scaled) for name, c in competitors.items()
    }
    call = lambda name, competitor, part: competitor.predict(inputs[name][part])  # noqa: E731
    alternate(competitors, call, min(block, len(scaled)), block)
    times = {name: [] for name in competitors}
    for _ in range(repeats):
        for name, values in alternate(competitors, call, len(scaled), block).items():
            times[name] += values
    rows = summary(competitors, times, "own")
    for row, (name, competitor) in zip(rows, competitors.items(), strict=True):
        row["test_error"] = error_percent(competitor.predict(inputs[name]), data.y_test)
    return {
        "layers": net.layer_sizes,
        "n_steps": n_steps,
        "rows": rows,
        "all_cores_microseconds_per_sample": all_cores(net, weights, data.x_test),
    }


def all_cores(net, weights, x):
    with Simulator(net, weights=weights) as sim:
        sim.predict(x)
        begin = time.perf_counter()
        sim.predict(x)
        return 1e6 * (time.perf_counter() - begin) / len(x)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", action="append", help="hidden layer sizes")
    parser.add_argument("--steps", type=int, action="append")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--block", type=int, default=2000, help="samples in a block")
    parser.add_argument("--without", default="", help="rivals to leave out, comma-separated")
    parser.add_argument("--level", type=int, default=4, help="3: AVX2 alone for the engine")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    limit_level(options.level)
    data = data_for_benchmark()
    without = options.without.lower().split(",")
    with one_thread():
        results = [
            measure(data, hidden_sizes(layers), T, options.repeats, options.block, without)
            for layers in options.layers or ["200,200", "300,300"]
            for T in options.steps or [10, 20]
        ]
    if options.json:
        print(json.dumps({"dataset": data.name, "results": results}))
        return
    for result in results:
        sizes = "-".join(map(str, result["layers"]))
        print_rows(f"Prediction on {data.name}, {sizes}, T = {result['n_steps']}", result["rows"])
        print(f"\nall cores: {result['all_cores_microseconds_per_sample']:.1f} µs a sample")


if __name__ == "__main__":
    main()
