"""The definition of a network in the order of events: every number that decides a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    boolean,
    choice,
    integer,
    positive,
    sizes,
    wrong_argument,
)
from spikebp_plugins.common.layer_sizes import LayerSizes
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import LARGEST_N_STEPS, LARGEST_SEED

#: The allowed values of every field that is a choice.
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "order": ("breadth", "depth"),
    "update": ("fractional", "outer"),
    "backward_init": ("carry", "zero"),
    "arithmetic": ("float32", "float64"),
}

#: The smallest and the largest normal number of single precision. Not from np.finfo, which warns
#: once any library has switched off subnormal numbers, as code compiled for speed does.
SMALLEST_FLOAT32: Final = 2.0**-126
LARGEST_FLOAT32: Final = (2 - 2.0**-23) * 2.0**127


@dataclass(frozen=True)
class EventMLP(LayerSizes):
    r"""A multi-layer perceptron of spiking units in the order of the paper's program.

    Layers 0..L are joined by weights :math:`W_l` of shape :math:`(n_{l-1}, n_l)` without bias.
    ``docs/event_order.md`` states what happens when a sample is shown. The definition is
    immutable, hashable, and compares by value.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units in layers 0 (the input) to L (the output); at least two layers.
    n_steps : int, default=10
        T, the steps for which a sample is shown.
    learning_rate : float, default=0.01
        :math:`\eta`; a spike's update is scaled by :math:`\eta / T^2`.
    input_scale : float, default=1.0
        The unit of the data: ``1/255`` for 8-bit pixels.
    order : {"breadth", "depth"}, default="breadth"
        Whether all spikes of a layer are handled before those that they cause in the next, or each
        is followed through all layers at once.
    hold_error : bool, default=True
        Whether errors wait for the end of the step, where spikes of output and target cancel, or
        each is sent back when it arises.
    update : {"fractional", "outer"}, default="fractional"
        Whether weights change with every error spike, or once at the end of a sample.
    backward_init : {"carry", "zero"}, default="carry"
        Backward potentials at the start of a training sample: kept from the one before, or zero.
    arithmetic : {"float32", "float64"}, default="float32"
        The precision of sums.
    seed : int, default=0
        Seed of the initial weights.

    Raises
    ------
    ValueError
        If a field has a value that is not allowed.
    """

    layer_sizes: tuple[int, ...]
    n_steps: int = 10
    learning_rate: float = 0.01
    input_scale: float = 1.0
    order: str = "breadth"
    hold_error: bool = True
    update: str = "fractional"
    backward_init: str = "carry"
    arithmetic: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        # The class is frozen. Here alone fields are replaced, each by its plain Python form.
        allowed = "a sequence of at least two positive integers"
        settled: dict[str, object] = {
            "layer_sizes": sizes("layer_sizes", self.layer_sizes, allowed, fewest=2),
            "n_steps": integer("n_steps", self.n_steps, 1, LARGEST_N_STEPS),
            "learning_rate": positive("learning_rate", self.learning_rate),
            "input_scale": positive("input_scale", self.input_scale),
            "hold_error": boolean("hold_error", self.hold_error),
            "seed": integer("seed", self.seed, 0, LARGEST_SEED),
        }
        settled |= {name: choice(name, getattr(self, name), CHOICES[name]) for name in CHOICES}
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        if not SMALLEST_FLOAT32 <= self.rate <= LARGEST_FLOAT32:
            allowed = "such that learning_rate / n_steps**2 is a float32 above zero"
            raise wrong_argument("learning_rate", allowed, repr(self.learning_rate))

    @property
    def weight_shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes of :math:`W_1` to :math:`W_L`."""
        return tuple(zip(self.layer_sizes[:-1], self.layer_sizes[1:], strict=True))

    @property
    def rate(self) -> float:
        """The factor of an update: eta / T**2, one division in single precision."""
        T = np.float32(self.n_steps)
        with np.errstate(over="ignore", under="ignore"):
            return float(np.float32(self.learning_rate) / (T * T))

    @property
    def limit(self) -> float:
        """The magnitude that no weight reaches: up to it halves and whole spikes are exact."""
        return 2.0**52 if self.arithmetic == "float64" else 2.0**23

    def init_weights(self) -> list[NDArray[np.float64]]:
        """Draw the initial weights: those of `SpikingMLP.paper`, before they are rounded."""
        return SpikingMLP.paper(self.layer_sizes, seed=self.seed).init_weights()

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as plain Python values that JSON can hold."""
        return asdict(self) | {"layer_sizes": list(self.layer_sizes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EventMLP:
        """Return the definition that :meth:`to_dict` described.

        Raises
        ------
        ValueError
            If a field is unknown, missing or wrong.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or values.keys() != names:
            raise wrong_argument("values", f"a mapping with {sorted(names)}", repr(values))
        return cls(**values)
