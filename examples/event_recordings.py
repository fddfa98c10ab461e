"""Recordings of an event camera, one after the other, and what a stream learns from them.

`brian2_events.py` and `lava_events.py` use this module, and show the recordings to a simulator.
"""

import argparse

import numpy as np

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP
from spikebp_plugins.data.aer import load_nmnist


def option_parser(description):
    """Return the parser of the options that both examples have."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400, help="recordings to learn from")
    parser.add_argument("--test-samples", type=int, default=100, help="those to test on, 1 or more")
    parser.add_argument("--folder", help="N-MNIST: <digit>/*.bin; moving bars if there is none")
    return parser


def recordings_and_network(n_recordings, folder):
    """Return recordings (N-MNIST, or moving bars without a folder), their encoder and a network."""
    if folder is None:
        random = np.random.RandomState(1)
        encoder = EventEncoder(16, 16, step=10_000)
        recordings = [(moving_bar(k, random), k) for k in random.randint(4, size=n_recordings)]
        layers, learning_rate = (60, 4), 0.5
    else:
        encoder = EventEncoder(34, 34, step=32_000)
        recordings = load_nmnist(folder).shuffled(seed=0)[:n_recordings]
        layers, learning_rate = (200, 10), 0.01
    # input_coding="spikes": the counts that arrive in a step are what layer 0 fires.
    net = SpikingMLP.paper(
        (encoder.n_inputs, *layers), n_steps=10, learning_rate=learning_rate, input_coding="spikes"
    )
    return recordings, encoder, net


def moving_bar(direction, random):
    """Return the events of 16 x 16 pixels that see a bar move for 96 ms."""
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
    """Return the events of recordings in one row, `length` microseconds each, and their labels."""
    parts = [events[events["t"] < length] for events, _ in recordings]
    for k, part in enumerate(parts):
        part["t"] += k * length
    return np.concatenate(parts), np.array([label for _, label in recordings])


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


def equal(matrices, others):
    """Return whether all matrices are the same numbers."""
    return all(np.array_equal(a, b) for a, b in zip(matrices, others, strict=True))
