"""Lava's runtime, guarded. This package alone uses private parts of it.

Written for lava-nc 0.10, the last release. No run hangs (`channels`), no process stays behind
(`cleanup`), a fault brings its cause and the state before (`faults`), and runs are controlled from
any thread (`control`), from the first call on that makes a graph (`first_run`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lava.magma.core.run_configs import AbstractLoihiHWRunCfg

from spikebp_lava.runtime.control import GuardedRuntime
from spikebp_lava.runtime.faults import ProcessGraph
from spikebp_lava.runtime.first_run import ask, first_run
from spikebp_plugins import UnsupportedError


class GuardedProcess:
    """A process that guards its graph, whichever process runs it: a base class before Lava's own.

    Lava hands the runtime to leaves, and to the process whose `run` is called. So every leaf that
    is a part of the network is guarded, and through it the graph.
    """

    def run(self, condition: Any, run_cfg: Any = None, compile_config: Any = None) -> None:
        """Run the graph of this process, which the first run makes; see `AbstractProcess.run`."""
        with first_run():
            super().run(condition, run_cfg, compile_config)  # type: ignore[misc]

    def pause(self) -> None:
        """End a run after its present step, or as soon as its graph is made."""
        self._ask("pause")
        super().pause()  # type: ignore[misc]

    def stop(self) -> None:
        """End a run likewise, and with it the processes of the graph."""
        self._ask("stop")
        super().stop()  # type: ignore[misc]

    def _ask(self, what: str) -> None:
        if self.runtime is None or not self.runtime._is_started:  # type: ignore[attr-defined]
            ask(self, what)

    def compile(self, run_cfg: Any, compile_config: Any = None) -> Any:
        """Compile the graph of this process; see `AbstractProcess.compile`.

        Raises
        ------
        UnsupportedError
            If the run configuration is one for chips.
        """
        if isinstance(run_cfg, AbstractLoihiHWRunCfg):
            raise UnsupportedError(
                "no process of spikebp_lava runs on a chip: run_cfg must be Loihi1SimCfg(...) or "
                f"Loihi2SimCfg(...); got {type(run_cfg).__name__}"
            )
        return super().compile(run_cfg, compile_config)  # type: ignore[misc]

    # Lava assigns the runtime here before it starts any process.
    @property
    def _runtime(self) -> Any:
        return self.__dict__.get("_own_runtime")

    @_runtime.setter
    def _runtime(self, runtime: Any) -> None:
        self.__dict__["_own_runtime"] = runtime
        if runtime is not None:
            if not isinstance(runtime, GuardedRuntime):
                runtime.__class__, runtime.graph = GuardedRuntime, ProcessGraph(runtime)
                runtime.require_no_processes()
            runtime.graph.participants[self] = None

    def prepare(self, models: list[type]) -> None:
        """Prepare a graph of these process models before it is started, or refuse it."""

    def begin_run(self) -> None:
        """Remember the state before a run."""

    def undo_run(self) -> None:
        """Return to the state before the run."""


def at_rest(process: Any) -> AbstractContextManager[None]:
    """Return the context in which no run of a process is under way, nor begins.

    Raises
    ------
    RuntimeError
        On entering, if one is under way.
    Exception
        On entering, if a run has failed and no call has waited for it: the error of its process.
    """
    runtime = process.runtime
    return nullcontext() if runtime is None else runtime.at_rest()


def is_started(runtime: Any) -> bool:
    """Return whether a runtime has run, and was not stopped: Lava then sets variables."""
    return bool(runtime._is_started)


__all__ = ["GuardedProcess", "at_rest", "is_started"]
