"""The flat arrays in which the compiled kernels hold a definition and its state."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.kernels import constant as grouped
from spikebp_plugins.compiled.kernels import rules as kernels
from spikebp_plugins.compiled.kernels.trains import MOST_LABEL, Sorting, Trains
from spikebp_plugins.compiled.kernels.vectors import LANES
from spikebp_plugins.network.arithmetic import FixedPoint, arithmetic_of
from spikebp_plugins.network.definition import LOIHI2_RATE_BITS, SpikingMLP
from spikebp_plugins.network.loihi2 import (
    HIGHEST_WEIGHT,
    LARGEST_PAYLOAD,
    LARGEST_STATE,
    LARGEST_TRACE,
    LOWEST_WEIGHT,
    Loihi2,
)
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState, Matrices, drawn_backward_potentials

Array = NDArray[Any]

#: A bound below this proves that 32 bits hold a value, with half a spike to spare.
NARROW_CERTAIN: Final = 2.0**31 - 2.0**24
#: With more fraction bits than this, 32 bits hold too little.
NARROW_FRACTION_BITS: Final = 22
#: Bytes of a line of the cache.
CACHE_LINE: Final = 64


def whole_vectors(n: int, lanes: int = LANES) -> int:
    """Return how many numbers the vectors have that hold n."""
    return -(-n // lanes) * lanes


class Layout:
    """How one definition lies in memory, in numbers of one type.

    Parameters
    ----------
    net : SpikingMLP
        The definition.
    dtype : dtype
        For fixed arithmetic int64 or int32, which hold grid units, or float64, which holds the
        values; else the type of the arithmetic.
    lanes : int, default=1
        Units of a layer, and columns of a matrix, are followed by zeros up to a multiple of this.
        Kernels compute with the zeros as with units that never fire.

    Attributes
    ----------
    widths : list of int
        Units of each layer, with those zeros.
    """

    def __init__(self, net: SpikingMLP, dtype: Any, lanes: int = 1) -> None:
        self.net = net
        self.lanes = lanes
        self.widths = [whole_vectors(n, lanes) for n in net.layer_sizes]
        self.arithmetic = arithmetic_of(net)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.narrow = self.dtype == np.int32
        self.network = self._network()

    def _network(self) -> kernels.Network:
        net, arithmetic = self.net, self.arithmetic
        sizes = np.array(net.layer_sizes)
        rows, widths = net.layer_sizes, self.widths
        edges = [0, 0, *(n * width for n, width in zip(rows, widths[1:], strict=False))]
        backs = [0, 0, 0, *(n * width for n, width in zip(rows[2:], widths[1:], strict=False))]
        number = self.dtype.type
        # Values on the grid in floating point are exact only while all sums are certain.
        narrow, grid, product = self.narrow, 0.0, math.inf
        if isinstance(arithmetic, FixedPoint) and self.dtype.kind == "i":
            bits, product = arithmetic.fraction_bits, kernels.WRAP
            limit = math.ldexp(arithmetic.limit, bits)
            one, half, rate = number(2**bits), number(2 ** (bits - 1)), arithmetic.rate_units
        elif isinstance(arithmetic, FixedPoint):
            bits, limit, narrow = 0, arithmetic.limit, True
            grid = 2.0**arithmetic.fraction_bits
            product = limit / grid
            one, half = number(1), number(0.5)
            rate = number(math.ldexp(arithmetic.rate_units, -arithmetic.fraction_bits))
        else:
            bits, limit = 0, arithmetic.limit
            one, half, rate = number(1), number(0.5), number(arithmetic.rate)
        smoothed = net.presynaptic == "drive"
        return kernels.Network(
            sizes=sizes,
            unit=np.concatenate([[0], np.cumsum(widths)]),
            edge=np.cumsum(edges),
            back=np.cumsum(backs),
            fraction_bits=bits,
            one=one,
            half=half,
            rate=rate,
            limit=limit,
            certain=NARROW_CERTAIN if self.narrow else limit / 2,
            narrow=narrow,
            limited=net.spikes == "binary" or arithmetic.largest_payload is not None,
            most=number(1 if net.spikes == "binary" else arithmetic.largest_payload or 0),
            outer=net.update == "outer",
            smoothed=smoothed,
            factor_rate=type(rate)(1) if smoothed else rate,
            grid=grid,
            largest_product=product,
            counts_in=net.input_coding == "spikes",
            random_feedback=net.feedback == "random",
            zero_backward=net.backward_init == "zero",
            uniform_backward=net.backward_init == "uniform",
            chip=isinstance(arithmetic, Loihi2),
            largest_message=number(LARGEST_PAYLOAD),
            largest_trace=number(LARGEST_TRACE),
            weight_shift=bits + (net.weight_exponent or 0),
            lowest_weight=LOWEST_WEIGHT,
            highest_weight=HIGHEST_WEIGHT,
            rate_bits=LOIHI2_RATE_BITS,
            seed=np.uint64(net.seed),
        )

    def sample(self) -> kernels.Sample:
        """Return room for what lasts for a sample."""
        net, units = self.net, sum(self.widths)
        layers = net.n_layers + 1
        count = self._zeros(units)
        return kernels.Sample(
            potential=self._zeros(units),
            arriving=self._zeros(units),
            target_potential=self._zeros(net.n_outputs),
            count=count,
            factor=self._zeros(units) if self.has_factors else count,
            error_sum=self._zeros(units),
            spike=self._zeros(units),
            error=self._zeros(units),
            active=np.zeros(units, np.int64),
            n_active=np.zeros(layers, np.int64),
            n_errors=np.zeros(layers),
            drive_bound=np.zeros(layers),
            target_bound=np.zeros(1),
            moment=np.zeros(2, np.uint64),
        )

    @property
    def has_factors(self) -> bool:
        """Whether errors teach with something else than counts."""
        return self.net.presynaptic == "drive" or isinstance(self.arithmetic, Loihi2)

    def _zeros(self, *shape: int) -> Array:
        # Vectors that do not cross lines of the cache are read faster.
        size = math.prod(shape) * self.dtype.itemsize
        room = np.zeros(size + CACHE_LINE, np.uint8)
        start = -room.ctypes.data % CACHE_LINE
        zeros: Array = room[start : start + size].view(self.dtype).reshape(shape)
        return zeros

    def trains(self, n_steps: int) -> Trains:
        """Return room for the spike trains of constant input."""
        n_0, labels = self.net.layer_sizes[0], 2 * MOST_LABEL + 1
        return Trains(
            known=np.zeros(labels, np.bool_),
            count=np.zeros((labels, whole_vectors(n_steps) + LANES), np.int64),
            n_jumps=np.zeros(n_steps, np.int64),
            jump_group=np.zeros((n_steps, n_0), np.int64),
            jump=np.zeros((n_steps, n_0), np.int64),
            sent=np.zeros(n_steps, np.int64),
        )

    def sorting(self) -> Sorting:
        """Return the working memory of what sorts constant input."""
        n_0 = whole_vectors(self.net.layer_sizes[0])
        return Sorting(
            place=np.zeros(whole_vectors(2 * MOST_LABEL + 1) + LANES, np.int64),
            rank=np.zeros(n_0, np.int64),
            unit=np.zeros(n_0, np.int64),
            value=self._zeros(n_0),
            label=self._zeros(n_0),
            at=np.zeros(n_0, np.int64),
            level_label=self._zeros(256),
        )

    def constant_inputs(self, batch: Batch) -> tuple[Array, Array]:
        """Return what the levels of 8-bit input stand for, and the input, one row a sample.

        Where it has no levels, it is in the numbers of the kernels.
        """
        if batch.x.dtype == np.uint8:
            return self._levels, np.ascontiguousarray(batch.x)
        return self._zeros(0), self.shown(batch.x, self.net.input_scale)

    def workspace(self, n_steps: int) -> grouped.Workspace:
        """Return the working memory of the kernel for constant input."""
        n_0, width = self.net.layer_sizes[0], self.widths[1]
        widest = max(self.widths[1:])

        def indices(*shape: int) -> NDArray[np.int64]:
            return np.zeros(shape, np.int64)

        return grouped.Workspace(
            sums=self._zeros(n_0 * width),
            drive=self._zeros(n_steps, widest),
            spike=self._zeros(2, n_steps, widest),
            active=indices(2, n_steps, widest),
            n_active=indices(2, n_steps),
            product=indices(whole_vectors(n_steps)),
            n_past=indices(1),
            past_step=indices(n_steps * width),
            past_unit=indices(n_steps * width),
            past_error=self._zeros(n_steps * width),
            past_place=indices(n_steps * width),
            column=indices(width),
            change=self._zeros(width),
            place=indices(width),
            row=self._zeros(width),
        )

    def learning(self, state: LearningState) -> kernels.Learning:
        """Return a learning state in the form of the kernels."""
        back = state.feedback or tuple(w.T for w in state.weights[1:])
        ends = [np.zeros(n, self.arithmetic.dtype) for n in (self.net.n_inputs, self.net.n_outputs)]
        bounds = [np.zeros(self.net.n_layers + 1) for _ in range(3)]
        return kernels.Learning(
            self._flat(state.weights),
            self._flat(back),
            self._flat((ends[0], *state.backward_potentials, ends[1])),
            *bounds,
        )

    def _flat(self, arrays: Matrices) -> Array:
        shapes = [(*a.shape[:-1], whole_vectors(a.shape[-1], self.lanes)) for a in arrays]
        flat, start = self._zeros(sum(math.prod(shape) for shape in shapes)), 0
        for array, shape in zip(arrays, shapes, strict=True):
            stop = start + math.prod(shape)
            flat[start:stop].reshape(shape)[..., : array.shape[-1]] = self.encoded(array)
            start = stop
        return flat

    def borrowed(self, learning: kernels.Learning) -> kernels.Learning:
        """Return a learning state to read only, with bounds of its own for each thread."""
        *values, _, _, _ = learning
        bounds = [np.zeros(self.net.n_layers + 1) for _ in range(3)]
        return kernels.Learning(*values, *bounds)

    def converted(self, learning: kernels.Learning) -> kernels.Learning | None:
        """Return a learning state of another type in this one, or None where it does not fit."""
        fields = (learning.weight, learning.backward, learning.backward_potential)
        largest = max(float(np.abs(values).max(initial=0)) for values in fields)
        if self.narrow and not largest < self.network.certain:
            return None
        return self.copied(learning)

    def copied(self, learning: kernels.Learning) -> kernels.Learning:
        """Return a copy of a learning state, in the type of this layout."""
        copy = kernels.Learning(
            *(self._zeros(values.size) for values in learning[:3]),
            *(np.zeros_like(bound) for bound in learning[3:]),
        )
        for target, source in zip(copy, learning, strict=True):
            target[...] = source
        return copy

    def state(self, learning: kernels.Learning, samples_seen: int) -> LearningState:
        """Return what the kernels have learned in the form that all back ends share."""
        net, network = self.net, self.network
        feedback_shapes = net.feedback_shapes if net.feedback == "random" else ()

        def cut(flat: Array, starts: NDArray[np.int64], shapes: Any, first: int) -> Matrices:
            return tuple(
                self.decoded(flat[starts[l] : starts[l + 1]].reshape(n_rows, -1)[:, :n_columns])
                for l, (n_rows, n_columns) in enumerate(shapes, first)
            )

        return LearningState(
            weights=cut(learning.weight, network.edge, net.weight_shapes, 1),
            backward_potentials=tuple(
                self.decoded(self.of_layer(learning.backward_potential, l))
                for l in range(1, net.n_layers)
            ),
            feedback=cut(learning.backward, network.back, feedback_shapes, 2),
            samples_seen=samples_seen,
        )

    def of_layer(self, values: Array, l: int) -> Array:
        """Return the part of an array over all units, along its last axis, that is layer l."""
        start = self.network.unit[l]
        part: Array = values[..., start : start + self.net.layer_sizes[l]]
        return part

    def encoded(self, values: Array) -> Array:
        """Return values on the grid in the numbers of the kernels."""
        return values if self.dtype.kind == "f" else self.arithmetic.encode(values)

    def decoded(self, values: Array) -> Array:
        """Return the values that :meth:`encoded` turned into numbers of the kernels."""
        if self.dtype.kind == "f":
            return values.astype(self.arithmetic.dtype)
        return self.arithmetic.decode(values.astype(self.arithmetic.storage_dtype))

    def shown(self, values: Array, scale: float = 1.0) -> Array:
        """Return real values, scaled and rounded, in the numbers of the kernels."""
        if self.dtype.kind == "i":
            return self._units(values, scale)
        with np.errstate(over="ignore"):
            scaled = np.asarray(values, np.float64) * scale
        return self.arithmetic.round(scaled).astype(self.dtype, order="C")

    def counts(self, values: Array) -> Array:
        """Return spike counts in the numbers of the kernels."""
        counts: Array = np.clip(values, -self._farthest, self._farthest)
        return counts.astype(self.dtype, order="C")

    def inputs(self, batch: Batch) -> Array:
        """Return the input of a batch in the numbers of the kernels, as `Batch.inputs` has it.

        Here and for targets, rows follow each other in memory whatever the order that they came
        in: every other order would compile anew.
        """
        if self.net.input_coding == "spikes":
            return self.counts(batch.inputs())
        x = batch.rows()
        if x.dtype == np.uint8 and self.dtype.kind == "i":
            # No index is out of range; with mode="wrap" NumPy does not look for one.
            return np.ascontiguousarray(self._levels.take(x, mode="wrap"))
        return self.shown(x, self.net.input_scale)

    def targets(self, batch: Batch) -> Array:
        """Return the targets of a batch in the numbers of the kernels."""
        return self.shown(batch.targets())

    @cached_property
    def _levels(self) -> Array:
        """What the levels of 8-bit input stand for."""
        return self._units(np.arange(256), self.net.input_scale)

    def _units(self, values: Array, scale: float) -> Array:
        reals = np.ascontiguousarray(values, np.float64)
        units = np.empty(reals.shape, self.dtype)
        one = 2.0**self.network.fraction_bits
        kernels.to_units(reals.ravel(), scale, one, self._farthest, units.ravel())
        return units

    @property
    def _farthest(self) -> int:
        # Values out of range are cut to a magnitude that no bound admits, or saturate.
        if isinstance(self.arithmetic, Loihi2):
            return LARGEST_STATE
        return 2**31 - 1 if self.narrow else 2**60

    def scores(self, drive: Array, n_steps: Any) -> NDArray[np.float64]:
        """Return summed drive of the output divided by the steps shown."""
        scores: NDArray[np.float64] = self.decoded(drive).astype(np.float64) / n_steps
        if self.net.timing == "event":  # handed out in single precision, as the authors do
            return scores.astype(np.float32).astype(np.float64)
        return scores

    def drawn(self, batch: Batch, samples_seen: int) -> Array:
        """Return drawn backward potentials, one row a sample; one row of zeros if none are."""
        if batch.y is None or self.net.backward_init != "uniform":
            return self._nothing_drawn
        return np.stack([self.drawn_for(samples_seen + i) for i in range(len(batch))])

    @cached_property
    def _nothing_drawn(self) -> Array:
        return self._zeros(1, sum(self.widths))

    def drawn_for(self, samples_seen: int) -> Array:
        """Return the backward potentials drawn for one sample, those of all layers in a row."""
        net = self.net
        row = self._zeros(sum(self.widths))
        if net.backward_init == "uniform":
            for l, values in enumerate(drawn_backward_potentials(net, samples_seen), 1):
                self.of_layer(row, l)[:] = self.encoded(values)
        return row

    def totals(self) -> kernels.Totals:
        """Return counters at zero."""
        layers = self.net.n_layers + 1
        return kernels.Totals(*(np.zeros(size, np.int64) for size in (layers, layers, 1)))

    def record(self, n_samples: int, n_steps: int) -> kernels.Record:
        """Return room for what a block shows."""
        units = sum(self.widths)
        sizes = (units, units, self.net.n_outputs)
        return kernels.Record(*(np.empty((n_samples, n_steps, n), self.dtype) for n in sizes))
