"""The back end `reference`: the step rules as they are written, in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import StatefulBackend, Steps
from spikebp_plugins.backends.outcome import Outcome, recording_of
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import CHOICES, Definition
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.sparse_rows import SparseRows, of_one_step
from spikebp_plugins.network.state import LearningState, RealState
from spikebp_plugins.rules.sample import MakeStep, SampleRecord, WorkCounter, run_sample
from spikebp_plugins.rules.step import Step, close_training, open_sample, open_training, step

Array = NDArray[Any]


class ReferenceBackend(StatefulBackend):
    """The executable specification: slow, and right by inspection."""

    choices: ClassVar = CHOICES
    connections: ClassVar = None

    def __init__(self, net: Definition, state: LearningState) -> None:
        super().__init__(net, state)
        self._so_far = (state.reals(), Operations())

    @property
    def learned(self) -> RealState:
        """What was learned, in real numbers."""
        learned: RealState = self._so_far[0]
        return learned

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        return self.learned.on_grid(self.net)

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self.learned.samples_seen

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return 10

    def take_rate(self, net: Definition) -> bool:
        """Go on with a definition of another learning rate."""
        self.net = net
        return True

    def take(self, learned: RealState, work: Operations) -> None:
        """Take over what was learned from a sample shown step by step, and add its work."""
        self._so_far = (learned, self.operations + work)

    def _steps(self) -> ReferenceSteps:
        return ReferenceSteps(self)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        x = batch.inputs()
        y = None if batch.y is None else batch.targets()
        records = []
        for i in range(len(batch)):
            target = None if y is None else y[i]
            learned, shown = run_sample(self.net, self.learned, x[i], target, batch.n_steps)
            # One assignment: an interrupt leaves both parts as of the same sample boundary.
            self._so_far = (learned, self.operations + shown.operations)
            records.append(shown)
        scores = np.stack([shown.step_scores[-1] for shown in records])
        return Outcome(scores, recording_of(self.net, records) if record else None)


def shown_by_rules(
    net: Definition, state: LearningState, sample: Batch
) -> tuple[LearningState, SampleRecord]:
    """Show one sample by the rules, for an engine whose numbers do not hold it.

    Returns
    -------
    state, shown : LearningState, SampleRecord
        The learning state after it, and what happened.

    Raises
    ------
    OverflowError
        If a value leaves the range of the arithmetic.
    """
    target = None if sample.y is None else sample.targets()[0]
    learned, shown = run_sample(net, state.reals(), sample.inputs()[0], target, sample.n_steps)
    return learned.on_grid(net), shown


def work_by_rules(steps: Sequence[Step], operations: Operations) -> Work:
    """Return the work for a sample that is what the rules ask for: a row for each message."""
    rows = sum(
        int(np.count_nonzero(sent))
        for step in steps
        for sent in (*step.k[:-1], *(step.e or ())[2:])
    )
    return Work(rows, operations.multiply_adds)


class StepOwner(Protocol):
    """Protocol of a back end for which `ReferenceSteps` shows single steps."""

    net: Definition

    @property
    def learned(self) -> RealState:
        """What was learned, in real numbers."""

    def take(self, learned: RealState, work: Operations) -> None:
        """Take over what was learned from a sample shown step by step, and add its work."""


class ReferenceSteps(Steps):
    """The step rules, one step at a time.

    Parameters
    ----------
    backend : StepOwner
        The back end whose state samples start from, and which takes over what is learned.
    make_step, close : callable, optional
        Compute what the functions of the rules do, `step` and `close_training`.
    """

    def __init__(
        self,
        backend: StepOwner,
        make_step: MakeStep | None = None,
        close: Callable[..., RealState] | None = None,
    ) -> None:
        super().__init__(backend.net)
        self._backend = backend
        self._make_step, self._close_training = make_step or step, close or close_training
        self._learning = backend.learned
        self._sample = open_sample(self.net)
        self._work = WorkCounter(self.net)

    def _show(
        self, x: Array | SparseRows, y: Array | None, n_steps: int, opens: bool, restarts: bool
    ) -> None:
        net = self._backend.net
        if opens:
            self._learning, self._sample = self._backend.learned, open_sample(net)
            self._work = WorkCounter(net)
        else:  # steps of silence may have been counted and not shown
            self._sample = self._sample._replace(t=self.steps_shown)
        if restarts:
            self._learning = open_training(net, self._learning)
        # A batch of one sample scales and rounds values as it does for whole samples.
        shown = Batch(net, of_one_step(x), None, 1).inputs()[0, 0]
        target = None if y is None else arithmetic_of(net).round(y)
        for _ in range(n_steps):
            self._learning, self._sample, sent = self._make_step(
                net, self._learning, self._sample, shown, target
            )
            self._work.add(self._sample, sent)

    def _close(self) -> None:
        if self.is_learning:
            net = self._backend.net
            self._learning = self._close_training(net, self._learning, self._sample)
        work = self._work.total(self._sample, self.is_learning)
        self._backend.take(self._learning, work)

    def _count(self, work: Operations) -> None:
        self._backend.take(self._backend.learned, work)

    def _potentials(self) -> Sequence[Array]:
        return self._sample.phi

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        drive: NDArray[np.float64] = self._sample.s[-1]
        return drive
