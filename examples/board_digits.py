"""A network goes on learning on a board with a Cortex-M, which QEMU emulates.

Handwritten digits of 8 x 8 pixels are learned on this computer first. Then the network becomes a
program in C, which is compiled for the board, and learns more digits there. The board has 256 KiB
of memory, and no arithmetic in floating point. What it has learned comes back as a checkpoint,
which is tested here, and equals what this computer would have learned in its place. What the board
runs is in the folder ``board``; how it is built, and what has to be installed for that, is in
``board/emulated.py``. Writes nothing, and takes some seconds::

    python examples/board_digits.py
    python examples/board_digits.py --core M4
"""

import argparse
import tempfile
from pathlib import Path

from board.emulated import CORES, build, learn, why_no_board

from spikebp_plugins import Simulator, SpikingMLP, load_dataset
from spikebp_plugins.embedded import from_state_bytes, to_c

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--core", choices=CORES, default="M3", help="the processor")
parser.add_argument("--samples", type=int, default=700, help="digits for the board, at most 1437")
options = parser.parse_args()
if (missing := why_no_board()) is not None:
    parser.exit(1, f"{missing}\n")

data = load_dataset("digits", raw=True)  # pixels of 8 bits, which input_scale maps to 0 to 1
n_before = len(data.x_train) - options.samples
x, y = data.x_train[n_before:], data.y_train[n_before:]

net = SpikingMLP(
    (64, 40, 10),
    n_steps=5,
    learning_rate=400 / 2**14,
    fraction_bits=14,
    weight_init="he",
    input_scale=data.input_scale,
    label_targets=(1, 5),
)


def test_error(simulator):
    wrong = simulator.predict(data.x_test).argmax(axis=1) != data.y_test
    return f"test error {100 * wrong.mean():.1f} %"


sim = Simulator(net)
sim.train(data.x_train[:n_before], data.y_train[:n_before])
checkpoint = sim.checkpoint()
print(f"{n_before} digits learned on this computer: {test_error(sim)}")

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    to_c(checkpoint).save(folder)
    program = build(folder, CORES[options.core], folder / "learn.elf")
    print(f"program for the {program.core.name}: {program.flash:,} bytes that stay, ", end="")
    print(f"{program.ram:,} bytes of memory, of them {program.stack:,} for the stack")
    learned = learn(program, folder, x, y)

after = from_state_bytes(learned.state, checkpoint)
print(
    f"{learned.samples} digits learned on the board, {learned.wrong} of them wrong before", end=""
)
print(f": {test_error(Simulator.from_checkpoint(after))}")
print(f"instructions: {learned.to_predict:,.0f} to predict a digit, ", end="")
print(f"{learned.to_learn:,.0f} to learn it; {learned.stack_used} bytes of stack used")

sim.train(x, y)
same = all((a == b).all() for a, b in zip(after.state.weights, sim.weights, strict=True))
print(f"this computer would have learned {'the same weights' if same else 'OTHER WEIGHTS'}")
