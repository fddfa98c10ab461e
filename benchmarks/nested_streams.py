"""Whether the settings of streams hold where they were not chosen: nested selection.

Settings are drawn: hidden layers, the scale of features, what a label asks for, and the rule of the
learning rate. Each runs on the streams of ``streams.py``, features behind river's scaler, in the
mean of two seeds. Then each stream is left out in turn: the setting that is best in the mean of the
others counts there. The table has that, the defaults, and the best on the stream itself, which is
what a choice on the data shown would claim. Needs river, and SPIKEBP_DATA for Elec2::

    python benchmarks/nested_streams.py
    python benchmarks/nested_streams.py --settings 10 --seeds 1 --samples 1000
"""

import argparse
import json
import random
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from unittest import mock

import numpy as np
from rivals import one_thread
from streams import SAMPLES, STREAMS, ScaledFeatures

from spikebp_plugins.estimators import learning_rate, parameters
from spikebp_plugins.network import defaults
from spikebp_plugins.river import SpikingMLPClassifier

#: What is drawn, the default first.
SPACE = {
    "hidden_layer_sizes": [(100, 200), (100,), (300,), (100, 100), (200, 200), (50, 200)],
    "spread": [2.0, 1.0, 4.0],
    "targets": [(6.0, 36.0), (4.0, 36.0), (8.0, 36.0), (6.0, 28.0), (6.0, 44.0)],
    "times_at_first": [2.0, 3.0, 4.0, 1.0],
    "first_mark": [128, 64, 256],
    "growth": [3, 2, 4],
    "n_marks": [4, 3, 5],
    "halves_of_rise": [5, 4, 6],
}
DEFAULT = {name: values[0] for name, values in SPACE.items()}


def accuracy(name, seed, samples, setting):
    """Return how many samples of a stream are right in percent, each before it is learned."""
    rows, labels = zip(*islice(STREAMS[name](seed), samples), strict=True)
    marks = tuple(setting["first_mark"] * setting["growth"] ** i for i in range(setting["n_marks"]))
    row = defaults.NORMALIZED._replace(label_targets=setting["targets"])
    with (
        mock.patch.multiple(learning_rate, MARKS=marks, HALVES_OF_RISE=setting["halves_of_rise"]),
        mock.patch.object(parameters, "TIMES_AT_FIRST", setting["times_at_first"]),
        mock.patch.object(defaults, "NORMALIZED", row),
        mock.patch.object(parameters.NetworkParameters, "_spread", setting["spread"]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of networks in which nothing fires
        model = ScaledFeatures(
            SpikingMLPClassifier(
                len(rows[0]),
                len(set(labels)),
                hidden_layer_sizes=setting["hidden_layer_sizes"],
                seed=seed,
                backend="compiled:n_jobs=1",
            )
        )
        right = 0
        for x, y in zip(rows, labels, strict=True):
            right += model.predict_one(x) == y
            model.learn_one(x, y)
    return 100 * right / len(rows)


def accuracies(setting, names, seeds, samples):
    """Return the mean accuracy of a setting on each stream."""
    with one_thread():
        return [
            np.mean([accuracy(name, seed, samples, setting) for seed in range(seeds)])
            for name in names
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--settings", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="the first of each stream")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.streams.split(",")
    draw = random.Random(0)
    settings = [
        DEFAULT,
        *(
            {name: draw.choice(values) for name, values in SPACE.items()}
            for _ in range(options.settings)
        ),
    ]
    measure = partial(accuracies, names=names, seeds=options.seeds, samples=options.samples)
    with ProcessPoolExecutor() as pool:
        found = np.array(list(pool.map(measure, settings)))
    others = [np.delete(found, i, axis=1).mean(axis=1) for i in range(len(names))]
    chosen = [int(np.argmax(accuracies_there)) for accuracies_there in others]
    if options.json:
        print(json.dumps({"settings": settings, "accuracies": found.tolist(), "chosen": chosen}))
        return
    print("| stream | chosen on the others | defaults | best of all here |\n|---|---|---|---|")
    for name, place, here in zip(names, chosen, found.T, strict=True):
        print(f"| {name} | {here[place]:.1f} | {here[0]:.1f} | {here.max():.1f} |")
    best = int(np.argmax(found.mean(axis=1)))
    print(f"\nbest in the mean of all, {found[best].mean():.2f} ({found[0].mean():.2f}):")
    for i in sorted({best, *chosen}):
        held = [name for name, place in zip(names, chosen, strict=True) if place == i]
        print(f"  {settings[i]}: without {', '.join(held) or 'none'}")


if __name__ == "__main__":
    main()
