"""Kernels that are compiled beside the work, in another process, while the work goes on.

A kernel that is neither in this process nor in the cache is asked for. A thread hands what is asked
for to `compiler`, one process after the other, and loads what it has left in the cache. Where that
fails, for whatever reason, the kernel is compiled in this process when it is next called.
"""

from __future__ import annotations

import atexit
import logging
import os
import pickle
import platform
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock, Thread
from typing import Any, Final, NamedTuple

from numba import typeof

from spikebp_plugins.common.notice import announced
from spikebp_plugins.compiled.kernels.cache import KernelCache, kernel_folder


class Wanted(NamedTuple):
    """A kernel, and the types of its arguments in Numba."""

    kernel: Any
    types: tuple[Any, ...]


def wanted(kernel: Any, *arguments: Any) -> Wanted:
    """Return a kernel as it is called with arguments such as these."""
    return Wanted(kernel, tuple(map(typeof, arguments)))


#: What is in no cache, and has not been compiled beside either.
_missing: set[Wanted] = set()
#: What has been asked for.
_asked: set[Wanted] = set()
#: What the thread is to hand over next, and the thread, unless there is nothing to do.
_queue: list[Wanted] = []
_worker: Thread | None = None
_lock = Lock()
#: Held while the thread loads a kernel: neither may the process end meanwhile, which would take the
#: libraries from the thread, nor fork, which would leave Numba's locks closed for good.
_loading = Lock()
_is_over = False

_SLOW_START: Final = (
    "the kernels of this network are being compiled, once for this machine; until they are ready "
    "the reference computes the same results, only slower (spikebp warmup compiles ahead)"
)


def is_possible(kernel: Any) -> bool:
    """Whether this process can start another that leaves kernels where this one finds them."""
    # A frozen program is no interpreter: it would run itself again.
    is_python = bool(sys.executable) and not getattr(sys, "frozen", False)
    return is_python and isinstance(kernel._cache, KernelCache)


def are_ready(wanted: Iterable[Wanted]) -> bool:
    """Return whether kernels can be called without waiting for a compiler.

    What lies in the cache is loaded, which takes some hundredths of a second.
    """
    ready = [_is_ready(each) for each in wanted]  # of all: what is missing can be asked for then
    return all(ready)


def ask(wanted: Iterable[Wanted]) -> None:
    """Have kernels compiled beside, unless that has been asked for before."""
    global _worker
    with _lock:
        new = [each for each in wanted if each in _missing and each not in _asked]
        if not new:
            return
        if not _asked:
            logging.getLogger("spikebp_plugins").warning(_SLOW_START)
        _asked.update(new)
        _queue.extend(new)
        if _worker is None:
            # A daemon: at the end of this process it must not wait for the compiler.
            _worker = Thread(target=_work, name="spikebp-compiler", daemon=True)
            _worker.start()


def _is_ready(wanted: Wanted) -> bool:
    kernel, types = wanted
    if types in kernel.overloads:
        return True
    if wanted in _missing:
        return False
    if wanted not in _asked and not kernel._cache.holds(types, kernel.targetctx):
        _missing.add(wanted)
        return False
    # From the cache. If what was asked for is not there, no other process can compile it.
    with announced(wanted):
        kernel.compile(types)
    return True


def _work() -> None:
    global _worker
    while True:
        with _lock:
            batch = _queue.copy()
            _queue.clear()
            if not batch:
                _worker = None
                return
        try:
            _compile(batch)
        finally:
            _missing.difference_update(batch)


def _compile(batch: list[Wanted]) -> None:
    """Compile in another process, which goes on after this one ends; wait for it."""
    folder = kernel_folder()
    lock = folder / f"compiling on {platform.node()}.lock"
    names = [(kernel.py_func.__module__, kernel.py_func.__name__, types) for kernel, types in batch]
    try:
        request = pickle.dumps(names)
        program = subprocess.Popen(
            [sys.executable, "-m", "spikebp_plugins.compiled.compiler", str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,  # Python imports from here first, and here is nothing to import
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            start_new_session=True,  # Ctrl-C is for the work, not for the compiler
        )
    except (OSError, pickle.PicklingError, AttributeError):
        return
    with program, suppress(OSError, ValueError):
        program.stdin.write(request)  # type: ignore[union-attr]
        program.stdin.close()  # type: ignore[union-attr]
        for line in program.stdout:  # type: ignore[union-attr]
            _load(batch[int(line)])


def _load(wanted: Wanted) -> None:
    """Load a kernel from the cache, so that nobody else waits for that either."""
    kernel, types = wanted
    with _loading, suppress(Exception):  # whoever calls it next sees what is wrong with it
        if not _is_over and kernel._cache.holds(types, kernel.targetctx):
            kernel.compile(types)
    _missing.discard(wanted)


@atexit.register
def _end() -> None:
    """Load nothing any more."""
    global _is_over
    with _loading:
        _is_over = True


def _import_path() -> list[str]:
    """Return where this process imports from, as it is seen from any folder."""
    return [os.path.abspath(place) for place in sys.path]


def _start_anew() -> None:
    """Forget, in a process that was forked, what only the thread of its parent can end."""
    global _worker, _lock, _loading
    _worker, _lock, _loading = None, Lock(), Lock()
    _missing.clear()
    _asked.clear()
    _queue.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: _loading.acquire(),
        after_in_parent=lambda: _loading.release(),
        after_in_child=_start_anew,
    )
