"""Where compiled kernels are kept between processes.

Numba finds a kernel stale by its own file alone, but kernels call each other across files. Here
they are kept in a folder that is named for the sources of all of them, and for what compiles them:
environments that agree in both share what is compiled, once for a machine. It lies where the user's
caches are, or where ``NUMBA_CACHE_DIR`` says.
"""

from __future__ import annotations

import platform
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import llvmlite
import numba
import numpy as np
import platformdirs
from numba.core import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)


@cache
def kernel_folder() -> Path:
    """Return the folder of what is compiled from the present sources of kernels.

    Raises
    ------
    OSError
        If there are no sources to name it for, as in a zip archive.
    """
    made_of = [numba.__version__, llvmlite.__version__, np.__version__, platform.python_version()]
    digest = sha256(repr(made_of).encode())
    # This file is one of them, and must be there.
    for path in sorted({Path(__file__), *Path(__file__).parent.glob("*.py")}):
        text = path.read_bytes()
        digest.update(f"{path.name} {len(text)}\n".encode() + text)
    named: str = config.CACHE_DIR  # type: ignore[attr-defined]
    place = named or platformdirs.user_cache_dir("spikebp-plugins")
    return Path(place) / "kernels" / digest.hexdigest()[:32]


class KernelLocator(_CacheLocator):
    """Names :func:`kernel_folder` as the place of a kernel."""

    def get_cache_path(self):
        """Return the folder."""
        return str(kernel_folder())

    def get_source_stamp(self):
        """Return what tells versions of a source from each other: the folder does."""
        return None

    def get_disambiguator(self):
        """Return what tells kernels of one name from each other: their files do."""
        return "kernel"

    @classmethod
    def from_function(cls, py_func, py_file):
        """Return a locator for any kernel."""
        return cls()


class KernelFile(IndexDataCacheFile):
    """The compiled forms of a kernel, and their index.

    Numba numbers the forms, and two processes that save at once may both take a number: the index
    would then lead to code for other types.
    """

    def save(self, key, data):
        """Save a form under a name that no other has, and then where it is."""
        name = self._data_name(uuid4().int)
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})


class KernelCacheImpl(CompileResultCacheImpl):
    """What Numba asks where a kernel is kept."""

    _locator_classes = [KernelLocator]  # type: ignore[list-item] # noqa: RUF012


class KernelCache(FunctionCache):
    """The cache of a kernel."""

    _impl_class = KernelCacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        self._impl.locator.ensure_cache_path()
        names = self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        self._cache_file = KernelFile(*names)
