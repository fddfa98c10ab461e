"""A board that knows the state of a machine by its vibrations, and goes on learning there.

A classifier learns the first rows of a table on this machine, as sensors send them. Exported to C
with its scaling and its learning rate, it goes on on a board with a Cortex-M3, which QEMU emulates:
it names each row, and learns it then. Half-way there the sensors are replaced by others, which send
eight times the number. Prints, and draws into ``vibrations.png``, how many rows the board names
wrong, beside a classifier that learns no more.

Without a table one is made: a pump in four states, one of which comes on the board alone, that of a
damaged bearing. Any table will do, with a header and a column of names::

    python examples/vibrations_on_a_board.py
    python examples/vibrations_on_a_board.py table.csv --target state

Needs a compiler for the board and QEMU (``board/emulated.py`` names the packages). Takes some
seconds.
"""

import argparse
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from board import emulated

from spikebp_plugins import SpikingMLPClassifier, to_c
from spikebp_plugins.data.tables import Table, TableFile
from spikebp_plugins.embedded import from_state_bytes

STATES = ("standing", "running", "out of balance", "damaged bearing")
#: Size of the vibration in each band of frequencies, for each state; the first is that of a turn.
BANDS = np.array(
    [[2, 2, 2, 2, 2, 2], [60, 30, 20, 12, 8, 6], [240, 60, 24, 12, 8, 6], [70, 34, 24, 40, 90, 60]]
)
#: Rows of which the share that is wrong is drawn.
WINDOW = 100


def pump(n=3000):
    """Return readings of two sensors, six bands each, and the state of the pump in each row."""
    random = np.random.default_rng(0)
    y = np.repeat(random.integers(0, 4, n // 10), 10)
    early = y[: n // 2]
    early[early == 3] = 1  # no bearing is damaged yet
    load = np.exp(0.3 * np.sin(np.arange(n) / 150) + random.normal(0, 0.15, n))
    sensors = [1, 0.4]  # the second one is far from the bearing
    bands = np.concatenate([near * BANDS[y] for near in sensors], axis=1) * load[:, np.newaxis]
    noise = np.exp(random.normal(0, 0.35, bands.shape))
    return np.rint(40 * bands * noise), np.array(STATES)[y]


def read(path, target):
    """Return the features of a table, which are whole numbers, and the names."""
    cells = next(TableFile(path).rows(at_once=10**6))
    table = Table.of(cells, target, categories=[target])
    return table.features(cells), table.targets(cells[target])


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("table", nargs="?", help="a table with a header, and a column of names")
parser.add_argument("--target", help="that column")
options = parser.parse_args()
if (reason := emulated.why_no_board()) is not None:
    parser.error(reason)
if options.table is not None and options.target is None:
    parser.error("a table needs --target")

X, names = pump() if options.table is None else read(options.table, options.target)
n_here = len(X) // 3
n_replaced = n_here + (len(X) - n_here) // 2
X[n_replaced:] *= 8
classes, y = np.unique(names, return_inverse=True)
warnings.simplefilter("ignore")  # the first readings of other sensors look like outliers
model = SpikingMLPClassifier((40, 20), random_state=0)
model.partial_fit(X[:n_here], names[:n_here], classes=classes)
before = deepcopy(model)

is_wrong, state = [], None
with TemporaryDirectory() as name:
    folder = Path(name)
    exported = to_c(model)
    exported.save(folder)
    program = emulated.build(folder, emulated.CORES["M3"], folder / "learn.elf")
    write = partial(emulated.samples_file, number="i4")
    for start in range(n_here, len(X), WINDOW):
        rows = slice(start, start + WINDOW)
        # The board is switched off after each window, and goes on from the bytes that it has kept.
        result = emulated.learn(program, folder, X[rows], y[rows], state, write)
        state = result.state
        frozen = np.mean(before.predict(X[rows]) != names[rows])
        is_wrong.append((100 * result.wrong / result.samples, 100 * frozen))
        print(f"rows {start:5} on: {is_wrong[-1][0]:5.1f} % wrong, ", end="")
        print(f"{is_wrong[-1][1]:5.1f} % without learning")
after = from_state_bytes(state, before)
model.partial_fit(X[n_here:], names[n_here:])
same = all(map(np.array_equal, after.checkpoint_.state.weights, model.checkpoint_.state.weights))
print(exported.sizes)
print(f"{result.to_learn:,.0f} instructions to learn a row, {result.to_predict:,.0f} to predict")
print(f"the board has learned what partial_fit learns here: {same}")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
starts = range(n_here, len(X), WINDOW)
for share, label in zip(
    zip(*is_wrong, strict=True), ("the board", "without learning"), strict=True
):
    axes.step(starts, share, where="post", label=label)
axes.axvline(n_replaced, color="gray", linestyle=":")
axes.text(n_replaced, 103, "other sensors", color="gray", ha="center")
axes.set(xlabel="row of the table", ylabel="named wrong, %", ylim=(0, 102))
axes.legend(loc="upper left")
figure.savefig("vibrations.png", dpi=120)
