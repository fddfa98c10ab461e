"""How far a run in this process has come, which code of the user's may end with an error.

Brian2 sends no notice of such an end. The clock then stands at the dt in which the error came, and the
next run repeats that dt.
"""

from __future__ import annotations

import sys
import traceback
from typing import Any

from brian2 import BrianObject, Clock, Network


class RunProgress:
    """The progress of a run: whether its end has been seen, and which step it has computed.

    Parameters
    ----------
    clock : Clock
        The clock of the network.
    begins, ends : int
        The orders in slot ``thresholds`` before the first and behind the last part of a step.
    name : str
        The prefix of the names of the marks.

    Attributes
    ----------
    marks : list of StepMark
        The objects that follow a run.
    is_open : bool
        Whether a run has begun whose end has not been seen.
    is_in_step : bool
        Whether a step has begun that is not over.
    """

    def __init__(self, clock: Clock, begins: int, ends: int, name: str) -> None:
        self._clock = clock
        self.is_open = self.is_in_step = False
        self._last: int | None = None
        self.marks = [
            StepMark(self._begin_step, clock, begins, f"{name}_step_begins"),
            StepMark(self._end_step, clock, ends, f"{name}_step_ends"),
        ]

    def begin_run(self) -> None:
        """Note that a run begins."""
        self._tick = self._clock.variables["timestep"].get_value()
        self.is_open, self._last = True, None

    def end_run(self) -> None:
        """Note that a run has ended as it should, or that the state is another."""
        self.is_open, self.is_in_step, self._last = False, False, None

    def is_repeated(self) -> bool:
        """Return whether the next dt is one whose step a run has computed that an error has ended."""
        return self._last is not None and self._last == int(self._tick[0])

    def _begin_step(self) -> None:
        self.is_in_step = True

    def _end_step(self) -> None:
        self.is_in_step, self._last = False, int(self._tick[0])


class StepMark(BrianObject):  # type: ignore[misc]
    """An object without code of its own that runs in each dt, and calls a function."""

    def __init__(self, call: Any, clock: Clock, order: int, name: str) -> None:
        super().__init__(clock=clock, when="thresholds", order=order, name=name)
        self.run = call


def is_running(mlp: BrianObject) -> bool:
    """Return whether Brian2 is running the network, in whatever thread.

    A flag would stay set after a run that ends by an error.
    """
    frames = (
        frame for top in sys._current_frames().values() for frame, _ in traceback.walk_stack(top)
    )
    running = (frame.f_locals.get("self") for frame in frames if frame.f_code.co_name == "run")
    return any(isinstance(one, Network) and one.id == mlp._network for one in running)
