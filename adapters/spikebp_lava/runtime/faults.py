"""Faults: one ends the graph, raises its cause, and restores the state before the run.

In Lava an exception in a process is written nowhere, and the others wait for ever. Here it ends all
processes, and is raised where one waits for them, with its traceback; so is that a process was
killed. What learned in a run is then as it was before. The graph is over, and says why.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined]
from traceback import format_exception_only
from typing import Any, Final, NoReturn

from spikebp_lava.runtime.channels import INTERVAL
from spikebp_lava.runtime.cleanup import alive, is_alive, kill
from spikebp_lava.runtime.signals import signals_deferred

#: Seconds to wait for the exception of a process that has ended.
PATIENCE: Final = 1.0


class ProcessGraph:
    """A graph of Lava's processes, which a fault ends.

    Parameters
    ----------
    runtime : lava.magma.runtime.runtime.Runtime
        The runtime of the graph.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        #: The processes of the operating system that run it, and the one whose children they are.
        self.actors: list[Any] = []
        self.owner = os.getpid()
        #: The guarded processes, whose state a fault restores.
        self.participants: dict[Any, None] = {}
        self.is_stopping = False
        #: Why the graph has ended, if it has, and the error of the process that failed first.
        self.why_over: str | None = None
        self.error: Exception | None = None
        #: Held by the thread that talks with the processes, or ends them.
        self.lock = threading.RLock()

    def require(self) -> None:
        """Raise an error if the graph has ended."""
        if self.why_over is not None:
            raise RuntimeError(
                f"this graph of Lava processes has ended ({self.why_over}); make it anew"
            )

    def check(self) -> None:
        """Raise an error if the graph has ended, or if a process has failed, which ends it.

        That is for another thread, if one talks with the processes: it may wait for this one.
        """
        if not self.lock.acquire(blocking=False):
            return
        try:
            self.require()
            if self._faults():
                with self.ended_by_errors():
                    self.fail()
        finally:
            self.lock.release()

    def fail(self) -> NoReturn:
        """Raise the error of the first process that has one, with its traceback."""
        deadline, faults = time.monotonic() + PATIENCE, self._faults()
        while not any(fault.__cause__ for fault in faults) and time.monotonic() < deadline:
            time.sleep(INTERVAL / 10)
            faults = self._faults()
        lost = RuntimeError("a process of the Lava graph failed, and left no trace of its error")
        self.error = min(faults, key=lambda fault: fault.__cause__ is None, default=lost)
        raise self.error

    # Here and in multiprocessing an OSError is caught, and the TimeoutError of a handler is one.
    @signals_deferred()
    def _faults(self) -> list[Exception]:
        """Return the errors of processes, or how they have ended that should run."""
        return list(filter(None, map(self._fault_of, self.actors)))

    def _fault_of(self, actor: Any) -> Exception | None:
        with suppress(EOFError, OSError):
            if actor.exception:
                error: Exception = actor.exception[0]
                error.__cause__ = RemoteTraceback(f"\n{actor.exception[1]}")
                return error
        # A process that is told to stop ends without an error; others may still be ending.
        if is_alive(actor) or ((code := actor.exitcode) == 0 and self.is_stopping):
            return None
        how = f"was killed by signal {-code}" if code and code < 0 else "ended"
        between = "between runs" if self._runtime._is_initialized else "at its start"
        when = "in the middle of a run" if self._runtime._is_running else between
        return RuntimeError(f"a process of the Lava graph {how} {when}")

    @contextmanager
    def ended_by_errors(self) -> Iterator[None]:
        """End the graph by an error of a process or a handler that comes out of this context."""
        try:
            yield
        except BaseException as error:
            if self.why_over is None and os.getpid() == self.owner:
                why = format_exception_only(error)[-1].strip()
                self.end(why if self._runtime._is_initialized else "it could not be started")
            raise

    @signals_deferred()
    def end(self, why: str) -> None:
        """End all processes, free the memory that Lava holds, and undo a run that is under way."""
        runtime, self.why_over = self._runtime, why
        was_running, runtime._is_running, runtime._is_started = runtime._is_running, False, False
        kill(self.actors, self.owner)
        runtime.join()
        for held in (runtime._messaging_infrastructure, runtime._watchdog_manager):
            if held is not None:
                held.stop()
        alive.discard(runtime)
        if was_running:
            for participant in self.participants:
                participant.undo_run()
