"""Images of PyTorch and NIR, channels first, and the numbers of their units here.

There an image has the shape (channels, height, width), and a kernel the shape
(c_out, c_in, k, k). Whatever is numbered by pixels here, the rows of weights behind an image above
all, has another order there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import is_integer
from spikebp_plugins.network.connections import Shape


def is_image(shape: Shape) -> bool:
    """Return whether a layer of this shape has pixels."""
    return len(shape.sizes) > 1


def image_size(shape: Shape) -> tuple[int, ...]:
    """Return the shape there: (channels, height, width) of an image, (n,) of a plain vector."""
    if not is_image(shape):
        return shape.sizes
    height, width, channels = (*shape.sizes, 1)[:3]
    return channels, height, width


def has_same_order(shape: Shape) -> bool:
    """Return whether units that are numbered pixel by pixel have the same numbers there."""
    if shape.channels_first or not is_image(shape):
        return True
    channels, height, width = image_size(shape)
    return channels == 1 or height * width == 1


def units_in_order(shape: Shape) -> NDArray[np.int64]:
    """Return the units of a layer, in the order of its flattened array there."""
    if not is_image(shape):
        return np.arange(shape.size)
    return shape.pixels("").transpose(2, 0, 1).reshape(-1)


def rows_from(matrix: NDArray[Any], below: Shape) -> NDArray[Any]:
    """Return a matrix whose rows are numbered as units here, given one with those from there."""
    rows = np.empty_like(matrix)
    rows[units_in_order(below)] = matrix
    return rows


def rows_for(matrix: NDArray[Any], below: Shape) -> NDArray[Any]:
    """Return a matrix whose rows are numbered as there, given one with the units from here."""
    rows: NDArray[Any] = matrix[units_in_order(below)]
    return rows


def kernel_from(weights: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel of shape (k, k, c_in, c_out), given one of shape (c_out, c_in, k, k)."""
    return weights.transpose(2, 3, 1, 0)


def kernel_for(W: NDArray[Any]) -> NDArray[Any]:
    """Return a kernel of shape (c_out, c_in, k, k), given one of shape (k, k, c_in, c_out)."""
    return W.transpose(3, 2, 0, 1)


def one_number(values: Any) -> int | None:
    """Return the integer that holds for rows and columns alike; None if there is none.

    Tools give one number, or a pair of them.
    """
    given = values.tolist() if isinstance(values, (np.ndarray, np.generic)) else values
    pair = tuple(given) if isinstance(given, Iterable) else (given,)
    if len(pair) not in (1, 2) or not all(map(is_integer, pair)) or len(set(pair)) > 1:
        return None
    return int(pair[0])
