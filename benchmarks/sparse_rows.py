"""Cost and memory against the number of inputs, 50 of them active, and accuracy in one pass.

**Cost:** rows with 50 entries of 1 in random places, of two classes, are learned and predicted, one
a call and 200 a call. Learners of all sizes take turns in one process. The last columns compare the
most inputs with the fewest, and our `partial_fit` with each learner at the most, by pairs of turns.
**Memory:** each learner has a process of its own, and its peak counts from when a tiny learner of
its kind has run. **Accuracy:** each message of the SMS spam collection, as words that are hashed
into 2^14 inputs, is predicted and then learned. The table has means over shuffles, and of five
rates the best where there is no default. One thread. river, Vowpal Wabbit (``pip install
vowpalwabbit``) and PyTorch take part where they are installed; SPIKEBP_DATA brings the messages::

    SPIKEBP_DATA=... python benchmarks/sparse_rows.py --picture docs/sparse_input.png
    python benchmarks/sparse_rows.py --parts cost --bits 10,14 --learners "Vowpal Wabbit" --json
    python benchmarks/sparse_rows.py --parts accuracy --file messages.txt --shuffles 1
"""

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import sparse_learners
from measuring import alternate, memory_in_use
from rivals import one_thread
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

ACTIVE, BLOCK, WORD_BITS = 50, 200, 14
RATES = (0.01, 0.03, 0.1, 0.3, 1.0)

ENGINE, OWN, RIVER = "spikebp, engine", "spikebp, partial_fit", "spikebp, river"
NO_HIDDEN, VALIDATION = f"{OWN}, no hidden layer", "scikit-learn's validation alone"
ONLY_COST = (ENGINE, RIVER, VALIDATION)
SGD, PYTORCH = "scikit-learn SGDClassifier", "PyTorch, EmbeddingBag"
LEARNERS = {
    ENGINE: sparse_learners.Engine,
    OWN: sparse_learners.Estimator,
    NO_HIDDEN: partial(sparse_learners.Estimator, hidden=()),
    RIVER: sparse_learners.RiverSpiking,
    VALIDATION: sparse_learners.Validation,
    SGD: sparse_learners.SGD,
    "river LogisticRegression": sparse_learners.RiverLogistic,
    "Vowpal Wabbit": sparse_learners.VowpalWabbit,
    "Vowpal Wabbit, --nn 100": partial(sparse_learners.VowpalWabbit, units=100),
    PYTORCH: sparse_learners.PyTorch,
}
PARTS = ("cost", "memory", "accuracy")
LEARN = "learn, one row a call"


def installed(names):
    """Return the learners that are installed, and why others are left out."""
    found, left_out = {}, []
    for name in names:
        try:
            LEARNERS[name](8)
        except ImportError as error:
            left_out.append(f"{name}: {error}")
        else:
            found[name] = LEARNERS[name]
    return found, left_out


# --- cost ----------------------------------------------------------------------------------------


def rows_of(bits, n_rows):
    """Return rows with a few entries of 1, and labels that have nothing to do with them."""
    random = np.random.default_rng(bits)
    places = [np.sort(random.choice(2**bits, ACTIVE, replace=False)) for _ in range(n_rows)]
    begin, ones = np.arange(n_rows + 1) * ACTIVE, np.ones(n_rows * ACTIVE)
    X = csr_matrix((ones, np.concatenate(places), begin), (n_rows, 2**bits))
    return X, random.integers(0, 2, n_rows)


def turns_of(model, bits, n_rows):
    """Return what a learner does with a part of so many rows, by what it is; it has seen others."""
    X, y = rows_of(bits, BLOCK + n_rows)
    rows = [model.prepare(X[i : i + 1], y[i : i + 1]) for i in range(len(y))]
    for row in rows[:BLOCK]:
        model.learn(*row)
    X, y, rows = X[BLOCK:], y[BLOCK:], rows[BLOCK:]

    def learn_rows(part):
        for x, label in rows[part]:
            model.learn(x, label)

    def predict_rows(part):
        for x, _ in rows[part]:
            model.predict(x)

    turns = {LEARN: learn_rows, "predict, one row a call": predict_rows}
    if not model.one_row:
        starts = range(0, n_rows, BLOCK)
        blocks = {i: model.prepare(X[i : i + BLOCK], y[i : i + BLOCK]) for i in starts}
        turns |= {
            f"learn, {BLOCK} a call": lambda part: model.learn(*blocks[part.start]),
            f"predict, {BLOCK} a call": lambda part: model.predict(blocks[part.start][0]),
        }
    return turns


def costs(makers, sizes, rounds):
    """Return a row for each learner and what it does: microseconds by bits, and ratios."""
    n_rows = rounds * BLOCK
    turns = {
        (what, name, bits): turn
        for bits in sizes
        for name, make in makers.items()
        for what, turn in turns_of(make(2**bits), bits, n_rows).items()
    }
    seconds = alternate(turns, lambda _, turn, part: turn(part), n_rows, BLOCK)
    times = {turn: 1e6 * np.array(of_blocks) for turn, of_blocks in seconds.items()}
    rows = []
    for what, name in sorted(dict.fromkeys(turn[:2] for turn in turns), key=lambda kind: kind[0]):
        this = [times[what, name, bits] for bits in sizes]
        own = [times[what, OWN, bits] for bits in sizes]
        row = {
            "what": what,
            "learner": name,
            "microseconds": medians(this),
            "most_over_fewest": float(np.median(this[-1] / this[0])),
            "own_over_this": float(np.median(own[-1] / this[-1])),
        }
        if name == VALIDATION:
            row["own_beyond_this"] = medians(np.subtract(own, this))
        rows.append(row)
    return rows


def medians(times):
    return [float(np.median(one)) for one in times]


# --- memory --------------------------------------------------------------------------------------


def memory_here(name, bits):
    """Return the peak memory of a learner in this process, and its weights, in megabytes."""

    def shown(bits):
        model = LEARNERS[name](2**bits)
        for turn in turns_of(model, bits, BLOCK).values():
            turn(slice(0, BLOCK))
        return model

    shown(6)
    ctypes.CDLL(None).malloc_trim(0)  # what the heap keeps free would hide a small learner
    before = memory_in_use()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    weights = shown(bits).weight_bytes / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return {"peak": peak * 1024 / 1e6 - before, "weights": weights}


def memories(names, sizes):
    """Return a row for each learner: peaks by bits, and the last as a multiple of the weights."""
    rows = []
    for name in names:
        found = []
        for bits in sizes:
            command = [sys.executable, __file__, "--memory-of", name, "--bits", str(bits)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found.append(json.loads(done.stdout))
        row = {"learner": name, "megabytes": [one["peak"] for one in found]}
        rows.append(row | {"over_weights": found[-1]["peak"] / found[-1]["weights"]})
    return rows


# --- accuracy ------------------------------------------------------------------------------------


def messages(path):
    """Return the words of messages as rows, their labels as numbers, and the labels."""
    lines = Path(path).read_text("utf-8").split("\n")
    labels, texts = zip(*(line.split("\t", 1) for line in lines if line), strict=True)
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) != 2:
        raise SystemExit(f"{path} must have messages of two labels; got {len(classes)} labels")
    options = {"binary": True, "norm": None, "alternate_sign": False}
    return HashingVectorizer(n_features=2**WORD_BITS, **options).transform(texts), y, classes


def one_pass(model, X, y, chunk):
    """Return what a learner predicts of all but the first chunk, and its microseconds a message."""
    parts = (slice(i, i + chunk) for i in range(0, len(y), chunk))
    first, *others = [model.prepare(X[part], y[part]) for part in parts]
    found, start = [], time.perf_counter()
    model.learn(*first)
    for x, label in others:
        found.append(model.predict(x))
        model.learn(x, label)
    return np.concatenate(found), 1e6 * (time.perf_counter() - start) / len(y)


def accuracies(makers, X, y, shuffles, chunk):
    """Return a row for each learner, with the rate that is right most often."""
    rows = []
    orders = [np.random.RandomState(seed).permutation(len(y)) for seed in range(shuffles)]
    for name, make in makers.items():
        settings = [{"rate": rate} for rate in RATES] if name in (SGD, PYTORCH) else [{}]
        tried = []
        for setting in settings:
            runs = []
            for seed, order in enumerate(orders):
                model = make(2**WORD_BITS, seed=seed, **setting)
                found, microseconds = one_pass(model, X[order], y[order], chunk)
                right = found == y[order][chunk:]
                of_second = right[y[order][chunk:] == 1]
                runs.append((100 * right.mean(), 100 * of_second.mean(), microseconds))
            names = ("right", "right_of_second", "microseconds")
            means = map(float, np.mean(runs, axis=0))
            tried.append({"learner": name, **setting} | dict(zip(names, means, strict=True)))
        rows.append(max(tried, key=lambda row: row["right"]))
    return rows


# --- what is shown -------------------------------------------------------------------------------


def print_table(columns, rows):
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def print_costs(rows, sizes):
    for what in dict.fromkeys(row["what"] for row in rows):
        lines = []
        for row in (row for row in rows if row["what"] == what):
            ratios = f"{row['most_over_fewest']:.2f}", f"{row['own_over_this']:.2f}"
            lines.append((row["learner"], *map("{:.1f}".format, row["microseconds"]), *ratios))
            if "own_beyond_this" in row:
                beyond = map("{:.1f}".format, row["own_beyond_this"])
                lines.append((f"{OWN} beyond this validation", *beyond, "", ""))
        columns = (f"µs a row: {what}", *sizes, "most / fewest", f"{OWN} / this")
        print_table(columns, lines)


def print_result(result):
    sizes = [f"2^{bits}" for bits in result["bits"]]
    print_costs(result.get("cost", ()), sizes)
    if rows := result.get("memory"):
        lines = [
            (row["learner"], *map("{:.1f}".format, row["megabytes"]), f"{row['over_weights']:.2f}")
            for row in rows
        ]
        print_table(("peak, MB", *sizes, "last / weights"), lines)
    if rows := result.get("accuracy"):
        first, second = result["labels"]
        lines = [
            (
                row["learner"],
                f"{row['rate']:g}" if "rate" in row else "default",
                *(f"{row[key]:.1f}" for key in ("right", "right_of_second")),
                f"{row['microseconds']:.0f}",
            )
            for row in rows
        ]
        share = f"{100 * result['share_of_first']:.1f}"
        title = f"{result['messages']:,} messages, {share} % {first}"
        print_table((title, "rate", "right, %", f"of {second}, %", "µs a message"), lines)
    for reason in result["left_out"]:
        print(f"\n# left out: {reason}")


def draw(result, path):
    """Draw what it takes to learn a row, and memory, against the number of inputs."""
    import matplotlib.pyplot as plt

    times = {row["learner"]: row["microseconds"] for row in result["cost"] if row["what"] == LEARN}
    peaks = {row["learner"]: row["megabytes"] for row in result["memory"]}
    inputs = [2**bits for bits in result["bits"]]
    figure, both = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for axes, lines, what in zip(both, (times, peaks), (f"µs, {LEARN}", "peak, MB"), strict=True):
        for colour, name in enumerate(LEARNERS):
            if name in lines:
                ours = name in (ENGINE, OWN, NO_HIDDEN, RIVER)
                style = {"linewidth": 2.5} if ours else {"linestyle": "--"}
                style |= {"color": f"C{colour}", "marker": "o", "markersize": 3}
                axes.plot(inputs, lines[name], label=name, **style)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set(xlabel=f"inputs, {ACTIVE} of them active", ylabel=what)
        axes.grid(alpha=0.3)
    figure.legend(*both[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--learners", nargs="+", choices=LEARNERS, default=[*LEARNERS])
    parser.add_argument("--bits", default="10,12,14,16,18", help="of the numbers of inputs")
    parser.add_argument("--rounds", type=int, default=5, help=f"turns of {BLOCK} rows")
    parser.add_argument("--file", help="messages to learn: a line has a label, a tab, and a text")
    parser.add_argument("--shuffles", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=1, help="messages in a call")
    parser.add_argument("--picture", help="draw cost and memory to this file")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of networks in which nothing fires
    sizes, parts = [int(bits) for bits in options.bits.split(",")], options.parts.split(",")
    if options.memory_of:
        with one_thread():
            print(json.dumps(memory_here(options.memory_of, *sizes)))
        return
    if options.picture and not {"cost", "memory"} <= {*parts}:
        parser.error("--picture needs the parts cost and memory")
    # Others are compared with ours.
    makers, left_out = installed(dict.fromkeys((*options.learners, OWN)))
    result = {"bits": sizes, "left_out": left_out}
    file = options.file or Path(os.environ.get("SPIKEBP_DATA", "")) / "text" / "SMSSpamCollection"
    if "accuracy" in parts and not Path(file).is_file():
        parts.remove("accuracy")
        left_out.append("accuracy: neither --file nor SPIKEBP_DATA has messages")
    with one_thread():
        if "cost" in parts:
            result["cost"] = costs(makers, sizes, options.rounds)
        if "memory" in parts:
            result["memory"] = memories([name for name in makers if name != VALIDATION], sizes)
        if "accuracy" in parts:
            X, y, labels = messages(file)
            result |= {"messages": len(y), "labels": labels.tolist()}
            result["share_of_first"] = float(np.mean(y == 0))
            chosen = {name: makers[name] for name in makers if name not in ONLY_COST}
            result["accuracy"] = accuracies(chosen, X, y, options.shuffles, options.chunk)
    if options.picture:
        draw(result, options.picture)
    print(json.dumps(result)) if options.json else print_result(result)


if __name__ == "__main__":
    main()
