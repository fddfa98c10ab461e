"""N-MNIST: accuracy and training time of spiking networks and of a perceptron, in one process.

All learn from the same recordings and are tested on the same other recordings. The dense spiking
network learns from spike counts of ten steps, as in ``examples/nmnist_events.py``. scikit-learn's
MLPClassifier has as many hidden units, defaults otherwise, and learns from the counts summed over
time. The network of ``--connections`` sees six parts of a recording, each as a sample of its own,
and adds up their scores; so does a second perceptron, with its probabilities. Each seed is another
split, order and initialization. One thread; recordings are encoded beforehand::

    SPIKEBP_DATA=... python benchmarks/nmnist.py
    python benchmarks/nmnist.py --folder nmnist --seeds 3 --epochs 40 --json
    python benchmarks/nmnist.py --connections dense200,dense10
    python benchmarks/nmnist.py --connections conv24k7s2,conv48k5s2,dense10 --shift 2
"""

import argparse
import json
import warnings
from time import perf_counter

import numpy as np
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from spikebp_plugins import Checkpoint, EventEncoder, Simulator, SpikingMLP, SpikingNetwork
from spikebp_plugins.data.aer import load_nmnist
from spikebp_plugins.network.connections.notation import WORDS, layers_of

SIDE = 34
DIGITS = 10
COMPILED = {"n_jobs": 1}

# The camera jumps three times in 0.3 s, and a part holds half a jump.
PART_ENCODER = EventEncoder(SIDE, SIDE, step=52_500)
N_PARTS = 6


def order_of(epoch, seed, n):
    """Return the order in which an epoch shows n recordings."""
    return np.random.RandomState(seed + 1 + epoch).permutation(n)


def class_of(scores):
    """Return the class of each recording, given the scores of its parts one after another."""
    return scores.reshape(-1, N_PARTS, DIGITS).sum(axis=1).argmax(axis=1)


def moved(x, most, random):
    """Return recordings as if the camera had stood up to some pixels to the side, or higher."""
    images = np.pad(x.reshape(*x.shape[:2], 2, SIDE, SIDE), [(0, 0)] * 3 + [(most, most)] * 2)
    corners = most - random.randint(-most, most + 1, (len(x), 2))
    parts = [
        image[:, :, row : row + SIDE, column : column + SIDE]
        for image, (row, column) in zip(images, corners, strict=True)
    ]
    return np.stack(parts).reshape(x.shape)


class Spiking:
    name = "spiking network"
    encoder = EventEncoder(SIDE, SIDE, step=32_000)
    n_steps = 10

    def __init__(self, seed, options):
        self.seed, self.epochs = seed, options.epochs
        self.net = SpikingMLP.paper(
            (self.encoder.n_inputs, options.hidden, DIGITS),
            n_steps=self.n_steps,
            learning_rate=0.003,
            input_coding="spikes",
            label_targets=(0, 10),
            seed=seed,
        )

    def fit(self, x, y):
        self.sim = Simulator(self.net, **COMPILED)
        for epoch in range(self.epochs):
            order = order_of(epoch, self.seed, len(x))
            self.sim.train(x[order], y[order])

    def predict(self, x):
        return self.sim.predict(x).argmax(axis=1)


class SpikingInParts:
    """A network to which each part of a recording is a sample of one step.

    The image of a part is less blurred than that of the whole recording. The rate is halved after
    half of the epochs and after three quarters. The weights are the mean of those after each epoch
    of the last quarter.
    """

    encoder = PART_ENCODER
    n_steps = N_PARTS
    learning_rate = 0.6

    def __init__(self, seed, options):
        self.seed, self.epochs, self.shift = seed, options.part_epochs, options.shift
        self.net = SpikingNetwork.paper(
            self.encoder.input_shape,
            layers_of("connections", options.connections),
            input_layout=self.encoder.input_layout,
            input_coding="spikes",
            n_steps=1,
            update="normalized",
            learning_rate=self.learning_rate,
            weight_init="quiet",
            label_targets=(0, 40),
            seed=seed,
        )
        self.name = f"{options.connections}, in parts"

    def fit(self, x, y):
        checkpoint = Simulator(self.net, **COMPILED).checkpoint()
        late, random = [], np.random.RandomState(self.seed)
        for epoch in range(self.epochs):
            quarter = 4 * epoch // self.epochs
            order = order_of(epoch, self.seed, len(x))
            checkpoint = checkpoint.at_rate(self.learning_rate / 2 ** max(0, quarter - 1))
            with checkpoint.simulate(**COMPILED) as sim:
                shown = moved(x[order], self.shift, random) if self.shift else x[order]
                sim.train(self._parts(shown), np.repeat(y[order], N_PARTS))
                checkpoint = sim.checkpoint()
            if epoch >= 3 * self.epochs // 4:
                late.append(checkpoint)
        self.sim = Checkpoint.mean(late).simulate(**COMPILED)

    def predict(self, x):
        return class_of(self.sim.predict(self._parts(x)))

    def _parts(self, x):
        return x.reshape(-1, 1, self.net.n_inputs)


class Perceptron:
    name = "scikit-learn MLPClassifier"
    encoder = Spiking.encoder
    n_steps = Spiking.n_steps

    def __init__(self, seed, options):
        self.model = MLPClassifier((options.hidden,), random_state=seed)

    def fit(self, x, y):
        self.model.fit(x.sum(axis=1), y)

    def predict(self, x):
        return self.model.predict(x.sum(axis=1))


class PerceptronInParts(Perceptron):
    name = f"{Perceptron.name}, in parts"
    encoder = PART_ENCODER
    n_steps = N_PARTS

    def fit(self, x, y):
        self.model.fit(np.concatenate(x), np.repeat(y, N_PARTS))

    def predict(self, x):
        return class_of(self.model.predict_proba(np.concatenate(x)))


def measure(options):
    recordings = load_nmnist(options.folder)
    n_train = options.samples
    rows = []
    for kind in (Spiking, SpikingInParts, Perceptron, PerceptronInParts):
        accuracies, seconds = [], []
        for seed in range(options.seeds):
            shuffled = recordings.shuffled(seed)
            x, y = next(kind.encoder.batches(shuffled, kind.n_steps, size=len(recordings), start=0))
            model = kind(seed, options)
            begin = perf_counter()
            model.fit(x[:n_train], y[:n_train])
            seconds.append(perf_counter() - begin)
            accuracies.append(100 * float(np.mean(model.predict(x[n_train:]) == y[n_train:])))
        rows.append({"competitor": model.name, "accuracies": accuracies, "seconds": seconds})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="folder of N-MNIST; $SPIKEBP_DATA/nmnist* without it")
    parser.add_argument("--samples", type=int, default=800, help="recordings to learn from")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=200, help="hidden units of dense networks")
    parser.add_argument("--epochs", type=int, default=40, help="of the dense network")
    parser.add_argument(
        "--connections",
        default="conv16k7s2,conv32k5s2,dense10",
        help=f"layers of the network that learns from parts: {WORDS}, with commas between them",
    )
    parser.add_argument(
        "--shift", type=int, default=0, help="pixels to move what it learns, at most"
    )
    parser.add_argument("--part-epochs", type=int, default=20, help="of that network")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    with threadpool_limits(1):
        rows = measure(options)
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
