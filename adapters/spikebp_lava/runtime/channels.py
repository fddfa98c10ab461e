"""Channels whose ends wait for their own messages alone, lose no wake-up, and need no threads.

In Lava whoever waits for a message of a process that has failed or was killed waits for ever: the
others of the graph, and the script with them. Here the script looks at the processes now and then
while it waits for one of them.

Lava's channels can also lose the wake-up for a message, after which all processes wait although
none has failed. Each port has a thread, which takes down what arrives and wakes the process that
waits for it. The thread checks *before* it queues a message whether the queue holds an older one,
and wakes nobody if so. A selector that takes the older message in between, and looks again, waits
for ever. The thread also reads the observer twice, and ends with a TypeError when a selector has
gone in between; nothing arrives from then on. And it costs two changes of threads at either end of
every message. Here a process waits for the message itself. A port has a thread from the moment on
in which a selector first observes it; that thread takes down the message first, and then wakes the
observer. A selector that comes later looks before it waits.

The memory of Lava's channels has names, which remain where a script and the processes that would
remove them are killed together. Here it has none.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty
from types import SimpleNamespace
from typing import Any, Final

from lava.magma.compiler.channels import pypychannel
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort

#: Seconds between two checks of the processes.
INTERVAL: Final = 0.1

#: The id of a process, and a function that ports started in it call while they wait; the function
#: raises an error if no message can arrive any more.
_looks: Final[dict[int, Callable[[], None]]] = {}


class ChannelMemory:
    """Makes memory that is shared with processes forked later, as Lava's manager of memory does."""

    def create_shared_memory(self, size: int) -> SimpleNamespace:
        """Return memory as Lava's channels hold it."""
        return SimpleNamespace(buf=memoryview(mmap.mmap(-1, size)))

    def shutdown(self) -> None:
        """Do nothing: the memory goes with the last process that has it."""


class Tokens:
    """The tokens that a port waits for: arrived messages, or slots for messages to send.

    It has the interfaces of Lava's queue of messages, and of its semaphore for room.

    Parameters
    ----------
    number : int
        The number of tokens at first.
    others : multiprocessing.Semaphore
        Counts those that come; the other end of the channel releases it.
    """

    def __init__(self, number: int, others: Any) -> None:
        self.number, self.others = number, others
        self._look = _looks.get(os.getpid())

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a token, and return whether there was one."""
        if self.number:
            self.number -= 1
            return True
        if self._look is None or not blocking or timeout is not None:
            return bool(self.others.acquire(blocking, timeout))
        while not self.others.acquire(True, INTERVAL):
            self._look()
        return True

    def release(self) -> None:
        """Give a token back."""
        self.number += 1

    def get(self, block: bool = True, timeout: float | None = None, peek: bool = False) -> None:
        """Take a token, or with `peek` only wait for one."""
        if not self.acquire(block, timeout):
            raise Empty
        self.number += peek

    def qsize(self) -> int:
        """Return the number of tokens."""
        while self.others.acquire(False):
            self.number += 1
        return self.number


def _observe(port: Any, observer: Callable[[], Any] | None) -> None:
    """Make a port one of Lava's, with an observer, and a thread that wakes it."""
    if observer is None:
        return
    tokens: Tokens = port.tokens
    tokens.qsize()  # takes down what has arrived
    arrivals, taken = tokens.others, threading.Semaphore(0)
    tokens.others = taken
    port.__class__ = type(port).__base__
    port.observer = observer

    def wake_for_each() -> None:
        while arrivals.acquire() and not port._done:
            taken.release()
            observer = port.observer
            if observer is not None:
                observer()

    port.thread = threading.Thread(target=wake_for_each, daemon=True)
    port.thread.start()


class Receiver(CspRecvPort):  # type: ignore[misc]
    """The receiving end of a channel, which has no thread."""

    observer = property(lambda _: None, _observe)

    def start(self) -> None:
        """Begin to receive."""
        super().start()
        self.tokens = self._queue = Tokens(0, self._req)

    def _req_callback(self, _: Any) -> None:
        """Do nothing: the thread that Lava starts for messages ends."""


class Sender(CspSendPort):  # type: ignore[misc]
    """The sending end of a channel, which has no thread."""

    observer = property(lambda _: None, _observe)

    def start(self) -> None:
        """Begin to send."""
        super().start()
        self.tokens = self._semaphore = Tokens(self._size, self._ack)

    def _ack_callback(self, _: Any) -> None:
        """Do nothing: the thread that Lava starts for acknowledgements ends."""


#: Held while classes of Lava's are replaced; a process forked meanwhile holds it too.
_replacing: Final = threading.RLock()


@contextmanager
def no_wake_up_is_lost(look: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Let channels that are made in this context have such ends.

    Those that start in it, and not in a process that is forked meanwhile, look.
    """
    with _replacing:
        before = pypychannel.CspRecvPort, pypychannel.CspSendPort
        pypychannel.CspRecvPort, pypychannel.CspSendPort = Receiver, Sender
        _looks[os.getpid()] = look
        try:
            yield
        finally:
            pypychannel.CspRecvPort, pypychannel.CspSendPort = before
            _looks.clear()
