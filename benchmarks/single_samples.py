"""The time of a call with one sample, compared with the sample in a block, and with PyTorch.

Three networks learn and predict sample by sample: through the simulator, through a stream, through
the classifiers for river and for scikit-learn, and as a PyTorch network with batches of one. All
take turns on blocks of samples; a block of the simulator, handed over in one call, takes turns with
them. All have learned the first samples before, ours with default settings. One thread; needs river
for the last network, and for its rows; PyTorch takes part where it is installed; SPIKEBP_DATA
brings MNIST::

    python benchmarks/single_samples.py
    python benchmarks/single_samples.py --samples 500 --networks 64-100-10 --json
"""

import argparse
import json

import numpy as np
from measuring import alternate, data_for_benchmark
from rivals import PyTorch, one_thread
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import Simulator, SpikingMLP, SpikingMLPClassifier
from spikebp_plugins.estimators.validation import validate_data

WARM_UP = 4000
SIMULATOR, STREAM, TORCH = "simulator, ", "stream.show of a sample", "PyTorch, "
RIVER, SKLEARN, VALIDATION = "river, ", "scikit-learn API, ", "scikit-learn's validation of "


def mnist():
    data = data_for_benchmark()
    if data.name != "mnist":
        raise ImportError("SPIKEBP_DATA has no MNIST")
    return data.x_train * data.input_scale, data.y_train


def digits():
    x, y = load_digits(return_X_y=True)
    return x / 16, y


def segments():
    from river import datasets

    rows, labels = zip(*datasets.ImageSegments(), strict=True)
    x = StandardScaler().fit_transform([list(row.values()) for row in rows])
    return x, np.unique(labels, return_inverse=True)[1]


NETWORKS = {
    "784-200-200-10": (mnist, (784, 200, 200, 10)),
    "64-100-10": (digits, (64, 100, 10)),
    "18-100-7": (segments, (18, 100, 7)),
}


# --- competitors: each shows the samples of a block, and is called by its name ------------------


def one_by_one(call):
    """Return a function that calls another for each sample of a block."""

    def show(part):
        for i in range(part.start, part.stop):
            call(i)

    return show


def spiking(net, x, y):
    """The simulator, in blocks and in single calls, and a stream."""
    block, single, streamed = (Simulator(net, n_jobs=1) for _ in range(3))
    for sim in (block, single, streamed):
        sim.train(x[:WARM_UP], y[:WARM_UP])
    stream = streamed.stream(n_steps=net.n_steps)

    return {
        f"{SIMULATOR}train, in a block": lambda part: block.train(x[part], y[part]),
        f"{SIMULATOR}train, one sample a call": one_by_one(
            lambda i: single.train(x[i : i + 1], y[i : i + 1])
        ),
        STREAM: one_by_one(lambda i: stream.show(x[i], target=int(y[i]), n_steps=net.n_steps)),
        f"{SIMULATOR}predict, in a block": lambda part: block.predict(x[part]),
        f"{SIMULATOR}predict, one sample a call": one_by_one(
            lambda i: single.predict(x[i : i + 1])
        ),
    }


def scikit_learn(net, x, y):
    """The classifier with the interface of scikit-learn, and what its checks of a row cost."""
    hidden = net.layer_sizes[1:-1]
    model = SpikingMLPClassifier(
        hidden, input_scale=1.0, backend="compiled:n_jobs=1", random_state=0
    )
    model.partial_fit(x[:WARM_UP], y[:WARM_UP], classes=np.unique(y))

    def validate(*arrays):
        validate_data(model, *arrays, dtype=np.float64, reset=False)

    return {
        f"{SKLEARN}partial_fit of one row": one_by_one(
            lambda i: model.partial_fit(x[i : i + 1], y[i : i + 1])
        ),
        f"{VALIDATION}a row and its label": one_by_one(
            lambda i: validate(x[i : i + 1], y[i : i + 1])
        ),
        f"{SKLEARN}predict of one row": one_by_one(lambda i: model.predict(x[i : i + 1])),
        f"{VALIDATION}a row": one_by_one(lambda i: validate(x[i : i + 1])),
    }


def river(net, x, y):
    """The classifier with the interface of river, which reads dictionaries."""
    from spikebp_plugins.river import SpikingMLPClassifier as Classifier

    names = [f"feature {i}" for i in range(x.shape[1])]
    rows = [dict(zip(names, row, strict=True)) for row in x.tolist()]
    labels = y.tolist()
    model = Classifier(
        len(names),
        len(np.unique(y)),
        net.layer_sizes[1:-1],
        backend="compiled:n_jobs=1",
    )
    for row, label in zip(rows[:WARM_UP], labels[:WARM_UP], strict=True):
        model.learn_one(row, label)

    return {
        f"{RIVER}learn_one": one_by_one(lambda i: model.learn_one(rows[i], labels[i])),
        f"{RIVER}predict_one": one_by_one(lambda i: model.predict_one(rows[i])),
    }


def pytorch(net, x, y):
    """A conventional network of the same size; it too takes and returns arrays of NumPy."""
    paper = SpikingMLP.paper(net.layer_sizes)
    rival = PyTorch(paper.init_weights(), paper.learning_rate)
    rows = x.astype(np.float32)
    rival.train(rival.prepare(x[:WARM_UP]), y[:WARM_UP])

    def row(i):
        return rival.torch.from_numpy(rows[i : i + 1])

    return {
        f"{TORCH}SGD step": one_by_one(lambda i: rival.train(row(i), y[i : i + 1])),
        f"{TORCH}forward": one_by_one(lambda i: rival.predict(row(i))),
    }


def measure(name, samples, block):
    """Return the median microseconds a sample of each competitor, and why some are left out."""
    load, sizes = NETWORKS[name]
    try:
        x, y = load()
    except ImportError as error:
        return {"network": name, "left_out": [f"{name}: {error}"]}
    order = np.random.RandomState(0).permutation(len(y))
    repeated = np.resize(order, WARM_UP + samples)
    x, y = np.ascontiguousarray(x[repeated], np.float64), y[repeated].astype(np.int64)
    net = SpikingMLP(sizes)
    competitors, left_out = {}, []
    for make in (spiking, river, scikit_learn, pytorch):
        try:
            competitors |= make(net, x, y)
        except ImportError as error:
            left_out.append(f"{make.__name__}: {error}")
    times = alternate(
        competitors,
        lambda _, show, part: show(slice(WARM_UP + part.start, WARM_UP + part.stop)),
        samples,
        block,
    )
    microseconds = {row: 1e6 * float(np.median(times[row])) for row in times}
    return {"network": name, "microseconds": microseconds, "left_out": left_out}


def compared(found):
    """Return what the calls cost beyond a block, and the ratios to the rivals."""
    at = found["microseconds"]
    train, predict = (f"{SIMULATOR}{kind}, " for kind in ("train", "predict"))
    one = "one sample a call"
    lines = {
        "train, beyond the block": at[train + one] - at[train + "in a block"],
        "stream.show, beyond the block": at[STREAM] - at[train + "in a block"],
        "predict, beyond the block": at[predict + one] - at[predict + "in a block"],
        "partial_fit / its validation": at[f"{SKLEARN}partial_fit of one row"]
        / at[f"{VALIDATION}a row and its label"],
        "predict of a row / its validation": at[f"{SKLEARN}predict of one row"]
        / at[f"{VALIDATION}a row"],
    }
    if f"{TORCH}forward" in at:
        lines["PyTorch / train"] = at[f"{TORCH}SGD step"] / at[train + one]
        lines["PyTorch / predict"] = at[f"{TORCH}forward"] / at[predict + one]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=3000)
    parser.add_argument("--block", type=int, default=100, help="samples in a turn")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with one_thread():
        results = [
            measure(name, options.samples, options.block) for name in options.networks.split(",")
        ]
    timed = [found for found in results if "microseconds" in found]
    for found in timed:
        found["compared"] = compared(found)
    if options.json:
        print(json.dumps(results))
        return
    for reason in (reason for found in results for reason in found["left_out"]):
        print(f"# left out: {reason}")
    for title, key, form in (
        ("µs a sample", "microseconds", "{:.1f}"),
        ("µs beyond a block, and ratios", "compared", "{:.2f}"),
    ):
        print(f"\n| {title} | " + " | ".join(found["network"] for found in timed) + " |")
        print("|---|" + "---|" * len(timed))
        for row in dict.fromkeys(row for found in timed for row in found[key]):
            values = [found[key].get(row) for found in timed]
            shown = ["" if value is None else form.format(value) for value in values]
            print(f"| {row} | " + " | ".join(shown) + " |")


if __name__ == "__main__":
    main()
