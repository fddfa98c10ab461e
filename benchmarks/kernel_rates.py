"""Which learning rate suits kernels, by the output pixels that share them: digits, eight seeds.

Small networks of one kernel and a dense layer learn 1,437 digits, in their order, with normalized
updates. Prints for each the pixels and the fan-in of its kernel, and the share of 360 unseen digits
that are right after one epoch and after four, at each rate. Takes half a minute::

    python benchmarks/kernel_rates.py
"""

import math
from itertools import product

import numpy as np

from spikebp_plugins import Conv2D, Dense, Simulator, SpikingNetwork, load_dataset

KERNELS = (
    *(Conv2D(8, 8), Conv2D(8, 7), Conv2D(8, 5, stride=2), Conv2D(8, 3, stride=3)),
    *(Conv2D(8, 6), Conv2D(8, 3, stride=2), Conv2D(8, 3, stride=2, padding=1), Conv2D(8, 5)),
    *(Conv2D(8, 4), Conv2D(8, 3), Conv2D(8, 3, padding=1)),
)
RATES = (1.0, 0.5, 0.25)
EPOCHS = (1, 4)
N_SEEDS = 8


def learned(net, data):
    """Return the share of unseen digits that are right after each number of epochs, in %."""
    shares, done = [], 0
    with Simulator(net) as sim:
        for epochs in EPOCHS:
            for _ in range(epochs - done):
                sim.train(data.x_train, data.y_train)
            done = epochs
            shares.append(100 * np.mean(sim.predict(data.x_test).argmax(axis=1) == data.y_test))
    return shares


def main():
    data = load_dataset("digits")
    columns = [f"{rate:g}, {epochs}" for rate, epochs in product(RATES, EPOCHS)]
    print(f"{'pixels':>6} {'fan-in':>6}", *(f"{column:>8}" for column in columns), " kernel")
    for layer in KERNELS:
        nets = [
            [
                SpikingNetwork((8, 8), [layer, Dense(10)], learning_rate=rate, seed=seed)
                for seed in range(N_SEEDS)
            ]
            for rate in RATES
        ]
        means = [np.mean([learned(net, data) for net in of_rate], axis=0) for of_rate in nets]
        shape, fan_in = nets[0][0].layer_shapes[1], nets[0][0].connections[0].fan_in
        cells = (f"{share:8.1f}" for mean in means for share in mean)
        print(f"{math.prod(shape[:2]):6} {fan_in:6.0f}", *cells, f" {layer}", flush=True)


if __name__ == "__main__":
    main()
