"""Calls of `pause` and `stop` that come while the graph is made that they are meant for.

Lava makes a graph in its first run, and ignores both meanwhile. Here they are kept until the run
has begun, and end it then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

#: What is asked of processes and runtimes, by the thread that makes a graph, while it does so.
_asked: Final[dict[int, WeakKeyDictionary[Any, str]]] = {}


@contextmanager
def first_run() -> Iterator[None]:
    """Keep in this context, in which this thread makes graphs and runs them, what is asked."""
    thread = threading.get_ident()
    if thread in _asked:
        yield
        return
    _asked[thread] = WeakKeyDictionary()
    try:
        yield
    finally:
        del _asked[thread]


def ask(target: Any, what: str) -> None:
    """Ask a process or a runtime for a "pause" or a "stop" as soon as its graph is made."""
    for asked in list(_asked.values()):
        asked[target] = max(what, asked.get(target, what))  # "stop" is more


def asked_of(targets: Iterable[Any]) -> str | None:
    """Return what this thread has kept of what was asked of any of these, and forget it."""
    asked: Any = _asked.get(threading.get_ident(), {})
    return max(filter(None, [asked.pop(each, None) for each in targets]), default=None)
