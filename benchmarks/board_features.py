"""Instructions of a board for features that it scales itself, for their values, and for lists.

A classifier is exported twice: as it is, to scale features and to follow its rate, and as its
network alone, which is shown what scaling has made of the same features, at a fixed rate, as values
and as lists of those that are not zero. A board with a Cortex-M3 or M4, which QEMU emulates,
predicts each sample and learns it then::

    python benchmarks/board_features.py
    python benchmarks/board_features.py --layers 20 --samples 100 --json

Features are the handwritten digits of scikit-learn, and two tables that are made here: one whose
features are all dense, and one whose features are mostly zero. What the board has learned must be
what this machine has.
"""

import argparse
import json
import sys
import tempfile
import warnings
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
from measuring import hidden_sizes
from sklearn.datasets import load_digits

from spikebp_plugins import Checkpoint, Simulator, SpikingMLPClassifier
from spikebp_plugins.embedded import from_state_bytes, to_c

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "board"))
from emulated import CORES, build, learn, lists_file, samples_file, why_no_board  # noqa: E402

#: Bits of a weight: no sample of these leaves its type.
BITS = 32


def digits():
    """Return pixels of 64, half of which are dark."""
    return load_digits(return_X_y=True)


def dense():
    """Return six features of a vibration, of any size."""
    random = np.random.RandomState(0)
    y = random.randint(5, size=2000)
    X = 60 * random.standard_normal((5, 6))[y] + 50 * random.standard_normal((2000, 6)) + 500
    return np.rint(X), y


def sparse():
    """Return 200 counts, of which six are not zero."""
    random = np.random.RandomState(1)
    y = random.randint(10, size=2000)
    shares = random.rand(10, 200) ** 16 / 2
    return (random.rand(2000, 200) < shares[y]) * random.randint(1, 9, (2000, 200)) * 1.0, y


TABLES = {"digits, 64": digits, "dense, 6": dense, "mostly zero, 200": sparse}


def learned_on_board(learned, core, x, y, write, option=None):
    """Return the program of a board, and what it has made of samples."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        to_c(learned, BITS).save(folder)
        options = ("-Wl,--defsym=ram_size=0x400000", *([f"-D{option}"] if option else []))
        program = build(folder, CORES[core], folder / "learn.elf", options=options)
        result = learn(program, folder, x, y, write=write)
        assert result.undone == 0
        return program, result


def measure(name, core, layers, n):
    """Return the rows of one table."""
    X, y = TABLES[name]()
    X, y = X[: n + 1], y[: n + 1]
    model = SpikingMLPClassifier(layers, random_state=0)
    model.partial_fit(X[:1], y[:1], classes=np.unique(y))
    before, values = deepcopy(model), []
    for row, label in zip(X[1:], y[1:], strict=True):
        values.append(model.network_inputs(row[np.newaxis])[0])
        model.partial_fit(row[np.newaxis], [label])
    X, y, values = X[1:], y[1:], np.array(values)
    program, result = learned_on_board(before, core, X, y, partial(samples_file, number="i4"))
    after = from_state_bytes(result.state, before)
    for found, expected in zip(
        after.checkpoint_.state.weights, model.checkpoint_.state.weights, strict=True
    ):
        assert np.array_equal(found, expected), name

    def row(way, program, result):
        return {
            "table": name,
            "core": core,
            "way": way,
            "active": float(np.mean(np.count_nonzero(values, axis=1))),
            "code": program.network,
            "ram": program.ram,
            "predict": result.to_predict,
            "learn": result.to_learn,
            "error": 100 * result.wrong / result.samples,
        }

    rows = [row("features, scaled", program, result)]
    network = Checkpoint(before.checkpoint_.net, before.checkpoint_.state)
    net = network.net
    units = np.rint(np.ldexp(values * net.input_factor, net.fraction_bits)).astype(np.int64)
    with Simulator.from_checkpoint(network) as sim:
        sim.train(values, y)
        expected = sim.checkpoint()
    for way, write in (("values", samples_file), ("lists", lists_file)):
        option = f"SAMPLES_ARE_{way.upper()}"
        write = partial(write, number="i8")
        program, result = learned_on_board(network, core, units, y, write, option)
        assert from_state_bytes(result.state, network) == expected, way
        rows.append(row(f"{way}, at a fixed rate", program, result))
    for each in rows:
        for doing in ("predict", "learn"):
            each[f"{doing}_ratio"] = each[doing] / rows[1][doing]
    return rows


def print_results(rows):
    print(
        "| features | inputs that are not 0 | shown as | code, RAM | to predict | / values ", end=""
    )
    print("| to learn | / values |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['core']}: {row['table']} | {row['active']:.0f} | {row['way']} "
            f"| {row['code']:,}, {row['ram']:,} | {row['predict']:,.0f} "
            f"| **{row['predict_ratio']:.2f}** | {row['learn']:,.0f} "
            f"| **{row['learn_ratio']:.2f}** |"
        )
    print("\nInstructions of a sample; bytes, of code without that of the board.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="40,20", help="sizes of the hidden layers")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--core", choices=CORES, action="append", help="by default both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (missing := why_no_board()) is not None:
        parser.exit(1, f"{missing}\n")
    warnings.simplefilter("ignore")  # of outliers, and of networks in which nothing fires
    layers, n = hidden_sizes(options.layers), options.samples
    cores = options.core or list(CORES)
    rows = [row for core in cores for name in TABLES for row in measure(name, core, layers, n)]
    print(json.dumps(rows)) if options.json else print_results(rows)


if __name__ == "__main__":
    main()
