"""The description of a layer: its units, and their connection to the layer below."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.connections.connection import Connection

#: Rows and columns. The type is one that the annotations of NumPy 1.26 take.
_AXES: Final[Any] = (0, 1)


@dataclass(frozen=True)
class Shape:
    """The shape of a layer.

    Parameters
    ----------
    sizes : tuple of int
        (n,) for a plain vector; (height, width) or (height, width, channels) for images.
    channels_first : bool, default=False
        Whether units are numbered row by row within each channel, and not channel by channel within
        each pixel.
    """

    sizes: tuple[int, ...]
    channels_first: bool = False

    @property
    def size(self) -> int:
        """The number of units."""
        return math.prod(self.sizes)

    @property
    def of_array(self) -> tuple[int, ...]:
        """The shape of an array whose elements are numbered as the units are."""
        *image, channels = self.sizes
        return (channels, *image) if self._is_turned else self.sizes

    @property
    def of_arrays(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of such arrays: where there is one channel, it may be named or left out."""
        height, width, channels = (*self.sizes, 1, 1)[:3]
        if len(self.sizes) == 1 or channels > 1:
            return (self.of_array,)
        named = (1, height, width) if self.channels_first else (height, width, 1)
        return named, (height, width)

    @property
    def _is_turned(self) -> bool:
        return self.channels_first and len(self.sizes) == 3

    def pixels(self, kind: str) -> NDArray[np.int64]:
        """Return the number of each unit, as an array of shape (height, width, channels).

        Raises
        ------
        ValueError
            If this is the shape of a plain vector; the message names the `kind` of layer above.
        """
        if len(self.sizes) == 1:
            allowed = f"(height, width) or (height, width, channels) for a layer {kind} above"
            raise wrong_argument("the shape of a layer", allowed, self.sizes)
        numbers = np.arange(self.size).reshape(self.of_array)
        if self._is_turned:
            return numbers.transpose(1, 2, 0)
        return numbers.reshape(*self.sizes[:2], -1)


def squares_of(units: NDArray[np.int64], size: int, stride: int) -> NDArray[np.int64]:
    """Return the square of input pixels below each output pixel, for kernels and pools.

    Parameters
    ----------
    units : ndarray of shape (height, width, channels)
        The number of each unit.
    size, stride : int
        The pixels of a side, and the distance from one square to the next in pixels.

    Returns
    -------
    ndarray of shape (rows, columns, size, size, channels)
        The units of each square.
    """
    windows = sliding_window_view(units, (size, size), axis=_AXES)[::stride, ::stride]
    return windows.transpose(0, 1, 3, 4, 2)


@dataclass(frozen=True)
class Layer(ABC):
    """A layer and its connection, as a user describes them: without the layer below."""

    @abstractmethod
    def above(self, below: Shape) -> Shape:
        """Return the shape of this layer, given that of the layer below."""

    @abstractmethod
    def connect(self, below: Shape, seed: int, l: int) -> Connection:
        """Return the connection from a layer of shape `below`.

        Parameters
        ----------
        below : Shape
            The shape of layer l - 1.
        seed : int
            The seed of the network, for what is drawn.
        l : int
            The layer that this is.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the kind of layer and its fields as plain Python values that JSON can hold."""
        return {"kind": type(self).__name__} | asdict(self)

    def _settle(self, **fields: object) -> None:
        """Replace fields, each by its plain Python form; the class is frozen for all others."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)
