"""A board without a keyboard learns a digit that it has never seen, one sample at a time.

A network is trained on this machine with the digits 0 to 8. Exported to C, it goes on learning on
a board with a Cortex-M3, which QEMU emulates: somebody shows it nines. After each nine it looks at
three of ninety older digits that it has in flash, so that it does not forget them; ``--no-review``
leaves that out. What it has learned comes back as bytes, and is tried on digits that were never
shown: in how many the nines are known, and the others still.

Needs a compiler for the board and QEMU (``board/emulated.py`` names the packages); with ``--here``
the same file in C learns on this machine. Takes some seconds::

    python examples/new_class_on_a_board.py --picture new_class.png
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from board import emulated

from spikebp_plugins import Simulator, SpikingMLP, load_dataset, to_c
from spikebp_plugins.embedded import from_state_bytes

NEW = 9
#: After so many nines the network is tried.
TRIED_AFTER = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60)
#: Older digits of each class that the board keeps, and how many it looks at after each nine.
KEPT, REVIEWED = 10, 3


def trained(data):
    """Return a network that has learned the digits 0 to 8."""
    net = SpikingMLP.paper(
        (64, 60, 10),
        n_steps=5,
        update="normalized",
        learning_rate=0.35,
        fraction_bits=12,
        weight_init="quiet",
        label_targets=(0, 8),
        input_scale=data.input_scale,
    )
    known = data.y_train != NEW
    with Simulator(net) as sim:
        for _ in range(4):
            sim.train(data.x_train[known], data.y_train[known])
        return sim.checkpoint()


def shown_to_board(data, review):
    """Return the samples that the board learns: nines, and digits that it has kept between them."""
    nines = data.x_train[data.y_train == NEW][: TRIED_AFTER[-1]]
    kept = np.concatenate([np.flatnonzero(data.y_train == d)[:KEPT] for d in range(NEW)])
    n_reviewed = REVIEWED if review else 0
    reviewed = np.random.RandomState(0).choice(kept, (len(nines), n_reviewed))
    x = np.concatenate([nines[:, np.newaxis], data.x_train[reviewed]], axis=1)
    y = np.concatenate([np.full((len(nines), 1), NEW), data.y_train[reviewed]], axis=1)
    return x, y


def learned_on_board(checkpoint, x, y):
    """Yield the checkpoints after some nines, and the last report of the board."""
    report = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        to_c(checkpoint).save(folder)
        program = emulated.build(folder, emulated.CORES["M3"], folder / "learn.elf")
        state = None
        for before, after in zip((0, *TRIED_AFTER), TRIED_AFTER, strict=False):
            if after > before:
                now = slice(before, after)
                pixels, labels = x[now].reshape(-1, 64), y[now].reshape(-1)
                report = emulated.learn(program, folder, pixels, labels, state)
                state = report.state
                checkpoint = from_state_bytes(state, checkpoint)
            yield checkpoint, report


def learned_here(checkpoint, x, y):
    """Yield the same from the same file in C, compiled for this machine."""
    with checkpoint.simulate("c:16") as sim:
        for before, after in zip((0, *TRIED_AFTER), TRIED_AFTER, strict=False):
            if after > before:
                sim.train(x[before:after].reshape(-1, 64), y[before:after].reshape(-1))
            yield sim.checkpoint(), None


def accuracy(checkpoint, data):
    """Return how many percent of the new digits and of the others are known."""
    with checkpoint.simulate() as sim:
        is_right = sim.predict(data.x_test).argmax(1) == data.y_test
    is_new = data.y_test == NEW
    return 100 * is_right[is_new].mean(), 100 * is_right[~is_new].mean()


def draw(path, rows):
    """Draw the accuracies against the nines seen."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    seen, new, others = zip(*rows, strict=True)
    axes.plot(seen, new, "o-", label=f"{NEW}, never seen in training")
    axes.plot(seen, others, "o-", label=f"0 to {NEW - 1}")
    axes.set_xlabel(f"samples of {NEW} that the board has learned, one at a time")
    axes.set_ylabel("known, % of the test set")
    axes.set_ylim(0, 102)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--here", action="store_true", help="learn on this machine, not on a board")
    parser.add_argument("--no-review", action="store_true", help="show nines alone")
    parser.add_argument("--picture", type=Path, help="draw the accuracies to this file")
    options = parser.parse_args()
    reason = emulated.why_no_board()
    if reason is not None and not options.here:
        parser.error(f"{reason}; with --here the file learns on this machine")
    data = load_dataset("digits", raw=True)
    checkpoint = trained(data)
    x, y = shown_to_board(data, not options.no_review)
    learned = (learned_here if options.here else learned_on_board)(checkpoint, x, y)
    print(f"{'nines seen':>10} {'nines known':>12} {'others known':>13}")
    rows, reports = [], []
    for n, (later, report) in zip(TRIED_AFTER, learned, strict=True):
        rows.append((n, *accuracy(later, data)))
        reports.append(report)
        print(f"{n:10} {rows[-1][1]:10.1f} % {rows[-1][2]:11.1f} %")
    if (report := reports[-1]) is not None:
        print(
            f"A sample took the board {report.to_learn:,.0f} instructions to learn and "
            f"{report.to_predict:,.0f} to predict, and at most {report.stack_used} bytes of stack."
        )
    with checkpoint.simulate() as sim:
        sim.train(x.reshape(-1, 64), y.reshape(-1))
        equal = map(np.array_equal, sim.weights, later.state.weights)
        print(f"This machine would have learned {'the same' if all(equal) else 'OTHER'} weights.")
    if options.picture is not None:
        draw(options.picture, rows)


if __name__ == "__main__":
    main()
