"""Instructions that learning takes on an emulated microcontroller, beside a rectified network.

Both networks have the same layers, weights of 16 bits on the same grid, and the same initial
weights, and both are C without floating point, compiled by the same compiler. They learn the same
samples on this machine first; then a board predicts the next ones, and learns from each::

    python benchmarks/board.py                          # Cortex-M3 and M4
    python benchmarks/board.py --core M4 --samples 200 --json

Instructions are counted, so that nothing depends on this machine. What the tools are, and how the
counting works, is in ``examples/board/emulated.py``; the rectified network is in ``relu_board``.
"""

import argparse
import ctypes
import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from measuring import data_for_benchmark, hidden_sizes, network

from spikebp_plugins import Simulator
from spikebp_plugins.embedded import to_c, to_state_bytes
from spikebp_plugins.embedded.toolchain import compiled_library

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "board"))
from emulated import CORES, build, learn, why_no_board  # noqa: E402

FRACTION_BITS = 14


class SpikingInC:
    """The spiking network, exported after the first samples."""

    name = "spikebp"

    def __init__(self, net, x, y):
        self.sim = Simulator(net)
        self.sim.train(x, y)

    def save(self, folder):
        to_c(self.sim.checkpoint()).save(folder)

    @property
    def state(self):
        return to_state_bytes(self.sim.checkpoint())

    def train(self, x, y):
        self.sim.train(x, y)


class RectifiedInC:
    """The rectified network: on this machine it is the same C, as a library."""

    name = "ReLU, zeros skipped"

    def __init__(self, net, x, y):
        names = [path.name for path in (HERE / "relu_board").glob("net.?")]
        self.sources = {name: (HERE / "relu_board" / name).read_text("utf-8") for name in names}
        sizes = dict(
            zip(("INPUTS", "HIDDEN_1", "HIDDEN_2", "OUTPUTS"), net.layer_sizes, strict=True)
        )
        # Pixels are brought near to 256 by a shift: scales are 1/255 and 1/16.
        sizes["PIXEL_SHIFT"] = round(math.log2(256 * net.input_scale))
        self.sources["sizes.h"] = "".join(f"#define {name} {n}\n" for name, n in sizes.items())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "library")
            path.write_bytes(compiled_library(self.sources, "net.c"))
            self.library = ctypes.CDLL(str(path))
        units = [np.round(np.ldexp(w, FRACTION_BITS)) for w in net.init_weights()]
        state = np.concatenate([w.ravel() for w in units]).astype("<i2").tobytes()
        self.size = len(state)
        self.library.net_read_state(0, state, self.size)
        self.train(x, y)

    def save(self, folder):
        for name, text in self.sources.items():
            (folder / name).write_text(text, "utf-8")

    @property
    def state(self):
        state = ctypes.create_string_buffer(self.size)
        self.library.net_write_state(0, state, self.size)
        return state.raw

    def train(self, x, y):
        for image, label in zip(np.ascontiguousarray(x), y, strict=True):
            self.library.net_learn_pixels(ctypes.c_void_p(image.ctypes.data), int(label))


def measure(data, net, before, samples, cores):
    """Return a row for each network on each core."""
    now = slice(before, before + samples)
    x, y = data.x_train[now], data.y_train[now]
    rows = []
    for kind in (SpikingInC, RectifiedInC):
        competitor = kind(net, data.x_train[:before], data.y_train[:before])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            competitor.save(folder)
            state, learned = competitor.state, []
            for core in cores:
                program = build(folder, CORES[core], folder / "learn.elf")
                learned.append((core, program, learn(program, folder, x, y, state)))
        competitor.train(x, y)
        for core, program, result in learned:
            # What has been measured is what the host learns, too.
            assert result.state == competitor.state, f"{competitor.name} on the {core}"
            rows.append(
                {
                    "core": core,
                    "competitor": competitor.name,
                    "code": program.code,
                    "ram": program.ram,
                    "stack_used": result.stack_used,
                    "instructions_to_predict": result.to_predict,
                    "instructions_to_learn": result.to_learn,
                    "error": 100 * result.wrong / result.samples,
                }
            )
    own = {row["core"]: row for row in rows if row["competitor"] == SpikingInC.name}
    for row in rows:
        for doing in ("predict", "learn"):
            key = f"instructions_to_{doing}"
            row[f"own_over_this_to_{doing}"] = own[row["core"]][key] / row[key]
    return sorted(rows, key=lambda row: row["core"])


def print_results(result):
    sizes = "-".join(map(str, result["layers"]))
    print(f"{result['dataset']}, {sizes}, T = {result['n_steps']}: ", end="")
    print(f"{result['samples']} samples on a board, after {result['before']} on the host\n")
    print("| | code, bytes | RAM, bytes | stack used | to predict | spikebp / this ", end="")
    print("| to learn | spikebp / this | error, % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in result["rows"]:
        print(
            f"| {row['core']}, {row['competitor']} | {row['code']:,} | {row['ram']:,} "
            f"| {row['stack_used']} | {row['instructions_to_predict']:,.0f} "
            f"| {row['own_over_this_to_predict']:.2f} | {row['instructions_to_learn']:,.0f} "
            f"| {row['own_over_this_to_learn']:.2f} | {row['error']:.1f} |"
        )
    print(
        "\nRAM has the weights and what the stack may use. Instructions are those of a sample; the "
        "error is that of samples before they were learned."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="100,50", help="sizes of two hidden layers")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--before", type=int, default=20_000, help="samples learned on the host")
    parser.add_argument("--samples", type=int, default=1000, help="samples learned on the board")
    parser.add_argument("--core", choices=CORES, action="append", help="by default both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (missing := why_no_board()) is not None:
        parser.exit(1, f"{missing}\n")
    data = data_for_benchmark()
    before = min(options.before, len(data.x_train) - options.samples)
    net = network(
        data,
        hidden_sizes(options.layers),
        options.steps,
        learning_rate=100 / 2**FRACTION_BITS,
        fraction_bits=FRACTION_BITS,
        weight_init="he",
        label_targets=(1, 5),
    )
    result = {
        "dataset": data.name,
        "layers": net.layer_sizes,
        "n_steps": net.n_steps,
        "before": before,
        "samples": options.samples,
        "rows": measure(data, net, before, options.samples, options.core or list(CORES)),
    }
    print(json.dumps(result)) if options.json else print_results(result)


if __name__ == "__main__":
    main()
