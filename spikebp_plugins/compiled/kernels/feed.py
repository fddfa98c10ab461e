"""The kernel that takes events as they come: it checks them, cuts time into steps, and shows these.

The rules are those of `data.events`, which serve all back ends and say what is wrong with events.
Whatever is rare is left to them: the kernel stops before it, and says how many events it has taken.
It reads events where the user has them, in records of any type that Numba knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .build import entry, kernel
from .entering import are_finite, enter_values
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


class Feeding(Struct):
    """What the kernel reads and writes, besides events."""

    run: StepRun
    sensor: Sensor
    clock: Clock
    target: Any  # float64 (n_outputs,)
    drawn: Any  # (sum n_l,): backward potentials to start from


@kernel
def are_allowed(sensor, events, now):
    """Whether events are on the sensor, in the order of time, and make no leap."""
    before = now
    for a in range(events.size):
        event = events[a]
        x, y, p, t = event.x, event.y, event.p, event.t
        if not (0 <= x < sensor.width and 0 <= y < sensor.height and 0 <= p <= 1):
            return False
        if t < before or np.uint64(t) - np.uint64(before) > sensor.longest_leap:
            return False
        before = t
    return True


@kernel
def count_event(sensor, event, counts):
    """Add an event to the counts of the step."""
    p, weight = np.int64(event.p), np.int64(1)
    unit = np.int64(event.y) * sensor.width + np.int64(event.x)
    if sensor.planes:
        unit += p * sensor.width * sensor.height
    elif sensor.signs:
        weight = 2 * p - 1
    # Whoever fills the user's array in another thread can change an event after it was checked.
    if np.uintp(unit) < np.uintp(counts.size):
        counts[np.uintp(unit)] += weight


@entry
def feed(feeding, events, until, opens, restarts, learns, n_left):
    """Take events, and show the steps that they or the time `until` complete, at most `n_left`.

    Returns how many events are taken, one more if that time is reached, and how many steps are
    shown. What is not taken follows a step that is not shown: one whose range is not certain, one
    of a long silence, or the first after `n_left`. If events or target are not allowed, nothing has
    changed, and -1 is returned.
    """
    run, clock, sensor = feeding.run, feeding.clock, feeding.sensor
    times, target, shown = clock.times, run.sample.target, 0
    if not are_allowed(sensor, events, times[1]):
        return -1, 0
    if learns:
        if not are_finite(feeding.target):
            return -1, 0
        enter_values(run.net, feeding.target, 1.0, target)
    length, start, n, a = np.uint64(sensor.step), np.uint64(times[0]), events.size, 0
    while True:
        # Events of the unfinished step; a division for each would take longer than the rest.
        first, begun = a, np.uint64(times[2]) * length
        while a < n and np.uint64(events[a].t) - start - begun < length:
            count_event(sensor, events[a], clock.counts)
            a += 1
        if a > first:
            clock.has_events[0] = True
            times[1] = events[a - 1].t
        reached = np.int64(events[a].t) if a < n else max(until, times[1])
        elapsed = np.uint64(reached) - start
        if a == n and elapsed - begun < length:
            times[1] = reached
            return n + 1, shown
        n_over = np.int64(elapsed // length) - times[2]
        if not 0 < n_over <= min(n_left - shown, LONG_SILENCE):
            return a, shown
        for _ in range(n_over):
            if shown == 0:
                begin(run, feeding.drawn, opens, restarts)
            if clock.has_events[0] or learns or not rests(run):
                if not show_counts(run, clock.counts, target, learns):
                    return a, shown
                clock.has_events[0] = False
                clock.counts[:] = 0
            times[2] += 1
            shown += 1
