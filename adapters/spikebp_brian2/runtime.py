"""Running blocks in this process, with Brian2's targets `numpy` and `cython`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from brian2 import Clock, Network, NetworkOperation, ms
from brian2.devices.device import runtime_device
from numpy.typing import NDArray

from spikebp_brian2.group import SpikingMLPGroup
from spikebp_brian2.program import BlockResult, Program, real_targets, structure_of
from spikebp_brian2.variables import Place, Read, constants, learned, read_operations, read_state
from spikebp_brian2.world import borrowed
from spikebp_plugins.backends import Outcome, recording_from
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

#: Steps in one run, by target: they take a few seconds, much longer than preparing a run (0.2 s).
STEPS_PER_RUN: Final = {"numpy": 5_000, "cython": 20_000}

#: How many programs are kept for later networks of the same structure.
IDLE_PROGRAMS: Final = 4


class RuntimeProgram(Program):
    """The Brian2 objects in a network of their own, with Python functions that present samples.

    Parameters
    ----------
    net : Definition
        A definition of the structure.
    target : {"numpy", "cython"}
        Brian2's code generation target.
    """

    def __init__(self, net: Definition, target: str) -> None:
        self._net, self._target = net, target
        # Made at the first run, since Brian2 warns of objects that were never part of a run.
        self._network: Network | None = None

    def _prepared(self) -> Network:
        with self._borrowed():
            clock = Clock(dt=1 * ms, name="spikebp_clock")
            self._group = SpikingMLPGroup(
                self._net, target=np.zeros(self._net.n_outputs), clock=clock, name="spikebp"
            )
            self._presentation = Presentation(self._net, self._array)
            deal = NetworkOperation(
                self._presentation.deal_out, clock=clock, when="start", name="spikebp_deal"
            )
            note = NetworkOperation(
                self._presentation.take_note, clock=clock, when="end", name="spikebp_note"
            )
            return Network(self._group, deal, note, name="spikebp_network")

    def show(
        self, state: LearningState, batch: Batch, record: bool, report: Callable[[int], None]
    ) -> BlockResult:
        """Show samples, and learn from those with targets."""
        # If a run is interrupted in the middle of a step, its network is not used again.
        network, self._network = self._network or self._prepared(), None
        # Refused to a user, whose definition may have another structure.
        fixed = constants(batch.net, batch.n_steps)
        self._group.__dict__ |= {"net": batch.net, "constants": fixed}
        for array in self._group.changing_arrays():
            array[...] = 0
        start = {
            ("schedule", "learning"): batch.y is not None,
            ("schedule", "sample_over"): True,
        }
        for place, values in (fixed | learned(batch.net, state) | start).items():
            self._array(place)[:] = values
        self._presentation.begin(batch, record)
        # A value that leaves the range may overflow a double; the proof after the run finds that.
        with self._borrowed(), np.errstate(over="ignore", invalid="ignore"):
            try:
                network.run(self._presentation.duration * ms, namespace={})
            except OverflowError:
                self._network = network
                raise
        self._network = network
        return BlockResult(
            read_state(batch.net, self._array),
            self._presentation.outcome(),
            read_operations(batch.net, self._array, state.samples_seen),
        )

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to show in one run."""
        return max(1, STEPS_PER_RUN[self._target] // delays_of(self._net).duration(n_steps))

    def _array(self, place: Place) -> NDArray[Any]:
        part, name = place
        array: NDArray[Any] = self._group.parts[part].variables[name].get_value()
        return array

    def _borrowed(self) -> Any:
        # Ctrl-C raises, instead of ending the run as if all samples had been shown.
        preferences = {"codegen.target": self._target, "core.stop_on_keyboard_interrupt": False}
        return borrowed(runtime_device, preferences)


class Presentation:
    """Presents the samples of a block step by step, and records the results.

    Parameters
    ----------
    net : Definition
        The definition.
    array : callable
        Takes part and name of a variable, and returns its array.
    """

    def __init__(self, net: Definition, array: Read) -> None:
        self._delays = delays_of(net)
        layers = [f"layer_{l}" for l in range(net.n_layers + 1)]
        self._input = array((layers[0], "input_value"))
        self._target = array((layers[-1], "target_value"))
        self._drive = array((layers[-1], "summed_drive"))
        self._spikes = [array((layer, "spike_count")) for layer in layers]
        self._errors = [array((layer, "error")) for layer in layers[1:]]

    def begin(self, batch: Batch, record: bool) -> None:
        """Get ready for a block."""
        self._batch = batch
        self._targets = real_targets(batch)
        self._step = 0
        self._steps_per_sample = self._delays.duration(batch.n_steps)
        self.duration = len(batch) * self._steps_per_sample
        steps = (len(batch), self._steps_per_sample)
        self._drives = np.empty((*steps, len(self._drive)))
        recorded = [*self._spikes, *self._errors] if record else []
        self._records = [(array, np.empty((*steps, len(array)), np.int64)) for array in recorded]

    def deal_out(self) -> None:
        """Set the input and the target of the coming step."""
        sample, step = divmod(self._step, self._steps_per_sample)
        x, answered = self._batch.x[sample], step - self._delays.spikes[-1]
        if step == 0 or (x.ndim == 2 and step < self._batch.n_steps):
            self._input[:] = x if x.ndim == 1 else x[step]
        if self._batch.y is not None and 0 <= answered < self._batch.n_steps:
            y = self._targets[sample]
            self._target[:] = y[answered % len(y)]

    def take_note(self) -> None:
        """Record the results of the step."""
        sample, step = divmod(self._step, self._steps_per_sample)
        for array, record in self._records:
            record[sample, step] = array
        self._drives[sample, step] = self._drive
        self._step += 1

    def outcome(self) -> Outcome:
        """Return scores, and spikes and errors if they were asked for."""
        scores = self._drives[:, -1] / self._batch.n_steps
        if not self._records:
            return Outcome(scores, None)
        records = [record for _, record in self._records]
        spikes, errors = records[: len(self._spikes)], records[len(self._spikes) :]
        return Outcome(scores, recording_from(self._batch, spikes, errors, self._drives))


_idle: dict[Any, list[RuntimeProgram]] = {}


def take_program(net: Definition, target: str) -> RuntimeProgram:
    """Return a program for a definition: one that was given back, or a new one.

    Brian2 takes seconds to prepare code, even code that it has compiled before.
    """
    waiting = _idle.get((target, structure_of(net)))
    return waiting.pop() if waiting else RuntimeProgram(net, target)


def give_back(program: RuntimeProgram, net: Definition, target: str) -> None:
    """Keep a program for the next network of its structure."""
    _idle.setdefault((target, structure_of(net)), []).append(program)
    while sum(map(len, _idle.values())) > IDLE_PROGRAMS:
        oldest = next(iter(_idle))
        _idle[oldest].pop(0)
        if not _idle[oldest]:
            del _idle[oldest]
