"""A convolutional network that learns one sample at a time, compared with conventional ones.

All learn a first epoch; then they learn the second in alternating blocks, and the median time per
sample counts. One thread, single precision for the rivals; ``pip install --group rivals`` brings
Numba::

    python benchmarks/convolution.py                       # MNIST where SPIKEBP_DATA has it
    python benchmarks/convolution.py --samples 10000 --without pytorchconvolution
"""

import argparse
import json

import numpy as np
from convolution_rivals import RIVALS
from measuring import Spiking, alternate, data_for_benchmark, print_rows, summary
from rivals import installed, one_thread

from spikebp_plugins import Conv2D, Dense, SpikingNetwork
from spikebp_plugins.data.images import error_percent, shuffled


def network(side, scale, n_classes):
    """Return a network with two layers of kernels, and with default settings."""
    size = 5 if side >= 13 else 3
    layers = [Conv2D(16, size, stride=2), Conv2D(32, size, stride=2), Dense(n_classes)]
    return SpikingNetwork((side, side), layers, input_scale=scale)


def weights_of_rivals(net):
    """Return normal weights of deviation sqrt(1 / fan-in): from outputs at 0 they learn nothing."""
    random = np.random.RandomState(net.seed)
    return [random.standard_normal(c.weight_shape) / np.sqrt(c.fan_in) for c in net.connections]


def competitors_for(net, learning_rate, without):
    """Return the spiking network and the rivals that are installed, by name."""
    weights = weights_of_rivals(net)
    return {"own": Spiking(net), **installed(RIVALS, without, net, weights, learning_rate)}


def measure(data, samples, block, without):
    """Return the rows for training and for prediction, and operations of a sample."""
    side = int(np.sqrt(data.x_train.shape[1]))
    net = network(side, data.input_scale, data.n_classes)
    competitors = competitors_for(net, 0.01, without)
    scales = {name: 1 if name == "own" else np.float32(data.input_scale) for name in competitors}
    epochs = []
    for epoch in range(2):
        order = shuffled(len(data.x_train), 0, epoch)[:samples]
        x, y = data.x_train[order], data.y_train[order]
        inputs = {name: c.prepare(x * scales[name]) for name, c in competitors.items()}
        epochs.append((inputs, y))

    def train(epoch):
        inputs, y = epochs[epoch]
        return lambda name, competitor, part: competitor.train(inputs[name][part], y[part])

    def predict(name, competitor, part):
        return competitor.predict(tests[name][part])

    n_samples = len(epochs[0][1])
    alternate(competitors, train(0), n_samples, block)
    own = competitors["own"].sim
    before = own.operations
    training = summary(competitors, alternate(competitors, train(1), n_samples, block), "own")
    work = own.operations - before
    tests = {name: c.prepare(data.x_test * scales[name]) for name, c in competitors.items()}
    for row, (name, competitor) in zip(training, competitors.items(), strict=True):
        row["test_error"] = error_percent(competitor.predict(tests[name]), data.y_test)
    times = alternate(competitors, predict, len(data.x_test), block)
    per_sample = {name: value / n_samples for name, value in work.to_dict().items()}
    return training, summary(competitors, times, "own"), per_sample


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=60_000, help="samples of each epoch")
    parser.add_argument("--block", type=int, default=500, help="samples from turn to turn")
    parser.add_argument("--without", default="", help="rivals to leave out, by class name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with one_thread():
        without = set(options.without.lower().split(","))
        training, prediction, work = measure(
            data_for_benchmark(), options.samples, options.block, without
        )
    if options.json:
        print(json.dumps({"training": training, "prediction": prediction, "operations": work}))
        return
    print_rows("Training, second epoch", training)
    print_rows("Prediction", prediction)
    print("\n" + ", ".join(f"{name} {value:,.0f}" for name, value in work.items()))


if __name__ == "__main__":
    main()
