"""Notices: warnings, what is said once, and that code is being compiled, if that takes long."""

from __future__ import annotations

import logging
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from threading import Timer
from typing import Any, Final

#: Code from a cache is loaded in less time. A longer wait is announced.
SECONDS_BEFORE_NOTICE: Final = 1.5

#: The calls of this process so far.
_called: set[Any] = set()

_NOTHING: Final = nullcontext()


def warn(message: str) -> None:
    """Give a RuntimeWarning, with the line outside this package that has called it."""
    frame, depth = sys._getframe(1), 2
    inside = "spikebp_plugins."
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(inside):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, RuntimeWarning, stacklevel=depth)


def announced(call: Any) -> AbstractContextManager[None]:
    """Return a context manager that announces a compilation if its first call takes long."""
    return _NOTHING if call in _called else _Notice(call)


class _Notice(AbstractContextManager[None]):
    """The first call."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._timer = Timer(SECONDS_BEFORE_NOTICE, _say_that_it_compiles)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        if error[0] is None:
            _called.add(self._call)


def _say_that_it_compiles() -> None:
    _say("compiling the code of this network, once for this machine ...")


@cache
def say_once(text: str) -> None:
    """Say something the first time that this is called with it."""
    _say(text)


def _say(text: str) -> None:
    # A warning is shown even if logging is not set up: on terminals, in logs, and in notebooks.
    logging.getLogger("spikebp_plugins").warning(text)
