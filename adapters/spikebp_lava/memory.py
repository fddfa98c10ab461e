"""Memory that the processes of a network share with the user's process.

Lava runs every process of a graph as a process of the operating system, forked from the user's.
All of them share anonymous memory that was mapped before the fork; it has no name and leaves
nothing behind. Reading or writing it takes microseconds, where a message of Lava's to a variable
carries one number.
"""

from __future__ import annotations

import mmap
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: The tags of process models: messages and variables hold values, or integers in units of 2^-f.
FLOATING: Final = "floating_pt"
FIXED: Final = "fixed_pt"


def shared_array(shape: Any, dtype: Any) -> Array:
    """Return an array of zeros that this process shares with those forked from it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    memory = mmap.mmap(-1, max(1, size * dtype.itemsize))
    return np.frombuffer(memory, dtype, count=size).reshape(shape)


class Memory(Protocol):
    """The learned state and the counts of a network, in shared memory."""

    @property
    def arrays(self) -> list[Array]:
        """All arrays that a run changes."""

    @property
    def state(self) -> LearningState:
        """A copy of what was learned from whole samples."""

    def replace_weights(self, l: int, weights: Array, where: Any = ...) -> None:
        """Replace W_l at an index by those of a matrix on the grid, in a half-shown sample too."""

    def take_rate(self, net: Definition) -> None:
        """Go on with a definition of another learning rate, between two samples."""

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""


class Switches(NamedTuple):
    """Settings that may change between runs, each an array of one int64."""

    learning: Array  # whether targets are learned from
    taught: Array  # whether targets arrive at all
    steps_per_sample: Array
    steps_per_message: Array
    recording: Array  # whether to record
    steps_before: Array  # steps of Lava before the first row of the record


class SharedNetwork:
    """A network in shared memory, as the models of its processes get it.

    Parameters
    ----------
    net : Definition
        The definition.
    memory : Memory
        The learned state and the counts.

    Attributes
    ----------
    switches : Switches
        Settings that may change between runs.
    learning_rate : ndarray of shape (1,)
        The learning rate, which may change between two samples.
    is_open : ndarray of shape (1,), int64
        Whether a sample has begun that is not over.
    record : StepRecords
        The records of steps, written while recording is switched on.
    """

    def __init__(self, net: Definition, memory: Any) -> None:
        self._net, self.memory = net, memory
        self.learning_rate = shared_array(1, np.float64)
        self.learning_rate[0] = net.learning_rate
        self.is_open = shared_array(1, np.int64)
        self.switches = Switches(*(shared_array(1, np.int64) for _ in Switches._fields))
        self.switches.learning[0] = self.switches.taught[0] = True
        self.switches.steps_per_sample[0] = net.n_steps
        self.switches.steps_per_message[0] = 1
        self.make_room(0)

    @property
    def net(self) -> Definition:
        """The definition, with the learning rate of now."""
        if (rate := float(self.learning_rate[0])) != self._net.learning_rate:
            self._net = self._net.at_rate(rate)
        return self._net

    def make_room(self, n_rows: int) -> None:
        """Allocate memory to record steps; called before the processes of a graph are started."""
        self.record = StepRecords.of(self.net, n_rows)

    def row(self, time_step: int) -> int | None:
        """Return the row for the first step that a step of Lava makes; None records nothing."""
        switches = self.switches
        if not switches.recording[0]:
            return None
        return int((time_step - 1 - switches.steps_before[0]) * switches.steps_per_message[0])


class StepRecords(NamedTuple):
    """Records of the spikes and errors of layers, a row for each step of the network.

    Attributes
    ----------
    spikes, errors : list of ndarray of shape (n_rows, n_units), int64
        Spikes and errors of layers 0 to L; layer 0 has no errors.
    summed_drive : ndarray of shape (n_rows, n_outputs), float64
        The drive of the output summed over the sample so far.
    """

    spikes: list[Array]
    errors: list[Array]
    summed_drive: Array

    @classmethod
    def of(cls, net: Definition, n_rows: int) -> StepRecords:
        """Return an empty record."""
        spikes, errors = (
            [shared_array((n_rows, n), np.int64) for n in net.layer_sizes] for _ in range(2)
        )
        return cls(spikes, errors, shared_array((n_rows, net.n_outputs), np.float64))

    def copied(self, n_rows: int) -> StepRecords:
        """Return a copy of the first rows."""
        spikes, errors = ([rows[:n_rows].copy() for rows in layers] for layers in self[:2])
        return StepRecords(spikes, errors, self.summed_drive[:n_rows].copy())
