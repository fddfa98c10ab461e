"""A long stream of events, learned as it comes: events per second, and the memory it takes.

Recordings of N-MNIST, or of moving dots where SPIKEBP_DATA has none, follow each other in time
until there are a million events. They are fed in parts of some hundred events to a stream whose
samples close after 10 steps of 32 ms, with learning on in every step. Two rivals take turns with
the stream, block by block. The first calls `train` with the same recordings, encoded beforehand as
whole arrays of counts; the second is scikit-learn's MLPClassifier with the same hidden layer, which
learns from summed counts, one recording at a time. One thread::

    python benchmarks/event_stream.py
    python benchmarks/event_stream.py --events 200000 --part 50 --json
"""

import argparse
import json
import warnings
from time import perf_counter

import numpy as np
from measuring import memory_in_use
from sklearn.neural_network import MLPClassifier

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP
from spikebp_plugins.data.aer import load_nmnist

ENCODER = EventEncoder(34, 34, step=32_000)
NET = SpikingMLP.paper(
    (ENCODER.n_inputs, 200, 10), n_steps=10, learning_rate=0.003, input_coding="spikes"
)
DURATION = NET.n_steps * ENCODER.step
TARGET = 10 * np.eye(10)


def moving_dots(seed):
    """Return recordings in which dots move in one of ten directions."""
    random = np.random.RandomState(seed)
    while True:
        label = int(random.randint(10))
        n = 4000
        events = np.zeros(n, EVENT_DTYPE)
        events["t"] = np.sort(random.randint(0, DURATION, n))
        angle, start = 2 * np.pi * label / 10, random.randint(0, 34, (n, 2))
        moved = start + 30 * np.outer(events["t"] / DURATION, [np.cos(angle), np.sin(angle)])
        events["x"], events["y"] = (moved.astype(int) % 34).T
        events["p"] = random.randint(0, 2, n)
        yield events, label


def recordings():
    """Return recordings without end, and the name of their source."""
    try:
        found = load_nmnist()
    except FileNotFoundError:
        return moving_dots(0), "moving dots"

    def endless():
        for seed in range(1_000_000):
            yield from found.shuffled(seed)

    return endless(), "N-MNIST"


class StreamingSpiking:
    """Events as they come."""

    def __init__(self, part):
        self.name, self.part = "stream of events", part
        self.sim = Simulator(NET)
        self.stream = self.sim.stream(ENCODER, n_steps=NET.n_steps)
        self.start, self.events = 0, 0

    def prepare(self, block):
        prepared = []
        for events, label in block:
            events = events[events["t"] < DURATION].copy()
            events["t"] += self.start
            self.start += DURATION
            prepared.append((np.array_split(events, max(1, len(events) // self.part)), label))
        return prepared

    def learn(self, block):
        for parts, label in block:
            if not self.events:
                self.stream.feed(parts[0][:0], start=0)
            for part in parts:
                self.stream.feed(part, target=TARGET[label])
                self.events += len(part)
            self.stream.advance_to(-(-self.stream_time(parts) // DURATION) * DURATION)

    @staticmethod
    def stream_time(parts):
        return int(parts[-1]["t"][-1]) + 1


class EncodedSpiking:
    """The same recordings, encoded beforehand and handed over as one array."""

    name = "train, encoded beforehand"

    def __init__(self):
        self.sim = Simulator(NET)

    def prepare(self, block):
        x, y = next(ENCODER.batches(block, NET.n_steps, size=len(block), start=0))
        return x, TARGET[y]

    def learn(self, block):
        self.sim.train(*block)


class Perceptron:
    """scikit-learn's perceptron on summed counts, one recording at a time."""

    name = "scikit-learn MLPClassifier.partial_fit"

    def __init__(self):
        self.model = MLPClassifier((200,), solver="sgd", learning_rate_init=0.01)

    def prepare(self, block):
        x, y = next(ENCODER.batches(block, NET.n_steps, size=len(block), start=0))
        return x.sum(axis=1).astype(np.float64), y

    def learn(self, block):
        for x, y in zip(*block, strict=True):
            self.model.partial_fit(x[np.newaxis], [y], classes=np.arange(10))


def measure(n_events, part, block):
    source, name = recordings()
    stream = StreamingSpiking(part)
    competitors = [stream, EncodedSpiking(), Perceptron()]
    seconds = {competitor.name: [] for competitor in competitors}
    memory, learned = [], 0
    while learned < n_events:
        recorded = [next(source) for _ in range(block)]
        n_here = sum(int((events["t"] < DURATION).sum()) for events, _ in recorded)
        for competitor in competitors:
            prepared = competitor.prepare(recorded)
            begin = perf_counter()
            competitor.learn(prepared)
            seconds[competitor.name].append((perf_counter() - begin) / n_here)
        learned += n_here
        memory.append(memory_in_use())
    same = all(map(np.array_equal, stream.sim.weights, competitors[1].sim.weights))
    own = np.array(seconds[stream.name][1:])  # the first block compiles
    rows = [
        {
            "competitor": competitor.name,
            "events_per_second": 1 / float(np.median(seconds[competitor.name][1:])),
            "own_time_over_this": float(np.median(own / np.array(seconds[competitor.name][1:]))),
        }
        for competitor in competitors
    ]
    return {
        "recordings": name,
        "events": learned,
        "samples": stream.sim.samples_seen,
        "rows": rows,
        "memory_megabytes": [memory[1], memory[len(memory) // 2], memory[-1]],
        "same_weights": same,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=200, help="events in a call of feed")
    parser.add_argument("--block", type=int, default=20, help="recordings in a block")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    result = measure(options.events, options.part, options.block)
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"\n{result['recordings']}: {result['events']:,} events, "
        f"{result['samples']:,} samples learned, {options.part} events a call\n"
    )
    print("| | events per second | stream / this |")
    print("|---|---|---|")
    for row in result["rows"]:
        ratio = row["own_time_over_this"]
        print(f"| {row['competitor']} | {row['events_per_second']:,.0f} | {ratio:.2f} |")
    early, middle, end = result["memory_megabytes"]
    print(f"\nresident memory: {early:.1f} MB early, {middle:.1f} half way, {end:.1f} at the end")
    print(f"stream and train have learned the same weights: {result['same_weights']}")


if __name__ == "__main__":
    main()
