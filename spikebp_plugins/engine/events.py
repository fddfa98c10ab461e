"""Steps of events, and events as they come, handed to the engine."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.data.events import EVENT_DTYPE, EventClock, EventCounts, EventSteps
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.engine.structs import CCounted, CEvents, CFeeding

Array = NDArray[Any]


def show_events(
    network: StepNetwork, given: EventSteps, counts: EventCounts, most: int
) -> tuple[int, bool]:
    """Show steps of events after a call of `begin_steps`.

    Parameters
    ----------
    network : StepNetwork
        The network with the open sample.
    given : EventSteps
        The steps.
    counts : EventCounts
        Has the counts of a step that may be out of range, and else none.
    most : int
        The number of steps to show; silent steps that change nothing do not count.

    Returns
    -------
    done : int
        The number of completed steps.
    is_in_range : bool
        Whether the next is not one that may be out of range.
    """
    counts.clear()
    parts = [np.ascontiguousarray(part, np.int64) for part in given[1:]]
    at, unit, weight = (part.ctypes.data for part in parts)
    events = CEvents(
        at=at,
        unit=unit,
        weight=weight,
        n_events=len(given.at),
        n_steps=given.n_steps,
        counted=_counted(counts),
    )
    block = network.steps_block
    block.n_steps = most
    outcome = network.build.show_events(network.steps_address, ctypes.addressof(events))
    return int(block.n_shown), bool(outcome)


def _counted(counts: EventCounts) -> CCounted:
    return CCounted(*(array.ctypes.data for array in counts))


class Feeder:
    """Hands events to the engine, which cuts them into steps by a clock, and shows these.

    Parameters
    ----------
    network : StepNetwork
        The network with the open sample.
    clock : EventClock
        Cuts time into steps; it has started.
    """

    def __init__(self, network: StepNetwork, clock: EventClock) -> None:
        encoder = clock.encoder
        self.block, self.clock = network.steps_block, clock
        self._feeding = CFeeding(
            block=network.steps_address,
            times=clock.times.ctypes.data,
            counted=_counted(clock.counts),
            width=encoder.width,
            height=encoder.height,
            step=encoder.step,
            longest_leap=encoder.longest_leap,
            planes=encoder.polarity == "planes",
            signs=encoder.polarity == "signs",
        )
        self._address, self._feed = ctypes.addressof(self._feeding), network.build.feed
        self._dtype: Any = None
        self._has_copy = False

    def feed(self, events: Array, n_taken: int, until: int, n_left: int) -> tuple[int, int]:
        """Take events until something rare happens, after a call of `begin_steps`.

        Parameters
        ----------
        events : structured array of shape (n_events,)
            Events with integers in the fields x, y, t and p, not checked yet; after a call with
            `n_taken` of 0 the same ones.
        n_taken, until, n_left : int
            As for `Steps.feed`.

        Returns
        -------
        taken, shown : int
            As `feed` of the engine has them.
        """
        feeding = self._feeding
        if n_taken == 0 or not self._has_copy:
            self._copy(events)
        feeding.n_taken, feeding.until, feeding.n_left = n_taken, until, n_left
        self._feed(self._address)
        return feeding.n_taken, self.block.n_shown

    def _copy(self, events: Array) -> None:
        """Copy events, once for all calls that take them: another thread may fill their array."""
        feeding = self._feeding
        if events.dtype is not self._dtype:  # to compare two takes longer
            self._dtype = events.dtype
            feeding.are_usual = self._dtype == EVENT_DTYPE
        if not feeding.are_usual:
            events = np.stack([events[name] for name in ("x", "y", "t", "p")], 1, dtype=np.int64)
        feeding.events = events.tobytes()
        feeding.n_events, feeding.are_checked, self._has_copy = len(events), False, True
