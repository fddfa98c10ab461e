"""Instructions of a board for samples that follow each other, by what changes and in full.

Both are programs of one network with one step, written with and without ``incremental``. A board
with a Cortex-M3, which QEMU emulates, learns a stream of samples, and then predicts it::

    python benchmarks/board_streams.py
    python benchmarks/board_streams.py --layers 64 --samples 300 --json

The streams are windows of an electrocardiogram that move by one sample, five slow sensors of a room
in bins, and MNIST (digits without ``SPIKEBP_DATA``), whose images have nothing in common. The first
two are made here. What the board has learned must be what the engine has.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import data_for_benchmark, hidden_sizes

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.embedded import to_c, to_state_bytes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "board"))
from emulated import (  # noqa: E402
    CORES,
    INSTRUCTIONS_PER_TICK,
    build,
    emulate,
    samples_file,
    why_no_board,
)

FRACTION_BITS = 14
LENGTH, LEVELS, BINS = 64, 8, 64


def heart(n):
    """Return windows of a signal of beats as counts of each sign, and whether the beat is wide."""
    random = np.random.default_rng(0)
    signal, is_wide = [], []
    while len(signal) < n + LENGTH:
        wide = random.random() < 0.3
        t = np.arange(int(random.normal(150, 8))) / 150
        bumps = [(0.15, 0.2, 0.03), (-0.12, 0.36, 0.012), (-0.25, 0.44, 0.015), (0.3, 0.7, 0.06)]
        bumps.append((0.8, 0.4, 0.05) if wide else (1.0, 0.4, 0.015))
        signal.extend(sum(a * np.exp(-(((t - at) / width) ** 2)) for a, at, width in bumps))
        is_wide.extend([wide] * len(t))
    signal = np.array(signal) + random.normal(0, 0.005, len(signal))
    signal += 0.3 * np.sin(np.arange(len(signal)) / 200)  # the baseline wanders
    counts = np.rint((signal - signal.mean()) * LEVELS)
    windows = np.lib.stride_tricks.sliding_window_view(counts, LENGTH)[:n]
    x = np.concatenate([np.maximum(windows, 0), np.maximum(-windows, 0)], axis=1)
    return x.astype(np.uint8), np.array(is_wide[LENGTH // 2 :][:n], int), 1.0


def room(n):
    """Return five quantities of a room in bins, filled up to the value, and whether it is used."""
    random = np.random.default_rng(1)
    t = np.arange(n)
    used = (np.sin(t / 60) + 0.3 * np.sin(t / 17) > 0.3).astype(int)
    values = np.zeros((n, 5))
    for i in range(1, n):
        pull = (used[i] * np.array([1, 1, 1, 2, 1.5]) - values[i - 1]) / [80, 40, 100, 3, 30]
        values[i] = values[i - 1] + pull + random.normal(0, 0.002, 5)
    bins = ((values - values.min(0)) / np.ptp(values, axis=0) * BINS).astype(int)
    x = (np.arange(BINS) < bins[:, :, np.newaxis]).reshape(n, -1)
    return x.astype(np.uint8), used, 1.0


def shuffled(n):
    """Return images that have nothing to do with those before."""
    data = data_for_benchmark()
    return data.x_train[:n], data.y_train[:n], 8 * data.input_scale


STREAMS = {"ECG windows": heart, "room sensors": room, "shuffled images": shuffled}


def measure(name, hidden, n):
    """Return the row of one stream."""
    x, y, scale = STREAMS[name](n)
    net = SpikingMLP.paper(
        (x.shape[1], *hidden, int(y.max()) + 1),
        n_steps=1,
        input_scale=scale,
        fraction_bits=FRACTION_BITS,
        learning_rate=1 / 2**FRACTION_BITS,
        weight_init="he",
        label_targets=(1, 8),
    )
    sim = Simulator(net)
    start = sim.checkpoint()
    sim.train(x, y)
    active, changed = (np.count_nonzero(rows) / n for rows in (x, np.diff(x.astype(int), axis=0)))
    row = {"stream": name, "active": active, "changed": changed}
    for incremental in (True, False):
        with tempfile.TemporaryDirectory() as folder_name:
            folder = Path(folder_name)
            to_c(start, 16, incremental=incremental).save(folder)
            main = HERE / "board_streams.c"
            program = build(folder, CORES["M3"], folder / "stream.elf", main)
            (folder / "samples").write_bytes(samples_file(x, y))
            printed = emulate(program, folder, "samples", "after")
            report = dict(re.findall(r"^(.+): (\d+)$", printed, re.M))
            assert report["failed"] == "0"
            assert (folder / "after").read_bytes() == to_state_bytes(sim.checkpoint(), 16)
        way = "incremental" if incremental else "full"
        row[f"ram_{way}"] = program.ram
        row[f"code_{way}"] = program.code
        for doing in ("learn", "predict"):
            ticks = int(report[f"ticks to {doing}"])
            row[f"{doing}_{way}"] = ticks * INSTRUCTIONS_PER_TICK / n
    for doing in ("learn", "predict"):
        row[f"ratio_to_{doing}"] = row[f"{doing}_incremental"] / row[f"{doing}_full"]
    return row


def print_results(rows):
    print("| stream | inputs active, changed | to learn: in full | incremental | ratio ", end="")
    print("| to predict: in full | incremental | ratio | code, RAM: in full | incremental |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        cells = [row["stream"], f"{row['active']:.0f}, {row['changed']:.0f}"]
        for doing in ("learn", "predict"):
            cells += [f"{row[f'{doing}_{way}']:,.0f}" for way in ("full", "incremental")]
            cells.append(f"**{row[f'ratio_to_{doing}']:.2f}**")
        for way in ("full", "incremental"):
            cells.append(f"{row[f'code_{way}']:,}, {row[f'ram_{way}']:,}")
        print(f"| {' | '.join(cells)} |")
    print("\nInstructions of a sample on an emulated Cortex-M3; bytes.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="100,50", help="sizes of the hidden layers")
    parser.add_argument("--samples", type=int, default=900)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (missing := why_no_board()) is not None:
        parser.exit(1, f"{missing}\n")
    rows = [measure(name, hidden_sizes(options.layers), options.samples) for name in STREAMS]
    print(json.dumps(rows)) if options.json else print_results(rows)


if __name__ == "__main__":
    main()
