"""A network in the memory of the engine, of which whole samples are shown."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.outcome import EarlySamples, Outcome, Recording, in_64_bits
from spikebp_plugins.engine.library import Build
from spikebp_plugins.engine.structs import (
    COUNTS,
    LABELS,
    LEVELS,
    NONE,
    PSI,
    PSI_NOW,
    REALS,
    B,
    CBlock,
    CRows,
    CRowsBefore,
    W,
)
from spikebp_plugins.engine.wiring import Connections, padded
from spikebp_plugins.network.arithmetic import FixedPoint, constant_in
from spikebp_plugins.network.connections import DenseConnection
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work, operations_of
from spikebp_plugins.network.samples import Batch, spike_counts
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import LearningState, OnGrid, in_parts, narrowed

Array = NDArray[Any]

#: Bytes of a line of the cache, on which arrays begin.
LINE = 64

#: The number of counts of the messages of a layer.
N_SENT: Final = 8
#: A part of what has been learned: 0 for weights, 1 for feedback, 2 for backward potentials; the
#: layer; the number of the first row; and consecutive rows in units of 2^-f.
Part: TypeAlias = tuple[int, int, int, Array]

#: So many updates of a layer wait at most; with more, weights are written before a sample closes.
MOST_PENDING: Final = 16

#: Longer lists of input are not copied: they take longer than to ask for an address.
LARGEST_LIST: Final = 1000

#: A step takes as long as so many synapses at least, however small the network is.
LEAST_WORK = 10_000


def work_of_step(net: Definition) -> int:
    """Return the cost of a step in synapses, by which long calls are divided."""
    return max(LEAST_WORK, sum(connection.n_synapses for connection in net.connections))


def aligned(n: int, dtype: Any, allocate: Callable[[Any, Any], Array] = np.zeros) -> Array:
    """Return n zeros that begin on a line of the cache."""
    dtype = np.dtype(dtype)
    size = n * dtype.itemsize
    memory = allocate(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(dtype)


class KeptRow:
    """A row of input or of targets in memory whose address is known.

    To ask NumPy for an address takes as long as a small network does for a sample.

    Parameters
    ----------
    n : int
        The numbers of the row.
    number : type
        Their type.
    kind : int
        What they are: one of the kinds in `structs`.
    """

    def __init__(self, n: int, number: Any, kind: int) -> None:
        self.values, self.kind = np.zeros(n, number), kind
        self._rows = CRows(at=self.values.ctypes.data, kind=kind)

    def of(self, values: Array) -> CRows:
        """Return the row with n values in it."""
        self.values[...] = values
        return self._rows


class KeptList:
    """A short list of the input of a step, in memory whose address is known.

    Parameters
    ----------
    n : int
        The most entries.
    """

    def __init__(self, n: int) -> None:
        self.largest = n
        self._begin = np.zeros(2, np.int64)
        self._unit, self._number = np.zeros(n, np.int32), np.zeros(n)
        at, begin, unit = (array.ctypes.data for array in (self._number, self._begin, self._unit))
        self._rows = CRows(at=at, begin=begin, unit=unit, kind=REALS)

    def of(self, row: SparseRows) -> CRows:
        """Return the list of a row."""
        n = len(row.unit)
        self._begin[1], self._unit[:n], self._number[:n] = n, row.unit, row.number
        return self._rows


class EngineNetwork:
    """A network in the memory of the engine, of which a build shows whole samples.

    Parameters
    ----------
    net : Definition
        The definition.
    build : Build
        The functions for its numbers.
    definition : ctypes.Structure
        The definition as the build reads it.
    grid : FixedPoint
        The arithmetic, which converts its numbers to real values.
    connections : Connections
        The layouts of its weights in memory.
    learned : ndarray of uint8 or None
        The learned arrays of another network of this definition and build, to share them.
    allocate : callable, default=np.zeros
        Returns an array of zeros, given its shape and its type. All that samples change lies in
        such arrays.
    """

    def __init__(
        self,
        net: Definition,
        build: Build,
        definition: ctypes.Structure,
        grid: FixedPoint,
        connections: Connections,
        learned: Array | None,
        allocate: Callable[[Any, Any], Array] = np.zeros,
    ) -> None:
        self.net, self.build, self.connections = net, build, connections
        #: Whether its numbers have 32 bits.
        self.is_int32 = build.number is np.int32
        self._definition, self._grid, self._allocate = definition, grid, allocate
        n_learned = ctypes.c_int64()
        size = build.size(ctypes.byref(definition), ctypes.byref(n_learned))
        self.learned = self._bytes(n_learned.value) if learned is None else learned
        self._sample = self._bytes(size)
        self._place = build.place(
            ctypes.byref(definition), self.learned.ctypes.data, self._sample.ctypes.data
        )
        self._y_row = aligned(padded(net.n_outputs), build.number)
        # Those that each call needs, since a look-up of an address, or in a definition, takes long.
        self._n_inputs, self._takes_counts = net.n_inputs, net.input_coding == "spikes"
        of_input = (np.int64, COUNTS) if self._takes_counts else (np.float64, REALS)
        self._input = KeptRow(net.n_inputs, *of_input)
        self._levels = KeptRow(net.n_inputs, np.uint8, LEVELS)
        # Counts are of another type: their lists stay where they are.
        self._list = KeptList(0 if self._takes_counts else min(net.n_inputs, LARGEST_LIST))
        self._label, self._none = KeptRow(1, np.int64, LABELS), CRows(kind=NONE)
        self._real_target = KeptRow(net.n_outputs, np.float64, REALS)
        self._scores = np.zeros((1, net.n_outputs))
        #: The arguments of a call with one sample.
        self.block = CBlock(
            network=self._place,
            label_targets=(ctypes.c_double * 2)(*net.label_targets),
            y_row=self._y_row.ctypes.data,
            n_samples=1,
            scores=self._scores.ctypes.data,
        )
        self._block_address, self._show_block = ctypes.addressof(self.block), build.show
        # The rows that are in it.
        self._x: CRows | None = None
        self._y: CRows | None = None
        #: The weights before an open sample, once there may be one that writes some: with more
        #: steps than these a sample writes some before it closes. With delays, steps follow the
        #: last update.
        self.before: Array | None = None
        self._steps_that_wait = definition.most_pending - definition.delay if net.is_dense else 0
        for l, connection in enumerate(net.connections, 1):
            if connection.constant_weight is not None and learned is None:
                constant = grid.encode(constant_in(net, connection))
                for which in (W,) if l == 1 else (W, B):
                    self._flat(l, which, 1)[...] = constant

    def drop_sample(self) -> None:
        """Forget the open sample, if there is one."""
        self.build.drop_sample(self._place)

    def write(self, state: LearningState) -> bool:
        """Replace what has been learned; return whether the numbers hold it."""
        self.drop_sample()  # an interrupt may have left one
        is_held = self._write(self._parts_of(state))
        self.forget_bounds()
        self.block.n_learned = state.samples_seen - self.build.trained(self._place)
        return is_held

    def take(self, other: EngineNetwork) -> bool:
        """Take over what another network has learned; return whether the numbers hold it."""
        self.drop_sample()  # an interrupt may have left one
        is_held = self._write(other.learned_parts())
        self.forget_bounds()
        self.block.n_learned = other.samples_seen - self.build.trained(self._place)
        return is_held

    def forget_bounds(self) -> None:
        """Say that others have changed what was learned."""
        self.build.forget_bounds(self._place)

    def make_room_before(self) -> None:
        """Allocate room for weights before an open sample, which may then write some."""
        if self.before is None:
            self.before = self._bytes(self.build.size_before(self._place))
            self.build.place_before(self._place, self.before.ctypes.data)

    def rows_before(self, l: int) -> tuple[Array, Array]:
        """Return rows of W_l in memory that have changed in the open sample, as they were before.

        Returns
        -------
        index : ndarray of shape (n,)
            Where they are: the unit below if W_l is dense, the weight if it is a list; the only row
            of a convolution has W_l, and behind it B_l.
        rows : ndarray of shape (n, length)
            Views of the rows in units of 2^-f.
        """
        found = CRowsBefore()
        n = self.build.before(self._place, l, ctypes.byref(found))
        if not n:
            return np.empty(0, np.int32), np.empty((0, 1), self.build.number)
        index, rows = (
            np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(number) * size).from_address(start))
            for number, size, start in (
                (np.int32, n, found.index),
                (self.build.number, n * found.length, found.numbers),
            )
        )
        return index, rows.reshape(n, -1)

    def flat_before(self, l: int) -> Array:
        """Return W_l in memory as it was before the open sample: a new array."""
        flat = self._flat(l, W, self.connections.layouts[l - 1].n_weights).copy()
        index, rows = self.rows_before(l)
        if len(index):
            length = min(rows.shape[1], len(flat))
            flat.reshape(-1, length)[index] = rows[:, :length]
        return flat

    def parts_now(self, psi: int = PSI_NOW) -> Iterator[Part]:
        """Yield what the open sample has learned so far, after `write_updates`, by a few rows."""
        net, L = self.net, self.net.n_layers
        kinds = [(0, W, range(1, L + 1)), (2, psi, range(1, L))]
        if net.feedback == "random":
            kinds.append((1, B, range(2, L + 1)))
        for kind, which, layers in kinds:
            for l in layers:
                for first, units in in_parts(self.array(l, which)):
                    yield kind, l, first, units

    def learned_parts(self) -> Iterator[Part]:
        """Yield what has been learned before an open sample, by a few rows."""
        yield from self.parts_now(PSI)
        for l, connection in enumerate(self.net.connections, 1):
            index, rows = self.rows_before(l)
            if isinstance(connection, DenseConnection):
                for unit, row in zip(index, rows, strict=True):
                    yield 0, l, int(unit), row[np.newaxis, : connection.n_above]
            elif len(index):
                yield 0, l, 0, self.connections.layouts[l - 1].weights(self.flat_before(l))

    def _parts_of(self, state: LearningState) -> Iterator[Part]:
        """Yield a state in units of 2^-f, a few rows at a time."""
        learned = (state.weights, state.feedback, state.backward_potentials)
        for kind, (numbers, lowest) in enumerate(zip(learned, (1, 2, 1), strict=True)):
            shift = numbers.exponent + self._grid.fraction_bits
            for i, first, units in numbers.rows():
                yield kind, lowest + i, first, units.astype(np.int64) << shift

    def _write(self, parts: Iterable[Part], is_open: bool = False) -> bool:
        """Write parts of a state, or of the open sample; return whether the numbers hold all."""
        for kind, l, first, units in parts:
            if np.abs(units).max(initial=0) >= self.build.largest:
                return False
            which = (W, B, PSI_NOW if is_open else PSI)[kind]
            rows = self.array(l, which)[first : first + len(units)]
            if is_open and which == W:
                self._keep(l, first, rows != units)
            rows[...] = units
        if self.net.feedback == "transpose":
            for l, connection in enumerate(self.net.connections[1:], 2):
                self.array(l, B)[...] = connection.backward_weights(self.array(l, W))
        return True

    def _keep(self, l: int, first: int, is_changed: Array) -> None:
        """Keep rows of W_l, from a first one on, of which some are about to change.

        If W_l is not dense, all are kept.
        """
        if isinstance(self.net.connections[l - 1], DenseConnection):
            rows = np.flatnonzero(is_changed.any(axis=1)) + first
        else:
            rows = np.arange(is_changed.size if is_changed.ndim == 1 else 1)
        for row in rows.tolist():
            self.build.keep_row(self._place, l, row)

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return int(self.block.n_learned + self.build.trained(self._place))

    @property
    def n_shown(self) -> int:
        """Samples that it has shown."""
        return int(self.build.shown(self._place))

    def counts(self) -> list[int]:
        """Return the counts of the engine, as `counted_operations` reads them."""
        return self._all_counts()[:-2]

    @property
    def work(self) -> Work:
        """The work that it has done."""
        return Work(*self._all_counts()[-2:])

    def _all_counts(self) -> list[int]:
        parts = np.zeros((3 + N_SENT * (self.net.n_layers + 1) + 2, 2), np.int64)
        self.build.write_counts(self._place, parts.ctypes.data)
        return [low + (high << 63) for low, high in parts.tolist()]

    def _bytes(self, n: int) -> Array:
        return aligned(n, np.uint8, self._allocate)

    def _flat(self, l: int, which: int, n: int) -> Array:
        """Return a view of n numbers of an array of layer l."""
        number: Any = np.ctypeslib.as_ctypes_type(self.build.number)
        at = self.build.array(self._place, l, which)
        flat: Array = np.ctypeslib.as_array((number * n).from_address(at))
        return flat

    def array(self, l: int, which: int) -> Array:
        """Return a view of an array of layer l, in its own shape."""
        layout = self.connections.layouts[l - 1]
        view: Array
        if which == W:
            view = layout.weights(self._flat(l, which, layout.n_weights))
        elif which == B:
            view = layout.backward(self._flat(l, which, layout.n_backward))
        else:
            view = self._flat(l, which, self.net.layer_sizes[l])
        return view

    def _units(self, l: int, which: int) -> Array:
        return self.array(l, which).astype(np.int64)

    def _reals(self, l: int, which: int) -> Array:
        reals: Array = self._grid.decode(self._units(l, which))
        return reals

    def read(self, is_open: bool = False) -> LearningState:
        """Return a copy of what was learned before the open sample, or up to now."""
        net, L, grid = self.net, self.net.n_layers, self._grid
        of_weights, of_states = grid.exponent_of_weights, -grid.fraction_bits

        def weights(l: int) -> Array:
            layout = self.connections.layouts[l - 1]
            is_before = not is_open and len(self.rows_before(l)[0]) > 0
            return layout.weights(self.flat_before(l)) if is_before else self.array(l, W)

        def on_grid(arrays: Iterable[Array], exponent: int) -> OnGrid:
            shift = exponent - of_states
            return OnGrid(
                (narrowed(units >> shift if shift else units) for units in arrays), exponent
            )

        psi = PSI_NOW if is_open else PSI
        feedback = range(2, L + 1) if net.feedback == "random" else ()
        return LearningState(
            weights=on_grid(map(weights, range(1, L + 1)), of_weights),
            backward_potentials=on_grid((self.array(l, psi) for l in range(1, L)), of_states),
            feedback=on_grid((self.array(l, B) for l in feedback), of_weights),
            samples_seen=self.samples_seen,
        )

    def show(self, batch: Batch, record: bool = False) -> Outcome:
        """Show the samples of a batch, and learn from each if it has targets.

        Stops before the first sample that may be out of range, which leaves no trace.
        """
        n = len(batch.x)
        if n == 1 and not record:
            if batch.n_steps > self._steps_that_wait:
                self.make_room_before()
            block, x, y = self.block, self._rows_of(batch.x), self._rows_of_targets(batch.y)
            if x is not self._x or y is not self._y:
                self._x = None  # an interrupt may come before the block has both
                block.x, block.y = x, y
                self._y, self._x = y, x
            block.n_steps = batch.n_steps
            is_shown = self._show_block(self._block_address)
            return Outcome(self._scores.copy() if is_shown else self._scores[:0], None)
        T, net = batch.n_steps, self.net
        shown: dict[str, Array] = {"scores": np.empty((n, net.n_outputs))}
        if record:
            units, number = sum(net.layer_sizes), self.build.number
            shown["step_scores"] = np.empty((n, T, net.n_outputs))
            shown |= {name: np.zeros((n, T, units), number) for name in ("spikes", "errors")}
        scores, *recorded = self._show(batch, shown)
        if not record:
            return Outcome(scores, None)
        step_scores, spikes, errors = recorded
        bounds = np.cumsum(net.layer_sizes)[:-1]
        of_layers, (_, *of_errors) = (
            np.split(rows.astype(np.int64), bounds, axis=-1) for rows in (spikes, errors)
        )
        all_errors = None if batch.y is None else [None, *of_errors]
        return Outcome(scores, Recording(of_layers, all_errors, step_scores))

    def show_until(self, batch: Batch, margin: float) -> EarlySamples:
        """Show samples as `show` does, each until the output leads by `margin`."""
        n = len(batch.x)
        shown: dict[str, Array] = {
            "scores": np.empty((n, self.net.n_outputs)),
            "steps_shown": np.zeros(n, np.int64),
            "operations": np.zeros((n, 2), np.int64),  # their low 63 bits, and the others
        }
        scores, n_steps, operations = self._show(batch, shown, until_lead=True, margin=margin)
        low, high = operations.astype(object).T
        return EarlySamples(scores, n_steps, in_64_bits(low + (high << 63)))

    def _show(self, batch: Batch, shown: dict[str, Array], **fields: Any) -> list[Array]:
        """Show samples, write what is asked for to arrays, and return what these have of each."""
        if batch.n_steps > self._steps_that_wait:
            self.make_room_before()
        x, y = self._rows_of(batch.x), self._rows_of_targets(batch.y)
        block = CBlock.from_buffer_copy(self.block)
        fields |= {"x": x, "y": y, "n_samples": len(batch.x), "n_steps": batch.n_steps}
        for name, value in fields.items():
            setattr(block, name, value)
        for name, array in shown.items():
            setattr(block, name, array.ctypes.data)
        n = self._show_block(ctypes.addressof(block))
        return [array[:n] for array in shown.values()]

    def _rows_of(self, x: Array | SparseRows) -> CRows:
        """Return input as the engine reads it, with the arrays that this is in.

        Rows may overlap in memory, as those of overlapping windows do.
        """
        if isinstance(x, SparseRows):
            is_short = 0 < len(x.unit) <= self._list.largest
            if is_short and len(x) == 1 and x.n_units == self._n_inputs:
                return self._list.of(x)
            number = self._as_in_c(x.number)
            rows = _rows(number, _kind(number), x.begin, x.unit)
            rows.step_apart = self._n_inputs if x.n_units > self._n_inputs else 0
            return rows
        if x.size == self._n_inputs:  # one row
            if self._takes_counts:
                return self._input.of(spike_counts(x))
            return (self._levels if x.dtype.char == "B" else self._input).of(x)
        x = self._as_in_c(x)
        return _rows(x, _kind(x))

    def _rows_of_targets(self, y: Array | None) -> CRows:
        """Return targets, as `_rows_of` returns input."""
        if y is None:
            return self._none
        kept = self._label if y.ndim == 1 else self._real_target
        if y.size == kept.values.size:  # one row
            return kept.of(y)
        return _rows(np.ascontiguousarray(y, kept.values.dtype), kept.kind)

    def _as_in_c(self, x: Array) -> Array:
        """Return input in a type and an order that the engine reads."""
        if self._takes_counts:
            x = spike_counts(x)
        elif x.dtype != np.uint8:
            x = x.astype(np.float64, copy=False)
        is_read = x.flags.aligned and x.strides[-1] == x.itemsize
        return x if is_read else np.array(x, order="C")


def _kind(x: Array) -> int:
    return LEVELS if x.dtype == np.uint8 else COUNTS if x.dtype == np.int64 else REALS


def _rows(values: Array, kind: int, begin: Array | None = None, unit: Array | None = None) -> CRows:
    rows = CRows(
        at=values.ctypes.data,
        sample_apart=values.strides[0],
        # One row stands for all steps.
        step_apart=values.strides[1] if values.ndim == 3 and values.shape[1] > 1 else 0,
        kind=kind,
    )
    if begin is not None and unit is not None:
        rows.begin, rows.unit = begin.ctypes.data, unit.ctypes.data
    rows.arrays = values, begin, unit  # which live as long as this
    return rows


def counted_operations(net: Definition, counts: list[int]) -> Operations:
    """Return the operations that the counts of the engine add up to.

    The counts are samples shown, samples learned, and updates; and of each layer its spikes,
    errors, messages and messages of errors, and the synapses that all of these have met through
    connections that are not dense.
    """
    shown, trained, update, *rest = counts
    rows = [rest[i : i + N_SENT] for i in range(0, len(rest), N_SENT)]
    spikes, errors, messages, error_messages, *_ = map(sum, zip(*rows, strict=True))
    forward = backward = met = 0
    for l, connection in enumerate(net.connections, 1):
        (k, _, n_k, *_), (_, e, _, n_e, up, down, messages_up, messages_down) = rows[l - 1 : l + 1]
        if isinstance(connection, DenseConnection):
            up, messages_up = map(connection.forward_operations, (k, n_k))
            down, messages_down = map(connection.backward_operations, (e, n_e))
        forward += up
        backward += down if l > 1 else 0
        met += messages_up + (messages_down if l > 1 else 0)
    return operations_of(
        net,
        forward=forward,
        backward=backward,
        update=update,
        spikes=spikes,
        errors=errors,
        messages=messages + error_messages,
        met=met,
        shown=shown,
        trained=trained,
    )
