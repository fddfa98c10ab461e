"""The script that the back end runs: it presents blocks of samples to a group, and reads them."""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from weakref import finalize

import numpy as np
from brian2 import BrianObject, Clock, EventMonitor, Network, NetworkOperation, Quantity, ms
from numpy.typing import NDArray

from spikebp_brian2.build import ProgramDevice, fetch_program
from spikebp_brian2.global_state import borrowed, borrowed_runtime
from spikebp_brian2.group import SpikingMLPGroup
from spikebp_plugins import Checkpoint, Operations
from spikebp_plugins.backends import Outcome, Recording
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

#: The name of the state to which a network returns before each block.
START: Final = "start"


class Script(ABC):
    """A network of Brian2 objects that is shown blocks of samples.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        with self._borrowed():
            clock = Clock(dt=1 * ms, name="spikebp_clock")
            self._mlp = SpikingMLPGroup(net, clock=clock, name="spikebp")
            self._mlp._notices.leave_out("silence")  # the simulator gives it
            self._mlp.record()
            self._network = Network(self._mlp, self._recorder(), name="spikebp_network")

    def show(
        self, state: LearningState, batch: Batch, record: bool, learning_rate: float
    ) -> tuple[Outcome, LearningState, Operations]:
        """Show samples, and learn from those with targets; return also the state, and the work.

        Raises
        ------
        OverflowError
            If it cannot be proved that every number stayed in its range.
        """
        self._learning_rate = learning_rate
        with self._borrowed():
            self._run(state, batch, record)
            after = self._mlp.checkpoint().state
            drives = self._summed_drives().reshape(len(batch), -1)
            recording = None
            if record:
                trace = self._mlp.trace()
                recording = Recording(trace.spikes, trace.errors, trace.step_scores)
            outcome = Outcome(drives / batch.n_steps, recording)
            return outcome, after, self._mlp.operations

    def _present(self, batch: Batch, record: bool) -> Quantity:
        """Present samples, and return how long they take."""
        self._mlp.recording = record
        if self._mlp.learning_rate != self._learning_rate:  # also if a state was restored
            self._mlp.learning_rate = self._learning_rate
        n_steps = batch.n_steps if batch.y is None else None
        return self._mlp.present(batch.x, batch.y, n_steps=n_steps)

    @abstractmethod
    def _run(self, state: LearningState, batch: Batch, record: bool) -> None:
        """Show samples to a network that has learned `state`."""

    @abstractmethod
    def _recorder(self) -> BrianObject:
        """Return an object that records the summed drives of the output at each sample's end."""

    @abstractmethod
    def _summed_drives(self) -> NDArray[np.float64]:
        """Return the summed drives of all samples of the block."""

    @abstractmethod
    def _borrowed(self) -> AbstractContextManager[None]:
        """Return a context in which Brian2 has the device and preferences of the script."""


class RuntimeScript(Script):
    """A script whose runs happen in this process.

    Parameters
    ----------
    net : Definition
        The definition.
    target : {"numpy", "cython"}
        Brian2's code generation target.
    """

    def __init__(self, net: Definition, target: str) -> None:
        self._target = target
        super().__init__(net)
        with self._borrowed():
            self._network.store(START)

    def _recorder(self) -> BrianObject:
        self._drives: list[NDArray[np.float64]] = []
        closes_sample = self._mlp.schedule.variables["closes_sample"].get_value()
        summed_drive = self._mlp.output_layer.variables["summed_drive"].get_value()

        def keep_drive() -> None:
            if closes_sample[0]:
                self._drives.append(summed_drive.copy())

        # A monitor would be compiled, in as much time as half of the rules.
        return NetworkOperation(keep_drive, clock=self._mlp.clock, when="end", name="spikebp_ends")

    def _summed_drives(self) -> NDArray[np.float64]:
        return np.array(self._drives)

    def _run(self, state: LearningState, batch: Batch, record: bool) -> None:
        self._drives.clear()
        # A run that was interrupted in the middle of a step leaves no trace, either.
        self._network.restore(START)
        self._mlp.begin(state)
        # A value that leaves the range may overflow a double: the check after the run finds it.
        with np.errstate(over="ignore", invalid="ignore"):
            self._network.run(self._present(batch, record), namespace={})

    def _borrowed(self) -> AbstractContextManager[None]:
        return borrowed_runtime(self._target)


class ProgramScript(Script):
    """A script whose runs are those of a program, with a folder of its own.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self._device = ProgramDevice()
        super().__init__(net)
        self._folder = Path(tempfile.mkdtemp(prefix="spikebp-brian2-"))
        #: Deletes the folder, at the latest when Python ends.
        self.close = finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        with self._borrowed():
            nothing = np.zeros((1, net.n_steps, net.n_inputs)), np.zeros((1, net.n_outputs))
            duration = self._mlp.present(*nothing)
            self._mlp.takes_constants = True

            def write_code() -> None:
                self._network.run(duration, namespace={})

            fetch_program(self._device, net, self._folder, write_code)
            # Brian2 would warn that it was never in a network.
            self._mlp._network = self._network.id

    def _recorder(self) -> BrianObject:
        self._ends = EventMonitor(
            self._mlp.output_layer, "sample_end", variables=["summed_drive"], name="spikebp_ends"
        )
        return self._ends

    def _summed_drives(self) -> NDArray[np.float64]:
        return np.array(self._ends.summed_drive[:])

    def _run(self, state: LearningState, batch: Batch, record: bool) -> None:
        self._present(batch, record)
        checkpoint = Checkpoint(self._mlp.net, state)
        try:
            self._device.run(run_args=self._mlp.run_args(checkpoint))
        finally:
            self._device.delete(code=False, data=False, directory=False)
            for file in self._folder.glob("static_arrays/spikebp_presented_[0-9]*"):
                file.unlink()

    def _borrowed(self) -> AbstractContextManager[None]:
        return borrowed(self._device, {})
