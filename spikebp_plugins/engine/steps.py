"""Single steps on the back end `compiled`: of a sample that is open in the memory of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Steps
from spikebp_plugins.data.events import EventClock, EventCounts, EventSteps
from spikebp_plugins.engine.events import Feeder, show_events
from spikebp_plugins.engine.network import work_of_step
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.sparse_rows import SparseRows

Array = NDArray[Any]

#: Synapses times steps of a call; Ctrl-C takes effect between two calls.
CALL_WORK: Final = 100_000_000


class NetworkOwner(Protocol):
    """A back end that owns the network in which single steps open a sample.

    Attributes
    ----------
    open_steps : EngineSteps or None
        The steps that opened the last sample: only they may drop it.
    """

    open_steps: EngineSteps | None

    @property
    def network(self) -> StepNetwork:
        """The network of now, in which the open sample is."""

    def prepare(self) -> StepNetwork:
        """Return the network for the next samples."""

    def widen(self) -> None:
        """Move the open sample to 64 bits, and all that was learned."""

    def add(self, operations: Operations) -> None:
        """Add operations that no network has counted."""


class EngineSteps(Steps):
    """Shows single steps by the engine, in the network of the back end.

    A sample begins in 32 bits if they hold the weights, and goes on in 64 bits before the first
    step for which they may not be enough.

    Parameters
    ----------
    net : Definition
        The definition.
    owner : NetworkOwner
        The back end.
    """

    def __init__(self, net: Definition, owner: NetworkOwner) -> None:
        super().__init__(net)
        self._owner = owner
        self._steps_per_call = max(1, CALL_WORK // work_of_step(net))
        self._counts = EventCounts.none(net.n_inputs)
        self._feeder: Feeder | None = None

    @property
    def _network(self) -> StepNetwork:
        # Nobody else keeps one: the back end gives the memory back when it goes on in another.
        return self._owner.network

    def _show(
        self, x: Array | SparseRows, y: Array | None, n_steps: int, opens: bool, restarts: bool
    ) -> None:
        def show(shown: int) -> tuple[int, bool]:
            most = min(n_steps - shown, self._steps_per_call)
            done = self._network.show_steps(x, most)
            return done, done == most

        self._show_all(show, lambda: x, y, n_steps, opens, restarts)

    def show_events(self, given: EventSteps, y: Array | None) -> None:
        """Show consecutive steps of events."""

        def show_some(shown: int) -> tuple[int, bool]:
            rest = given.after(shown)
            return show_events(self._network, rest, self._counts, self._steps_per_call)

        def show(opens: bool, restarts: bool) -> None:
            self._show_all(show_some, self._counts.values.copy, y, given.n_steps, opens, restarts)

        self._advance(show, y, given.n_steps)

    def _show_all(
        self,
        show: Callable[[int], tuple[int, bool]],
        x: Callable[[], Array | SparseRows],
        y: Array | None,
        n_steps: int,
        opens: bool,
        restarts: bool,
    ) -> None:
        """Show steps in calls of a function, first in 32 bits, and then in 64 bits.

        Parameters
        ----------
        show : callable
            Given how many steps are over, shows some of the others; returns how many, and whether
            the next is not one that may be out of range.
        x : callable
            Returns the input of a step that may be.
        y, n_steps, opens, restarts : object
            As for `_show`.
        """
        self._begin(y, opens, restarts)
        shown = 0
        while shown < n_steps:
            done, is_in_range = show(shown)
            shown += done
            if not is_in_range:
                if self._network.is_int32:
                    self._owner.widen()
                else:
                    before = self.steps_shown if self.is_open else 0
                    self._network.step_by_reference(x(), y, before + shown)
                    shown += 1
                self._network.begin_steps(y)

    def _begin(self, y: Array | None, opens: bool, restarts: bool) -> None:
        """Prepare steps: with `opens` a sample's first, with `restarts` its first with a target."""
        if opens:
            self._owner.prepare()
            self._owner.open_steps = self
        self._network.begin_steps(y, opens=opens, restarts=restarts)

    def feed(
        self,
        clock: EventClock,
        events: Array,
        n_taken: int,
        until: int,
        y: Array | None,
        n_left: int,
    ) -> int | None:
        """Take events as long as the engine knows how to; see `Steps.feed`."""
        opens, restarts = not self.is_open, y is not None and not self.is_learning
        try:
            network, feeder = self._owner.network, self._feeder
            if opens or restarts or y is not network.target:
                self._begin(y, opens, restarts)
                network = self._network
            block = network.steps_block
            if feeder is None or feeder.block is not block or feeder.clock is not clock:
                feeder = self._feeder = Feeder(network, clock)
            while True:
                most = min(n_left, self._steps_per_call)
                n_taken, shown = feeder.feed(events, n_taken, until, most)
                if n_taken < 0:
                    return None
                n_left -= shown
                if shown:
                    self.steps_shown = shown if not self.is_open else self.steps_shown + shown
                    self.is_open, self.is_learning = True, self.is_learning or y is not None
                if shown < most or not n_left:
                    return n_taken
        except BaseException:
            self.drop()
            raise

    def _close(self) -> None:
        while not self._network.close_sample(self.is_learning):
            if not self._network.is_int32:
                self._network.close_by_reference()
                return
            self._owner.widen()

    def drop(self) -> None:
        """End the open sample, and undo what was learned from it."""
        super().drop()
        if self._owner.open_steps is self:
            self._network.drop_sample()

    def _count(self, work: Operations) -> None:
        self._owner.add(work)

    def _potentials(self) -> Sequence[Array]:
        return self._network.potentials()

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the open sample."""
        return self._network.scores(self.steps_shown)

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        return self._network.summed_drive()
