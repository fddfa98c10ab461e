"""Runs of Lava that cannot hang. This module alone uses private parts of Lava's runtime.

Written for lava-nc 0.10, the last release. There, an exception in one process leaves all others
waiting for ever, and the script with them; `stop()` waits too. A watched runtime looks after its
processes while it waits: when one has failed or was killed, when Ctrl-C is pressed, or when the
script ends without `stop()`, it ends all of them, and raises the error of the first process that
has one, with its traceback. If the script itself is killed, its processes end too, and no named
shared memory remains.

One thread at a time talks with the processes of a graph. A thread that waits for the end of a run
releases the lock between two looks, so that any other can pause or stop the run.

Lava's channels can also lose the wake-up for a message, after which all processes wait although
none has failed. The processes of a watched runtime get ports that lose no wake-up (`channels`).
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from multiprocessing import Process, current_process
from queue import Empty
from typing import Any, Final, Protocol

from lava.magma.core.process.ports.ports import ImplicitVarPort
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.process.variable import VarServer
from lava.magma.core.run_conditions import AbstractRunCondition, RunContinuous, RunSteps
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal
from lava.magma.runtime.runtime_services.runtime_service import LoihiPyRuntimeService

from spikebp_lava.channels import no_wake_up_is_lost
from spikebp_lava.signals import children_end_with_us, signals_deferred
from spikebp_plugins.common.errors import integer, wrong_argument

#: Seconds between two looks at the processes.
INTERVAL: Final = 0.1

#: Seconds to wait for the exception of a process that has ended.
PATIENCE: Final = 1.0


class Participant(Protocol):
    """A process with state that must not be lost."""

    def prepare(self, models: list[type]) -> None:
        """Prepare a graph of these process models before it is started, or refuse it."""

    def begin_run(self) -> None:
        """Remember the state before a run."""

    def undo_run(self) -> None:
        """Return to the state before the run."""


class RemoteTracebackError(Exception):
    """The traceback of an error in a process of Lava's."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class Watched:
    """A process whose graph is watched, whoever runs it: a base class before Lava's own.

    Lava hands the runtime to leaves, and to the process whose `run` is called. So every leaf that
    is a part of the network is watched, and through it the graph.
    """

    # Lava assigns the runtime here before it starts any process.
    @property
    def _runtime(self) -> Any:
        return self.__dict__.get("_own_runtime")

    @_runtime.setter
    def _runtime(self, runtime: Any) -> None:
        self.__dict__["_own_runtime"] = runtime
        if runtime is not None:
            watch(runtime, self._participant())

    def _participant(self) -> Participant | None:
        """Return the participant that comes with this process.

        It is no attribute: Lava takes every process that is one for a part of this process.
        """
        return None


def watch(runtime: Any, participant: Participant | None) -> None:
    """Make a runtime watch its processes, and restore the state of one of them after a failure.

    Parameters
    ----------
    runtime : lava.magma.runtime.runtime.Runtime
        A runtime that has not been initialized yet.
    participant : Participant or None
        The process of the graph whose state is restored.
    """
    if not hasattr(runtime, "_spikebp_watch"):
        runtime._spikebp_watch = Watch(runtime)
    watching: Watch = runtime._spikebp_watch
    if participant is not None and participant not in watching.participants:
        watching.participants.append(participant)


def at_rest(process: Any) -> AbstractContextManager[None]:
    """Return the context in which no run of a process is under way, nor begins.

    Raises
    ------
    RuntimeError
        On entering, if one is under way.
    Exception
        On entering, if a run has failed that nobody has waited for: the error of its process.
    """
    runtime = process.runtime
    return nullcontext() if runtime is None else runtime._spikebp_watch.at_rest()


def is_started(runtime: Any) -> bool:
    """Return whether a runtime has run, and was not stopped: Lava then sets variables."""
    return bool(runtime._is_started)


class PausableService(LoihiPyRuntimeService):  # type: ignore[misc]
    """A runtime service that may be paused in the middle of steps, and told to make others.

    Lava's own never forgets the pause: it reports the end of no later steps.
    """

    def _handle_pause(self) -> None:
        self.pausing = self.req_pause = False
        super()._handle_pause()


def _enclosing(process: Any) -> Iterator[Any]:
    """Yield the processes that contain a process, from the innermost on."""
    while (process := process.parent_proc) is not None:
        yield process


class Watch:
    """Stands between a runtime and its callers, by replacing methods of the runtime.

    Parameters
    ----------
    runtime : lava.magma.runtime.runtime.Runtime
        The runtime; methods are replaced in this one object, not in its class.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime
        self.participants: list[Participant] = []
        self._failure: str | None = None
        self._is_stopping = False
        #: Held by the thread that talks with the processes.
        self._lock = threading.RLock()
        #: Whether this thread waits for an answer, which a handler of a signal might take away.
        self._is_talking = False
        self._owner = os.getpid()
        self._forked: list[Any] = []
        #: Alive until nobody refers to the graph any more: then it is called.
        self._last_reference = weakref.finalize(runtime, _kill, self._forked, self._owner)
        self._last_reference.atexit = False
        self._initialize, self._start = runtime.initialize, runtime.start
        self._start_ports = runtime._start_ports
        #: What holds while processes are forked.
        self._forking = ExitStack()
        runtime.initialize = self.initialize
        runtime._start_ports = self.start_ports
        runtime.start, runtime.wait = self.start, self.wait
        runtime.pause, runtime.stop = self.pause, self.stop
        runtime.get_var = partial(self._transfer, runtime.get_var)
        runtime.set_var = partial(self._transfer, runtime.set_var)
        _watched.add(runtime)

    def initialize(self, *arguments: Any) -> None:
        """Start the processes of the graph."""
        executable = self._runtime._executable
        models = [builder.proc_model for builder in executable.proc_builders.values()]
        try:
            if current_process().daemon:
                raise RuntimeError(
                    "a worker of multiprocessing.Pool cannot run a graph of Lava, whose processes "
                    "would be its children; a worker of concurrent.futures.ProcessPoolExecutor can"
                )
            if len(_watched) > 1:
                gc.collect()  # graphs that nobody refers to end before others are made
            self._hand_to_enclosing()
            _forget(executable.process_list)
            for participant in self.participants:
                participant.prepare(models)
            for builder in executable.runtime_service_builders.values():
                if builder.rs_class is LoihiPyRuntimeService:
                    builder.rs_class = PausableService
            with self._forking:
                self._forking.enter_context(no_wake_up_is_lost())
                self._forking.enter_context(children_end_with_us())
                self._initialize(*arguments)
        except BaseException:
            self._failure = "it could not be started"
            self._end()
            raise

    def _hand_to_enclosing(self) -> None:
        """Hand the runtime to processes that are no leaves, for their `run` and `stop`.

        A network of one process for each layer becomes a participant by that.
        """
        for leaf in self._runtime._executable.process_list:
            for process in _enclosing(leaf):
                process.runtime = self._runtime

    def start_ports(self) -> None:
        """Start the ports of the runtime, and wait for the processes, all of which are forked."""
        runtime = self._runtime
        self._forked.extend(self._actors)
        self._start_ports()
        for port in (*runtime.service_to_runtime, *_external(runtime, "recv")):
            port.recv = partial(self._receive, port, port.recv)
        for port in (*runtime.runtime_to_service, *_external(runtime, "send")):
            port.send = partial(self._send, port, port.send)
        # From here on a signal ends the start: what a process does at first may take long.
        self._forking.close()
        for queue in runtime.exception_q:
            error = self._wait_for_start(queue)
            if error is not None:
                raise error from RemoteTracebackError(error.trace)
        runtime.exception_q = []  # Lava would wait for a process that was killed

    def _wait_for_start(self, queue: Any) -> Any:
        while True:
            try:
                return queue.get(timeout=INTERVAL)
            except Empty:
                self._raise_if_broken()

    def start(self, condition: Any) -> None:
        """Begin a run, and wait for its end unless the condition says otherwise."""
        condition, waits = _checked(condition)
        with ExitStack() as run:
            with self.at_rest():
                self._raise_if_over()
                for participant in self.participants:
                    participant.begin_run()
                run.enter_context(self._ended_by_errors())
                with signals_deferred():
                    self._start(condition)
                    waits = waits and self._is_under_way(INTERVAL)
            if waits:
                self.wait()

    def wait(self) -> None:
        """Wait for the end of a run, which another thread may pause or stop meanwhile."""
        if not self._runtime._is_running:
            return
        with self._ended_by_errors():
            while self._look(INTERVAL):
                time.sleep(INTERVAL / 100)
        if self._failure != "stopped":
            self._raise_if_over()

    def pause(self) -> None:
        """End a run after its present step."""
        with self._lock:
            if self._look():
                with self._talking():
                    self._hold()

    def stop(self) -> None:
        """End the processes of the graph; before that, a run after its present step."""
        # Lava calls it whenever a process is collected, where an interrupt would be lost.
        if self._failure or os.getpid() != self._owner or not self._last_reference.alive:
            return
        with self._lock:
            is_running = self._look()
            if self._failure is not None:
                return
            if self._broken():
                self._fail("a process had ended")
                return
            try:
                with self._talking():
                    self._dismiss()
            except Exception:
                # It had ended before it was told to: all are gone already, and nothing is lost.
                if is_running or self._failure != "a process had ended":
                    raise

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """See the function of this name."""
        if os.getpid() != self._owner:
            raise RuntimeError("this graph of Lava processes belongs to the process that made it")
        with self._lock:
            if self._look():
                raise RuntimeError(
                    "this is possible before, between and after runs, and one is under way: wait() "
                    "waits for its end, and pause() ends it after its present step"
                )
            yield

    @contextmanager
    def _ended_by_errors(self) -> Iterator[None]:
        """End the graph by an error that comes out of this context."""
        try:
            yield
        except BaseException as error:
            self._fail_by(error)
            raise

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Let no handler of a signal take away an answer that this thread waits for."""
        self._is_talking = True
        try:
            with self._ended_by_errors():
                yield
        finally:
            self._is_talking = False

    def _look(self, patience: float = 0.0) -> bool:
        """Return whether a run is under way, after at most `patience` seconds.

        Handlers of signals are called before and after it, and may pause or stop the run.
        """
        with self._lock:
            if self._is_talking:
                raise RuntimeError(
                    "the handler of a signal cannot control a graph of Lava processes that is just "
                    "being paused or stopped, or sends a variable"
                )
            if not self._runtime._is_running:
                return False
            with signals_deferred():
                return self._is_under_way(patience)

    def _is_under_way(self, patience: float) -> bool:
        """Return whether the run that has begun has not ended, after at most `patience` seconds."""
        ports = self._runtime.service_to_runtime
        for port in ports:
            if not _has_message(port, patience):
                self._raise_if_broken()
                return True
            message = port.peek()
            if enum_equal(message, MGMT_RESPONSE.ERROR):
                self._raise()
            # A process has asked for it.
            if enum_equal(message, MGMT_RESPONSE.REQ_PAUSE):
                self._hold()
                return False
            if enum_equal(message, MGMT_RESPONSE.REQ_STOP):
                self._dismiss()
                return False
        for port in ports:
            port.recv()
        self._runtime._is_running = False
        return False

    def _hold(self) -> None:
        """Tell all processes to pause, and wait until they have."""
        runtime = self._runtime
        for port in runtime.runtime_to_service:
            port.send(MGMT_COMMAND.PAUSE)
        for port in runtime.service_to_runtime:
            self._wait_for_answer(port, MGMT_RESPONSE.PAUSED)
        runtime._is_running = False

    def _wait_for_answer(self, port: Any, answer: Any) -> None:
        """Wait for an answer of a runtime service, which may report the end of a run before it."""
        while not enum_equal(message := port.recv(), answer):
            if enum_equal(message, MGMT_RESPONSE.ERROR):
                self._raise()

    def _dismiss(self) -> None:
        """Tell all processes to stop, and wait until they have ended.

        Lava's own method tells none of them in a graph that has not run, and waits for them anyway.
        """
        runtime = self._runtime
        self._is_stopping = True
        for port in runtime.runtime_to_service:
            port.send(MGMT_COMMAND.STOP)
        for port in runtime.service_to_runtime:
            self._wait_for_answer(port, MGMT_RESPONSE.TERMINATED)
        runtime.join()
        runtime._is_running = runtime._is_started = False
        for actor in self._actors:
            while _is_alive(actor):
                Process.join(actor, INTERVAL)
                self._raise_if_broken()
        runtime._messaging_infrastructure.stop()
        runtime._watchdog_manager.stop()
        self._failure = "stopped"
        _watched.discard(runtime)

    def _transfer(self, transfer: Callable[..., Any], number: int, *arguments: Any) -> Any:
        """Get or set a variable of Lava's own, which takes a message for each number.

        If that ends in the middle, the next call would take what is under way for its own answer.
        """
        runtime = self._runtime
        with self.at_rest():
            self._raise_if_over()
            is_known = number in runtime._executable.node_configs[0].var_models
            with self._talking() if runtime._is_started and is_known else nullcontext():
                return transfer(number, *arguments)

    def _receive(self, port: Any, receive: Callable[[], Any]) -> Any:
        """Receive the next message of a process."""
        while not _has_message(port, INTERVAL):
            self._raise_if_broken()
        return receive()

    def _send(self, port: Any, send: Callable[[Any], None], message: Any) -> None:
        """Send a message to a process, once the port has room for it."""
        while not port._semaphore.acquire(timeout=INTERVAL):
            self._raise_if_broken()
        port._semaphore.release()
        send(message)

    @property
    def _actors(self) -> list[Any]:
        infrastructure = self._runtime._messaging_infrastructure
        return [] if infrastructure is None else list(infrastructure.actors)

    # Here and in multiprocessing an OSError is caught, and the TimeoutError of a handler is one.
    @signals_deferred()
    def _broken(self) -> bool:
        return any(_error_of(actor) or self._has_ended(actor) for actor in self._actors)

    def _has_ended(self, actor: Any) -> bool:
        """Return whether a process has ended that should run."""
        # A process that is told to stop ends without an error; others may still be at it.
        return not _is_alive(actor) and not (self._is_stopping and actor.exitcode == 0)

    def _raise_if_over(self) -> None:
        if self._failure is not None:
            raise RuntimeError(
                f"this graph of Lava processes has ended ({self._failure}); make it anew"
            )

    def _raise_if_broken(self) -> None:
        with self._lock:
            self._raise_if_over()
            if self._broken():
                self._raise()

    def _raise(self) -> None:
        """End all processes, and raise the error of the first process that has one."""
        error, traceback = self._first_error()
        reason = f"{type(error).__name__} in one of its processes"
        self._fail("a process had ended" if self._is_stopping else reason)
        if traceback is None:
            raise error
        raise error from RemoteTracebackError(traceback)

    def _first_error(self) -> tuple[Exception, str | None]:
        deadline = time.monotonic() + PATIENCE
        while True:
            for actor in self._actors:
                found = _error_of(actor)
                if found:
                    return found
            if time.monotonic() > deadline:
                break
            time.sleep(INTERVAL / 10)
        return RuntimeError(self._how_one_ended()), None

    def _how_one_ended(self) -> str:
        for actor in self._actors:
            if not _is_alive(actor):
                code = actor.exitcode
                how = f"was killed by signal {-code}" if code and code < 0 else "ended"
                when = "in the middle of a run" if self._runtime._is_initialized else "at its start"
                return f"a process of the Lava graph {how} {when}"
        return "a process of the Lava graph reported an error of which it left no trace"

    def _fail_by(self, error: BaseException) -> None:
        """End a run out of which an error comes: of a process, or of a handler of a signal."""
        if self._failure is None:
            interrupted = isinstance(error, KeyboardInterrupt)
            self._fail("interrupted" if interrupted else f"{type(error).__name__} in a run")

    @signals_deferred()
    def _fail(self, reason: str) -> None:
        running = self._runtime._is_running
        self._failure = reason
        self._end()
        if running:
            for participant in self.participants:
                participant.undo_run()

    @signals_deferred()
    def _end(self) -> None:
        """End all processes, whatever they wait for, and free the memory that Lava holds."""
        runtime = self._runtime
        runtime._is_running = runtime._is_started = False
        for actor in self._actors:
            if _is_alive(actor):
                actor.kill()
        for port in runtime._open_ports:
            port.join()
        runtime._open_ports.clear()
        if runtime._messaging_infrastructure is not None:
            runtime._messaging_infrastructure.stop()
        if runtime._watchdog_manager is not None:
            runtime._watchdog_manager.stop()
        _watched.discard(runtime)


def _forget(leaves: list[Any]) -> None:
    """Let processes end with the last reference to them.

    To count them Lava keeps all for ever, and a model the ports through which its last process was
    observed.
    """
    processes = {*leaves, *(process for leaf in leaves for process in _enclosing(leaf))}
    all_processes, all_variables = ProcessServer().processes, VarServer().vars
    all_processes[:] = [process for process in all_processes if process not in processes]
    all_variables[:] = [var for var in all_variables if var.process not in processes]
    for leaf in leaves:
        for port in leaf.var_ports.members:
            if isinstance(port, ImplicitVarPort):
                setattr(leaf.model_class, port.name, None)


def _kill(actors: list[Any], owner: int) -> None:
    """End the processes of a graph that nobody refers to, whose shared memory is going to be freed.

    They are not told to stop: it may be gone by the time in which Lava's processes are finalized.
    """
    if os.getpid() == owner:
        for actor in filter(_is_alive, actors):
            actor.kill()
            actor.join()


def _external(runtime: Any, direction: str) -> Iterator[Any]:
    """Yield the ports of this process to the processes of a graph, for an Injector or Extractor."""
    for process in runtime._executable.proc_builders:
        for port in (*process.in_ports, *process.out_ports):
            if hasattr(port, name := f"external_pipe_csp_{direction}_port"):
                yield getattr(port, name)


#: Runtimes whose processes may be alive.
_watched: weakref.WeakSet[Any] = weakref.WeakSet()


def _stop_all() -> None:
    with ExitStack() as stops:  # all are stopped, if one of them raises an error too
        for runtime in list(_watched):
            stops.callback(runtime.stop)


atexit.register(_stop_all)


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


def _has_message(port: Any, patience: float) -> bool:
    """Return whether a port has a message, for which to wait some seconds at most."""
    try:
        port._queue.get(timeout=patience, peek=True)
    except Empty:
        return False
    return True


def _is_alive(actor: Any) -> bool:
    if actor._is_done:  # joined and closed
        return False
    alive: bool = actor.is_alive()
    return alive


def _error_of(actor: Any) -> tuple[Exception, str] | None:
    try:
        error: tuple[Exception, str] | None = actor.exception
    except (EOFError, OSError):
        return None
    return error
