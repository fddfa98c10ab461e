"""ReLU networks of scikit-learn and PyTorch, run with spikes: costs, and equality of back ends.

Each network is trained on MNIST, converted (as it is, and with balanced layers; with graded spikes
and with binary ones) and shown all test images on the compiled back end. On the first test images
every spike and score is compared with other back ends by ``==``. Then the weights are quantized to
8, 6 and 4 bits, and last the network learns for one more epoch, with spikes::

    python benchmarks/conversion.py
    python benchmarks/conversion.py --sources scikit-learn --steps 10 --samples 20 --json

PyTorch and Lava need not be installed in one environment: trained networks are kept in a folder
and taken from there::

    python benchmarks/conversion.py --networks kept --train-only   # where PyTorch is
    python benchmarks/conversion.py --networks kept                # where Lava is
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import numpy as np
from measuring import data_for_benchmark, hidden_sizes
from rivals import one_thread

from spikebp_plugins import from_relu, with_bias_input
from spikebp_plugins.conversion.quantized import quantized_weights
from spikebp_plugins.conversion.relu import relu_scores
from spikebp_plugins.data.images import error_percent

SOURCES = ("scikit-learn", "pytorch")
BACKENDS = "reference,brian2:numpy,lava"
BALANCED_ON = 10_000
#: Fields with which scores are those of the ReLU network.
ONE_FOR_ONE = {"spikes_per_unit": 1}
#: The paper's settings, at a small rate.
SMALL_STEPS = ONE_FOR_ONE | {
    "n_steps": 10,
    "update": "fractional",
    "learning_rate": 0.001,
    "label_targets": (0, 1),
}
BATCH = 128

VARIANTS = {
    "as it is": (False, "graded"),
    "balanced": (True, "graded"),
    "binary spikes": (False, "binary"),
    "binary spikes, balanced": (True, "binary"),
}


# --- the ReLU networks ---------------------------------------------------------------------------


def scikit_learn(x, y, hidden, epochs, x_test):
    """Return a network, its layers, and its classes of the test images."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(hidden, batch_size=BATCH, max_iter=epochs, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training stops after the epochs, not at convergence
        model.fit(x, y)
    return model, list(zip(model.coefs_, model.intercepts_, strict=True)), model.predict(x_test)


def pytorch(x, y, hidden, epochs, x_test):
    import torch
    from torch import nn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    modules = []
    for n_in, n_out in zip((x.shape[1], *hidden), (*hidden, int(y.max()) + 1), strict=True):
        modules += [nn.Linear(n_in, n_out), nn.ReLU()]
    model = nn.Sequential(*modules[:-1])
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    inputs, targets = torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss(model(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    model.eval()
    with torch.inference_mode():
        classes = model(torch.from_numpy(x_test.astype(np.float32))).argmax(1).numpy()
        layers = [
            (linear.weight.double().numpy().T, linear.bias.double().numpy())
            for linear in modules[:-1:2]
        ]
    return model, layers, classes


def trained(source, data, hidden, epochs, folder):
    """Return layers and classes of the test images, kept or trained now; None if not installed."""
    sizes = "-".join(map(str, (data.x_train.shape[1], *hidden)))
    path = folder / f"{source}-{data.name}-{sizes}-{epochs}.npz"
    if path.exists():
        with np.load(path) as kept:
            n_layers = sum(name.startswith("W") for name in kept.files)
            return [(kept[f"W{l}"], kept[f"b{l}"]) for l in range(n_layers)], kept["classes"]
    x, x_test = data.x_train * data.input_scale, data.x_test * data.input_scale
    train = {"scikit-learn": scikit_learn, "pytorch": pytorch}[source]
    try:
        model, layers, classes = train(x, data.y_train, hidden, epochs, x_test)
    except ImportError:
        return None
    # The kept layers must be converted to the same weights as the trained object itself.
    pairs = zip(from_relu(model).state.weights, from_relu(layers).state.weights, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    arrays = {f"W{l}": W for l, (W, _) in enumerate(layers)}
    arrays |= {f"b{l}": b for l, (_, b) in enumerate(layers)}
    np.savez(path, **arrays, classes=classes)
    return layers, classes


# --- what is measured ----------------------------------------------------------------------------


def converted(layers, data, is_balanced, spikes, **fields):
    balance = data.x_train[:BALANCED_ON] if is_balanced else None
    fields |= {"input_scale": data.input_scale, "spikes": spikes}
    return from_relu(layers, balance=balance, **fields)


def error(checkpoint, x, y):
    with checkpoint.simulate(n_jobs=1) as sim:
        return error_percent(sim.predict(x), y)


def measured(checkpoint, data, classes, x, backends, n_samples):
    with checkpoint.simulate(n_jobs=1) as sim:
        scores = sim.predict(x)
        operations = sim.operations
        expected = sim.predict(x[:n_samples], record=True)
    equal = {}
    for backend in backends:
        with checkpoint.simulate(backend) as sim:
            difference = expected.diff(sim.predict(x[:n_samples], record=True))
        equal[backend] = difference is None
    return {
        "test_error": error_percent(scores, data.y_test),
        "other_class_than_relu_percent": 100 * float(np.mean(scores.argmax(axis=1) != classes)),
        "operations_per_sample": operations.forward / len(x),
        "operations_over_dense": operations.forward / operations.dense,
        "equal": equal,
    }


def of_few_bits(layers, data, n_steps, x):
    rows = []
    for variant in ("as it is", "balanced"):
        checkpoint = converted(layers, data, *VARIANTS[variant], n_steps=n_steps, **ONE_FOR_ONE)
        for bits in (8, 6, 4):
            row = {"network": variant, "bits": bits}
            for shared_by in ("layer", "unit"):
                for clip in (False, True):
                    quantized = quantized_weights(checkpoint, bits, shared_by=shared_by, clip=clip)
                    name = f"{shared_by}{', clipped' if clip else ''}"
                    row[name] = error(quantized.checkpoint(), x, data.y_test)
            rows.append(row)
    return rows


def learning_on(layers, data, x):
    """Return test errors before and after one epoch with spikes, and after it as a ReLU network."""
    order = np.random.RandomState(0).permutation(len(data.x_train))
    shown = with_bias_input(data.x_train, input_scale=data.input_scale)[order]
    rows = []
    for variant in ("as it is", "balanced", "balanced, scores scaled"):
        arguments = VARIANTS[variant.removesuffix(", scores scaled")]
        scale = "winner" if variant.endswith("scaled") else 1.0
        checkpoint = converted(layers, data, *arguments, output_scale=scale, **SMALL_STEPS)
        with checkpoint.simulate(n_jobs=1) as sim:
            before = error_percent(sim.predict(x), data.y_test)
            sim.train(shown, data.y_train[order])
            after = error_percent(sim.predict(x), data.y_test)
            as_relu = error_percent(relu_scores(sim.weights, x * data.input_scale), data.y_test)
        rows.append({"network": variant, "before": before, "after": after, "as_relu": as_relu})
    return rows


def measure(source, relu, data, options):
    layers, classes = relu
    x = with_bias_input(data.x_test, input_scale=data.input_scale)
    rows = []
    for variant, arguments in VARIANTS.items():
        for n_steps in options.steps:
            checkpoint = converted(layers, data, *arguments, n_steps=n_steps, **ONE_FOR_ONE)
            row = measured(checkpoint, data, classes, x, options.backends, options.samples)
            rows.append({"network": variant, "n_steps": n_steps, **row})
    return {
        "source": source,
        "relu_test_error": 100 * float(np.mean(classes != data.y_test)),
        "rows": rows,
        "bits": of_few_bits(layers, data, max(options.steps), x),
        "learning": learning_on(layers, data, x),
    }


# --- what is printed -----------------------------------------------------------------------------


def print_result(result, options):
    source, relu_error = result["source"], result["relu_test_error"]
    print(f"\n{source}: ReLU network, test error {relu_error:.2f} %\n")
    print("| network | T | test error, % | other class than ReLU, % | operations / dense | equal |")
    print("|---|---|---|---|---|---|")
    for row in result["rows"]:
        unequal = [name for name, is_equal in row["equal"].items() if not is_equal]
        print(
            f"| {row['network']} | {row['n_steps']} | {row['test_error']:.2f} | "
            f"{row['other_class_than_relu_percent']:.2f} | {row['operations_over_dense']:.2f} | "
            f"{'no: ' + ', '.join(unequal) if unequal else 'yes'} |"
        )
    names = [name for name in result["bits"][0] if name not in ("network", "bits")]
    print(f"\nTest error, %, with weights of few bits, T = {max(options.steps)}\n")
    print(f"| network | bits | {' | '.join(names)} |")
    print("|---" * (2 + len(names)) + "|")
    for row in result["bits"]:
        errors = " | ".join(f"{row[name]:.2f}" for name in names)
        print(f"| {row['network']} | {row['bits']} | {errors} |")
    print("\nTest error, %, before and after one more epoch with spikes, in small steps\n")
    print("| network | before | after | after, run as ReLU |")
    print("|---|---|---|---|")
    for row in result["learning"]:
        errors = " | ".join(f"{row[name]:.2f}" for name in ("before", "after", "as_relu"))
        print(f"| {row['network']} | {errors} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--layers", type=hidden_sizes, default=(200, 200))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--backends", default=BACKENDS, help="to hold against the compiled one")
    parser.add_argument("--samples", type=int, default=200, help="test images for each back end")
    parser.add_argument("--networks", type=Path, help="folder in which ReLU networks are kept")
    parser.add_argument("--train-only", action="store_true", help="train and keep, and no more")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.backends = [name for name in options.backends.split(",") if name]
    data = data_for_benchmark()
    results, left_out = [], []
    with tempfile.TemporaryDirectory() as temporary, one_thread():
        folder = options.networks or Path(temporary)
        folder.mkdir(exist_ok=True)
        for source in options.sources.split(","):
            relu = trained(source, data, options.layers, options.epochs, folder)
            if relu is None:
                left_out.append(source)
            elif not options.train_only:
                results.append(measure(source, relu, data, options))
    if options.json:
        print(json.dumps({"dataset": data.name, "results": results, "left_out": left_out}))
        return
    for source in left_out:
        print(f"# {source} is left out: not installed, and no network kept")
    for result in results:
        print_result(result, options)


if __name__ == "__main__":
    main()
