"""Single steps on the back end `compiled`: a stream works on the state of the back end itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Steps
from spikebp_plugins.backends.reference import ReferenceSteps
from spikebp_plugins.common.notice import announced
from spikebp_plugins.compiled.beside import Wanted
from spikebp_plugins.compiled.feeder import Feeder
from spikebp_plugins.compiled.kernels import steps
from spikebp_plugins.compiled.layout import Now, overwrite
from spikebp_plugins.compiled.readiness import Readiness
from spikebp_plugins.compiled.stepper import Moment, Stepper
from spikebp_plugins.data.events import EVENT_DTYPE, EventClock, EventEncoder, EventSteps
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]


#: What kernels are used for: any steps; steps of events; the events of a recording, of the usual
#: type or of another.
STEPS: Final = "steps"
EVENTS: Final = "events"
FEED: Final = "feed"
FEED_UNUSUAL: Final = "feed of unusual events"
USES: Final = (STEPS, EVENTS, FEED, FEED_UNUSUAL)


class Engine(Protocol):
    """What single steps need of the back end whose state they change.

    Attributes
    ----------
    owner : object
        The single steps that have begun a sample last: they alone may undo it.
    readiness : Readiness
        Which kernels can be called.
    """

    net: Definition
    owner: object
    readiness: Readiness

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""

    def take(self, state: LearningState, work: Operations) -> None:
        """Take over the learning state after a sample shown step by step, and add its work."""

    def like(self, narrow: bool) -> Now | None:
        """Return a state of which only the types are right, in 32 bits or in wider numbers."""

    def is_at(self, now: Now) -> bool:
        """Whether this is the state that the back end has, and not one of before."""

    def now_for_steps(self, narrow: bool = True) -> Now:
        """Return the state, converted to the numbers in which to begin a sample."""

    def widened(self) -> Now:
        """Return the state, within a sample, in numbers that hold any value in range."""

    def go_on_widened(self, now: Now) -> None:
        """Go on with that state, and with those numbers for some samples."""

    def add(self, work: Operations) -> None:
        """Add work that no kernel has counted."""


class CompiledSteps(Steps):
    """Shows single steps by the kernels, which change the state of the back end.

    A sample begins in 32 bits if they hold the weights, and goes on in wider numbers before the
    first step for which they may not be enough. Until the kernels for wider numbers are ready,
    which hold any value in range, the reference shows samples, each as a whole.

    Parameters
    ----------
    net : Definition
        The definition.
    engine : Engine
        The back end.
    """

    def __init__(self, net: Definition, engine: Engine) -> None:
        super().__init__(net)
        self._engine = engine
        self._reference: ReferenceSteps | None = None
        self._is_by_reference = False  # the open sample
        self._ready: set[str] = set()  # the uses whose own kernels are ready
        self._usable: set[str] = set()  # the uses of events for which all kernels are ready
        self._n_synapses = sum(connection.n_synapses for connection in net.connections)
        self._take_on(engine.now_for_steps())
        self._feeder: Feeder | None = None

    def _take_on(self, now: Now) -> None:
        # In one assignment: an interrupt must not leave a state with the steps of another.
        self._on = now, _stepper_on(now)

    @property
    def _now(self) -> Now:
        return self._on[0]

    @property
    def _stepper(self) -> Stepper:
        return self._on[1]

    def _widen(self) -> None:
        """Go on in numbers that hold any value in range."""
        now = self._engine.widened()
        stepper = _stepper_on(now)
        overwrite(stepper.sample, self._stepper.sample)
        self._on = now, stepper
        # Last: until then what is open in the numbers of before is undone by whoever begins next.
        self._engine.go_on_widened(now)

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the open sample."""
        if self._is_by_reference:
            return super().scores
        scores = np.zeros(self.net.n_outputs)
        steps.find_scores(self._stepper.run, self.steps_shown, scores)
        return scores

    def _show(self, x: Array, y: Array | None, n_steps: int, opens: bool, restarts: bool) -> None:
        if opens:
            self._begin()
        if self._is_by_reference:
            work = float(self._n_synapses * n_steps)
            with self._engine.readiness.done_without((STEPS, False), work):
                self._of_reference()._show(x, y, n_steps, opens, restarts)
            return
        moment, done = Moment(opens, False, restarts, y is not None, False), 0
        seen = self._now.samples_seen
        with announced((STEPS, self._now.layout.narrow)):
            if self._now.layout.narrow:
                done = self._stepper.show_certain(x, y, moment, seen, n_steps)
            if done < n_steps:
                self._hold_any_value()
                rest, nowhere = moment.after(done), self._now.layout.nowhere
                self._stepper.show(x, y, rest, seen, nowhere, n_steps=n_steps - done)

    def show_events(self, given: EventSteps, y: Array | None) -> None:
        """Show consecutive steps of events, in one call of a kernel if it can prove the range."""
        if not self._takes_events(EVENTS):
            work = float(self._n_synapses * given.n_steps)
            with self._engine.readiness.done_without((EVENTS, False), work):
                super().show_events(given, y)
            return

        def show(opens: bool, restarts: bool) -> None:
            if opens:
                self._begin()
            moment, done = Moment(opens, False, restarts, y is not None, False), 0
            seen = self._now.samples_seen
            with announced((EVENTS, self._now.layout.narrow)):
                if self._now.layout.narrow:
                    done = self._stepper.show_certain_events(given, y, moment, seen)
                if done < given.n_steps:
                    self._hold_any_value()
                    self._stepper.show_events(given.after(done), y, moment.after(done), seen)

        self._advance(show, y, given.n_steps)

    def _hold_any_value(self) -> None:
        if self._now.layout.narrow:
            self._widen()

    def feed(
        self, clock: EventClock, events: Array, until: int, y: Array | None, n_left: int
    ) -> int | None:
        """Take events as long as nothing rare happens: see `kernels.feed`."""
        if not self._takes_events(FEED if events.dtype == EVENT_DTYPE else FEED_UNUSUAL):
            return None
        opens, restarts = not self.is_open, y is not None and not self.is_learning
        if opens:
            self._bind()
        stepper, feeder = self._stepper, self._feeder
        if feeder is None or feeder.run is not stepper.run or feeder.clock is not clock:
            feeder = self._feeder = Feeder(stepper.run, stepper.drawn, clock)
        if restarts:
            stepper.draw(self._now.samples_seen)
        try:
            taken, shown = feeder.feed(events, until, y, opens, restarts, n_left)
            if shown:
                self.steps_shown = shown if opens else self.steps_shown + shown
                self.is_open, self.is_learning = True, self.is_learning or y is not None
        except BaseException:
            self.drop()
            raise
        return None if taken < 0 else taken

    def _begin(self) -> None:
        """Get ready to open a sample."""
        if self._is_ready(STEPS, False):
            self._bind()
        else:
            self._is_by_reference = True

    def _bind(self) -> None:
        """Take the state of the back end as it is now, for the kernels."""
        self._engine.owner = self
        may_be_narrow = STEPS in self._ready or self._are_ready(STEPS)
        now, before = self._engine.now_for_steps(may_be_narrow), self._now
        self._is_by_reference = False
        if now.learning is not before.learning or now.totals is not before.totals:
            self._take_on(now)

    def _takes_events(self, use: str) -> bool:
        """Return whether kernels take the events of the open sample, or of the next."""
        if use not in self._usable:
            # Of all: what is missing has to be known before it is done without.
            ready = [each in self._ready or self._are_ready(each) for each in (STEPS, EVENTS, use)]
            if not all(ready):
                return False
            self._usable.add(use)
        return not (self.is_open and self._is_by_reference)

    def _are_ready(self, use: str) -> bool:
        """Return whether the kernels of a use are ready for numbers of any width.

        As soon as those for wider numbers are, the others are compiled too.
        """
        if not self._is_ready(use, False):
            if use not in (STEPS, EVENTS):  # for which the time that they would save is measured
                self._engine.readiness.ask((use, False))
            return False
        if not self._is_ready(use, True):
            self._engine.readiness.ask((use, True))
            return False
        self._ready.add(use)
        return True

    def _is_ready(self, use: str, narrow: bool) -> bool:
        return self._engine.readiness.of((use, narrow), partial(self.kernels, use, narrow))

    def kernels(self, use: str, narrow: bool) -> list[Wanted]:
        """Return the kernels of a use, for 32 bits or for wider numbers."""
        now = self._engine.like(narrow)
        if now is None:
            return []
        stepper = _stepper_on(now)
        if use == STEPS:
            return stepper.kernels()
        if use == EVENTS:
            return stepper.kernels_for_events()
        clock = EventClock(EventEncoder(self.net.n_inputs, 1, step=1, polarity="ignored"), 0)
        return [Feeder(stepper.run, stepper.drawn, clock).wanted(use == FEED)]

    def _of_reference(self) -> ReferenceSteps:
        """Return what shows the open sample by the reference, told where the sample is."""
        reference = self._reference = self._reference or ReferenceSteps(self._engine)
        reference.steps_shown, reference.is_learning = self.steps_shown, self.is_learning
        return reference

    def _close(self) -> None:
        if self._is_by_reference:
            self._of_reference()._close()
            return
        if self.is_learning and self.net.learns_once and not self._stepper.close_certain():
            self._hold_any_value()
            self._stepper.close(self._now.samples_seen)
        self._stepper.end_sample(self.is_learning)

    def drop(self) -> None:
        """End the open sample, and undo what was learned from it."""
        super().drop()
        now, engine = self._now, self._engine
        # In an earlier state a sample may still be open: that of another stream, which went on with
        # it in wider numbers.
        if now.is_open and engine.owner is self and engine.is_at(now):
            steps.drop_sample(self._stepper.run)

    def _count(self, work: Operations) -> None:
        self._engine.add(work)

    def _potentials(self) -> Sequence[Array]:
        if self._is_by_reference:
            return self._of_reference()._potentials()
        return self._stepper.potentials()

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        if self._is_by_reference:
            return self._of_reference().summed_drive
        return self._now.layout.decoded(self._stepper.summed_drive)


def _stepper_on(now: Now) -> Stepper:
    return Stepper(now.layout, now.learning, now.totals, boundary=now.boundary)
