"""How far a run in this process has come, which code of the user's may end with an error.

Brian2 sends no notice of such an end. The clock then stands at the dt in which the error came, and
the next run repeats that dt.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import numpy as np
from brian2 import BrianObject, Clock, Network
from numpy.typing import NDArray


class RunProgress:
    """The progress of a run: whether its end has been seen, and what it has begun.

    Parameters
    ----------
    clock : Clock
        The clock of the network.
    of_sources : iterable of Clock
        The clocks on which spikes arrive.
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

    def __init__(
        self, clock: Clock, of_sources: Iterable[Clock], begins: int, ends: int, name: str
    ) -> None:
        self.is_open = self.is_in_step = False
        # The last dt that has begun, by clock.
        self._begun: dict[Clock, int] = {}
        self.marks = [
            StepMark(self._begin_step, clock, begins, f"{name}_step_begins"),
            StepMark(self._end_step, clock, ends, f"{name}_step_ends"),
        ]
        for number, other in enumerate(set(of_sources) - {clock}):
            self.marks.append(StepMark(self._note, other, begins, f"{name}_arrivals_{number}"))

    def begin_run(self) -> None:
        """Note that a run begins."""
        self._begun, self.is_open = {}, True

    def end_run(self) -> None:
        """Note that a run has ended as it should, or that the state is another."""
        self._begun, self.is_open, self.is_in_step = {}, False, False

    def refuse_repetition(self, name: str) -> None:
        """Refuse a run that begins with a dt that an error has ended in the middle.

        Raises
        ------
        RuntimeError
            If it does so; `name` is that of the network.
        """
        if any(tick == _tick_of(clock)[0] for clock, tick in self._begun.items()):
            raise RuntimeError(
                f"Brian2 would repeat the last dt of {name!r}, in the middle of which an error has "
                "ended the run before: restore() a state, or go on with "
                "SpikingMLPGroup(checkpoint, ...)"
            )

    def _note(self, clock: Clock, tick: int) -> None:
        self._begun[clock] = tick

    def _begin_step(self, clock: Clock, tick: int) -> None:
        self.is_in_step, self._begun[clock] = True, tick

    def _end_step(self, *_: Any) -> None:
        self.is_in_step = False


def _tick_of(clock: Clock) -> NDArray[np.int64]:
    """Return the array of the number of the present dt."""
    tick: NDArray[np.int64] = clock.variables["timestep"].get_value()
    return tick


class StepMark(BrianObject):  # type: ignore[misc]
    """An object that calls a function in each dt, with its clock and the number of the dt."""

    def __init__(
        self, call: Callable[[Clock, int], None], clock: Clock, order: int, name: str
    ) -> None:
        super().__init__(clock=clock, when="thresholds", order=order, name=name)
        self._call = call

    def before_run(self, run_namespace: Any) -> None:
        """Get ready for a run; called by Brian2."""
        self._tick = _tick_of(self._clock)
        super().before_run(run_namespace)

    def run(self) -> None:
        """Call the function; called by Brian2."""
        self._call(self._clock, self._tick[0])


def is_running(mlp: BrianObject) -> bool:
    """Return whether Brian2 is running the network, in whatever thread.

    A flag would stay set after a run that ends by an error.
    """
    # Code of a script's that a run calls finds the run in its own thread, without a look at others.
    return _is_run_by(sys._getframe(), mlp) or any(
        _is_run_by(frame, mlp) for frame in sys._current_frames().values()
    )


def refuse_in_run(mlp: BrianObject, message: str) -> None:
    """Raise RuntimeError with a message if the network is running."""
    if is_running(mlp):
        raise RuntimeError(message)


def _is_run_by(frame: FrameType | None, mlp: BrianObject) -> bool:
    """Return whether a run of the network has called what a frame executes."""
    while frame is not None:
        if frame.f_code.co_name == "run":
            network = frame.f_locals.get("self")
            if isinstance(network, Network) and _is_in(network, mlp):
                return True
        frame = frame.f_back
    return False


def _is_in(network: Network, mlp: BrianObject) -> bool:
    # Before its first run begins an object does not know its network.
    return mlp in network.sorted_objects if mlp._network is None else mlp._network == network.id
