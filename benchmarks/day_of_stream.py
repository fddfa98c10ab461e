"""A stream that runs for a day of its clock: a million samples, a third of which have a target.

The clock of the events runs from 0 to 24 hours, which are 86.4e9 microseconds and a million samples
of four steps. Each sample has events, many of them in the first or last microsecond of a step, and
is fed and closed in calls of its own. With fewer samples they are spread over the whole day, and
what lies between them is silence. In the end the network must be what one call of `train` makes of
the samples that had a target, and the memory what it was when the day began::

    python benchmarks/day_of_stream.py
    python benchmarks/day_of_stream.py --samples 20000 --backend reference --json
"""

import argparse
import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from measuring import memory_in_use

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP

ENCODER = EventEncoder(4, 2, step=21_600, polarity="signs")
NET = SpikingMLP.paper(
    (ENCODER.n_inputs, 12, 4),
    n_steps=4,
    learning_rate=0.02,
    weight_init="he",
    input_coding="spikes",
    seed=5,
)
DURATION = NET.n_steps * ENCODER.step
DAY = 24 * 60 * 60 * 10**6
PLACES = DAY // DURATION
EVENTS, CHUNK = 6, 1000


class Chunk(NamedTuple):
    """Samples in the order of time."""

    start: np.ndarray
    after_start: np.ndarray  # of each event, in microseconds
    events: np.ndarray
    label: np.ndarray  # -1 for none

    def input(self):
        """Return the spikes of each step, counted without the time of the day."""
        spikes = np.zeros((len(self.start), NET.n_steps, NET.n_inputs), np.int32)
        sample = np.arange(len(self.start))[:, np.newaxis]
        unit = self.events["y"] * ENCODER.width + self.events["x"]
        sign = 2 * self.events["p"].astype(np.int32) - 1
        np.add.at(spikes, (sample, self.after_start // ENCODER.step, unit), sign)
        return spikes


def chunks(n_samples) -> Iterator[Chunk]:
    """Yield the samples of the day, the same in each call."""
    for first in range(0, n_samples, CHUNK):
        random = np.random.RandomState([7, first])
        n = np.arange(first, min(first + CHUNK, n_samples))
        place = n * PLACES // n_samples + random.randint(0, PLACES // n_samples, len(n))
        shape = (len(n), EVENTS)
        step = random.randint(0, NET.n_steps, shape)
        within = random.randint(0, ENCODER.step, shape)
        within = np.where(random.rand(*shape) < 0.3, 0, within)
        within = np.where(random.rand(*shape) < 0.3, ENCODER.step - 1, within)
        after_start = np.sort(step * ENCODER.step + within)
        events = np.zeros(shape, EVENT_DTYPE)
        events["x"] = random.randint(0, ENCODER.width, shape)
        events["y"] = random.randint(0, ENCODER.height, shape)
        events["p"] = random.randint(0, 2, shape)
        events["t"] = (place * DURATION)[:, np.newaxis] + after_start
        label = np.where(random.rand(len(n)) < 1 / 3, random.randint(0, 4, len(n)), -1)
        yield Chunk(place * DURATION, after_start, events, label)


def live_through(stream, n_samples):
    """Show the day, and yield after each sample its label and its scores."""
    now = 0
    stream.feed(np.zeros(0, EVENT_DTYPE), start=now)
    for chunk in chunks(n_samples):
        labels = chunk.label.tolist()
        for start, events, label in zip(chunk.start.tolist(), chunk.events, labels, strict=True):
            if start > now:
                stream.target = None  # nothing is learned from the silence before
                stream.advance_to(start)
            stream.feed(events, target=None if label < 0 else label)
            now = start + DURATION
            (scores,) = stream.advance_to(now)
            yield label, scores
    stream.target = None
    stream.advance_to(DAY)


def measure(n_samples, backend="compiled", memory=memory_in_use, points=10):
    """Return the memory at points of the day, and whether `train` has learned the same."""
    sim, whole = Simulator(NET, backend), Simulator(NET, backend)
    scores, n_taught = np.full((n_samples, NET.n_outputs), np.nan), 0
    used = np.zeros(points)  # like the scores in memory from the start
    for n, (label, found) in enumerate(live_through(sim.stream(ENCODER, n_steps=4), n_samples), 1):
        if label >= 0:
            scores[n_taught] = found
            n_taught += 1
        if n * points // n_samples > (n - 1) * points // n_samples:
            used[n * points // n_samples - 1] = memory()
    x = np.concatenate([chunk.input()[chunk.label >= 0] for chunk in chunks(n_samples)])
    y = np.concatenate([chunk.label[chunk.label >= 0] for chunk in chunks(n_samples)])
    expected = whole.train(x, y)
    ours, others = sim.checkpoint().state, whole.checkpoint().state
    return {
        "samples_of_the_day": sim.operations.samples,
        "samples": n_samples,
        "with_target": len(y),
        "memory": used.tolist(),
        "same_scores": np.array_equal(scores[:n_taught], expected),
        "same_state": ours.samples_seen == others.samples_seen == len(y)
        and all(map(np.array_equal, ours.weights, others.weights))
        and all(map(np.array_equal, ours.backward_potentials, others.backward_potentials)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=PLACES)
    parser.add_argument("--backend", default="compiled")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.samples, options.backend)
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"{result['samples_of_the_day']:,} samples in 24 h, {result['samples']:,} with events, "
        f"{result['with_target']:,} of these with a target"
    )
    print("resident memory, MB:", *(f"{megabytes:.1f}" for megabytes in result["memory"]))
    print(f"`train` has the same scores: {result['same_scores']}")
    print(f"`train` has learned the same: {result['same_state']}")


if __name__ == "__main__":
    main()
