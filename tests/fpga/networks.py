"""Random networks and samples for the core, each by its number."""

import shutil

import numpy as np
import pytest
from numpy.random import RandomState

from spikebp_fpga.clocks import clocks_of
from spikebp_fpga.layout import Layout, why_not_in_hardware
from spikebp_fpga.tokens import CLOSE, DROP, SPIKE, STEP, TARGET
from spikebp_fpga.verilated import VerilatedCore
from spikebp_plugins import Simulator, SpikingMLP

#: Weights a clock, and bits of each: few pairs, so that few simulations are compiled.
LANES_AND_BITS = ((1, 16), (2, 32), (4, 24), (8, 16), (8, 24), (16, 32))


def random_network(number):
    """Return a network that the core runs, its weights, and the options of the back end."""
    random = RandomState(number)
    while True:
        n_layers = random.randint(1, 5)
        sizes = [int(n) for n in random.randint(1, random.choice([4, 12, 40]), n_layers + 1)]
        sizes[-1] = max(2, sizes[-1])
        update = str(random.choice(["normalized", "fractional", "outer"]))
        fields = {
            "n_steps": int(random.choice([1, 2, 3, 5, 8])),
            "update": update,
            "seed": number,
            "backward_init": str(random.choice(["carry", "zero"])),
            "spikes_per_unit": int(random.choice([1, 2, 4])),
            "label_targets": (
                float(random.choice([-1, 0, 0.25, 2])),
                float(random.choice([3, 8.5, 30])),
            ),
            "learning_rate": float(random.choice([0.25, 1.0, 3.0])),
        }
        if update != "normalized":
            fields["learning_rate"] = float(random.choice([0.002, 0.1, 0.5, 2.0]))
            fields["bounded"] = bool(random.randint(2))
            fields["fraction_bits"] = int(random.choice([12, 14, 20]))
        if random.randint(3) == 0:
            fields["input_coding"] = "spikes"
        try:
            net = SpikingMLP(sizes, **fields)
        except ValueError:  # of a rate that this grid does not have
            continue
        lanes, weight_bits = LANES_AND_BITS[random.randint(len(LANES_AND_BITS))]
        if why_not_in_hardware(net, weight_bits) is None:
            break
    scale = random.choice([0.2, 0.6, 2.0]) / random.choice([1, 4])
    weights = [random.standard_normal(shape) * scale for shape in net.weight_shapes]
    return net, weights, {"lanes": lanes, "weight_bits": weight_bits}


def random_calls(net, number):
    """Yield calls with samples, silent ones and far too large ones among them."""
    random = RandomState(number)
    magnitude = random.choice([1, 1, 5, 50, 3000])
    for _ in range(random.randint(2, 6)):
        n, learns = random.randint(1, 6), random.randint(4) > 0
        n_steps = net.n_steps if learns else int(random.randint(1, 2 * net.n_steps + 1))
        by_step = net.input_coding == "spikes" or random.randint(2)
        shape = (n, n_steps, net.n_inputs) if by_step else (n, net.n_inputs)
        x = random.uniform(-1, 2, shape) * magnitude
        x = x * (random.uniform(size=shape) < random.choice([0.0, 0.3, 0.9]))
        if net.input_coding == "spikes":
            x = np.round(2 * x).astype(int)
        if not learns:
            yield "predict", (x,), {"n_steps": n_steps}
            continue
        kind = random.randint(3)
        if kind == 0:
            y = random.randint(0, net.n_outputs, n)
        else:
            y = random.uniform(
                -3, 9, (n, net.n_outputs) if kind == 1 else (n, n_steps, net.n_outputs)
            )
            y = y * random.choice([1, 1, 1, 30, 1e4])
        yield "train", (x, y), {}


def called(simulator, name, arguments, options):
    """Return the trace of a call, or its error."""
    try:
        return getattr(simulator, name)(*arguments, record=True, **options)
    except OverflowError as error:
        return str(error)


def first_difference(number, **given):
    """Return where the core and the engine differ in a random network, or None."""
    net, weights, options = random_network(number)
    if given and why_not_in_hardware(net, given["weight_bits"]):
        return None
    options |= given
    with (
        Simulator(net, "fpga", weights, **options) as core,
        Simulator(net, "compiled", weights) as engine,
    ):
        for name, arguments, kinds in random_calls(net, number):
            of_core = called(core, name, arguments, kinds)
            of_engine = called(engine, name, arguments, kinds)
            if isinstance(of_core, str) or isinstance(of_engine, str):
                if of_core != of_engine:
                    return of_core, of_engine
            elif (difference := of_core.diff(of_engine)) is not None:
                return difference
            if core.checkpoint().state != engine.checkpoint().state:
                return f"state after {name}"
            if core.operations != engine.operations:
                return f"operations of {name}"
    return None


class Device:
    """A core that takes any tokens."""

    def __init__(self, net, state, lanes=4):
        self.core = VerilatedCore(Layout.of(net, lanes, 24, simulated=True))
        self.core.read_state(state)
        self.before = state

    def give(self, *tokens):
        """Give it tokens, and return whether the sample that was closed last has fitted."""
        return [self.core.show_tokens(np.array([token], np.int64)) for token in tokens][-1]

    @property
    def state(self):
        return self.core.write_state(self.before, 0)


def stream_difference(seed):
    """Return where a stream differs from that of the reference, or None.

    It has steps with and without a target, more than n_steps in a sample, units that spike more
    than once in a step, and samples that are closed or dropped.
    """
    random = RandomState(seed)
    update = ("normalized", "fractional", "outer")[seed % 3]
    # Large spikes, so that counts are cut off where limits grow with the stream.
    magnitude = 20 if update == "normalized" and seed % 2 else 1
    rate = {"normalized": 1.0}.get(update, 0.01)
    fields = {"update": update, "learning_rate": rate, "seed": seed, "fraction_bits": 20}
    net = SpikingMLP((9, 7, 6, 3), n_steps=4, input_coding="spikes", **fields)
    weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
    with Simulator(net, "reference", weights) as reference:
        device = Device(net, reference.checkpoint().state)
        stream = reference.stream()
        for sample in range(8):
            n_taught = 0
            for _ in range(random.randint(1, 12)):
                k = random.randint(-magnitude, magnitude + 1, 9) * (random.uniform(size=9) < 0.5)
                taught = bool(random.randint(2))
                n_taught += taught
                y = random.uniform(-2, 6, 3) * magnitude if taught else None
                spikes = [(SPIKE, i, k[i]) for i in np.flatnonzero(k)]
                # A unit may be sent several tokens in a step, and they may cancel.
                spikes += [(SPIKE, 4, 1), (SPIKE, 4, 2), (SPIKE, 4, -3)]
                random.shuffle(spikes)
                units = [] if y is None else np.rint(y * 2**net.fraction_bits).astype(int)
                targets = [(TARGET, j, unit) for j, unit in enumerate(units)]
                device.give(*targets, *spikes, (STEP, 0, int(y is not None)))
                stream.show(k, target=y)
                if n_taught == net.n_steps and update == "fractional":
                    break  # it is over: the core can undo no more updates
            if random.randint(3):
                fits = device.give((CLOSE, 0, 0))
                stream.close_sample()
            else:
                fits = not device.give((DROP, 0, 0))
                stream.drop_sample()
            learned, now = device.state, reference.checkpoint().state
            if not fits or learned.weights != now.weights:
                return f"weights after sample {sample}, which fits: {fits}"
            if learned.backward_potentials != now.backward_potentials:
                return f"backward potentials after sample {sample}"
    return None


#: Just below the largest weight of 24 bits with 20 of fraction.
LARGE = 7.9
#: Samples in which a number does not fit, by which: spikes, weights of each layer, targets, fields.
TOO_LARGE = {
    "counts of the input": ((1000, 0, 0), (0.0, 0.6), 9.0, {"n_steps": 4}),
    "all spikes of a step": ((1000,) * 20, (0.0, 0.0), 1.0, {}),
    # 40 bits of it are so few that they would seem to fit.
    "a sum that would wrap": ((1000,) * 133, (8267051 / 2**20, 0.0), 1.0, {}),
    "a potential": ((1000, 1000, 1000), (-LARGE, 0.0), 1.0, {"n_steps": 8}),
    "spikes of hidden units": ((300, 0, 0), (LARGE, 0.0), 1.0, {}),
    "spikes of the output": ((20, 0, 0), (LARGE, LARGE), 1.0, {}),
    "summed errors of the output": ((1, 0, 0), (0.0, 0.0), 900.0, {"n_steps": 4}),
    "spikes of a target": ((1, 0, 0), (0.0, 0.0), 1e5, {}),
    "errors of hidden units": ((1, 0, 0), (0.5, LARGE), -400.0, {}),
    "a weight": ((9, 9, 9), (0.5, LARGE), 900.0, {"update": "fractional", "learning_rate": 0.1}),
    "a factor": (
        *((500, 0, 0), (0.01, 0.1), 9.0),
        {"update": "fractional", "learning_rate": 0.25},
    ),
}
#: A sample from which W_1 just still learns: r times its squared counts is the limit of a gain.
AT_THE_LIMIT = {
    "a gain": (
        *((2, 2, 2, 2, 2), (0.0, 0.3), 2.0),
        {"update": "outer", "learning_rate": 0.0625, "bounded": True},
    ),
}


def difference_after(name):
    """Return where samples differ, of which one is at or above a limit, or None."""
    k, weights, y, fields = (TOO_LARGE | AT_THE_LIMIT)[name]
    fields = {"n_steps": 2, "fraction_bits": 20, "input_coding": "spikes"} | fields
    net = SpikingMLP((len(k), 4, 2), **fields)
    random = RandomState(1)
    samples = random.randint(0, 3, (11, net.n_steps, len(k)))
    targets = random.uniform(0, 4, (11, net.n_steps, 2))
    samples[5], targets[5] = k, y
    start = [np.full(shape, w) for shape, w in zip(net.weight_shapes, weights, strict=True)]
    with (
        Simulator(net, "fpga", start, lanes=4, weight_bits=24) as core,
        Simulator(net, "reference", start) as reference,
    ):
        for i in range(len(samples)):
            calls = [
                called(each, "train", (samples[i : i + 1], targets[i : i + 1]), {})
                for each in (core, reference)
            ]
            if calls[0] != calls[1] or core.checkpoint().state != reference.checkpoint().state:
                return f"sample {i}"
    return None


def clock_differences(number, **given):
    """Yield for each sample of a random network how its clocks differ from the formula, or None."""
    net, weights, options = random_network(number)
    if given and why_not_in_hardware(net, given["weight_bits"]):
        return
    with Simulator(net, "fpga", weights, **options | given) as core:
        layout = core._engine.layout
        for name, (x, *y), kinds in random_calls(net, number):
            for i in range(len(x)):
                before = core.work.clocks
                targets = [each[i : i + 1] for each in y]
                trace = called(core, name, (x[i : i + 1], *targets), kinds)
                taken = core.work.clocks - before
                if not taken:  # it was refused
                    continue
                spikes = [layer[0] for layer in trace.spikes]
                errors = y and [None, *(layer[0] for layer in trace.errors[1:])]
                rows = y[0].shape[1] if y and y[0].ndim == 3 else 1
                expected = clocks_of(layout, spikes, errors or None, rows)
                yield None if taken == expected.total() else (taken, expected)


def tools(*names):
    """Return a mark for tests that need commands, which are skipped without them."""
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not on the PATH: {', '.join(missing)}")
