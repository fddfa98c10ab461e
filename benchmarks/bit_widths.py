"""The bits that each variable of a network needs while it learns, in grid units or as a count.

Shows training samples step by step, and keeps the extremes of every variable in each layer. The
bits are those of the smallest signed integer that holds both extremes::

    python benchmarks/bit_widths.py
    python benchmarks/bit_widths.py --epochs 5 --steps 20
"""

import argparse
import json

import numpy as np
from measuring import data_for_benchmark, hidden_sizes, network

from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.compiled.stepper import Moment, Stepper
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation.hardware_report import bits_of


class Extremes:
    """The lowest and the highest value of each variable in each layer."""

    def __init__(self):
        self.of = {}

    def see(self, name, parts):
        for l, values in parts:
            now = (int(values.min()), int(values.max()))
            low, high = self.of.setdefault((name, l), now)
            self.of[name, l] = min(low, now[0]), max(high, now[1])

    def rows(self):
        return [
            {
                "variable": name,
                "layer": l,
                "lowest": low,
                "highest": high,
                "bits": bits_of(low, high),
            }
            for (name, l), (low, high) in self.of.items()
        ]


def learn(net, x, y, epochs):
    """Learn, and return the extremes of all variables."""
    layout, targets = Layout(net, "int64"), np.eye(net.n_outputs)[y]
    learning, totals = layout.learning(initial_state(net)), layout.totals()
    stepper, extremes = Stepper(layout, learning, totals), Extremes()
    sample, psi, nowhere = stepper.sample, learning.backward_potential, layout.record(0, 0)
    one, unit, edge = layout.network.one, layout.network.unit, layout.network.edge
    last = net.n_layers

    def parts(values, layers, starts=unit):
        return [(l, values[starts[l] : starts[l + 1]]) for l in layers]

    all_layers, with_weights, hidden = range(last + 1), range(1, last + 1), range(1, last)
    with progress_bar(epochs * len(x), "training") as progress:
        for i in range(epochs * len(x)):
            potential = error_sum = np.zeros_like(sample.potential)
            for t in range(net.n_steps):
                opens, closes = t == 0, t + 1 == net.n_steps
                moment = Moment(opens, closes, restarts=opens, learns=True, updates=closes)
                stepper.show(x[i % len(x)], targets[i % len(x)], moment, i, nowhere)
                reached, psi_reached = (
                    sample.potential + sample.spike * one,
                    psi + sample.error * one,
                )
                extremes.see("drive of a step", parts(reached - potential, all_layers))
                extremes.see("potential when it fires", parts(reached, all_layers))
                extremes.see("potential", parts(sample.potential, all_layers))
                extremes.see("spikes in a step", parts(sample.spike, all_layers))
                extremes.see("target potential", [(last, sample.target_potential)])
                extremes.see("backward potential when it fires", parts(psi_reached, hidden))
                extremes.see("backward potential", parts(psi, hidden))
                extremes.see("error spikes in a step", parts(sample.error, with_weights))
                potential = sample.potential.copy()
                error_sum = error_sum + sample.error
            summed_drive = sample.potential + sample.count * one
            extremes.see("summed drive of a sample", parts(summed_drive, with_weights))
            extremes.see("spikes in a sample", parts(sample.count, all_layers))
            extremes.see("error spikes in a sample", parts(error_sum, with_weights))
            extremes.see("weight", parts(learning.weight, with_weights, edge))
            progress.update(1)
    return extremes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--samples", type=int, help="training samples; all by default")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = data_for_benchmark()
    net = network(data, hidden_sizes(options.layers), options.steps)
    x, y = data.x_train[: options.samples], data.y_train[: options.samples]
    rows = learn(net, x, y, options.epochs).rows()
    if options.json:
        print(json.dumps({"dataset": data.name, "layers": net.layer_sizes, "rows": rows}))
        return
    sizes = "-".join(map(str, net.layer_sizes))
    print(
        f"\nLearning {data.name}, {sizes}, T = {net.n_steps}, {net.fraction_bits} fraction bits, "
        f"{options.epochs * len(x)} samples\n"
    )
    print(
        "| variable | lowest | highest | bits in layers "
        + " / ".join(map(str, range(net.n_layers + 1)))
    )
    print("|---|---|---|---|")
    for name in dict.fromkeys(row["variable"] for row in rows):
        of_layer = {row["layer"]: row for row in rows if row["variable"] == name}
        widths = [
            str(of_layer[l]["bits"]) if l in of_layer else "-" for l in range(net.n_layers + 1)
        ]
        low = min(row["lowest"] for row in of_layer.values())
        high = max(row["highest"] for row in of_layer.values())
        print(f"| {name} | {low} | {high} | {' / '.join(widths)} |")


if __name__ == "__main__":
    main()
