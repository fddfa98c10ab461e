"""A board without a keyboard learns a digit that it has never seen, one sample at a time.

A network is trained on this machine with the digits 0 to 8. Exported to C, it goes on learning on
a board with a Cortex-M3, which QEMU emulates: somebody shows it nines. After each nine it looks at
three of ninety older digits that it has in flash, so that it does not forget them; ``--reviewed 0``
leaves that out. Prints, and draws into ``new_class.png``, how many of the nines that it was never
shown it knows, and how many of the other digits still.

Needs a compiler for the board and QEMU (``board/emulated.py`` names the packages); with ``--here``
the same file in C learns on this machine. Takes some seconds::

    python examples/new_class_on_a_board.py
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from board import emulated

from spikebp_plugins import Simulator, SpikingMLP, load_dataset

#: After so many nines the network is tried.
TRIED_AFTER = (0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 40, 60)

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--here", action="store_true", help="learn on this machine, not on a board")
parser.add_argument("--reviewed", type=int, default=3, help="older digits shown after each nine")
options = parser.parse_args()
if not options.here and (reason := emulated.why_no_board()) is not None:
    parser.error(f"{reason}; with --here the file learns on this machine")

data = load_dataset("digits", raw=True)
net = SpikingMLP.paper(
    (64, 60, 10), n_steps=5, update="normalized", learning_rate=0.35, fraction_bits=12,
    weight_init="quiet", label_targets=(0, 8), input_scale=data.input_scale,
)  # fmt: skip
with Simulator(net) as sim:
    known = data.y_train < 9
    for _ in range(4):
        sim.train(data.x_train[known], data.y_train[known])
    checkpoint = sim.checkpoint()

nines = np.flatnonzero(data.y_train == 9)[: TRIED_AFTER[-1]]
kept = np.concatenate([np.flatnonzero(data.y_train == digit)[:10] for digit in range(9)])
reviewed = np.random.RandomState(0).choice(kept, (len(nines), options.reviewed))
shown = np.column_stack([nines, reviewed])  # a nine, and what is looked at after it

rows = []
print("nines seen  nines known  others known")
with TemporaryDirectory() as folder:
    here = options.here
    board = None if here else emulated.Board(checkpoint, Path(folder), weight_bits=16)
    learner = board or checkpoint.simulate("c:16")
    for before, after in zip((0, *TRIED_AFTER), TRIED_AFTER, strict=False):
        if after > 0:
            now = shown[before:after].ravel()
            learner.train(data.x_train[now], data.y_train[now])
        with learner.checkpoint().simulate() as sim:
            is_right = sim.predict(data.x_test).argmax(axis=1) == data.y_test
        is_nine = data.y_test == 9
        rows.append((after, 100 * is_right[is_nine].mean(), 100 * is_right[~is_nine].mean()))
        print("{:10} {:10.1f} % {:11.1f} %".format(*rows[-1]))
if not here:
    took = learner.learned
    print(f"{took.to_learn:,.0f} instructions to learn a sample, {took.to_predict:,.0f} to predict")

with checkpoint.simulate() as sim:
    sim.train(data.x_train[shown.ravel()], data.y_train[shown.ravel()])
    same = all(map(np.array_equal, sim.weights, learner.checkpoint().state.weights))
print(f"weights are those that this machine would have learned: {same}")

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
seen, of_nines, of_others = zip(*rows, strict=True)
axes.plot(seen, of_nines, "o-", label="9, never seen in training")
axes.plot(seen, of_others, "o-", label="0 to 8")
axes.set(xlabel="nines learned, one at a time", ylabel="known, % of the test set", ylim=(0, 102))
axes.legend(loc="lower right")
figure.savefig("new_class.png", dpi=120)
