"""The cases of the suite: definitions and data, each for a feature that users look up.

Between them every value of an option, kind of connection, depth, timing, form of input and form of
targets occurs, with every kind of arithmetic that has one answer. Features that together have
shown faults in engines stand together.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from spikebp_plugins.conformance.case import (
    Case,
    changing_targets,
    changing_values,
    labels_of_some,
    large_targets,
    large_values,
    pixels,
    real_targets,
    spike_counts,
    wrong_readings,
)
from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense, Sparse
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition


def _net(*layer_sizes: int, **changes: Any) -> Definition:
    return SpikingMLP.paper(layer_sizes, **({"n_steps": 7, "learning_rate": 0.5} | changes))


def _layers(input_shape: tuple[int, ...], *layers: Any, **changes: Any) -> Definition:
    fields = {"n_steps": 5, "learning_rate": 0.05} | changes
    return SpikingNetwork.paper(input_shape, [*layers, Dense(3)], **fields)


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
    Case("1 layer of weights", _net(9, 3, seed=1)),
    Case("3 layers of weights", _net(9, 8, 7, 3, seed=3)),
    Case("one step", _net(9, 8, 3, n_steps=1)),
    Case("input changing from step to step", _net(9, 8, 3), inputs=changing_values),
    Case("samples that end once they are sure", _net(9, 8, 6, 3, seed=5), margin=1.0),
    Case("8-bit pixels", _net(9, 8, 3, input_scale=1 / 255), inputs=pixels),
    Case("spike counts as input", _net(9, 8, 3, input_coding="spikes"), inputs=spike_counts),
    Case(
        "initial weights of he",
        _net(9, 8, 6, 3, weight_init="he", label_targets=(-0.4, 3.3)),
        weight_scale=None,
    ),
    Case(
        "labels that ask of wrong outputs too, outer update, binary spikes, 4 fraction bits",
        _net(
            *(9, 8, 6, 3),
            label_targets=(0.25, 1.5),
            update="outer",
            spikes="binary",
            # Few numbers, of which many are equal to a threshold or to zero.
            n_steps=4,
            learning_rate=1.0,
            fraction_bits=4,
            seed=3,
        ),
    ),
    Case("binary spikes", _net(9, 8, 6, 3, spikes="binary"), targets=real_targets),
    Case("random feedback, outer update", _net(9, 8, 6, 3, feedback="random", update="outer")),
    Case("the defaults", SpikingMLP((9, 8, 6, 3))),
    Case(
        "normalized update",
        _net(9, 8, 6, 3, update="normalized", learning_rate=1.0, label_targets=(0.25, 8.0)),
    ),
    Case(
        "samples without a label, normalized update, random feedback, changing input",
        _net(
            9, 8, 6, 3, update="normalized", feedback="random", spikes="binary", learning_rate=3.0
        ),
        inputs=changing_values,
        targets=labels_of_some,
    ),
    Case(
        "wrong readings, normalized update",
        _net(9, 8, 6, 3, update="normalized", learning_rate=1.0, label_targets=(0.25, 8.0)),
        inputs=wrong_readings,
    ),
    Case(
        "wrong readings, one step, fractional update, bounded",
        _net(9, 8, 6, 3, n_steps=1, bounded=True, learning_rate=0.01),
        inputs=wrong_readings,
    ),
    Case(
        "wrong readings, pipelined timing, fractional update, bounded",
        _pipelined(9, 8, 6, 3, bounded=True, learning_rate=0.02),
        inputs=wrong_readings,
        targets=real_targets,
    ),
    Case(
        "wrong readings, convolution, outer update, bounded",
        _layers((7, 6), Conv2D(4, 3, stride=2), update="outer", bounded=True, learning_rate=0.003),
        inputs=wrong_readings,
    ),
    Case("smoothed updates", _net(9, 8, 6, 3, presynaptic="drive", learning_rate=0.3)),
    Case(
        "backward potentials zeroed, 20 steps, 40 fraction bits",
        _net(9, 8, 6, 3, backward_init="zero", n_steps=20, fraction_bits=40),
    ),
    Case(
        "backward potentials drawn, binary spikes",
        _net(9, 8, 6, 5, 3, backward_init="uniform", spikes="binary"),
        targets=real_targets,
    ),
    # At a higher rate the first sample silences the output, and the others teach nothing.
    Case("pipelined timing", _pipelined(9, 8, 6, 3, learning_rate=0.02)),
    Case(
        "samples without a label, pipelined timing, random feedback, outer update, binary spikes",
        _pipelined(
            *(9, 8, 7, 6, 5, 3),
            feedback="random",
            update="outer",
            spikes="binary",
            learning_rate=0.1,
            seed=2,
        ),
        targets=labels_of_some,
    ),
    Case(
        "pipelined timing, binary spikes, changing input and targets",
        _pipelined(9, 8, 6, 3, spikes="binary"),
        inputs=changing_values,
        targets=changing_targets,
    ),
    Case(
        "pipelined timing, normalized update",
        _pipelined(9, 8, 7, 3, update="normalized", learning_rate=1.0, seed=4),
        targets=real_targets,
    ),
    Case(
        "pipelined timing, smoothed updates, backward potentials drawn",
        _pipelined(
            *(9, 8, 6, 3), presynaptic="drive", backward_init="uniform", learning_rate=0.05, seed=4
        ),
    ),
    Case(
        "convolution, strides, padding, several channels",
        _layers((7, 6, 2), Conv2D(3, 3, stride=2, padding=1), Conv2D(5, 2, stride=3, padding=2)),
    ),
    Case(
        "convolution, outer update, binary spikes, changing input",
        _layers((6, 5), Conv2D(4, 3), Conv2D(3, 2), update="outer", spikes="binary"),
        inputs=changing_values,
    ),
    Case(
        "convolution, pooling, normalized update",
        _layers(
            *((7, 6), Conv2D(4, 3, padding=1), AveragePool2D(2)),
            update="normalized",
            learning_rate=1.0,
        ),
        targets=real_targets,
    ),
    Case(
        "pooling of the input, channels first, spike counts as input, pipelined timing",
        _layers(
            *((7, 6, 2), AveragePool2D(2), Conv2D(4, 2)),
            input_layout="channels_first",
            input_coding="spikes",
            timing="pipelined",
        ),
        inputs=spike_counts,
    ),
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
        "connections of all kinds, pipelined timing, random feedback",
        _mixture(timing="pipelined", feedback="random", seed=3),
        targets=real_targets,
    ),
    Case(
        "numbers of a chip, pipelined timing, random feedback",
        _chip(9, 8, 7, 6, 3, timing="pipelined", feedback="random", learning_rate=0.05, seed=3),
    ),
    Case(
        "numbers of a chip, saturating",
        _chip(9, 8, 6, 3, fraction_bits=16, weight_exponent=-2, learning_rate=0.005, seed=6),
        inputs=large_values,
        targets=large_targets,
        weight_scale=12.0,
    ),
    Case(
        "numbers of a chip, connections of all kinds",
        _mixture(arithmetic="loihi2", weight_exponent=-6, seed=4),
    ),
)
