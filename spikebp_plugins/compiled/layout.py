"""The flat arrays in which the compiled kernels hold a definition and its state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.outcome import Recording
from spikebp_plugins.compiled.connected import make_rows
from spikebp_plugins.compiled.kernels import arrays, blocks, boundary, entering
from spikebp_plugins.compiled.kernels.boundary import LOG_HEAD
from spikebp_plugins.compiled.kernels.products import ConnectedNetwork
from spikebp_plugins.compiled.kernels.runs import ConnectedSample
from spikebp_plugins.compiled.kernels.structs import Struct
from spikebp_plugins.compiled.kernels.vectors import LANES, whole_vectors
from spikebp_plugins.compiled.synapse_arrays import KINDS
from spikebp_plugins.network.arithmetic import (
    HIGHEST_WEIGHT,
    LARGEST_PAYLOAD,
    LARGEST_STATE,
    LARGEST_TRACE,
    LOWEST_WEIGHT,
    FixedPoint,
    Loihi2,
    arithmetic_of,
    constant_in,
)
from spikebp_plugins.network.delays import TABLES, Delays, delays_of, of_input_steps
from spikebp_plugins.network.fields import LOIHI2_RATE_BITS, Definition
from spikebp_plugins.network.operations import Operations, count_operations, operations_of
from spikebp_plugins.network.rates import added_squares, rate_shift, summed_error_limit
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState, drawn_backward_potentials

Array = NDArray[Any]

#: A bound below this proves that 32 bits hold a value, with half a spike to spare.
NARROW_CERTAIN: Final = 2.0**31 - 2.0**24
#: With more fraction bits than this, 32 bits hold too few spikes of potential.
NARROW_FRACTION_BITS: Final = 22
#: So many updates of all weights have room in the log of a sample.
UPDATES_LOGGED: Final = 16
#: Bytes of a line of the cache.
CACHE_LINE: Final = 64


class Layout:
    """How one definition lies in memory, in numbers of one type.

    Parameters
    ----------
    net : Definition
        The definition.
    dtype : dtype
        On a grid int64 or int32, which hold grid units; with event timing the type of the
        arithmetic.
    lanes : int, default=1
        Units of a layer, and columns of a matrix, are followed by zeros up to a multiple of this.
        Kernels compute with the zeros as with units that never fire.

    Attributes
    ----------
    widths : list of int
        Units of each layer, rounded up to a multiple of `lanes`.
    """

    def __init__(self, net: Definition, dtype: Any, lanes: int = 1) -> None:
        self.net = net
        # Rows of other connections than dense ones are whole vectors for kernels of any kind.
        self.lanes = lanes = lanes if net.is_dense else LANES
        self.widths = [whole_vectors(n, lanes) for n in net.layer_sizes]
        self._synapses = [KINDS[type(c)](c, lanes) for c in net.connections]
        self._rows = None
        if not net.is_dense:
            unit = np.cumsum([0, *self.widths], dtype=np.int64)
            self._rows = make_rows(net.connections, self._synapses, unit)
        self.arithmetic = arithmetic_of(net)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.narrow = self.dtype == np.int32
        delays, no_delays = delays_of(net), TABLES["immediate"](net.n_layers)
        self.network = self._network(delays)
        #: The same network for prediction, where no errors come back and delays change no result.
        self.undelayed = self.network if delays == no_delays else self._network(no_delays)

    def _network(self, delays: Delays) -> arrays.Network:
        net, arithmetic, L = self.net, self.arithmetic, self.net.n_layers
        edges = [0, 0, *(synapses.n_weights for synapses in self._synapses)]
        backs = [0, 0, 0, *(synapses.n_backward for synapses in self._synapses[1:])]
        number = self.dtype.type
        units = arithmetic.rate_units if isinstance(arithmetic, FixedPoint) else 0
        if isinstance(arithmetic, FixedPoint):
            bits = arithmetic.fraction_bits
            limit = math.ldexp(arithmetic.limit, bits)
            one, half, rate = number(2**bits), number(2 ** (bits - 1)), units
        else:
            bits, limit = 0, arithmetic.limit
            one, half, rate = number(1), number(0.5), number(net.rate)
        smoothed = net.presynaptic == "drive"
        fields: dict[str, Any] = {
            "sizes": np.array(net.layer_sizes, np.int64),
            "unit": np.cumsum([0, *self.widths], dtype=np.int64),
            "edge": np.cumsum(edges, dtype=np.int64),
            "back": np.cumsum(backs, dtype=np.int64),
            "spike_delay": np.array(delays.spikes, np.int64),
            "error_delay": np.array(delays.errors, np.int64),
            "forward_lag": np.array(delays.forward_lags, np.int64),
            "spike_order": _order(range(L + 1), delays.forward_lags),
            "error_order": _order(range(L, 0, -1), delays.backward_lags),
            "fraction_bits": bits,
            "input_scale": float(net.input_scale),
            "wrong_target": net.label_targets[0],
            "right_target": net.label_targets[1],
            "real": math.ldexp(1.0, -bits),
            "farthest": float(self._farthest),
            "one": one,
            "half": half,
            "rate": rate,
            "limit": limit,
            "certain": NARROW_CERTAIN if self.narrow else limit / 2,
            "narrow": self.narrow,
            "limited": net.spikes == "binary" or arithmetic.largest_payload is not None,
            "most": number(1 if net.spikes == "binary" else arithmetic.largest_payload or 0),
            "outer": net.learns_once,
            "normalized": net.update == "normalized",
            "rate_units": units,
            "added_squares": float(added_squares(net)),
            "rate_shift": np.array([0, *(rate_shift(net, l) for l in range(1, L + 1))], np.int64),
            "error_limit": np.array([summed_error_limit(net, l) for l in range(L + 1)], np.int64),
            "smoothed": smoothed,
            "factor_rate": type(rate)(1) if smoothed else rate,
            "counts_in": net.input_coding == "spikes",
            "random_feedback": net.feedback == "random",
            "zero_backward": net.backward_init == "zero",
            "uniform_backward": net.backward_init == "uniform",
            "chip": isinstance(arithmetic, Loihi2),
            "largest_message": number(LARGEST_PAYLOAD),
            "largest_trace": number(LARGEST_TRACE),
            "weight_shift": bits + (net.weight_exponent or 0),
            "lowest_weight": LOWEST_WEIGHT,
            "highest_weight": HIGHEST_WEIGHT,
            "rate_bits": LOIHI2_RATE_BITS,
            "seed": np.uint64(net.seed),
        }
        if self._rows is None:
            return arrays.Network(**fields)
        return ConnectedNetwork(**fields, rows=self._rows)

    def sample(self) -> arrays.Sample:
        """Return the arrays for the state of a sample."""
        units, layers = sum(self.widths), self.net.n_layers + 1
        state = self.zeros(5 * units + self.net.n_outputs)
        of_units = state[: 5 * units].reshape(5, units)
        potential, arriving, count, spike, error = of_units
        fields: dict[str, Any] = {
            "input": self.zeros(self.net.n_inputs),
            "target": self.zeros(self.net.n_outputs),
            "state": state,
            "potential": potential,
            "arriving": arriving,
            "count": count,
            "spike": spike,
            "error": error,
            "target_potential": state[5 * units :],
            "factor": self.zeros(units) if self.has_factors else count,
            "error_sum": self.zeros(units),
            "active": np.zeros(units, np.int64),
            "n_active": np.zeros(layers, np.int64),
            "n_errors": np.zeros(layers),
            "rate": np.full(layers, self.network.factor_rate),
            "drive_bound": np.zeros(layers),
            "target_bound": np.zeros(1),
            "moment": np.zeros(2, np.uint64),
        }
        if self._rows is None:
            return arrays.Sample(**fields)
        words = max(self.widths) // LANES + 1
        return ConnectedSample(
            **fields,
            bits=np.zeros(words, np.int64),
            before=np.zeros(words, np.int64),
            step=self.zeros(max(self._rows.up.length)),
            n_met=np.zeros(1, np.int64),
        )

    @property
    def has_factors(self) -> bool:
        """Whether weights learn from something other than input counts."""
        return self.net.presynaptic == "drive" or isinstance(self.arithmetic, Loihi2)

    def zeros(self, *shape: int) -> Array:
        """Return zeros of the type of the layout."""
        # Vectors that do not cross lines of the cache are read faster.
        size = math.prod(shape) * self.dtype.itemsize
        room = np.zeros(size + CACHE_LINE, np.uint8)
        start = -room.ctypes.data % CACHE_LINE
        zeros: Array = room[start : start + size].view(self.dtype).reshape(shape)
        return zeros

    def learning(self, state: LearningState) -> arrays.Learning:
        """Return a learning state in the form of the kernels."""
        net, L = self.net, self.net.n_layers
        learned = arrays.Learning(
            self.zeros(self.network.edge[-1]),
            self.zeros(self.network.back[-1]),
            self.zeros(self.network.unit[-1]),
            *(np.zeros(L + 1) for _ in range(3)),
        )
        for l, connection in enumerate(net.connections, 1):
            if connection.constant_weight is not None:
                constant = constant_in(net, connection)
                for values, edges in (
                    (learned.weight, self.network.edge),
                    (learned.backward, self.network.back),
                ):
                    values[edges[l] : edges[l + 1]] = self.encoded(constant)
        upper = zip(net.connections[1:], state.weights[1:], strict=True)
        feedback = state.feedback or [c.backward_weights(W) for c, W in upper]
        for l, weights in enumerate(state.weights, 1):
            self.weights(learned, l)[...] = self.encoded(weights)
        for l, backward in enumerate(feedback, 2):
            self._backward(learned, l)[...] = self.encoded(backward)
        for l, potential in enumerate(state.backward_potentials, 1):
            self.of_layer(learned.backward_potential, l)[...] = self.encoded(potential)
        return learned

    def weights(self, learning: arrays.Learning, l: int) -> Array:
        """Return the view of W_l, in its own shape."""
        start, stop = self.network.edge[l : l + 2]
        view: Array = self._synapses[l - 1].weights(learning.weight[start:stop])
        return view

    def _backward(self, learning: arrays.Learning, l: int) -> Array:
        start, stop = self.network.back[l : l + 2]
        view: Array = self._synapses[l - 1].backward(learning.backward[start:stop])
        return view

    def converted(self, learning: arrays.Learning) -> arrays.Learning | None:
        """Return a learning state in the type of this layout, or None if that cannot hold it."""
        largest = max(float(np.abs(values).max(initial=0)) for values in learning.arrays[:3])
        if self.narrow and not largest < self.network.certain:
            return None
        return self.copied(learning)

    def copied(self, learning: arrays.Learning) -> arrays.Learning:
        """Return a copy of a learning state, in the type of this layout."""
        copy = arrays.Learning(
            *(self.zeros(values.size) for values in learning.arrays[:3]),
            *(np.zeros_like(bound) for bound in learning.arrays[3:]),
        )
        overwrite(copy, learning)
        return copy

    def state(self, learning: arrays.Learning, samples_seen: int) -> LearningState:
        """Return what the kernels have learned in the form that all back ends share."""
        L = self.net.n_layers
        fixed = range(2, L + 1) if self.net.feedback == "random" else ()
        potential = learning.backward_potential
        return LearningState(
            weights=tuple(self.decoded(self.weights(learning, l)) for l in range(1, L + 1)),
            backward_potentials=tuple(
                self.decoded(self.of_layer(potential, l)) for l in range(1, L)
            ),
            feedback=tuple(self.decoded(self._backward(learning, l)) for l in fixed),
            samples_seen=samples_seen,
        )

    def of_layer(self, values: Array, l: int) -> Array:
        """Return the view of layer l in an array whose last axis is the units of all layers."""
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
        reals = np.ascontiguousarray(values, np.float64)
        numbers = np.empty(reals.shape, self.dtype)
        entering.to_numbers(self.network, reals.ravel(), scale, numbers.ravel())
        return numbers

    def counts(self, values: Array) -> Array:
        """Return spike counts in the numbers of the kernels."""
        counts: Array = np.clip(values, -self._farthest, self._farthest)
        return counts.astype(self.dtype, order="C")

    @cached_property
    def levels(self) -> Array:
        """The values of the 256 levels of 8-bit input, in the numbers of the kernels.

        As `entering` finds them, for fixed arithmetic, but without a kernel of its own to compile.
        """
        with np.errstate(over="ignore"):
            units = np.rint(np.arange(256) * self.net.input_scale * float(self.network.one))
        levels: Array = np.clip(units, -self._farthest, self._farthest).astype(self.dtype)
        return levels

    @property
    def _farthest(self) -> int:
        # Values out of range are cut to a magnitude that every bound refuses, or saturate.
        if isinstance(self.arithmetic, Loihi2):
            return LARGEST_STATE
        return 2**31 - 1 if self.narrow else 2**60

    def scores(self, drive: Array, n_steps: Any) -> NDArray[np.float64]:
        """Return summed drive of the output divided by the steps shown."""
        scores: NDArray[np.float64] = self.decoded(drive).astype(np.float64) / n_steps
        if self.net.timing == "event":  # handed out in single precision, as the authors do
            return scores.astype(np.float32).astype(np.float64)
        return scores

    def recording(
        self, record: Sequence[Array], n_steps: int, training: bool, delays: Delays | None = None
    ) -> Recording:
        """Return spikes, errors and running scores of samples, each under its step of input.

        Parameters
        ----------
        record : sequence of ndarray
            The arrays of a `BlockRecord`, of the shape (n_samples, steps of a sample, n).
        n_steps : int
            The steps of input.
        training : bool
            Whether errors are wanted.
        delays : Delays or None, default=None
            How many rows later than its step of input a layer is found; None takes the timing's.
        """
        delays = delays or delays_of(self.net)
        spikes, errors, drive = record

        def of_layers(values: Array, of_values: Sequence[int], first: int) -> list[Any]:
            return [
                self.of_layer(of_input_steps(values, delay, n_steps), l).astype(np.int64)
                for l, delay in enumerate(of_values[first:], first)
            ]

        steps_shown = np.arange(1, n_steps + 1)[:, np.newaxis]
        return Recording(
            spikes=of_layers(spikes, delays.spikes, 0),
            errors=[None, *of_layers(errors, delays.errors, 1)] if training else None,
            step_scores=self.scores(of_input_steps(drive, delays.spikes[-1], n_steps), steps_shown),
        )

    def drawn(self, batch: Batch, samples_seen: int) -> Array:
        """Return the backward potentials drawn for each sample, or a row of zeros if none are."""
        if batch.y is None or self.net.backward_init != "uniform":
            return self._nothing_drawn
        return np.stack([self.drawn_for(samples_seen + i) for i in range(len(batch))])

    @cached_property
    def _nothing_drawn(self) -> Array:
        return self.zeros(1, sum(self.widths))

    def drawn_for(self, samples_seen: int) -> Array:
        """Return the backward potentials drawn for one sample, of shape (sum of widths,)."""
        net = self.net
        row = self.zeros(sum(self.widths))
        if net.backward_init == "uniform":
            for l, values in enumerate(drawn_backward_potentials(net, samples_seen), 1):
                self.of_layer(row, l)[:] = self.encoded(values)
        return row

    def run(self, learning: arrays.Learning) -> arrays.Run:
        """Return a run with arrays of its own for the sample and the totals; it records nothing."""
        rooms = self.sample(), self.totals(), self.boundary(keeps=False), self.nowhere
        return arrays.Run(self.network, learning, *rooms)

    def totals(self) -> arrays.Totals:
        """Return counters at zero."""
        counted = self._n_counted
        return arrays.Totals(*(np.zeros(size, np.int64) for size in (counted, counted, 1, 3)))

    @property
    def _n_counted(self) -> int:
        """How many counts of spikes there are: of each layer, and perhaps of its operations."""
        layers = self.net.n_layers + 1
        return layers if self._rows is None else 2 * layers

    def count_sent(
        self, totals: arrays.Totals, l: int, spikes: Array, errors: Array | None
    ) -> None:
        """Count what layer l has sent in a step, and the operations where kernels count them."""
        layers, connections = self.net.n_layers + 1, self.net.connections
        k, e = np.abs(spikes).astype(object), None if errors is None else abs(errors.astype(object))
        totals.spikes[l] += k.sum()
        totals.errors[l] += 0 if e is None else e.sum()
        if self._rows is not None:
            if l < layers - 1:
                totals.spikes[layers + l] += connections[l].forward_operations(k)
            if l > 1 and e is not None:
                totals.errors[layers + l] += connections[l - 1].backward_operations(e)

    def forward_operations(self, spikes: Array) -> Array:
        """Return the forward operations of samples, of each of which one row counts the spikes."""
        # Of their products and sums, 64 bits may hold too few.
        counts = spikes.astype(object)
        if self._rows is not None:
            operations: Array = counts[:, self.net.n_layers + 1 :].sum(axis=1)
            return operations
        of_spikes = [connection.forward_operations(1) for connection in self.net.connections]
        operations = counts[:, :-1] @ of_spikes
        return operations

    def operations(
        self, spikes: Sequence[int], errors: Sequence[int], update: int, shown: int, trained: int
    ) -> Operations:
        """Return the operations that the counts of `Totals` stand for."""
        if self._rows is None:
            return count_operations(self.net, spikes, errors, update, shown=shown, trained=trained)
        layers = self.net.n_layers + 1
        return operations_of(
            self.net,
            forward=sum(spikes[layers:-1]),
            backward=sum(errors[layers + 2 :]),
            update=update,
            spikes=sum(spikes[:layers]),
            errors=sum(errors[:layers]),
            shown=shown,
            trained=trained,
        )

    def boundary(self, keeps: bool = True) -> arrays.Boundary:
        """Return room for what a sample changes; without `keeps` it holds the counts alone."""
        layers, units = self.net.n_layers + 1, sum(self.widths) if keeps else 0
        weights = sum(synapses.n_weights for synapses in self._synapses) if keeps else 0
        # Sums of integers that do not saturate are undone by their inverse.
        logs = keeps and self.dtype.kind == "i" and not self.network.chip
        of_step = sum(LOG_HEAD + n_in + 2 * n_out for n_in, n_out in pairwise(self.widths))
        log = UPDATES_LOGGED * of_step if logs else 0

        def integers(size: int) -> Array:
            return np.zeros(size, np.int64)

        return arrays.Boundary(
            keeps=keeps,
            is_open=np.zeros(1, np.bool_),
            logs=logs,
            log=self.zeros(log),
            n_logged=integers(1),
            is_whole=np.zeros(1, np.bool_),
            column=self.zeros(weights),
            n_used=integers(1),
            is_kept=np.zeros(units, np.bool_),
            n_kept=integers(1),
            kept_layer=integers(units),
            kept_unit=integers(units),
            kept_place=integers(units),
            kept_stride=integers(units),
            age=integers(1),
            backward_potential=self.zeros(units),
            weight_bound=np.zeros(layers),
            matrix_bound=np.zeros(layers),
            backward_bound=np.zeros(layers),
            spikes=integers(self._n_counted),
            errors=integers(self._n_counted),
            updates=integers(1),
        )

    def record(self, n_samples: int, n_steps: int) -> arrays.BlockRecord:
        """Return arrays for the record of a block; those of no samples record nothing."""
        units = sum(self.widths)
        sizes = (units, units, self.net.n_outputs)
        return arrays.BlockRecord(*(np.empty((n_samples, n_steps, n), self.dtype) for n in sizes))

    @cached_property
    def nowhere(self) -> arrays.BlockRecord:
        """The record that records nothing."""
        return self.record(0, 1)


def _order(layers: range, lags: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the order in which layers act in a step.

    A layer with a lag of 0 acts after the layer that sends to it, one with a lag of 1 before it.
    """
    order: list[int] = []
    for l in layers:
        order.insert(0 if lags[l] else len(order), l)
    return np.array(order, np.int64)


def overwrite(target: Struct, source: Struct) -> None:
    """Write the arrays of one struct into those of another."""
    for values, others in zip(target.arrays, source.arrays, strict=True):
        values[...] = others


def forget_bounds(learning: arrays.Learning, boundary: arrays.Boundary) -> None:
    """Have the next sample measure the bounds of weights that no kernel has written."""
    for bound in learning.arrays[-3:]:
        bound[...] = np.inf  # which proves nothing
    boundary.age[0] = blocks.SAMPLES_PER_BOUND


class Now(NamedTuple):
    """The learning state at a sample boundary; kernels change its arrays from sample to sample.

    Attributes
    ----------
    layout : Layout
        How the arrays lie in memory.
    learning : arrays.Learning
        What has been learned.
    boundary : arrays.Boundary
        Room for what a sample changes.
    totals : arrays.Totals
        What was counted since the start, except `work`.
    work : Operations
        The work that `totals` does not count.
    """

    layout: Layout
    learning: arrays.Learning
    boundary: arrays.Boundary
    totals: arrays.Totals
    work: Operations

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return int(self.totals.samples[2])

    @property
    def operations(self) -> Operations:
        """All work of samples that have ended."""
        counts = self.boundary if self.is_open else self.totals
        spikes, errors = counts.spikes.tolist(), counts.errors.tolist()
        updates, (shown, trained, _) = int(counts.updates[0]), self.totals.samples.tolist()
        return self.work + self.layout.operations(spikes, errors, updates, shown, trained)

    @property
    def is_open(self) -> bool:
        """Whether a sample has begun that has not ended."""
        return bool(self.boundary.is_open[0])

    def at_boundary(self) -> Now:
        """Return the state of the last boundary: while a sample is open, a copy to be read only."""
        if not self.is_open:
            return self
        learning = self.layout.copied(self.learning)
        boundary.restore_copy(self.layout.network, self.boundary, learning)
        blank = self.layout.boundary(keeps=False)
        return self._replace(learning=learning, boundary=blank)

    def closed(self) -> Now:
        """Return this state; if an interrupt has left a sample open, that of the last boundary."""
        if not self.is_open:
            return self
        totals, counts = self.layout.totals(), self.boundary
        overwrite(totals, self.totals)
        for name in ("spikes", "errors", "updates"):
            getattr(totals, name)[...] = getattr(counts, name)
        return self.at_boundary()._replace(totals=totals, boundary=self.layout.boundary())

    def within(self, layout: Layout) -> Now | None:
        """Return this state in another layout, or None if its type cannot hold the state."""
        if layout is self.layout:
            return self
        now = self.closed()
        learning = layout.converted(now.learning)
        return None if learning is None else now.with_learning(layout, learning)

    def like(self, layout: Layout) -> Now:
        """Return a state of the same kind in a layout, of which only the types are right."""
        return self._replace(
            layout=layout, learning=layout.copied(self.learning), boundary=layout.boundary()
        )

    def in_wider(self, layout: Layout) -> Now:
        """Return this state, within a sample or not, in a layout that holds all of its values."""
        if layout is self.layout:
            return self
        now = self.with_learning(layout, layout.copied(self.learning))
        overwrite(now.boundary, self.boundary)
        forget_bounds(now.learning, now.boundary)
        return now

    def with_learning(self, layout: Layout, learning: arrays.Learning) -> Now:
        """Return another learning state, whose bounds the next sample measures."""
        boundary = self.boundary if layout is self.layout else layout.boundary()
        forget_bounds(learning, boundary)
        return self._replace(layout=layout, learning=learning, boundary=boundary)

    def measure(self) -> None:
        """Measure the bounds if that is due, for threads, which only read the state."""
        age = self.boundary.age
        if age[0] >= blocks.SAMPLES_PER_BOUND:
            blocks.measure_bounds(self.layout.network, self.learning)
            age[0] = 0
