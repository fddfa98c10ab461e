"""What a network has learned, in memory that the user's process shares with Lava's.

Lava runs every process of a graph as a process of the operating system, forked from the user's.
All of them share anonymous memory that was mapped before the fork; it has no name and leaves
nothing behind. Reading or writing it takes microseconds, where a message of Lava's to a variable
carries one number.
"""

from __future__ import annotations

import mmap
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.compiled.kernels.arrays import BlockRecord, Learning
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, count_operations
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: The tags of process models: with doubles that hold values, or integers that hold grid units.
FLOATING: Final = "floating_pt"
FIXED: Final = "fixed_pt"


def shared_array(shape: Any, dtype: Any) -> Array:
    """Return an array of zeros that this process shares with those forked from it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    memory = mmap.mmap(-1, max(1, size * dtype.itemsize))
    return np.frombuffer(memory, dtype, count=size).reshape(shape)


def number_type(net: Definition, tag: str) -> np.dtype[Any]:
    """Return the number type of process models of a tag."""
    return np.dtype(np.int64) if tag == FIXED else arithmetic_of(net).dtype


class Switches(NamedTuple):
    """Settings that may change between runs, each an array of one int64."""

    learning: Array  # whether targets are learned from
    taught: Array  # whether targets arrive at all
    steps_per_sample: Array
    steps_per_message: Array
    recording: Array  # whether to record
    steps_before: Array  # steps of Lava before the first row of the record


class SharedNetwork:
    """Learning state, counters and switches of one network.

    The arrays hold real values until process models of the tag fixed_pt are built, which convert
    them to grid units.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.
    n_rows : int, default=0
        How many steps there is room to record.

    Attributes
    ----------
    spikes, errors, updates : ndarray of shape (L + 1,), int64
        Spikes, error spikes and changed weights since the start, by layer.
    samples : ndarray of shape (3,), int64
        Samples shown, those of them that learned, and all training samples so far.
    """

    def __init__(self, net: Definition, state: LearningState, n_rows: int = 0) -> None:
        self.net = net
        layout = Layout(net, number_type(net, FLOATING))
        self.starts = layout.network
        learning = layout.learning(state)
        # Eight bytes for each number of any type, so that grid units can replace values in place.
        self._places = [shared_array(array.size, np.int64) for array in learning.arrays[:3]]
        self._tags_are_fixed = shared_array(net.n_layers + 1, np.bool_)
        layers = net.n_layers + 1
        self.spikes, self.errors, self.updates = (shared_array(layers, np.int64) for _ in range(3))
        self.samples = shared_array(3, np.int64)
        self.switches = Switches(*(shared_array(1, np.int64) for _ in Switches._fields))
        self.switches.learning[0] = self.switches.taught[0] = True
        self.switches.steps_per_sample[0] = net.n_steps
        self.switches.steps_per_message[0] = 1
        units = sum(net.layer_sizes)
        self._record = [
            shared_array((int(n_rows > 0), n_rows, n), np.int64)
            for n in (units, units, net.n_outputs)
        ]
        self._empty = [np.zeros((0, 0, n), np.int64) for n in (units, units, net.n_outputs)]
        self.write(state)

    def arrays(self, tag: str) -> list[Array]:
        """Return weights, backward weights and backward potentials, flat, as numbers of a tag."""
        dtype = number_type(self.net, tag)
        return [place.view(dtype)[: place.size] for place in self._places]

    def of_layer(self, tag: str, l: int) -> list[Array]:
        """Return W_l, B_l and the backward potentials of layers l - 1 and l; flat, for l >= 1."""
        weight, backward, potential = self.arrays(tag)
        edge, back, unit = self.starts.edge, self.starts.back, self.starts.unit
        return [
            weight[edge[l] : edge[l + 1]],
            backward[back[l] : back[l + 1]],
            potential[unit[l - 1] : unit[l + 1]],
        ]

    def adopt(self, tag: str, layers: range) -> None:
        """Convert the arrays of some layers to the numbers of a tag, once for each layer."""
        if tag != FIXED:
            return
        arithmetic = arithmetic_of(self.net)
        for l in layers:
            if not self._tags_are_fixed[l]:
                n_below = self.net.layer_sizes[l - 1]
                values, units = self.of_layer(FLOATING, l), self.of_layer(FIXED, l)
                for real, integer in (*zip(values[:2], units[:2], strict=True),):
                    integer[:] = arithmetic.encode(real)
                units[2][n_below:] = arithmetic.encode(values[2][n_below:])
                self._tags_are_fixed[l] = True

    @property
    def tag(self) -> str:
        """The tag whose numbers the arrays hold now."""
        return FIXED if self._tags_are_fixed[-1] else FLOATING

    @property
    def layout(self) -> Layout:
        """The layout of the numbers that the arrays hold now."""
        return Layout(self.net, number_type(self.net, self.tag))

    def matrix(self, l: int, tag: str | None = None) -> Array:
        """Return W_l, of shape (n_in, n_out), in the numbers of a tag; None is the present tag."""
        return self.of_layer(tag or self.tag, l)[0].reshape(self.net.weight_shapes[l - 1])

    def set_matrix(self, l: int, values: Array) -> None:
        """Replace W_l by `values`, given in the numbers of the present tag.

        Raises
        ------
        ValueError
            If the shape is not that of W_l, or a weight is not on the grid.
        OverflowError
            If a weight is out of range.
        """
        shape, arithmetic = self.net.weight_shapes[l - 1], arithmetic_of(self.net)
        name = f"weight_{l}"
        if values.shape != shape:
            raise wrong_argument(name, f"of shape {shape}", f"shape {values.shape}")
        real = np.asarray(values, np.float64)
        if self.tag == FIXED:
            real = np.ldexp(real, -(self.net.fraction_bits or 0))
        if not np.array_equal(arithmetic.round(real), real):
            allowed = "on the grid: multiples of 2**-fraction_bits (whole numbers in fixed_pt)"
            raise wrong_argument(name, allowed, values[arithmetic.round(real) != real][0])
        arithmetic.check(real, "weight", l)
        state = self.read()
        weights = list(state.weights)
        weights[l - 1] = arithmetic.round(real)
        self.write(state._replace(weights=tuple(weights)))

    def record(self, wanted: bool = True, tag: str | None = None) -> BlockRecord:
        """Return the record to write into; a record of no samples if none is wanted."""
        dtype = number_type(self.net, tag or self.tag)
        places = self._record if wanted else self._empty
        views = [
            place.view(dtype).reshape(-1)[: place.size].reshape(place.shape) for place in places
        ]
        return BlockRecord(*views)

    def read(self) -> LearningState:
        """Return a copy of what has been learned."""
        bounds = [np.zeros(0)] * 3
        learning = Learning(*self.arrays(self.tag), *bounds)
        return self.layout.state(learning, int(self.samples[2])).copy()

    def write(self, state: LearningState) -> None:
        """Replace the learning state by another."""
        learning = self.layout.learning(state)
        for place, values in zip(self.arrays(self.tag), learning.arrays[:3], strict=True):
            place[:] = values
        self.samples[2] = state.samples_seen

    def kept(self) -> list[tuple[Array, Array]]:
        """Return all arrays that a run changes, each with a copy of its present values."""
        changing = (*self._places, self.spikes, self.errors, self.updates, self.samples)
        return [(array, array.copy()) for array in changing]

    def row(self, time_step: int) -> int:
        """Return the row of the record for the first step that a step of Lava makes."""
        switches = self.switches
        return int((time_step - 1 - switches.steps_before[0]) * switches.steps_per_message[0])

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        shown, trained, _ = (int(n) for n in self.samples)
        updates = int(self.updates.sum())
        spikes, errors = self.spikes.tolist(), self.errors.tolist()
        return count_operations(self.net, spikes, errors, updates, shown=shown, trained=trained)
