"""Why the default settings are what they are: errors on training data that were held out.

A sixth of the training images of digits (64-100-10), and of MNIST (784-200-200-10) where
SPIKEBP_DATA has it, is kept apart; the means of three seeds, with no schedule of rates. ``--test``
learns all of them, and shows the test images: for the figures of docs/defaults.md, once all was
chosen. Input of half and of twice the size says what a wrong `input_scale` costs, and a
stream of digits whose labels change half way how a network follows::

    python benchmarks/defaults.py
    python benchmarks/defaults.py --test --rows default,paper,graded
"""

import argparse
import time
from functools import partial

import numpy as np
from measuring import data_for_benchmark

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.data.images import error_percent, shuffled

SCALES = (1.0, 0.5, 2.0)
#: Changes of the default, and two other rows of the table.
ROWS = {
    "default": {},
    "four steps": {"n_steps": 4, "spikes_per_unit": 2, "label_targets": (3, 18)},
    "four steps of one spike": {"n_steps": 4, "spikes_per_unit": 1, "label_targets": (1.5, 9)},
    "four steps of four spikes": {"n_steps": 4},
    "one step of eight spikes": {"n_steps": 1, "spikes_per_unit": 8, "label_targets": (12, 72)},
    "half the rate": {"learning_rate": 0.125},
    "twice the rate": {"learning_rate": 0.5},
    "targets 3 and 36": {"label_targets": (3, 36)},
    "targets 9 and 36": {"label_targets": (9, 36)},
    "targets 6 and 28": {"label_targets": (6, 28)},
    "targets 6 and 44": {"label_targets": (6, 44)},
    "fractional": {"update": "fractional"},
    "fractional at half the rate": {"update": "fractional", "learning_rate": 2.0**-13},
    "fractional at twice the rate": {"update": "fractional", "learning_rate": 2.0**-11},
    "graded": SpikingMLP.graded,
    "paper": SpikingMLP.paper,
}


def after_a_change(net, data):
    """Return how many of the last samples of a stream are right, whose labels change half way.

    What was a 3 is a 4 from then on. Each of 4,000 digits is predicted before it is learned.
    """
    rows = np.random.RandomState(net.seed).randint(len(data.x_train), size=4000)
    x, y = data.x_train[rows], data.y_train[rows]
    y[2000:] = (y[2000:] + 1) % data.n_classes
    with Simulator(net, n_jobs=1) as sim:
        return 100 * float(np.mean(sim.train(x, y)[-500:].argmax(axis=1) == y[-500:]))


def split(data, is_test):
    """Return samples to learn from, and others to show."""
    if is_test:
        return data.x_train, data.y_train, data.x_test, data.y_test
    order = np.random.RandomState(12345).permutation(len(data.x_train))
    kept = len(order) * 5 // 6
    (x, y), held = (data.x_train, data.y_train), order[kept:]
    return x[order[:kept]], y[order[:kept]], x[held], y[held]


def learn(net, parts, epochs, halved):
    """Return the error after each epoch, and the median time of a sample; NaN if it is refused."""
    x, y, x_shown, y_shown = parts
    errors, times = [], []
    # The grid is to hold the last rate too.
    lowest = net.replace(learning_rate=net.learning_rate / 2 ** len(halved))
    checkpoint = Simulator(net.replace(fraction_bits=lowest.fraction_bits)).checkpoint()
    for epoch in range(epochs):
        if epoch in halved:
            checkpoint = checkpoint.at_rate(checkpoint.net.learning_rate / 2)
        order = shuffled(len(x), net.seed, epoch)
        with checkpoint.simulate(n_jobs=1) as sim:
            begin = time.perf_counter()
            try:
                sim.train(x[order], y[order])
            except OverflowError:
                return [*errors, *[np.nan] * (epochs - epoch)], np.nan
            times.append((time.perf_counter() - begin) / len(x))
            errors.append(error_percent(sim.predict(x_shown), y_shown))
            checkpoint = sim.checkpoint()
    return errors, 1e6 * float(np.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--halved", default="", help="epochs after which the rate is halved")
    parser.add_argument("--scales", default=SCALES, type=lambda text: map(float, text.split(",")))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    named = {"digits": (load_dataset("digits", raw=True), (100,))}
    if (data := data_for_benchmark()).name != "digits":
        named[data.name] = (data, (200, 200))
    last, halved = options.epochs, [int(n) for n in options.halved.split(",") if n]
    scales = list(options.scales)
    header = ["data", "settings", "scale", "error after 1 epoch, %", f"after {last}"]
    header += ["µs a sample", "right after a change, %"]
    print(f"| {' | '.join(header)} |\n{'|---' * len(header)}|")
    for name, (data, hidden) in named.items():
        parts = split(data, options.test)
        sizes = (data.x_train.shape[1], *hidden, data.n_classes)
        for row in options.rows.split(","):
            changes = ROWS[row.strip()]
            make = changes if callable(changes) else partial(SpikingMLP, **changes)
            for scale in scales:
                factor = data.input_scale * scale
                nets = [make(sizes, input_scale=factor, seed=s) for s in range(options.seeds)]
                runs = [learn(net, parts, last, halved) for net in nets]
                errors = np.mean([errors for errors, _ in runs], axis=0)
                taken = float(np.median([taken for _, taken in runs]))
                follows = ""
                if name == "digits":
                    follows = f"{np.mean([after_a_change(net, data) for net in nets]):.1f}"
                print(
                    f"| {name} | {row} | {scale:g} | {errors[0]:.2f} | {errors[-1]:.2f} "
                    f"| {taken:.1f} | {follows} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
