"""Signals that are deferred for a moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from inspect import unwrap
from typing import Final

#: The function that ``signal.getsignal`` wraps, to make members of an enumeration of what are no
#: handlers: that takes ten times as long, and every run asks for all signals.
_handler_of: Final = unwrap(signal.getsignal)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Call the handlers of signals that arrive in this context at its end.

    Those alone that are written in Python; another thread than the main one calls none.
    """
    with ExitStack() as arrived, ExitStack() as deferred:  # all are called, if one raises too
        if threading.current_thread() is threading.main_thread():
            for number in range(1, signal.NSIG):
                if callable(handler := _handler_of(number)):
                    deferred.callback(signal.signal, number, handler)
                    signal.signal(number, partial(arrived.callback, handler))
        yield
