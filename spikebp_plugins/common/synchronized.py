"""Objects whose methods run one at a time, whatever threads call them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class HasLock(Protocol):
    """An object with a lock, which its thread may take again."""

    _lock: RLock


Owner = TypeVar("Owner", bound=HasLock)


def synchronized(
    method: Callable[Concatenate[Owner, P], R],
) -> Callable[Concatenate[Owner, P], R]:
    """Return a method that waits until no other thread is in one of its object."""

    @wraps(method)
    def waiting(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return waiting
