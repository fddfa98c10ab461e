"""Scaling: what wrong readings and changed units cost estimators, and whether its settings hold.

Each stream comes once as it is, and once with what goes wrong in it: a wrong reading in one feature
or in all, once or in one of a thousand samples; another unit, or another sensor, after 2,000
samples; a feature that stays constant for 600. The table has how many points are lost 300 samples
later, in the mean of seeds; for the regressor, what it loses of R²::

    SPIKEBP_DATA=... python benchmarks/scaling.py
    python benchmarks/scaling.py --streams hyperplane,rbf --seeds 1

`--nested` draws settings of the scaling, and runs them on streams, tables, one-hot columns and text
that is made from the docstrings of scikit-learn. Then each data set is left out in turn: the
setting that is best in the mean of the others counts there. `--changes` has the default, and one
change of it a row::

    SPIKEBP_DATA=... python benchmarks/scaling.py --nested
    SPIKEBP_DATA=... python benchmarks/scaling.py --changes
"""

import argparse
import importlib
import inspect
import json
import pkgutil
import random
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from itertools import islice
from unittest import mock

import numpy as np
import sklearn
import stream_regression
import streams
from rivals import one_thread
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from spikebp_plugins import SpikingMLPClassifier
from spikebp_plugins.estimators import parameters, running_scale, scaling
from spikebp_plugins.river import SpikingMLPClassifier as StreamClassifier
from spikebp_plugins.river import SpikingMLPRegressor as StreamRegressor

N, AT, LATER, CONSTANT = 4600, 2000, 300, 600
ONE_THREAD = "compiled:n_jobs=1"

# --- what goes wrong: each changes chosen columns of samples of shape (N, n_features) -------------


def once(value, at=AT):
    def change(X, chosen, _):
        X[at, chosen] = value

    return change


def often(value):
    def change(X, chosen, random):
        X[np.ix_(random.rand(len(X)) < 1e-3, chosen)] = value

    return change


def from_then_on(factor, shift=0.0):
    def change(X, chosen, _):
        X[AT:, chosen] = factor * X[AT:, chosen] + shift * X[:, chosen].std(axis=0)

    return change


def constant(X, chosen, _):
    X[AT : AT + CONSTANT, chosen] = X[AT, chosen]


VALUES = (1e3, -9999.0, 1e6, 1e9)
WRONG = {
    **{f"{value:g}, once": once(value) for value in VALUES},
    **{f"{value:g}, one of 1,000": often(value) for value in VALUES},
    "1e9, first sample": once(1e9, at=0),
    "unit x 0.001": from_then_on(1e-3),
    "unit x 1000": from_then_on(1e3),
    "shift by 5 deviations": from_then_on(1.0, 5.0),
    "another sensor": from_then_on(0.02, 20.0),
    "constant for 600": constant,
}
CLASSIFIED = ("elec2", "hyperplane", "rbf", "bananas", "led", "sea", "40 classes")
TARGETS = {f"target {value:g}": value for value in VALUES}
REGRESSED = ("friedman", "planes", "mv")


def rows_of(name, seed):
    """Return samples as an array, and their labels or targets."""
    if name in REGRESSED:
        pairs = islice(stream_regression.STREAMS[name](seed), N)
        rows, y = zip(*((stream_regression.numbers(x), float(y)) for x, y in pairs), strict=True)
    else:
        rows, y = zip(*islice(streams.STREAMS[name](seed), N), strict=True)
    return np.array([list(row.values()) for row in rows], float), list(y)


def predictions(name, seed, X, y):
    """Return what a model predicts for each sample before it learns it."""
    make = StreamRegressor if name in REGRESSED else StreamClassifier
    model, found = make(seed=seed, backend=ONE_THREAD), []
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of outliers, and of networks in which nothing fires
        for row, target in zip(X.tolist(), y, strict=True):
            x = dict(enumerate(row))
            found.append(model.predict_one(x))
            model.learn_one(x, target)
    return found


@cache
def as_it_is(name, seed):
    """Return a stream, and what is predicted if nothing goes wrong."""
    X, y = rows_of(name, seed)
    return X, y, predictions(name, seed, X, y)


def goodness(found, y, wrong, start):
    """Return accuracy in percent, or R², on samples that are right, from `start` on."""
    kept = np.flatnonzero(~wrong[start:]) + start
    found, y = [found[i] for i in kept], [y[i] for i in kept]
    if isinstance(y[0], float):
        return 1 - np.mean(np.subtract(found, y) ** 2) / np.var(y)
    return 100 * np.mean([a == b for a, b in zip(found, y, strict=True)])


def lost(name, seed, change, in_all):
    """Return what a wrong reading costs on a stream."""
    X, y, expected = as_it_is(name, seed)
    drawn = np.random.RandomState(seed)
    chosen = np.arange(X.shape[1]) if in_all else drawn.randint(X.shape[1], size=1)
    wrong_X, told = X.copy(), list(y)
    if change in TARGETS:
        told[AT] = TARGETS[change]
    else:
        WRONG[change](wrong_X, chosen, drawn)
    found = predictions(name, seed, wrong_X, told)
    lasts = change.startswith(("unit", "shift", "another", "constant"))
    wrong = np.zeros(N, bool) if lasts else (wrong_X != X).any(axis=1)
    start = AT + LATER + (CONSTANT if change.startswith("constant") else 0)
    return goodness(expected, y, wrong, start) - goodness(found, y, wrong, start)


def losses(pool, names, changes, seeds):
    """Return what each change costs on each stream, in the mean of seeds."""
    jobs = [(name, seed, *change) for change in changes for name in names for seed in range(seeds)]
    found = list(pool.map(lost, *zip(*jobs, strict=True)))
    means = np.reshape(found, (len(changes), len(names), seeds)).mean(axis=2)
    places = ["" if name in TARGETS else ", all" if in_all else ", one" for name, in_all in changes]
    labels = [name + place for (name, _), place in zip(changes, places, strict=True)]
    return [
        {"lost": label} | dict(zip(names, row.tolist(), strict=True))
        for label, row in zip(labels, means, strict=True)
    ]


# --- settings ------------------------------------------------------------------------------------


@cache
def docstrings():
    """Return texts of the modules of scikit-learn, and the ten packages that have most of them."""
    found = set()
    for module_info in pkgutil.walk_packages(sklearn.__path__, "sklearn."):
        if any(
            part in module_info.name for part in ("test", "_build", "externals", "experimental")
        ):
            continue
        module = importlib.import_module(module_info.name)
        for value in vars(module).values():
            if getattr(value, "__module__", None) == module_info.name and inspect.isclass(value):
                parts = [value, *(one for one in vars(value).values() if inspect.isfunction(one))]
            else:
                parts = [value] if inspect.isfunction(value) else []
            for part in parts:
                words = (part.__doc__ or "").split()
                if len(words) >= 8:
                    found.add((" ".join(words[:60]), module_info.name.split(".")[1]))
    texts, labels = zip(*sorted(found), strict=True)
    names, counts = np.unique(labels, return_counts=True)
    most = names[np.argsort(-counts, kind="stable")[:10]]
    kept = [i for i, label in enumerate(labels) if label in most]
    return [texts[i] for i in kept], np.array(labels)[kept]


def text(n_bits):
    def load():
        texts, y = docstrings()
        hashing = HashingVectorizer(n_features=2**n_bits, alternate_sign=False, norm=None)
        return hashing.transform(texts), y

    return load


def one_hot(n_columns, n_levels, numbers=0):
    """Return a table of categories, each of which adds a number of its own to a score."""

    def load():
        random = np.random.RandomState(100)
        levels = random.randint(n_levels, size=(4000, n_columns))
        of_level = random.standard_normal((n_columns, n_levels))
        score = of_level[np.arange(n_columns), levels].sum(axis=1)
        columns = [np.eye(n_levels)[levels[:, i]] for i in range(n_columns)]
        noise = random.standard_normal((4000, numbers)) * 10.0 ** np.arange(numbers)
        return np.column_stack([*columns, noise]), (score > 0).astype(int)

    return load


def made(function):
    def load():
        X, y = make_classification(1500, 20, n_informative=8, n_classes=4, random_state=3)
        return function(X), y

    return load


#: Those that are learned in ten epochs; streams are learned once.
TABLES = {
    "wine": partial(load_wine, return_X_y=True),
    "cancer": partial(load_breast_cancer, return_X_y=True),
    "digits": partial(load_digits, return_X_y=True),
    "made": made(lambda X: X),
    "heavy tails": made(lambda X: np.exp(1.5 * X)),
    "one-hot 20 x 10": one_hot(20, 10),
    "one-hot 4 x 50 + 3 numbers": one_hot(4, 50, 3),
    "text 2^10": text(10),
    "text 2^14": text(14),
}
SETS = (*streams.STREAMS, *TABLES)

#: What is drawn, the default first.
SPACE = {
    "limit": [4, 3, 6, 8],
    "power, length": [(5, -5), (5, -4), (5, -6), (4, -3), (3, -1), (3, 0), (6, -7)],
    "dense of": [4, 2, 8],
    "block": [16, 8, 32],
    "far in a row": [32, 16, 64],
    "small in a row": [32, 16, 64],
    "repeated": [16, 4, 1 << 30],
    "small bits": [4, 3, 6],
    "spread": [2.0, 1.0, 4.0],
}
DEFAULT = {name: values[0] for name, values in SPACE.items()}
#: What centres and divides every feature.
ALL_DENSE = DEFAULT | {"dense of": 1 << 30}


def with_setting(setting):
    """Return a context in which the scaling has other settings."""
    power, length = setting["power, length"]
    changes = {"LIMIT": setting["limit"], "DENSE_OF": setting["dense of"]}
    changes |= {"BLOCK": setting["block"], "POWER": power, "LENGTH": length}
    if setting["dense of"] > scaling.SPARSE_OF:
        changes["SPARSE_OF"] = 2 * setting["dense of"]
    of_one = {"REPEATED": setting["repeated"], "SMALL_BITS": setting["small bits"]}
    of_one["FAR_IN_A_ROW"] = setting["far in a row"]
    of_one["SMALL_IN_A_ROW"] = setting["small in a row"]
    stack = ExitStack()
    stack.enter_context(mock.patch.multiple(scaling, **changes))
    stack.enter_context(mock.patch.multiple(running_scale, **of_one))
    stack.enter_context(
        mock.patch.object(parameters.NetworkParameters, "_spread", setting["spread"])
    )
    return stack


def right(name, seed, setting):
    """Return how many samples are right, in percent."""
    with with_setting(setting), warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")  # of outliers, and of networks in which nothing fires
        if name in streams.STREAMS:
            rows, labels = zip(*islice(streams.STREAMS[name](seed), 3000), strict=True)
            model, hits = StreamClassifier(seed=seed, backend=ONE_THREAD), 0
            for x, y in zip(rows, labels, strict=True):
                hits += model.predict_one(x) == y
                model.learn_one(x, y)
            return 100 * hits / len(rows)
        X, y = TABLES[name]()
        X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
        model = SpikingMLPClassifier(random_state=seed, max_iter=10, backend=ONE_THREAD)
        return 100 * model.fit(X, y).score(X_test, y_test)


def accuracies(setting, names, seeds):
    return [np.mean([right(name, seed, setting) for seed in range(seeds)]) for name in names]


def best_linear(name, seeds):
    """Return the accuracy of scikit-learn's linear classifier at the best of five rates."""
    X, y = TABLES[name]()
    found = []
    for seed in range(seeds):
        parts = train_test_split(X, y, random_state=seed)
        rates = (0.01, 0.03, 0.1, 0.3, 1.0)
        options = {"loss": "log_loss", "learning_rate": "constant", "max_iter": 10, "tol": None}
        models = [SGDClassifier(eta0=rate, random_state=seed, **options) for rate in rates]
        found.append(max(model.fit(*parts[::2]).score(*parts[1::2]) for model in models))
    return 100 * float(np.mean(found))


def described(setting):
    changed = {name: value for name, value in setting.items() if DEFAULT[name] != value}
    return "; ".join(f"{name} {value}" for name, value in changed.items()) or "default"


def nested(pool, names, n_settings, seeds):
    """Return the accuracy on each data set of what is best on the others, and the best settings."""
    draw = random.Random(0)
    drawn = ({key: draw.choice(values) for key, values in SPACE.items()} for _ in range(n_settings))
    settings = [DEFAULT, *drawn]
    found = np.array(list(pool.map(partial(accuracies, names=names, seeds=seeds), settings)))
    rows = []
    for i, name in enumerate(names):
        chosen = int(np.argmax(np.delete(found, i, axis=1).mean(axis=1)))
        values = (found[chosen, i], found[0, i], found[:, i].max())
        columns = ("chosen on the others", "defaults", "best of all here")
        rows.append({"data": name} | dict(zip(columns, map(float, values), strict=True)))
    best = np.argsort(-found.mean(axis=1))[:8]
    means = [(0, "default"), *((i, described(settings[i])) for i in best)]
    return rows, [{"setting": text, "mean": float(found[i].mean())} for i, text in means]


def changed(pool, names, seeds):
    """Return the accuracies with the default settings, and with one of them changed."""
    changes = [{name: value} for name in SPACE for value in SPACE[name][1:]]
    settings = [DEFAULT, ALL_DENSE, *(DEFAULT | change for change in changes)]
    found = pool.map(partial(accuracies, names=names, seeds=seeds), settings)
    rows = []
    for setting, values in zip(settings, found, strict=True):
        label = "all dense" if setting is ALL_DENSE else described(setting)
        of_sets = dict(zip(names, map(float, values), strict=True))
        rows.append({"change": label, "mean": float(np.mean(values))} | of_sets)
    texts = [name for name in names if name.startswith("text")]
    linear = {"change": "best of five linear"} | {name: best_linear(name, seeds) for name in texts}
    return [*rows, linear] if texts else rows


def print_table(rows):
    columns = list(rows[0])
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        values = (row.get(column, "") for column in columns)
        cells = (f"{value:.2f}" if isinstance(value, float) else value for value in values)
        print(f"| {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default=",".join(CLASSIFIED), help="of labels, to go wrong")
    parser.add_argument("--regressed", default=",".join(REGRESSED), help="of numbers")
    parser.add_argument("--only", default="", help="changes whose name begins like this")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--nested", action="store_true")
    parser.add_argument("--changes", action="store_true")
    parser.add_argument("--settings", type=int, default=60)
    parser.add_argument("--sets", default=",".join(SETS), help="data of --nested and --changes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = [name for name in options.sets.split(",") if name in SETS]
    with ProcessPoolExecutor() as pool:
        if options.nested:
            tables = nested(pool, names, options.settings, options.seeds)
        elif options.changes:
            tables = [changed(pool, names, options.seeds)]
        else:
            in_features = [(change, in_all) for change in WRONG for in_all in (False, True)]
            tables = []
            for given, more in ((options.streams, {}), (options.regressed, TARGETS)):
                changes = [*((change, False) for change in more), *in_features]
                changes = [one for one in changes if one[0].startswith(options.only)]
                if chosen := [name for name in given.split(",") if name]:
                    tables.append(losses(pool, chosen, changes, options.seeds))
    if options.json:
        print(json.dumps(tables))
        return
    for table in tables:
        print_table(table)


if __name__ == "__main__":
    main()
