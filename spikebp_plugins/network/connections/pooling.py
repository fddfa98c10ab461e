r"""Pooling: each unit gets the mean of a square of pixels of one channel.

Unit (y, x, a) above is joined to the units (y m + q, x m + r, a) below, for all q, r < m. All
synapses weigh :math:`1 / m^2`, rounded as weights are. They do not learn, and errors go back
through the same numbers. Pixels that fill no square have no synapses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.connections.connection import Array
from spikebp_plugins.network.connections.layer import Layer, Shape, squares_of
from spikebp_plugins.network.connections.synapse_list import SynapseList, Synapses


@dataclass(frozen=True)
class AveragePool2D(Layer):
    """A layer of images, each pixel the mean of a square of pixels below.

    Its units are rectified units like any others: what a mean leaves waits for the next step.

    Parameters
    ----------
    size : int
        m, the height and the width of a square.
    """

    size: int

    def __post_init__(self) -> None:
        self._settle(size=integer("size", self.size, 1))

    def above(self, below: Shape) -> Shape:
        """Return the shape (h // m, w // m, c)."""
        height, width, channels = below.pixels("AveragePool2D").shape
        if self.size > min(height, width):
            allowed = f"at most {min(height, width)}, the pixels below"
            raise wrong_argument("size", allowed, self.size)
        return Shape((height // self.size, width // self.size, channels))

    def connect(self, below: Shape, seed: int, l: int) -> AveragePooling:
        """Return the connection from a layer of images."""
        return AveragePooling(below.size, self.above(below).size, below, self)


@dataclass(frozen=True)
class AveragePooling(SynapseList):
    """The synapses of pooling, without weights that learn.

    Parameters
    ----------
    below : Shape
        The shape of the layer below.
    layer : AveragePool2D
        The layer above.
    """

    below: Shape
    layer: AveragePool2D

    kind: ClassVar = "AveragePool2D"
    shares_weights: ClassVar = True

    @property
    def constant_weight(self) -> float:
        """The weight of every synapse, 1 / m^2."""
        return 1 / self.layer.size**2

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of no weights."""
        return (0,)

    @property
    def fan_in(self) -> float:
        """Synapses of a unit above."""
        return float(self.layer.size**2)

    @property
    def fan_out(self) -> float:
        """Synapses of a unit below."""
        return 1.0

    @property
    def most_uses(self) -> int:
        """The number of synapses, all of which share one weight."""
        return self.n_synapses

    @cached_property
    def fan_out_of_units(self) -> Array:
        """1, and 0 for units of pixels that fill no square."""
        fans = np.zeros(self.n_below, np.int32)
        fans[self._squares] = 1
        return fans

    @cached_property
    def fan_in_of_units(self) -> Array:
        """The units of a square."""
        return np.full(self.n_above, self.layer.size**2, np.int32)

    def listed(self) -> Synapses:
        """Return the synapses (i, j, w), all with the one weight 0."""
        j = np.repeat(np.arange(self.n_above), self.layer.size**2)
        return Synapses.ordered(self._squares.reshape(-1), j, np.zeros_like(j))

    @property
    def _squares(self) -> Array:
        """The units of each square, by channel within each output pixel, as above."""
        m, units = self.layer.size, self.below.pixels("AveragePool2D")
        return squares_of(units, m, m).transpose(0, 1, 4, 2, 3)

    def outer(self, c: Array, e: Array) -> Array:
        """Return no changes: there are no weights."""
        return np.zeros(0, np.result_type(c, e))

    def synapses_with(self, c: Array, e: Array) -> int:
        """Return 0: nothing learns."""
        return 0
