"""Random networks and samples for the core, each by its number."""

import shutil

import numpy as np
import pytest
from numpy.random import RandomState

from spikebp_fpga.layout import LANES, why_not_in_hardware
from spikebp_plugins import Simulator, SpikingMLP

#: Few, so that few simulations are compiled.
WEIGHT_BITS = (16, 24, 32)


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
            fields["learning_rate"] = float(random.choice([0.01, 0.1, 0.5, 2.0]))
            fields["bounded"] = bool(random.randint(2))
            fields["fraction_bits"] = int(random.choice([12, 14, 20]))
        if random.randint(3) == 0:
            fields["input_coding"] = "spikes"
        try:
            net = SpikingMLP(sizes, **fields)
        except ValueError:  # of a rate that this grid does not have
            continue
        options = {
            "lanes": int(random.choice(LANES)),
            "weight_bits": int(random.choice(WEIGHT_BITS)),
        }
        if why_not_in_hardware(net, options["weight_bits"]) is None:
            break
    scale = random.choice([0.2, 0.6, 2.0]) / random.choice([1, 4])
    return net, [random.standard_normal(shape) * scale for shape in net.weight_shapes], options


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
            y = y * random.choice([1, 1, 1, 1e4])
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


def tools(*names):
    """Return a mark for tests that need commands, which are skipped without them."""
    missing = [name for name in names if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not on the PATH: {', '.join(missing)}")
