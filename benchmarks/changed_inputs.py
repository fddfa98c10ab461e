"""Learning and prediction where consecutive samples share most of their input.

A sample of one step costs what has changed since the one before. A network learns each stream, and
then goes on: it learns and predicts blocks of it. Another checkout of the package, whose engine
shows each sample in full, takes turns with this one::

    git worktree add /tmp/before COMMIT
    (cd /tmp/before && PYTHONPATH=. python -m spikebp_plugins.engine.building)
    python benchmarks/changed_inputs.py --before /tmp/before
    python benchmarks/changed_inputs.py --before /tmp/before --picture docs/changed_inputs.png

Times are those of the thread, and ratios medians of paired blocks. Both learn the same weights,
which is checked. ``--picture`` draws cost against the share of the inputs that change.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP, load_dataset

BLOCK, BLOCKS, ROUNDS = 500, 8, 5

#: Shares of the inputs that change from one sample to the next, in the picture.
SHARES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def shuffled_mnist(random):
    """784 pixels, in the order in which they come."""
    data = load_dataset("mnist", raw=True)
    some = random.permutation(len(data.x_train))[: BLOCK * BLOCKS]
    return data.x_train[some], data.y_train[some], data.input_scale


def levels(signals, n_levels):
    """Return whole levels of signals, from their lowest values to their highest."""
    low, high = signals.min(axis=0), signals.max(axis=0)
    return np.rint((signals - low) / np.maximum(high - low, 1e-9) * n_levels).astype(np.uint8)


def signs(signals, n_levels):
    """Return whole levels of either sign, in two planes."""
    graded = np.rint(signals / np.abs(signals).max(axis=0) * n_levels).astype(np.int64)
    return np.concatenate([graded.clip(0), (-graded).clip(0)], axis=1).astype(np.uint8)


def thermometer(signals, n_bins):
    """Return one input for each bin that lies below a signal."""
    rows = levels(signals, n_bins)[:, :, np.newaxis] > np.arange(n_bins)
    return rows.reshape(len(signals), -1).astype(np.uint8)


def heartbeat(random, n):
    """Return two leads of an electrocardiogram at 250 Hz, and the class of each beat."""
    signal, kind = np.zeros(n), np.zeros(n, np.int64)
    at = 0
    while at < n:
        length, beat = random.randint(180, 240), random.randint(3)
        t = np.arange(length) / 250
        wave = sum(
            height * np.exp(-(((t - centre) / width) ** 2) / 2)
            for height, centre, width in (
                (0.15, 0.12, 0.025),
                (1.0 - 0.4 * beat, 0.28, 0.010 + 0.012 * beat),
                (-0.25, 0.31, 0.012),
                (0.3, 0.50, 0.045),
            )
        )
        end = min(n, at + length)
        signal[at:end], kind[at:end] = wave[: end - at], beat
        at = end
    breath = 0.1 * np.sin(2 * np.pi * 0.3 * np.arange(n) / 250)
    leads = np.stack([signal + breath, 0.6 * signal - breath], axis=1)
    return leads + random.normal(0, 0.01, (n, 2)), kind


def windows(coded, kind, hop):
    """Return windows of 256 readings, each moved by some, and the class of their last one."""
    rows = np.lib.stride_tricks.sliding_window_view(coded, 256, axis=0)[::hop]
    n = BLOCK * BLOCKS
    return rows[:n].reshape(n, -1), kind[255::hop][:n], 1 / 16


def two_leads(random, hop):
    """Windows of two leads in 16 levels."""
    leads, kind = heartbeat(random, BLOCK * BLOCKS * hop + 256)
    return windows(levels(leads, 16), kind, hop)


def one_lead(random):
    """Windows of one lead in 16 levels of each sign, of which most are zero."""
    leads, kind = heartbeat(random, BLOCK * BLOCKS + 256)
    return windows(signs(leads[:, :1], 16), kind, 1)


def occupancy(random):
    """Seven slow quantities of a room in 64 bins each, and whether somebody is there."""
    n = BLOCK * BLOCKS
    present = np.cumsum(random.uniform(size=n) < 0.01) % 2
    slow = np.zeros((n, 7))
    for i in range(1, n):
        slow[i] = slow[i - 1] * 0.995 + present[i] * np.linspace(0.001, 0.01, 7)
        slow[i] += random.normal(0, 0.001, 7)
    return thermometer(slow, 64), present, 1.0


def electricity(_random):
    """Eight quantities of a market for electricity in 32 bins each, and where its price goes."""
    path = Path(os.environ["SPIKEBP_DATA"]) / "streams" / "elec2"
    values, prices = (
        np.loadtxt(path / f"elec2_{name}.dat", max_rows=BLOCK * BLOCKS)
        for name in ("data", "label")
    )
    return thermometer(values, 32), prices.astype(np.int64), 1.0


def camera(random):
    """Noise that stands still, before which a bright square moves."""
    n, side = BLOCK * BLOCKS, 48
    still = random.randint(1, 16, (side, side)).astype(np.uint8)
    frames = np.repeat(still[np.newaxis], n, axis=0)
    angle = np.cumsum(random.normal(0.02, 0.02, n))
    row, column = (np.rint(20 + 18 * f(angle)).astype(int) for f in (np.sin, np.cos))
    for i in range(n):
        frames[i, row[i] : row[i] + 6, column[i] : column[i] + 6] = 15
    return frames.reshape(n, -1), (row > 20) * 2 + (column > 20), 1 / 15


STREAMS = {
    "MNIST, shuffled": shuffled_mnist,
    "ECG, two leads of 256, moved by 1": lambda random: two_leads(random, 1),
    "moved by 4": lambda random: two_leads(random, 4),
    "moved by 16": lambda random: two_leads(random, 16),
    "ECG, one lead in two signs, moved by 1": one_lead,
    "room, 7 x 64 bins": occupancy,
    "elec2, 8 x 32 bins": electricity,
    "static camera, 48 x 48": camera,
}


def shares(share):
    """Return a stream of 784 inputs of which a share changes from sample to sample."""

    def stream(random):
        n = BLOCK * BLOCKS
        rows = np.zeros((n, 784), np.uint8)
        for i in range(n):
            drawn = (random.uniform(size=784) < 0.2).astype(np.uint8)
            changes = random.uniform(size=784) < (share if i else 1)
            rows[i] = np.where(changes, drawn, rows[i - 1])
        return rows, random.randint(0, 10, n), 1.0

    return stream


def work(names):
    """Learn and predict a block whenever a line comes, and say how long that took."""
    streams = STREAMS | {f"{share} changed": shares(share) for share in SHARES}
    for name in names:
        x, y, scale = streams[name](np.random.RandomState(0))
        net = SpikingMLP(
            (x.shape[1], 200, 200, int(y.max()) + 1),
            n_steps=1,
            spikes_per_unit=8,
            input_scale=scale,
            update="fractional",
            learning_rate=2.0**-15,
            seed=0,
        )
        with Simulator(net, "compiled", n_jobs=1) as sim:
            sim.train(x, y)
            for block in range(BLOCKS * ROUNDS):
                input()
                first = block % BLOCKS * BLOCK
                part = slice(first, first + BLOCK)
                start = time.thread_time()
                sim.train(x[part], y[part])
                learned = time.thread_time()
                sim.predict(x[part])
                done = time.thread_time()
                operations, found = sim.operations, getattr(sim, "work", None)
                weights = b"".join(W.tobytes() for W in sim.weights)
                said = {
                    "train": (learned - start) / BLOCK,
                    "predict": (done - learned) / BLOCK,
                    "asked": operations.multiply_adds / operations.samples,
                    "done": found and found.multiply_adds / operations.samples,
                    "weights": hashlib.sha256(weights).hexdigest(),
                }
                print(json.dumps(said), flush=True)


def start(checkout, names):
    """Start a process that works with a checkout."""
    paths = [str(checkout), str(Path(checkout) / "adapters")]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "--work", *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )


def blocks_of(process, n):
    for _ in range(n):
        process.stdin.write("\n")
        process.stdin.flush()
        yield json.loads(process.stdout.readline())


def measure(before, names):
    """Return a row for each stream: medians of the blocks after the first."""
    checkouts = [Path(__file__).resolve().parents[1], *([before] if before else [])]
    processes = [start(checkout, names) for checkout in checkouts]
    pairs = zip(
        *(blocks_of(process, len(names) * BLOCKS * ROUNDS) for process in processes), strict=True
    )
    rows = []
    for name in names:
        blocks = [next(pairs) for _ in range(BLOCKS * ROUNDS)]
        assert len({found["weights"] for found in blocks[-1]}) == 1, "engines differ"
        row = {"stream": name, "asked": blocks[-1][0]["asked"], "done": blocks[-1][0]["done"]}
        for key in ("train", "predict"):
            times = np.array([[found[key] for found in block] for block in blocks[1:]])
            row[key] = 1e6 * float(np.median(times[:, 0]))
            if before:
                row[f"{key}_over_before"] = float(np.median(times[:, 0] / times[:, 1]))
        rows.append(row)
    return rows


def draw(rows, path):
    """Draw the times next to those of the other engine."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for key, text in (("train", "time to learn"), ("predict", "time to predict")):
        ratios = [row[f"{key}_over_before"] for row in rows]
        axes.plot(SHARES, ratios, marker="o", label=f"{text} / in full")
    axes.axhline(1, color="grey", linewidth=0.8)
    axes.set(xlabel="share of the inputs drawn anew from sample to sample", ylabel="ratio")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", help="another checkout, with its engine built")
    parser.add_argument("--picture", help="draw cost against the share of changed inputs")
    parser.add_argument("--only", help="streams, by the beginnings of their names")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    names = [f"{share} changed" for share in SHARES] if given.picture else list(STREAMS)
    if given.only:
        names = [name for name in names if name.startswith(tuple(given.only.split(",")))]
    rows = measure(given.before, names)
    if given.picture:
        draw(rows, given.picture)
    if given.json:
        print(json.dumps(rows, indent=2))
        return
    print("| stream | multiply-adds asked, done | learn, µs (/ before) | predict, µs (/ before) |")
    print("|---|---|---|---|")
    for row in rows:
        times = [
            f"{row[key]:.1f} ({row.get(f'{key}_over_before', float('nan')):.2f})"
            for key in ("train", "predict")
        ]
        print(f"| {row['stream']} | {row['asked']:.0f}, {row['done']:.0f} | {' | '.join(times)} |")


if __name__ == "__main__":
    main()
