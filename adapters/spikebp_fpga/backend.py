"""The back end `fpga`: the core, simulated clock by clock."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.layout import BITS_OPTION, LANE_OPTION, Layout, why_not_in_hardware
from spikebp_fpga.memory import why_too_large
from spikebp_fpga.tokens import tokens_of
from spikebp_fpga.verilated import Shown, VerilatedCore, why_no_verilator
from spikebp_plugins.backends.base import Backend
from spikebp_plugins.backends.outcome import Outcome, Recording, joined, recording_of
from spikebp_plugins.backends.reference import shown_by_rules, work_by_rules
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import WorkCounter
from spikebp_plugins.rules.step import Step, open_sample

Integers = NDArray[np.int64]


class FPGABackendState(NamedTuple):
    """The state of an `FPGABackend`, replaced in one assignment.

    Attributes
    ----------
    state : LearningState or None
        The learning state; None if the core has it.
    samples_seen : int
        Training samples so far.
    operations, work : Operations, Work
        Those of the samples so far.
    pending : tuple or None
        A sample, the spikes of its input, and room for what the core says of it: once it was shown,
        it is to be counted.
    """

    state: LearningState | None
    samples_seen: int
    operations: Operations
    work: Work
    pending: tuple[Batch, Integers, Shown] | None = None


class FPGABackend(Backend):
    """The core in Verilator: each clock of it, and so much slower than a chip.

    The option `lanes` says how many weights it reads in a clock, and `weight_bits` how many bits a
    weight has. A sample with a number that does not fit the core refuses, and the reference
    computes it. `Work.clocks` are the clocks of all samples that the core has shown.
    """

    options: ClassVar = {"lanes": LANE_OPTION, "weight_bits": BITS_OPTION}
    main_option: ClassVar = "lanes"

    @classmethod
    def unsupported(cls, net: Definition, **options: Any) -> str | None:
        """Return why the core cannot run a definition, or None if it can."""
        return why_not_in_hardware(net, options.get("weight_bits")) or why_no_verilator()

    @classmethod
    def lack(cls) -> str | None:
        """Return in a sentence what keeps this back end from running here; None if nothing."""
        return why_no_verilator()

    def __init__(
        self, net: Definition, state: LearningState, lanes: int | None, weight_bits: int | None
    ) -> None:
        super().__init__(net, state)
        self.layout = Layout.of(net, lanes, weight_bits, simulated=True)
        self._core = VerilatedCore(self.layout)
        self._before = state
        self._so_far = FPGABackendState(state, state.samples_seen, Operations(), Work())

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        self._count_pending()
        state, samples_seen, *_ = self._so_far
        return self._core.write_state(self._before, samples_seen) if state is None else state

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        self._count_pending()
        return self._so_far.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        self._count_pending()
        return self._so_far.operations

    @property
    def work(self) -> Work:
        """The work for these samples, and the clocks that it took."""
        self._count_pending()
        return self._so_far.work

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return 10

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        samples = (batch[i : i + 1] for i in range(len(batch)))
        return joined([self._show_one(sample, record) for sample in samples])

    def _show_one(self, sample: Batch, record: bool) -> Outcome:
        """Show a sample to the core, or else by the rules."""
        self._count_pending()
        recording = None
        if self._core_has_the_state() and (given := tokens_of(self.layout, sample)) is not None:
            spikes, tokens = given
            shown = self._core.room(sample.n_steps)
            # After an interrupt the core may have learned from it: then it is counted later.
            self._so_far = self._so_far._replace(pending=(sample, spikes, shown))
            self._core.show(tokens, shown)
            recording = self._count_pending()
        if recording is None:
            return self._show_by_rules(sample, record)
        return Outcome(recording.step_scores[:, -1], recording if record else None)

    def _count_pending(self) -> Recording | None:
        """Count the sample that was shown last, and return its recording if all numbers fitted."""
        before = self._so_far
        if before.pending is None:
            return None
        sample, spikes, shown = before.pending
        recording, counted = None, before._replace(pending=None)
        if shown.has_fitted:
            recording = _recording(sample, spikes, shown)
            operations, work = _counted(sample, recording)
            counted = FPGABackendState(
                before.state,
                before.samples_seen + (sample.y is not None),
                before.operations + operations,
                before.work + work + Work(clocks=int(shown.clocks[0])),
            )
        self._so_far = counted
        return recording

    def _core_has_the_state(self) -> bool:
        """Return whether the core has the state, after giving it to the core if it fits."""
        state = self._so_far.state
        if state is None:
            return True
        if why_too_large(self.layout, state):
            return False
        self._core.read_state(state)
        self._so_far = self._so_far._replace(state=None)
        return True

    def _show_by_rules(self, sample: Batch, record: bool) -> Outcome:
        """Show a sample by the reference."""
        state, shown = shown_by_rules(self.net, self.state, sample)
        before = self._so_far
        self._so_far = FPGABackendState(
            state,
            state.samples_seen,
            before.operations + shown.operations,
            before.work + work_by_rules(shown.steps, shown.operations),
        )
        recording = recording_of(self.net, [shown]) if record else None
        return Outcome(shown.step_scores[-1:], recording)


def _recording(sample: Batch, inputs: Integers, shown: Shown) -> Recording:
    """Return the recording of one sample from what units have sent."""
    net, n_steps = sample.net, sample.n_steps
    spikes: list[Integers] = [np.zeros((1, n_steps, n), np.int64) for n in net.layer_sizes]
    errors: list[Integers] = [np.zeros((1, n_steps, n), np.int64) for n in net.layer_sizes]
    spikes[0][0] = inputs
    events = shown.events[: shown.outcome[0]]
    for l in range(1, net.n_layers + 1):
        step, _, unit, n_spikes, error = events[events[:, 1] == l].T
        np.add.at(spikes[l][0], (step, unit), n_spikes)
        np.add.at(errors[l][0], (step, unit), error)
    unit_of_drive = math.ldexp(1.0, -net.fraction_bits)
    step_scores = shown.drives * unit_of_drive / np.arange(1, n_steps + 1)[:, np.newaxis]
    return Recording(
        spikes=spikes,
        errors=None if sample.y is None else [None, *errors[1:]],
        step_scores=step_scores[np.newaxis],
    )


def _counted(sample: Batch, recording: Recording) -> tuple[Operations, Work]:
    """Return operations and work of one sample from its recording."""
    net, errors = sample.net, recording.errors
    counter, state = WorkCounter(net), open_sample(net)
    steps = []
    for t in range(sample.n_steps):
        k = tuple(layer[0, t] for layer in recording.spikes)
        c = tuple(before + sent for before, sent in zip(state.c, k[:-1], strict=True))
        state, e = state._replace(c=c, t=t + 1, shown=t + 1), None
        if errors is not None:
            e = (None, *(layer[0, t] for layer in errors[1:]))
            E = (a + b for a, b in zip(state.E[1:], e[1:], strict=True))
            state = state._replace(E=(None, *E))
        steps.append(Step(k, e))
        counter.add(state, steps[-1])
    operations = counter.total(state, errors is not None)
    return operations, work_by_rules(steps, operations)
