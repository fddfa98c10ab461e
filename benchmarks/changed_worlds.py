"""Converted networks that go on learning in a changed world, compared with PyTorch's own learning.

Networks of 8 x 8 digits are trained as usual, and converted by `from_relu` without a setting. Then
the digits are mirrored, their pixels permuted, or black and white exchanged. The spiking network
goes on learning, one sample at a time, and so does a copy of the network in PyTorch, by stochastic
gradient descent of cross-entropy at the best of five rates. Needs PyTorch::

    python benchmarks/changed_worlds.py
    python benchmarks/changed_worlds.py --backend c         # the program that export-c writes
    python benchmarks/changed_worlds.py --seeds 1 --passes 1 --json
"""

import argparse
import copy
import json

import numpy as np
import torch
from rivals import one_thread
from torch import nn

from spikebp_plugins import from_relu, load_dataset, with_bias_input
from spikebp_plugins.data.images import error_percent

EPOCHS, BATCH = 60, 32
RATES = (0.003, 0.01, 0.03, 0.1, 0.2)
PIXELS = np.random.RandomState(7).permutation(64)

WORLDS = {
    "mirrored": lambda x: x[..., ::-1],
    "permuted": lambda x: x.reshape(-1, 64)[:, PIXELS].reshape(x.shape),
    "inverted": lambda x: 1 - x,
}
NETWORKS = {
    "64-50-50-10": lambda: nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 50),
        nn.ReLU(),
        nn.Linear(50, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    ),
    "two convolutions": lambda: nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    ),
}


def learned(model, optimizer, x, y, epochs, batch, random):
    """Return a model that has learned."""
    inputs, labels = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y)
    for _ in range(epochs):
        order = torch.from_numpy(random.permutation(len(x)))
        for rows in order.split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return model


def right(model, x, y):
    with torch.no_grad():
        scores = model(torch.from_numpy(np.ascontiguousarray(x))).numpy()
    return 100 - error_percent(scores, y)


def by_torch(model, known, new, passes, seed):
    """Return what a copy recognizes that goes on learning, at the best of the rates."""
    found = []
    for rate in RATES:
        other = copy.deepcopy(model)
        optimizer = torch.optim.SGD(other.parameters(), rate)
        learned(other, optimizer, *known, passes, 1, np.random.RandomState(seed))
        found.append(right(other, *new))
    return max(found)


def with_spikes(model, shape, known, new, options, seed):
    """Return what the converted network recognizes before and after it goes on learning."""
    checkpoint = from_relu(model, input_shape=shape)
    (x, y), (x_new, y_new) = known, new
    shown, asked = (with_bias_input(images, net=checkpoint.net) for images in (x, x_new))
    random = np.random.RandomState(seed)
    with checkpoint.simulate(options.backend) as sim:
        before = 100 - error_percent(sim.predict(asked), y_new)
        for _ in range(options.passes):
            order = random.permutation(len(y))
            sim.train(shown[order], y[order])
        return before, 100 - error_percent(sim.predict(asked), y_new)


def measure(name, make, data, options):
    """Return a row for each world, with means over seeds."""
    x, x_test = (data.input_scale * each for each in (data.x_train, data.x_test))
    x, x_test = x.reshape(-1, 1, 8, 8), x_test.reshape(-1, 1, 8, 8)
    y, y_test = data.y_train, data.y_test
    found = {world: [] for world in WORLDS}
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        model = make().double()
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        learned(model, optimizer, x, y, EPOCHS, BATCH, np.random.RandomState(seed))
        shape = (8, 8) if isinstance(model[0], nn.Conv2d) else None
        for world, change in WORLDS.items():
            known, new = (change(x), y), (change(x_test), y_test)
            before, after = with_spikes(model, shape, known, new, options, seed)
            rival = by_torch(model, known, new, options.passes, seed)
            found[world].append((right(model, x_test, y_test), before, after, rival))
    columns = ("as trained", "changed", "spikes", "PyTorch")
    return [
        {"network": name, "world": world}
        | dict(zip(columns, np.mean(values, axis=0).tolist(), strict=True))
        for world, values in found.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=5, help="over the samples of the new world")
    parser.add_argument("--backend", default="compiled", help="of the spiking network")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = load_dataset("digits")
    with one_thread():
        rows = [
            row for name, make in NETWORKS.items() for row in measure(name, make, data, options)
        ]
    if options.json:
        print(json.dumps(rows))
    else:
        print("recognized, %\n")
        print(f"| {' | '.join(rows[0])} |")
        print("|---" * len(rows[0]) + "|")
        for row in rows:
            values = (v if isinstance(v, str) else f"{v:.1f}" for v in row.values())
            print(f"| {' | '.join(values)} |")


if __name__ == "__main__":
    main()
