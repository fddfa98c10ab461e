"""Signals: deferred for a moment, and what becomes of the processes that a script has started."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import unwrap
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1

#: The function that ``signal.getsignal`` wraps, to make members of an enumeration of what are no
#: handlers: that takes ten times as long, and every run asks for all signals.
_handler_of: Final = unwrap(signal.getsignal)


@contextmanager
def signals_deferred() -> Iterator[dict[int, Any]]:
    """Call the handlers of signals that arrive in this context at its end, and yield the handlers.

    Those alone that are written in Python; another thread than the main one calls none.
    """
    arrived: dict[int, Any] = {}
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: _handler_of(number) for number in range(1, signal.NSIG)}
        handlers.update((number, handler) for number, handler in found.items() if callable(handler))

    def call() -> None:
        with ExitStack() as calls:  # it calls all, if one of them raises too
            for number, frame in arrived.items():
                calls.callback(handlers[number], number, frame)

    with ExitStack() as at_end:
        at_end.callback(call)
        for number, handler in handlers.items():
            at_end.callback(signal.signal, number, handler)
            signal.signal(number, arrived.setdefault)
        yield handlers


#: The id of the process whose children end with it, and its handlers of signals; set while it
#: starts them.
_starting: tuple[int, dict[int, Any]] | None = None


@contextmanager
def children_end_with_us() -> Iterator[None]:
    """Let children ignore Ctrl-C, which is for their parent, and end when their parent ends.

    Signals that arrive meanwhile are deferred: an exception of a handler might otherwise come
    between the fork of a child and the moment in which Lava knows of it.
    """
    global _starting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with signals_deferred() as handlers:
        _starting = os.getpid(), handlers
        try:
            yield
        finally:
            _starting = None


def _end_with_parent() -> None:
    global _starting
    if _starting is None:
        return
    (parent, handlers), _starting = _starting, None
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):  # no Linux
        return
    if os.getppid() != parent:
        os._exit(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_with_parent)
