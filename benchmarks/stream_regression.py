"""Streams of numbers: error and time of learning with every parameter at its default.

Six streams of river, numeric features alone, each sample predicted before it is learned. The error
is the mean absolute one, as a share of that of the median of all targets, which no competitor
knows: 1 is worth nothing, 0 is perfect. Linear regression and the network of scikit-learn have
river's `StandardScaler` in front and its `TargetStandardScaler` around; the others need neither.
All competitors take turns on blocks of samples. One thread; needs river::

    python benchmarks/stream_regression.py
    python benchmarks/stream_regression.py --streams trump,friedman --seeds 1 --samples 500 --json
"""

import argparse
import json
import warnings
from itertools import islice
from numbers import Real

import numpy as np
from measuring import alternate
from rivals import one_thread
from river import base, datasets, linear_model, preprocessing, tree
from river.datasets import synth
from sklearn.neural_network import MLPRegressor
from streams import BLOCK, SAMPLES, ScaledFeatures, means, print_table

from spikebp_plugins.river import SpikingMLPRegressor

STREAMS = {
    "trump": lambda _: datasets.TrumpApproval(),
    "chicks": lambda _: datasets.ChickWeights(),
    "friedman": lambda seed: synth.Friedman(seed=seed),
    "drift": lambda seed: synth.FriedmanDrift(seed=seed, position=(1500, 2500, 3500)),
    "planes": lambda seed: synth.Planes2D(seed=seed),
    "mv": lambda seed: synth.Mv(seed=seed),
}


class ScikitLearn(base.Regressor):
    """The network of scikit-learn, with the interface of river."""

    def __init__(self, seed):
        self.seed = seed
        self.model = MLPRegressor(random_state=seed)
        self.has_learned = False

    def learn_one(self, x, y):
        self.model.partial_fit([list(x.values())], [y])
        self.has_learned = True

    def predict_one(self, x):
        return float(self.model.predict([list(x.values())])[0]) if self.has_learned else 0.0


def with_scaled_targets(model):
    return ScaledFeatures(preprocessing.TargetStandardScaler(model))


COMPETITORS = {
    "spikebp": lambda seed: SpikingMLPRegressor(seed=seed, backend="compiled:n_jobs=1"),
    "linear regression": lambda _: with_scaled_targets(linear_model.LinearRegression()),
    "Hoeffding tree": lambda _: tree.HoeffdingTreeRegressor(),
    "scikit-learn MLP": lambda seed: with_scaled_targets(ScikitLearn(seed)),
}


def numbers(x):
    return {name: float(value) for name, value in x.items() if isinstance(value, Real)}


def run(name, seed, samples):
    """Return the error of each competitor on a stream, and its microseconds a sample."""
    pairs = [(numbers(x), float(y)) for x, y in islice(STREAMS[name](seed), samples)]
    models = {competitor: make(seed) for competitor, make in COMPETITORS.items()}
    errors = {competitor: [] for competitor in models}

    def predict_then_learn(competitor, model, part):
        for x, y in pairs[part]:
            errors[competitor].append(abs(model.predict_one(x) - y))
            model.learn_one(x, y)

    times = alternate(models, predict_then_learn, len(pairs), BLOCK)
    y = np.array([y for _, y in pairs])
    of_the_median = float(np.mean(np.abs(y - np.median(y))))
    return {
        competitor: {
            "error": float(np.mean(errors[competitor])) / of_the_median,
            "microseconds": 1e6 * float(np.median(times[competitor])),
        }
        for competitor in models
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", default=",".join(STREAMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="the first of each stream")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of river's and scikit-learn's networks
        results = [
            means(name, [run(name, seed, options.samples) for seed in range(options.seeds)])
            for name in options.streams.split(",")
        ]
    if options.json:
        print(json.dumps(results))
        return
    print_table("mean absolute error", results, "error", "{:.2g}")
    print_table("µs a sample", results, "microseconds", "{:.0f}")


if __name__ == "__main__":
    main()
