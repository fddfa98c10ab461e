"""An event camera drives the network, which learns what a stream in the core learns from it.

The camera is a SpikeGeneratorGroup with two units for each pixel: one fires where it grows
brighter, one where it grows darker. It sees bars that move right, down, left or up or, with a
folder of N-MNIST, handwritten digits. The last recordings have no label, so that nothing is learned
from them: they test what has been learned. Then the compiled back end takes the same events as a
stream, and ends with the same weights. Prints accuracy and whether both are equal; writes no file.
Takes a minute or less, longer the first time::

    python examples/brian2_events.py
    python examples/brian2_events.py --folder N-MNIST
"""

import argparse

import numpy as np
from brian2 import EventMonitor, SpikeGeneratorGroup, TimedArray, defaultclock, prefs, run, us

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP, load_nmnist

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=400, help="recordings to learn from")
parser.add_argument(
    "--test-samples", type=int, default=100, help="recordings to test on, 1 or more"
)
parser.add_argument("--folder", help="N-MNIST: <digit>/*.bin, in Train or not; none: moving bars")
parser.add_argument("--target", default="auto", help="cython, numpy or auto")
options = parser.parse_args()
n_recordings = options.samples + options.test_samples


def moving_bar(direction, random):
    """Return what 16 x 16 pixels see of a bar that moves for 96 ms."""
    row, column = np.divmod(np.arange(64), 8)
    left, top = random.randint(6), random.randint(9)
    # The front of the bar brightens each pixel, its back, three columns behind, darkens it.
    x, y = left + np.append(column + 3, column), top + np.append(row, row)
    for _ in range(direction):
        x, y = 15 - y, x  # a quarter turn
    events = np.empty(128, EVENT_DTYPE)
    events["x"], events["y"], events["p"] = x, y, np.arange(128) < 64
    events["t"] = 12_000 * np.append(column, column) + random.randint(12_000, size=128)
    return np.sort(events, order="t")


def in_turn(recordings, length):
    """Return the events of recordings, each for `length` microseconds, and their labels."""
    parts, labels = [], []
    for events, label in recordings:
        part = events[events["t"] < length]
        part["t"] += len(parts) * length
        parts.append(part)
        labels.append(label)
    return np.concatenate(parts), np.array(labels)


def learned_by_a_stream(net, encoder, events, labels):
    """Return scores and weights of the compiled back end, which takes the events as they come."""
    scores, length = [], net.n_steps * encoder.step
    with Simulator(net) as sim:
        stream = sim.stream(encoder, n_steps=net.n_steps)
        stream.feed(events[:0], start=0)
        for k, label in enumerate(labels):
            first, last = np.searchsorted(events["t"], [k * length, (k + 1) * length])
            stream.feed(events[first:last], target=label if label >= 0 else None)
            scores.extend(stream.advance_to((k + 1) * length))
        return np.array(scores), sim.weights


if options.folder is None:
    random = np.random.RandomState(1)
    encoder = EventEncoder(16, 16, step=10_000)
    recordings = [(moving_bar(k, random), k) for k in random.randint(4, size=n_recordings)]
    layers, learning_rate = (60, 4), 0.5
else:
    encoder = EventEncoder(34, 34, step=32_000)
    recordings = load_nmnist(options.folder).shuffled(seed=0)[:n_recordings]
    layers, learning_rate = (200, 10), 0.01

# input_coding="spikes": what a unit of the camera has fired in a step is what layer 0 fires.
net = SpikingMLP(
    (encoder.n_inputs, *layers), n_steps=10, learning_rate=learning_rate, input_coding="spikes"
)
events, labels = in_turn(recordings, net.n_steps * encoder.step)
known = labels.copy()
known[-options.test_samples :] = -1  # below 0: nobody says

# A unit of a SpikeGeneratorGroup fires once in a dt at most. Of several events the first is kept,
# here and for the stream: with a dt of 1 ms that leaves out 0.1 % of the events of N-MNIST.
dt = 1000
units, dts = encoder.locate(events).unit, events["t"] // dt
kept = np.sort(np.unique(dts * encoder.n_inputs + units, return_index=True)[1])
print(f"{len(labels)} recordings: {len(kept)} of {len(events)} events become spikes")

# Spikes are given in whole dt, found in integers: from times in between Brian2, which adds a
# thousandth of dt before it cuts them, would put some into the dt that follows.
prefs.codegen.target = options.target
defaultclock.dt = dt * us
step = encoder.step // dt * defaultclock.dt
camera = SpikeGeneratorGroup(encoder.n_inputs, units[kept], dts[kept] * defaultclock.dt)
teacher = TimedArray(known, dt=net.n_steps * step)
mlp = SpikingMLPGroup(net, input=camera, label=teacher, step=step)
ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])

run(len(labels) * net.n_steps * step, report="text")

# Every output unit has the event, so each recording has left a row of all outputs.
scores = np.array(ends.summed_drive).reshape(len(labels), net.n_outputs) / net.n_steps
right = (scores.argmax(axis=1) == labels)[-options.test_samples :]
print(f"{100 * np.mean(right):.1f} % of {len(right)} unseen recordings recognized")

stream_scores, stream_weights = learned_by_a_stream(net, encoder, events[kept], known)
pairs = zip(mlp.checkpoint().state.weights, stream_weights, strict=True)
same = all(np.array_equal(found, expected) for found, expected in pairs)
print(f"scores equal to those of a stream: {np.array_equal(scores, stream_scores)}")
print(f"weights equal to those of a stream: {same}")
