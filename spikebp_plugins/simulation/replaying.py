"""Learning from new samples and from a replay buffer, in blocks of samples and in streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, Steps
from spikebp_plugins.backends.outcome import Outcome
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.events import EventSteps
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.replay import Mixture, ReplayBuffer
from spikebp_plugins.network.samples import Batch, check_batch, real_targets

Array = NDArray[Any]


def check_replay(replay: Any) -> None:
    """Refuse what is no replay buffer."""
    if not (replay is None or isinstance(replay, ReplayBuffer)):
        raise wrong_argument("replay", "a ReplayBuffer or None", repr(replay))


class Replaying:
    """A back end that learns from a replay buffer besides.

    A back end need not know of it: it learns from a mixture as from any block of samples.

    Parameters
    ----------
    engine : Backend
        The back end.
    replay : ReplayBuffer
        The buffer.
    """

    def __init__(self, engine: Backend, replay: ReplayBuffer) -> None:
        self._engine, self._replay = engine, replay

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Learn from new samples and those drawn after each; the outcome is of the new ones."""
        with self._replay.lock:
            mixture = self._replay.mix_batch(batch)
            outcome = self._train(batch, mixture, record)
        return outcome.of(mixture.is_new)

    def _train(self, batch: Batch, mixture: Mixture, record: bool) -> Outcome:
        engine, report, before = self._engine, self._engine.report, self._engine.samples_seen

        def report_new(shown: int) -> None:
            report(mixture.n_new(shown))

        engine.report = report_new
        try:
            with self._replay.learning(mixture, lambda: engine.samples_seen - before):
                mixed = Batch(batch.net, mixture.x, mixture.y, batch.n_steps)
                return engine.train(mixed, record)
        finally:
            engine.report = report


class ReplayedSteps(Steps):
    """Single steps on a back end, with samples learned again after each that had a target.

    A sample is kept as `Simulator.train` would learn it: its input in the first steps, as many as
    the definition has, silence where it had fewer, and its last target.

    Parameters
    ----------
    steps : Steps
        Shows single steps on the back end.
    engine : Backend
        The back end.
    replay : ReplayBuffer
        The buffer.
    """

    def __init__(self, steps: Steps, engine: Backend, replay: ReplayBuffer) -> None:
        self.net = steps.net
        self._steps, self._engine, self._replay = steps, engine, replay
        #: The input of the open sample, None for silence, and for how many steps it was shown.
        self._shown: list[tuple[Array | None, int]] = []
        self._target: Array | None = None
        self._of_labels = real_targets(self.net, np.arange(self.net.n_outputs))

    def show(self, x: Array | None, y: Array | None, n_steps: int = 1) -> None:
        """Show an input for some steps, and a target to learn from."""
        self._open()
        self._note(x, y, n_steps)
        self._steps.show(x, y, n_steps)

    def show_events(self, given: EventSteps, y: Array | None) -> None:
        """Show consecutive steps of events, and a target to learn from."""
        self._open()
        shown = 0
        for step, counts in given.counts_of(self.net.n_inputs):
            self._note(None, y, step - shown)
            self._note(counts, y, 1)
            shown = step + 1
        self._note(None, y, given.n_steps - shown)
        self._steps.show_events(given, y)

    def show_sample(self, x: Array, y: Array | None, n_steps: int) -> None:
        """Show a whole sample, and learn some of before again if it has a target."""
        self._open()
        self._note(x, y, n_steps)
        show = partial(self._steps.show_sample, x, y, n_steps)
        if y is None:
            show()
        else:
            self._learn(show)

    def close(self) -> None:
        """End the open sample, and learn some of before again if it had a target.

        Raises
        ------
        ValueError
            If the buffer cannot keep it. The sample is dropped then.
        OverflowError
            If a value leaves the range of the arithmetic.
        """
        if self.is_learning:
            self._learn(self._steps.close)
        else:
            self._steps.close()

    def _open(self) -> None:
        """Forget what the last sample has shown, if another opens now."""
        if not self.is_open:
            self._shown, self._target = [], None

    def _note(self, x: Array | None, y: Array | None, n_steps: int) -> None:
        """Take note of what the open sample shows."""
        now = min(n_steps, self.net.n_steps - sum(n for _, n in self._shown))
        if now > 0 and self._shown and _are_equal(self._shown[-1][0], x):
            before, n_before = self._shown.pop()
            self._shown.append((before, n_before + now))
        elif now > 0:
            self._shown.append((None if x is None else x.copy(), now))
        if y is not None:
            self._target = y

    def _learn(self, learn: Callable[[], None]) -> None:
        """Learn from the sample that is noted, and then from some of before."""
        engine, replay, before = self._engine, self._replay, self._engine.samples_seen
        noted = self._noted()
        with replay.lock:
            mixture = replay.mix_batch(noted)
            with replay.learning(mixture, lambda: engine.samples_seen - before):
                learn()
                again = ~mixture.is_new
                if again.any():
                    x, y = mixture.x[again], mixture.y[again]
                    engine.train(Batch(self.net, x, y, noted.n_steps), False)

    def _noted(self) -> Batch:
        """Return the sample that is noted, as a block of one."""
        net, target = self.net, self._target
        assert target is not None
        given = [x for x, _ in self._shown if x is not None] or [np.zeros(net.n_inputs, np.uint8)]
        x: Array = np.zeros((net.n_steps, net.n_inputs), np.result_type(*given))
        start = 0
        for row, n in self._shown:
            if row is not None:
                x[start : start + n] = row
            start += n
        if len(self._shown) == 1 and start == net.n_steps and net.input_coding == "values":
            x = x[0]
        labels = np.flatnonzero((self._of_labels == target).all(axis=1))
        y = labels[0] if len(labels) == 1 else target
        return check_batch(net, x[np.newaxis], np.array([y]))

    # All else is as without a buffer.

    @property
    def is_open(self) -> bool:
        """Whether a sample is open."""
        return self._steps.is_open

    @is_open.setter
    def is_open(self, value: bool) -> None:
        self._steps.is_open = value

    @property
    def is_learning(self) -> bool:
        """Whether the open sample has had a target."""
        return self._steps.is_learning

    @is_learning.setter
    def is_learning(self, value: bool) -> None:
        self._steps.is_learning = value

    @property
    def steps_shown(self) -> int:
        """Steps of the open sample or, if none is open, of the last one; 0 after an error."""
        return self._steps.steps_shown

    @steps_shown.setter
    def steps_shown(self, value: int) -> None:
        self._steps.steps_shown = value

    @property
    def scores(self) -> NDArray[np.float64]:
        """The scores of the open sample, or of the last one; zero before any and after an error."""
        return self._steps.scores

    def drop(self) -> None:
        """End the open sample, and forget what was learned from it."""
        self._steps.drop()

    def count_silent_samples(self, n_samples: int) -> None:
        """Add the work of samples of silence without a target, in which nothing happens."""
        self._steps.count_silent_samples(n_samples)

    def _show(self, x: Array, y: Array | None, n_steps: int, opens: bool, restarts: bool) -> None:
        self._steps._show(x, y, n_steps, opens, restarts)

    def _close(self) -> None:
        self._steps._close()

    def _count(self, work: Operations) -> None:
        self._steps._count(work)

    def _potentials(self) -> Sequence[Array]:
        return self._steps._potentials()

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        return self._steps.summed_drive


def _are_equal(first: Array | None, second: Array | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)
