"""A notice that a kernel is being compiled, for compilations that take noticeably long."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, Final

#: A kernel from the cache runs its first block in less time.
SECONDS_BEFORE_NOTICE: Final = 1.0

#: The kernels that this process has called before.
_called: set[Any] = set()


@contextmanager
def announced(kernel: Any) -> Iterator[None]:
    """Say that a kernel is being compiled if its first call takes long."""
    if kernel in _called:
        yield
        return
    timer = Timer(SECONDS_BEFORE_NOTICE, _say_that_it_compiles)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    _called.add(kernel)


def _say_that_it_compiles() -> None:
    message = "compiling the kernels of this network, once for this machine ..."
    if sys.stderr.isatty():
        print(message, file=sys.stderr, flush=True)
    else:
        logging.getLogger("spikebp_plugins").info(message)
