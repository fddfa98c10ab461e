r"""Convolutions: one kernel of weights for all output pixels of an image.

Layer l - 1 is an image of shape (h, w, c_in), layer l one of shape (h', w', c_out), with
:math:`h' = \lfloor (h + 2p - k) / s \rfloor + 1`. Unit (y, x, b) above is joined to unit
(y s + q - p, x s + r - p, a) below by weight [q, r, a, b], for all q, r < k for which there is such
a unit: a cross-correlation. There are no synapses to the padding.
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
class Conv2D(Layer):
    """A layer of images whose pixels share one kernel of weights.

    Parameters
    ----------
    channels : int
        Channels of the layer.
    kernel_size : int
        k, the height and the width of the kernel.
    stride : int, default=1
        s, the number of pixels that the kernel moves from one output pixel to the next.
    padding : int, default=0
        p, the number of pixels that kernels reach beyond each border.
    """

    channels: int
    kernel_size: int
    stride: int = 1
    padding: int = 0

    def __post_init__(self) -> None:
        self._settle(
            channels=integer("channels", self.channels, 1),
            kernel_size=integer("kernel_size", self.kernel_size, 1),
            stride=integer("stride", self.stride, 1),
            padding=integer("padding", self.padding, 0),
        )

    def above(self, below: Shape) -> Shape:
        """Return the shape (h', w', channels)."""
        height, width = (self._output_pixels(n) for n in below.pixels("Conv2D").shape[:2])
        return Shape((height, width, self.channels))

    def connect(self, below: Shape, seed: int, l: int) -> Convolution:
        """Return the connection from a layer of images."""
        return Convolution(below.size, self.above(below).size, below, self)

    def _output_pixels(self, n: int) -> int:
        padded = n + 2 * self.padding
        if self.kernel_size > padded:
            allowed = f"at most {padded}, the pixels below with their padding"
            raise wrong_argument("kernel_size", allowed, self.kernel_size)
        return (padded - self.kernel_size) // self.stride + 1


@dataclass(frozen=True)
class Convolution(SynapseList):
    """The synapses of a convolution; W has the shape (k, k, c_in, c_out).

    Parameters
    ----------
    below : Shape
        The shape of the layer below.
    layer : Conv2D
        The layer above.
    """

    below: Shape
    layer: Conv2D

    kind: ClassVar = "Conv2D"
    shares_weights: ClassVar = True

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the kernel, (k, k, c_in, c_out)."""
        channels = self.below.pixels("Conv2D").shape[2]
        return (self.layer.kernel_size,) * 2 + (channels, self.layer.channels)

    @property
    def fan_in(self) -> float:
        """Synapses of a unit above, away from borders: k^2 c_in."""
        return float(np.prod(self.weight_shape[:3]))

    @property
    def fan_out(self) -> float:
        """Synapses of a unit below, on average away from borders: k^2 c_out / s^2."""
        layer = self.layer
        return layer.kernel_size**2 * layer.channels / layer.stride**2

    @property
    def patches(self) -> Array:
        """The pixels below each output pixel, of shape (n_pixels, k^2); -1 is padding."""
        k, s, p = self.layer.kernel_size, self.layer.stride, self.layer.padding
        height, width, _ = self._units.shape
        pixels = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
        squares = squares_of(np.pad(pixels, ((p, p), (p, p), (0, 0)), constant_values=-1), k, s)
        return squares.reshape(-1, k * k)

    @property
    def _units(self) -> Array:
        """The number of each unit below, of shape (height, width, c_in)."""
        return self.below.pixels("Conv2D")

    def listed(self) -> Synapses:
        """Return the synapses (i, j, w)."""
        patches, c_in, channels = self.patches, self.weight_shape[2], self.layer.channels
        units = self._units.reshape(-1, c_in)
        pixel, q, a, b = np.ogrid[: len(patches), : patches.shape[1], :c_in, :channels]
        below = patches[:, :, np.newaxis, np.newaxis]
        i, j, w = np.broadcast_arrays(
            units[below, a], pixel * channels + b, (q * c_in + a) * channels + b
        )
        exist = np.broadcast_to(below >= 0, i.shape)
        return Synapses.ordered(i[exist], j[exist], w[exist])

    @cached_property
    def most_uses(self) -> int:
        """The most output pixels that a weight serves."""
        return int(np.count_nonzero(self.patches >= 0, axis=0).max())

    @cached_property
    def times_met(self) -> Array:
        """The number of output pixels whose kernel covers each unit below, of shape (n_below,)."""
        units, patches = self._units.reshape(-1, self.weight_shape[2]), self.patches
        met = np.empty(self.n_below, np.int32)
        met[units] = np.bincount(patches[patches >= 0], minlength=len(units))[:, np.newaxis]
        return met

    @property
    def fan_out_of_units(self) -> Array:
        """The synapses of each unit below."""
        return self.times_met * np.int32(self.layer.channels)

    @cached_property
    def fan_in_of_units(self) -> Array:
        """The synapses of each unit above."""
        of_pixel = np.count_nonzero(self.patches >= 0, axis=1) * self.weight_shape[2]
        return np.repeat(of_pixel.astype(np.int32), self.layer.channels)
