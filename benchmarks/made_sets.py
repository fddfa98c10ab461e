"""Made data sets: noise, many classes, few positives, against scikit-learn's network.

Every parameter is at its default. **sets:** tables of scikit-learn and of river, of which three
tenths are kept for the test, with accuracy, log loss, and the time of `fit`, of which the last row
has the ratio. **classes:** many classes of ten samples each, after as many epochs of both.
**positives:** streams of 10,000 samples, 3 % of them positive, in calls of 100 that are predicted
and then learned; balanced accuracy, beside naive Bayes.
**hidden:** which hidden layers are best on data sets that are none of these: each is left out in
turn, and those that are best in the mean of the others count there. Means over seeds::

    SPIKEBP_DATA=... python benchmarks/made_sets.py
    python benchmarks/made_sets.py --parts sets --names hastie,quantiles --seeds 1 --json
"""

import argparse
import json
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice, product

import numpy as np
from rivals import one_thread
from river.datasets import synth
from scaling import TABLES
from sklearn import datasets
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from streams import STREAMS

from spikebp_plugins import SpikingMLPClassifier
from spikebp_plugins.river import SpikingMLPClassifier as StreamClassifier

ONE_THREAD = "compiled:n_jobs=1"


def made(**settings):
    return lambda seed: datasets.make_classification(random_state=seed, **settings)


def agrawal(seed):
    rows, labels = zip(*synth.Agrawal(seed=seed).take(5000), strict=True)
    return np.array([list(map(float, row.values())) for row in rows]), np.array(labels)


def quantiles(seed):
    return datasets.make_gaussian_quantiles(
        n_samples=3000, n_features=10, n_classes=3, random_state=seed
    )


SETS = {
    "quantiles": quantiles,
    "20 informative": made(
        n_samples=4000, n_features=20, n_informative=20, n_redundant=0, n_classes=8
    ),
    "hastie": lambda seed: datasets.make_hastie_10_2(4000, random_state=seed),
    "flip_y=.4": made(n_samples=2000, flip_y=0.4),
    "like covertype": made(
        n_samples=8000,
        n_features=54,
        n_informative=12,
        n_classes=7,
        n_clusters_per_class=1,
        flip_y=0.1,
    ),
    "Agrawal": agrawal,
}


def blobs(n_classes, n_features, deviation):
    return lambda seed: datasets.make_blobs(
        10 * n_classes, n_features, centers=n_classes, cluster_std=deviation, random_state=seed
    )


CLASSES = {
    "300 classes, 20 features": blobs(300, 20, 4.0),
    "300 classes, 64 features": blobs(300, 64, 6.0),
    "1,000 classes, 20 features": blobs(1000, 20, 4.0),
    "1,000 classes, 64 features": blobs(1000, 64, 6.0),
}


#: What `fit` learns, by parts.
FITTED = {"sets": SETS, "classes": CLASSES}


def shifted(seed, turns=False):
    """Return normal features, of which positives have four shifted, later the other way."""
    random = np.random.RandomState(seed)
    y = (random.rand(10_000) < 0.03).astype(int)
    X = random.standard_normal((10_000, 10))
    shift = np.where(turns & (np.arange(10_000) >= 5000), -1.5, 1.5)
    X[:, :4] += (shift * y)[:, np.newaxis]
    return X, y


def shell(seed):
    """Return normal features; the samples that are farthest from 0 are positive."""
    X = np.random.RandomState(seed).standard_normal((10_000, 6))
    distances = (X**2).sum(axis=1)
    return X, (distances > np.quantile(distances, 0.97)).astype(int)


rare = partial(made, n_samples=10_000, weights=[0.97])
POSITIVES = {
    "20 features": rare(n_features=20, n_informative=5, flip_y=0),
    "10 features": rare(n_features=10, n_informative=4),
    "easy": rare(n_features=20, class_sep=1.5, flip_y=0),
    "shifted": shifted,
    "shifted, turned": partial(shifted, turns=True),
    "shell": shell,
}
HIDDEN = [(100,), (200,), (50, 50), (100, 50), (100, 100), (100, 200), (200, 100)]
#: Those of `scaling.py` and `streams.py`, which settings of streams and of scaling were chosen on.
OTHERS = (*STREAMS, *TABLES)


def networks(seed, **settings):
    scikit_learn = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed, **settings))
    return {
        "spikebp": SpikingMLPClassifier(random_state=seed, backend=ONE_THREAD, **settings),
        "MLPClassifier": scikit_learn,
    }


def fitted(job, part, **settings):
    """Return accuracy, log loss and time of each network on a set, for a name and a seed."""
    name, seed = job
    X, X_test, y, y_test = train_test_split(
        *(found := FITTED[part][name](seed)), test_size=0.3, random_state=seed, stratify=found[1]
    )
    found = {}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of epochs that were too few
        for label, model in networks(seed, **settings).items():
            start = time.perf_counter()
            model.fit(X, y)
            seconds = time.perf_counter() - start
            loss = log_loss(y_test, model.predict_proba(X_test), labels=np.unique(y))
            found[label] = (100 * model.score(X_test, y_test), loss, seconds)
    return found


def of_positives(job):
    """Return the balanced accuracy of each learner on a stream, for a name and a seed."""
    name, seed = job
    X, y = POSITIVES[name](seed)
    learners = {
        "spikebp": SpikingMLPClassifier(random_state=seed, backend=ONE_THREAD),
        'spikebp, "balanced"': SpikingMLPClassifier(
            random_state=seed, backend=ONE_THREAD, class_weight="balanced"
        ),
        "GaussianNB": GaussianNB(),
    }
    found = {}
    with one_thread():
        for label, model in learners.items():
            answers = []
            for start in range(0, len(y), 100):
                rows = slice(start, start + 100)
                if start:
                    answers.append(model.predict(X[rows]))
                model.partial_fit(X[rows], y[rows], classes=[0, 1])
            found[label] = (100 * balanced_accuracy_score(y[100:], np.concatenate(answers)),)
    return found


def of_hidden(job):
    """Return the accuracy with hidden layers on a stream or a table, for a seed."""
    hidden, name, seed = job
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of outliers, and of networks in which nothing fires
        if name in STREAMS:
            model, hits = StreamClassifier(hidden_layer_sizes=hidden, seed=seed), 0
            samples = list(islice(STREAMS[name](seed), 3000))
            for x, y in samples:
                hits += model.predict_one(x) == y
                model.learn_one(x, y)
            return 100 * hits / len(samples)
        X, X_test, y, y_test = train_test_split(*TABLES[name](), random_state=seed)
        model = SpikingMLPClassifier(hidden, random_state=seed, backend=ONE_THREAD)
        return 100 * model.fit(X, y).score(X_test, y_test)


def rows_of(pool, measure, names, seeds):
    """Return a row for each name: the means over seeds of what is measured of each learner."""
    jobs = list(product(names, range(seeds)))
    found = list(pool.map(measure, jobs))
    rows = []
    for i, name in enumerate(names):
        of_name = found[i * seeds : (i + 1) * seeds]
        means = {label: np.mean([one[label] for one in of_name], axis=0) for label in of_name[0]}
        rows.append({"data": name} | {label: mean.tolist() for label, mean in means.items()})
    return rows


def nested(pool, names, seeds):
    """Return the accuracies with each choice of hidden layers, and of those chosen elsewhere."""
    jobs = list(product(HIDDEN, names, range(seeds)))
    found = np.reshape(list(pool.map(of_hidden, jobs)), (len(HIDDEN), len(names), seeds)).mean(2)
    rows = [
        {"data": str(hidden)} | {name: [value] for name, value in zip(names, values, strict=True)}
        for hidden, values in zip(HIDDEN, found.tolist(), strict=True)
    ]
    others = [np.delete(found, i, axis=1).mean(axis=1) for i in range(len(names))]
    chosen = [int(np.argmax(values)) for values in others]
    rows.append({"data": "chosen on the others"})
    rows[-1] |= {name: [found[chosen[i], i]] for i, name in enumerate(names)}
    for row in rows:
        row["mean"] = [float(np.mean([row[name] for name in names]))]
    return rows


def print_table(title, rows):
    labels = list(rows[0])[1:]
    print(f"\n| {title} | {' | '.join(labels)} |\n|{'---|' * (len(labels) + 1)}")
    for row in rows:
        cells = (
            ", ".join(
                f"{value:.{digits}f}" for value, digits in zip(row[label], (1, 2, 2), strict=False)
            )
            for label in labels
        )
        print(f"| {row['data']} | {' | '.join(cells)} |")
    if len(rows[0][labels[0]]) == 3:
        ours, theirs = (np.array([row[label] for row in rows]).mean(axis=0) for label in labels)
        print(
            f"\nmeans {ours[0]:.2f} and {theirs[0]:.2f}; time {ours[2] / theirs[2]:.2f} of theirs"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="sets,classes,positives,hidden")
    parser.add_argument("--names", help="some of the data sets")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    parts = {
        "sets": [("sets", SETS, partial(fitted, part="sets"))],
        "classes": [
            ("after 20 epochs", CLASSES, partial(fitted, part="classes", max_iter=20)),
            ("after 100 epochs", CLASSES, partial(fitted, part="classes", max_iter=100)),
        ],
        "positives": [("balanced accuracy", POSITIVES, of_positives)],
    }
    results = {}
    with ProcessPoolExecutor() as pool:
        for part in options.parts.split(","):
            chosen = options.names.split(",") if options.names else None
            if part == "hidden":
                results["hidden layers"] = nested(pool, chosen or OTHERS, options.seeds)
                continue
            for title, sets, measure in parts[part]:
                results[title] = rows_of(pool, measure, chosen or list(sets), options.seeds)
    if options.json:
        print(json.dumps(results))
        return
    for title, rows in results.items():
        print_table(title, rows)


if __name__ == "__main__":
    main()
