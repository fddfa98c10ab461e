"""Handwritten digits learned inside a plain Brian2 script.

The network is shown digits of 8 x 8 pixels for 50 ms each, at dt = 0.1 ms. It learns from the
first of them, and is tested on unseen ones with learning switched off. The compiled back end goes
on from its checkpoint. Writes a raster of the last samples, ``brian2_digits.png``, and the
checkpoint, ``brian2_digits.npz``. Takes a minute or less with Cython::

    python examples/brian2_digits.py
"""
# ruff: noqa: F403, F405 (names come from brian2, as in most Brian2 scripts)

import argparse
from pathlib import Path

import matplotlib
from brian2 import *

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import SpikingMLP, load_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=1000, help="digits to learn from, at most 1437")
parser.add_argument("--test-samples", type=int, default=200, help="digits to test on, 6 to 360")
parser.add_argument("--target", default="auto", help="cython, numpy or auto")
parser.add_argument("--output", type=Path, default=Path(), help="folder for what is written")
options = parser.parse_args()

prefs.codegen.target = options.target
defaultclock.dt = 0.1 * ms

data = load_dataset("digits")
x_train, y_train = data.x_train[: options.samples], data.y_train[: options.samples]
x_test, y_test = data.x_test[: options.test_samples], data.y_test[: options.test_samples]

net = SpikingMLP.paper((64, 60, 10), learning_rate=0.1)
# A step lasts 50 dt, a sample 10 steps. The arrays change when a sample is over.
step = 5 * ms
sample = net.n_steps * step
pixels = TimedArray(concatenate([x_train, x_test]), dt=sample)
digits = TimedArray(concatenate([y_train, y_test]), dt=sample)
mlp = SpikingMLPGroup(net, input=pixels, label=digits, step=step)

# A unit can fire several spikes in one step, which is one event; spike_count says how many.
hidden = SpikeMonitor(mlp.layers[1], variables=["spike_count"])
output = SpikeMonitor(mlp.output_layer, variables=["spike_count"])
ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
hidden.active = output.active = ends.active = False

run(len(x_train) * sample, report="text")

# The labels are still shown, but nothing learns from them any more.
mlp.learning = False
ends.active = True
run((len(x_test) - 5) * sample, report="text")
hidden.active = output.active = True
run(5 * sample)

# Every output unit has the event sample_end, so each sample has left a row of ten.
scores = array(ends.summed_drive).reshape(len(x_test), net.n_outputs) / net.n_steps
accuracy = 100 * mean(scores.argmax(axis=1) == y_test)
print(f"Brian2: {accuracy:.1f} % of {len(x_test)} unseen digits after {len(x_train)} learned")

matplotlib.use("agg")  # a file, no window
figure, axes = subplots(2, 1, sharex=True, figsize=(9, 6), layout="constrained")
for axis, monitor, name in zip(axes, (hidden, output), ("hidden unit", "output unit"), strict=True):
    counts = array(monitor.spike_count)
    dots = axis.scatter(monitor.t / ms, monitor.i, s=8 * counts, c=counts, vmin=1, vmax=4)
    axis.set(ylabel=name, xlabel="time in ms")
for k in range(-5, 0):
    begin = (len(x_train) + len(x_test) + k) * sample / ms
    axes[0].axvline(begin, color="grey", linewidth=0.5)
    axes[0].text(begin, 65, f" a {y_test[k]}, read as {scores[k].argmax()}")
figure.colorbar(dots, ax=axes, ticks=range(1, 5), label="spikes in a step")
figure.savefig(options.output / "brian2_digits.png")

checkpoint = mlp.checkpoint()
checkpoint.save(options.output / "brian2_digits.npz")
with checkpoint.simulate() as sim:  # the compiled back end
    same = array_equal(sim.predict(x_test), scores)
    print(f"compiled back end: its scores of these digits are the same numbers: {same}")
