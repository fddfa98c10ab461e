"""The definitions and data that a back end is tried on, each for one feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from spikebp_plugins.network.definition import SpikingMLP

#: Samples to train on and samples to predict.
N_TRAIN: Final = 8
N_TEST: Final = 4


class Data(NamedTuple):
    """Samples of a case: to train on, with targets, and to predict."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]


Inputs = Callable[[SpikingMLP, RandomState, int], NDArray[Any]]


def constant_values(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Values of either sign, some of them zero, the same at all steps."""
    x = random.uniform(-1.0, 2.0, (n, net.n_inputs))
    return np.where(random.uniform(size=x.shape) < 0.3, 0.0, x)


def changing_values(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Values that change from step to step."""
    return random.uniform(-2.0, 3.0, (n, net.n_steps, net.n_inputs))


def large_values(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Values so large that a unit sends many spikes a step."""
    return random.uniform(-60.0, 90.0, (n, net.n_inputs))


def pixels(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """8-bit pixels."""
    return random.randint(0, 256, (n, net.n_inputs)).astype(np.uint8)


def sixteenths(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Multiples of 1/16, with which floating point is exact."""
    return random.randint(-16, 33, (n, net.n_inputs)) / 16


def spike_counts(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Signed spike counts, as another network or an event encoder sends them."""
    largest = 1 if net.spikes == "binary" else 3
    return random.randint(-largest, largest + 1, (n, net.n_steps, net.n_inputs))


def large_targets(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Targets of up to 200 spikes a step, of which a message holds 127, and of few."""
    return random.uniform(-50.0, 200.0, (n, net.n_outputs))


def silence(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """No input at all."""
    return np.zeros((n, net.n_inputs))


def labels(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Integer labels."""
    return random.randint(0, net.n_outputs, n)


def real_targets(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Real targets, more than one spike a step among them, and negative ones."""
    return random.uniform(-1.0, 3.0, (n, net.n_outputs))


def changing_targets(net: SpikingMLP, random: RandomState, n: int) -> NDArray[Any]:
    """Targets that change from step to step."""
    return random.uniform(-1.0, 3.0, (n, net.n_steps, net.n_outputs))


@dataclass(frozen=True)
class Case:
    """A definition, with data that make every rule of it act.

    Attributes
    ----------
    feature : str
        The feature that the case tests.
    net : SpikingMLP
        The definition.
    inputs, targets : callable
        Functions of (net, random, n) that make n samples.
    weight_scale : float or None
        Standard deviation of the initial weights; large enough for every layer to fire. None takes
        the initial weights of the definition.
    weight_bits : int or None
        Round the initial weights to this many fraction bits; None does not round.
    """

    feature: str
    net: SpikingMLP
    inputs: Inputs = constant_values
    targets: Inputs = labels
    weight_scale: float | None = 0.6
    weight_bits: int | None = None

    def __str__(self) -> str:
        return self.feature.replace(" ", "-")

    def weights(self) -> list[NDArray[np.float64]]:
        """Return the initial weights."""
        shapes, scale = self.net.weight_shapes, self.weight_scale
        if scale is None:
            return self.net.init_weights()
        random = RandomState(self.net.seed + 17)
        drawn = [random.standard_normal(shape) * scale for shape in shapes]
        bits = self.weight_bits
        return drawn if bits is None else [np.rint(w * 2.0**bits) / 2.0**bits for w in drawn]

    def data(self) -> Data:
        """Return the samples."""
        random = RandomState(self.net.seed + 23)
        x, x_test = self.inputs(self.net, random, N_TRAIN), self.inputs(self.net, random, N_TEST)
        return Data(x, self.targets(self.net, random, N_TRAIN), x_test)


def _net(*layer_sizes: int, **changes: Any) -> SpikingMLP:
    return SpikingMLP(layer_sizes, **({"n_steps": 7, "learning_rate": 0.5} | changes))


def _float_case(arithmetic: str, **changes: Any) -> Case:
    # T = 4 and a rate of 2**-8 with dyadic weights and inputs: every float operation is exact,
    # so that equality can be asked for in floating point too.
    name = f"{arithmetic} arithmetic" + "".join(f", {value}" for value in changes.values())
    net = _net(9, 8, 6, 3, n_steps=4, learning_rate=2.0**-4, arithmetic=arithmetic, **changes)
    return Case(name, net, inputs=sixteenths, weight_bits=6)


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
)
