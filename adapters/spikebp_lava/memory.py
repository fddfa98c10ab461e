"""What a network has learned, in memory that the user's process shares with Lava's.

Lava runs every process of a graph as a process of the operating system, forked from the user's.
All of them share anonymous memory that was mapped before the fork; it has no name and leaves
nothing behind. Reading or writing it takes microseconds, where a message of Lava's to a variable
carries one number.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.dense_network import dense_network
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.compiled.kernels.arrays import BlockRecord
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, count_operations
from spikebp_plugins.network.state import LearningState

Array = NDArray[Any]

#: The tags of process models: with doubles that hold values, or integers that hold grid units.
FLOATING: Final = "floating_pt"
FIXED: Final = "fixed_pt"

#: No count of a unit's spikes or errors since the start reaches this: it would soon wrap.
MOST_COUNTED: Final = 2.0**62


def shared_array(shape: Any, dtype: Any) -> Array:
    """Return an array of zeros that this process shares with those forked from it."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape))
    memory = mmap.mmap(-1, max(1, size * dtype.itemsize))
    return np.frombuffer(memory, dtype, count=size).reshape(shape)


def fraction_bits_of(net: Definition) -> int:
    """Return the fraction bits of the grid, which every network has that runs here."""
    assert net.fraction_bits is not None
    return net.fraction_bits


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

    The arrays hold real values until `adopt` converts them to grid units for process models of the
    tag fixed_pt, before these are started. Weights, backward weights and backward potentials each
    lie layer after layer in a flat array, where the kernels of the compiled core look for those of
    dense networks.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.

    Attributes
    ----------
    tag : str
        The tag whose numbers the arrays hold.
    spikes, errors, updates : ndarray of shape (L + 1,), int64
        Spikes, error spikes and changed weights since the start, by layer.
    spikes_of_units, errors_of_units : ndarray of shape (sum of layer sizes,), int64
        The same spikes and errors by unit, as far as `count` has been told of them.
    samples : ndarray of shape (3,), int64
        Samples shown, those of them that learned, and all training samples so far.
    """

    def __init__(self, net: Definition, state: LearningState) -> None:
        self.net = net
        self._arithmetic = arithmetic_of(net)
        # Layers without weights or backward weights, which come first, hold no numbers of theirs.
        self._edge = _starts(map(math.prod, net.weight_shapes), n_without=1)
        self._back = _starts(map(math.prod, net.feedback_shapes), n_without=2)
        self._unit = _starts(net.layer_sizes)
        # Both tags have numbers of eight bytes, so that grid units can replace values in place.
        sizes = (starts[-1] for starts in (self._edge, self._back, self._unit))
        self._places = [shared_array(size, np.int64) for size in sizes]
        self.tag = FLOATING
        layers = net.n_layers + 1
        self.spikes, self.errors, self.updates = (shared_array(layers, np.int64) for _ in range(3))
        self.samples = shared_array(3, np.int64)
        self.switches = Switches(*(shared_array(1, np.int64) for _ in Switches._fields))
        self.switches.learning[0] = self.switches.taught[0] = True
        self.switches.steps_per_sample[0] = net.n_steps
        self.switches.steps_per_message[0] = 1
        units = sum(net.layer_sizes)
        self.make_room(0)
        self.spikes_of_units, self.errors_of_units = (
            shared_array(units, np.int64) for _ in range(2)
        )
        self._empty = [np.zeros((0, 0, n), np.int64) for n in (units, units, net.n_outputs)]
        self.write(state)

    def make_room(self, n_rows: int) -> None:
        """Make room to record some steps; called before the processes of a graph are started."""
        units = sum(self.net.layer_sizes)
        self._record = [
            shared_array((int(n_rows > 0), n_rows, n), np.int64)
            for n in (units, units, self.net.n_outputs)
        ]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        return np.dtype(np.int64 if self.tag == FIXED else np.float64)

    def arrays(self) -> list[Array]:
        """Return weights, backward weights and backward potentials, flat."""
        return [place.view(self.dtype) for place in self._places]

    def of_layer(self, l: int) -> list[Array]:
        """Return W_l, B_l and the backward potentials of layers l - 1 and l; flat, for l >= 1."""
        weight, backward, potential = self.arrays()
        return [
            weight[self._edge[l] : self._edge[l + 1]],
            backward[self._back[l] : self._back[l + 1]],
            potential[self._unit[l - 1] : self._unit[l + 1]],
        ]

    def units(self, l: int) -> slice:
        """Return the place of layer l among the units of all layers."""
        return slice(*self._unit[l : l + 2])

    def adopt(self, tag: str) -> None:
        """Convert the arrays to the numbers of a tag, once and for all."""
        if tag != self.tag:
            state = self.read()
            self.tag = tag
            self.write(state)

    @property
    def layout(self) -> Layout:
        """The layout of the units, and of dense connections."""
        return Layout(dense_network(self.net, *self.net.layer_sizes), self.dtype)

    def encoded(self, values: Array) -> Array:
        """Return real values in the numbers of the tag."""
        return self._arithmetic.encode(values) if self.tag == FIXED else values

    def decoded(self, numbers: Array) -> Array:
        """Return the real values of numbers of the tag, as an array of their own."""
        if self.tag == FIXED:
            return self._arithmetic.decode(numbers)
        return numbers.astype(np.float64)

    def has_weights(self, l: int) -> bool:
        """Return whether layer l is reached through weights, and not through a constant."""
        return self.net.connections[l - 1].constant_weight is None

    def matrix(self, l: int) -> Array:
        """Return W_l, in its own shape."""
        return self.of_layer(l)[0].reshape(self.net.weight_shapes[l - 1])

    def set_matrix(self, l: int, values: Array) -> None:
        """Replace W_l by `values`, given in the numbers of the tag.

        Raises
        ------
        ValueError
            If the shape is not that of W_l, or a weight is not on the grid.
        OverflowError
            If a weight is out of range.
        """
        shape, arithmetic = self.net.weight_shapes[l - 1], self._arithmetic
        name = f"weight_{l}"
        if values.shape != shape:
            raise wrong_argument(name, f"of shape {shape}", f"shape {values.shape}")
        real = self.decoded(np.asarray(values))
        if not np.array_equal(arithmetic.round(real), real):
            allowed = "on the grid: multiples of 2**-fraction_bits (whole numbers in fixed_pt)"
            raise wrong_argument(name, allowed, values[arithmetic.round(real) != real][0])
        arithmetic.check(real, "weight", l)
        state = self.read()
        weights = list(state.weights)
        weights[l - 1] = arithmetic.round(real)
        self.write(state._replace(weights=tuple(weights)))

    def record(self, wanted: bool = True) -> BlockRecord:
        """Return the record to write into; a record of no samples if none is wanted."""
        places = self._record if wanted else self._empty
        return BlockRecord(*(place.view(self.dtype) for place in places))

    def read(self) -> LearningState:
        """Return a copy of what has been learned."""
        net, (weight, backward, potential) = self.net, self.arrays()
        feedback_shapes = net.feedback_shapes if net.feedback == "random" else ()
        of_hidden = potential[self._unit[1] : self._unit[-2]]
        return LearningState(
            weights=tuple(self.decoded(W) for W in _cut(weight, net.weight_shapes)),
            backward_potentials=tuple(
                self.decoded(psi) for psi in _cut(of_hidden, [(n,) for n in net.layer_sizes[1:-1]])
            ),
            feedback=tuple(self.decoded(B) for B in _cut(backward, feedback_shapes)),
            samples_seen=int(self.samples[2]),
        )

    def write(self, state: LearningState) -> None:
        """Replace the learning state by another."""
        net, (weight, backward, potential) = self.net, self.arrays()
        upper = zip(net.connections[1:], state.weights[1:], strict=True)
        feedback = state.feedback or [c.backward_weights(W) for c, W in upper]
        of_hidden = potential[self._unit[1] : self._unit[-2]]
        for place, values in (
            (weight, state.weights),
            (backward, feedback),
            (of_hidden, state.backward_potentials),
        ):
            place[:] = self.encoded(np.concatenate([np.zeros(0), *map(np.ravel, values)]))
        self.samples[2] = state.samples_seen

    def kept(self) -> list[tuple[Array, Array]]:
        """Return all arrays that a run changes, each with a copy of its present values."""
        by_layer = (self.spikes, self.errors, self.updates, self.samples)
        changing = (*self._places, *by_layer, self.spikes_of_units, self.errors_of_units)
        return [(array, array.copy()) for array in changing]

    def count(self, l: int, spikes: Array, errors: Array | None = None) -> None:
        """Count what layer l has sent in a step, by layer and by unit.

        Raises
        ------
        OverflowError
            If 64 bits would soon hold a count no more.
        """
        sent = [(self.spikes, self.spikes_of_units, spikes)]
        if errors is not None:
            sent.append((self.errors, self.errors_of_units, errors))
        for by_layer, by_unit, values in sent:
            if not float(by_layer[l]) + np.abs(values.astype(np.float64)).sum() < MOST_COUNTED:
                raise OverflowError(f"spikes and errors of layer {l} are too many to be counted")
            counts = np.abs(values.astype(np.int64))
            by_unit[self.units(l)] += counts
            by_layer[l] += counts.sum()

    def row(self, time_step: int) -> int:
        """Return the row of the record for the first step that a step of Lava makes."""
        switches = self.switches
        return int((time_step - 1 - switches.steps_before[0]) * switches.steps_per_message[0])

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        shown, trained, _ = (int(n) for n in self.samples)
        updates = int(self.updates.sum())
        spikes: Any = self.spikes.tolist()
        errors: Any = self.errors.tolist()
        if not self.net.is_dense:  # what a spike costs depends on its unit, at borders for example
            layers = range(self.net.n_layers + 1)
            spikes = [self.spikes_of_units[self.units(l)] for l in layers]
            errors = [self.errors_of_units[self.units(l)] for l in layers]
        return count_operations(self.net, spikes, errors, updates, shown=shown, trained=trained)


def _starts(sizes: Iterable[int], n_without: int = 0) -> Array:
    """Return where each part of a flat array starts and, last, where it ends.

    The first `n_without` parts are empty, and `sizes` are those of the others.
    """
    return np.cumsum([0] * (n_without + 1) + list(sizes))


def _cut(flat: Array, shapes: Iterable[tuple[int, ...]]) -> list[Array]:
    """Return the parts of a flat array, which have these shapes."""
    shapes = list(shapes)
    parts = np.split(flat, _starts(map(math.prod, shapes))[1:-1]) if shapes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
