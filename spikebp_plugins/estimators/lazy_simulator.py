"""The simulator of an estimator, which is opened when it is first needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor
from spikebp_plugins.simulation.simulator import Simulator


class LazySimulator:
    """A simulator that is opened when first needed, and holds a checkpoint until then.

    It stays open from one call to the next, which makes it cheap to learn from one sample at a
    time. Copies and pickles hold what it is made of, and go on exactly from there.

    Parameters
    ----------
    checkpoint : Checkpoint
        The checkpoint that it starts from.
    rate : LearningRate
        The learning rate, and what it has been told of errors.
    silence_monitor : SilenceMonitor
        Warns if no output fires, in this or in a copy.
    """

    def __init__(
        self, checkpoint: Checkpoint, rate: LearningRate, silence_monitor: SilenceMonitor
    ) -> None:
        self.__setstate__((checkpoint, rate, silence_monitor))

    @classmethod
    def untrained(
        cls, net: Definition, rate: LearningRate, silence_monitor: SilenceMonitor
    ) -> LazySimulator:
        """Return a lazy simulator of an untrained network."""
        return cls(Checkpoint(net, initial_state(net)), rate, silence_monitor)

    def copy(self) -> LazySimulator:
        """Return an independent copy that continues from here."""
        return self.at(self.checkpoint, self.rate)

    def at(self, checkpoint: Checkpoint, rate: LearningRate) -> LazySimulator:
        """Return a copy that continues from a checkpoint and a rate."""
        return LazySimulator(checkpoint, rate, self._silence_monitor)

    def __getstate__(self) -> tuple[Checkpoint, LearningRate, SilenceMonitor]:
        return self.checkpoint, self.rate, self._silence_monitor

    def __setstate__(self, state: tuple[Checkpoint, LearningRate, SilenceMonitor]) -> None:
        self._learned: Checkpoint | Simulator
        self._learned, self.rate, self._silence_monitor = state
        self._work = Operations()  # of simulators that are closed
        self._backend: str | None = None
        self._close: Callable[[], object] = lambda: None

    @property
    def net(self) -> Definition:
        """The definition."""
        return self._learned.net

    @property
    def n_seen(self) -> int:
        """Training samples so far."""
        if isinstance(self._learned, Simulator):
            return self._learned.samples_seen
        return self._learned.state.samples_seen

    @property
    def checkpoint(self) -> Checkpoint:
        """Definition and learning state."""
        learned = self._learned
        return learned.checkpoint() if isinstance(learned, Simulator) else learned

    @property
    def operations(self) -> Operations:
        """The work since this object was made."""
        learned = self._learned
        return self._work + learned.operations if isinstance(learned, Simulator) else self._work

    def with_fields(self, **fields: Any) -> LazySimulator:
        """Return a copy with other values of fields of the definition, or itself if all are equal.

        The grid stays what it is, as with `learning_rate` of a simulator.
        """
        net = self.net.replace(fraction_bits=self.net.fraction_bits, **fields)
        if net == self.net:
            return self
        return self.at(Checkpoint(net, self.checkpoint.state), self.rate)

    def grown(self, n_inputs: int, n_outputs: int) -> LazySimulator:
        """Return a copy with more inputs and outputs, or itself if it has as many."""
        if (n_inputs, n_outputs) == (self.net.n_inputs, self.net.n_outputs):
            return self
        return self.at(self.checkpoint.grown(n_inputs, n_outputs), self.rate)

    def open(self, backend: str | None) -> Simulator:
        """Return the simulator on a back end, opened unless it is open there."""
        if isinstance(self._learned, Simulator) and backend == self._backend:
            return self._learned
        simulator = self.checkpoint.simulate(backend)
        simulator.checks_targets = False
        simulator.silence_monitor = self._silence_monitor
        self._work, close = self.operations, self._close
        self._learned, self._backend = simulator, backend
        # Some back ends hold processes, which must not outlive the estimator.
        self._close = weakref.finalize(self, simulator.close)
        close()
        return simulator

    def train(
        self,
        backend: str | None,
        x: Any,
        y: Any,
        after: Callable[[LearningRate, NDArray[np.float64], slice], LearningRate],
    ) -> NDArray[np.float64]:
        """Learn from samples on a back end, and return the scores that each of them reached.

        Parameters
        ----------
        backend : str or None
            The back end.
        x, y : ndarray, or x as SparseRows
            Inputs and targets, as a simulator takes them.
        after : callable
            Returns the learning rate after some of the samples, by the scores that they reached.
        """
        scores: list[NDArray[np.float64]] = []
        start = 0
        while start < len(x):
            self._take_rate(self.rate.now)
            rows = slice(start, start + self.rate.lasts(len(x) - start))
            scores.append(_naming_no_sample(self.open(backend).train, x[rows], y[rows]))
            self.rate = after(self.rate, scores[-1], rows)
            start = rows.stop
        return scores[0] if len(scores) == 1 else np.concatenate(scores)

    def predict(self, backend: str | None, x: Any) -> NDArray[np.float64]:
        """Return the scores of samples on a back end."""
        return _naming_no_sample(self.open(backend).predict, x)

    def _take_rate(self, rate: float) -> None:
        """Continue at another learning rate."""
        if rate == self.net.learning_rate:
            return
        if isinstance(self._learned, Simulator):
            self._learned.learning_rate = rate
        else:
            self._learned = self._learned.at_rate(rate)


def _naming_no_sample(show: Callable[..., Any], *samples: Any) -> NDArray[np.float64]:
    """Show samples; an overflow names no sample, since its index is none of a user's row."""
    try:
        scores: NDArray[np.float64] = show(*samples, progress=False)
        return scores
    except OverflowError as error:
        raise error.__cause__ or error from None
