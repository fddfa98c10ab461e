"""N-MNIST: accuracy and training time of the spiking network and of a perceptron, in one process.

Both learn from the same recordings and are tested on the same other recordings. The spiking network
learns from spike counts of ten steps, as in ``examples/nmnist_events.py``. scikit-learn's
MLPClassifier has as many hidden units, defaults otherwise, and learns from the counts summed over
time. Each seed is another split, order and initialization. One thread; recordings are encoded
beforehand::

    SPIKEBP_DATA=... python benchmarks/nmnist.py
    python benchmarks/nmnist.py --folder nmnist --seeds 3 --epochs 40 --json
"""

import argparse
import json
import warnings
from time import perf_counter

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from spikebp_plugins import EventEncoder, Simulator, SpikingMLP, load_nmnist

ENCODER = EventEncoder(34, 34, step=32_000)
N_STEPS = 10
TARGET = 10 * np.eye(10)


class Spiking:
    name = "spiking network"

    def __init__(self, seed, hidden, epochs):
        self.seed, self.epochs = seed, epochs
        self.net = SpikingMLP(
            (ENCODER.n_inputs, hidden, 10),
            n_steps=N_STEPS,
            learning_rate=0.003,
            input_coding="spikes",
            seed=seed,
        )

    def fit(self, x, y):
        self.sim = Simulator(self.net, n_jobs=1, wait=True)
        for epoch in range(self.epochs):
            order = np.random.RandomState(self.seed + 1 + epoch).permutation(len(x))
            self.sim.train(x[order], TARGET[y[order]])

    def predict(self, x):
        return self.sim.predict(x).argmax(axis=1)


class Perceptron:
    name = "scikit-learn MLPClassifier"

    def __init__(self, seed, hidden, epochs):
        self.model = MLPClassifier((hidden,), random_state=seed)

    def fit(self, x, y):
        self.model.fit(x.sum(axis=1), y)

    def predict(self, x):
        return self.model.predict(x.sum(axis=1))


def measure(folder, n_train, seeds, hidden, epochs):
    recordings = load_nmnist(folder)
    found = {kind: ([], []) for kind in (Spiking, Perceptron)}
    for seed in range(seeds):
        x, y = next(ENCODER.batches(recordings.shuffled(seed), N_STEPS, size=len(recordings)))
        for kind, (accuracies, seconds) in found.items():
            model = kind(seed, hidden, epochs)
            begin = perf_counter()
            model.fit(x[:n_train], y[:n_train])
            seconds.append(perf_counter() - begin)
            accuracies.append(100 * float(np.mean(model.predict(x[n_train:]) == y[n_train:])))
    return [
        {"competitor": kind.name, "accuracies": accuracies, "seconds": seconds}
        for kind, (accuracies, seconds) in found.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="folder of N-MNIST; $SPIKEBP_DATA/nmnist* without it")
    parser.add_argument("--samples", type=int, default=800, help="recordings to learn from")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=200, help="hidden units")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    with threadpool_limits(1):
        rows = measure(
            options.folder, options.samples, options.seeds, options.hidden, options.epochs
        )
    if options.json:
        print(json.dumps({"samples": options.samples, "rows": rows}))
        return
    print(f"\nN-MNIST, {options.samples} recordings to learn from, {options.seeds} splits\n")
    print("| | accuracy, % | of each split | training, s |")
    print("|---|---|---|---|")
    for row in rows:
        each = ", ".join(f"{accuracy:.1f}" for accuracy in row["accuracies"])
        mean, seconds = np.mean(row["accuracies"]), np.median(row["seconds"])
        print(f"| {row['competitor']} | {mean:.1f} | {each} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
