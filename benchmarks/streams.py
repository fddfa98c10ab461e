"""Streams of river: accuracy and time of learning with every parameter at its default.

Seven streams, each sample predicted before it is learned, and river's `StandardScaler` in front of
every competitor; "spikebp, raw" has none. Nothing is tuned: neither for a stream nor for a
competitor. A seed draws the weights of the networks, and the samples of the streams that are
generated; the table has means over seeds. All competitors take turns on blocks of samples. One
thread; needs river; SPIKEBP_DATA brings Elec2::

    python benchmarks/streams.py
    python benchmarks/streams.py --parts
    python benchmarks/streams.py --streams bananas,led --seeds 1 --samples 500 --json

`--parts` shows what each part of the defaults brings: the spiking network alone, on features as
they are, with one of them changed.
"""

import argparse
import json
import os
import warnings
from itertools import islice
from pathlib import Path

import numpy as np
from measuring import alternate
from rivals import one_thread
from river import datasets, linear_model, multiclass, naive_bayes, preprocessing, tree
from river.datasets import synth
from sklearn.neural_network import MLPClassifier

from spikebp_plugins.river import SpikingMLPClassifier

SAMPLES, BLOCK = 5000, 250

# --- streams: each is a function of a seed ------------------------------------------------------


def elec2(_):
    """The Australian electricity market, without its date and the price that decides the label."""
    root = os.environ.get("SPIKEBP_DATA")
    folder = Path(root or "") / "streams" / "elec2"
    if root is None or not folder.is_dir():
        raise FileNotFoundError("SPIKEBP_DATA has no streams/elec2")
    names = {1: "day", 2: "period", 4: "nswdemand", 5: "vicprice", 6: "vicdemand", 7: "transfer"}
    with (
        open(folder / "elec2_data.dat") as rows,
        open(folder / "elec2_label.dat") as labels,
    ):
        for row, label in zip(rows, labels, strict=True):
            values = row.split()
            yield {name: float(values[place]) for place, name in names.items()}, int(label)


def hyperplane(seed):
    return synth.Hyperplane(seed=seed, n_features=10, n_drift_features=2, mag_change=0.001)


def led(seed):
    return synth.LED(seed=seed, noise_percentage=0.1)


def rbf(seed):
    return synth.RandomRBF(
        seed_model=7, seed_sample=seed, n_classes=5, n_features=50, n_centroids=50
    )


STREAMS = {
    "phishing": lambda _: datasets.Phishing(),
    "bananas": lambda _: datasets.Bananas(),
    "segments": lambda _: datasets.ImageSegments(),
    "elec2": elec2,
    "hyperplane": hyperplane,
    "led": led,
    "rbf": rbf,
}


# --- competitors: each is made for a number of features, for labels, and for a seed --------------


class ScikitLearn:
    """The network of scikit-learn, with the interface of river."""

    def __init__(self, labels, seed):
        self.model = MLPClassifier(random_state=seed)
        self.labels = labels
        self.has_learned = False

    def learn_one(self, x, y):
        self.model.partial_fit([list(x.values())], [y], classes=self.labels)
        self.has_learned = True

    def predict_one(self, x):
        return self.model.predict([list(x.values())])[0] if self.has_learned else self.labels[0]


def spiking(n_features, labels, seed):
    return SpikingMLPClassifier(n_features, len(labels), seed=seed, backend="compiled:n_jobs=1")


def logistic(_, labels, __):
    model = linear_model.LogisticRegression()
    return model if len(labels) == 2 else multiclass.OneVsRestClassifier(model)


COMPETITORS = {
    "spikebp": spiking,
    "spikebp, raw": spiking,
    "logistic regression": logistic,
    "naive Bayes": lambda *_: naive_bayes.GaussianNB(),
    "Hoeffding tree": lambda *_: tree.HoeffdingTreeClassifier(),
    "scikit-learn MLP": lambda _, labels, seed: ScikitLearn(labels, seed),
}


#: Those behind a scaler of their own.
SCALED = set(COMPETITORS) - {"spikebp, raw"}

#: What `--parts` changes.
PARTS = {
    "defaults": {},
    "one rate for all": {
        "update": "outer",
        "learning_rate": 0.02,
        "rate_halvings": 3,
        "label_targets": (0.75, 8),
    },
    "rate not halved": {"rate_halvings": 0},
    "He weights": {"weight_init": "he"},
    "weights of 0.01": {"weight_init": "paper"},
    "targets 0 and 2": {"label_targets": (0, 2)},
    "features as they are": {"scale_inputs": "off"},
    "former defaults": {"update": "fractional", "scale_inputs": "off", "weight_init": "paper"},
}


def changed(changes):
    """Return a function that makes the spiking network with some parameters changed."""
    return lambda n_features, labels, seed: SpikingMLPClassifier(
        n_features, len(labels), seed=seed, backend="compiled:n_jobs=1", **changes
    )


class Scaled:
    """A competitor behind a scaler of its own; what a pipeline of river does, for any classifier.

    The scaler has learned from earlier samples when it predicts, and from this one when it learns.
    """

    def __init__(self, model):
        self.scaler, self.model = preprocessing.StandardScaler(), model

    def learn_one(self, x, y):
        self.scaler.learn_one(x)
        self.model.learn_one(self.scaler.transform_one(x), y)

    def predict_one(self, x):
        return self.model.predict_one(self.scaler.transform_one(x))


def run(name, seed, samples, competitors):
    """Return the accuracy of each competitor on a stream, and its microseconds a sample."""
    rows, labels = zip(*islice(STREAMS[name](seed), samples), strict=True)
    known = sorted(set(labels))
    models = {
        competitor: make(len(rows[0]), known, seed) for competitor, make in competitors.items()
    }
    models = {
        competitor: Scaled(model) if competitor in SCALED else model
        for competitor, model in models.items()
    }
    right = dict.fromkeys(models, 0)

    def predict_then_learn(competitor, model, part):
        for x, y in zip(rows[part], labels[part], strict=True):
            right[competitor] += model.predict_one(x) == y
            model.learn_one(x, y)

    times = alternate(models, predict_then_learn, len(rows), BLOCK)
    return {
        competitor: {
            "accuracy": 100 * right[competitor] / len(rows),
            "microseconds": 1e6 * float(np.median(times[competitor])),
        }
        for competitor in models
    }


def measure(name, seeds, samples, competitors):
    """Return the means over seeds, or why a stream is left out."""
    try:
        runs = [run(name, seed, samples, competitors) for seed in range(seeds)]
    except FileNotFoundError as error:
        return {"stream": name, "left_out": str(error)}
    return means(name, runs)


def means(name, runs):
    """Return the means of what runs on a stream found of each competitor."""
    return {
        "stream": name,
        "competitors": {
            competitor: {
                key: float(np.mean([found[competitor][key] for found in runs])) for key in values
            }
            for competitor, values in runs[0].items()
        },
    }


def print_table(title, found, key, form):
    competitors = found[0]["competitors"]
    print(f"\n| {title} | " + " | ".join(competitors) + " |")
    print("|---|" + "---|" * len(competitors))
    for result in found:
        values = [result["competitors"][competitor][key] for competitor in competitors]
        print(f"| {result['stream']} | " + " | ".join(form.format(v) for v in values) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="the first of each stream")
    parser.add_argument("--parts", action="store_true", help="what each default brings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    competitors = COMPETITORS
    if options.parts:
        competitors = {name: changed(changes) for name, changes in PARTS.items()}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks in which nothing fires
        results = [
            measure(name, options.seeds, options.samples, competitors)
            for name in options.streams.split(",")
        ]
    if options.json:
        print(json.dumps(results))
        return
    for result in results:
        if "left_out" in result:
            print(f"# left out: {result['stream']}: {result['left_out']}")
    found = [result for result in results if "competitors" in result]
    if not found:
        return
    print_table("accuracy, %", found, "accuracy", "{:.1f}")
    print_table("µs a sample", found, "microseconds", "{:.0f}")


if __name__ == "__main__":
    main()
