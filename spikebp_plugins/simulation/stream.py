"""Learning from a stream: input of any length, with targets for some of its steps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.outcome import joined
from spikebp_plugins.common.errors import as_array, integer, wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.data.events import (
    EARLIEST_TIME,
    EventClock,
    EventEncoder,
    EventSteps,
    LocatedEvents,
    time_stamp,
)
from spikebp_plugins.data.windows import WindowEncoder
from spikebp_plugins.network.definition import SpikingNetwork
from spikebp_plugins.network.samples import (
    Batch,
    check_sparse,
    check_targets,
    check_values,
    real_array,
    real_targets,
    spike_counts,
)
from spikebp_plugins.network.sparse_rows import SparseRows, is_sparse, rows_of_matrix
from spikebp_plugins.simulation.replay_training import (
    StreamedSample,
    blocks_of,
    followed_by_others,
    show_block,
    targets_of_all,
)

if TYPE_CHECKING:
    from spikebp_plugins.backends.base import Backend
    from spikebp_plugins.network.fields import Definition
    from spikebp_plugins.network.replay import ReplayBuffer

Reals = NDArray[np.float64]

Result = TypeVar("Result")

#: The encoders of a stream. Both have the shape in which a network of images takes their input.
Encoder: TypeAlias = EventEncoder | WindowEncoder

#: The most steps in a call: a double holds their number.
MOST_STEPS: Final = 2**53

#: The default of the argument `target`: the target stays what it is.
UNCHANGED: Final = object()


class Stream:
    """A network that is shown input step by step; made by ``Simulator.stream``.

    Steps belong to samples. A sample ends after `n_steps` steps, or when `close_sample` is called.
    The learning rate and the grid stay those of the definition, however long a sample is. What is
    learned from a sample reaches the simulator when the sample is closed; an error or an interrupt
    drops the open sample and nothing else. The memory of a stream does not grow with its length.

    Parameters
    ----------
    engine : Backend
        The back end.
    encoder : EventEncoder, WindowEncoder or None
        Turns events, or readings of sensors, into input, for `feed`.
    n_steps : int or None
        A sample closes by itself after this many steps; with None only `close_sample` closes it.
        With a `WindowEncoder` samples have the steps of the definition.
    replay : ReplayBuffer or None
        Samples to learn again after each that had a target.
    lock : RLock
        The lock of the simulator.
    claim : callable
        Called with the stream before it shows something; raises if the sample of another is open.
    observe : callable
        Called with a batch, its scores and its steps after samples that are shown as a whole.
    """

    def __init__(
        self,
        engine: Backend,
        encoder: Encoder | None,
        n_steps: int | None,
        replay: ReplayBuffer | None,
        lock: RLock,
        claim: Callable[[Stream, ReplayBuffer | None], None],
        observe: Callable[[Batch, Reals, int], None],
    ) -> None:
        self._lock, self._claim, self._observe = lock, claim, observe
        net, steps = engine.net, engine.steps()
        self._n_steps = None if n_steps is None else integer("n_steps", n_steps, 1)
        if encoder is not None:
            _check_encoder(net, encoder)
        if isinstance(encoder, WindowEncoder):
            if n_steps not in (None, net.n_steps):
                allowed = f"None or {net.n_steps}, as the network has, with a WindowEncoder"
                raise wrong_argument("n_steps", allowed, n_steps)
            self._n_steps = net.n_steps
        self._engine, self._steps, self._encoder = engine, steps, encoder
        # With a replay buffer: the open sample, in the form in which it would be learned again.
        self._replay, self._noted = replay, StreamedSample(net)
        # The scores of the last sample, and its number of steps.
        self._last: tuple[NDArray[np.float64], int] = np.zeros(net.n_outputs), 0
        self._target: Reals | None = None
        # The bytes of the last target of real numbers, and the checked target.
        self._known_target: tuple[bytes, Reals] | None = None
        # The targets of all labels, each a row.
        self._of_labels: list[Reals] = list(real_targets(net, np.arange(net.n_outputs)))
        self._of_no_samples = (0, net.n_outputs)
        self._clock: EventClock | None = None
        self._known_type: np.dtype[Any] | None = None  # of events that were checked

    @property
    def net(self) -> Definition:
        """The definition."""
        return self._engine.net

    def __reduce__(self) -> Any:
        raise TypeError(
            "a Stream cannot be copied or pickled: copy its simulator, and take a stream of that"
        )

    @property
    @synchronized
    def target(self) -> Reals | None:
        """The target of the steps to come, of shape (n_outputs,); None learns nothing.

        Set it to a label, to real values of shape (n_outputs,), or to None, at any moment. It
        holds until it is changed, or until `close_sample` or `drop_sample` sets it to None.
        """
        target = self._target
        return None if target is None else target.copy()

    @target.setter
    @synchronized
    def target(self, target: Any) -> None:
        self._target = self._checked_target(target)

    def _checked_target(self, target: Any) -> Reals | None:
        if target is UNCHANGED:
            return self._target
        if target is None:
            return None
        if type(target) is int and 0 <= target < len(self._of_labels):
            return self._of_labels[target]
        is_usual = type(target) is np.ndarray and target.dtype.char == "d" and target.ndim == 1
        if is_usual:
            written = target.tobytes()  # by value: the caller may have changed the array itself
            known = self._known_target
            if known is not None and written == known[0]:
                return known[1]
        n_outputs = self.net.n_outputs
        allowed = f"a label, {n_outputs} real numbers, or None"
        array = as_array("target", target, allowed)
        if array.dtype.kind in "iu" and array.ndim == 0:
            label = int(array)
            if not 0 <= label < n_outputs:
                raise wrong_argument("target", f"a label from 0 to {n_outputs - 1}", repr(target))
            return self._of_labels[label]
        if array.shape != (n_outputs,) or array.dtype.kind not in "iuf":
            raise wrong_argument("target", allowed, repr(target))
        reals: Reals = array.astype(np.float64)
        if 0 in np.isfinite(reals).tobytes():
            raise wrong_argument("target", "finite", repr(target))
        if is_usual:
            self._known_target = written, reals
        return reals

    @property
    @synchronized
    def scores(self) -> Reals:
        """Running scores of the open sample, or scores of the last one, of shape (n_outputs,)."""
        return self._steps.scores if self._steps.is_open else self._last[0].copy()

    @property
    @synchronized
    def steps_shown(self) -> int:
        """The number of steps shown of the open sample, or of the last one."""
        return self._steps.steps_shown if self._steps.is_open else self._last[1]

    @property
    @synchronized
    def is_open(self) -> bool:
        """Whether a sample has begun and is not closed."""
        return self._steps.is_open

    @synchronized
    def show(self, x: Any, *, target: Any = UNCHANGED, n_steps: int = 1) -> Reals:
        """Show an input for one step or several.

        Parameters
        ----------
        x : array-like of shape (n_inputs,), or of that of the input, sparse of one row, or None
            Real values, or whole spike counts with ``input_coding="spikes"``; None shows zeros.
        target : int, array-like of shape (n_outputs,) or None, optional
            The target from these steps on; left out, it stays what it is.
        n_steps : int, default=1
            The number of steps.

        Returns
        -------
        ndarray of shape (n_closed, n_outputs)
            The scores of the samples that closed by themselves during this call.

        Raises
        ------
        ValueError
            If an argument is not allowed; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; the open sample is dropped then.
        RuntimeError
            If a sample of another stream of the simulator is open; nothing has changed then.
        """
        self._claim(self, self._replay)
        n_steps = integer("n_steps", n_steps, 1, MOST_STEPS)
        given = None if x is None else self._checked_input(x)
        self._target = self._checked_target(target)
        return self._collected(self._whole_or_dropped(self._show, given, n_steps))

    def feed(
        self, events: Any, *, target: Any = UNCHANGED, start: int | None = None, y: Any = None
    ) -> Reals:
        """Take one event or several, in the order of time, and show the steps that they complete.

        A step is shown once a later event, or the time of `advance_to`, lies beyond its end. Steps
        without events show zeros. `close_sample` stops the clock: the next events may have any
        time, and the first of them begins the first step of the next sample.

        With a `WindowEncoder` it takes one reading or several, and each window that they complete
        is a sample of its own. Windows without a target are predicted.

        Parameters
        ----------
        events : structured array of shape (n_events,)
            Events with the fields x, y, t, p; see ``events.EVENT_DTYPE``. With a `WindowEncoder`
            real numbers of shape (n_channels,) or (n_readings, n_channels).
        target : int, array-like of shape (n_outputs,) or None, optional
            The target from the unfinished step on, and of all windows; left out, it stays what it
            is.
        start : int or None, default=None
            The time in microseconds at which the clock starts; None starts it with the first
            event. Must be None while the clock runs, and with a `WindowEncoder`.
        y : array-like of shape (n_readings,), (n_readings, n_outputs) or \
                (n_readings, n_steps, n_outputs), or None, default=None
            With a `WindowEncoder` and without a `target` in the same call, the targets by reading,
            as `Simulator.train` has them: a window has that of its last reading.

        Returns
        -------
        ndarray of shape (n_closed, n_outputs)
            The scores of the samples that closed by themselves during this call.

        Raises
        ------
        ValueError
            If an event or an argument is not allowed; the message names the event, and nothing
            has changed then.
        OverflowError
            If a value leaves the range of the arithmetic. The open sample and the events that
            follow in this call are dropped then, or the windows; what was learned from those
            before is kept, and the encoder has taken all readings.
        RuntimeError
            If a sample of another stream of the simulator is open, or with a `WindowEncoder` one
            of this stream; nothing has changed then.
        """
        with self._lock:  # what `synchronized` adds to a call is a fifth of this one
            self._claim(self, self._replay)
            if isinstance(self._encoder, WindowEncoder):
                return self._feed_readings(self._encoder, events, target, start, y)
            if y is not None:
                raise wrong_argument("y", "None without a WindowEncoder", repr(y))
            clock = self._clock
            is_known = type(events) is np.ndarray and events.dtype is self._known_type
            if clock is None or start is not None or not is_known or events.ndim != 1:
                return self._feed_checked(events, target, start)
            y = self._checked_target(target)
            try:
                closed = self._feed(clock, events, y)
            except BaseException:
                self._lose_sample()
                raise
            if closed is None:
                return self._feed_checked(events, target, start)
            self._target = y
            return self._collected(closed) if closed else np.empty(self._of_no_samples)

    def _feed_checked(self, events: Any, target: Any, start: Any) -> Reals:
        """Check events, cut them into steps, and show these."""
        encoder, clock = self._needed_encoder(), self._clock
        if clock is not None and start is not None:
            raise wrong_argument("start", "None while the clock runs", repr(start))
        start = None if start is None else time_stamp("start", start)
        located = encoder.locate(events, start if clock is None else clock.now)
        self._target = self._checked_target(target)
        self._known_type = getattr(events, "dtype", None)
        if clock is None:
            if start is None and not len(located.time):
                return np.empty(self._of_no_samples)
            start = int(located.time[0]) if start is None else start
            self._clock = clock = EventClock(encoder, start)
        closed = None
        if type(events) is np.ndarray:
            closed = self._whole_or_dropped(self._feed, clock, events, self._target)
        if closed is None:
            closed = self._whole_or_dropped(self._take, clock, located)
        return self._collected(closed)

    def _feed_readings(
        self, encoder: WindowEncoder, readings: Any, target: Any, start: Any, y: Any
    ) -> Reals:
        """Check readings and targets, let the encoder take them, and show the windows."""
        if self._steps.is_open:
            raise RuntimeError("a sample is open: close_sample() or drop_sample() first")
        rows = encoder.checked("readings", readings, one=None)
        if start is not None:
            raise wrong_argument("start", "None with a WindowEncoder", repr(start))
        if y is not None and target is not UNCHANGED:
            raise wrong_argument("target", "left out where there is y", repr(target))
        windows, of_all = encoder.windows(rows), self._checked_target(target)
        n, targets = len(windows.bytes), None
        if y is not None:
            targets = check_targets(self.net, y, len(rows), self.net.n_steps)[windows.ends]
        elif of_all is not None:
            targets = targets_of_all(self.net, of_all, n)
        encoder.past, self._target = windows.past, of_all
        if not n:
            return np.empty(self._of_no_samples)
        return self._whole_or_dropped(self._show_windows, windows.bytes, targets)

    def _show_windows(self, x: NDArray[np.uint8], y: NDArray[Any] | None) -> Reals:
        """Show each window as a sample, as the simulator would; return their scores."""
        net, engine, n_steps = self.net, self._engine, self.net.n_steps
        batch = Batch(net, x, y, n_steps)
        blocks = blocks_of(engine, batch, self._replay)
        outcomes = [show_block(engine, block, False, self._replay) for block in blocks]
        scores = joined(outcomes).scores
        self._end(scores[-1].copy(), n_steps)
        self._observe(batch, scores, n_steps)
        return scores

    @synchronized
    def advance_to(self, time: int) -> Reals:
        """Show all steps that end by a given time, without waiting for the next event.

        Parameters
        ----------
        time : int
            Microseconds, on the clock of the events.

        Returns
        -------
        ndarray of shape (n_closed, n_outputs)
            The scores of the samples that closed by themselves during this call.

        Raises
        ------
        ValueError
            If the time lies before the last event, or further behind it than the encoder's
            `longest_gap`; nothing has changed then.
        RuntimeError
            If the clock does not run: `feed` starts it; or if a sample of another stream of the
            simulator is open.
        """
        self._claim(self, self._replay)
        self._needed_encoder()
        if self._clock is None:
            raise RuntimeError("the clock of the stream starts with the first events: feed some")
        allowed = f"an integer of at least {self._clock.now}, the last event"
        time = time_stamp("time", integer("time", time, self._clock.now, allowed=allowed))
        self._clock.encoder.check_leap("time", time, self._clock.now)
        return self._collected(self._whole_or_dropped(self._reach, self._clock, time))

    @synchronized
    def close_sample(self) -> Reals:
        """End the open sample, and hand what was learned from it to the simulator.

        An unfinished step that has events is shown first. The clock stops and the target becomes
        None.

        Returns
        -------
        ndarray of shape (n_outputs,)
            The scores of the sample: the summed drive of the output divided by the steps shown.

        Raises
        ------
        RuntimeError
            If no sample is open.
        OverflowError
            If a value leaves the range of the arithmetic; the sample is dropped then.
        """
        self._claim(self, self._replay)
        pending = None if self._clock is None else self._clock.pending
        if pending is None and not self._steps.is_open:
            raise RuntimeError("no sample is open: show or feed something first")
        (closed,) = self._whole_or_dropped(self._show_last, pending)
        self._clock = self._target = None
        scores: Reals = closed[0]
        return scores

    @synchronized
    def drop_sample(self) -> None:
        """Discard the open sample: nothing is learned from it."""
        if self._steps.is_open:
            self._last = self._steps.scores, self._steps.steps_shown
        self._drop()

    def _drop(self) -> None:
        steps = self._steps
        try:
            steps.drop()
        finally:  # also if an interrupt comes meanwhile: the next sample undoes what this one left
            steps.is_open = steps.is_learning = False
            self._clock = self._target = None
            self._noted = StreamedSample(self.net)

    def _show_whole(self, x: NDArray[Any] | SparseRows, n_steps: int) -> Reals:
        """Show a whole sample, and return its scores."""
        net, y = self.net, self._target
        rows = x
        if not isinstance(x, SparseRows):
            rows = x[np.newaxis] if net.input_coding == "values" else x[np.newaxis, np.newaxis]
        batch = Batch(net, rows, None if y is None else y[np.newaxis], n_steps)
        if y is None:
            scores, _ = self._engine.predict(batch, False)
        elif self._replay is None:
            scores, _ = self._engine.train(batch, False)
        else:
            scores, _ = self._learn(partial(self._engine.train, batch, False))
        self._end(scores[0].copy(), n_steps)
        self._observe(batch, scores, n_steps)
        return scores

    def _show(self, x: NDArray[Any] | SparseRows | None, n_steps: int) -> list[Reals]:
        """Show an input for some steps; return the scores of samples that close, by the row."""
        closed: list[Reals] = []
        while n_steps:
            if x is None:
                n_steps -= self._count_silent_samples(n_steps, closed)
            now = self._steps_of_sample(n_steps)
            if self._replay is not None:
                self._noted.note(x, self._target, now)
            if x is not None and now == self._n_steps and not self._steps.is_open:
                closed.append(self._show_whole(x, now))
            else:
                self._steps.show(x, self._target, now)
                self._close_if_complete(closed)
            n_steps -= now
        return closed

    def _feed(
        self, clock: EventClock, events: NDArray[Any], y: Reals | None, until: int = EARLIEST_TIME
    ) -> list[Reals] | None:
        """Take events, and let the clock reach a time; return the scores of samples that close.

        Returns None, with nothing changed, if an event may be wrong.
        """
        if self._replay is not None:  # for which the counts of each step have to be known
            return None
        steps, n_steps, taken = self._steps, self._n_steps, 0
        closed: list[Reals] = []
        while True:
            n_left = MOST_STEPS if n_steps is None else n_steps - steps.steps_shown * steps.is_open
            by_now = steps.feed(clock, events, taken, until, y, n_left)
            if by_now is None and not closed:  # in the first call
                return None
            taken = taken if by_now is None else by_now
            if steps.steps_shown == n_steps and steps.is_open:
                closed.append(self._close()[np.newaxis])
            elif taken <= len(events):  # something rare
                self._target = y
                if taken < len(events):
                    closed += self._take(clock, clock.encoder.locate(events[taken:], clock.now))
                return closed + self._advance(clock, max(until, clock.now))
            if taken > len(events):
                return closed

    # The clock moves on and the steps are shown under one guard: an interrupt in between would
    # lose steps.
    def _take(self, clock: EventClock, located: LocatedEvents) -> list[Reals]:
        return self._show_events(clock.take(located))

    def _reach(self, clock: EventClock, time: int) -> list[Reals]:
        if self._known_type is not None:
            closed = self._feed(clock, np.empty(0, self._known_type), self._target, time)
            if closed is not None:
                return closed
        return self._advance(clock, time)

    def _advance(self, clock: EventClock, time: int) -> list[Reals]:
        return self._show_events(clock.advance(time))

    def _show_events(self, given: EventSteps) -> list[Reals]:
        """Show steps of events; return the scores of samples that close, by the row."""
        closed: list[Reals] = []
        while given.n_steps:
            silent = self._count_silent_samples(given.n_silent, closed)
            if not silent:
                now = self._steps_of_sample(given.n_steps)
                part = given.first(now)
                if self._replay is not None:
                    self._noted.note_events(part, self._target)
                self._steps.show_events(part, self._target)
                self._close_if_complete(closed)
            given = given.after(silent or now)
        return closed

    def _steps_of_sample(self, n_steps: int) -> int:
        """Return the number of these steps that belong to the sample that is open or opens now."""
        if self._n_steps is None:
            return n_steps
        shown = self._steps.steps_shown if self._steps.is_open else 0
        return min(n_steps, self._n_steps - shown)

    def _count_silent_samples(self, n_steps: int, closed: list[Reals]) -> int:
        """Count samples in which nothing happens, and return how many steps they take."""
        if self._n_steps is None or self._target is not None or self._steps.is_open:
            return 0
        # The last of these samples is shown, so that the stream ends as it does after any.
        n_samples = max(0, n_steps // self._n_steps - 1)
        if n_samples:
            self._steps.count_silent_samples(n_samples)
            closed.append(np.zeros((n_samples, self.net.n_outputs)))
        return n_samples * self._n_steps

    def _close_if_complete(self, closed: list[Reals]) -> None:
        if self._steps.steps_shown == self._n_steps:
            closed.append(self._close()[np.newaxis])

    def _close(self) -> Reals:
        steps = self._steps
        scores, n_steps = steps.scores, steps.steps_shown
        if steps.is_learning:
            self._learn(steps.close)
        else:
            steps.close()
        self._end(scores, n_steps)
        return scores.copy()

    def _learn(self, learn: Callable[[], Result]) -> Result:
        """Learn from a sample by a function, and with a replay buffer from others after it."""
        if self._replay is None:
            return learn()
        return followed_by_others(learn, self._engine, self._replay, self._noted.batch())

    def _end(self, scores: Reals, n_steps: int) -> None:
        """Store the scores and the length of a sample that has ended."""
        self._last = scores, n_steps
        if self._replay is not None:
            self._noted = StreamedSample(self.net)

    def _show_last(self, pending: EventSteps | None) -> list[Reals]:
        """Show the unfinished step, if it has events, and close the sample."""
        # The pending step may be the last of `n_steps`: then the sample is closed already.
        closed = [] if pending is None else self._show_events(pending)
        return closed or [self._close()[np.newaxis]]

    def _whole_or_dropped(self, show: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function and return its result; if it raises, drop the open sample."""
        try:
            return show(*arguments)
        except BaseException:
            self._lose_sample()
            raise

    def _lose_sample(self) -> None:
        self._last = np.zeros(self.net.n_outputs), 0
        self._drop()

    def _collected(self, closed: list[Reals]) -> Reals:
        if len(closed) == 1:
            return closed[0]
        return np.concatenate([np.empty(self._of_no_samples), *closed])

    def _needed_encoder(self) -> EventEncoder:
        if not isinstance(self._encoder, EventEncoder):
            raise RuntimeError("events need an encoder: sim.stream(EventEncoder(...))")
        return self._encoder

    def _checked_sparse(self, row: SparseRows) -> SparseRows:
        if len(row) != 1:
            raise wrong_argument("x", "a sparse matrix of one row", f"shape {row.shape}")
        return check_sparse(self.net, row, 1)

    def _checked_input(self, x: Any) -> NDArray[Any] | SparseRows:
        if type(x) is not np.ndarray and is_sparse(x):
            row = x if x.ndim == 2 else x.reshape(1, -1)
            return self._checked_sparse(rows_of_matrix("x", row))
        net, array = self._engine.net, real_array("x", x)
        flat = (net.n_inputs,)
        if array.shape != flat:
            if array.shape != net.layer_shapes[0]:
                shapes = dict.fromkeys((flat, net.layer_shapes[0]))
                allowed = f"of shape {' or '.join(map(str, shapes))}"
                raise wrong_argument("x", allowed, f"shape {array.shape}")
            array = array.reshape(flat)
        # Values are scaled and rounded by the back end.
        values = check_values(net, array)
        return spike_counts(values) if net.input_coding == "spikes" else values


def _check_encoder(net: Definition, encoder: Any) -> None:
    """Refuse an encoder whose input the network does not take, or would misinterpret."""
    if not isinstance(encoder, Encoder):
        allowed = "an EventEncoder, a WindowEncoder or None"
        raise wrong_argument("encoder", allowed, repr(encoder))
    if encoder.n_inputs != net.n_inputs:
        allowed = f"an encoder of {net.n_inputs} inputs, as many as the network has"
        raise wrong_argument("encoder", allowed, f"one of {encoder.n_inputs}")
    if isinstance(encoder, WindowEncoder) and net.input_coding == "spikes":
        allowed = "None or an EventEncoder with input_coding='spikes'"
        raise wrong_argument("encoder", allowed, "a WindowEncoder, whose bytes are values")
    if (net.spikes, net.input_coding) == ("binary", "spikes"):
        allowed = "None with spikes='binary' and input_coding='spikes'"
        got = "an encoder, of whose events several may fall into one step"
        raise wrong_argument("encoder", allowed, got)
    _check_pixels(net, encoder)


def _check_pixels(net: Definition, encoder: Encoder) -> None:
    """Refuse an encoder whose units are other pixels than those that a network of images reads.

    In a plain vector no unit is the neighbour of another.
    """
    if not isinstance(net, SpikingNetwork) or len(net.input_shape) == 1:
        return
    wanted, layout = (*encoder.input_shape, 1)[:3], encoder.input_layout
    is_turned = wanted[2] == 1 or net.input_layout == layout
    if not is_turned or (*net.input_shape, 1)[:3] != wanted:
        shapes = f"input_shape={net.input_shape} and input_layout={net.input_layout!r}"
        got = f"one for input_shape={encoder.input_shape} and input_layout={layout!r}"
        raise wrong_argument("encoder", f"an encoder for {shapes}, as the network has", got)
