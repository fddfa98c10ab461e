"""Learning one sample at a time: the spiking network compared with others, in one process.

Each competitor learns a first epoch; then all learn the second in alternating blocks, and the
median time per sample counts. One thread, single precision for the rivals;
``pip install --group rivals`` brings Numba::

    python benchmarks/online_training.py                     # 200,200 and 300,300; T = 10 and 20
    python benchmarks/online_training.py --layers 200,200 --steps 10 --json
    python benchmarks/online_training.py --variants --samples 20000
    python benchmarks/online_training.py --picture docs/online_training.png
    python benchmarks/online_training.py --widths --picture docs/cost_against_width.png
"""

import argparse
import json
import time

import numpy as np
from measuring import (
    Spiking,
    SpikingOnRealInput,
    alternate,
    data_for_benchmark,
    hidden_sizes,
    limit_level,
    network,
    print_rows,
    summary,
)
from rivals import one_thread, rivals

from spikebp_plugins.data.images import error_percent, shuffled

WIDTHS = (100, 200, 400, 800, 1600)


def epoch_orders(n_samples, n_epochs=2):
    return [shuffled(n_samples, 0, epoch) for epoch in range(n_epochs)]


def variants(net):
    """Return the spiking network with pipelined timing, and with input in floating point."""
    pipelined = Spiking(net.replace(timing="pipelined"), "spikebp (pipelined)")
    return {"pipelined": pipelined, "real": SpikingOnRealInput(net)}


def measure(data, hidden, n_steps, samples, block, without, with_variants):
    """Return rows of the table, and the operations of the spiking network in the second epoch."""
    net = network(data, hidden, n_steps)
    competitors = {"own": Spiking(net), **(variants(net) if with_variants else {})}
    competitors |= rivals(net.init_weights(), net.learning_rate, without)
    scales = {
        name: 1 if isinstance(competitor, Spiking) else np.float32(data.input_scale)
        for name, competitor in competitors.items()
    }
    orders = epoch_orders(len(data.x_train))
    epochs = []
    for order in orders:
        x, y = data.x_train[order[:samples]], data.y_train[order[:samples]]
        inputs = {name: c.prepare(x * scales[name]) for name, c in competitors.items()}
        epochs.append((inputs, y))

    def train(epoch):
        inputs, y = epochs[epoch]
        return lambda name, competitor, part: competitor.train(inputs[name][part], y[part])

    n_samples = len(epochs[0][1])
    alternate(competitors, train(0), n_samples, block)
    before = competitors["own"].sim.operations
    times = alternate(competitors, train(1), n_samples, block)
    operations = competitors["own"].sim.operations - before
    rows = summary(competitors, times, "own")
    for row, (name, competitor) in zip(rows, competitors.items(), strict=True):
        scores = competitor.predict(competitor.prepare(data.x_test * scales[name]))
        row["test_error"] = error_percent(scores, data.y_test)
    per_sample = {key: value / n_samples for key, value in operations.to_dict().items()}
    return {"layers": net.layer_sizes, "n_steps": n_steps, "rows": rows, "operations": per_sample}


def learning_curve(data, hidden, n_steps, samples, points, without):
    """Test error against seconds of training, for each competitor alone."""
    net = network(data, hidden, n_steps)

    def everyone():
        return {"own": Spiking(net), **rivals(net.init_weights(), net.learning_rate, without)}

    order = epoch_orders(len(data.x_train), 1)[0][:samples]
    curves = {}
    warm = everyone()
    for name, competitor in everyone().items():
        scale = 1 if name == "own" else np.float32(data.input_scale)
        x = competitor.prepare(data.x_train[order] * scale)
        x_test = competitor.prepare(data.x_test * scale)
        warm[name].train(x[:1], data.y_train[order][:1])  # compilation is not timed
        warm[name].predict(x_test[:1])
        seconds, curve = 0.0, []
        for part in np.array_split(np.arange(len(order)), points):
            part = slice(part[0], part[-1] + 1)
            begin = time.perf_counter()
            competitor.train(x[part], data.y_train[order][part])
            seconds += time.perf_counter() - begin
            curve.append((seconds, error_percent(competitor.predict(x_test), data.y_test)))
        curves[competitor.name] = curve
    return curves


def measure_widths(data, n_steps, samples, block):
    """Time and counted operations of training, against the width of two hidden layers."""
    rows = []
    for width in WIDTHS:
        own = Spiking(network(data, (width, width), n_steps))
        x, y = data.x_train[:samples], data.y_train[:samples]
        own.train(x, y)
        before = own.sim.operations
        call = lambda _, competitor, part: competitor.train(x[part], y[part])  # noqa: E731, B023
        times = alternate({"own": own}, call, len(x), block)
        operations = own.sim.operations - before
        rows.append(
            {
                "width": width,
                "microseconds_per_sample": 1e6 * float(np.median(times["own"])),
                "operations_per_sample": operations.total / len(x),
                "dense_per_sample": operations.dense / len(x),
            }
        )
    return rows


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


def draw_widths(rows, path):
    import matplotlib.pyplot as plt

    width = [row["width"] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for key, label in (
        ("microseconds_per_sample", "time"),
        ("operations_per_sample", "synaptic operations"),
        ("dense_per_sample", "operations of a dense network"),
    ):
        values = np.array([row[key] for row in rows])
        axes.plot(width, values / values[0], marker="o", label=label)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="units in each of two hidden layers",
        ylabel=f"relative to width {width[0]}",
        title="Cost of a training sample against layer width",
    )
    axes.set_xticks(width, [str(w) for w in width])
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def print_widths(rows):
    first = rows[0]
    print("| width | µs per sample | synaptic operations | time, relative | operations, relative |")
    print("|---|---|---|---|---|")
    for row in rows:
        time_ratio = row["microseconds_per_sample"] / first["microseconds_per_sample"]
        work_ratio = row["operations_per_sample"] / first["operations_per_sample"]
        print(
            f"| {row['width']} | {row['microseconds_per_sample']:.1f} | "
            f"{row['operations_per_sample']:,.0f} | {time_ratio:.2f} | {work_ratio:.2f} |"
        )


def print_results(data, results):
    for result in results:
        sizes = "-".join(map(str, result["layers"]))
        print_rows(f"Training {data.name}, {sizes}, T = {result['n_steps']}", result["rows"])
        operations = result["operations"]
        total = operations["forward"] + operations["backward"] + operations["update"]
        print(
            f"\n{operations['spikes']:,.0f} spikes, {operations['errors']:,.1f} error spikes and "
            f"{total:,.0f} synaptic operations a sample (dense: {operations['dense']:,.0f})"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", action="append", help="hidden layer sizes")
    parser.add_argument("--steps", type=int, action="append")
    parser.add_argument("--samples", type=int, default=None, help="training samples in an epoch")
    parser.add_argument("--block", type=int, default=2000, help="samples in a block")
    parser.add_argument("--without", default="", help="rivals to leave out, comma-separated")
    parser.add_argument(
        "--variants", action="store_true", help="pipelined timing and real input as well"
    )
    parser.add_argument("--widths", action="store_true", help="cost against layer width instead")
    parser.add_argument("--picture", help="draw cost against accuracy (or width) to this file")
    parser.add_argument("--level", type=int, default=4, help="3: AVX2 alone for the engine")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    limit_level(options.level)
    data = data_for_benchmark()
    without = options.without.lower().split(",")

    with one_thread():
        if options.widths:
            rows = measure_widths(data, 10, options.samples or 10_000, options.block)
            if options.picture:
                draw_widths(rows, options.picture)
            print(json.dumps(rows)) if options.json else print_widths(rows)
            return
        results = [
            measure(
                data,
                hidden_sizes(layers),
                T,
                options.samples,
                options.block,
                without,
                options.variants,
            )
            for layers in options.layers or ["200,200", "300,300"]
            for T in options.steps or [10, 20]
        ]
    if options.json:
        print(json.dumps({"dataset": data.name, "results": results}))
    else:
        print_results(data, results)
    if options.picture:
        with one_thread():
            curves = learning_curve(data, (200, 200), 10, options.samples, 12, without)
        draw_curves(curves, options.picture)


if __name__ == "__main__":
    main()
