"""Archives of arrays: the same bytes for the same arrays, written whole or not at all."""

from __future__ import annotations

import io
import math
import os
import platform
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikebp_plugins.common.errors import wrong_argument

PathLike = str | os.PathLike[str]

#: The most bytes of a header of an npy file, before its array; NumPy's own take a hundred.
LARGEST_HEADER: Final = 2**14

#: The most characters of what another library says of a damaged file: it may show all of it.
LONGEST_REASON: Final = 300

#: The earliest date that a zip file can hold. With real dates equal arrays would differ as files.
NO_DATE = (1980, 1, 1, 0, 0, 0)


class AnyArray(Protocol):
    """An array, or one of an archive that is not yet read."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its type."""

    def __array__(self, dtype: Any = None, /) -> NDArray[Any]: ...


class Place(NamedTuple):
    """Where a file is to be written: its path without links, and its state if it exists."""

    path: Path
    existing: os.stat_result | None


def place_of(path: PathLike, name: str = "path") -> Place:
    """Return where a file may be written, or refuse; nothing is changed.

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
    # A file system may be read-only even for one who may do everything.
    for needed, mode in ((target, os.W_OK), (target.parent, os.W_OK | os.X_OK)):
        if os.path.exists(needed) and not os.access(needed, mode):
            raise PermissionError(f"{given} cannot be written: no permission to write to {needed}")
    return Place(target, existing)


@contextmanager
def whole_file(path: PathLike) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when it is complete.

    An interrupted write leaves an earlier file as it was. A file that is replaced hands on its
    permissions and, as far as the user may, its owner. `place_of` says where files are written.
    """
    target, existing = place_of(path)
    _remove_abandoned(target.parent)
    # It has a name before it exists, so that an interrupt at any moment finds what to remove.
    name = os.fspath(target.parent / f"{_prefix()}{os.getpid()}-{secrets.token_hex(8)}")
    try:
        with open(name, "xb", opener=_private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if existing is None:
            mode = 0o666 & ~_umask()
        else:
            mode = stat.S_IMODE(existing.st_mode)
            _hand_over(name, existing)
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            os.unlink(name)
        # Of a disk that is full the system names no file, and otherwise the hidden one.
        if isinstance(error, OSError) and error.errno and error.filename in (None, name):
            raise type(error)(error.errno, error.strerror, os.fspath(path)) from error
        raise


def _private(name: str, flags: int) -> int:
    """Open a new file that is this user's alone."""
    return os.open(name, flags, 0o600)


def _hand_over(name: str, existing: os.stat_result) -> None:
    own = os.stat(name)
    if (own.st_uid, own.st_gid) != (existing.st_uid, existing.st_gid):
        with suppress(PermissionError):
            os.chown(name, existing.st_uid, existing.st_gid)


def _prefix() -> str:
    """Return how the names of unfinished files begin, before the number of the process."""
    # Machines that share a folder do not know each other's processes.
    machine = "".join(c if c.isalnum() else "_" for c in platform.node())[:40]
    return f".spikebp-{machine}-"


def _remove_abandoned(folder: Path) -> None:
    """Remove unfinished files of processes of this machine that are dead."""
    if os.name != "posix":  # elsewhere there is no harmless signal to ask with
        return
    prefix = _prefix()
    for file in folder.glob(f"{prefix}*-*"):
        process = file.name.removeprefix(prefix).partition("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            with suppress(OSError):
                file.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


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


class StoredArray:
    """An array of an archive that is open: it has a shape and a type, and is not yet read.

    ``np.asarray`` reads it. What it should be is compared with shape and type before: a small file
    can claim to hold more than the memory.

    Parameters
    ----------
    shape : tuple of int
        Shape, as the file states it.
    dtype : dtype
        Type, in the byte order of the machine.
    read : callable
        Returns the array.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[], NDArray[Any]]
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self._read = read

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an array of a file cannot be had without a copy")
        return self._read().astype(self.dtype if dtype is None else dtype, copy=False)


@contextmanager
def open_archive(path: PathLike, kind: str) -> Iterator[dict[str, StoredArray]]:
    """Open an npz file, whose arrays can be read within the ``with`` block.

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
        If the file is truncated, damaged, or no archive of plain arrays with different names; also
        when an array is read.
    """
    with open(path, "rb") as file:
        arrays: dict[str, StoredArray] = {}
        try:
            archive = zipfile.ZipFile(file)
            for entry in archive.infolist():
                name = entry.filename.removesuffix(".npy")
                if name in arrays:
                    raise ValueError(f"it has two arrays {name}")
                arrays[name] = _stored(archive, entry, partial(unreadable, path, kind))
        except Exception as error:
            # A damaged file can make zipfile, zlib and NumPy raise almost any type of error.
            raise unreadable(path, kind, error) from error
        with archive:
            yield arrays


def _stored(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, refuse: Callable[[object], ValueError]
) -> StoredArray:
    with archive.open(entry) as member:
        shape, dtype, header = _npy_header(member.read(LARGEST_HEADER))
    if entry.file_size != header + math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{entry.filename} has {entry.file_size} bytes, which do not hold {dtype} of shape "
            f"{shape}"
        )

    def read() -> NDArray[Any]:
        try:
            with archive.open(entry) as member:
                array: NDArray[Any] = np.lib.format.read_array(  # type: ignore[no-untyped-call]
                    member, allow_pickle=False
                )
                return array
        except Exception as error:
            raise refuse(error) from error

    return StoredArray(shape, dtype.newbyteorder("="), read)


def _npy_header(start: bytes) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape and type that an npy file states, and the length of its header."""
    buffer = io.BytesIO(start)
    version = np.lib.format.read_magic(buffer)  # type: ignore[no-untyped-call]
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(buffer)  # type: ignore[no-untyped-call]
    else:
        header = np.lib.format.read_array_header_2_0(buffer)  # type: ignore[no-untyped-call]
    shape, _, dtype = header
    if dtype.hasobject:
        raise ValueError("it holds objects of Python")
    return shape, dtype, buffer.tell()


def unreadable(path: PathLike, kind: str, reason: object) -> ValueError:
    """Return the error for a file that is not what it should be."""
    return ValueError(f"{os.fspath(path)} is not a readable {kind}: {in_one_line(reason)}")


def in_one_line(reason: object) -> str:
    """Return what is wrong with a file as a line that is not too long."""
    text = " ".join(str(reason).split())
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]} ..."


def check_version(path: PathLike, kind: str, name: str, array: AnyArray, newest: int) -> None:
    """Refuse a file whose array `name` is no version of its format, or one after `newest`."""
    found = scalar(array)
    if found is None or found < 1:
        raise unreadable(path, kind, f"{name} must be a positive integer")
    if found > newest:
        raise ValueError(
            f"{os.fspath(path)} has {kind} format {found}, newer than the {newest} that this "
            "version of spikebp-plugins reads"
        )


def scalar(array: AnyArray) -> int | None:
    """Return the integer that an array holds, or None if it holds anything else."""
    is_integer = array.shape == () and array.dtype.kind == "i"
    return int(np.asarray(array)) if is_integer else None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
