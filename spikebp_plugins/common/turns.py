"""Objects whose methods run one at a time, whatever threads call them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import RLock
from typing import Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Turn:
    """A lock that its thread may take again.

    Attributes
    ----------
    lock : RLock
        To be entered itself: an interrupt finds it taken within the block, or not at all.
    """

    def __init__(self) -> None:
        self.lock = RLock()


class TakesTurns(Protocol):
    """An object with a lock."""

    _turn: Turn


Owner = TypeVar("Owner", bound=TakesTurns)


def one_at_a_time(
    method: Callable[Concatenate[Owner, P], R],
) -> Callable[Concatenate[Owner, P], R]:
    """Return a method that waits until no other thread is in one of its object."""

    @wraps(method)
    def waiting(self: Owner, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._turn.lock:
            return method(self, *args, **kwargs)

    return waiting
