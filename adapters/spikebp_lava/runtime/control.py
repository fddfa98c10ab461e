"""Control of a graph from any thread, and from handlers of signals.

In Lava two threads that talk with the processes of a graph take each other's answers, and so does
a handler of a signal that is called in the middle; a run that is waited for cannot be paused. Steps
after a pause, and a run of 2.5 steps, do not end.

Here one thread at a time talks with the processes. A thread that waits for the end of a run
releases the lock between two looks, so that any other can pause or stop the run. What cannot be
done meanwhile is refused.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

from lava.magma.core.run_conditions import AbstractRunCondition, RunContinuous, RunSteps
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime import Runtime
from lava.magma.runtime.runtime_services.runtime_service import LoihiPyRuntimeService

from spikebp_lava.runtime.channels import INTERVAL
from spikebp_lava.runtime.cleanup import alive, forget, start_processes
from spikebp_lava.runtime.faults import ProcessGraph
from spikebp_lava.runtime.first_run import ask, asked_of, first_run
from spikebp_lava.runtime.signals import signals_deferred
from spikebp_plugins.common.errors import integer, wrong_argument


class PausableService(LoihiPyRuntimeService):  # type: ignore[misc]
    """A runtime service that may be paused in the middle of steps, and told to make others.

    Lava's own never forgets the pause: it reports the end of no later steps.
    """

    def _handle_pause(self) -> None:
        self.pausing = self.req_pause = False
        super()._handle_pause()


def _in_one_go(transfer: Callable[..., Any]) -> Callable[..., Any]:
    """Let an error in a transfer, of a message for each number, end the graph.

    The next call would take what is under way for its own answer.
    """

    def transferred(runtime: Any, number: int, *arguments: Any) -> Any:
        with runtime.at_rest():
            runtime.graph.require()
            is_known = number in runtime._executable.node_configs[0].var_models
            with runtime._talking() if runtime._is_started and is_known else nullcontext():
                return transfer(runtime, number, *arguments)

    return transferred


class GuardedRuntime(Runtime):  # type: ignore[misc]
    """A runtime of Lava that guards its processes."""

    graph: ProcessGraph
    #: Whether this thread waits for an answer, which a handler of a signal might take away.
    _is_talking = False
    #: Ports of services that have not reported the end of the present run.
    _unheard: list[Any]
    #: The "pause" or "stop" that was asked for while the graph was made.
    _request: str | None = None
    get_var, set_var = _in_one_go(Runtime.get_var), _in_one_go(Runtime.set_var)

    def initialize(self, *_: Any) -> None:
        """Start the processes of the graph, unless it is to stop."""
        executable = self._executable
        with first_run(), self.graph.ended_by_errors():
            for process in forget(executable.process_list):
                process.runtime = self  # Lava hands it to leaves alone
            models = [builder.proc_model for builder in executable.proc_builders.values()]
            for participant in self.graph.participants:
                participant.prepare(models)
            for builder in executable.runtime_service_builders.values():
                if builder.rs_class is LoihiPyRuntimeService:
                    builder.rs_class = PausableService
            if self._asked() != "stop":
                start_processes(self)
                self._wait_for_models()
            if self._asked() == "stop":
                self.graph.end("stopped")

    def require_no_processes(self) -> None:
        """Refuse a runtime of Lava's that a user has made and initialized, and end its processes.

        Raises
        ------
        RuntimeError
            If it has begun to start processes that are not guarded.
        """
        infrastructure = self._messaging_infrastructure
        if infrastructure is None:
            return
        self._executable.assign_runtime_to_all_processes(self)
        self.graph.actors = infrastructure.actors
        self.graph.end("its processes were started by a Runtime of one's own")
        raise RuntimeError(
            "a graph with processes of spikebp_lava is to be started by run() or by "
            "create_runtime(executable=...) of one of its processes, not by a Runtime of one's own"
        )

    def _wait_for_models(self) -> None:
        """Wait until all processes have made their models, or the graph is to stop.

        A signal ends this too: what a process does at first may take long.
        """
        for queue in self.exception_q:
            while queue.empty():
                if self._asked() == "stop":
                    return
                self.graph.check()
                time.sleep(INTERVAL / 100)
            if queue.get() is not None:
                self.graph.fail()
        del self.exception_q
        self._is_initialized = True

    def _asked(self) -> str | None:
        """Return what was asked of processes of this graph while it was made."""
        asked = asked_of((self, *self.graph.participants))
        self._request = max(filter(None, (self._request, asked)), default=None)
        return self._request

    def start(self, condition: Any) -> None:
        """Begin a run, and wait for its end unless the condition says otherwise."""
        condition, waits = _checked(condition)
        with ExitStack() as run:
            with self.at_rest(), signals_deferred():
                asked, self._request = self._asked(), None
                if asked is None:
                    self.graph.require()
                    for participant in self.graph.participants:
                        participant.begin_run()
                    run.enter_context(self.graph.ended_by_errors())
                    self._unheard = list(self.service_to_runtime)
                    super().start(condition)
                    waits = waits and self._is_busy(INTERVAL)
            if asked == "stop":
                self.stop()
            elif waits and asked is None:
                self.wait()

    def wait(self) -> None:
        """Wait for the end of a run, which another thread may pause or stop meanwhile."""
        if not self._is_running:
            return
        with self.graph.ended_by_errors():
            while self._is_under_way(INTERVAL):
                time.sleep(INTERVAL / 100)
        if self.graph.why_over != "stopped":
            self.graph.require()

    def pause(self) -> None:
        """End a run after its present step, or the first one before it has begun."""
        if not self._is_initialized:
            ask(self, "pause")
            return
        with self._talking() as is_running:
            if is_running:
                self._tell(MGMT_COMMAND.PAUSE, MGMT_RESPONSE.PAUSED)
                self._is_running = False

    def stop(self) -> None:
        """End the processes of the graph; before that, a run after its present step.

        Lava's own method tells none of them in a graph that has not run, and waits for them anyway.
        """
        if not self._is_initialized:
            ask(self, "stop")
        # Lava calls it whenever a process is collected, where an interrupt would be lost.
        if not self._is_initialized or self not in alive or os.getpid() != self.graph.owner:
            return
        is_running = True
        try:
            with self._talking() as is_running:
                if self.graph.why_over is not None:
                    return
                self.graph.is_stopping = True
                self._tell(MGMT_COMMAND.STOP, MGMT_RESPONSE.TERMINATED)
                for actor in self.graph.actors:
                    actor.join()
                self._is_running = False
                self.graph.end("stopped")
        except Exception as error:
            # The graph had ended before: all processes are gone, and nothing is lost.
            if is_running or error is not self.graph.error:
                raise

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Let no run be under way in this context, nor begin."""
        if os.getpid() != self.graph.owner:
            raise RuntimeError("this graph of Lava processes belongs to the process that made it")
        with self.graph.lock:
            if self._is_under_way():
                raise RuntimeError(
                    "this is possible before, between and after runs, and one is under way: wait() "
                    "waits for its end, and pause() ends it after its present step"
                )
            yield

    @contextmanager
    def _talking(self) -> Iterator[bool]:
        """Let this thread alone talk with the processes, and say whether a run is under way.

        No handler of a signal takes away an answer that it waits for.
        """
        with self.graph.lock:
            is_running = self._is_under_way()
            self._is_talking = True
            try:
                with self.graph.ended_by_errors():
                    yield is_running
            finally:
                self._is_talking = False

    def _is_under_way(self, patience: float = 0.0) -> bool:
        """Return whether a run is under way, after at most `patience` seconds.

        Handlers of signals are called before and after it, and may pause or stop the run.
        """
        with self.graph.lock:
            if self._is_talking:
                raise RuntimeError(
                    "the handler of a signal cannot control a graph of Lava processes that is just "
                    "being paused or stopped, or sends a variable"
                )
            if not self._is_running:
                return False
            with signals_deferred(), self.graph.ended_by_errors():
                return self._is_busy(patience)

    def _is_busy(self, patience: float) -> bool:
        """Return whether the run that has begun has not ended, after at most `patience` seconds."""
        while self._unheard:
            port = self._unheard[-1]
            if not port.tokens.acquire(timeout=patience):
                self.graph.check()
                return True
            port.tokens.release()
            message = port.recv()
            if enum_equal(message, MGMT_RESPONSE.ERROR):
                self.graph.fail()
            if enum_equal(message, MGMT_RESPONSE.REQ_PAUSE):  # a process has asked for it
                self.pause()
                return False
            if enum_equal(message, MGMT_RESPONSE.REQ_STOP):
                self.stop()
                return False
            self._unheard.pop()
        self._is_running = False
        return False

    def _tell(self, command: Any, answer: Any) -> None:
        """Give a command, and wait for its answer; the end of a run may be reported before."""
        for port in self.runtime_to_service:
            port.send(command)
        for port in self.service_to_runtime:
            while not enum_equal(message := port.recv(), answer):
                if enum_equal(message, MGMT_RESPONSE.ERROR):
                    self.graph.fail()


def _checked(condition: Any) -> tuple[AbstractRunCondition, bool]:
    """Return a condition for Lava, under which a run begins alone, and whether to wait for it."""
    if isinstance(condition, RunContinuous):
        return condition, False
    if not isinstance(condition, RunSteps):
        raise wrong_argument("condition", "RunSteps(...) or RunContinuous()", repr(condition))
    n_steps = condition.num_steps
    if isinstance(n_steps, float) and n_steps.is_integer():
        n_steps = int(n_steps)
    n_steps = integer("num_steps", n_steps, 0, sys.maxsize)
    return RunSteps(n_steps, blocking=False), bool(condition.blocking)
