"""The kernel that takes events as they come: it checks them, cuts time into steps, and shows these.

The rules are those of `data.events`, which serve all back ends and say what is wrong with events.
Whatever is rare is left to them: the kernel stops before it, and says how many events it has taken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .build import entry, kernel
from .steps import StepRun, begin, rests, show_counts
from .structs import Struct

#: More steps between two events are not worth looking at one by one.
LONG_SILENCE = 1000


class Sensor(Struct):
    """The fields of an `EventEncoder`."""

    width: int
    height: int
    step: int
    longest_leap: Any  # uint64, in microseconds
    planes: bool  # polarity="planes"
    signs: bool  # polarity="signs"


class Clock(Struct):
    """The arrays of an `EventClock`."""

    times: Any  # int64 (3,): the start, the last event, and the step that it lies in
    has_events: Any  # bool (1,): whether this step has events
    counts: Any  # int64 (n_inputs,): their counts


class Arrived(Struct):
    """Room for events, each array of the same length, and for what the kernel says."""

    x: Any  # int64, as all that follow
    y: Any
    t: Any
    p: Any
    taken: Any  # (2,): events taken, and steps shown


class Feeding(Struct):
    """All that the kernel reads and writes."""

    run: StepRun
    sensor: Sensor
    clock: Clock
    arrived: Arrived


@kernel
def are_allowed(sensor, arrived, n, now):
    """Whether n events are on the sensor, in the order of time, and make no leap."""
    before = now
    for a in range(n):
        x, y, p, t = arrived.x[a], arrived.y[a], arrived.p[a], arrived.t[a]
        if not (0 <= x < sensor.width and 0 <= y < sensor.height and 0 <= p <= 1):
            return False
        if t < before or np.uint64(t) - np.uint64(before) > sensor.longest_leap:
            return False
        before = t
    return True


@kernel
def count_event(sensor, arrived, a, counts):
    """Add an event to the counts of the step."""
    unit = arrived.y[a] * sensor.width + arrived.x[a]
    p, weight = arrived.p[a], 1
    if sensor.planes:
        unit += p * sensor.width * sensor.height
    elif sensor.signs:
        weight = 2 * p - 1
    counts[unit] += weight


@entry
def feed(feeding, n, y, drawn, opens, restarts, learns, n_left):
    """Take n events, and show the steps that they complete, at most `n_left`.

    Returns whether the events are allowed; if not, nothing has changed. Events that are not
    taken follow a step that is not shown: one whose range is not certain, one of a long silence, or
    the first after `n_left`.
    """
    run, clock, arrived = feeding.run, feeding.clock, feeding.arrived
    sensor, times, taken = feeding.sensor, clock.times, arrived.taken
    taken[:] = 0
    if not are_allowed(sensor, arrived, n, times[1]):
        return False
    for a in range(n):
        elapsed = np.uint64(arrived.t[a]) - np.uint64(times[0])
        step = np.int64(elapsed // np.uint64(sensor.step))
        n_over = step - times[2]
        if n_over > min(n_left - taken[1], LONG_SILENCE):
            return True
        for _ in range(n_over):
            if taken[1] == 0:
                begin(run, drawn, opens, restarts)
            if clock.has_events[0] or learns or not rests(run):
                if not show_counts(run, clock.counts, y, learns):
                    return True
                clock.has_events[0] = False
                clock.counts[:] = 0
            times[2] += 1
            taken[1] += 1
        count_event(sensor, arrived, a, clock.counts)
        clock.has_events[0] = True
        times[1] = arrived.t[a]
        taken[0] = a + 1
    return True
