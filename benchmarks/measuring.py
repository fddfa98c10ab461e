"""What the benchmarks share: data, the spiking competitor, alternating blocks, and memory."""

import os
from pathlib import Path

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.engine import library
from spikebp_plugins.reproduce.timing import alternate as alternate


class Spiking:
    """The compiled back end, with the interface of a rival."""

    def __init__(self, net, name="spikebp (compiled)", weights=None):
        self.name = name
        self.sim = Simulator(net, weights=weights, n_jobs=1)

    def prepare(self, x):
        return x

    def train(self, x, y):
        self.sim.train(x, y)

    def predict(self, x):
        return self.sim.predict(x)


def data_for_benchmark():
    """Return MNIST where SPIKEBP_DATA has it, digits otherwise, with pixels of 8 bits."""
    root = os.environ.get("SPIKEBP_DATA")
    has_mnist = root is not None and (Path(root) / "mnist").is_dir()
    return load_dataset("mnist" if has_mnist else "digits", raw=True)


def network(data, hidden, make=SpikingMLP, **fields):
    """Return a network for these data, with default settings where `fields` has no other."""
    sizes = (data.x_train.shape[1], *hidden, data.n_classes)
    return make(sizes, input_scale=data.input_scale, **fields)


def limit_level(level):
    """Let the engine use no build above x86-64-v`level`; 3 is that of AVX2, without AVX-512."""
    best = min(level, library.best_level())
    library.best_level = lambda: best


def hidden_sizes(text):
    return tuple(int(size) for size in text.split(","))


def memory_in_use():
    """Return the resident memory of this process in megabytes."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def summary(competitors, times, own):
    """Return a row for each competitor: median time, and the median ratio of paired blocks."""
    rows = []
    for name, competitor in competitors.items():
        paired = np.array(times[own]) / np.array(times[name])
        rows.append(
            {
                "competitor": competitor.name,
                "microseconds_per_sample": 1e6 * float(np.median(times[name])),
                "own_time_over_this": float(np.median(paired)),
            }
        )
    return rows


def print_rows(title, rows, own="spikebp"):
    print(f"\n{title}\n")
    print(f"| | µs per sample | {own} / this | error, % |")
    print("|---|---|---|---|")
    for row in rows:
        error = f"{row['test_error']:.2f}" if "test_error" in row else ""
        print(
            f"| {row['competitor']} | {row['microseconds_per_sample']:.1f} | "
            f"{row['own_time_over_this']:.2f} | {error} |"
        )
