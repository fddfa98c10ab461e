"""A network in the memory of the engine, of which whole samples are shown."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.library import Build
from spikebp_plugins.engine.structs import (
    B_NOW,
    COUNTS,
    LABELS,
    LEVELS,
    NONE,
    PSI,
    PSI_NOW,
    REALS,
    W_NOW,
    B,
    CBlock,
    CRows,
    W,
)
from spikebp_plugins.engine.wiring import Connections, padded
from spikebp_plugins.network.arithmetic import FixedPoint, constant_in
from spikebp_plugins.network.connections import DenseConnection
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, Work, operations_of
from spikebp_plugins.network.samples import Batch, spike_counts
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.network.state import LearningState, in_parts, rows_of

Array = NDArray[Any]

#: Bytes of a line of the cache, on which arrays begin.
LINE = 64

#: The number of counts of the messages of a layer.
N_SENT: Final = 8
#: The arrays of weights, feedback and backward potentials: before the open sample, and by now.
BEFORE = (W, B, PSI)
BY_NOW = (W_NOW, B_NOW, PSI_NOW)

#: A part of what has been learned: 0 for weights, 1 for feedback, 2 for backward potentials, as in
#: `BEFORE`; the layer; the number of the first row; and consecutive rows in units of 2^-f.
Part: TypeAlias = tuple[int, int, int, Array]

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


class BlockResult(NamedTuple):
    """The results of a block of samples.

    Attributes
    ----------
    scores : ndarray of shape (n, n_outputs)
        The scores. n is less than the number of samples given if the next may be out of range.
    spikes, errors : ndarray of shape (n, n_steps, sum of layer sizes) or None
        Spikes and errors of all layers, if they were recorded.
    step_scores : ndarray of shape (n, n_steps, n_outputs) or None
        The running scores.
    n_steps, operations : ndarray of shapes (n,) and (n, 2), int64, or None
        With a margin, the steps of each sample, and its synaptic operations: their low 63 bits,
        and the higher bits.
    """

    scores: NDArray[np.float64]
    spikes: Array | None
    errors: Array | None
    step_scores: Array | None
    n_steps: Array | None
    operations: Array | None


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
        self._definition, self._grid, self._allocate = definition, grid, allocate
        n_learned = ctypes.c_int64()
        size = build.size(ctypes.byref(definition), ctypes.byref(n_learned))
        self.learned = self._bytes(n_learned.value) if learned is None else learned
        self._sample = self._bytes(size)
        self._place = build.place(
            ctypes.byref(definition), self.learned.ctypes.data, self._sample.ctypes.data
        )
        self._y_row = aligned(padded(net.n_outputs), build.number)
        # Addresses are looked up once: a look-up takes longer than a small network computes.
        self.block = CBlock(
            network=self._place,
            label_targets=(ctypes.c_double * 2)(*net.label_targets),
            y_row=self._y_row.ctypes.data,
        )
        self._block_address = ctypes.addressof(self.block)
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
        is_held = self._write(self._encoded(state), BEFORE)
        self.build.forget_bounds(self._place)
        return is_held

    def take(self, other: EngineNetwork) -> bool:
        """Take over what another network has learned; return whether the numbers hold it."""
        self.drop_sample()  # an interrupt may have left one
        is_held = self._write(other.learned_parts(), BEFORE)
        self.build.forget_bounds(self._place)
        return is_held

    def _keep(self, l: int, first: int, changes: Array) -> None:
        """Keep rows of W_l, from a first one on, of which some are about to change."""
        if isinstance(self.net.connections[l - 1], DenseConnection):
            units = np.flatnonzero(changes.any(axis=1)).astype(np.int32) + np.int32(first)
            self.build.keep_rows(self._place, l, units.ctypes.data, len(units))

    def kept_rows(self, l: int) -> tuple[Array, Array]:
        """Return views of rows of W_l, as they were before the open sample has changed them.

        Returns
        -------
        units : ndarray of shape (n,)
            The units below.
        rows : ndarray of shape (n, n_units)
            Their rows in units of 2^-f; all others are those of now.
        """
        width, (_, *of_row) = padded(self.net.layer_sizes[l]), self.net.weight_shapes[l - 1]
        self.array(l, W)  # which keeps rows that are not kept yet
        at = ctypes.c_void_p(), ctypes.c_void_p()
        n = self.build.kept(self._place, l, *map(ctypes.byref, at))
        if not n:
            return np.empty(0, np.int32), np.empty((0, *of_row), self.build.number)
        units, rows = (
            np.ctypeslib.as_array((np.ctypeslib.as_ctypes_type(number) * size).from_address(start))
            for number, size, start in (
                (np.int32, n, at[0].value or 0),
                (self.build.number, n * width, at[1].value or 0),
            )
        )
        return units, rows.reshape(n, width)[:, : of_row[0]]

    def weights(self, l: int, which: int) -> Array:
        """Return W_l before the open sample or up to now, in units of 2^-f: a new array."""
        weights = self._units(l, which)
        if which == W:
            units, rows = self.kept_rows(l)
            weights[units] = rows
        return weights

    def learned_parts(self) -> Iterator[Part]:
        """Yield what has been learned, a few rows at a time."""
        net, L = self.net, self.net.n_layers
        kinds = [(0, range(1, L + 1)), (2, range(1, L))]
        if net.feedback == "random":
            kinds.append((1, range(2, L + 1)))
        for kind, layers in kinds:
            for l in layers:
                for first, units in in_parts(self.array(l, BEFORE[kind])):
                    yield kind, l, first, units
        for l in range(1, L + 1):
            for unit, row in zip(*self.kept_rows(l), strict=True):
                yield 0, l, int(unit), row[np.newaxis]

    def _encoded(self, state: LearningState) -> Iterator[Part]:
        """Yield a state in units of 2^-f."""
        encode = self._grid.encode
        for l, first, rows in rows_of(state.weights):
            yield 0, l, first, encode(rows)
        for l, matrix in enumerate(state.feedback, 2):
            yield 1, l, 0, encode(matrix)
        for l, potentials in enumerate(state.backward_potentials, 1):
            yield 2, l, 0, encode(potentials)

    def _write(self, parts: Iterable[Part], arrays: tuple[int, int, int]) -> bool:
        """Write parts of a state to some arrays; return whether the numbers hold all of them."""
        for kind, l, first, units in parts:
            if np.abs(units).max(initial=0) >= self.build.largest:
                return False
            rows = self.array(l, arrays[kind])[first : first + len(units)]
            if arrays[kind] == W_NOW:
                self._keep(l, first, rows != units)
            rows[...] = units
        if self.net.feedback == "transpose":
            for l, connection in enumerate(self.net.connections[1:], 2):
                weights = self.array(l, arrays[0])
                self.array(l, arrays[1])[...] = connection.backward_weights(weights)
        return True

    @property
    def trained(self) -> int:
        """Training samples that it has shown."""
        return self.build.trained(self._place)

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

    @property
    def is_int32(self) -> bool:
        """Whether its numbers have 32 bits."""
        return self.build.number is np.int32

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
        if which in (W, W_NOW):
            view = layout.weights(self._flat(l, which, layout.n_weights))
        elif which in (B, B_NOW):
            view = layout.backward(self._flat(l, which, layout.n_backward))
        else:
            view = self._flat(l, which, self.net.layer_sizes[l])
        return view

    def _units(self, l: int, which: int) -> Array:
        return self.array(l, which).astype(np.int64)

    def _reals(self, l: int, which: int) -> Array:
        reals: Array = self._grid.decode(self._units(l, which))
        return reals

    def read(self, samples_seen: int, which: tuple[int, int, int] = BEFORE) -> LearningState:
        """Return a copy of what was learned before the open sample, or up to now with `BY_NOW`."""
        net, L = self.net, self.net.n_layers
        with_feedback = range(2, L + 1) if net.feedback == "random" else ()
        return LearningState(
            weights=tuple(self._grid.decode(self.weights(l, which[0])) for l in range(1, L + 1)),
            backward_potentials=tuple(self._reals(l, which[2]) for l in range(1, L)),
            feedback=tuple(self._reals(l, which[1]) for l in with_feedback),
            samples_seen=samples_seen,
        )

    def show(
        self,
        batch: Batch,
        samples_seen: int,
        record: bool = False,
        margin: float | None = None,
    ) -> BlockResult:
        """Show the samples of a batch, and learn from each if it has targets.

        Stops before the first sample that may be out of range, which leaves no trace.
        """
        net, n, T, number = self.net, len(batch), batch.n_steps, self.build.number
        block, y = self.block, batch.y
        block.n_samples, block.n_steps, block.n_learned = n, T, samples_seen
        held: list[Array] = []
        block.x, block.y = self._rows_of(batch.x, held), CRows(kind=NONE)
        if y is not None:
            labels = y.ndim == 1
            y = np.ascontiguousarray(y, np.int64 if labels else np.float64)
            block.y = _rows(y, LABELS if labels else REALS)
            held.append(y)
        scores = np.empty((n, net.n_outputs))
        block.scores = scores.ctypes.data
        spikes: Array | None = None
        errors: Array | None = None
        step_scores: Array | None = None
        n_steps: Array | None = None
        operations: Array | None = None
        block.spikes = block.errors = block.step_scores = None
        if record:
            units = sum(net.layer_sizes)
            spikes, errors = np.zeros((n, T, units), number), np.zeros((n, T, units), number)
            step_scores = np.empty((n, T, net.n_outputs))
            block.spikes, block.errors = spikes.ctypes.data, errors.ctypes.data
            block.step_scores = step_scores.ctypes.data
        block.until_lead = margin is not None
        if margin is not None:
            n_steps, operations = np.zeros(n, np.int64), np.zeros((n, 2), np.int64)
            block.margin = margin
            block.steps_shown, block.operations = n_steps.ctypes.data, operations.ctypes.data
        done = self.build.show(self._block_address)
        others = (spikes, errors, step_scores, n_steps, operations)
        return BlockResult(
            scores[:done], *(part if part is None else part[:done] for part in others)
        )

    def _rows_of(self, x: Array | SparseRows, held: list[Array]) -> CRows:
        """Return input as the engine reads it from arrays that are added to `held`."""
        if isinstance(x, SparseRows):
            number = self._as_in_c(x.number)
            held += [number, x.begin, x.unit]
            at = {"begin": x.begin.ctypes.data, "unit": x.unit.ctypes.data}
            return CRows(at=number.ctypes.data, kind=_kind(number), **at)
        held.append(self._as_in_c(x))
        return _rows(held[-1], _kind(held[-1]))

    def _as_in_c(self, x: Array) -> Array:
        """Return input in a type and an order that the engine reads.

        Rows may overlap in memory, as those of overlapping windows do.
        """
        if self.net.input_coding == "spikes":
            x = spike_counts(x)
        elif x.dtype != np.uint8:
            x = x.astype(np.float64, copy=False)
        is_read = x.flags.aligned and x.strides[-1] == x.itemsize
        return x if is_read else np.array(x, order="C")


def _kind(x: Array) -> int:
    return LEVELS if x.dtype == np.uint8 else COUNTS if x.dtype == np.int64 else REALS


def _rows(values: Array, kind: int) -> CRows:
    return CRows(
        at=values.ctypes.data,
        sample_apart=values.strides[0],
        # One row stands for all steps.
        step_apart=values.strides[1] if values.ndim == 3 and values.shape[1] > 1 else 0,
        kind=kind,
    )


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
