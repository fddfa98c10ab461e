"""Reading of IDX files, the format in which MNIST and its relatives are published."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

GZIP_MAGIC: Final = b"\x1f\x8b"

#: The third byte of the magic number names the type of the elements, which are big-endian.
ELEMENT_TYPES: Final = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

#: The most dimensions that NumPy 1.26 supports. A file that states more is no IDX file.
MOST_DIMENSIONS: Final = 32


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array that an IDX file holds.

    Parameters
    ----------
    path : str or path-like
        The file, gzipped or not; its contents decide, not its name.

    Returns
    -------
    ndarray
        With the shape and element type that the file states, in the machine's byte order.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a whole IDX file: broken gzip, a wrong magic number, an unknown element type,
        or fewer or more bytes than its shape needs.

    Notes
    -----
    The format: two zero bytes, a byte for the element type, a byte for the number of dimensions,
    each dimension as a big-endian 32-bit integer, and the elements in C order.
    """
    content = _content(Path(path))
    element_type, n_dimensions = _magic_number(path, content)
    header = np.dtype(">u4").itemsize * (1 + n_dimensions)
    if len(content) < header:
        raise ValueError(f"{path} is truncated within its header of {header} bytes")
    shape = tuple(np.frombuffer(content, ">u4", n_dimensions, offset=4).tolist())
    needed = header + math.prod(shape) * element_type.itemsize
    if len(content) != needed:
        fault = "is truncated" if len(content) < needed else "has trailing bytes"
        raise ValueError(
            f"{path} {fault}: shape {shape} needs {needed} bytes, but there are {len(content)}"
        )
    elements = np.frombuffer(content, element_type, offset=header).reshape(shape)
    # A copy, because an array on top of `bytes` cannot be written to.
    return elements.astype(element_type.newbyteorder("="))


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is broken gzip: {error}") from error


def _magic_number(path: str | os.PathLike[str], content: bytes) -> tuple[np.dtype[Any], int]:
    if len(content) < 4:
        raise ValueError(f"{path} is truncated: {len(content)} bytes hold no IDX header")
    zeros, type_code, n_dimensions = content[:2], content[2], content[3]
    if zeros != b"\0\0" or not 1 <= n_dimensions <= MOST_DIMENSIONS:
        raise ValueError(
            f"{path} is not an IDX file: its magic number is 0x{content[:4].hex()}, "
            "where 0x00000803 would mean images and 0x00000801 labels"
        )
    if type_code not in ELEMENT_TYPES:
        known = ", ".join(f"0x{code:02x}" for code in ELEMENT_TYPES)
        raise ValueError(f"{path} has the element type 0x{type_code:02x}, but IDX has only {known}")
    return np.dtype(ELEMENT_TYPES[type_code]), n_dimensions
