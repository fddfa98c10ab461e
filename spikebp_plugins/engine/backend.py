"""The step rules by the engine in C."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import Backend, IntegerOption, UnsupportedError
from spikebp_plugins.backends.outcome import EarlySamples, Outcome, Recording, in_64_bits, joined
from spikebp_plugins.backends.reference import WHOLE_SAMPLES, ReferenceBackend
from spikebp_plugins.common.cores import available_cores
from spikebp_plugins.engine.library import build_of, why_missing
from spikebp_plugins.engine.network import BlockResult, counted_operations, work_of_step
from spikebp_plugins.engine.one_sample import OneSample, kind_of
from spikebp_plugins.engine.step_network import StepNetwork, holds
from spikebp_plugins.engine.steps import EngineSteps
from spikebp_plugins.engine.wiring import KINDS
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import CHOICES, Definition
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

Result = TypeVar("Result", Outcome, EarlySamples)

#: Synapses times steps of a block, which take some hundredths of a second.
BLOCK_WORK: Final = 2_000_000_000

#: The fewest samples for each thread: with fewer, starting the thread would not pay.
SAMPLES_PER_THREAD: Final = 32

#: The most kinds of single samples for which calls of the engine are kept.
KINDS_KEPT: Final = 16

#: Samples of more steps are shown step by step: memory grows with the steps of a sample.
MOST_STEPS: Final = 4096

#: Why single steps with arithmetic="loihi2" are refused.
CHIP_STEPS: Final = "with arithmetic='loihi2' single steps run on backend='reference'"

#: There is always memory to note so many updates of a sample of single steps, to undo them.
FEWEST_STEPS: Final = 64


class EngineState(NamedTuple):
    """The state of the engine, replaced in one assignment, so that an interrupt finds either state.

    Attributes
    ----------
    int32 : StepNetwork or None
        The network of 32-bit integers; None if these do not hold the definition's fractions.
    int64 : StepNetwork
        The network of 64-bit integers.
    current : StepNetwork
        The network that holds what was learned last.
    operations : Operations
        Operations that the networks do not count.
    work : Work
        Work that the networks do not count.
    seen : int
        Training samples that the networks do not count.
    """

    int32: StepNetwork | None
    int64: StepNetwork
    current: StepNetwork
    operations: Operations
    work: Work
    seen: int

    @property
    def networks(self) -> list[StepNetwork]:
        """All networks."""
        return [self.int64] if self.int32 is None else [self.int32, self.int64]

    def with_network(self, network: StepNetwork) -> EngineState:
        """Return the state with `network` instead of the network whose weights it shares."""
        before = self.int32 if network.is_int32 else self.int64
        assert before is not None
        counts = before.counts()
        after = self._replace(
            operations=self.operations + counted_operations(network.net, counts),
            work=self.work + before.work,
            seen=self.seen + counts[1],
        )
        if before is self.current:
            after = after._replace(current=network)
        return after._replace(int32=network) if network.is_int32 else after._replace(int64=network)


class EngineBackend(Backend):
    """The back end `compiled`, the default: the rules in C, with work that grows with the spikes.

    Samples are shown in 32-bit integers where bounds prove that nothing can wrap, in 64-bit
    integers otherwise, and by the reference where these do not prove it either: it raises the error
    if a value is out of range.

    The option `n_jobs` is the number of threads that predict, by default one for each core;
    results are the same for any number.
    """

    takes_sparse: ClassVar = True
    choices: ClassVar = {name: CHOICES[name] for name in ("timing", "arithmetic")}
    connections: ClassVar = tuple(KINDS)
    options: ClassVar = {"n_jobs": IntegerOption(lowest=1)}

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:  # noqa: ARG003
        """Return that the engine is missing, or that a chip has no such connections."""
        if (lack := cls.lack()) is not None:
            return lack
        if net.arithmetic == "loihi2" and not net.is_dense:
            return f"with arithmetic={net.arithmetic!r} it knows dense connections alone"
        return None

    @classmethod
    def lack(cls) -> str | None:
        """Return why the engine in C is missing, and how to build it; None if it is there."""
        reason = why_missing()
        return reason and f"the engine in C is missing: {reason}"

    def __init__(self, net: Definition, state: LearningState, n_jobs: int | None) -> None:
        super().__init__(net, state)
        self._n_jobs = n_jobs or available_cores()
        self._engine = self._started(state, Operations(), Work())
        self.open_steps: EngineSteps | None = None
        # Calls of the engine for single samples, by the kind of sample.
        self._singles: dict[Any, OneSample] = {}
        # After a sample that 32 bits cannot hold, so many go to 64 bits; then twice as many.
        self._patience, self._int64_samples = 1, 0
        # True while threads predict, and after an interrupt, which may have left some behind.
        self._may_have_strays = False

    def _started(self, state: LearningState, operations: Operations, work: Work) -> EngineState:
        """Return networks of 32 bits, if these hold the fractions, and of 64 bits."""
        net, build = self.net, build_of(32)
        most_steps = min(max(net.n_steps, FEWEST_STEPS), MOST_STEPS)
        int64, int32 = StepNetwork(net, build_of(64), most_steps), None
        if holds(build, net):
            int32 = StepNetwork(net, build, most_steps, connections=int64.connections)
        # The memory of the other is not touched, and takes none.
        current = int32 if int32 is not None and int32.write(state) else int64
        is_held = current is int32 or int64.write(state)
        assert is_held, "64 bits hold all weights that are in range"
        return EngineState(int32, int64, current, operations, work, state.samples_seen)

    def take_rate(self, net: Definition) -> bool:
        """Go on with a definition of another learning rate, from the next sample on."""
        self.net = net  # which `_choose` hands on: so an interrupt finds either rate
        return True

    def _at_rate(self, engine: EngineState) -> EngineState:
        """Return a state that learns at the rate of the definition."""
        if holds(build_of(32), self.net) != (engine.int32 is not None):
            state = engine.current.read(self.samples_seen)
            return self._started(state, self.operations, self.work)
        for network in engine.networks:
            network.take_rate(self.net)
        return engine

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        return self._engine.current.read(self.samples_seen)

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self._engine.seen + sum(network.trained for network in self._engine.networks)

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        networks = self._engine.networks
        counted = [counted_operations(self.net, network.counts()) for network in networks]
        return sum(counted, self._engine.operations)

    @property
    def work(self) -> Work:
        """The work for these samples, without those that the reference has shown."""
        return sum((network.work for network in self._engine.networks), self._engine.work)

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return max(1, BLOCK_WORK // (n_steps * work_of_step(self.net)))

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        if batch.n_steps > MOST_STEPS:
            return self._show_long(batch, record)
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing, in several threads."""
        if self._is_open:
            return self._on_a_copy(lambda other: other.predict(batch, record))
        if batch.n_steps > MOST_STEPS:
            return self._show_long(batch, record)
        n_threads = min(self._n_jobs, len(batch) // SAMPLES_PER_THREAD)
        if n_threads > 1:
            return self._show_in_threads(batch, record, n_threads)
        return self._show(batch, record)

    def show_until(self, batch: Batch, margin: float) -> EarlySamples:
        """Show each sample until the output leads by `margin`; learn from it if it has a label."""
        if not delays_of(self.net).are_zero:
            raise UnsupportedError(WHOLE_SAMPLES)
        if self._is_open:
            return self._on_a_copy(lambda other: other.show_until(batch, margin))
        if batch.n_steps > MOST_STEPS:
            return self._until_by(self.steps(), batch, margin)
        parts, done = [], 0
        while done < len(batch):
            shown = self._show_some(batch[done:], False, margin)
            if len(shown.scores):
                parts.append(early_of(shown))
            else:
                sample = batch[done : done + 1]
                parts.append(self._by_reference(partial(_stopped_by, sample, margin)))
            done += len(parts[-1].scores)
        return EarlySamples(*map(np.concatenate, zip(*parts, strict=True)))

    def show_one(self, x: Any, y: Any, n_steps: int) -> Array | None:
        """Show one sample as it came, if it is constant in time, as its target is."""
        kind = kind_of(x, y, n_steps)
        is_busy = self._may_have_strays or self._is_open or self._int64_samples
        if kind is None or is_busy or n_steps > MOST_STEPS:
            return None
        single = self._singles.get(kind)
        current = self._engine.current
        if single is None or single.network is not current or current.net is not self.net:
            network = self._choose(n_steps)
            single = OneSample.of(network, x, y, n_steps)
            if single is None:
                return None
            # One of an earlier network would keep its memory.
            kept = {k: one for k, one in self._singles.items() if one.network is network}
            self._singles = {**kept, kind: single} if len(kept) < KINDS_KEPT else {kind: single}
        return single.show(x, y)

    def steps(self) -> EngineSteps:
        """Return the object that shows single steps."""
        if not delays_of(self.net).are_zero:
            raise UnsupportedError(WHOLE_SAMPLES)
        if self.net.arithmetic == "loihi2":
            raise UnsupportedError(CHIP_STEPS)
        return EngineSteps(self.net, self)

    def network_for_steps(self) -> StepNetwork:
        """Return the network in which to open a sample."""
        network = self._choose(1)
        self._count_int64_samples(1)
        return network

    def to_int64(self, network: StepNetwork) -> StepNetwork | None:
        """Move the open sample to 64 bits; return that network, or None if this is the one."""
        if not network.is_int32:
            return None
        int64 = self._engine.int64
        int64.go_on_from(network)
        self._engine = self._engine._replace(current=int64)
        self._lose_patience()
        return int64

    def add(self, operations: Operations, work: Work | None = None) -> None:
        """Add operations and work that no network has counted."""
        engine = self._engine
        self._engine = engine._replace(
            operations=engine.operations + operations, work=engine.work + (work or Work())
        )

    @property
    def _is_open(self) -> bool:
        return self.open_steps is not None and self.open_steps.is_open

    def _on_a_copy(self, show: Callable[[EngineBackend], Result]) -> Result:
        """Show samples on a copy of the state, since the state is in use while a sample is open."""
        other = EngineBackend(self.net, self.state, self._n_jobs)
        other.report = self.report
        try:
            return show(other)
        finally:
            self.add(other.operations, other.work)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        outcomes, done = [], 0
        while done < len(batch):
            shown = self._show_some(batch[done:], record)
            if len(shown.scores):
                outcomes.append(self._outcome(batch, shown))
            else:
                sample = batch[done : done + 1]
                outcomes.append(self._by_reference(partial(_shown_by, sample, record)))
            done += len(outcomes[-1].scores)
            self.report(done)
        return joined(outcomes)

    def _show_some(self, batch: Batch, record: bool, margin: float | None = None) -> BlockResult:
        """Show samples up to the first that is not proven in range, of which there may be none."""
        network = self._choose(batch.n_steps)
        if self._int64_samples:
            batch = batch[: self._int64_samples]
        shown = network.show(batch, self.samples_seen, record, margin)
        if not len(shown.scores) and network.is_int32:
            self._lose_patience()
            network = self._choose(batch.n_steps)
            shown = network.show(batch[:1], self.samples_seen, record, margin)
        if not network.is_int32:
            self._count_int64_samples(len(shown.scores))
        return shown

    def _count_int64_samples(self, n_samples: int) -> None:
        self._int64_samples = max(0, self._int64_samples - n_samples)

    def _lose_patience(self) -> None:
        self._int64_samples, self._patience = self._patience, 2 * self._patience

    def _choose(self, n_steps: int) -> StepNetwork:
        """Return the network that shows the next samples, with the present state in it."""
        if self._may_have_strays:
            self._leave_to_strays()
        engine = self._engine
        if engine.int64.net is not self.net:  # the last that `_at_rate` changes
            engine = self._engine = self._at_rate(engine)
        network = engine.int64 if engine.int32 is None or self._int64_samples else engine.int32
        if network.most_steps < n_steps:
            network.drop_sample()  # an interrupt may have left one
            network = network.for_steps(n_steps)
            engine = self._engine = engine.with_network(network)
        if network is not engine.current:
            engine.current.drop_sample()  # an interrupt may have left one
            if not network.take(engine.current):
                self._lose_patience()
                return self._choose(n_steps)
            self._engine = engine._replace(current=network)
        return network

    def _show_long(self, batch: Batch, record: bool) -> Outcome:
        """Show samples of many steps: step by step, or by the reference if that is unsupported."""
        if record or not delays_of(self.net).are_zero or self.net.arithmetic == "loihi2":
            parts = [batch[i : i + 1] for i in range(len(batch))]
            return joined([self._by_reference(partial(_shown_by, part, record)) for part in parts])
        steps, scores = self.steps(), np.empty((len(batch), self.net.n_outputs))
        targets = [[None]] * len(batch) if batch.y is None else batch.targets()
        try:
            for i, (rows, of_steps) in enumerate(zip(batch.rows(), targets, strict=True)):
                if len(rows) == len(of_steps) == 1:
                    steps.show(rows[0], of_steps[0], batch.n_steps)
                else:
                    for t in range(batch.n_steps):
                        steps.show(rows[t % len(rows)], of_steps[t % len(of_steps)])
                scores[i] = steps.scores
                steps.close()
        finally:
            steps.drop()
        return Outcome(scores, None)

    def _by_reference(self, show: Callable[[ReferenceBackend], Result]) -> Result:
        """Show by the reference a sample that 64 bits do not prove in range.

        Raises
        ------
        OverflowError
            If a value leaves its range.
        """
        engine, before = self._engine, self.samples_seen
        reference = ReferenceBackend(self.net, self.state)
        shown = show(reference)
        if reference.samples_seen > before:
            network = engine.int64.copied()
            network.write(reference.state)
            seen = reference.samples_seen - before
            engine = engine.with_network(network)
            engine = engine._replace(current=network, seen=engine.seen + seen)
        self._engine = engine._replace(operations=engine.operations + reference.operations)
        return shown

    def _outcome(self, batch: Batch, shown: BlockResult) -> Outcome:
        if shown.spikes is None or shown.errors is None or shown.step_scores is None:
            return Outcome(shown.scores, None)
        units = np.cumsum([0, *self.net.layer_sizes])
        spikes, errors = (
            [rows[..., a:b].astype(np.int64) for a, b in pairwise(units)]
            for rows in (shown.spikes, shown.errors)
        )
        of_layers = None if batch.y is None else [None, *errors[1:]]
        return Outcome(shown.scores, Recording(spikes, of_layers, shown.step_scores))

    def _show_in_threads(self, batch: Batch, record: bool, n_threads: int) -> Outcome:
        """Predict samples, a part of them in each thread."""
        network = self._choose(batch.n_steps)
        network.drop_sample()  # an interrupt may have left one
        bounds = [len(batch) * part // n_threads for part in range(n_threads + 1)]
        batches = [batch[start:stop] for start, stop in pairwise(bounds)]

        def show(part: Batch) -> tuple[BlockResult, Operations, Work]:
            other = network.for_steps(network.most_steps)
            shown = other.show(part, 0, record)
            return shown, counted_operations(self.net, other.counts()), other.work

        self._may_have_strays = True
        with ThreadPoolExecutor(n_threads) as pool:
            parts = list(pool.map(show, batches))
        # Only here have all threads ended: an interrupt can come while the pool waits for threads,
        # and while it starts one, of which it then does not know.
        self._may_have_strays = False
        if not network.is_int32:
            self._count_int64_samples(len(batch))
        outcomes = []
        for part, (shown, operations, work) in zip(batches, parts, strict=True):
            done = len(shown.scores)
            self.add(operations, work)
            if done:
                outcomes.append(self._outcome(part, shown))
            if done < len(part):
                outcomes.append(self._show(part[done:], record))
        return joined(outcomes)

    def _leave_to_strays(self) -> None:
        """Leave the present memory to threads that an interrupt has left behind, and use a copy."""
        engine = self._engine
        engine.current.drop_sample()
        self._engine = engine.with_network(engine.current.copied())
        self._may_have_strays = False


def early_of(shown: BlockResult) -> EarlySamples:
    """Return samples that ended early, with the operations of each."""
    assert shown.operations is not None
    assert shown.n_steps is not None
    low, high = shown.operations.astype(object).T
    return EarlySamples(shown.scores, shown.n_steps, in_64_bits(low + (high << 63)))


def _shown_by(sample: Batch, record: bool, reference: ReferenceBackend) -> Outcome:
    show = reference.predict if sample.y is None else reference.train
    return show(sample, record)


def _stopped_by(sample: Batch, margin: float, reference: ReferenceBackend) -> EarlySamples:
    return reference.show_until(sample, margin)
