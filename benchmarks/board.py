"""Instructions that learning takes on an emulated microcontroller, compared with other networks.

All have the same layers. They learn the same samples in the same order on this machine first; then
a board predicts the next ones, and learns from each::

    python benchmarks/board.py                          # Cortex-M3 and M4
    python benchmarks/board.py --fann libfann-2.2.0+ds  # and FANN: `apt-get source libfann`
    python benchmarks/board.py --core M4 --samples 200 --json

The spiking network is shown a sample for one step, or for four. The rectified network, which is in
``relu_board``, begins with the same weights of 16 bits on the same grid. Both are C without
floating point. FANN, a library in C that ``fann_board`` calls, learns in single precision: the M3
computes it in software, the M4 in its unit for floating point.

Instructions are counted, so that nothing depends on this machine. What the tools are, and how the
counting works, is in ``examples/board/emulated.py``.
"""

import argparse
import ctypes
import json
import math
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measuring import data_for_benchmark, hidden_sizes, network

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.embedded import to_c, to_state_bytes
from spikebp_plugins.embedded.toolchain import compiled_library

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples" / "board"))
from emulated import CORES, build, learn, why_no_board  # noqa: E402

FRACTION_BITS = 14

#: What a spiking network of so many steps has, chosen on the last 10,000 training images of MNIST.
SETTINGS = {
    1: {"spikes_per_unit": 4, "label_targets": (4, 40), "learning_rate": 2**-14},
    4: {"spikes_per_unit": 1, "label_targets": (1, 10), "learning_rate": 2**-9},
}


class SpikingInC:
    """The spiking network, exported after the first samples."""

    #: Whether a board ends with the weights of this machine.
    is_exact = True

    def __init__(self, net):
        self.name = f"spikebp, T = {net.n_steps}"
        self.sim = Simulator(net)

    def build(self, folder, core):
        # Samples of a shuffled set share too little for what changed to be worth a look.
        to_c(self.sim.checkpoint(), 16, incremental=False).save(folder)
        return build(folder, core, folder / "learn.elf")

    @property
    def state(self):
        return to_state_bytes(self.sim.checkpoint(), 16)

    def train(self, x, y):
        self.sim.train(x, y)

    def predict(self, x):
        return self.sim.predict(x).argmax(axis=1)


class LibraryInC:
    """A network in C: on this machine it is the same C, as a library."""

    is_exact = True

    def __init__(self, net, sources, sizes, state):
        names = ("INPUTS", "HIDDEN_1", "HIDDEN_2", "OUTPUTS")
        sizes = dict(zip(names, net.layer_sizes, strict=True)) | sizes
        self.sources = {path.name: path.read_text("utf-8") for path in sources}
        self.sources["sizes.h"] = "".join(f"#define {name} {n}\n" for name, n in sizes.items())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "library")
            path.write_bytes(compiled_library(self.sources, "net.c"))
            self.library = ctypes.CDLL(str(path))
        self.size = len(state)
        self.library.net_read_state(0, state, self.size)

    def build(self, folder, core, options=()):
        for name, text in self.sources.items():
            (folder / name).write_text(text, "utf-8")
        return build(folder, core, folder / "learn.elf", options=options)

    @property
    def state(self):
        state = ctypes.create_string_buffer(self.size)
        self.library.net_write_state(0, state, self.size)
        return state.raw

    def train(self, x, y):
        for image, label in zip(np.ascontiguousarray(x), y, strict=True):
            self.library.net_learn_pixels(ctypes.c_void_p(image.ctypes.data), int(label))

    def predict(self, x):
        classes = np.empty(len(x), int)
        for i, image in enumerate(np.ascontiguousarray(x)):
            self.library.net_predict_pixels(ctypes.c_void_p(image.ctypes.data))
            classes[i] = self.library.net_class()
        return classes


class RectifiedInC(LibraryInC):
    """The rectified network."""

    name = "ReLU, zeros skipped"

    def __init__(self, net):
        # Pixels are brought near to 256 by a shift: scales are 1/255 and 1/16.
        sizes = {"PIXEL_SHIFT": round(math.log2(256 * net.input_scale))}
        units = [np.round(np.ldexp(w, FRACTION_BITS)) for w in net.init_weights()]
        state = np.concatenate([w.ravel() for w in units]).astype("<i2").tobytes()
        super().__init__(net, (HERE / "relu_board").glob("net.?"), sizes, state)


class FannInC(LibraryInC):
    """A network of FANN, whose source is in a folder."""

    name = "FANN, single precision"
    #: A logarithm of the board's library may have other last bits than one of this machine's.
    is_exact = False

    def __init__(self, folder, net):
        places = (HERE / "fann_board", folder / "src", folder / "src" / "include")
        sources = (path for place in places for path in place.glob("*.[ch]"))
        # FANN keeps the weights of each unit together, its bias behind them.
        weights = net.replace(weight_init="he").init_weights()
        units = [np.pad(w, ((0, 1), (0, 0))).T.ravel() for w in weights]
        state = np.concatenate(units).astype("<f4").tobytes()
        super().__init__(net, sources, {"PIXEL_SCALE": f"{net.input_scale!r}f"}, state)

    def build(self, folder, core):
        # It has a heap, names files, and takes more memory than other programs may use. What it
        # does not call is left out.
        library = ("--specs=nano.specs", "--specs=nosys.specs", "-lm", "-Wl,--no-fatal-warnings")
        options = (str(HERE / "fann_board" / "heap.c"), *library, "-Wl,--defsym=ram_size=0x400000")
        options += ("-ffunction-sections", "-Wl,--gc-sections")
        floats = "hard" if core is CORES["M4"] else "soft"
        return super().build(folder, core._replace(floats=floats), options)


def measure(data, kind, net, options):
    """Return a row of a kind of network for each core."""
    end = options.before + options.samples
    now = slice(options.before, end)
    x, y = data.x_train[now], data.y_train[now]
    competitor, rows = kind(net), []
    competitor.train(data.x_train[: options.before], data.y_train[: options.before])
    state, learned = competitor.state, []
    with tempfile.TemporaryDirectory() as name:
        for core in options.core:
            program = competitor.build(Path(name), CORES[core])
            learned.append((core, program, learn(program, Path(name), x, y, state)))
    competitor.train(x, y)
    others = [kind(net.replace(seed=seed)) for seed in range(1, options.seeds)]
    for other in others:
        other.train(data.x_train[:end], data.y_train[:end])
    wrong = [each.predict(data.x_test) != data.y_test for each in (competitor, *others)]
    for core, program, result in learned:
        # What has been measured is what the host learns, too.
        assert not competitor.is_exact or result.state == competitor.state, competitor.name
        assert result.undone == 0, competitor.name
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
                "test_error": 100 * float(np.mean(wrong)),
            }
        )
    return rows


def compared(rows):
    """Return rows by core, each with how often it takes what the first of its core takes."""
    rows = sorted(rows, key=lambda row: row["core"])
    first = {row["core"]: row for row in reversed(rows)}
    for row in rows:
        for doing in ("predict", "learn"):
            key = f"instructions_to_{doing}"
            row[f"times_first_to_{doing}"] = row[key] / first[row["core"]][key]
    return rows


def print_results(result):
    sizes = "-".join(map(str, result["layers"]))
    print(f"{result['dataset']}, {sizes}: {result['samples']} samples on a board, ", end="")
    print(f"after {result['before']} on the host\n")
    print("| | code, bytes | RAM, bytes | stack used | to predict | times T = 1 ", end="")
    print("| to learn | times T = 1 | error on the board, % | test error, % |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in result["rows"]:
        print(
            f"| {row['core']}, {row['competitor']} | {row['code']:,} | {row['ram']:,} "
            f"| {row['stack_used']} | {row['instructions_to_predict']:,.0f} "
            f"| {row['times_first_to_predict']:.2f} | {row['instructions_to_learn']:,.0f} "
            f"| {row['times_first_to_learn']:.2f} | {row['error']:.1f} "
            f"| {row['test_error']:.2f} |"
        )
    print(
        "\nRAM has the weights and what the stack may use. Instructions are those of a sample. The "
        "error on the board is that of samples before they were learned, the test error that after "
        f"them, in the mean of {result['seeds']} seeds."
    )
    for sentence in result["left_out"]:
        print(f"\n{sentence}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", default="100,50", help="sizes of two hidden layers")
    parser.add_argument("--before", type=int, default=59_000, help="samples learned on the host")
    parser.add_argument("--samples", type=int, default=1000, help="samples learned on the board")
    parser.add_argument("--seeds", type=int, default=3, help="networks, for the test error alone")
    parser.add_argument("--fann", type=Path, help="where the source of FANN 2.2.0 is")
    parser.add_argument("--core", choices=CORES, action="append", help="by default both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (missing := why_no_board()) is not None:
        parser.exit(1, f"{missing}\n")
    if options.fann is not None and not (options.fann / "src" / "floatfann.c").is_file():
        parser.error(f"--fann must be a folder with src/floatfann.c; got {options.fann}")
    data = data_for_benchmark()
    options.core = options.core or list(CORES)
    options.before = min(options.before, len(data.x_train) - options.samples)
    nets = {
        n_steps: network(
            data,
            hidden_sizes(options.layers),
            SpikingMLP.paper,
            n_steps=n_steps,
            fraction_bits=FRACTION_BITS,
            weight_init="quiet",
            **settings,
        )
        for n_steps, settings in SETTINGS.items()
    }
    net = nets[1]
    kinds = [*((SpikingInC, each) for each in nets.values()), (RectifiedInC, net)]
    left_out = []
    if options.fann is None:
        left_out.append(
            "FANN is left out: on Debian and Ubuntu `apt-get source libfann` brings its source, "
            "with dpkg-dev and deb-src among the sources of packages; --fann takes its folder."
        )
    else:
        kinds.append((partial(FannInC, options.fann), net))
    result = {
        "dataset": data.name,
        "layers": net.layer_sizes,
        "before": options.before,
        "samples": options.samples,
        "seeds": options.seeds,
        "rows": compared([row for kind in kinds for row in measure(data, *kind, options)]),
        "left_out": left_out,
    }
    print(json.dumps(result)) if options.json else print_results(result)


if __name__ == "__main__":
    main()
