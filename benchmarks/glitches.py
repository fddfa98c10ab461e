"""What one wrong reading does to what a network has learned.

A network learns. Before, in the middle and at the end of training it is shown the last sample
again, with one input that has a wrong value. Its twin is shown it as it is. Both then learn 300
more samples. The table has how many points of accuracy the network lacks against its twin, right
after the wrong reading and after these samples: the mean of some seeds in the worst case of four
values, and in parentheses the worst seed, which has the noise of any other order of samples too.
Before training there is nothing to lose right after. A sample that is refused leaves no trace.
MNIST and N-MNIST are left out without SPIKEBP_DATA::

    SPIKEBP_DATA=... python benchmarks/glitches.py
    python benchmarks/glitches.py --seeds 2 --only digits --json
"""

import argparse
import json
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from nmnist import DIGITS, N_PARTS, PART_ENCODER
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import (
    Conv2D,
    Dense,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    load_dataset,
)
from spikebp_plugins.data.aer import load_nmnist

VALUES = (30, 1e3, -1e4, 1e6)
PLACES = {"before": 0.0, "middle": 0.5, "end": 1.0}
N_MORE = 300


class Task:
    """Samples to learn and to test on, in the units of the network, and how often to show them."""

    def __init__(self, x, y, n_test, epochs):
        self.x, self.y, self.n_test, self.epochs = x, y, n_test, epochs

    def split(self, seed):
        """Return the samples to test on, and the order of those to learn from."""
        random = np.random.RandomState(seed)
        drawn = random.permutation(len(self.x))
        test, train = drawn[: self.n_test], drawn[self.n_test :]
        return test, np.concatenate([random.permutation(train) for _ in range(self.epochs)])


def digits():
    data = load_dataset("digits")
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    return Task(x, y, n_test=600, epochs=4)


def mnist():
    data = load_dataset("mnist")
    return Task(data.x_train[:12_000], data.y_train[:12_000], n_test=4_000, epochs=1)


def table():
    x, y = load_breast_cancer(return_X_y=True)
    return Task(StandardScaler().fit_transform(x), y, n_test=200, epochs=8)


def recordings():
    x, y = next(PART_ENCODER.batches(load_nmnist(), N_PARTS, size=1000, start=0))
    return Task(x.reshape(-1, 1, PART_ENCODER.n_inputs), np.repeat(y, N_PARTS), 2_400, epochs=4)


def of_recordings(seed):
    return SpikingMLP.paper(
        (PART_ENCODER.n_inputs, 100, DIGITS),
        input_coding="spikes",
        n_steps=1,
        update="normalized",
        learning_rate=0.6,
        weight_init="quiet",
        label_targets=(0, 40),
        seed=seed,
    )


def kernels(side, *layers):
    return lambda seed: SpikingNetwork((side, side), [*layers, Dense(10)], seed=seed)


def default(*sizes):
    return lambda seed: SpikingMLP(sizes, seed=seed)


def paper(*sizes):
    return lambda seed: SpikingMLP.paper(sizes, seed=seed)


def graded(*sizes):
    return lambda seed: SpikingMLP.graded(sizes, seed=seed)


#: By name: the task, the network of a seed, the back end, and whether it learns from a stream.
CASES = {
    "digits": (digits, default(64, 100, 10), "compiled", False),
    "digits, as a stream": (digits, default(64, 100, 10), "compiled", True),
    "digits, on a board": (digits, default(64, 100, 10), "c", False),
    "digits, kernels": (digits, kernels(8, Conv2D(16, 3)), "compiled", False),
    "digits, graded": (digits, graded(64, 100, 10), "compiled", False),
    "digits, paper": (digits, paper(64, 100, 10), "compiled", False),
    "table": (table, default(30, 100, 2), "compiled", False),
    "table, graded": (table, graded(30, 100, 2), "compiled", False),
    "MNIST": (mnist, default(784, 200, 200, 10), "compiled", False),
    "MNIST, kernels": (mnist, kernels(28, Conv2D(16, 5, 2)), "compiled", False),
    "MNIST, graded": (mnist, graded(784, 200, 200, 10), "compiled", False),
    "N-MNIST": (recordings, of_recordings, "compiled", False),
}


def teach(sim, x, y, as_stream):
    if not as_stream:
        sim.train(x, y)
        return
    stream = sim.stream(n_steps=sim.net.n_steps)
    for row, label in zip(x, y, strict=True):
        stream.show(row, target=label, n_steps=sim.net.n_steps)


def with_value(x, value, random):
    """Return samples of which one input has another value."""
    x = np.array(x, np.int64 if x.dtype.kind in "iu" else np.float64)
    x[..., random.randint(x.shape[-1])] = value
    return x


def losses(task, make, backend, as_stream, seed):
    """Return how many points a network lacks right after a wrong value and later, by place."""
    test, order = task.split(seed)
    x_test, y_test = task.x[test], task.y[test]

    def accuracy(sim):
        return 100 * float(np.mean(sim.predict(x_test).argmax(axis=1) == y_test))

    found = {}
    with Simulator(make(seed), backend=backend) as sim:
        begin = 0
        for place, share in PLACES.items():
            here = int(share * len(order))
            if here > begin:
                sim.train(task.x[order[begin:here]], task.y[order[begin:here]])
            begin = here
            last, more = order[max(here - 1, 0)], np.resize(order[here:], N_MORE)
            more = more if here < len(order) else order[:N_MORE]
            start = sim.checkpoint()
            with start.simulate(backend=backend) as twin:
                teach(twin, task.x[[last]], task.y[[last]], as_stream)
                right_after = accuracy(twin)
                teach(twin, task.x[more], task.y[more], as_stream)
                later = accuracy(twin)
            found[place] = []
            for value in VALUES:
                random = np.random.RandomState(seed)
                with start.simulate(backend=backend) as hit:
                    wrong = with_value(task.x[[last]], value, random)
                    with suppress(OverflowError):
                        teach(hit, wrong, task.y[[last]], as_stream)
                    lost = [right_after - accuracy(hit)]
                    teach(hit, task.x[more], task.y[more], as_stream)
                    found[place].append([*lost, later - accuracy(hit)])
    return found


def measure(name, seeds):
    """Return the losses of a case: an array [seed][value][right after, later] for each place."""
    get, *rest = CASES[name]
    task = get()
    each = [losses(task, *rest, seed) for seed in range(seeds)]
    return {place: [found[place] for found in each] for place in PLACES}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", help="cases whose name begins like this")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(os.environ.get("SPIKEBP_DATA", "none"))
    cases = [name for name in CASES if name.startswith(options.only or "")]
    if not folder.is_dir():
        cases = [name for name in cases if "MNIST" not in name]
    if not options.json:
        print("\n| | before | middle | end |\n|---|---|---|---|")
    for name in cases:
        found = measure(name, options.seeds)
        if options.json:
            print(json.dumps({"case": name, "losses": found}), flush=True)
            continue
        cells = []
        for place in PLACES:
            lost = np.array(found[place])
            means, worst = lost.mean(axis=0).max(axis=0), lost.max(axis=(0, 1))
            pairs = [f"{mean:.1f} ({most:.1f})" for mean, most in zip(means, worst, strict=True)]
            cells.append(pairs[1] if place == "before" else "; ".join(pairs))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
