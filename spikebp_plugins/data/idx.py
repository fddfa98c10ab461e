"""Reading of IDX files, the format in which MNIST and its relatives are published."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

GZIP_MAGIC: Final = b"\x1f\x8b"

#: The third byte of the magic number names the type of the elements, which are big-endian.
ELEMENT_TYPES: Final = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

#: The most dimensions that NumPy 1.26 supports. A file that states more is no IDX file.
MOST_DIMENSIONS: Final = 32

BYTES_AT_A_TIME: Final = 2**20

#: Gzipped contents that are larger are counted before they are kept: a small file can unpack to
#: more than the memory.
KEPT_UNCOUNTED: Final = 2**26


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
    path = Path(path)
    with _opened(path) as file:
        start = file.read(4)
        element_type, n_dimensions = _magic_number(path, start)
        header = np.dtype(">u4").itemsize * (1 + n_dimensions)
        sizes = file.read(header - len(start))
        if len(sizes) < header - len(start):
            raise ValueError(f"{path} is truncated within its header of {header} bytes")
        shape = tuple(np.frombuffer(sizes, ">u4").tolist())
        n_bytes = math.prod(shape) * element_type.itemsize
        content = bytearray()
        if n_bytes <= KEPT_UNCOUNTED:
            for part in _parts(file, n_bytes + 1):
                content += part
            n_there = len(content)
        else:
            n_there = sum(map(len, _parts(file, n_bytes + 1)))
        if n_there > n_bytes:
            raise ValueError(
                f"{path} has trailing bytes: shape {shape} needs {header + n_bytes} bytes"
            )
        if n_there < n_bytes:
            raise ValueError(
                f"{path} is truncated: shape {shape} needs {header + n_bytes} bytes, but there are "
                f"{header + n_there}"
            )
        if len(content) < n_bytes:
            file.seek(header)
            for part in _parts(file, n_bytes):
                content += part
    try:
        elements = np.frombuffer(content, element_type).reshape(shape)
    except ValueError as error:  # no elements, but more rows or columns than an array can have
        raise ValueError(f"{path} has the shape {shape}: {error}") from error
    return elements.astype(element_type.newbyteorder("="), copy=False)


def _parts(file: IO[bytes] | gzip.GzipFile, most: int) -> Iterator[bytes]:
    """Yield what follows in a file, at most so many bytes."""
    while most and (part := file.read(min(most, BYTES_AT_A_TIME))):
        yield part
        most -= len(part)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    with path.open("rb") as file:
        is_zipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        if not is_zipped:
            yield file
            return
        try:
            with gzip.open(file) as unzipped:
                yield unzipped
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{path} is broken gzip: {error}") from error


def _magic_number(path: Path, start: bytes) -> tuple[np.dtype[Any], int]:
    """Return the type of the elements and the number of dimensions from the first four bytes."""
    if len(start) < 4:
        raise ValueError(f"{path} is truncated: {len(start)} bytes hold no IDX header")
    zeros, type_code, n_dimensions = start[:2], start[2], start[3]
    if zeros != b"\0\0" or not 1 <= n_dimensions <= MOST_DIMENSIONS:
        raise ValueError(
            f"{path} is not an IDX file: its magic number is 0x{start.hex()}, "
            "where 0x00000803 would mean images and 0x00000801 labels"
        )
    if type_code not in ELEMENT_TYPES:
        known = ", ".join(f"0x{code:02x}" for code in ELEMENT_TYPES)
        raise ValueError(f"{path} has the element type 0x{type_code:02x}, but IDX has only {known}")
    return np.dtype(ELEMENT_TYPES[type_code]), n_dimensions
