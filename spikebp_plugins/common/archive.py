"""Archives of arrays: the same bytes for the same arrays, written whole or not at all."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

PathLike = str | os.PathLike[str]

#: The earliest date that a zip file can hold. With real dates equal arrays would differ as files.
NO_DATE = (1980, 1, 1, 0, 0, 0)


@contextmanager
def whole_file(path: PathLike) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when it is complete.

    An interrupted write leaves an earlier file as it was.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes a private file: give it the permissions of the user's other files.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_archive(path: PathLike, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an uncompressed npz file, whole or not at all.

    NumPy's own ``savez`` may stamp the time and the platform into the file.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            np.lib.format.write_array(  # type: ignore[no-untyped-call]
                buffer, plain, allow_pickle=False
            )
            entry = zipfile.ZipInfo(f"{name}.npy", NO_DATE)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue())


def read_archive(path: PathLike, kind: str) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file.

    Parameters
    ----------
    path : str or path-like
        The file.
    kind : str
        What the file should be, for the message.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, or no archive of plain arrays.
    """
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {
                    name.removesuffix(".npy"): _read_array(archive.read(name))
                    for name in archive.namelist()
                }
        except Exception as error:
            # A damaged file can make zipfile, zlib and NumPy raise almost any type of error.
            raise unreadable(path, kind, error) from error


def unreadable(path: PathLike, kind: str, reason: object) -> ValueError:
    """Return the error for a file that is not what it should be."""
    return ValueError(f"{os.fspath(path)} is not a readable {kind}: {reason}")


def check_version(path: PathLike, kind: str, name: str, found: NDArray[Any], newest: int) -> None:
    """Refuse a file whose array `name` is no version of its format, or one after `newest`."""
    if found.shape != () or found.dtype.kind != "i" or found < 1:
        raise unreadable(path, kind, f"{name} must be a positive integer")
    if found > newest:
        raise ValueError(
            f"{os.fspath(path)} has {kind} format {found}, newer than the {newest} that this "
            "version of spikebp-plugins reads"
        )


def _read_array(data: bytes) -> NDArray[Any]:
    array: NDArray[Any] = np.lib.format.read_array(  # type: ignore[no-untyped-call]
        io.BytesIO(data), allow_pickle=False
    )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
