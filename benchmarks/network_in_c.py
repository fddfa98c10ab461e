"""The network in C on this machine, compared with the back end `compiled`, in one process.

Both go on from the same checkpoint, with the same samples in alternating blocks, one thread each,
and end with the same weights::

    python benchmarks/network_in_c.py
    python benchmarks/network_in_c.py --samples 2000 --json
"""

import argparse
import json

import numpy as np
from measuring import Spiking, alternate, data_for_benchmark, network, print_rows, summary


class NetworkInC(Spiking):
    """The network in C, with weights of 16 bits."""

    def __init__(self, checkpoint):
        self.name = "spikebp (C, 16-bit weights)"
        self.sim = checkpoint.simulate("c:16")


class Compiled(Spiking):
    """The compiled back end, which goes on from a checkpoint."""

    def __init__(self, checkpoint):
        self.name = "spikebp (compiled)"
        self.sim = checkpoint.simulate("compiled", n_jobs=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=20_000, help="to learn and to predict")
    parser.add_argument("--block", type=int, default=500, help="samples between two turns")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    data = data_for_benchmark()
    # The default settings for weights of 16 bits.
    net = network(data, (100, 50), update="fractional")
    n = min(options.samples, len(data.x_train))
    x, y = data.x_train[:n], data.y_train[:n]
    before = Spiking(net)
    before.train(x, y)
    checkpoint = before.sim.checkpoint()
    competitors = {"compiled": Compiled(checkpoint), "c": NetworkInC(checkpoint)}
    train = lambda _, competitor, part: competitor.train(x[part], y[part])  # noqa: E731
    predict = lambda _, competitor, part: competitor.predict(x[part])  # noqa: E731
    results = {}
    for doing, call in (("training", train), ("prediction", predict)):
        alternate(competitors, call, min(n, options.block), options.block)
        times = alternate(competitors, call, n, options.block)
        results[doing] = summary(competitors, times, "c")
    pairs = zip(*(competitor.sim.weights for competitor in competitors.values()), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs), "both learn the same weights"
    if options.json:
        print(json.dumps(results))
        return
    sizes = "-".join(map(str, net.layer_sizes))
    for doing, rows in results.items():
        print_rows(f"{doing}, {data.name}, {sizes}, T = {net.n_steps}", rows, own="C")


if __name__ == "__main__":
    main()
