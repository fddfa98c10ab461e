"""The back end `compiled`: the step rules compiled by Numba, the default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numba.core import config
from numpy.typing import NDArray

from spikebp_plugins.backends.base import (
    PLAIN_ARITHMETICS,
    Backend,
    IntegerOption,
    UnsupportedError,
)
from spikebp_plugins.backends.outcome import (
    EarlyPrediction,
    Outcome,
    empty_prediction,
    joined,
    recording_of,
)
from spikebp_plugins.backends.reference import WHOLE_SAMPLES
from spikebp_plugins.compiled import event_order
from spikebp_plugins.compiled.kernels import arrays, blocks, constant, event, trains
from spikebp_plugins.compiled.kernels.vectors import LANES
from spikebp_plugins.compiled.layout import NARROW_FRACTION_BITS, Layout, Now, overwrite
from spikebp_plugins.compiled.notice import announced
from spikebp_plugins.compiled.stepper import CompiledSteps
from spikebp_plugins.compiled.synapse_arrays import KINDS
from spikebp_plugins.network.arithmetic import FixedPoint, Loihi2, arithmetic_of
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.delays import STEP_TIMINGS, TABLES
from spikebp_plugins.network.operations import Operations, count_operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import run_sample

#: The synapses times steps of a block, which take some hundredths of a second. Event timing handles
#: one spike at a time and takes ten times as long, so its blocks are shorter.
BLOCK_WORK: Final = 4_000_000_000
EVENT_BLOCK_WORK: Final = BLOCK_WORK // 10

#: The most `Run` structs of a thread: two integer widths, two learning states that take turns.
RUNS_KEPT: Final = 8

#: The fewest samples for each thread: with fewer, starting the thread would not pay.
SAMPLES_PER_THREAD: Final = 32


#: Why single steps with arithmetic="loihi2" are refused.
SATURATING_STEPS: Final = (
    "with arithmetic='loihi2' single steps run on backend='reference': kernels hold no potential "
    "that has saturated"
)


class Way(NamedTuple):
    """A way to compute a block: the layout of its numbers, and one of the `KERNELS`."""

    layout: Layout
    kernel: str


class Part(NamedTuple):
    """What a thread has predicted, and the error that stopped it, or None."""

    outcomes: list[Outcome]
    operations: Operations
    error: OverflowError | None


class CompiledBackend(Backend):
    """The default back end: the step rules compiled, with work that grows with the spikes.

    Fixed arithmetic is done in 32-bit integers where the data at hand prove that nothing can
    wrap, in 64-bit integers otherwise, and by the reference where a result comes near the limit.

    The option `n_jobs` is the number of threads that predict, by default one for each core;
    results are the same for any number.
    """

    timings: ClassVar = (*STEP_TIMINGS, "event")
    arithmetics: ClassVar = (*PLAIN_ARITHMETICS, "loihi2")
    connections: ClassVar = tuple(KINDS)
    options: ClassVar = {"n_jobs": IntegerOption(lowest=1)}

    @classmethod
    def unsupported(cls, net: SpikingMLP, **options: Any) -> str | None:  # noqa: ARG003
        """Return why nothing can be compiled, or None if it can."""
        if config.DISABLE_JIT:  # type: ignore[attr-defined]
            return "NUMBA_DISABLE_JIT keeps kernels from being compiled; backend='reference' runs"
        return None

    def __init__(self, net: SpikingMLP, state: LearningState, n_jobs: int | None) -> None:
        super().__init__(net, state)
        arithmetic = arithmetic_of(net)
        # Only constant input uses vectors; a chip's random numbers go by places without padding.
        lanes = LANES if net.arithmetic == "fixed" and net.timing != "event" else 1
        self._wide = Layout(net, arithmetic.storage_dtype, lanes)
        self._is_delayed = self._wide.undelayed is not self._wide.network
        self._narrow = None
        # That 32 bits hold a state does not prove that the 24 bits of a chip hold it.
        if (
            isinstance(arithmetic, FixedPoint)
            and not isinstance(arithmetic, Loihi2)
            and arithmetic.fraction_bits <= NARROW_FRACTION_BITS
        ):
            self._narrow = Layout(net, np.int32, lanes)
        # A block changes a copy of the learning state, which replaces the original in one
        # assignment when the block is done: an error or Ctrl-C leaves the state of a boundary.
        self._now = Now(self._wide, self._wide.learning(state), state.samples_seen, Operations())
        self._spare: arrays.Learning | None = None
        self._memories = [Memory() for _ in range(n_jobs or _available_cores())]
        # True while threads predict, and after an interrupt, which may have left some behind.
        self._may_have_strays = False
        # After a block that 32 bits cannot hold, so many samples go to 64 bits; then twice as many.
        self._patience = 1
        self._wide_samples = 0

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""
        now = self._now
        return now.layout.state(now.learning, now.samples_seen)

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self._now.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        return self._now.operations

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to hand over at a time."""
        synapses = sum(connection.n_synapses for connection in self.net.connections)
        work = EVENT_BLOCK_WORK if self.net.timing == "event" else BLOCK_WORK
        return max(1, work // (n_steps * synapses))

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        self._avoid_stray_threads()
        outcomes, start = [], 0
        while start < len(batch):
            before = self._now
            outcome, now = self._show_some(before, self._memories[0], batch[start:], record)
            if now.layout is before.layout:
                self._spare = before.learning
            self._now = now
            outcomes.append(outcome)
            start += len(outcome.scores)
        return joined(outcomes)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing, in several threads."""
        self._avoid_stray_threads()
        n_threads = min(len(self._memories), max(1, len(batch) // SAMPLES_PER_THREAD))
        bounds = [len(batch) * part // n_threads for part in range(n_threads + 1)]
        batches = [batch[start:stop] for start, stop in pairwise(bounds)]
        self._now = self._in_fastest_layout(batch)
        # A thread that an interrupt leaves behind finds here what it was given, whenever it runs.
        now, memories = self._now, self._memories

        def show(index: int) -> Part:
            return self._predict_part(now, memories[index], batches[index], record)

        if n_threads == 1:
            parts = [show(0)]
        else:
            self._may_have_strays = True
            with ThreadPoolExecutor(n_threads) as pool:
                parts = list(pool.map(show, range(n_threads)))
            # Only here is it certain: an interrupt can come while a thread is started, of which the
            # pool then does not know, and while the pool waits for its threads.
            self._may_have_strays = False
        operations = self._now.operations
        for part in parts:
            operations += part.operations
            if part.error is not None:
                break
        self._now = self._now._replace(operations=operations)
        if part.error is not None:
            raise part.error
        return joined([outcome for part in parts for outcome in part.outcomes])

    def steps(self) -> CompiledSteps:
        """Return the object that shows single steps."""
        if self.net.timing == "event":
            raise UnsupportedError("streams run with timing='immediate', not timing='event'")
        if self._is_delayed:
            raise UnsupportedError(WHOLE_SAMPLES)
        if self.net.arithmetic == "loihi2":
            raise UnsupportedError(SATURATING_STEPS)
        return CompiledSteps(self._wide, self.now_in, self.take)

    def now_in(self, layout: Layout) -> Now:
        """Convert the state to a layout that holds any value in range, and return it."""
        self._avoid_stray_threads()
        now = self._now.within(layout)
        assert now is not None
        self._now = now
        return now

    def take(self, learning: arrays.Learning | None, work: Operations) -> Now:
        """Add the operations of a sample of single steps, and what it has learned, if anything."""
        self._avoid_stray_threads()
        before = self._now
        self._now = before._replace(operations=before.operations + work)
        if learning is not None:
            self._now = Now(
                self._wide,
                self._copy(self._wide, learning),
                before.samples_seen + 1,
                before.operations + work,
            )
            if before.layout is self._wide:
                self._spare = before.learning
        return self._now

    def predict_until(self, batch: Batch, margin: float) -> EarlyPrediction:
        """Show each sample until its largest summed drive leads by `margin`, and learn nothing."""
        if self.net.timing != "immediate":
            raise UnsupportedError("samples stop early with timing='immediate' alone")
        if self.net.arithmetic == "loihi2":
            raise UnsupportedError(SATURATING_STEPS)
        shown, start = empty_prediction(batch), 0
        while start < len(batch):
            done = self._until(batch[start:], margin, [values[start:] for values in shown])
            start += done
            if start < len(batch):  # no kernel can prove that this sample is in range
                alone = super().predict_until(batch[start : start + 1], margin)
                for values, value in zip(shown, alone, strict=True):
                    values[start] = value[0]
                start += 1
        return shown

    def _until(self, batch: Batch, margin: float, shown: list[NDArray[Any]]) -> int:
        """Show samples up to the first whose range is not certain; return how many."""
        layout, n = self._wide, len(batch)
        now = self.now_in(layout)
        scores, n_steps, operations = shown
        drive = np.empty((n, self.net.n_outputs), layout.dtype)
        spikes = np.zeros((n, self.net.n_layers + 1), np.int64)
        block = arrays.Block(
            x=layout.inputs(batch),
            y=np.zeros((1, 1, 1), layout.dtype),
            drawn=layout.drawn(batch, 0),
            drive=drive,
            n_steps=batch.n_steps,
            training=False,
        )
        run = arrays.Run(
            net=layout.network,
            learning=layout.borrowed(now.learning),
            sample=self._memories[0].sample(layout),
            totals=layout.totals(),
            record=layout.record(0, batch.n_steps),
        )
        lead = margin * float(layout.network.one)
        with announced(("until", layout.dtype)):
            done: int = blocks.run_until(run, block, lead, n_steps, spikes)
        scores[:done] = layout.scores(drive[:done], n_steps[:done, np.newaxis])
        of_spikes = [connection.forward_operations(1) for connection in self.net.connections]
        sent = spikes[:done].astype(object)  # of their products and sums, 64 bits may hold too few
        operations[:done] = sent[:, :-1] @ of_spikes
        no_errors = [0] * spikes.shape[1]
        counts = sent.sum(0)
        work = count_operations(self.net, counts, no_errors, 0, shown=done, trained=0)
        self._now = now._replace(operations=now.operations + work)
        return done

    def _avoid_stray_threads(self) -> None:
        """Never use again what threads that an interrupt has left behind may write and read."""
        if self._may_have_strays:
            now = self._now
            self._memories = [Memory() for _ in self._memories]
            self._now = now._replace(learning=now.layout.copied(now.learning))
            self._spare = None
            self._may_have_strays = False

    def _predict_part(self, before: Now, memory: Memory, batch: Batch, record: bool) -> Part:
        outcomes: list[Outcome] = []
        start, now = 0, before
        while start < len(batch):
            try:
                outcome, now = self._show_some(now, memory, batch[start:], record)
            except OverflowError as error:
                return Part(outcomes, now.operations - before.operations, error)
            outcomes.append(outcome)
            start += len(outcome.scores)
        return Part(outcomes, now.operations - before.operations, None)

    def _show_some(
        self, now: Now, memory: Memory, batch: Batch, record: bool
    ) -> tuple[Outcome, Now]:
        """Show as many samples as one way can prove to be in range, at least one."""
        for way in self._ways(batch):
            start = now.within(way.layout)
            if start is not None:
                shown = self._attempt(way, start, memory, batch, record)
                if shown is not None:
                    return shown
            if way.layout is self._narrow:
                self._wide_samples, self._patience = self._patience, 2 * self._patience
        if self.net.timing == "event":
            raise event_order.overflow(self._wide, memory.event_sample(self._wide))
        return self._by_reference(now, batch[:1], record)

    def _ways(self, batch: Batch) -> Iterator[Way]:
        """Yield the ways to compute a batch, the fastest first."""
        layouts = [self._wide]
        if self._wide_samples > 0:
            self._wide_samples -= len(batch)
        elif self._narrow is not None:
            layouts.insert(0, self._narrow)
        if self.net.timing == "event":
            kernel = "event"
        else:
            kernel = "constant" if self._is_constant(batch) else "changing"
        for layout in layouts:
            yield Way(layout, kernel)
        if kernel == "constant":
            yield Way(self._wide, "changing")

    def _is_constant(self, batch: Batch) -> bool:
        return (
            self.net.arithmetic == "fixed"
            and self.net.input_coding == "values"
            and batch.x.ndim == 2
            and batch.n_steps <= trains.MOST_STEPS
            # With presynaptic="drive", inputs with equal spikes may have different factors.
            and (batch.y is None or (self.net.presynaptic == "counts" and not self._is_delayed))
        )

    def _in_fastest_layout(self, batch: Batch) -> Now:
        if self._narrow is None or self._wide_samples > 0:
            return self._now
        return self._now.within(self._narrow) or self._now

    def _attempt(
        self, way: Way, start: Now, memory: Memory, batch: Batch, record: bool
    ) -> tuple[Outcome, Now] | None:
        """Show the samples before the first that the kernel refuses; None if there are none."""
        training = batch.y is not None
        layout = way.layout
        learning = (
            self._copy(layout, start.learning)
            if training
            else memory.borrowed(layout, start.learning)
        )
        totals = memory.totals(layout)
        shown = layout.record(len(batch) if record else 0, batch.n_steps)
        drive = np.empty((len(batch), self.net.n_outputs), layout.dtype)
        run = {
            "net": layout.network if training else layout.undelayed,
            "learning": learning,
            "totals": totals,
            "record": shown,
        }
        block = {
            "y": layout.targets(batch) if training else np.zeros((1, 1, 1), layout.dtype),
            "drawn": layout.drawn(batch, start.samples_seen),
            "drive": drive,
            "n_steps": batch.n_steps,
            "training": training,
        }
        if layout.network.chip:
            memory.sample(layout).moment[0] = start.samples_seen
        with announced((way.kernel, layout.dtype, batch.x.dtype == np.uint8)):
            done = KERNELS[way.kernel](layout, memory, batch, run, block)
        if done < len(batch):
            return self._attempt(way, start, memory, batch[:done], record) if done else None
        trained = done if training else 0
        counts = (totals.spikes, totals.errors, totals.updates[0])
        operations = count_operations(self.net, *counts, shown=done, trained=trained)
        now = Now(
            layout,
            learning if training else start.learning,
            start.samples_seen + trained,
            start.operations + operations,
        )
        recording = None
        if record:  # kernels write each row under its step of input, so no delay is left
            no_delays = TABLES["immediate"](self.net.n_layers)
            recording = layout.recording(shown.arrays, batch.n_steps, training, no_delays)
        return Outcome(layout.scores(drive, batch.n_steps), recording), now

    def _copy(self, layout: Layout, learning: arrays.Learning) -> arrays.Learning:
        spare = self._spare
        # After an interrupt in `train`, the spare copy can be the learning state in use.
        if spare is None or spare is learning or spare.weight.dtype != learning.weight.dtype:
            return layout.copied(learning)
        overwrite(spare, learning)
        return spare

    def _by_reference(self, now: Now, batch: Batch, record: bool) -> tuple[Outcome, Now]:
        """Show one sample whose range no kernel could prove."""
        y = None if batch.y is None else batch.targets()[0]
        before = now.layout.state(now.learning, now.samples_seen)
        state, shown = run_sample(self.net, before, batch.inputs()[0], y, batch.n_steps)
        after = Now(
            self._wide,
            self._wide.learning(state),
            state.samples_seen,
            now.operations + shown.operations,
        )
        recording = recording_of(self.net, [shown]) if record else None
        return Outcome(shown.step_scores[-1:], recording), after


class ConstantRoom(NamedTuple):
    """The arrays in which the kernels for constant input work."""

    trains: trains.Trains
    sorting: trains.Sorting
    workspace: constant.Workspace


class Memory:
    """The working memory of one thread, made when it is first needed."""

    def __init__(self) -> None:
        self._samples: dict[bool, arrays.Sample] = {}
        self._constant: dict[tuple[bool, int], ConstantRoom] = {}
        self._groups: trains.Groups | None = None
        self._event_sample: event.EventSample | None = None
        self._totals: dict[bool, arrays.Totals] = {}
        self._runs: dict[tuple[int, ...], Any] = {}
        self._lent: tuple[arrays.Learning, arrays.Learning] | None = None

    def totals(self, layout: Layout) -> arrays.Totals:
        """Return counters set to zero; the next block sets the same counters to zero."""
        if layout.narrow not in self._totals:
            self._totals[layout.narrow] = layout.totals()
        for counts in self._totals[layout.narrow].arrays:
            counts[...] = 0
        return self._totals[layout.narrow]

    def borrowed(self, layout: Layout, learning: arrays.Learning) -> arrays.Learning:
        """Return a learning state to read only, with bounds that this thread may write."""
        if self._lent is None or self._lent[0] is not learning:
            self._lent = learning, layout.borrowed(learning)
        return self._lent[1]

    def run(self, kind: type[arrays.Run], rooms: dict[str, Any]) -> Any:
        """Return a run with these fields, if possible the one that an earlier call has made."""
        if rooms["record"].spikes.size:
            return kind(**rooms)
        key = (id(kind), *map(id, rooms.values()))
        if key not in self._runs:
            if len(self._runs) == RUNS_KEPT:
                self._runs.clear()
            self._runs[key] = kind(**rooms)
        return self._runs[key]

    def sample(self, layout: Layout) -> arrays.Sample:
        """Return the arrays for the state of a sample."""
        if layout.narrow not in self._samples:
            self._samples[layout.narrow] = layout.sample()
        return self._samples[layout.narrow]

    def event_sample(self, layout: Layout) -> event.EventSample:
        """Return the arrays for the state of a sample in event timing, which has one layout."""
        if self._event_sample is None:
            self._event_sample = event_order.make_sample(layout)
        return self._event_sample

    def constant(self, layout: Layout, n_steps: int) -> ConstantRoom:
        """Return the arrays in which the kernels for constant input work."""
        key = (layout.narrow, n_steps)
        if key not in self._constant:
            n_inputs, zeros = layout.net.n_inputs, layout.zeros
            self._constant[key] = ConstantRoom(
                trains.make_trains(n_inputs, n_steps),
                trains.make_sorting(zeros, n_inputs),
                constant.make_workspace(zeros, n_inputs, layout.widths[1:], n_steps),
            )
        return self._constant[key]

    def groups(self, batch: Batch) -> trains.Groups:
        """Return the arrays for the sorted input of a batch."""
        if self._groups is None or len(self._groups.member) < batch.x.size:
            self._groups = trains.make_groups(*batch.x.shape)
        return self._groups


def _show_constant(
    layout: Layout, memory: Memory, batch: Batch, run: dict[str, Any], block: dict[str, Any]
) -> int:
    room, groups = memory.constant(layout, batch.n_steps), memory.groups(batch)
    levels, x = layout.constant_inputs(batch)
    sorting = layout.network, room.trains, room.sorting
    n_sorted: int = trains.sort_block(*sorting, levels, x, batch.n_steps, groups)
    block["drive"] = block["drive"][:n_sorted]
    rooms = {"sample": memory.sample(layout), "trains": room.trains, "workspace": room.workspace}
    whole = memory.run(constant.ConstantRun, rooms | run)
    done: int = constant.run_constant_block(whole, constant.ConstantBlock(groups=groups, **block))
    return done


def _show_changing(
    layout: Layout, memory: Memory, batch: Batch, run: dict[str, Any], block: dict[str, Any]
) -> int:
    whole = memory.run(arrays.Run, {"sample": memory.sample(layout)} | run)
    done: int = blocks.run_block(whole, arrays.Block(x=layout.inputs(batch), **block))
    return done


def _show_event(
    layout: Layout, memory: Memory, batch: Batch, run: dict[str, Any], block: dict[str, Any]
) -> int:
    whole = event_order.make_run(layout, memory.event_sample(layout), run)
    done: int = event.run_event_block(whole, arrays.Block(x=layout.inputs(batch), **block))
    return done


#: The functions that show a block: for input that is the same at all steps of a sample, for any
#: input, and for event timing. Their `run` and `block` are fields of a `Run` and of a `Block`.
KERNELS: Final = {"constant": _show_constant, "changing": _show_changing, "event": _show_event}


def _available_cores() -> int:
    # A container or a batch system may let this process use fewer cores than there are.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
