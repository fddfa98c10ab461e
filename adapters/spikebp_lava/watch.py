"""Runs of Lava that cannot hang. This module alone uses private parts of Lava's runtime.

Written for lava-nc 0.10, the last release. There, an exception in one process leaves all others
waiting for ever, and the script with them; `stop()` waits too. A watched runtime looks after its
processes while it waits: when one has failed or was killed, when Ctrl-C is pressed, or when the
script ends without `stop()`, it ends all of them, and raises the error of the first process that
has one, with its traceback. If the script itself is killed, its processes end too, and no named
shared memory remains.

Lava's channels can also lose the wake-up for a message, after which all processes wait although
none has failed. The processes of a watched runtime get ports that lose no wake-up (`channels`).
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import Process
from queue import Empty
from typing import Any, Final, Protocol

from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.magma.runtime.mgmt_token_enums import MGMT_COMMAND, MGMT_RESPONSE, enum_equal

from spikebp_lava.channels import no_wake_up_is_lost

#: Seconds between two looks at the processes.
INTERVAL: Final = 0.1

#: Seconds to wait for the exception of a process that has ended.
PATIENCE: Final = 1.0

_PR_SET_PDEATHSIG: Final = 1


@contextmanager
def signals_deferred() -> Iterator[dict[int, Any]]:
    """Call the handlers of signals that arrive in this context at its end, and yield the handlers.

    Those alone that are written in Python; another thread than the main one calls none.
    """
    arrived: dict[int, Any] = {}
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in signal.valid_signals()}
        handlers.update((number, handler) for number, handler in found.items() if callable(handler))

    def call() -> None:
        with ExitStack() as calls:  # it calls all, if one of them raises too
            for number, frame in arrived.items():
                calls.callback(handlers[number], number, frame)

    with ExitStack() as at_end:
        at_end.callback(call)
        for number, handler in handlers.items():
            at_end.callback(signal.signal, number, handler)
            signal.signal(number, arrived.setdefault)
        yield handlers


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


def is_between_runs(runtime: Any) -> bool:
    """Return whether a runtime has run, and does not run now: Lava then sets variables."""
    return bool(runtime._is_started and not runtime._is_running)


def is_running(runtime: Any) -> bool:
    """Return whether a run has begun, whose end nobody has waited for yet."""
    return bool(runtime._is_running)


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
        #: Whether Lava will never again report the end of a number of steps.
        self._is_endless = False
        self._is_stopping = False
        #: Whether the end of the last run has been reported.
        self._has_responded = True
        self._initialize, self._start = runtime.initialize, runtime.start
        self._respond, self._start_ports = runtime._get_resp_for_run, runtime._start_ports
        #: What holds while processes are forked.
        self._forking = ExitStack()
        runtime.initialize = self.initialize
        runtime._start_ports = self.start_ports
        runtime.start = self.start
        runtime._get_resp_for_run = self.respond
        runtime.pause = self.pause
        runtime.stop = self.stop
        runtime.get_var = partial(self._transfer, runtime.get_var)
        runtime.set_var = partial(self._transfer, runtime.set_var)
        _watched.add(runtime)

    def initialize(self, *arguments: Any) -> None:
        """Start the processes of the graph."""
        builders = self._runtime._executable.proc_builders.values()
        models = [builder.proc_model for builder in builders]
        try:
            self._hand_to_enclosing()
            for participant in self.participants:
                participant.prepare(models)
            with self._forking:
                self._forking.enter_context(no_wake_up_is_lost())
                self._forking.enter_context(_children_end_with_us())
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
        self._raise_if_over()
        if isinstance(condition, RunContinuous):
            self._is_endless = True
        elif self._is_endless:
            raise RuntimeError(
                "Lava never returns from RunSteps once a graph has run with RunContinuous, or was "
                "paused in the middle of its steps; go on with RunContinuous and pause(), or make "
                "the graph anew"
            )
        if not isinstance(condition, (RunSteps, RunContinuous)):
            raise ValueError(f"Wrong type of run_condition : {condition.__class__}")
        for participant in self.participants:
            participant.begin_run()
        self._has_responded = False
        try:
            self._start(condition)
        except BaseException as error:
            self._fail_by(error)
            raise

    def respond(self) -> None:
        """Wait for the end of a run."""
        runtime = self._runtime
        if not runtime._is_running:
            return
        try:
            ready = self._wait_for_services()
            if any(enum_equal(message, MGMT_RESPONSE.ERROR) for message in ready):
                self._raise()
            self._has_responded = True
            self._respond()
        except BaseException as error:
            self._fail_by(error)
            raise

    def pause(self) -> None:
        """Hold a run at the end of its step."""
        if not self._runtime._is_running:
            return
        try:
            self._raise_if_broken()
            self._hold()
        except BaseException as error:
            self._fail_by(error)
            raise

    def _hold(self) -> None:
        """Pause, also if the run ends by itself just then, which Lava's own method takes amiss."""
        runtime = self._runtime
        for port in runtime.runtime_to_service:
            port.send(MGMT_COMMAND.PAUSE)
        for port in runtime.service_to_runtime:
            messages = list(self._messages_until(port, MGMT_RESPONSE.PAUSED))
            # A service that is paused within its steps reports the end of no later steps either.
            self._is_endless |= not messages and not self._has_responded
        runtime._is_running = False

    def _messages_until(self, port: Any, last: Any) -> Iterator[Any]:
        """Yield the messages of a runtime service that come before another one."""
        while not enum_equal(message := port.recv(), last):
            if enum_equal(message, MGMT_RESPONSE.ERROR):
                self._raise()
            yield message

    def stop(self) -> None:
        """End the processes of the graph."""
        if self._failure is not None:
            return
        if self._broken():
            self._fail("a process had ended")
            return
        self._is_stopping = True
        try:
            self._dismiss()
        except BaseException as error:
            # Otherwise a process has ended before it was told to, and all are gone already.
            if not isinstance(error, Exception) or self._failure is None:
                self._end()
                raise
        finally:
            self._failure = self._failure or "stopped"
            _watched.discard(self._runtime)

    def _dismiss(self) -> None:
        """Tell all processes to stop, and wait until they have ended.

        Lava's own method tells none of them in a graph that has not run, and waits for them anyway.
        """
        runtime = self._runtime
        for port in runtime.runtime_to_service:
            port.send(MGMT_COMMAND.STOP)
        for port in runtime.service_to_runtime:
            for _ in self._messages_until(port, MGMT_RESPONSE.TERMINATED):
                pass
        runtime.join()
        runtime._is_running = runtime._is_started = False
        for actor in self._actors:
            while _is_alive(actor):
                Process.join(actor, INTERVAL)
                self._raise_if_broken()
        runtime._messaging_infrastructure.stop()
        runtime._watchdog_manager.stop()

    def _transfer(self, transfer: Callable[..., Any], *arguments: Any) -> Any:
        """Get or set a variable of Lava's own, which takes a message for each number.

        If that ends in the middle, the next call would take what is under way for its own answer.
        """
        try:
            return transfer(*arguments)
        except BaseException as error:
            if self._runtime._is_started:
                self._fail_by(error)
            raise

    def _wait_for_services(self) -> list[Any]:
        """Return the message of each runtime service, up to the first that is not DONE."""
        messages = []
        for port in self._runtime.service_to_runtime:
            self._wait_for_message(port)
            message = port._array[port._idx].copy()
            messages.append(message)
            if not enum_equal(message, MGMT_RESPONSE.DONE):
                break
        return messages

    def _receive(self, port: Any, receive: Callable[[], Any]) -> Any:
        """Receive the next message of a process."""
        self._wait_for_message(port)
        return receive()

    def _send(self, port: Any, send: Callable[[Any], None], message: Any) -> None:
        """Send a message to a process, once the port has room for it."""
        while not port._semaphore.acquire(timeout=INTERVAL):
            self._raise_if_broken()
        port._semaphore.release()
        send(message)

    def _wait_for_message(self, port: Any) -> None:
        while True:
            try:
                port._queue.get(timeout=INTERVAL, peek=True)
                return
            except Empty:
                self._raise_if_broken()

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


def _external(runtime: Any, direction: str) -> Iterator[Any]:
    """Yield the ports of this process to the processes of a graph, for an Injector or Extractor."""
    for process in runtime._executable.proc_builders:
        for port in (*process.in_ports, *process.out_ports):
            if hasattr(port, name := f"external_pipe_csp_{direction}_port"):
                yield getattr(port, name)


#: Runtimes whose processes may be alive.
_watched: weakref.WeakSet[Any] = weakref.WeakSet()


def _stop_all() -> None:
    for runtime in list(_watched):
        runtime.stop()


atexit.register(_stop_all)


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


#: The id of the process whose children end with it, and its handlers of signals; set while it
#: starts them.
_starting: tuple[int, dict[int, Any]] | None = None


@contextmanager
def _children_end_with_us() -> Iterator[None]:
    """Let children ignore Ctrl-C, which is for their parent, and end when their parent ends.

    Signals that arrive meanwhile are deferred: an exception of a handler might otherwise come
    between the fork of a child and the moment in which Lava knows of it.
    """
    global _starting
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with signals_deferred() as handlers:
        _starting = os.getpid(), handlers
        try:
            yield
        finally:
            _starting = None


def _end_with_parent() -> None:
    global _starting
    if _starting is None:
        return
    (parent, handlers), _starting = _starting, None
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):  # no Linux
        return
    if os.getppid() != parent:
        os._exit(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_with_parent)
