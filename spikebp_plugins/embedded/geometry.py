"""The layout of a connection in the memory of C: every kind is a kernel on an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from spikebp_plugins.network.connections import (
    AveragePooling,
    Connection,
    Convolution,
    DenseConnection,
    Shape,
)


@dataclass(frozen=True)
class Geometry:
    """The kernel of a connection, and the images that it joins.

    Attributes
    ----------
    below : tuple of three ints
        Height, width and channels of the layer below.
    strides : tuple of three ints
        By how much the number of a unit below grows with its row, its column and its channel.
    above : tuple of three ints
        Height, width and channels of the layer above.
    kernel, stride, padding : int
        The parameters of the convolution.
    """

    below: tuple[int, ...]
    strides: tuple[int, ...]
    above: tuple[int, ...]
    kernel: int
    stride: int
    padding: int

    @property
    def is_dense(self) -> bool:
        """Whether the kernel of a convolution would join all units to all."""
        return self.below[:2] == (1, 1) == self.above[:2] and self.kernel == 1

    @property
    def n_output_pixels(self) -> int:
        """The number of output pixels, each of which has a kernel."""
        return self.above[0] * self.above[1]


def _of_dense(connection: DenseConnection) -> Geometry:
    n = connection.n_below
    return Geometry((1, 1, n), (n, n, 1), (1, 1, connection.n_above), 1, 1, 0)


def _of_convolution(connection: Convolution) -> Geometry:
    layer = connection.layer
    kernel = layer.kernel_size, layer.stride, layer.padding
    return _on_image(connection.below, layer.above(connection.below), *kernel)


def _of_pooling(connection: AveragePooling) -> Geometry:
    layer = connection.layer
    return _on_image(connection.below, layer.above(connection.below), layer.size, layer.size, 0)


def _on_image(below: Shape, above: Shape, kernel: int, stride: int, padding: int) -> Geometry:
    pixels = below.pixels("")
    strides = tuple(step // pixels.itemsize for step in pixels.strides)
    return Geometry(pixels.shape, strides, above.pixels("").shape, kernel, stride, padding)


#: The function that returns the geometry of each kind of connection in C.
GEOMETRIES: Final[dict[type[Connection], Callable[[Any], Geometry]]] = {
    DenseConnection: _of_dense,
    Convolution: _of_convolution,
    AveragePooling: _of_pooling,
}


def geometry_of(connection: Connection) -> Geometry:
    """Return the geometry of a connection of a known kind."""
    return GEOMETRIES[type(connection)](connection)
