"""The step rules by the engine in C."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.base import (
    NO_END,
    WHOLE_SAMPLES,
    Backend,
    IntegerOption,
    UnsupportedError,
)
from spikebp_plugins.backends.outcome import EarlySamples, Outcome, joined
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.common.cores import available_cores
from spikebp_plugins.engine.library import build_of, why_missing
from spikebp_plugins.engine.network import counted_operations, work_of_step
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

#: After a sample that 32 bits do not hold, so many are shown in 64 bits. Of 10,000 samples they are
#: one in a hundred, and take two or three times as long.
FIRST_WAIT: Final = 100

#: 32 bits that hold so many times the samples that went to 64 bits before have not failed soon.
GOOD_RUN: Final = 10

#: Samples of more steps are shown step by step, so that Ctrl-C takes effect within one.
MOST_STEPS: Final = 4096

#: Why single steps with arithmetic="loihi2" are refused.
CHIP_STEPS: Final = "with arithmetic='loihi2' single steps run on backend='reference'"


class EngineState(NamedTuple):
    """The state of the engine, replaced in one assignment, so that an interrupt finds either state.

    Attributes
    ----------
    network : StepNetwork
        The network, which holds what was learned, in integers of 32 or of 64 bits.
    operations : Operations
        Operations that it does not count.
    work : Work
        Work that it does not count.
    wait : int
        The number of samples for which 64 bits were taken last.
    until : int
        The number of samples shown after which 32 bits are tried again.
    """

    network: StepNetwork
    operations: Operations = Operations()
    work: Work = Work()
    wait: int = 0
    until: int = 0

    @property
    def n_shown(self) -> int:
        """Samples shown so far."""
        return self.operations.samples + self.network.n_shown

    @property
    def n_left(self) -> int:
        """The number of samples to show in 64 bits before 32 bits are tried."""
        return max(0, self.until - self.n_shown)

    def with_network(self, network: StepNetwork) -> EngineState:
        """Return the state with another network, which has counted nothing."""
        before = self.network
        return self._replace(
            network=network,
            operations=self.operations + counted_operations(before.net, before.counts()),
            work=self.work + before.work,
        )

    def waiting(self) -> EngineState:
        """Return the state in which samples go to 64 bits, since 32 bits do not hold the next.

        The first time these are few, so that one sample costs little also where 64 bits are slow.
        If 32 bits fail again soon, they are twice as many: then the moves cost little too, and
        after many such samples 64 bits stay for no longer than these have come.
        """
        is_soon = self.n_shown < self.until + GOOD_RUN * self.wait
        wait = 2 * self.wait if is_soon else FIRST_WAIT
        return self._replace(wait=wait, until=self.n_shown + wait)


class EngineBackend(Backend):
    """The back end `compiled`, the default: the rules in C, with work that grows with the spikes.

    Samples are shown in 32-bit integers where bounds prove that nothing can wrap, in 64-bit
    integers otherwise, and by the reference where these do not prove it either: it raises the error
    if a value is out of range.

    The option `n_jobs` is the number of threads that predict, by default one for each core;
    results are the same for any number.
    """

    choices: ClassVar = {name: CHOICES[name] for name in ("timing", "arithmetic")}
    connections: ClassVar = tuple(KINDS)
    options: ClassVar = {"n_jobs": IntegerOption(range(1, NO_END))}

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
        self._engine = EngineState(self._made(32 if holds(build_of(32), net) else 64))
        if not self.network.write(state):
            self._engine = EngineState(self._made(64)).waiting()
            is_held = self.network.write(state)
            assert is_held, "64 bits hold all weights that are in range"
        self.open_steps: EngineSteps | None = None
        # True while threads predict, and after an interrupt, which may have left some behind.
        self._may_have_strays = False

    def _made(self, bits: int, like: StepNetwork | None = None) -> StepNetwork:
        """Return a network of so many bits that is still empty, with the layouts of another."""
        connections = None if like is None else like.connections
        return StepNetwork(self.net, build_of(bits), connections=connections)

    def take_rate(self, net: Definition) -> bool:
        """Go on with a definition of another learning rate, from the next sample on."""
        self.net = net  # which `prepare` hands on: so an interrupt finds either rate
        return True

    @property
    def network(self) -> StepNetwork:
        """The network of now, in which the open sample is."""
        return self._engine.network

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        return self.network.read()

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self.network.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        network, operations, *_ = self._engine
        return operations + counted_operations(self.net, network.counts())

    @property
    def work(self) -> Work:
        """The work for these samples, without those that the reference has shown."""
        return self._engine.work + self.network.work

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return max(1, BLOCK_WORK // (n_steps * work_of_step(self.net)))

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing, in several threads."""
        if self._is_open:
            return self._on_a_copy(lambda other: other.predict(batch, record))
        is_for_one = self._n_jobs == 1 or len(batch.x) < 2 * SAMPLES_PER_THREAD
        if is_for_one or batch.n_steps > MOST_STEPS:
            return self._show(batch, record)
        return self._show_in_threads(batch, record)

    def show_until(self, batch: Batch, margin: float) -> EarlySamples:
        """Show each sample until the output leads by `margin`; learn from it if it has a label."""
        if not delays_of(self.net).are_zero:
            raise UnsupportedError(WHOLE_SAMPLES)
        if self._is_open:
            return self._on_a_copy(lambda other: other.show_until(batch, margin))
        if batch.n_steps > MOST_STEPS:
            return self._until_by(self.steps(), batch, margin)
        shown = self._in_parts(batch, StepNetwork.show_until, ReferenceBackend.show_until, margin)
        return EarlySamples(*map(np.concatenate, zip(*shown, strict=True)))

    def _steps(self) -> EngineSteps:
        if self.net.arithmetic == "loihi2":
            raise UnsupportedError(CHIP_STEPS)
        return EngineSteps(self.net, self)

    def prepare(self) -> StepNetwork:
        """Return the network for the next samples."""
        network = self._engine.network
        if network.net is self.net and network.is_int32 and not self._may_have_strays:
            return network
        return self._adapted()

    def _adapted(self) -> StepNetwork:
        """Go on in a network of 32 bits if they may hold the next samples, and else of 64 bits."""
        engine, network = self._engine, self.network
        is_int32 = not engine.n_left and holds(build_of(32), self.net)
        if is_int32 != network.is_int32 or self._may_have_strays:
            # Threads that an interrupt has left behind keep the memory that they have.
            network.drop_sample()  # an interrupt may have left one
            made = self._made(32 if is_int32 else 64, network)
            if not made.take(network):
                self._engine = engine.waiting()
                return self._adapted()
            engine, network = engine.with_network(made), made
        if network.net is not self.net:
            network.take_rate(self.net)
        self._engine, self._may_have_strays = engine, False
        return network

    def widen(self) -> None:
        """Move the open sample to 64 bits, and all that was learned."""
        int64 = self._made(64, self.network)
        int64.go_on_from(self.network)
        self._engine = self._engine.waiting().with_network(int64)

    def add(self, operations: Operations, work: Work | None = None) -> None:
        """Add operations and work that no network has counted."""
        engine = self._engine
        self._engine = engine._replace(
            operations=engine.operations + operations, work=engine.work + (work or Work())
        )

    @property
    def _is_open(self) -> bool:
        steps = self.open_steps
        return steps is not None and steps.is_open

    def _on_a_copy(self, show: Callable[[EngineBackend], Result]) -> Result:
        """Show samples on a copy of the state, since the state is in use while a sample is open."""
        copied = self._made(32 if self.network.is_int32 else 64, self.network)
        is_held = copied.take(self.network)
        assert is_held, "it has as many bits"
        other = copy.copy(self)
        other._engine, other.open_steps = EngineState(copied), None
        try:
            return show(other)
        finally:
            self.add(other.operations, other.work)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        if batch.n_steps > MOST_STEPS:
            return self._show_long(batch, record)
        return joined(self._in_parts(batch, StepNetwork.show, ReferenceBackend.show, record))

    def _in_parts(
        self,
        batch: Batch,
        show: Callable[[StepNetwork, Batch, Any], Result],
        by_reference: Callable[[ReferenceBackend, Batch, Any], Result],
        how: Any,
    ) -> list[Result]:
        """Show samples by one function, and those that 64 bits do not prove in range by another.

        The first stops before a sample that is not proven. Both are told how to show.
        """
        parts: list[Result] = []
        done, n = 0, len(batch.x)
        while done < n:
            network, rest = self.prepare(), batch[done:] if done else batch
            if not network.is_int32 and (n_left := self._engine.n_left):
                rest = rest[:n_left]
            shown = show(network, rest, how)
            if not len(shown.scores):
                if network.is_int32:
                    self._engine = self._engine.waiting()
                    self._adapted()
                    continue
                shown = self._by_reference(by_reference, rest[:1], how)
            parts.append(shown)
            done += len(shown.scores)
            if done < n:
                self.report(done)
        return parts

    def _show_long(self, batch: Batch, record: bool) -> Outcome:
        """Show samples of many steps: step by step, or by the reference if that is unsupported."""
        if record or not delays_of(self.net).are_zero or self.net.arithmetic == "loihi2":
            parts = (batch[i : i + 1] for i in range(len(batch)))
            show = ReferenceBackend.show
            return joined([self._by_reference(show, part, record) for part in parts])
        steps, scores = self.steps(), np.empty((len(batch), self.net.n_outputs))
        targets = [[None]] * len(batch) if batch.y is None else batch.targets()
        try:
            for i, of_steps in enumerate(targets):
                rows = batch.steps(i)
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

    def _by_reference(
        self, show: Callable[[ReferenceBackend, Batch, Any], Result], sample: Batch, how: Any
    ) -> Result:
        """Show by the reference a sample that 64 bits do not prove in range.

        Raises
        ------
        OverflowError
            If a value leaves its range.
        """
        engine, before = self._engine, self.samples_seen
        reference = ReferenceBackend(self.net, self.state)
        shown = show(reference, sample, how)
        if reference.samples_seen > before:
            network = self._made(64, engine.network)
            network.write(reference.state)
            engine = engine.with_network(network)
        self._engine = engine._replace(operations=engine.operations + reference.operations)
        return shown

    def _show_in_threads(self, batch: Batch, record: bool) -> Outcome:
        """Predict samples, a part of them in each thread."""
        network, n_left = self.prepare(), self._engine.n_left
        if 0 < n_left < len(batch):
            halves = batch[:n_left], batch[n_left:]
            return joined([self.predict(half, record) for half in halves])
        network.drop_sample()  # an interrupt may have left one
        n_threads = min(self._n_jobs, len(batch) // SAMPLES_PER_THREAD)
        bounds = [len(batch) * part // n_threads for part in range(n_threads + 1)]
        batches = [batch[start:stop] for start, stop in pairwise(bounds)]

        def show(part: Batch) -> tuple[Outcome, Operations, Work]:
            other = network.beside()
            shown = other.show(part, record)
            return shown, counted_operations(self.net, other.counts()), other.work

        self._may_have_strays = True
        with ThreadPoolExecutor(n_threads) as pool:
            parts = list(pool.map(show, batches))
        # Only here have all threads ended: an interrupt can come while the pool waits for threads,
        # and while it starts one, of which it then does not know.
        self._may_have_strays = False
        outcomes = []
        for part, (shown, operations, work) in zip(batches, parts, strict=True):
            done = len(shown.scores)
            self.add(operations, work)
            if done:
                outcomes.append(shown)
            if done < len(part):
                outcomes.append(self._show(part[done:], record))
        return joined(outcomes)
