"""Objects whose methods are synchronized: one runs at a time, whatever threads call them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class LockHolder(Protocol):
    """An object with a reentrant lock."""

    _lock: RLock


Holder = TypeVar("Holder", bound=LockHolder)


def synchronized(
    method: Callable[Concatenate[Holder, P], R],
) -> Callable[Concatenate[Holder, P], R]:
    """Return a method that holds the lock of its object while it runs."""

    @wraps(method)
    def waiting(self: Holder, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return waiting
