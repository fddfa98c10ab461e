"""An event camera drives the network, which learns what a stream in the core learns from it.

The camera is a process of this example's own, in the folder ``lava_processes``: in each step it
sends how often each pixel has grown brighter and darker. It sees bars that move right, down, left
or up or, with a folder of N-MNIST, handwritten digits. The last recordings have no label, so that
nothing is learned from them: they test what has been learned. Then the compiled back end takes the
same events as a stream, and ends with the same weights. Prints accuracy and whether both are equal;
writes no file. Takes half a minute or less::

    python examples/lava_events.py
    python examples/lava_events.py --folder N-MNIST
"""

import argparse

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_processes.events import EventCamera

from spikebp_lava import ScoreSink, SpikingMLPProcess
from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP, load_nmnist

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=400, help="recordings to learn from")
parser.add_argument(
    "--test-samples", type=int, default=100, help="recordings to test on, 1 or more"
)
parser.add_argument("--folder", help="N-MNIST: <digit>/*.bin, in Train or not; none: moving bars")
parser.add_argument("--tag", default="fixed_pt", help="fixed_pt or floating_pt")
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

# input_coding="spikes": the counts that arrive at spikes_in are what layer 0 fires.
net = SpikingMLP(
    (encoder.n_inputs, *layers), n_steps=10, learning_rate=learning_rate, input_coding="spikes"
)
events, labels = in_turn(recordings, net.n_steps * encoder.step)
known = labels.copy()
known[-options.test_samples :] = -1  # below 0: nobody says

camera = EventCamera(encoder, events, known, net.n_steps)
mlp = SpikingMLPProcess(net)
sink = ScoreSink(net, n_samples=len(labels))
camera.counts_out.connect(mlp.spikes_in)
camera.label_out.connect(mlp.label_in)
mlp.summed_drive_out.connect(sink.summed_drive_in)

configuration = Loihi2SimCfg(select_tag=options.tag)
mlp.run(condition=RunSteps(num_steps=len(labels) * net.n_steps), run_cfg=configuration)
mlp.stop()
right = (sink.scores.argmax(axis=1) == labels)[-options.test_samples :]
print(f"{100 * np.mean(right):.1f} % of {len(right)} unseen recordings recognized")

scores, weights = learned_by_a_stream(net, encoder, events, known)
pairs = zip(mlp.weights, weights, strict=True)
same = all(np.array_equal(found, expected) for found, expected in pairs)
print(f"scores equal to those of a stream: {np.array_equal(sink.scores, scores)}")
print(f"weights equal to those of a stream: {same}")
