"""HDF5 files of other tools, which may claim more data than the memory can hold."""

from __future__ import annotations

import math
from typing import Final

import h5py
import numpy as np

#: The most bytes that arrays may unpack to: for each byte of their file, and in addition. Zeros
#: pack to a thousandth; weights, many of them zero, to a tenth.
UNPACKED_PER_BYTE: Final = 100
UNPACKED_IN_ALL: Final = 2**26

#: The most groups within each other; the files that are read here have five.
DEEPEST: Final = 20


def arrays_in(file: h5py.File, content: bytes) -> dict[str, h5py.Dataset]:
    """Return the arrays of a file by their names, none of which is read.

    Parameters
    ----------
    file : h5py.File
        The file.
    content : bytes
        The bytes of the file.

    Raises
    ------
    ValueError
        If the arrays claim far more than the file can hold, or hold neither numbers nor plain
        texts, groups are nested too deep, or there are links to other places.
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
                # Reading a part of a chunk unpacks the whole chunk.
                claimed += max(node.nbytes, node.dtype.itemsize * math.prod(node.chunks or ()))
                claimed += _length_of_texts(name, node, content)
                most = UNPACKED_IN_ALL + UNPACKED_PER_BYTE * len(content)
                # The library allocates the size that a chunk states in the file before it reads it.
                if claimed > most or node.id.get_storage_size() > len(content):
                    raise ValueError(f"its array {name!r} claims more than the file can hold")
    return found


def _length_of_texts(name: str, node: h5py.Dataset, content: bytes) -> int:
    """Return the length that all texts of an array claim to have.

    The library takes that memory before it looks whether there are such texts. An element is the
    length of a text, in four bytes, and the place where it lies.
    """
    if not node.dtype.hasobject:
        return 0
    place, n_bytes = node.id.get_offset(), node.id.get_storage_size()
    if h5py.check_string_dtype(node.dtype) is None or (n_bytes and place is None):
        raise ValueError(f"its array {name!r} holds neither numbers nor texts one behind the other")
    if not n_bytes:
        return 0
    words = np.frombuffer(content[place : place + n_bytes], "<u4").reshape(node.size, -1)
    return int(words[:, 0].sum())
