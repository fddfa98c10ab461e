"""HDF5 files of other tools, which may claim to hold more than the memory."""

from __future__ import annotations

import io
import math
from typing import Final

import h5py

#: The most bytes that arrays may unpack to, for each byte of their file and besides. Files of zeros
#: alone pack to a thousandth; those of weights, many of them zero, to a tenth.
UNPACKED_PER_BYTE: Final = 100
UNPACKED_IN_ALL: Final = 2**24


def check_claims(data: io.BytesIO) -> None:
    """Refuse a file whose arrays would unpack to far more than it can hold.

    Nothing is unpacked for this: arrays state their shapes.

    Parameters
    ----------
    data : BytesIO
        The file.

    Raises
    ------
    ValueError
        If the arrays of the file claim too much.
    OSError
        If it is no HDF5 file.
    """
    most = UNPACKED_IN_ALL + UNPACKED_PER_BYTE * len(data.getbuffer())
    claimed = 0

    def add(name: str, node: h5py.Group | h5py.Dataset) -> None:
        nonlocal claimed
        if isinstance(node, h5py.Dataset):
            # A part of a chunk is had by unpacking the whole chunk.
            claimed += max(node.nbytes, node.dtype.itemsize * math.prod(node.chunks or ()))
        if claimed > most:
            raise ValueError(f"its array {name!r} claims more bytes than the file can hold")

    with h5py.File(data, "r") as file:
        file.visititems(add)
