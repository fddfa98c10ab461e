"""Learning and predicting one sample at a time, compared with networks of rectified units.

The spiking network takes part with its default settings, with one step of finely graded spikes, and
with the paper's ten steps; the rivals have the paper's initial weights and learning rate. Each
learns a first epoch; then all learn the second, and predict the test images, in alternating blocks
of one process, and the median time per sample counts. One thread, single precision for the rivals;
``pip install --group rivals`` brings Numba::

    python benchmarks/online_training.py                     # 784-200-200-10 on MNIST
    python benchmarks/online_training.py --layers 300,300 --samples 20000 --json
    python benchmarks/online_training.py --picture docs/online_training.png
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
from rivals import one_thread, rivals

from spikebp_plugins import SpikingMLP
from spikebp_plugins.data.images import error_percent, shuffled

NETWORKS = {
    "default": SpikingMLP,
    "one step": SpikingMLP.graded,
    "paper": SpikingMLP.paper,
}
OWN = "default"


def competitors_for(data, hidden, without):
    """Return the spiking networks, and the rivals that are installed, by name."""
    nets = {name: network(data, hidden, make) for name, make in NETWORKS.items()}
    paper = nets["paper"]
    return {
        **{n: Spiking(net, f"spikebp, {n}, T = {net.n_steps}") for n, net in nets.items()},
        **rivals(paper.init_weights(), paper.learning_rate, without),
    }


def prepared(data, competitors, x):
    """Return input in the form of each competitor: pixels for spikes, real numbers for rivals."""
    real = x * np.float32(data.input_scale)
    return {name: c.prepare(x if name in NETWORKS else real) for name, c in competitors.items()}


def measure(data, hidden, samples, block, without):
    """Return rows for training and prediction, and the work of each spiking network a sample."""
    competitors = competitors_for(data, hidden, without)
    own = {name: competitors[name].sim for name in NETWORKS}
    for epoch in range(2):
        order = shuffled(len(data.x_train), 0, epoch)[:samples]
        inputs, y = prepared(data, competitors, data.x_train[order]), data.y_train[order]
        before = {name: sim.operations for name, sim in own.items()}
        train = lambda name, c, part: c.train(inputs[name][part], y[part])  # noqa: E731, B023
        times = alternate(competitors, train, len(y), block)
    work = {name: (sim.operations - before[name]).to_dict() for name, sim in own.items()}
    training = summary(competitors, times, OWN)

    tests = prepared(data, competitors, data.x_test)
    predict = lambda name, c, part: c.predict(tests[name][part])  # noqa: E731
    times = alternate(competitors, predict, len(data.x_test), block)
    prediction = summary(competitors, times, OWN)
    for row, (name, competitor) in zip(training, competitors.items(), strict=True):
        row["test_error"] = error_percent(competitor.predict(tests[name]), data.y_test)
    return {
        "layers": own[OWN].net.layer_sizes,
        "training": training,
        "prediction": prediction,
        "work": {n: {k: v / len(y) for k, v in counted.items()} for n, counted in work.items()},
    }


def learning_curves(data, hidden, samples, points, without):
    """Return test errors against seconds of training, for each competitor alone."""
    order = shuffled(len(data.x_train), 0, 0)[:samples]
    curves = {}
    warm = competitors_for(data, hidden, without)
    competitors = competitors_for(data, hidden, without)
    inputs = prepared(data, competitors, data.x_train[order])
    tests = prepared(data, competitors, data.x_test)
    for name, competitor in competitors.items():
        x, y = inputs[name], data.y_train[order]
        warm[name].train(x[:1], y[:1])  # compilation is not timed
        seconds, curve = 0.0, []
        for part in np.array_split(np.arange(len(order)), points):
            part = slice(part[0], part[-1] + 1)
            begin = time.perf_counter()
            competitor.train(x[part], y[part])
            seconds += time.perf_counter() - begin
            curve.append((seconds, error_percent(competitor.predict(tests[name]), data.y_test)))
        curves[competitor.name] = curve
    return curves


def draw_curves(curves, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker=".", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="time spent learning (s)",
        ylabel="test error (%)",
        title="Cost against accuracy, one sample at a time, one thread",
    )
    figure.legend(loc="outside right upper")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def print_result(data, result):
    sizes = "-".join(map(str, result["layers"]))
    print_rows(f"Training {data.name}, {sizes}, the second epoch", result["training"], OWN)
    print_rows("Prediction", result["prediction"], OWN)
    print()
    for name, work in result["work"].items():
        operations = work["forward"] + work["backward"] + work["update"]
        print(
            f"{name}: {work['messages']:,.0f} messages and {operations:,.0f} synaptic operations "
            f"a training sample, dense {work['dense']:,.0f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--samples", type=int, default=None, help="training samples in an epoch")
    parser.add_argument("--block", type=int, default=2000, help="samples in a block")
    parser.add_argument("--without", default="", help="rivals to leave out, comma-separated")
    parser.add_argument("--picture", help="draw cost against accuracy to this file")
    parser.add_argument("--level", type=int, default=4, help="3: AVX2 alone for the engine")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    limit_level(options.level)
    data, hidden = data_for_benchmark(), hidden_sizes(options.layers)
    without = options.without.lower().split(",")
    with one_thread():
        result = measure(data, hidden, options.samples, options.block, without)
        if options.picture:
            curves = learning_curves(data, hidden, options.samples, 12, without)
            draw_curves(curves, options.picture)
    if options.json:
        print(json.dumps({"dataset": data.name, **result}))
    else:
        print_result(data, result)


if __name__ == "__main__":
    main()
