"""The back end `fpga`: the core, simulated clock by clock."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_fpga.layout import FEWEST_BITS, LANES, MOST_BITS, Layout, why_not_in_hardware
from spikebp_fpga.memory import why_too_large
from spikebp_fpga.tokens import tokens_of
from spikebp_fpga.verilated import Shown, VerilatedCore, why_no_verilator
from spikebp_plugins.backends.base import Backend, IntegerOption
from spikebp_plugins.backends.outcome import Outcome, Recording, joined, recording_of
from spikebp_plugins.backends.reference import shown_by_rules
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.sample import WorkCounter
from spikebp_plugins.rules.step import Step, open_sample

Integers = NDArray[np.int64]

#: Weights a clock, unless it is said.
DEFAULT_LANES: Final = 8


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
    """

    state: LearningState | None
    samples_seen: int
    operations: Operations
    work: Work


class FPGABackend(Backend):
    """The core in Verilator: each clock of it, and so much slower than a chip.

    The option `lanes` says how many weights it reads in a clock, and `weight_bits` how many bits a
    weight has. A sample with a number that does not fit the core refuses, and the reference
    computes it. `Work.clocks` are the clocks of all samples that the core has shown.
    """

    options: ClassVar = {
        "lanes": IntegerOption(LANES),
        "weight_bits": IntegerOption(range(FEWEST_BITS, MOST_BITS + 1)),
    }
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
        self.layout = Layout.of(net, lanes or DEFAULT_LANES, weight_bits, simulated=True)
        self._core = VerilatedCore(self.layout)
        self._before = state
        self._so_far = FPGABackendState(state, state.samples_seen, Operations(), Work())

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        state, samples_seen, *_ = self._so_far
        return self._core.write_state(self._before, samples_seen) if state is None else state

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self._so_far.samples_seen

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        return self._so_far.operations

    @property
    def work(self) -> Work:
        """The work for these samples, and the clocks that it took."""
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
        given = tokens_of(self.layout, sample) if self._core_has_the_state() else None
        # Operations follow from what units send, so that is always noted.
        shown = given and self._core.show(given[1], sample.n_steps, record=True)
        if not given or not shown:
            return self._show_by_rules(sample, record)
        recording = _recording(sample, given[0], shown)
        operations = _operations(sample, recording)
        seen, before = int(sample.y is not None), self._so_far
        self._so_far = FPGABackendState(
            None,
            before.samples_seen + seen,
            before.operations + operations,
            before.work + _work(operations, recording, int(shown.clocks.sum())),
        )
        return Outcome(recording.step_scores[:, -1], recording if record else None)

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
        before, net = self._so_far, self.net
        state, shown = shown_by_rules(net, self.state, sample)
        recording = recording_of(net, [shown])
        work = before.work + _work(shown.operations, recording, 0)
        operations = before.operations + shown.operations
        self._so_far = FPGABackendState(state, state.samples_seen, operations, work)
        return Outcome(shown.step_scores[-1:], recording if record else None)


def _recording(sample: Batch, inputs: Integers, shown: Shown) -> Recording:
    """Return the recording of one sample from what units have sent."""
    net, n_steps = sample.net, sample.n_steps
    spikes: list[Integers] = [np.zeros((1, n_steps, n), np.int64) for n in net.layer_sizes]
    errors: list[Integers] = [np.zeros((1, n_steps, n), np.int64) for n in net.layer_sizes]
    spikes[0][0] = inputs
    assert shown.events is not None
    for l in range(1, net.n_layers + 1):
        step, _, unit, n_spikes, error = shown.events[shown.events[:, 1] == l].T
        np.add.at(spikes[l][0], (step, unit), n_spikes)
        np.add.at(errors[l][0], (step, unit), error)
    unit_of_drive = math.ldexp(1.0, -net.fraction_bits)
    step_scores = shown.drives * unit_of_drive / np.arange(1, n_steps + 1)[:, np.newaxis]
    return Recording(
        spikes=spikes,
        errors=None if sample.y is None else [None, *errors[1:]],
        step_scores=step_scores[np.newaxis],
    )


def _operations(sample: Batch, recording: Recording) -> Operations:
    """Return the operations of one sample from its recording."""
    net, is_taught = sample.net, recording.errors is not None
    work, state = WorkCounter(net), open_sample(net)
    for t in range(sample.n_steps):
        k = tuple(layer[0, t] for layer in recording.spikes)
        e = (None, *(layer[0, t] for layer in recording.errors[1:])) if recording.errors else None
        c = tuple(before + sent for before, sent in zip(state.c, k[:-1], strict=True))
        E = (
            state.E
            if e is None
            else (None, *(a + b for a, b in zip(state.E[1:], e[1:], strict=True)))
        )
        state = state._replace(c=c, E=E, t=t + 1, shown=t + 1)
        work.add(state, Step(k, e))
    return work.total(state, is_taught)


def _work(operations: Operations, recording: Recording, clocks: int) -> Work:
    """Return the work of one sample: a row for each message that meets weights."""
    messages = [*recording.spikes[:-1], *(recording.errors or ())[2:]]
    return Work(sum(map(np.count_nonzero, messages)), operations.multiply_adds, clocks)
