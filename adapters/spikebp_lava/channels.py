"""Channels between Lava's processes that lose no wake-up, and need no threads.

Written for lava-nc 0.10. There each port has a thread, which takes down what arrives and wakes the
process that waits for it: every message costs two changes of threads at either end. Worse, the
thread checks *before* it queues a message whether the queue holds an older one, and wakes nobody if
so. A selector that takes the older message in between, and looks again, waits for ever. It also
reads the observer twice, and ends with a TypeError when a selector has gone in between; nothing
arrives from then on.

Here a process waits for the message itself. A port has a thread from the moment on in which a
selector first observes it; that thread queues the message first, and then wakes the observer. A
selector that comes later looks before it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty
from typing import Any, Final

from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspRecvQueue, CspSendPort


class Arrivals:
    """The messages that have arrived at a port, with the interface of Lava's queue.

    Parameters
    ----------
    arrived : multiprocessing.Semaphore
        Counts the messages; the sender releases it.
    """

    def __init__(self, arrived: Any) -> None:
        self._arrived = arrived
        self._known = 0

    def qsize(self) -> int:
        """Return how many messages there are."""
        while self._arrived.acquire(False):
            self._known += 1
        return self._known

    def get(self, block: bool = True, timeout: float | None = None, peek: bool = False) -> None:
        """Wait for a message, and take it away unless it is only to be looked at."""
        if not self._known:
            if not self._arrived.acquire(block, timeout):
                raise Empty
            self._known = 1
        if not peek:
            self._known -= 1


class Room:
    """The room for messages that a port may still send, with the interface of a semaphore.

    Parameters
    ----------
    size : int
        How many messages the channel holds.
    received : multiprocessing.Semaphore
        Counts the messages that have been received; the receiver releases it.
    """

    def __init__(self, size: int, received: Any) -> None:
        self.size, self._received = size, received

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the room of a message, and return whether there was one."""
        if not self.size:
            if not self._received.acquire(blocking, timeout):
                return False
            self.size = 1
        self.size -= 1
        return True

    def release(self) -> None:
        """Give room back that was taken."""
        self.size += 1


def _observe(port: Any, observer: Callable[[], Any] | None) -> None:
    if observer is not None:
        port.be_observed()
        port.observer = observer


#: The observer of a port that has had none: it becomes one of Lava's when it gets one.
_OBSERVER: Final = property(lambda _: None, _observe)


class UnobservedReceiver(CspRecvPort):  # type: ignore[misc]
    """The receiving end of a channel, which has no thread."""

    observer = _OBSERVER
    _start = CspRecvPort.start

    def start(self) -> None:
        """Begin to receive."""
        self._start()
        self._queue = Arrivals(self._req)

    def _req_callback(self, _: Any) -> None:
        """Leave messages alone: the thread that Lava starts ends."""

    def be_observed(self) -> None:
        """Become a port with a thread, which takes down what arrives."""
        n_messages, messages = self._queue.qsize(), CspRecvQueue(self._size)
        for _ in range(n_messages):
            messages.put_nowait(0)
        self.__class__ = CspRecvPort
        self._queue = messages
        _start_thread(self, self._req, lambda: messages.put_nowait(0))


class UnobservedSender(CspSendPort):  # type: ignore[misc]
    """The sending end of a channel, which has no thread."""

    observer = _OBSERVER
    _start = CspSendPort.start
    _semaphore: Any

    def start(self) -> None:
        """Begin to send."""
        self._start()
        self._semaphore = Room(self._size, self._ack)

    def _ack_callback(self, _: Any) -> None:
        """Leave what has been received alone: the thread that Lava starts ends."""

    def be_observed(self) -> None:
        """Become a port with a thread, which takes down what has been received."""
        room = threading.Semaphore(self._semaphore.size)
        self.__class__ = CspSendPort
        self._semaphore = room
        _start_thread(self, self._ack, room.release)


def _start_thread(port: Any, arrivals: Any, take: Callable[[], None]) -> None:
    arguments = port, arrivals, take
    port.thread = threading.Thread(target=_wake_for_each, args=arguments, daemon=True)
    port.thread.start()


def _wake_for_each(port: Any, arrivals: Any, take: Callable[[], None]) -> None:
    # When a graph ends, the process that shares the semaphore may be gone.
    with suppress(EOFError):
        while arrivals.acquire() and not port._done:
            take()
            observer = port.observer
            if observer is not None:
                observer()


#: Held while methods of Lava's ports are replaced; a process forked meanwhile holds it too.
_replacing: Final = threading.RLock()


@contextmanager
def no_wake_up_is_lost() -> Iterator[None]:
    """Let ports that start in this context, also in processes forked in it, be such ports."""

    def starting_as(cls: Any) -> Callable[[Any], None]:
        def start(port: Any) -> None:
            port.__class__ = cls
            port.start()

        return start

    with _replacing:
        before = CspRecvPort.start, CspSendPort.start
        receiver, sender = UnobservedReceiver, UnobservedSender
        CspRecvPort.start, CspSendPort.start = starting_as(receiver), starting_as(sender)
        try:
            yield
        finally:
            CspRecvPort.start, CspSendPort.start = before
