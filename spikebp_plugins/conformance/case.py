"""A case of the suite: a definition with data, and the functions that make the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import UNLABELED

#: Samples to train on and samples to predict.
N_TRAIN: Final = 8
N_TEST: Final = 4


class CaseSamples(NamedTuple):
    """Samples of a case: to train on, with targets, and to predict."""

    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]


Inputs = Callable[[Definition, RandomState, int], NDArray[Any]]


def constant_values(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Values of either sign, some of them zero, the same at all steps."""
    x = random.uniform(-1.0, 2.0, (n, net.n_inputs))
    return np.where(random.uniform(size=x.shape) < 0.3, 0.0, x)


def changing_values(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Values that change from step to step."""
    return random.uniform(-2.0, 3.0, (n, net.n_steps, net.n_inputs))


def large_values(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Values so large that a unit sends many spikes a step."""
    return random.uniform(-60.0, 90.0, (n, net.n_inputs))


def wrong_readings(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Values of which one in every other sample is wrong by far."""
    x = constant_values(net, random, n)
    x[::2, random.randint(net.n_inputs)] = random.choice([-300.0, 500.0], len(x[::2]))
    return x


def pixels(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """8-bit pixels."""
    return random.randint(0, 256, (n, net.n_inputs)).astype(np.uint8)


def spike_counts(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Signed spike counts, as another network or an event encoder sends them."""
    largest = 1 if net.spikes == "binary" else 3
    return random.randint(-largest, largest + 1, (n, net.n_steps, net.n_inputs))


def large_targets(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Targets of up to 200 spikes a step, of which a message holds 127, and of few."""
    return random.uniform(-50.0, 200.0, (n, net.n_outputs))


def labels(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Integer labels."""
    return random.randint(0, net.n_outputs, n)


def labels_of_some(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Integer labels, of which every third is not known."""
    y = labels(net, random, n)
    y[1::3] = UNLABELED
    return y


def real_targets(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Real targets, more than one spike a step among them, and negative ones."""
    return random.uniform(-1.0, 3.0, (n, net.n_outputs))


def changing_targets(net: Definition, random: RandomState, n: int) -> NDArray[Any]:
    """Targets that change from step to step."""
    return random.uniform(-1.0, 3.0, (n, net.n_steps, net.n_outputs))


@dataclass(frozen=True)
class Case:
    """A definition, with data that make every rule of it act.

    Attributes
    ----------
    feature : str
        The feature that the case tests.
    net : Definition
        The definition.
    inputs, targets : callable
        Functions of (net, random, n) that make n samples.
    weight_scale : float or None
        Standard deviation of the initial weights; large enough for every layer to fire. None takes
        the initial weights of the definition.
    margin : float or None
        If there is one, samples are also learned until their labels lead by so many spikes.
    """

    feature: str
    net: Definition
    inputs: Inputs = constant_values
    targets: Inputs = labels
    weight_scale: float | None = 0.6
    margin: float | None = None

    def __str__(self) -> str:
        return self.feature.replace(" ", "-")

    def weights(self) -> list[NDArray[np.float64]]:
        """Return the initial weights."""
        shapes, scale = self.net.weight_shapes, self.weight_scale
        if scale is None:
            return self.net.init_weights()
        random = RandomState(self.net.seed + 17)
        return [random.standard_normal(shape) * scale for shape in shapes]

    def data(self) -> CaseSamples:
        """Return the samples."""
        random = RandomState(self.net.seed + 23)
        x, x_test = self.inputs(self.net, random, N_TRAIN), self.inputs(self.net, random, N_TEST)
        return CaseSamples(x, self.targets(self.net, random, N_TRAIN), x_test)
