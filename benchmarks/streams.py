"""Streams of river: accuracy and time of learning, and the mean rank of each competitor.

Nine streams, each sample predicted before it is learned, and river's `StandardScaler` in front of
every competitor; "spikebp, raw" has none. Every parameter is at its default. With `--chosen` each
of the others is there with several learning rates, of which the first fifth of a stream chooses
one, and what comes after it counts. A seed draws the weights of the networks, and the samples of
the streams that are generated; the table has means over seeds. All competitors take turns on blocks
of samples. One thread; needs river; SPIKEBP_DATA brings Elec2::

    python benchmarks/streams.py
    python benchmarks/streams.py --chosen
    python benchmarks/streams.py --parts
    python benchmarks/streams.py --streams bananas,led --seeds 1 --samples 500 --json

`--parts` shows what each part of the defaults brings: the spiking network alone, on features as
they are, with one of them changed.
"""

import argparse
import json
import os
import warnings
from itertools import count, islice
from pathlib import Path

import numpy as np
from measuring import alternate
from rivals import one_thread
from river import datasets, linear_model, multiclass, naive_bayes, optim, preprocessing, tree
from river.datasets import synth
from sklearn.linear_model import SGDClassifier
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


def sea(seed):
    return synth.SEA(seed=seed, noise=0.1)


def classes(seed):
    """Forty classes that come and go: eight at a time, of which four are others every 200 samples.

    A class has two centres in 20 dimensions, and noise around them.
    """
    random = np.random.RandomState(1000 + seed)
    centres = random.rand(40, 2, 20)
    active = random.permutation(40)[:8].tolist()
    for i in count():
        if i and i % 200 == 0:
            for _ in range(4):
                active.pop(random.randint(len(active)))
            others = [label for label in range(40) if label not in active]
            active += random.permutation(others)[:4].tolist()
        label = active[random.randint(8)]
        x = centres[label, random.randint(2)] + random.standard_normal(20) / 4
        yield dict(enumerate(x.tolist())), label


STREAMS = {
    "phishing": lambda _: datasets.Phishing(),
    "bananas": lambda _: datasets.Bananas(),
    "segments": lambda _: datasets.ImageSegments(),
    "elec2": elec2,
    "hyperplane": hyperplane,
    "led": led,
    "rbf": rbf,
    "sea": sea,
    "40 classes": classes,
}


# --- competitors: each is made for a number of features, for labels, and for a seed --------------

#: The share of a stream that chooses, and does not count.
FIRST = 5


class ScikitLearn:
    """A classifier of scikit-learn, with the interface of river."""

    def __init__(self, model, labels):
        self.model = model
        self.labels = labels
        self.has_learned = False

    def learn_one(self, x, y):
        self.model.partial_fit([list(x.values())], [y], classes=self.labels)
        self.has_learned = True

    def predict_one(self, x):
        return self.model.predict([list(x.values())])[0] if self.has_learned else self.labels[0]


class BestOfSettings:
    """Several models, of which the one goes on that was right most often in so many samples."""

    def __init__(self, models, n_samples):
        self.models, self.left = models, n_samples if len(models) > 1 else 0
        self.right = np.zeros(len(models))

    def learn_one(self, x, y):
        if self.left:
            answers = [model.predict_one(x) for model in self.models]
            self.right += np.array(answers) == y
            self.left -= 1
        for model in self.models:
            model.learn_one(x, y)
        if not self.left and len(self.models) > 1:
            self.models = [self.models[int(np.argmax(self.right))]]

    def predict_one(self, x):
        return self.models[0].predict_one(x)


def spiking(n_features, labels, seed):
    model = SpikingMLPClassifier(n_features, len(labels), seed=seed, backend="compiled:n_jobs=1")
    return [model]


def logistic(_, labels, __):
    models = [linear_model.LogisticRegression(optim.SGD(rate)) for rate in (0.01, 0.003, 0.03, 0.1)]
    return models if len(labels) == 2 else [*map(multiclass.OneVsRestClassifier, models)]


def sgd(_, labels, seed):
    rates = ({}, *({"learning_rate": "constant", "eta0": rate} for rate in (0.003, 0.01, 0.03)))
    return [
        ScikitLearn(SGDClassifier(loss="log_loss", random_state=seed, **rate), labels)
        for rate in rates
    ]


def mlp(_, labels, seed):
    return [
        ScikitLearn(MLPClassifier(random_state=seed, learning_rate_init=rate), labels)
        for rate in (0.001, 0.0003, 0.003, 0.01)
    ]


COMPETITORS = {
    "spikebp": spiking,
    "spikebp, raw": spiking,
    "logistic regression": logistic,
    "scikit-learn SGD": sgd,
    "naive Bayes": lambda *_: [naive_bayes.GaussianNB()],
    "Hoeffding tree": lambda *_: [tree.HoeffdingTreeClassifier()],
    "scikit-learn MLP": mlp,
}


#: Those behind a scaler of their own.
SCALED = set(COMPETITORS) - {"spikebp, raw"}

#: What `--parts` changes.
PARTS = {
    "defaults": {},
    "a rate that stays": {"learning_rate": 0.5},
    "a lower rate that stays": {"learning_rate": 0.25},
    "one rate for all": {"update": "outer"},
    "at every step": {"update": "fractional"},
    "targets 0 and 36": {"label_targets": (0, 36)},
    "features as they are": {"input_scale": 1.0},
}


def changed(changes):
    """Return a function that makes the spiking network with some parameters changed."""
    fields = {"backend": "compiled:n_jobs=1"} | changes
    return lambda n_features, labels, seed: [
        SpikingMLPClassifier(n_features, len(labels), seed=seed, **fields)
    ]


class ScaledFeatures:
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


def run(name, seed, samples, competitors, is_chosen):
    """Return the accuracy of each competitor on a stream, and its microseconds a sample."""
    rows, labels = zip(*islice(STREAMS[name](seed), samples), strict=True)
    known = sorted(set(labels))
    n_first = len(rows) // FIRST if is_chosen else 0
    models = {}
    for competitor, make in competitors.items():
        made = make(len(rows[0]), known, seed)
        model = BestOfSettings(made, n_first) if is_chosen else made[0]
        models[competitor] = ScaledFeatures(model) if competitor in SCALED else model
    right = dict.fromkeys(models, 0)

    def predict_then_learn(competitor, model, part):
        places = range(len(rows))[part]
        for i, x, y in zip(places, rows[part], labels[part], strict=True):
            right[competitor] += i >= n_first and model.predict_one(x) == y
            model.learn_one(x, y)

    times = alternate(models, predict_then_learn, len(rows), BLOCK)
    return {
        competitor: {
            "accuracy": 100 * right[competitor] / (len(rows) - n_first),
            "microseconds": 1e6 * float(np.median(times[competitor])),
        }
        for competitor in models
    }


def measure(name, competitors, options):
    """Return the means over seeds, or why a stream is left out."""
    try:
        runs = [
            run(name, seed, options.samples, competitors, options.chosen)
            for seed in range(options.seeds)
        ]
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


def print_ranks(found):
    """Print the mean rank by accuracy of each competitor, of those behind a scaler alone."""
    names = [name for name in found[0]["competitors"] if name in SCALED]
    accuracies = np.array(
        [[result["competitors"][name]["accuracy"] for name in names] for result in found]
    )
    ranks = (accuracies[:, np.newaxis] > accuracies[:, :, np.newaxis]).sum(axis=2) + 1
    pairs = zip(names, ranks.mean(axis=0), strict=True)
    print("\nmean rank: " + ", ".join(f"{name} {rank:.1f}" for name, rank in pairs))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="the first of each stream")
    parser.add_argument(
        "--chosen", action="store_true", help="the first fifth chooses rates of the others"
    )
    parser.add_argument("--parts", action="store_true", help="what each default brings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    competitors = COMPETITORS
    if options.parts:
        competitors = {name: changed(changes) for name, changes in PARTS.items()}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of networks in which nothing fires
        results = [measure(name, competitors, options) for name in options.streams.split(",")]
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
    if not options.parts:
        print_ranks(found)
    print_table("µs a sample", found, "microseconds", "{:.0f}")


if __name__ == "__main__":
    main()
