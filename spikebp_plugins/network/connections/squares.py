"""The squares of input pixels below each output pixel, for kernels and pools."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

#: Rows and columns. The type is one that the annotations of NumPy 1.26 take.
_AXES: Final[Any] = (0, 1)


def squares_of(units: NDArray[np.int64], size: int, stride: int) -> NDArray[np.int64]:
    """Return the square of input pixels below each output pixel.

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
