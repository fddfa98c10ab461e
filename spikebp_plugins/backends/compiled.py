"""The back end `compiled`: the step rules compiled by Numba, the default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from spikebp_plugins.arithmetic import FixedPoint, arithmetic_of
from spikebp_plugins.backends import grouped, kernels
from spikebp_plugins.backends.base import Backend, Outcome, Recording, joined
from spikebp_plugins.backends.layout import NARROW_FRACTION_BITS, Layout
from spikebp_plugins.backends.reference import recording_of
from spikebp_plugins.batch import Batch
from spikebp_plugins.definition import SpikingMLP
from spikebp_plugins.operations import Operations, count_operations
from spikebp_plugins.reference import run_sample
from spikebp_plugins.state import LearningState

#: Multiplications of a dense network after which a block ends: some hundredths of a second.
BLOCK_WORK: Final = 1_000_000_000


class Way(NamedTuple):
    """A way to compute a block: the layout of its numbers, and the kernel for constant input."""

    layout: Layout
    constant: bool


class Committed(NamedTuple):
    """All that changes from sample to sample, at a sample boundary."""

    layout: Layout
    learning: kernels.Learning
    samples_seen: int
    operations: Operations


class CompiledBackend(Backend):
    """The default back end: the step rules compiled, in time that follows the spikes.

    Fixed arithmetic is done in 32-bit integers where the data at hand prove that nothing can
    wrap, in 64-bit integers otherwise, and by the reference where a result comes near the limit.
    """

    def __init__(self, net: SpikingMLP, state: LearningState) -> None:
        super().__init__(net, state)
        arithmetic = arithmetic_of(net)
        self._wide = Layout(net, arithmetic.storage_dtype)
        self._narrow = None
        if isinstance(arithmetic, FixedPoint) and arithmetic.fraction_bits <= NARROW_FRACTION_BITS:
            self._narrow = Layout(net, np.int32)
        # A block changes a copy, which takes the original's place in one assignment when the
        # block is done: a refused sample, or Ctrl-C at any moment, leaves a sample boundary.
        self._committed = Committed(
            self._wide, self._wide.learning(state), state.samples_seen, Operations()
        )
        self._spare: kernels.Learning | None = None
        self._groups: dict[tuple[bool, int], grouped.Groups] = {}
        # After a block that 32 bits could not hold: how many samples to do in 64 bits at once.
        self._patience = 1
        self._wide_samples = 0

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""
        now = self._committed
        return now.layout.state(now.learning, now.samples_seen)

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        return self._committed.operations

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to hand over at a time."""
        dense = sum(n_in * n_out for n_in, n_out in self.net.weight_shapes)
        return max(1, BLOCK_WORK // (n_steps * dense))

    def _show(self, batch: Batch, record: bool) -> Outcome:
        outcomes, start = [], 0
        while start < len(batch):
            outcome = self._show_some(batch[start:], record)
            outcomes.append(outcome)
            start += len(outcome.scores)
        return joined(outcomes)

    def _show_some(self, batch: Batch, record: bool) -> Outcome:
        """Show as many samples as one way can prove to be in range, at least one."""
        for way in self._ways(batch):
            outcome = self._attempt(way, batch, record)
            if outcome is not None:
                return outcome
            if way.layout is self._narrow:
                self._wide_samples, self._patience = self._patience, 2 * self._patience
        return self._by_reference(batch[:1], record)

    def _ways(self, batch: Batch) -> Iterator[Way]:
        """Yield the ways to compute a batch, the fastest first."""
        layouts = [self._wide]
        if self._wide_samples > 0:
            self._wide_samples -= len(batch)
        elif self._narrow is not None:
            layouts.insert(0, self._narrow)
        constant = (
            self.net.arithmetic == "fixed"
            and self.net.input_coding == "values"
            and batch.x.ndim == 2
            and batch.n_steps <= grouped.MOST_STEPS
        )
        for layout in layouts:
            yield Way(layout, constant)
        if constant:
            yield Way(self._wide, constant=False)

    def _attempt(self, way: Way, batch: Batch, record: bool) -> Outcome | None:
        """Show the samples before the first that the kernel refuses; None if that is the first."""
        training = batch.y is not None
        layout = way.layout
        start = self._in(layout)
        if start is None:
            return None
        working = self._copy(start.learning) if training else start.learning
        totals = layout.totals()
        shown = layout.record(len(batch) if record else 0, batch.n_steps)
        drive = np.empty((len(batch), self.net.n_outputs), layout.dtype)
        arguments: tuple[Any, ...] = (
            layout.inputs(batch),
            layout.targets(batch) if training else np.zeros((1, 1, 1), layout.dtype),
            layout.drawn(batch, start.samples_seen),
            batch.n_steps,
            training,
            totals,
            shown,
            drive,
        )
        common = (layout.network, working, layout.sample)
        if way.constant:
            groups = self._groups_for(layout, batch.n_steps)
            done = grouped.run_constant_block(*common, groups, *arguments)
        else:
            done = kernels.run_block(*common, *arguments)
        if done < len(batch):
            return self._attempt(way, batch[:done], record) if done else None
        trained = done if training else 0
        counts = (totals.spikes, totals.errors, totals.updates[0])
        operations = count_operations(self.net, *counts, shown=done, trained=trained)
        if training:
            self._spare = start.learning
        self._committed = Committed(
            layout, working, start.samples_seen + trained, start.operations + operations
        )
        scores = layout.scores(drive, batch.n_steps)
        return Outcome(scores, self._recording(layout, shown, training) if record else None)

    def _in(self, layout: Layout) -> Committed | None:
        """Return the learning state in a layout, or None where it does not fit."""
        if self._committed.layout is not layout:
            learning = layout.converted(self._committed.learning)
            if learning is None:
                return None
            self._committed = self._committed._replace(layout=layout, learning=learning)
        return self._committed

    def _copy(self, learning: kernels.Learning) -> kernels.Learning:
        spare = self._spare
        # They are the same after an interrupt that came while they changed places.
        if spare is None or spare is learning or spare.weight.dtype != learning.weight.dtype:
            return kernels.Learning(*(values.copy() for values in learning))
        for source, target in zip(learning, spare, strict=True):
            target[...] = source
        return spare

    def _groups_for(self, layout: Layout, n_steps: int) -> grouped.Groups:
        key = (layout.narrow, n_steps)
        if key not in self._groups:
            self._groups[key] = layout.groups(n_steps)
        return self._groups[key]

    def _by_reference(self, batch: Batch, record: bool) -> Outcome:
        """Show one sample whose range no kernel could prove."""
        y = None if batch.y is None else batch.targets()[0]
        state, shown = run_sample(self.net, self.state, batch.inputs()[0], y, batch.n_steps)
        self._committed = Committed(
            self._wide,
            self._wide.learning(state),
            state.samples_seen,
            self.operations + shown.operations,
        )
        return Outcome(shown.step_scores[-1:], recording_of(self.net, [shown]) if record else None)

    def _recording(self, layout: Layout, shown: kernels.Record, training: bool) -> Recording:
        starts = np.cumsum(self.net.layer_sizes)[:-1]
        spikes = np.split(shown.spikes.astype(np.int64), starts, axis=2)
        errors = np.split(shown.errors.astype(np.int64), starts, axis=2)
        steps = np.arange(1, shown.drive.shape[1] + 1)[:, np.newaxis]
        return Recording(
            spikes=spikes,
            errors=[None, *errors[1:]] if training else None,
            step_scores=layout.scores(shown.drive, steps),
        )
