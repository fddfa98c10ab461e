"""HDF5 files of other tools, which may claim to hold more than the memory."""

from __future__ import annotations

import math
from typing import Final

import h5py

#: The most bytes that arrays may unpack to, for each byte of their file and besides. Files of zeros
#: alone pack to a thousandth; those of weights, many of them zero, to a tenth.
UNPACKED_PER_BYTE: Final = 100
UNPACKED_IN_ALL: Final = 2**26

#: The most groups within each other; the files that are read here have five.
DEEPEST: Final = 20


#: How a heap of texts begins, four bytes before its length.
HEAP: Final = b"GCOL"


def arrays_in(file: h5py.File, content: bytes) -> dict[str, h5py.Dataset]:
    """Return the arrays of a file by their names, none of which is read.

    Parameters
    ----------
    file : h5py.File
        The file.
    content : bytes
        What it consists of.

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
                _check_texts(name, node, content)
                # A part of a chunk is had by unpacking the whole chunk.
                claimed += max(node.nbytes, node.dtype.itemsize * math.prod(node.chunks or ()))
                most = UNPACKED_IN_ALL + UNPACKED_PER_BYTE * len(content)
                # What a chunk takes in the file is taken as memory before it is read.
                if claimed > most or node.id.get_storage_size() > len(content):
                    raise ValueError(f"its array {name!r} claims more than the file can hold")
    return found


def _check_texts(name: str, node: h5py.Dataset, content: bytes) -> None:
    """Refuse texts in a heap that is not in the file as a whole.

    The library takes the memory that a heap claims before it looks whether there is one. An element
    is the length of a text, the address of its heap, and a number in the heap.
    """
    place = node.id.get_offset()
    if place is None or (h5py.check_vlen_dtype(node.dtype) is None and not _is_text(node)):
        return
    n_address, n_length = node.file.id.get_create_plist().get_sizes()
    n_element = 4 + n_address + 4
    for start in range(place, place + node.id.get_storage_size(), n_element):
        address = _number(content, start + 4, n_address)
        if address == 0 and _number(content, start, 4) == 0:
            continue
        heap = address + node.file.userblock_size
        length = _number(content, heap + 8, n_length)
        if content[heap : heap + 4] != HEAP or length > len(content) - heap:
            raise ValueError(f"the heap of its texts {name!r} is not in the file")


def _is_text(node: h5py.Dataset) -> bool:
    text = h5py.check_string_dtype(node.dtype)
    return text is not None and text.length is None


def _number(content: bytes, start: int, n_bytes: int) -> int:
    return int.from_bytes(content[start : start + n_bytes], "little")
