"""Ends all processes of a graph, whatever happens to the user's process.

Lava's processes run until `stop()` is called. A script that ends without it waits for them for
ever; if it is killed they wait for ever themselves. Nor does a graph end with the last reference to
it: to count them Lava keeps all processes, and a model the ports through which its last process was
observed.

Here processes end with the script, however that ends; and with the last reference to their graph,
which Lava forgets as it starts.
"""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from multiprocessing import current_process
from typing import Any, Final

from lava.magma.core.process.ports.ports import ImplicitVarPort
from lava.magma.core.process.process import ProcessServer
from lava.magma.core.process.variable import VarServer
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing

from spikebp_lava.runtime.channels import ChannelMemory, no_wake_up_is_lost
from spikebp_lava.runtime.signals import signals_deferred

#: Seconds between two looks of a process whether the one that started it has ended.
LOOK_INTERVAL: Final = 0.5

#: Runtimes whose processes may be alive.
alive: Final[weakref.WeakSet[Any]] = weakref.WeakSet()

#: As `parent`, the id of this process, while this thread starts children that end with it.
_starting: Final = threading.local()


def start_processes(runtime: Any) -> None:
    """Start the processes of a graph, which end with the last reference to its runtime.

    Signals are for this process, and deferred: an exception of a handler might come between the
    fork of a child and the moment in which Lava knows of it. In children they stay so.
    """
    if current_process().daemon:
        raise RuntimeError(
            "a worker of multiprocessing.Pool cannot run a graph of Lava, whose processes would be "
            "its children; a worker of concurrent.futures.ProcessPoolExecutor can"
        )
    if alive:
        gc.collect()  # unreferenced graphs end before others are made
    alive.add(runtime)
    with no_wake_up_is_lost(runtime.graph.check), signals_deferred():
        _starting.parent = os.getpid()
        try:
            runtime._build_watchdog_manager()
            runtime._messaging_infrastructure = MultiProcessing()
            runtime._messaging_infrastructure._smm = ChannelMemory()
            actors = runtime.graph.actors = runtime._messaging_infrastructure.actors
            runtime._build_channels()
            runtime._build_sync_channels()
            runtime._build_processes()
            runtime._build_runtime_services()
            runtime._start_ports()
        finally:
            del _starting.parent
        weakref.finalize(runtime, kill, actors, os.getpid()).atexit = False


def _end_with_parent() -> None:
    parent = getattr(_starting, "parent", None)
    if parent is not None:
        del _starting.parent
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _thread.start_new_thread(_watch, (parent,))


def _watch(parent: int) -> None:
    """End this process once its parent has ended, be that before the first look.

    A signal at the parent's death, which Linux can send, would come when the thread has ended that
    has started this process.
    """
    while os.getppid() == parent:
        time.sleep(LOOK_INTERVAL)
    os._exit(1)


os.register_at_fork(after_in_child=_end_with_parent)


@atexit.register
def _stop_all() -> None:
    with ExitStack() as stops:  # all are stopped, if one of them raises an error too
        for runtime in list(alive):
            stops.callback(runtime.stop)


def is_alive(actor: Any) -> bool:
    """Return whether a process of Lava's has not ended."""
    return not actor._is_done and bool(actor.is_alive())  # else joined and closed


def kill(actors: Iterable[Any], owner: int) -> None:
    """End processes, whatever they wait for, if they are children of this process.

    They are not told to stop: for unreferenced processes the channel for that may be gone.
    """
    if os.getpid() == owner:
        running = list(filter(is_alive, actors))
        for actor in running:
            actor.kill()
        for actor in running:
            actor.join()


def forget(leaves: Iterable[Any]) -> list[Any]:
    """Let nothing of Lava's refer to processes and those that contain them; return all of them."""
    found: dict[Any, None] = {}
    for process in leaves:
        for port in process.var_ports.members:
            if isinstance(port, ImplicitVarPort):
                setattr(process.model_class, port.name, None)
        while process is not None:
            found[process], process = None, process.parent_proc
    all_processes, all_variables = ProcessServer().processes, VarServer().vars
    all_processes[:] = [process for process in all_processes if process not in found]
    all_variables[:] = [var for var in all_variables if var.process not in found]
    return list(found)
