"""Random definitions, weights, inputs and targets for property tests."""

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st

from spikebp_plugins import AveragePool2D, Conv2D, Dense, Sparse, SpikingMLP, SpikingNetwork
from tests.core.experiment import Experiment

RATES = (0.01, 0.1, 0.5, 2.0, 1e-4)
UPDATES = ("fractional", "outer", "normalized")


@st.composite
def definitions(
    draw,
    max_depth=6,
    max_width=12,
    max_steps=12,
    rates=RATES,
    sizes=None,
    wide=(),
    updates=UPDATES,
    ablations=False,
    **fixed,
):
    """Any definition; `sizes` and `fixed` fix its layer sizes and further fields.

    `wide` are numbers of units that layers may have besides small ones. With `ablations` it may
    have the parts that the reference runs alone.
    """
    if sizes is None:
        depth = draw(st.integers(1, max_depth))
        width = st.integers(1, max_width) | (st.sampled_from(wide) if wide else st.nothing())
        sizes = draw(st.lists(width, min_size=depth + 1, max_size=depth + 1))
    n_steps = draw(st.integers(1, max_steps))
    learning_rate = draw(st.sampled_from(rates))
    # A given grid may be too coarse for the rate; None always finds one here.
    grids = [None] + [f for f in (17, 24, 33, 40) if learning_rate / n_steps**2 > 2.0**-f]
    update = fixed.get("update", draw(st.sampled_from(updates)))
    if update == "normalized" and fixed.get("arithmetic", "fixed") != "fixed":
        update = "outer"
    if update == "normalized":
        grids = [None, 17, 33]  # whose rate the steps do not divide
    drawn = {
        "timing": draw(st.sampled_from(["immediate", "immediate", "pipelined"])),
        "input_coding": draw(st.sampled_from(["values", "values", "spikes"])),
        "spikes_per_unit": draw(st.sampled_from([1, 1, 2, 8])),
        "input_scale": draw(st.sampled_from([1.0, 1 / 255, 3.7])),
        "update": update,
        "spikes": draw(st.sampled_from(["graded", "binary"])),
        "fraction_bits": draw(st.sampled_from(grids)),
        "backward_init": draw(st.sampled_from(["carry", "zero"] + ["uniform"] * ablations)),
        "feedback": draw(st.sampled_from(["transpose", "random"])),
        "label_targets": draw(st.sampled_from([(0, 1), (0, 1), (1, 5), (-0.3, 2.7)])),
        "seed": draw(st.integers(0, 2**20)),
    }
    if ablations and update != "normalized":
        drawn["presynaptic"] = draw(st.sampled_from(["counts", "drive"]))
    if (fixed | drawn).get("presynaptic") != "drive":
        drawn["bounded"] = update == "normalized" or draw(st.sampled_from([0, 0, 0, 1])) == 1
    return SpikingMLP.paper(sizes, n_steps=n_steps, learning_rate=learning_rate, **(drawn | fixed))


@st.composite
def chip_definitions(draw, timing=("immediate", "pipelined"), **limits):
    """Definitions with the numbers of a chip; many of them with states that saturate."""
    net = draw(
        definitions(
            **limits,
            rates=(0.05, 0.5),
            timing=draw(st.sampled_from(timing)),
            update="fractional",
            bounded=False,
            fraction_bits=None,
        )
    )
    bits = draw(st.sampled_from([4, 12, 16]))
    exponent = draw(st.sampled_from([-8, -3, -1]))
    return net.replace(
        arithmetic="loihi2", fraction_bits=bits, weight_exponent=max(exponent, -bits)
    )


@st.composite
def networks(draw, nets=definitions, max_depth=4, max_side=7, max_width=8, wide=(), **limits):
    """Definitions with connections of all kinds; their other fields are those that `nets` draws.

    `wide` are numbers of channels and units that layers may have besides small ones.
    """
    fields = draw(nets(**limits, max_depth=1)).field_values()
    del fields["layer_sizes"]
    side = st.integers(1, max_side)
    rank = draw(st.integers(1, 3))
    shape = tuple(draw(st.tuples(side, side, st.integers(1, 3))))[:rank]
    below, layers = shape, []
    for _ in range(draw(st.integers(1, max_depth))):
        layer = draw(layers_above(below, max_width, wide))
        layers.append(layer)
        below = SpikingNetwork.paper(shape, layers).layer_shapes[-1]
    layout = draw(st.sampled_from(["channels_last", "channels_first"]))
    weight_init = draw(st.sampled_from([None, "paper", "he", "quiet"]))
    fields |= {"input_layout": layout, "weight_init": weight_init}
    try:
        return SpikingNetwork.paper(shape, layers, **fields)
    except ValueError as error:
        if "constant weight" not in str(error):  # that weights of few bits do not hold
            raise
        reject()


@st.composite
def layers_above(draw, below, max_width, wide):
    """A layer of any kind that fits one of the shape `below`."""
    kinds = ["Dense", "Sparse"]
    if len(below) > 1:
        kinds = ["Conv2D", "Conv2D", "AveragePool2D", *kinds]
    kind = draw(st.sampled_from(kinds))
    others = st.sampled_from(wide) if wide else st.nothing()
    width = draw(st.integers(1, max_width) | others)
    if kind == "Dense":
        return Dense(width)
    if kind == "AveragePool2D":
        return AveragePool2D(draw(st.integers(1, min(3, *below[:2]))))
    if kind == "Conv2D":
        padding = draw(st.integers(0, 2))
        size = draw(st.integers(1, min(4, *(n + 2 * padding for n in below[:2]))))
        channels = draw(st.integers(1, 4) | others)
        return Conv2D(channels, size, draw(st.integers(1, 3)), padding)
    if draw(st.booleans()):
        return Sparse(width, draw(st.sampled_from([0.01, 0.3, 0.5, 1.0])))
    units = st.integers(0, int(np.prod(below)) - 1)
    pairs = st.tuples(units, st.integers(0, width - 1))
    return Sparse(width, pairs=draw(st.lists(pairs, min_size=1, max_size=12, unique=True)))


@st.composite
def any_network(draw, kinds=(definitions, networks, chip_definitions), **limits):
    """A definition of any of some kinds."""
    return draw(draw(st.sampled_from(kinds))(**limits))


def random_weights(net, random, scale):
    return [random.standard_normal(shape) * scale for shape in net.weight_shapes]


@st.composite
def experiments(draw, magnitudes=(1.0,), scales=(0.05, 0.5, 1.5), **limits):
    """A definition with weights, training samples, targets and test samples."""
    net = draw(limits.pop("nets", definitions)(**limits))
    random = np.random.RandomState(draw(st.integers(0, 2**31)))
    weights = random_weights(net, random, draw(st.sampled_from(scales)))
    n = draw(st.integers(1, 4))
    magnitude = draw(st.sampled_from(magnitudes))
    x, x_test = (inputs(net, random, n, magnitude, draw(st.booleans())) for _ in range(2))
    kind = draw(st.sampled_from(["labels", "constant", "changing"]))
    return Experiment(net, weights, x, targets(net, random, n, kind, magnitude), x_test)


def inputs(net, random, n, magnitude, changing):
    timed = (n, net.n_steps, net.n_inputs)
    if net.input_coding == "spikes":
        most = max(2, int(min(2 * magnitude, 2**61)))
        if net.arithmetic == "loihi2":
            most = min(most, 127)
        if net.spikes == "binary":
            most = 1
        return random.randint(-most, most + 1, timed, dtype=np.int64)
    shape = timed if changing else (n, net.n_inputs)
    x = random.uniform(-1.5, 2.5, shape) * magnitude / net.input_factor
    return np.where(random.uniform(size=shape) < 0.3, 0.0, x)


def targets(net, random, n, kind, magnitude):
    if kind == "labels":
        return random.randint(0, net.n_outputs, n)
    shape = (n, net.n_outputs) if kind == "constant" else (n, net.n_steps, net.n_outputs)
    return random.uniform(-1.5, 2.5, shape) * magnitude
