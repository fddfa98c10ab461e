"""Learning on a drifting stream: the spiking network compared with others, in one process.

Half way through a stream of single images something changes: their pixels are permuted, they are
rotated by 90 degrees, or the classes are renamed. Each image is first predicted, then learned, so
that accuracy is measured on images never seen before (prequential). Each competitor takes the rate
from a grid with which it predicts best in the first quarter of another stream, with the next seed;
then all take turns on blocks of samples. One thread::

    python benchmarks/drift.py
    python benchmarks/drift.py --drift labels --samples 2000 --json
    python benchmarks/drift.py --picture docs/drift.png
"""

import argparse
import json
from itertools import pairwise

import numpy as np
from measuring import alternate, data_for_benchmark, hidden_sizes, network, summary
from rivals import one_thread
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

from spikebp_plugins import Simulator, SpikingMLP

DRIFTS = ("permuted", "rotated", "labels")
RECOVERED = 0.05  # a competitor has recovered at its accuracy before the drift minus this


# --- the stream --------------------------------------------------------------------------------


def drifting_stream(data, samples, drift, seed):
    """Return images, in 8 bits, and labels: `samples` before the drift and as many after it."""
    random = np.random.RandomState(seed)
    order = random.permutation(len(data.x_train))[: 2 * samples]
    x, y = data.x_train[order], data.y_train[order]
    late = slice(samples, None)
    if drift == "permuted":
        x[late] = x[late][:, random.permutation(x.shape[1])]
    elif drift == "rotated":
        images = x[late].reshape(-1, *data.image_shape)
        x[late] = np.rot90(images, axes=(1, 2)).reshape(samples, -1)
    else:
        y[late] = (y[late] + 1) % data.n_classes
    return x, y


# --- competitors -------------------------------------------------------------------------------


class Competitor:
    """A network for a stream of images, made for a rate and a seed."""

    name = ""
    rates = (0.005, 0.01, 0.02, 0.05, 0.1)

    def __init__(self, data, hidden, rate, seed):
        self.rate = rate
        self.scale, self.classes = np.float32(data.input_scale), np.arange(data.n_classes)

    def prepare(self, x):
        """Bring input into the form in which the competitor is fastest; this is not timed."""
        return x * self.scale

    def predict_then_learn(self, x, y):
        """Return the class of each sample as it was predicted before the sample was learned."""
        predicted = np.empty_like(y)
        for i in range(len(y)):
            one = slice(i, i + 1)
            predicted[i] = self.predict(x[one])
            self.learn(x[one], y[one])
        return predicted


class DefaultSpiking(Competitor):
    name = "spikebp, default"
    rates = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
    make = SpikingMLP

    def __init__(self, data, hidden, rate, seed):
        super().__init__(data, hidden, rate, seed)
        net = network(data, hidden, self.make, learning_rate=rate, seed=seed)
        self.sim = Simulator(net, n_jobs=1)

    def prepare(self, x):
        return x

    def predict(self, x):
        return self.sim.predict(x)[0].argmax()

    def learn(self, x, y):
        self.sim.train(x, y)


class PaperSpiking(DefaultSpiking):
    # An output unit whose drive is negative has no error: what it has unlearned for one class it
    # cannot learn for another. The paper asks nothing of wrong outputs, so that many end there.
    name = "spikebp, paper"
    rates = Competitor.rates
    make = SpikingMLP.paper


class LinearSGD(Competitor):
    name = "scikit-learn SGDClassifier"

    def __init__(self, data, hidden, rate, seed):
        super().__init__(data, hidden, rate, seed)
        self.model = SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=rate,
            random_state=seed,
        )

    def predict(self, x):
        # scikit-learn refuses to predict before the first sample, so the first class is predicted.
        return self.model.predict(x)[0] if hasattr(self.model, "classes_") else self.classes[0]

    def learn(self, x, y):
        self.model.partial_fit(x, y, classes=self.classes)


class ScikitLearnMLP(LinearSGD):
    name = "scikit-learn MLPClassifier"

    def __init__(self, data, hidden, rate, seed):
        super().__init__(data, hidden, rate, seed)
        self.model = MLPClassifier(
            hidden_layer_sizes=hidden,
            solver="sgd",
            learning_rate_init=rate,
            momentum=0,
            alpha=0,
            batch_size=1,
            random_state=seed,
        )


class PyTorchMLP(Competitor):
    name = "PyTorch, MLP"

    def __init__(self, data, hidden, rate, seed):
        super().__init__(data, hidden, rate, seed)
        import torch

        torch.set_num_threads(1)
        torch.manual_seed(seed)
        self.torch = torch
        sizes = (data.x_train.shape[1], *hidden, data.n_classes)
        layers = []
        for n_in, n_out in pairwise(sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.loss = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rate)

    def prepare(self, x):
        return self.torch.from_numpy(super().prepare(x))

    def predict(self, x):
        with self.torch.inference_mode():
            return int(self.model(x).argmax())

    def learn(self, x, y):
        self.optimizer.zero_grad()
        self.loss(self.model(x), self.torch.from_numpy(y)).backward()
        self.optimizer.step()


COMPETITORS = (DefaultSpiking, PaperSpiking, LinearSGD, ScikitLearnMLP, PyTorchMLP)


# --- what is measured --------------------------------------------------------------------------


def tuned(cls, data, hidden, seed, other_stream):
    """Return a competitor with the rate that predicts another stream best; the lowest of equals.

    This also makes the first calls, which compile and set up, before time is measured.
    """
    x, y = other_stream

    def accuracy(rate):
        competitor = cls(data, hidden, rate, seed + 1)
        return np.mean(competitor.predict_then_learn(competitor.prepare(x), y) == y)

    return cls(data, hidden, max(cls.rates, key=accuracy), seed)


def moving_accuracy(right, window):
    """Return accuracy over the last `window` samples, from sample number `window` on."""
    sums = np.cumsum(np.concatenate([[0], right]))
    return (sums[window:] - sums[:-window]) / window


def samples_to_recover(right, before, window):
    """Return after how many samples moving accuracy is within RECOVERED of `before`, or None."""
    recovered = np.flatnonzero(moving_accuracy(right, window) >= before - RECOVERED)
    return int(recovered[0]) + window if len(recovered) else None


def accuracies(right, samples, window):
    fifth = samples // 5
    before = float(np.mean(right[samples - fifth : samples]))
    return {
        "before": before,
        "right_after": float(np.mean(right[samples : samples + fifth])),
        "at_the_end": float(np.mean(right[-fifth:])),
        "samples_to_recover": samples_to_recover(right[samples:], before, window),
    }


def measure(data, hidden, samples, drift, seed, block):
    """Return the table with the conditions of its measurement, and each moving accuracy."""
    x, y = drifting_stream(data, samples, drift, seed)
    other = drifting_stream(data, samples, drift, seed + 1)
    other = [part[: samples // 2] for part in other]
    competitors, left_out = {}, []
    for cls in COMPETITORS:
        try:
            competitors[cls.name] = tuned(cls, data, hidden, seed, other)
        except ImportError:
            left_out.append(cls.name)
    inputs = {name: competitor.prepare(x) for name, competitor in competitors.items()}
    right = {name: np.empty(len(y), bool) for name in competitors}

    # Calls for whole blocks of samples show how much time the network itself takes.
    own = DefaultSpiking.name
    whole_blocks = DefaultSpiking(data, hidden, competitors[own].rate, seed)

    def take_turn(name, competitor, part):
        if competitor is whole_blocks:
            competitor.predict(x[part])
            competitor.learn(x[part], y[part])
        else:
            right[name][part] = (
                competitor.predict_then_learn(inputs[name][part], y[part]) == y[part]
            )

    all_turns = competitors | {"whole blocks": whole_blocks}
    times = alternate(all_turns, take_turn, len(y), block)
    *rows, in_blocks = summary(all_turns, times, own)
    window = max(1, samples // 20)
    for row in rows:
        name = row["competitor"]
        row |= {"rate": competitors[name].rate, **accuracies(right[name], samples, window)}
    result = {
        "dataset": data.name,
        "drift": drift,
        "layers": whole_blocks.sim.net.layer_sizes,
        "samples": samples,
        "window": window,
        "seed": seed,
        "left_out": left_out,
        "rows": rows,
        "microseconds_in_whole_blocks": in_blocks["microseconds_per_sample"],
    }
    return result, {name: moving_accuracy(answers, window) for name, answers in right.items()}


def draw(result, curves, path):
    import matplotlib.pyplot as plt

    samples, window = result["samples"], result["window"]
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(np.arange(window, 2 * samples + 1), 100 * curve, label=name, linewidth=1.2)
    axes.axvline(samples, color="grey", linestyle="--", linewidth=1)
    axes.set(
        xlabel="samples seen",
        ylabel=f"right of the last {window} predictions (%)",
        ylim=(0, 100),
        title=f"Predicted, then learned, one at a time: {result['dataset']}, {result['drift']} "
        f"after {samples:,}",
    )
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=130)


def print_result(result):
    sizes = "-".join(map(str, result["layers"]))
    samples = result["samples"]
    print(
        f"\n{result['dataset']}, {result['drift']} after {samples:,} of {2 * samples:,} samples, "
        f"{sizes}, seed {result['seed']}\n"
    )
    print(
        "| | rate | before, % | right after, % | at the end, % | samples to recover | "
        "µs per sample | spikebp / this |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for row in result["rows"]:
        recovered = row["samples_to_recover"]
        print(
            f"| {row['competitor']} | {row['rate']:g} | {100 * row['before']:.1f} | "
            f"{100 * row['right_after']:.1f} | {100 * row['at_the_end']:.1f} | "
            f"{'not reached' if recovered is None else f'{recovered:,}'} | "
            f"{row['microseconds_per_sample']:.0f} | {row['own_time_over_this']:.2f} |"
        )
    in_blocks = result["microseconds_in_whole_blocks"]
    print(f"\nspikebp with whole blocks in a call: {in_blocks:.0f} µs a sample, both together")
    for name in result["left_out"]:
        print(f"{name} is left out: not installed")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--drift", choices=DRIFTS, default="permuted")
    parser.add_argument("--layers", default="200,200", help="hidden layer sizes")
    parser.add_argument("--samples", type=int, help="before the drift, and as many after it")
    parser.add_argument("--block", type=int, default=200, help="samples in a block")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", help="draw accuracy over time to this file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = data_for_benchmark()
    most = len(data.x_train) // 2
    samples = min(10_000, most) if options.samples is None else options.samples
    if not 5 <= samples <= most:
        parser.error(f"--samples must be from 5 to {most} with {data.name}, got {samples}")

    with one_thread():
        result, curves = measure(
            data,
            hidden_sizes(options.layers),
            samples,
            options.drift,
            options.seed,
            options.block,
        )
    if options.picture:
        draw(result, curves, options.picture)
    if options.json:
        print(json.dumps(result))
    else:
        print_result(result)


if __name__ == "__main__":
    main()
