"""The back end `compiled`: the step rules compiled by Numba, the default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import numpy as np
from numba.core import config
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, FlagOption, IntegerOption, UnsupportedError
from spikebp_plugins.backends.outcome import (
    EarlyPrediction,
    Outcome,
    empty_prediction,
    joined,
    recording_of,
)
from spikebp_plugins.backends.reference import WHOLE_SAMPLES, ReferenceSteps
from spikebp_plugins.common.notice import announced, say_once
from spikebp_plugins.compiled import event_order, single_steps
from spikebp_plugins.compiled.beside import Wanted, wanted
from spikebp_plugins.compiled.handle import HANDLES_KEPT, Handle, new_handle
from spikebp_plugins.compiled.kernels import arrays, blocks, trains
from spikebp_plugins.compiled.kernels.vectors import LANES
from spikebp_plugins.compiled.layout import NARROW_FRACTION_BITS, Layout, Now, overwrite
from spikebp_plugins.compiled.memory import KERNELS, Memory, Way, ways
from spikebp_plugins.compiled.readiness import Readiness
from spikebp_plugins.compiled.single_steps import CompiledSteps
from spikebp_plugins.compiled.synapse_arrays import KINDS
from spikebp_plugins.engine.backend import EngineBackend, available_cores
from spikebp_plugins.engine.event_backend import EventBackend
from spikebp_plugins.engine.library import why_missing
from spikebp_plugins.engine.one_sample import kind_of
from spikebp_plugins.network.arithmetic import arithmetic_of, grid_of
from spikebp_plugins.network.delays import TABLES
from spikebp_plugins.network.fields import CHOICES, Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch, check_batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import run_sample

#: The synapses times steps of a block, which take some hundredths of a second. Event timing handles
#: one spike at a time and takes ten times as long, so its blocks are shorter.
BLOCK_WORK: Final = 4_000_000_000
EVENT_BLOCK_WORK: Final = BLOCK_WORK // 10

#: A counter may be increased by so much before it could leave the range of 64 bits.
MOST_COUNTED: Final = 2**62

#: The fewest samples for each thread: with fewer, starting the thread would not pay.
SAMPLES_PER_THREAD: Final = 32


#: Why single steps with arithmetic="loihi2" are refused.
SATURATING_STEPS: Final = (
    "with arithmetic='loihi2' single steps run on backend='reference': kernels hold no potential "
    "that has saturated"
)


Array = NDArray[Any]

Shown = TypeVar("Shown", Outcome, EarlyPrediction)


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

    Kernels that are not in the cache are compiled beside, in another process: until they are ready,
    the reference shows the samples. With `wait` kernels alone do, and the first samples wait for
    the compiler. The default is False, or what the environment variable ``SPIKEBP_WAIT`` says.
    Event timing, which the reference does not know, always waits.
    """

    choices: ClassVar = CHOICES
    connections: ClassVar = tuple(KINDS)
    options: ClassVar = {"n_jobs": IntegerOption(lowest=1), "wait": FlagOption()}
    alone: ClassVar = {"wait": True}

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:  # noqa: ARG003
        """Return why nothing can be compiled, or None if it can."""
        if config.DISABLE_JIT:  # type: ignore[attr-defined]
            return "NUMBA_DISABLE_JIT keeps kernels from being compiled; backend='reference' runs"
        if net.arithmetic != "fixed" and not net.is_dense:
            return f"with arithmetic={net.arithmetic!r} it knows dense connections alone"
        return None

    @classmethod
    def engine_for(cls, net: Definition) -> type[CompiledBackend | EngineBackend]:
        """Return the engine in C for those networks that it covers, and else this one."""
        if cls is not CompiledBackend:
            return cls
        if (lack := cls.lack()) is not None:
            say_once(lack)
            return cls
        return EventBackend if net.timing == "event" else EngineBackend

    @classmethod
    def lack(cls) -> str | None:
        """Return that the engine in C is missing, and why; None if it is there."""
        reason = why_missing()
        return reason and f"the engine in C is missing, so Numba compiles kernels: {reason}"

    def __init__(
        self, net: Definition, state: LearningState, n_jobs: int | None, wait: bool | None = None
    ) -> None:
        super().__init__(net, state)
        self.readiness = Readiness(True if net.timing == "event" else wait)
        # Only constant input uses vectors; a chip's random numbers go by places without padding.
        lanes = LANES if net.arithmetic == "fixed" else 1
        self._wide = Layout(net, arithmetic_of(net).storage_dtype, lanes)
        self._is_delayed = self._wide.undelayed is not self._wide.network
        # For prediction and for training. With presynaptic="drive", inputs with equal spikes may
        # have different factors.
        of_values = net.arithmetic == "fixed" and net.input_coding == "values"
        may_be_constant = of_values and net.is_dense
        may_learn = may_be_constant and net.presynaptic == "counts"
        self._may_be_constant = (may_be_constant, may_learn)
        self._general = "event" if net.timing == "event" else "changing"
        self._n_synapses = sum(connection.n_synapses for connection in net.connections)
        self._block_work = EVENT_BLOCK_WORK if net.timing == "event" else BLOCK_WORK
        # Of spikes, kernels count fewer than this in a layer and a step.
        # Where units differ in it, they count the operations of spikes too.
        most_spikes = int(arrays.MOST_SPIKES)
        if not net.is_dense:
            most_spikes *= max(max(c.n_below, c.n_above) for c in net.connections)
        self._most_counted = max(most_spikes, self._n_synapses)
        self._narrow = None
        # That 32 bits hold a state does not prove that the 24 bits of a chip hold it.
        if net.arithmetic == "fixed" and grid_of(net).fraction_bits <= NARROW_FRACTION_BITS:
            self._narrow = Layout(net, np.int32, lanes)
        layouts = [self._wide] if self._narrow is None else [self._narrow, self._wide]
        # By kernel: the ways to compute a block, the fastest first.
        self._ways = {kernel: ways(kernel, *layouts) for kernel in (*KERNELS, "until")}
        self._ways["constant"] += ways("changing", self._wide)
        # Kernels change the state in place. What a sample has changed is undone in the kernel that
        # shows it, so that an error or Ctrl-C finds the state of a boundary.
        learning = self._wide.learning(state)
        totals = self._wide.totals()
        totals.samples[2] = state.samples_seen
        start = Now(self._wide, learning, self._wide.boundary(), totals, Operations())
        self._now = start.with_learning(self._wide, learning)
        self._countable = MOST_COUNTED
        self._memories = [Memory() for _ in range(n_jobs or available_cores())]
        self.owner: object = None
        self._handles: dict[Any, Handle] = {}
        # True while threads predict, and after an interrupt, which may have left some behind.
        self._may_have_strays = False
        # After a block that 32 bits cannot hold, so many samples go to 64 bits; then twice as many.
        self._patience = 1
        self._wide_samples = 0

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""
        now = self._now.at_boundary()
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
        by_work = self._block_work // (n_steps * max(self._n_synapses, 1))
        return max(1, min(by_work, MOST_COUNTED // (n_steps * self._most_counted)))

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        self._make_ready(batch)
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing, in several threads."""
        if self._now.is_open:
            return self._beside_open_sample(lambda other: other.predict(batch, record))
        self._make_ready(batch)
        n_threads = min(len(self._memories), len(batch.x) // SAMPLES_PER_THREAD)
        if n_threads > 1 and self._may_use_threads(batch):
            return self._show_in_threads(batch, record, n_threads)
        return self._show(batch, record)

    def show_one(self, x: Any, y: Any, n_steps: int) -> Array | None:
        """Show one sample as it came, if one of the same kind was shown before."""
        kind = kind_of(x, y, n_steps)
        if kind is None:
            return None
        handle = self._handles.get(kind)
        if handle is None or handle.now is not self._now:
            handle = self._new_handle(kind, x, y, n_steps)
            if handle is None:
                return None
        if (
            self._may_have_strays
            or handle.is_second != (self._wide_samples > 0)
            or (y is None and handle.now.boundary.is_open[0])
        ):
            return None
        self._wide_samples -= handle.is_second
        self._countable -= n_steps * self._most_counted
        return None if self._countable < 0 else handle.show(x, y)

    def _new_handle(self, kind: Any, x: Array, y: Array | None, n_steps: int) -> Handle | None:
        try:
            batch = check_batch(self.net, x, y, n_steps)
        except ValueError:  # those who show it in another way say what is wrong
            return None
        if batch.x.shape != x.shape:  # an image, which a handle would not read as a row
            return None
        for way in self._ways[self._kernel(batch)]:
            if way.layout is self._now.layout:
                break
        else:
            return None
        if not self._is_ready(way, self._now, batch):
            return None
        is_second = self._narrow is not None and not way.layout.narrow
        memory = self._memories[0]
        handle = new_handle(way, self._now, x, batch, memory, is_second=is_second)
        if handle is not None:
            # A handle of an earlier state would keep the weights of that state in memory.
            usable = {k: h for k, h in self._handles.items() if h.now is self._now}
            self._handles = usable if len(usable) < HANDLES_KEPT else {}
            self._handles[kind] = handle
        return handle

    def _beside_open_sample(self, show: Callable[[CompiledBackend], Shown]) -> Shown:
        """Show samples on a copy of the state, which while a sample is open is in use."""
        other = CompiledBackend(self.net, self.state, len(self._memories))
        other.report, other.readiness = self.report, self.readiness
        try:
            return show(other)
        finally:
            self.add(other.operations)

    def _make_ready(self, batch: Batch) -> None:
        """Do what is due before samples are shown."""
        if self._may_have_strays:
            self._avoid_stray_threads()
        self._countable -= len(batch.x) * batch.n_steps * self._most_counted
        if self._countable < 0:
            self._empty_counters()

    def _empty_counters(self) -> None:
        """Begin to count anew, before a counter could leave the range of 64 bits."""
        now = self._now
        if now.is_open:  # after an interrupt: the next sample undoes what is left, counts too
            return
        totals = now.layout.totals()
        totals.samples[2] = now.samples_seen
        self._now = now._replace(totals=totals, work=now.operations)
        self._countable = MOST_COUNTED

    def _show(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in this thread."""
        memory = self._memories[0]
        outcome = self._show_some(self._now, memory, batch, record, self._go_on)
        done, n = len(outcome.scores), len(batch.x)
        if done == n:
            return outcome
        outcomes = [outcome]
        while done < n:
            outcome = self._show_some(self._now, memory, batch[done:], record, self._go_on)
            outcomes.append(outcome)
            done += len(outcome.scores)
            self.report(done)
        return joined(outcomes)

    def _may_use_threads(self, batch: Batch) -> bool:
        """Return whether kernels are ready; the reference would not gain from threads."""
        ways = self._ways[self._kernel(batch)]
        if not any(self._is_ready(way, self._now, batch) for way in ways):
            return False
        self._now = now = self._in_fastest_layout()
        use = "bounds", now.layout.narrow
        if not self.readiness.of(use, lambda: [_bounds_of(now)]):
            self.readiness.ask(use)
            return False
        now.measure()
        return True

    def _show_in_threads(self, batch: Batch, record: bool, n_threads: int) -> Outcome:
        """Show samples to learn nothing, a part of them in each thread."""
        bounds = [len(batch) * part // n_threads for part in range(n_threads + 1)]
        batches = [batch[start:stop] for start, stop in pairwise(bounds)]
        # A thread that an interrupt leaves behind finds here what it was given, whenever it runs.
        now, memories = self._now, self._memories

        def show(index: int) -> Part:
            return self._predict_part(now, memories[index], batches[index], record)

        self._may_have_strays = True
        with ThreadPoolExecutor(n_threads) as pool:
            parts = list(pool.map(show, range(n_threads)))
        # Only here is it certain: an interrupt can come while a thread is started, of which the
        # pool then does not know, and while the pool waits for its threads.
        self._may_have_strays = False
        work = self._now.work
        for part in parts:
            work += part.operations
            if part.error is not None:
                break
        self._now = self._now._replace(work=work)
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
        return CompiledSteps(self.net, self)

    def like(self, narrow: bool) -> Now | None:
        """Return a state of which only the types are right, in 32 bits or in wider numbers.

        None if the back end never uses 32 bits.
        """
        layout = self._narrow if narrow else self._wide
        return None if layout is None else self._now.like(layout)

    def is_at(self, now: Now) -> bool:
        """Whether this is the state that the back end has, and not one of before."""
        return now.boundary is self._now.boundary

    def now_for_steps(self, narrow: bool = True) -> Now:
        """Return the state, converted to the numbers in which to begin a sample of single steps."""
        if self._may_have_strays:
            self._avoid_stray_threads()
        # Nobody knows for how many steps: what is counted in one sample is less than the rest.
        if max(max(counts.tolist()) for counts in self._now.totals.arrays) > MOST_COUNTED // 2:
            self._empty_counters()
        if self._wide_samples > 0:
            self._wide_samples -= 1
            self._now = self._now.in_wider(self._wide)
        elif not narrow:
            self._now = self._now.in_wider(self._wide)
        elif self._narrow is not None:
            now = self._now.within(self._narrow)
            if now is None:
                self.go_on_widened(self.widened())
            else:
                self._now = now
        return self._now

    def widened(self) -> Now:
        """Return the state, within a sample, in numbers that hold any value in range."""
        return self._now.in_wider(self._wide)

    def go_on_widened(self, now: Now) -> None:
        """Go on with that state, and with 64 bits for some samples."""
        self._now = now
        self._wide_samples, self._patience = self._patience, 2 * self._patience

    def _go_on(self, now: Now) -> None:
        self._now = now

    def preparations(self) -> list[Callable[[], object]]:
        """Return functions each of which compiles a kernel that may be needed."""
        return [partial(kernel.compile, types) for kernel, types in dict.fromkeys(self._kernels())]

    def _kernels(self) -> Iterator[Wanted]:
        """Yield all kernels that may be needed."""
        net, now = self.net, self._now
        uses = {self._general: check_batch(net, np.zeros((1, net.n_steps, net.n_inputs)))}
        if self._may_be_constant[0]:
            uses["constant"] = check_batch(net, np.zeros((1, net.n_inputs)))
        if self._may_stop_early() is None:
            uses["until"] = uses[self._general]
        for name, batch in uses.items():
            for way in self._ways[name]:
                yield from self._kernels_of(way, now, batch)
        if len(self._memories) > 1:
            layouts = [way.layout for way in self._ways[self._general]]
            yield from (_bounds_of(now.like(layout)) for layout in layouts)
        with suppress(UnsupportedError):
            steps = self.steps()
            for use in single_steps.USES:
                for narrow in (False, True):
                    yield from steps.kernels(use, narrow)

    def add(self, work: Operations) -> None:
        """Add work that no kernel has counted."""
        self._now = self._now._replace(work=self._now.work + work)

    def predict_until(self, batch: Batch, margin: float) -> EarlyPrediction:
        """Show each sample until its largest summed drive leads by `margin`, and learn nothing."""
        if (reason := self._may_stop_early()) is not None:
            raise UnsupportedError(reason)
        if self._now.is_open:
            return self._beside_open_sample(lambda other: other.predict_until(batch, margin))
        self._make_ready(batch)
        shown, start = empty_prediction(batch), 0
        while start < len(batch):
            rest, values = batch[start:], [values[start:] for values in shown]
            missing = None
            for way in self._ways_now("until", rest):
                if not self._is_ready(way, self._now, batch):
                    missing = missing or way
                elif done := self._until(way, rest, margin, values):
                    break
            else:  # no kernel is ready, or can prove that this sample is in range
                with self._by_reference_for(missing, rest):
                    alone, done = self._until_by(ReferenceSteps(self), rest[:1], margin), 1
                for column, value in zip(values, alone, strict=True):
                    column[0] = value[0]
            start += done
        return shown

    def _may_stop_early(self) -> str | None:
        """Return why samples do not stop early, or None if they do."""
        if self.net.timing != "immediate":
            return "samples stop early with timing='immediate' alone"
        return SATURATING_STEPS if self.net.arithmetic == "loihi2" else None

    def _until(self, way: Way, batch: Batch, margin: float, shown: list[NDArray[Any]]) -> int:
        """Show samples up to the first whose range is not certain; return how many."""
        layout = way.layout
        now = self._now.within(layout)
        if now is None:
            return 0
        scores, n_steps, operations = shown
        spikes = np.zeros((len(batch), now.totals.spikes.size), np.int64)
        self._now = now
        job = self._memories[0].job(way, now, batch, layout.nowhere)
        lead = margin * float(layout.network.one)
        with announced(way.compiled):
            done: int = blocks.run_until(job, lead, n_steps, spikes)
        scores[:done] = job.block.scores[:done]
        operations[:done] = layout.forward_operations(spikes[:done])
        return done

    def _avoid_stray_threads(self) -> None:
        """Never use again what threads that an interrupt has left behind may write and read."""
        now = self._now
        self._memories = [Memory() for _ in self._memories]
        self._now = now._replace(learning=now.layout.copied(now.learning))
        self._may_have_strays = False

    def _predict_part(self, before: Now, memory: Memory, batch: Batch, record: bool) -> Part:
        """Show samples in a thread of their own, with counters of its own."""
        outcomes: list[Outcome] = []
        start, layout = 0, before.layout
        now = Now(
            layout, before.learning, layout.boundary(keeps=False), layout.totals(), Operations()
        )

        def go_on(state: Now) -> None:
            nonlocal now
            now = state

        while start < len(batch):
            try:
                outcome = self._show_some(now, memory, batch[start:], record, go_on)
            except OverflowError as error:
                return Part(outcomes, now.operations, error)
            outcomes.append(outcome)
            start += len(outcome.scores)
        return Part(outcomes, now.operations, None)

    def _show_some(
        self,
        now: Now,
        memory: Memory,
        batch: Batch,
        record: bool,
        go_on: Callable[[Now], None],
    ) -> Outcome:
        """Show as many samples as one way can prove to be in range, at least one.

        `go_on` takes the state that follows. A kernel changes its arrays in place, and counts of
        samples that other layouts share, so it is taken before: an interrupt may come right after.
        """
        kernel, missing = self._kernel(batch), None
        ways = self._ways_now(kernel, batch)
        for way in ways:
            if not self._is_ready(way, now, batch):
                missing = missing or way
                continue
            start = now if way.layout is now.layout else now.within(way.layout)
            if start is not None:
                go_on(start)
                outcome = self._attempt(way, start, memory, batch, record)
                if outcome is not None:
                    return outcome
            if way.layout is self._narrow and self._is_ready(ways[-1], now, batch):
                self._wide_samples, self._patience = self._patience, 2 * self._patience
        if kernel == "event":
            raise event_order.overflow(self._wide, memory.event_sample(self._wide))
        with self._by_reference_for(missing, batch):
            outcome, after = self._by_reference(now, batch[:1], record)
        go_on(after)
        return outcome

    def _is_ready(self, way: Way, now: Now, batch: Batch) -> bool:
        """Return whether a way to compute a batch need not wait for a compiler."""
        return self.readiness.of(way.compiled, partial(self._kernels_of, way, now, batch))

    def _kernels_of(self, way: Way, now: Now, batch: Batch) -> list[Wanted]:
        """Return the kernel of a way."""
        job = Memory().kept(way, now.like(way.layout), batch[:1], checked=True).job
        if way.kernel != "until":
            return [wanted(KERNELS[way.kernel], job)]
        counts = np.zeros(1, np.int64)
        return [wanted(blocks.run_until, job, 0.0, counts, counts[np.newaxis])]

    def _by_reference_for(self, missing: Way | None, batch: Batch) -> AbstractContextManager[None]:
        """Return a context in which the reference shows samples, perhaps for a missing kernel."""
        if missing is None:
            return nullcontext()
        work = float(self._n_synapses * batch.n_steps * len(batch))
        return self.readiness.done_without(missing.compiled, work)

    def _ways_now(self, kernel: str, batch: Batch) -> tuple[Way, ...]:
        """Return the ways to compute a batch, the fastest first."""
        ways = self._ways[kernel]
        if self._wide_samples > 0:
            self._wide_samples -= len(batch.x)
            return ways[1:] if self._narrow is not None else ways
        return ways

    def _kernel(self, batch: Batch) -> str:
        """Return the name of the fastest kernel for a batch."""
        by_kind = self._may_be_constant
        if (
            batch.x.ndim == 2
            and by_kind[batch.y is not None]
            and batch.n_steps <= trains.MOST_STEPS
        ):
            return "constant"
        return self._general

    def _in_fastest_layout(self) -> Now:
        if self._narrow is None or self._wide_samples > 0:
            return self._now
        return self._now.within(self._narrow) or self._now

    def _attempt(
        self, way: Way, now: Now, memory: Memory, batch: Batch, record: bool
    ) -> Outcome | None:
        """Show the samples before the first that the kernel refuses; None if there are none."""
        layout, kernel, compiled = way
        shown = layout.record(len(batch.x), batch.n_steps) if record else layout.nowhere
        job = memory.job(way, now, batch, shown)
        with announced(compiled):
            done: int = KERNELS[kernel](job)
        if done == 0:
            return None
        scores = job.block.scores[:done].copy()  # a job for a single sample is used again
        if not record:
            return Outcome(scores, None)
        # Kernels write each row under its step of input, so no delay is left.
        no_delays, training = TABLES["immediate"](self.net.n_layers), batch.y is not None
        rows = [rows[:done] for rows in shown.arrays]
        return Outcome(scores, layout.recording(rows, batch.n_steps, training, no_delays))

    def _by_reference(self, now: Now, batch: Batch, record: bool) -> tuple[Outcome, Now]:
        """Show one sample whose range no kernel could prove."""
        y, now = None if batch.y is None else batch.targets()[0], now.closed()
        before = now.layout.state(now.learning, now.samples_seen)
        state, shown = run_sample(self.net, before, batch.inputs()[0], y, batch.n_steps)
        recording = recording_of(self.net, [shown]) if record else None
        return Outcome(shown.step_scores[-1:], recording), self._after(now, state, shown.operations)

    def take(self, state: LearningState, work: Operations) -> None:
        """Take over the learning state after a sample shown step by step, and add its work."""
        self._now = self._after(self._now.closed(), state, work)

    def _after(self, now: Now, state: LearningState, work: Operations) -> Now:
        """Return the state after a sample that the reference has shown."""
        after = now._replace(work=now.work + work)
        if state.samples_seen == now.samples_seen:  # nothing was learned
            return after
        totals = self._wide.totals()
        overwrite(totals, now.totals)
        totals.samples[2] = state.samples_seen
        return after._replace(totals=totals).with_learning(self._wide, self._wide.learning(state))


def _bounds_of(now: Now) -> Wanted:
    return wanted(blocks.measure_bounds, now.layout.network, now.learning)
