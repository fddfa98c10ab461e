"""HDF5 files of other tools, which may claim to hold more than the memory."""

from __future__ import annotations

import math
from typing import Final

import h5py

#: The most bytes that arrays may unpack to, for each byte of their file and besides. Files of zeros
#: alone pack to a thousandth; those of weights, many of them zero, to a tenth.
UNPACKED_PER_BYTE: Final = 100
UNPACKED_IN_ALL: Final = 2**24

#: The most groups within each other; the files that are read here have five.
DEEPEST: Final = 20


def arrays_in(file: h5py.File, n_bytes: int) -> dict[str, h5py.Dataset]:
    """Return the arrays of a file by their names, none of which is read.

    Parameters
    ----------
    file : h5py.File
        The file.
    n_bytes : int
        Its length.

    Raises
    ------
    ValueError
        If the arrays claim far more than the file can hold, groups are nested too deep, or there
        are links to other places.
    """
    found: dict[str, h5py.Dataset] = {}
    claimed, waiting = 0, [("", file, 0)]
    while waiting:
        before, group, depth = waiting.pop()
        for short in group:
            name = f"{before}{short}"
            if not isinstance(group.get(short, getlink=True), h5py.HardLink):
                raise ValueError(f"its part {name!r} is a link to another place")
            node = group[short]
            if isinstance(node, h5py.Group):
                if depth == DEEPEST:
                    raise ValueError(f"its groups are nested more than {DEEPEST} deep")
                waiting.append((f"{name}/", node, depth + 1))
            elif isinstance(node, h5py.Dataset):
                found[name] = node
                # A part of a chunk is had by unpacking the whole chunk.
                claimed += max(node.nbytes, node.dtype.itemsize * math.prod(node.chunks or ()))
                most = UNPACKED_IN_ALL + UNPACKED_PER_BYTE * n_bytes
                # What a chunk takes in the file is taken as memory before it is read.
                if claimed > most or node.id.get_storage_size() > n_bytes:
                    raise ValueError(f"its array {name!r} claims more than the file can hold")
    return found
