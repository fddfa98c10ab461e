"""Files that are being written under a hidden name, and those that a kill has left behind.

Who writes such a file holds a lock on it, which the system takes back when the process ends: so
what nobody holds is unfinished for ever. On Windows, where nobody can remove a file that is open,
there are no such locks.
"""

from __future__ import annotations

import os
import secrets
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

try:
    import fcntl
except ImportError:  # on Windows
    fcntl: Any = None  # type: ignore[no-redef]

PREFIX: Final = ".spikebp-"
#: Bytes of the random part of a name.
RANDOM_BYTES: Final = 8


def hidden_name(folder: Path) -> str:
    """Return the name of a file that is not there yet."""
    return os.fspath(folder / f"{PREFIX}{secrets.token_hex(RANDOM_BYTES)}")


def opened(name: str, mode: int) -> IO[bytes]:
    """Open a new file that nobody else takes for an unfinished one."""
    file = _created(name, mode)
    with suppress(OSError):  # of a file system without locks
        _lock(file, wait=True)
    # Another process may have been quicker, and have removed it.
    return file if os.path.exists(name) else opened(name, mode)


def remove_unfinished(folder: Path) -> None:
    """Remove the files in a folder that processes have left behind."""
    for path in folder.glob(f"{PREFIX}{'[0-9a-f]' * 2 * RANDOM_BYTES}"):
        # Where a file that is open can be removed, the lock says whether it is.
        with suppress(OSError), nullcontext() if fcntl is None else open(path, "r+b") as file:
            _lock(file, wait=False)
            os.unlink(path)


def _created(name: str, mode: int) -> IO[bytes]:
    return open(name, "xb", opener=partial(os.open, mode=mode))


def _lock(file: Any, wait: bool) -> None:
    """Lock a file, or raise OSError."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
