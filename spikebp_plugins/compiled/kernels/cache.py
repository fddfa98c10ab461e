"""Where compiled kernels are kept between processes.

Numba compiles a cached kernel anew only if the file of that kernel has changed, but kernels call
each other across files. Here the name of the cache folder is a hash of the sources of all kernels
and of the versions that compile them. Environments that agree in both share their compiled kernels.
The folder lies among the user's caches, or in ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

import pickle
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
    """Return the cache folder for the present sources of kernels.

    Raises
    ------
    OSError
        If the sources cannot be read, as in a zip archive.
    """
    made_of = [numba.__version__, llvmlite.__version__, np.__version__, platform.python_version()]
    digest = sha256(repr(made_of).encode())
    # This file is listed although `glob` finds it: where there are no sources, reading it fails.
    for path in sorted({Path(__file__), *Path(__file__).parent.glob("*.py")}):
        text = path.read_bytes()
        digest.update(f"{path.name} {len(text)}\n".encode() + text)
    named: str = config.CACHE_DIR  # type: ignore[attr-defined]
    place = named or platformdirs.user_cache_dir("spikebp-plugins")
    return Path(place) / "kernels" / digest.hexdigest()[:32]


class KernelLocator(_CacheLocator):
    """Tells Numba to keep a kernel in :func:`kernel_folder`."""

    def get_cache_path(self):
        """Return the folder."""
        return str(kernel_folder())

    def get_source_stamp(self):
        """Return no stamp: the name of the folder already tells versions of a source apart."""
        return None

    def get_disambiguator(self):
        """Return a constant: the names of files already tell kernels of equal names apart."""
        return "kernel"

    @classmethod
    def from_function(cls, py_func, py_file):
        """Return a locator for any kernel."""
        return cls()


class KernelFile(IndexDataCacheFile):
    """The compiled code of a kernel for each combination of argument types, and its index.

    Numba numbers the codes of a kernel. Two processes that save at once may take the same number:
    the index would then lead to code for other types. And Numba trusts what it reads. Here code
    comes with its checksum, and what is damaged is as good as not there: it is made anew.
    """

    def load(self, key):
        """Return the code for some types, or None if there is none that is whole."""
        try:
            return super().load(key)
        except Exception:  # damaged bytes can make pickle raise almost anything
            return None

    def save(self, key, data):
        """Save the code for some types under a unique name, then enter the name in the index."""
        name = self._data_name(uuid4().int)
        self._save_data(name, data)
        self._save_index({**self._load_index(), key: name})

    def _load_index(self):
        try:
            return super()._load_index()
        except Exception:  # as in `load`
            return {}

    def _save_data(self, name, data):
        code = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(sha256(code).digest() + code)

    def _load_data(self, name):
        content = Path(self._data_path(name)).read_bytes()
        code = content[sha256().digest_size :]
        if content != sha256(code).digest() + code:
            raise ValueError("damaged code")
        return pickle.loads(code)


class KernelCacheImpl(CompileResultCacheImpl):
    """Makes Numba keep kernels where :class:`KernelLocator` says."""

    _locator_classes = [KernelLocator]  # type: ignore[list-item] # noqa: RUF012


class KernelCache(FunctionCache):
    """The cache of a kernel."""

    _impl_class = KernelCacheImpl

    def __init__(self, py_func):
        super().__init__(py_func)
        self._impl.locator.ensure_cache_path()
        names = self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        self._cache_file = KernelFile(*names)

    def holds(self, types, context):
        """Return whether there is code for some types."""
        return self._index_key(types, context.codegen()) in self._cache_file._load_index()
