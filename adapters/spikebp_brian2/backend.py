"""The back end `brian2`: whole data sets through the network's Brian2 objects."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from spikebp_brian2 import rules
from spikebp_brian2.script import ProgramScript, RuntimeScript, Script
from spikebp_brian2.single_steps import StepScript
from spikebp_brian2.wiring import KINDS
from spikebp_plugins.backends import Outcome
from spikebp_plugins.backends.base import Steps
from spikebp_plugins.backends.reference import ReferenceSteps
from spikebp_plugins.engine.fallback import FallbackBackend
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.step import close_training, step

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

#: Steps in one run, by target: they take a few seconds, much longer than preparing a run.
STEPS_PER_RUN: Final = {"numpy": 5_000, "cython": 20_000, "cpp_standalone": 50_000}

#: How many values of input one run may have, in doubles of 8 bytes each.
VALUES_PER_RUN: Final = 2**25


class Brian2Backend(FallbackBackend):
    """The network as Brian2 objects, run by one of Brian2's targets.

    The option `target` is "cython" (the default), "numpy", "cpp_standalone", or "auto", which is
    "cython" where there is a C++ compiler and "numpy" otherwise.

    Brian2 computes with doubles. Where it is not proven that every partial sum of a block of
    samples was exact, the core computes the block anew with wider numbers, and raises the error if
    a value did leave its range.
    """

    options: ClassVar = {"target": ("cython", "numpy", "cpp_standalone", "auto")}
    choices: ClassVar = rules.CHOICES
    connections: ClassVar = KINDS
    main_option: ClassVar = "target"
    takes_unlabeled: ClassVar = True  # a run takes longer to begin than many samples

    def __init__(self, net: Definition, state: LearningState, target: str) -> None:
        super().__init__(net, state)
        self._target = settled_target(target)
        # Made for the first samples, since Brian2 warns of objects that were never part of a run.
        self._script: Script | None = None
        self._single_steps: StepScript | None = None

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        steps = min(STEPS_PER_RUN[self._target], VALUES_PER_RUN // self.net.n_inputs)
        return max(1, steps // delays_of(self.net).duration(n_steps))

    def _steps(self) -> Steps:
        if self._target == "cpp_standalone":
            return super()._steps()
        make_step = partial(self._by_brian2_or_core, StepScript.step, step)
        close = partial(self._by_brian2_or_core, StepScript.close_training, close_training)
        return ReferenceSteps(self, make_step, close)

    def _by_brian2_or_core(
        self, compute: Callable[..., Result], by_core: Callable[..., Result], *now: Any
    ) -> Result:
        """Compute by Brian2, or by the core if Brian2's numbers are not proven to hold it."""
        script, self._single_steps = self._single_steps, None  # an interrupt may leave spikes in it
        if script is None or script.net is not self.net:  # prepared code has the rate in it
            script = StepScript(self.net, self._target)
        try:
            result = compute(script, *now)
        except OverflowError:
            result = by_core(*now)
        self._single_steps = script
        return result

    def close(self) -> None:
        """Delete the folder of a program."""
        if isinstance(self._script, ProgramScript):
            self._script.close()

    def _show_exactly(self, batch: Batch, record: bool) -> Outcome:
        if self._script is None:
            is_program = self._target == "cpp_standalone"
            self._script = (
                ProgramScript(self.net) if is_program else RuntimeScript(self.net, self._target)
            )
        state, operations = self._so_far
        show = self._script.show
        outcome, after, work = show(state, batch, record, self.net.learning_rate)
        self._so_far = (state if batch.y is None else after, operations + work)
        return outcome


def settled_target(target: str) -> str:
    """Return the target to use.

    Raises
    ------
    RuntimeError
        If the target needs a compiler, or ``make``, that is not on the PATH.
    """
    missing = missing_tool(target)
    if target == "auto":
        if missing is not None:
            logger.warning("target='auto' takes numpy, which is slower: no %r on the PATH", missing)
        return "numpy" if missing is not None else "cython"
    if missing is not None:
        raise RuntimeError(
            f"target {target!r} of back end 'brian2' needs the program {missing!r}, which is "
            "not on the PATH; install it, or use target='numpy'"
        )
    return target


def missing_tool(target: str) -> str | None:
    """Return the program that a target needs and this machine lacks, or None."""
    if target == "numpy" or os.name == "nt":
        # On Windows Brian2 looks for the compiler itself, and says so if there is none.
        return None
    compiler = os.environ.get("CXX", "c++" if target != "cpp_standalone" else "g++").split()[0]
    tools = (compiler, "make") if target == "cpp_standalone" else (compiler,)
    return next((tool for tool in tools if shutil.which(tool) is None), None)
