r"""Events of a sensor, and their encoding as input of a network.

An event (x, y, t, p) says that the pixel in column x of row y grew brighter (p = 1) or darker
(p = 0) at time t. Time is cut into steps of equal length :math:`\Delta`, the first of which begins
at :math:`t_0`. The input of step k = 0, 1, .. sums the counts w of its events:

.. math::

    k_0^{(k)}[i] = \sum_{\text{events of unit } i} w, \qquad
    t_0 + k \Delta \le t < t_0 + (k + 1) \Delta

With ``polarity="planes"`` a pixel has two units, (p · height + y) · width + x, and every event
counts 1; with ``"signs"`` it has one, y · width + x, and an event counts 1 or -1; with
``"ignored"`` it has one, and every event counts 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import as_array, boolean, choice, integer, wrong_argument

Integers = NDArray[np.int64]

#: The type of an array of events, with t in microseconds; AER tools and tonic have the same fields.
#: Other integer types are fine, and for p Booleans too.
EVENT_DTYPE: Final = np.dtype([("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "i1")])

POLARITIES: Final = ("planes", "signs", "ignored")

#: Steps without an event, more of which between two events are taken for a corrupt time stamp.
LONGEST_GAP: Final = 1_000_000

#: The most columns of a sparse matrix, whose indices have 32 bits.
MOST_COLUMNS: Final = 2**31 - 1

EARLIEST_TIME, LATEST_TIME = -(2**63), 2**63 - 1


class LocatedEvents(NamedTuple):
    """Checked events: the unit, the weight and the time of each.

    Attributes
    ----------
    unit : ndarray of shape (n_events,), int64
        Input unit.
    weight : ndarray of shape (n_events,), int64
        1, or -1 for a negative event with ``polarity="signs"``.
    time : ndarray of shape (n_events,), int64
        Microseconds.
    """

    unit: Integers
    weight: Integers
    time: Integers


@dataclass(frozen=True)
class EventEncoder:
    """Turns events into spike counts per step.

    Parameters
    ----------
    width, height : int
        Columns and rows of the sensor.
    step : int
        Length of a step in microseconds.
    polarity : {"planes", "signs", "ignored"}, default="planes"
        Two units for each pixel, one with signed counts, or one that counts all events alike.
    longest_gap : int, default=1_000_000
        The most steps that time may go on from one event to the next, or from the start to the
        first event. More are refused: one corrupt time stamp would otherwise stand for years of
        silence.

    Raises
    ------
    ValueError
        If an argument has a value that is not allowed.

    Examples
    --------
    >>> encoder = EventEncoder(34, 34, step=30_000)
    >>> encoder.n_inputs
    2312
    >>> events = np.array([(3, 1, 10, 1), (3, 1, 40_000, 0)], EVENT_DTYPE)
    >>> counts = encoder.encode(events, n_steps=2)
    >>> [np.flatnonzero(step).tolist() for step in counts]
    [[1193], [37]]

    A network of images takes them in the shape of the sensor:

    >>> net = SpikingNetwork(
    ...     encoder.input_shape,
    ...     [Conv2D(8, 5, stride=2), Dense(10)],
    ...     input_layout=encoder.input_layout,
    ...     input_coding="spikes",
    ... )
    >>> net.layer_shapes
    ((2, 34, 34), (15, 15, 8), (10,))
    """

    width: int
    height: int
    step: int
    polarity: str = "planes"
    longest_gap: int = LONGEST_GAP

    def __post_init__(self) -> None:
        for name, highest in (
            ("width", None),
            ("height", None),
            ("step", LATEST_TIME),
            ("longest_gap", None),
        ):
            # The class is frozen. Only here are fields replaced, each by its plain Python form.
            object.__setattr__(self, name, integer(name, getattr(self, name), 1, highest))
        object.__setattr__(self, "polarity", choice("polarity", self.polarity, POLARITIES))

    @property
    def n_inputs(self) -> int:
        """Number of input units."""
        return math.prod(self.input_shape)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The `input_shape` of a `SpikingNetwork` that takes what is encoded.

        (height, width, 2) with ``polarity="planes"``, and otherwise (height, width).
        """
        planes = (2,) if self.polarity == "planes" else ()
        return (self.height, self.width, *planes)

    @property
    def input_layout(self) -> str:
        """The `input_layout` of such a network: "channels_first", one plane after the other."""
        return "channels_first"

    def locate(self, events: Any, after: int | None = None) -> LocatedEvents:
        """Check events, and return the unit, weight and time of each.

        Parameters
        ----------
        events : structured array of shape (n_events,)
            Events in the order of time; see `EVENT_DTYPE`.
        after : int or None, default=None
            A time in microseconds that no event may precede.

        Raises
        ------
        ValueError
            If `events` is no array of events, time runs backwards or makes a leap of more than
            `longest_gap` steps, an address lies outside the sensor or a polarity is neither 0 nor
            1. The message names the first event that is wrong.
        """
        after = None if after is None else time_stamp("after", after)
        allowed = "a one-dimensional structured array with fields x, y, t, p"
        array = as_array("events", events, allowed)
        names = array.dtype.names or ()
        if array.ndim != 1 or not {"x", "y", "t", "p"} <= set(names):
            raise wrong_argument("events", allowed, f"{array.dtype} of shape {array.shape}")
        x, y, time, p = (_integers(array, name) for name in ("x", "y", "t", "p"))
        before = np.concatenate([time[:1] if after is None else [after], time])[: len(time)]
        for name, values, highest in (("x", x, self.width - 1), ("y", y, self.height - 1)):
            _check(name, values, (values >= 0) & (values <= highest), f"from 0 to {highest}")
        _check("p", p, (p == 0) | (p == 1), "0 or 1")
        early = np.flatnonzero(time < before)
        if early.size:
            n = int(early[0])
            raise wrong_argument(
                "events", "in the order of time", f"t = {time[n]} in event {n}, after {before[n]}"
            )
        far = np.flatnonzero(_elapsed(before, time) > np.uint64(self.longest_leap))
        if far.size:
            n = int(far[0])
            raise wrong_argument(
                "t of events", self._allowed_leap(before[n]), f"{time[n]} in event {n}"
            )
        pixel = y * self.width + x
        if self.polarity == "planes":
            pixel = p * (self.width * self.height) + pixel
        weight = 2 * p - 1 if self.polarity == "signs" else np.ones_like(p)
        return LocatedEvents(pixel, weight, time)

    @property
    def longest_leap(self) -> int:
        """The longest allowed gap from one event to the next, in microseconds."""
        return min(self.longest_gap * self.step, LATEST_TIME - EARLIEST_TIME)

    def check_leap(self, name: str, time: int, before: int) -> None:
        """Refuse a time that is further from the one before than `longest_gap` steps."""
        if time - before > self.longest_leap:
            raise wrong_argument(name, self._allowed_leap(before), str(time))

    def _allowed_leap(self, before: int) -> str:
        """Return the allowed times after another, as text for a message."""
        return (
            f"at most longest_gap={self.longest_gap} steps of {self.step} microseconds after the "
            f"time before, {before}"
        )

    def steps_since(self, start: int, time: Integers) -> NDArray[np.uint64]:
        """Return the step that each time lies in; step 0 begins at `start`, which is before all."""
        return _elapsed(np.array(start, np.int64), time) // np.uint64(self.step)

    def count(self, located: LocatedEvents) -> Integers:
        """Return the counts of all units for events of one step, of shape (n_inputs,)."""
        return self._sums(located.unit, located.weight, self.n_inputs)

    def _sums(self, index: Integers, weight: Integers, size: int) -> Integers:
        """Return for each index the sum of its weights, of shape (size,)."""
        if self.polarity != "signs":  # every weight is 1
            return np.bincount(index, minlength=size)
        up = weight > 0
        brighter, darker = (np.bincount(index[some], minlength=size) for some in (up, ~up))
        return brighter - darker

    def encode(
        self, events: Any, n_steps: int | None = None, *, start: int | None = None
    ) -> Integers:
        """Return the spike counts of one recording, as ``Stream.feed`` shows them.

        Parameters
        ----------
        events : structured array of shape (n_events,)
            Events in the order of time.
        n_steps : int or None, default=None
            Steps to return; later events are left out. None takes as many as the events need.
        start : int or None, default=None
            The time in microseconds at which the first step begins; None begins it with the first
            event.

        Returns
        -------
        ndarray of shape (n_steps, n_inputs)
            Signed spike counts, the input of a network with ``input_coding="spikes"``.

        Raises
        ------
        ValueError
            If an argument is not allowed; for events as for `locate`.
        """
        given = self._steps_of(events, n_steps, start)
        index = given.at * self.n_inputs + given.unit
        sums = self._sums(index, given.weight, given.n_steps * self.n_inputs)
        return sums.reshape(given.n_steps, self.n_inputs)

    def _steps_of(self, events: Any, n_steps: int | None, start: int | None) -> EventSteps:
        """Return the steps of a recording by their events; the arguments are those of `encode`."""
        start = None if start is None else time_stamp("start", start)
        n_steps = None if n_steps is None else integer("n_steps", n_steps, 0)
        located = self.locate(events, start)
        if start is None:
            start = int(located.time[0]) if len(located.time) else 0
        step = self.steps_since(start, located.time)
        if n_steps is None:
            n_steps = int(step[-1]) + 1 if len(step) else 0
        n_shown = np.searchsorted(step, n_steps)
        at = step[:n_shown].astype(np.int64)
        return EventSteps(n_steps, at, located.unit[:n_shown], located.weight[:n_shown])

    def batches(
        self,
        recordings: Iterable[tuple[Any, int]],
        n_steps: int,
        size: int = 100,
        *,
        start: int | None = None,
        sparse: bool = False,
    ) -> Iterator[tuple[Any, Integers]]:
        """Encode recordings batch by batch, so that only one batch is in memory.

        An array takes four bytes for each unit and step of its samples. A sparse matrix takes eight
        for each unit and step with events, however large the sensor is.

        Parameters
        ----------
        recordings : iterable of (events, label)
            For example `EventRecordings`, a part of them, or a data set of tonic.
        n_steps : int
            Steps of each sample.
        size : int, default=100
            Recordings in a batch.
        start : int or None, default=None
            As for `encode`.
        sparse : bool, default=False
            Whether to encode to sparse matrices of SciPy, and not to arrays.

        Yields
        ------
        x : ndarray of shape (n_samples, n_steps, n_inputs), int32
            Spike counts, as ``Simulator.train`` takes them with ``input_coding="spikes"``. If they
            are sparse, a matrix of shape (n_samples, n_steps * n_inputs).
        y : ndarray of shape (n_samples,)
            Labels.
        """
        size, n_steps = integer("size", size, 1), integer("n_steps", n_steps, 0)
        samples = ((self._steps_of(x, n_steps, start), label) for x, label in recordings)
        encoded = self._sparse if boolean("sparse", sparse) else self._counts
        while batch := list(islice(samples, size)):
            x = encoded([given for given, _ in batch], n_steps)
            yield x, np.array([label for _, label in batch], np.int64)

    def _counts(self, samples: list[EventSteps], n_steps: int) -> NDArray[np.int32]:
        """Return the counts of samples as an array."""
        counts = np.zeros((len(samples), n_steps, self.n_inputs), np.int32)
        for sample, given in zip(counts, samples, strict=True):
            index = given.at * self.n_inputs + given.unit
            np.add.at(sample.reshape(-1), index, given.weight.astype(np.int32))
        return counts

    def _sparse(self, samples: list[EventSteps], n_steps: int) -> Any:
        """Return the counts of samples as a sparse matrix."""
        from scipy.sparse import csr_matrix

        n_columns, most = n_steps * self.n_inputs, MOST_COLUMNS // self.n_inputs
        if n_steps > most:
            allowed = f"at most {most} where batches of {self.n_inputs} inputs are sparse"
            raise wrong_argument("n_steps", allowed, n_steps)
        rows = [_counted(each.at * self.n_inputs + each.unit, each.weight) for each in samples]
        column, number = (np.concatenate(each).astype(np.int32) for each in zip(*rows, strict=True))
        begin = np.cumsum([0, *(len(columns) for columns, _ in rows)])
        return csr_matrix((number, column, begin), (len(rows), n_columns))


def time_stamp(name: str, value: Any) -> int:
    """Return a time in microseconds, which 64 bits hold."""
    return integer(name, value, EARLIEST_TIME, LATEST_TIME, allowed="an integer of 64 bits")


def _counted(index: Integers, weight: Integers) -> tuple[Integers, Integers]:
    """Return the indices that have weights, in order, and the sum of the weights of each."""
    known, place = np.unique(index, return_inverse=True)
    sums = np.zeros(len(known), np.int64)
    np.add.at(sums, place, weight)
    return known, sums


def _elapsed(before: Integers, time: Integers) -> NDArray[np.uint64]:
    """Return the microseconds between times in order; 64 bits without a sign hold any of them."""
    elapsed: NDArray[np.uint64] = time.astype(np.uint64) - before.astype(np.uint64)
    return elapsed


def _integers(events: NDArray[Any], name: str) -> Integers:
    values = events[name]
    if values.dtype.kind not in "iub":
        raise wrong_argument(f"field {name} of events", "integers", f"an array of {values.dtype}")
    if values.dtype.kind == "u":
        _check(name, values, values <= np.uint64(LATEST_TIME), "integers of 64 bits with a sign")
    return values.astype(np.int64)


def _check(name: str, values: NDArray[Any], good: NDArray[np.bool_], allowed: str) -> None:
    if not good.all():
        n = int(np.flatnonzero(~good)[0])
        raise wrong_argument(f"{name} of events", allowed, f"{values[n]} in event {n}")


class EventSteps(NamedTuple):
    """Consecutive completed steps, given by their events.

    Attributes
    ----------
    n_steps : int
        The number of steps.
    at : ndarray of shape (n_events,), int64
        The step of each event, from 0, in order.
    unit : ndarray of shape (n_events,), int64
        Its input unit.
    weight : ndarray of shape (n_events,), int64
        1, or -1 for a negative event; for earlier events of step 0 their sum.
    """

    n_steps: int
    at: Integers
    unit: Integers
    weight: Integers

    @property
    def n_silent(self) -> int:
        """The number of steps before the first with events."""
        return int(self.at[0]) if len(self.at) else self.n_steps

    def first(self, n_steps: int) -> EventSteps:
        """Return the first of these steps."""
        if n_steps == self.n_steps:
            return self
        stop = np.searchsorted(self.at, n_steps)
        at, unit, weight = (values[:stop] for values in self[1:])
        return EventSteps(n_steps, at, unit, weight)

    def after(self, n_steps: int) -> EventSteps:
        """Return the steps after the first `n_steps`."""
        if n_steps == 0:
            return self
        start = np.searchsorted(self.at, n_steps)
        at, unit, weight = (values[start:] for values in self[1:])
        return EventSteps(self.n_steps - n_steps, at - n_steps, unit, weight)

    def counted(self) -> Iterator[tuple[int, Integers, Integers]]:
        """Yield each step with events: its index, the units that have some, and their counts."""
        bounds = [0, *(np.flatnonzero(np.diff(self.at)) + 1).tolist(), len(self.at)]
        for start, stop in pairwise(bounds) if len(self.at) else ():
            unit, number = _counted(self.unit[start:stop], self.weight[start:stop])
            yield int(self.at[start]), unit, number


class EventCounts(NamedTuple):
    """The counts of a step by unit, and a list of the units that have had events.

    The engine counts here too, so that a step costs its events and not the size of the sensor.

    Attributes
    ----------
    values : ndarray of shape (n_inputs,), int64
        The counts.
    unit : ndarray of shape (n_inputs + 1,), int32
        The units that have had events.
    n : ndarray of shape (1,), int32
        How many these are.
    is_listed : ndarray of shape (n_inputs,), uint8
        Whether a unit is one of them.
    """

    values: Integers
    unit: NDArray[np.int32]
    n: NDArray[np.int32]
    is_listed: NDArray[np.uint8]

    @classmethod
    def none(cls, n_inputs: int) -> EventCounts:
        """Return counts of a step without events."""
        return cls(
            values=np.zeros(n_inputs, np.int64),
            unit=np.zeros(n_inputs + 1, np.int32),
            n=np.zeros(1, np.int32),
            is_listed=np.zeros(n_inputs, np.uint8),
        )

    @property
    def units(self) -> NDArray[np.int32]:
        """The units that have had events."""
        return self.unit[: self.n[0]]

    def add(self, unit: Integers, weight: Integers) -> None:
        """Count events."""
        np.add.at(self.values, unit, weight)
        new = np.unique(unit[self.is_listed[unit] == 0])
        self.is_listed[new] = 1
        self.unit[self.n[0] : self.n[0] + len(new)] = new
        self.n[0] += len(new)

    def clear(self) -> None:
        """Begin another step."""
        self.values[self.units] = self.is_listed[self.units] = 0
        self.n[0] = 0


NO_EVENTS: Final = (np.zeros(0, np.int64),) * 3


class EventClock:
    """Cuts the time of events into steps.

    Parameters
    ----------
    encoder : EventEncoder
        Says how long a step is, and what each event counts.
    start : int
        The time in microseconds at which the first step begins.
    """

    def __init__(self, encoder: EventEncoder, start: int) -> None:
        self.encoder = encoder
        #: The start, the time of the last event, and the step that it lies in: int64 (3,).
        self.times = np.array([start, start, 0], np.int64)
        #: The counts of the unfinished step.
        self.counts = EventCounts.none(encoder.n_inputs)

    @property
    def now(self) -> int:
        """The time of the last event."""
        return int(self.times[1])

    @property
    def pending(self) -> EventSteps | None:
        """The unfinished step; None if it has no events yet."""
        unit = self.counts.units.astype(np.int64)
        at = np.zeros_like(unit)
        return EventSteps(1, at, unit, self.counts.values[unit]) if len(unit) else None

    def take(self, located: LocatedEvents) -> EventSteps:
        """Take events, and return the steps that end before the last of them."""
        if not len(located.time):
            return EventSteps(0, *NO_EVENTS)
        steps = self.encoder.steps_since(int(self.times[0]), located.time)
        n_over = int(np.searchsorted(steps, steps[-1]))
        at = steps[:n_over].astype(np.int64) - self.times[2]
        over = self._pass(int(steps[-1]), at, located.unit[:n_over], located.weight[:n_over])
        self.counts.add(located.unit[n_over:], located.weight[n_over:])
        self.times[1] = located.time[-1]
        return over

    def advance(self, time: int) -> EventSteps:
        """Move the clock on to a time without events, and return the steps that end by then."""
        self.times[1] = time
        return self._pass((time - int(self.times[0])) // self.encoder.step, *NO_EVENTS)

    def _pass(self, step: int, at: Integers, unit: Integers, weight: Integers) -> EventSteps:
        """Return the steps before a step, given their events; that step becomes the present one."""
        n_steps = step - int(self.times[2])
        if n_steps == 0:
            return EventSteps(0, at, unit, weight)
        pending = self.pending
        if pending is not None:
            parts = zip(pending[1:], (at, unit, weight), strict=True)
            at, unit, weight = map(np.concatenate, parts)
        self.times[2] = step
        self.counts.clear()
        return EventSteps(n_steps, at, unit, weight)
