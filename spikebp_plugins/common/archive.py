"""Archives of arrays: a file is written whole or not at all.

Equal arrays give equal bytes, if the same library compresses them.
"""

from __future__ import annotations

import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.common.unfinished_files import hidden_name, opened, remove_unfinished

PathLike = str | os.PathLike[str]
FileLike = PathLike | IO[bytes]

#: The most characters of another library's message on a damaged file, which may quote all of it.
LONGEST_REASON: Final = 300

#: No more bytes come from one that is compressed.
MOST_FROM_A_BYTE: Final = 1032
#: Zip files hold entries from this size on in another way.
LARGE: Final = 2**30
#: How many bytes are read at a time.
PART: Final = 2**20


class FileTarget(NamedTuple):
    """The target of a file to write: its path without links, and its state if it exists."""

    path: Path
    existing: os.stat_result | None


def file_target(path: PathLike, name: str = "path") -> FileTarget:
    """Return the target of a file, or raise OSError if it cannot be written; change nothing.

    A link is followed. What exists must be a regular file that may be written to: a file is
    replaced as a whole, and a device or a pipe must not be.

    Parameters
    ----------
    path : str or path-like
        The file, which may exist.
    name : str, default="path"
        The name of the argument, for the message.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    PermissionError
        If the file or its folder may not be written to.
    ValueError
        If the path is no name of a file, or something else has that name.
    """
    given = os.fspath(path)
    if os.path.basename(given) in ("", os.curdir, os.pardir) or "\0" in given:
        raise wrong_argument(name, "the name of a file", repr(given))
    target = Path(os.path.realpath(given))
    try:
        existing = os.stat(given)
    except FileNotFoundError:
        existing = None
    if existing is not None and not stat.S_ISREG(existing.st_mode):
        what = "a folder" if stat.S_ISDIR(existing.st_mode) else "no regular file"
        raise wrong_argument(name, "a regular file, or a new one", f"{given}, which is {what}")
    if not target.parent.is_dir():
        folder = target.parent if os.path.islink(given) else Path(given).parent
        raise FileNotFoundError(f"there is no folder {folder} to write {target.name} to")
    # A file system may be read-only even for an administrator.
    for needed, mode in ((target, os.W_OK), (target.parent, os.W_OK | os.X_OK)):
        if os.path.exists(needed) and not os.access(needed, mode):
            raise PermissionError(f"{given} cannot be written: no permission to write to {needed}")
    return FileTarget(target, existing)


@contextmanager
def whole_file(path: FileLike) -> Iterator[IO[bytes]]:
    """Open a file for writing; it appears under its name only when it is complete.

    An interrupted write leaves an earlier file as it was. A file that is replaced hands on its
    permissions. `file_target` says where files are written. A file object gets all bytes at the
    end.
    """
    if not isinstance(path, (str, os.PathLike)):
        _check_file(path, "write")
        buffer = io.BytesIO()
        yield buffer
        _write_all(path, buffer.getvalue())
        return
    target, existing = file_target(path)
    remove_unfinished(target.parent)
    # It has a name before it exists, so that after an interrupt at any time it can be removed.
    name = hidden_name(target.parent)
    try:
        # The content may be private: only this user can read it from the start.
        with opened(name, 0o666 if existing is None else 0o600) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if os.name == "nt":  # which renames no file that is open
                file.close()
            if existing is not None:
                os.chmod(name, stat.S_IMODE(existing.st_mode))
            os.replace(name, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(name)
        # For a full disk the system names no file, and for other errors the hidden file.
        if isinstance(error, OSError) and error.errno and error.filename in (None, name):
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
        raise


def _check_file(file: Any, method: str) -> None:
    """Refuse what is neither a path nor a file of bytes with a method, "read" or "write"."""
    if not hasattr(file, method) or isinstance(file, io.TextIOBase):
        raise wrong_argument("path", f"a path, or a file open to {method} bytes", repr(file))


def _write_all(file: Any, content: bytes) -> None:
    """Write bytes to a file object, of which a raw one may take some at a time."""
    if not isinstance(file, io.RawIOBase):
        file.write(content)
        return
    buffered = io.BufferedWriter(file)
    try:
        buffered.write(content)
        buffered.flush()
    finally:
        buffered.detach()


def write_archive(path: FileLike, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to a compressed npz file, whole or not at all, a part of an array at a time.

    NumPy's own ``savez_compressed`` may stamp the time and the platform into the file.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            plain = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            parts: list[bytes | memoryview] = [_header(plain), *_parts(plain)]
            is_large = plain.nbytes > LARGE
            # The search for what repeats takes twice as long and finds nothing in weights: equal
            # bytes in a row are found without. Since zipfile cannot leave it out, it is given what
            # is compressed, and then what its header and its list of contents are to say.
            packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS, strategy=zlib.Z_RLE)
            size = checksum = 0
            # Without a date, since a name is all that is given.
            with archive.open(f"{name}.npy", "w", force_zip64=is_large) as entry:
                for part in parts:
                    size, checksum = size + len(part), zlib.crc32(part, checksum)
                    entry.write(packer.compress(part))
                entry.write(packer.flush())
            written = archive.getinfo(f"{name}.npy")
            written.compress_type = zipfile.ZIP_DEFLATED
            written.file_size, written.CRC = size, checksum
            written.create_system, written.external_attr = 3, 0o644 << 16
            end = file.tell()
            file.seek(written.header_offset)
            file.write(written.FileHeader(is_large))
            file.seek(end)


def _header(array: NDArray[Any]) -> bytes:
    """Return what an npy file has before the numbers."""
    header = io.BytesIO()
    about: Any = np.lib.format.header_data_from_array_1_0(array)  # type: ignore[no-untyped-call]
    np.lib.format.write_array_header_1_0(header, about)  # type: ignore[no-untyped-call]
    return header.getvalue()


def equal_arrays(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether arrays have the same names and values."""
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def read_archive(path: FileLike, kind: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file, which is read a part at a time.

    Parameters
    ----------
    path : str, path-like or file object
        The file; of a file object all is read that is left.
    kind : str
        The expected kind of file, for the message.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is truncated, damaged, or no archive of numbers with different names.
    """
    with _readable(path) as file:
        arrays: dict[str, NDArray[Any]] = {}
        try:
            with zipfile.ZipFile(file) as archive:
                left = file.seek(0, os.SEEK_END)
                if min((entry.header_offset for entry in archive.infolist()), default=0) > 0:
                    raise ValueError("something else comes before its arrays")
                for entry in archive.infolist():
                    name = entry.filename.removesuffix(".npy")
                    left -= entry.compress_size
                    if left < 0 or entry.file_size > MOST_FROM_A_BYTE * entry.compress_size:
                        raise ValueError(f"its array {name} claims too much")
                    if name in arrays:
                        raise ValueError(f"it has two arrays {name}")
                    with archive.open(entry) as content:
                        arrays[name] = _array(name, content, entry.file_size)
        except Exception as error:
            # A damaged file can make zipfile and NumPy raise almost any type of error.
            raise unreadable(path, kind, error) from error
    return arrays


def _readable(path: FileLike) -> IO[bytes]:
    """Return a file that can be read anywhere."""
    if isinstance(path, (str, os.PathLike)):
        return open(path, "rb")
    _check_file(path, "read")
    return io.BytesIO(path.read())


def name_of(path: FileLike) -> str:
    """Return the name of a file for a message."""
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else f"the {type(path).__name__}"


def _parts(array: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the bytes of an array that lies in the order of C, some at a time."""
    content: Any = array.reshape(-1).view(np.uint8)
    for start in range(0, len(content), PART):
        yield memoryview(content[start : start + PART])


def _array(name: str, file: IO[bytes], size: int) -> NDArray[Any]:
    """Return the numbers of an npy file, which may state another shape than it has bytes for."""
    if np.lib.format.read_magic(file) != (1, 0):  # type: ignore[no-untyped-call]
        raise ValueError(f"its array {name} has no header of version 1.0")
    header: Any = np.lib.format.read_array_header_1_0(file)  # type: ignore[no-untyped-call]
    shape, is_fortran, dtype = header
    if dtype.kind not in "biuf" or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"its array {name} does not hold {dtype} of shape {shape}")
    array: NDArray[Any] = np.empty(shape, dtype, order="F" if is_fortran else "C")
    for part in _parts(array.T if is_fortran else array):
        part[:] = file.read(len(part))
    if file.read(1):  # with the last byte its checksum is compared
        raise ValueError(f"its array {name} has more than its shape")
    return array.astype(dtype.newbyteorder("="), copy=False)


def unreadable(path: FileLike, kind: str, reason: object) -> ValueError:
    """Return the error for a file that is damaged or of another kind."""
    return ValueError(f"{name_of(path)} is not a readable {kind}: {in_one_line(reason)}")


def in_one_line(reason: object) -> str:
    """Return the reason why a file is refused as one short line."""
    text = " ".join(str(reason).split())
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


def check_version(path: FileLike, kind: str, name: str, array: NDArray[Any], read: int) -> None:
    """Refuse a file whose array `name` is not the version of its format that is read."""
    found = scalar(array)
    if found is None or found < 1:
        raise unreadable(path, kind, f"{name} must be a positive integer")
    if found != read:
        age = "newer" if found > read else "older"
        raise ValueError(
            f"{name_of(path)} has {kind} format {found}, {age} than the {read} that this "
            "version of spikebp-plugins reads"
        )


def scalar(array: NDArray[Any]) -> int | None:
    """Return the integer that an array holds, or None if it holds anything else."""
    is_integer = array.shape == () and array.dtype.kind == "i"
    return int(array) if is_integer else None
