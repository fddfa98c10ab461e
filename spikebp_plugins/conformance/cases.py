"""The definitions and data that a back end is tried on, each for one feature."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from spikebp_plugins.conformance.case import (
    Case,
    changing_targets,
    changing_values,
    large_targets,
    large_values,
    pixels,
    real_targets,
    silence,
    sixteenths,
    spike_counts,
)
from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense, Sparse
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition


def _net(*layer_sizes: int, **changes: Any) -> Definition:
    return SpikingMLP(layer_sizes, **({"n_steps": 7, "learning_rate": 0.5} | changes))


def _float_case(arithmetic: str, **changes: Any) -> Case:
    # T = 4 and a rate of 2**-8 with dyadic weights and inputs: every float operation is exact,
    # so that equality can be asked for in floating point too.
    name = f"{arithmetic} arithmetic" + "".join(f", {value}" for value in changes.values())
    net = _net(9, 8, 6, 3, n_steps=4, learning_rate=2.0**-4, arithmetic=arithmetic, **changes)
    return Case(name, net, inputs=sixteenths, weight_bits=6)


def _layers(input_shape: tuple[int, ...], *layers: Any, **changes: Any) -> Definition:
    fields = {"n_steps": 5, "learning_rate": 0.05} | changes
    return SpikingNetwork(input_shape, [*layers, Dense(3)], **fields)


_mixture: Final = partial(
    _layers,
    (7, 6, 2),
    Conv2D(4, 3, padding=1),
    AveragePool2D(2),
    Conv2D(5, 2),
    Sparse(6, density=0.4),
)

_pipelined: Final = partial(_net, timing="pipelined")
_chip: Final = partial(_net, arithmetic="loihi2", weight_exponent=-6)

CASES: Final[tuple[Case, ...]] = (
    *(
        Case(f"{words} of weights", _net(*(9, 8, 7, 6, 5, 4)[:depth], 3, seed=depth))
        for depth, words in enumerate(("1 layer", *(f"{n} layers" for n in range(2, 7))), 1)
    ),
    Case("layers of one unit", _net(1, 1, 1, seed=1)),
    Case("one step", _net(9, 8, 3, n_steps=1)),
    Case("many steps", _net(9, 8, 3, n_steps=40)),
    Case("input changing from step to step", _net(9, 8, 3), inputs=changing_values),
    Case("8-bit pixels", _net(9, 8, 3, input_scale=1 / 255), inputs=pixels),
    Case("spike counts as input", _net(9, 8, 3, input_coding="spikes"), inputs=spike_counts),
    Case("no input", _net(9, 8, 3), inputs=silence),
    Case("real targets", _net(9, 8, 3), targets=real_targets),
    Case("targets changing from step to step", _net(9, 8, 3), targets=changing_targets),
    Case(
        "labels that ask of wrong outputs too",
        _net(9, 8, 6, 3, label_targets=(1.0, 5.0), learning_rate=0.1),
    ),
    Case(
        "labels that ask of wrong outputs too, outer update, binary spikes",
        _net(9, 8, 6, 3, label_targets=(0.25, 1.5), update="outer", spikes="binary"),
    ),
    Case(
        "initial weights of he",
        _net(9, 8, 6, 3, weight_init="he", label_targets=(-0.4, 3.3)),
        weight_scale=None,
    ),
    Case("outer update", _net(9, 8, 6, 3, update="outer", learning_rate=0.1)),
    Case(
        "normalized update",
        _net(9, 8, 6, 3, update="normalized", learning_rate=1.0, label_targets=(0.25, 8.0)),
    ),
    Case(
        "normalized update, random feedback, binary spikes, changing input",
        _net(
            9, 8, 6, 3, update="normalized", feedback="random", spikes="binary", learning_rate=3.0
        ),
        inputs=changing_values,
    ),
    Case(
        "normalized update, spike counts as input",
        _net(9, 8, 3, update="normalized", input_coding="spikes", learning_rate=0.7),
        inputs=spike_counts,
        targets=real_targets,
    ),
    Case(
        "pipelined, normalized update",
        _pipelined(9, 8, 7, 3, update="normalized", learning_rate=1.0, seed=4),
        targets=real_targets,
    ),
    Case("smoothed updates", _net(9, 8, 6, 3, presynaptic="drive", learning_rate=0.3)),
    Case(
        "smoothed outer update, binary spikes",
        _net(9, 8, 6, 3, presynaptic="drive", update="outer", spikes="binary"),
        targets=real_targets,
    ),
    Case(
        "smoothed updates, spike counts as input",
        _net(9, 8, 3, presynaptic="drive", input_coding="spikes"),
        inputs=spike_counts,
    ),
    Case("binary spikes", _net(9, 8, 6, 3, spikes="binary"), targets=real_targets),
    Case(
        "binary spikes, outer update, changing input and targets",
        _net(9, 8, 6, 3, spikes="binary", update="outer"),
        inputs=changing_values,
        targets=changing_targets,
    ),
    Case(
        "binary spike counts as input",
        _net(9, 8, 3, spikes="binary", input_coding="spikes"),
        inputs=spike_counts,
    ),
    Case("backward potentials zeroed", _net(9, 8, 6, 3, backward_init="zero")),
    Case("backward potentials drawn", _net(9, 8, 6, 3, backward_init="uniform", seed=5)),
    Case(
        "backward potentials drawn, binary spikes",
        _net(9, 8, 6, 5, 3, backward_init="uniform", spikes="binary"),
        targets=real_targets,
    ),
    Case("random feedback", _net(9, 8, 6, 3, feedback="random")),
    Case("random feedback, outer update", _net(9, 8, 6, 3, feedback="random", update="outer")),
    # At a higher rate the first sample silences the output, and the others teach nothing.
    Case("pipelined timing", _pipelined(9, 8, 6, 3, learning_rate=0.02)),
    Case("pipelined timing, 1 layer of weights", _pipelined(9, 3)),
    Case(
        "pipelined timing, 5 layers of weights, random feedback",
        _pipelined(9, 8, 7, 6, 5, 3, feedback="random", learning_rate=0.1, seed=2),
    ),
    Case(
        "pipelined timing, binary spikes, changing input and targets",
        _pipelined(9, 8, 6, 3, spikes="binary"),
        inputs=changing_values,
        targets=changing_targets,
    ),
    Case(
        "pipelined timing, outer update",
        _pipelined(9, 8, 6, 3, update="outer", learning_rate=0.05, seed=2),
    ),
    Case(
        "pipelined timing, smoothed updates, spike counts as input",
        _pipelined(9, 8, 6, 3, presynaptic="drive", input_coding="spikes", learning_rate=0.05),
        inputs=spike_counts,
    ),
    Case(
        "pipelined timing, backward potentials drawn",
        _pipelined(9, 8, 6, 3, backward_init="uniform", seed=4),
    ),
    Case(
        "pipelined timing, labels that ask of wrong outputs too",
        _pipelined(9, 8, 6, 3, label_targets=(-0.7, 2.3), learning_rate=0.05),
    ),
    Case("numbers of a chip", _chip(9, 8, 6, 3)),
    Case(
        "numbers of a chip, labels that ask of wrong outputs too",
        _chip(9, 8, 6, 3, weight_init="he", label_targets=(1.0, 5.0), learning_rate=0.1),
        weight_scale=None,
    ),
    Case(
        "numbers of a chip, pipelined timing, random feedback",
        _chip(9, 8, 7, 6, 3, timing="pipelined", feedback="random", learning_rate=0.05, seed=3),
    ),
    Case(
        "numbers of a chip, binary spikes, backward potentials drawn",
        _chip(9, 8, 6, 3, spikes="binary", backward_init="uniform", seed=5),
        targets=real_targets,
    ),
    Case(
        "numbers of a chip, saturating",
        _chip(
            *(9, 8, 6, 3),
            timing="pipelined",
            fraction_bits=16,
            weight_exponent=-2,
            learning_rate=0.005,
            seed=6,
        ),
        inputs=large_values,
        targets=large_targets,
        weight_scale=12.0,
    ),
    Case("1 fraction bit", _net(9, 8, 3, n_steps=1, learning_rate=0.5, fraction_bits=1)),
    Case("40 fraction bits", _net(9, 8, 6, 3, learning_rate=0.5, fraction_bits=40)),
    _float_case("float64"),
    _float_case("float32"),
    _float_case("float64", update="outer"),
    _float_case("float64", spikes="binary"),
    _float_case("float64", presynaptic="drive"),
    _float_case("float64", timing="pipelined"),
    Case("convolution", _layers((6, 5), Conv2D(4, 3))),
    Case(
        "convolution, strides, padding, several channels",
        _layers((7, 6, 2), Conv2D(3, 3, stride=2, padding=1), Conv2D(5, 2, stride=3, padding=2)),
    ),
    Case(
        "convolution, channels first, spike counts as input",
        _layers((6, 5, 2), Conv2D(4, 3), input_layout="channels_first", input_coding="spikes"),
        inputs=spike_counts,
    ),
    Case("convolution, 8-bit pixels", _layers((6, 6), Conv2D(4, 3), input_scale=1 / 255), pixels),
    Case(
        "convolution, outer update, binary spikes, changing input",
        _layers((6, 5), Conv2D(4, 3), Conv2D(3, 2), update="outer", spikes="binary"),
        inputs=changing_values,
    ),
    Case(
        "convolution, normalized update",
        _layers((6, 5), Conv2D(4, 3), Conv2D(3, 2), update="normalized", learning_rate=1.0),
        targets=real_targets,
    ),
    Case(
        "convolution, smoothed updates",
        _layers((6, 5), Conv2D(4, 3), Conv2D(3, 2), presynaptic="drive", learning_rate=0.03),
    ),
    Case(
        "convolution, random feedback",
        _layers((6, 5), Conv2D(4, 3), Conv2D(3, 2), feedback="random", seed=2),
    ),
    Case("pooling", _layers((7, 6), Conv2D(4, 3, padding=1), AveragePool2D(2))),
    Case("pooling of the input", _layers((7, 6, 2), AveragePool2D(3))),
    Case("sparse connections", _layers((12,), Sparse(9, density=0.4), Sparse(7, density=0.3))),
    Case(
        "sparse connections of given pairs, random feedback, changing targets",
        _layers(
            (6,),
            Dense(5),
            Sparse(4, pairs=[(0, 0), (4, 0), (2, 1), (3, 1), (1, 1), (3, 2), (0, 3)]),
            feedback="random",
            learning_rate=0.2,
        ),
        targets=changing_targets,
    ),
    Case("connections of all kinds", _mixture()),
    Case(
        "connections of all kinds, backward potentials drawn, initial weights of he",
        _mixture(backward_init="uniform", seed=5),
        weight_scale=None,
    ),
    Case("convolution, pipelined timing", _layers((6, 5), Conv2D(4, 3), timing="pipelined")),
    Case(
        "connections of all kinds, pipelined timing, random feedback",
        _mixture(timing="pipelined", feedback="random", seed=3),
        targets=real_targets,
    ),
    Case(
        "numbers of a chip, connections of all kinds",
        _mixture(arithmetic="loihi2", weight_exponent=-6, seed=4),
    ),
)
