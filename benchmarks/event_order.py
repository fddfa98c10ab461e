"""The order of events compared with that of steps: learning one sample at a time, in one process.

Each network learns a first epoch; then all learn the second in alternating blocks, and the median
time per sample counts. One thread::

    python benchmarks/event_order.py                      # 784-200-200-10 on MNIST, T = 10
    python benchmarks/event_order.py --layers 300,300 --steps 20 --samples 12000 --json
"""

import argparse
import json

from measuring import (
    Spiking,
    alternate,
    data_for_benchmark,
    hidden_sizes,
    network,
    print_rows,
    summary,
)

from spikebp_plugins import SpikingMLP
from spikebp_plugins.data.images import error_percent, shuffled
from spikebp_plugins.event_order import EventMLP, EventNetwork

OWN = "event, breadth"


class Events(EventNetwork):
    """A network in the order of events, with the name of a competitor."""

    def __init__(self, net):
        super().__init__(net)
        self.name = f"event, {net.order}"


def measure(data, hidden, n_steps, samples, block):
    events = [
        Events(network(data, hidden, EventMLP, n_steps=n_steps, order=order))
        for order in ("breadth", "depth")
    ]
    steps = Spiking(network(data, hidden, SpikingMLP.paper, n_steps=n_steps), "steps")
    competitors = {competitor.name: competitor for competitor in (*events, steps)}

    def learn(epoch):
        order = shuffled(len(data.x_train), 0, epoch)[:samples]
        x, y = data.x_train[order], data.y_train[order]
        call = lambda _, competitor, part: competitor.train(x[part], y[part])  # noqa: E731
        return alternate(competitors, call, len(order), block)

    learn(0)
    rows = summary(competitors, learn(1), OWN)
    for row, competitor in zip(rows, competitors.values(), strict=True):
        row["test_error"] = error_percent(competitor.predict(data.x_test), data.y_test)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--samples", type=int, default=None, help="training samples in an epoch")
    parser.add_argument("--block", type=int, default=1000, help="samples in a block")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data, hidden = data_for_benchmark(), hidden_sizes(options.layers)
    rows = measure(data, hidden, options.steps, options.samples, options.block)
    if options.json:
        layers = [data.x_train.shape[1], *hidden, data.n_classes]
        result = {"dataset": data.name, "layers": layers, "n_steps": options.steps, "rows": rows}
        print(json.dumps(result))
        return
    sizes = "-".join(map(str, (data.x_train.shape[1], *hidden, data.n_classes)))
    print_rows(f"Training {data.name}, {sizes}, T = {options.steps}", rows, "event")


if __name__ == "__main__":
    main()
