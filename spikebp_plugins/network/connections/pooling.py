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

    @cached_property
    def synapses(self) -> Synapses:
        """The synapses (i, j, w), all with the one weight 0."""
        m, units = self.layer.size, self.below.pixels("AveragePool2D")
        # By channel within each output pixel, as units above are numbered.
        squares = squares_of(units, m, m).transpose(0, 1, 4, 2, 3)
        j = np.repeat(np.arange(self.n_above), m * m)
        return Synapses.ordered(squares.reshape(-1), j, np.zeros_like(j))

    def outer(self, c: Array, e: Array) -> Array:
        """Return no changes: there are no weights."""
        return np.zeros(0, np.result_type(c, e))

    def synapses_with(self, c: Array, e: Array) -> int:
        """Return 0: nothing learns."""
        return 0
