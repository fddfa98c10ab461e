"""Time and memory against the number of inputs, where few of them are active.

A network of 100 hidden units learns and predicts rows with 50 active inputs of ever more, in blocks
and one row a call; it learns events of ever larger sensors; it starts with weights of its own; it
gets another learning rate; it is saved, and loaded beside itself. With `--sensors` it learns events
of three sensors as a stream, as batches, and with a replay buffer that is saved and loaded; then it
has convolutions or sparse connections in place of its hidden layer. Each case has a process of its
own, for its peak memory. Another checkout of the package takes turns with this one, and is given
arrays if it takes nothing else::

    git worktree add /tmp/before COMMIT
    (cd /tmp/before && PYTHONPATH=. python -m spikebp_plugins.engine.building)
    python benchmarks/sparse_inputs.py --before /tmp/before
    python benchmarks/sparse_inputs.py --cases "rows 1024" "start 614400" --rounds 1 --json
    python benchmarks/sparse_inputs.py --sensors --rounds 1
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from spikebp_plugins import (
    EVENT_DTYPE,
    Checkpoint,
    Conv2D,
    Dense,
    EventEncoder,
    ReplayBuffer,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
)

ACTIVE, HIDDEN, SAMPLES, CALLS, EVENTS = 50, 100, 500, 100, 20_000
CASES = (
    *("rows 1024", "rows 16384", "rows 262144"),
    *("events 34x34", "events 128x128", "events 640x480"),
    *("start 614400", "rate 100000", "keep 614400"),
)
SENSORS = [
    f"{kind} {sensor}"
    for sensor in ("346x260", "640x480", "1280x720")
    for kind in ("events", "batches", "replay", "Conv2D", "Sparse")
]
STEPS, RECORDINGS, EVENTS_EACH = 10, 100, 2000
LAYERS = {
    "Conv2D": [Conv2D(8, 5, stride=4), Conv2D(16, 5, stride=4), Dense(10)],
    "Sparse": [Sparse(HIDDEN, density=0.01), Dense(10)],
}


def peak():
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def microseconds(call, n):
    start = time.perf_counter()
    call()
    return 1e6 * (time.perf_counter() - start) / n


def of_rows(n_inputs):
    """Learn and predict rows, of which an older checkout is given arrays."""
    random = np.random.RandomState(0)
    unit = np.concatenate([random.choice(n_inputs, ACTIVE, replace=False) for _ in range(SAMPLES)])
    begin, number = np.arange(SAMPLES + 1) * ACTIVE, random.uniform(0, 2, ACTIVE * SAMPLES)
    x, y = sparse.csr_matrix((number, unit, begin), (SAMPLES, n_inputs)), np.arange(SAMPLES) % 10
    sim, before = Simulator(SpikingMLP((n_inputs, HIDDEN, 10)), n_jobs=1), peak()
    try:
        sim.train(x[:1], y[:1])
    except ValueError:
        x = x.toarray()
        before = peak()
    sim.train(x[:CALLS], y[:CALLS])
    rows = [x[i : i + 1] for i in range(CALLS)]
    found = {
        "block": microseconds(lambda: sim.train(x, y), SAMPLES),
        "predict": microseconds(lambda: sim.predict(x), SAMPLES),
        "call": microseconds(
            lambda: [sim.train(row, y[i : i + 1]) for i, row in enumerate(rows)], CALLS
        ),
    }
    of_weights = sum(w.size for w in map(np.empty, sim.net.weight_shapes)) * 4 / 1e6
    return found | {"peak over weights": (peak() - before) / of_weights + 1}


def of_events(width, height):
    """Learn a stream of events at random places, a thousand steps of twenty."""
    encoder, events = EventEncoder(width, height, step=1000), recording(width, height, EVENTS, 0)
    events["t"] = np.arange(EVENTS) * 50
    net = SpikingMLP((encoder.n_inputs, HIDDEN, 10), n_steps=STEPS, input_coding="spikes")
    before = peak()
    stream = Simulator(net).stream(encoder, n_steps=STEPS)
    first = EVENTS // 4
    stream.feed(events[:first], start=0, target=1)
    found = {"event": microseconds(lambda: stream.feed(events[first:]), EVENTS - first)}
    return found | {"peak over weights": (peak() - before) / (encoder.n_inputs * HIDDEN * 4e-6)}


def recording(width, height, n, seed):
    """Return events at random places and times, of as many steps of a millisecond as a sample."""
    random, events = np.random.RandomState(seed), np.zeros(n, EVENT_DTYPE)
    events["x"], events["y"] = random.randint(0, width, n), random.randint(0, height, n)
    events["p"] = random.randint(0, 2, n)
    events["t"] = np.sort(random.randint(0, 1000 * STEPS, n))
    return events


def of_recordings(kind, width, height):
    """Learn recordings of a sensor in a way, or by other layers."""
    recordings = [(recording(width, height, EVENTS_EACH, i), i % 10) for i in range(RECORDINGS)]
    encoder, before = EventEncoder(width, height, step=1000), peak()
    layers = LAYERS.get(kind, [Dense(HIDDEN), Dense(10)])
    fields = {"n_steps": STEPS, "input_coding": "spikes", "input_layout": encoder.input_layout}
    begin = time.perf_counter()
    net = SpikingNetwork(encoder.input_shape, layers, **fields)
    sim, buffer = Simulator(net), ReplayBuffer(RECORDINGS) if kind == "replay" else None
    found = {"start, s": time.perf_counter() - begin}
    if kind == "replay":
        stream = sim.stream(encoder, n_steps=STEPS, replay=buffer)

        def learn():
            for events, label in recordings:
                stream.feed(events, start=0, target=label)
                stream.close_sample()
    else:
        try:
            ((x, y),) = encoder.batches(recordings, STEPS, RECORDINGS, start=0, sparse=True)
        except TypeError:  # an older checkout
            ((x, y),) = encoder.batches(recordings, STEPS, RECORDINGS, start=0)

        def learn():
            sim.train(x, y)

    learn()  # memory comes into use
    found["sample, ms"] = microseconds(learn, RECORDINGS) / 1e3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.npz"
        found["save, s"] = microseconds(lambda: sim.save(path, replay=buffer), 1e6)
        found["load, s"] = microseconds(lambda: Checkpoint.load(path), 1e6)
    return found | {"peak, MB": peak() - before}


def of_start(n_inputs):
    """Show one row to a new network."""
    before, x = peak(), np.zeros((1, n_inputs), np.uint8)
    x[0, :: n_inputs // ACTIVE] = 200
    call = lambda: Simulator(SpikingMLP((n_inputs, HIDDEN, 10))).train(x, [1])  # noqa: E731
    found = {"first result": microseconds(call, 1)}
    return found | {"peak over weights": (peak() - before) / (n_inputs * HIDDEN * 4e-6)}


def of_rate(n_inputs):
    """Change the learning rate, by a checkpoint where a simulator does not."""
    sim = Simulator(SpikingMLP((n_inputs, HIDDEN // 2, 10)))
    x = np.zeros((1, n_inputs))
    sim.train(x, [1])

    def change():
        if hasattr(sim, "learning_rate"):
            sim.learning_rate /= 2
            sim.train(x, [1])
        else:
            sim.checkpoint().at_rate(sim.net.learning_rate / 2).simulate().train(x, [1])

    return {"new rate": microseconds(change, 1)}


def of_files(n_inputs):
    """Save and load what a network has learned, in weights that take 32 bits."""
    before = peak()
    net = SpikingMLP((n_inputs, HIDDEN, 10), weight_init="paper", fraction_bits=22)
    sim = Simulator(net, n_jobs=1)
    sim.train(np.zeros((1, n_inputs), np.uint8), [1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.npz"
        found = {
            "save, s": microseconds(lambda: sim.save(path), 1e6),
            "load, s": microseconds(lambda: Checkpoint.load(path), 1e6),
            "file, MB": path.stat().st_size / 1e6,
        }
    return found | {"peak over weights": (peak() - before) / (n_inputs * HIDDEN * 4e-6)}


def work(case):
    kind, size = case.split()
    if kind == "events":
        return of_events(*map(int, size.split("x")))
    if "x" in size:
        return of_recordings(kind, *map(int, size.split("x")))
    one = {"rows": of_rows, "start": of_start, "rate": of_rate, "keep": of_files}[kind]
    return one(int(size))


def worked(checkout, case):
    """Return what a process finds with a checkout."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--work", case],
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", help="another checkout, with its engine built")
    parser.add_argument("--cases", nargs="+", default=CASES)
    parser.add_argument("--sensors", dest="cases", action="store_const", const=SENSORS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        print(json.dumps(work(given.work)))
        return
    checkouts = [Path(__file__).resolve().parents[1], *([given.before] if given.before else [])]
    rows = []
    for case in given.cases:
        rounds = [[worked(one, case) for one in checkouts] for _ in range(given.rounds)]
        for what in rounds[0][0]:
            medians = np.median([[found[what] for found in each] for each in rounds], axis=0)
            rows.append({"case": case, "what": what, "now": medians[0], "before": medians[-1]})
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print("| case | | now | before |\n|---|---|---|---|")
    for row in rows:
        before = f"{row['before']:.4g}" if given.before else ""
        print(f"| {row['case']} | {row['what']} | {row['now']:.4g} | {before} |")


if __name__ == "__main__":
    main()
