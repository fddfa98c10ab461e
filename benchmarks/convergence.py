"""How the spiking network becomes the ReLU network as the number of steps T grows.

Trains a network on digits, then shows the test images for more and more steps with fixed weights.
The scores are compared with the drive of the last layer of a ReLU network that has the same
weights. Prints the table of docs/paper.md::

    python benchmarks/convergence.py
"""

import argparse
import json

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.conversion.relu import relu_scores

STEPS = (10, 30, 100, 300, 1000, 3000)


def measure(epochs, steps):
    data = load_dataset("digits")
    net = SpikingMLP.paper((64, 100, 100, 10), learning_rate=0.05)
    rows = []
    with Simulator(net) as sim:
        for epoch in range(epochs):
            order = np.random.RandomState([net.seed, epoch]).permutation(len(data.x_train))
            sim.train(data.x_train[order], data.y_train[order])
        relu = relu_scores(sim.weights, data.x_test)
        for T in steps:
            scores = sim.predict(data.x_test, n_steps=T)
            difference = np.abs(scores - relu)
            rows.append(
                {
                    "n_steps": T,
                    "largest_difference": float(difference.max()),
                    "mean_difference": float(difference.mean()),
                    "largest_difference_times_n_steps": float(difference.max() * T),
                    "test_error": 100 * float((scores.argmax(1) != data.y_test).mean()),
                }
            )
    relu_error = 100 * float((relu.argmax(1) != data.y_test).mean())
    slope = np.polyfit(np.log(steps), np.log([row["mean_difference"] for row in rows]), 1)[0]
    return {"rows": rows, "relu_test_error": relu_error, "log_log_slope": float(slope)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20, help="epochs of training before")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.epochs, options.steps)
    if options.json:
        print(json.dumps(result))
        return
    print("| T | largest difference | mean difference | largest x T | test error, % |")
    print("|---|---|---|---|---|")
    for row in result["rows"]:
        print(
            f"| {row['n_steps']} | {row['largest_difference']:.5f} | "
            f"{row['mean_difference']:.5f} | {row['largest_difference_times_n_steps']:.2f} | "
            f"{row['test_error']:.2f} |"
        )
    print(f"\nReLU network with these weights: test error {result['relu_test_error']:.2f} %")
    print(f"mean difference ~ T^{result['log_log_slope']:.2f}")


if __name__ == "__main__":
    main()
