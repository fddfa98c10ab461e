"""The back end `compiled`: the step rules compiled by Numba, the default."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.arithmetic import LIMIT, Arithmetic, FixedPoint, arithmetic_of
from spikebp_plugins.backends import kernels
from spikebp_plugins.backends.base import Backend, Outcome, Recording
from spikebp_plugins.backends.reference import recording_of
from spikebp_plugins.batch import Batch
from spikebp_plugins.definition import SpikingMLP
from spikebp_plugins.operations import count_operations
from spikebp_plugins.reference import run_sample
from spikebp_plugins.state import LearningState, Matrices, drawn_backward_potentials

#: Multiplications of a dense network after which a block ends: about a tenth of a second.
BLOCK_WORK = 1_000_000_000

#: Inputs beyond the range are cut to this, far enough out for the kernel to refuse the sample.
OUT_OF_RANGE = 2.0**60


class CompiledBackend(Backend):
    """The default back end: the step rules compiled, in time that follows the spikes."""

    def __init__(self, net: SpikingMLP, state: LearningState) -> None:
        super().__init__(net, state)
        self._arithmetic = arithmetic_of(net)
        self._network = _network(net, self._arithmetic)
        self._sample = _sample(net, self._arithmetic)
        # A block changes a copy, which takes the original's place in one assignment when the
        # block is done: a refused sample, or Ctrl-C at any moment, leaves a sample boundary.
        self._committed = (_learning(net, self._arithmetic, state), state.samples_seen)
        self._spare = _learning(net, self._arithmetic, state)

    @property
    def state(self) -> LearningState:
        """What has been learned so far."""
        net, network = self.net, self._network
        learning, samples_seen = self._committed
        feedback_shapes = net.feedback_shapes if net.feedback == "random" else ()

        def cut(flat: NDArray[Any], starts: NDArray[np.int64], shapes: Any, first: int) -> Matrices:
            return tuple(
                self._arithmetic.decode(flat[starts[l] : starts[l + 1]].reshape(shape).copy())
                for l, shape in enumerate(shapes, first)
            )

        return LearningState(
            weights=cut(learning.weight, network.edge, net.weight_shapes, 1),
            backward_potentials=cut(
                learning.backward_potential, network.unit, net.layer_sizes[1:-1], 1
            ),
            feedback=cut(learning.feedback, network.back, feedback_shapes, 2),
            samples_seen=samples_seen,
        )

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    def block_size(self, n_steps: int) -> int:
        """Return how many samples to hand over at a time."""
        dense = sum(n_in * n_out for n_in, n_out in self.net.weight_shapes)
        return max(1, BLOCK_WORK // (n_steps * dense))

    def _show(self, batch: Batch, record: bool) -> Outcome:
        results, start = [], 0
        while start < len(batch):
            rest = batch[start:]
            result = self._attempt(rest, record)
            if result is None:
                # The first sample itself was refused.
                result = self._by_reference(rest[:1], record)
            results.append(result)
            start += len(result.scores)
        if len(results) == 1:
            return results[0]
        scores = np.concatenate([result.scores for result in results])
        return Outcome(scores, _concatenated([r.recording for r in results if r.recording]))

    def _attempt(self, batch: Batch, record: bool) -> Outcome | None:
        """Show the samples before the first that the kernel refuses; None if that is the first."""
        training = batch.y is not None
        learning, samples_seen = self._committed
        working = self._spare if training else learning
        if training:
            for source, target in zip(learning, working, strict=True):
                target[...] = source
        totals = _totals(self.net)
        shown = _record(self.net, self._arithmetic, batch if record else batch[:0])
        drive = np.empty((len(batch), self.net.n_outputs), self._arithmetic.storage_dtype)
        done = kernels.run_block(
            self._network,
            working,
            self._sample,
            self._encode(batch.inputs()),
            self._encode(batch.targets() if training else np.zeros((1, 1, 1))),
            self._drawn(batch, samples_seen),
            batch.n_steps,
            training,
            totals,
            shown,
            drive,
        )
        if done < len(batch):
            return self._attempt(batch[:done], record) if done else None
        self.operations += count_operations(
            self.net,
            totals.spikes,
            totals.errors,
            totals.updates[0],
            shown=done,
            trained=done * training,
        )
        if training:
            self._spare = learning
            self._committed = (working, samples_seen + done)
        scores = self._decode(drive) / batch.n_steps
        return Outcome(scores, self._recording(shown, training) if record else None)

    def _by_reference(self, batch: Batch, record: bool) -> Outcome:
        """Show one sample whose range the kernel could not prove."""
        y = None if batch.y is None else batch.targets()[0]
        state, shown = run_sample(self.net, self.state, batch.inputs()[0], y, batch.n_steps)
        self._committed = (_learning(self.net, self._arithmetic, state), state.samples_seen)
        self.operations += shown.operations
        return Outcome(shown.step_scores[-1:], recording_of(self.net, [shown]) if record else None)

    def _encode(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind == "i" or not isinstance(self._arithmetic, FixedPoint):
            return values.astype(self._arithmetic.storage_dtype)
        units = np.ldexp(values, self._arithmetic.fraction_bits)
        return np.clip(units, -OUT_OF_RANGE, OUT_OF_RANGE, out=units).astype(np.int64)

    def _decode(self, units: NDArray[Any]) -> NDArray[np.float64]:
        return self._arithmetic.decode(units).astype(np.float64)

    def _drawn(self, batch: Batch, samples_seen: int) -> NDArray[Any]:
        """Return drawn backward potentials in the layout of the kernel, one row a sample."""
        net, dtype = self.net, self._arithmetic.storage_dtype
        drawn = np.zeros((1, sum(net.layer_sizes)), dtype)
        if batch.y is None or net.backward_init != "uniform" or net.n_layers == 1:
            return drawn
        drawn = np.repeat(drawn, len(batch), axis=0)
        inner = slice(net.layer_sizes[0], -net.layer_sizes[-1])
        for i in range(len(batch)):
            values = np.concatenate(drawn_backward_potentials(net, samples_seen + i))
            drawn[i, inner] = self._arithmetic.encode(values)
        return drawn

    def _recording(self, shown: kernels.Record, training: bool) -> Recording:
        starts = np.cumsum(self.net.layer_sizes)[:-1]
        spikes = np.split(shown.spikes.astype(np.int64), starts, axis=2)
        errors = np.split(shown.errors.astype(np.int64), starts, axis=2)
        steps = np.arange(1, shown.drive.shape[1] + 1)[:, np.newaxis]
        return Recording(
            spikes=spikes,
            errors=[None, *errors[1:]] if training else None,
            step_scores=self._decode(shown.drive) / steps,
        )


def _network(net: SpikingMLP, arithmetic: Arithmetic) -> kernels.Network:
    sizes = np.array(net.layer_sizes)
    one: Any
    half: Any
    rate: Any
    edges = [0, 0, *(n_in * n_out for n_in, n_out in net.weight_shapes)]
    backs = [0, 0, 0, *(n_out * n_in for n_out, n_in in net.feedback_shapes)]
    if isinstance(arithmetic, FixedPoint):
        one, rate = np.int64(2**arithmetic.fraction_bits), np.int64(arithmetic.rate_units)
        half, bits, limit = np.int64(one // 2), arithmetic.fraction_bits, float(LIMIT)
    else:
        number = arithmetic.dtype.type
        one, half, rate = number(1), number(0.5), number(arithmetic.rate)
        bits, limit = 0, arithmetic.limit
    return kernels.Network(
        sizes=sizes,
        unit=np.concatenate([[0], np.cumsum(sizes)]),
        edge=np.cumsum(edges),
        back=np.cumsum(backs) if net.feedback == "random" else np.zeros(len(backs), np.int64),
        fraction_bits=bits,
        one=one,
        half=half,
        rate=rate,
        limit=limit,
        certain=limit / 2,
        binary=net.spikes == "binary",
        outer=net.update == "outer",
        counts_in=net.input_coding == "spikes",
        random_feedback=net.feedback == "random",
        zero_backward=net.backward_init == "zero",
        uniform_backward=net.backward_init == "uniform",
    )


def _learning(net: SpikingMLP, arithmetic: Arithmetic, state: LearningState) -> kernels.Learning:
    def flat(arrays: Matrices) -> NDArray[Any]:
        parts = [arithmetic.encode(array).ravel() for array in arrays]
        return np.concatenate([np.empty(0, arithmetic.storage_dtype), *parts])

    ends = [np.zeros(size, arithmetic.dtype) for size in (net.n_inputs, net.n_outputs)]
    bounds = [np.zeros(net.n_layers + 1) for _ in range(3)]
    return kernels.Learning(
        flat(state.weights),
        flat(state.feedback),
        flat((ends[0], *state.backward_potentials, ends[1])),
        *bounds,
    )


def _sample(net: SpikingMLP, arithmetic: Arithmetic) -> kernels.Sample:
    units, widest = sum(net.layer_sizes), max(net.layer_sizes)

    def zeros(size: int) -> NDArray[Any]:
        return np.zeros(size, arithmetic.storage_dtype)

    return kernels.Sample(
        potential=zeros(units),
        target_potential=zeros(net.n_outputs),
        drive=zeros(units),
        count=zeros(units),
        error_sum=zeros(units),
        spike=zeros(units),
        error=zeros(units),
        incoming=zeros(widest),
        active=np.zeros(widest, np.int64),
        drive_bound=np.zeros(net.n_layers + 1),
        target_bound=np.zeros(1),
    )


def _totals(net: SpikingMLP) -> kernels.Totals:
    layers = net.n_layers + 1
    return kernels.Totals(*(np.zeros(size, np.int64) for size in (layers, layers, 1)))


def _record(net: SpikingMLP, arithmetic: Arithmetic, batch: Batch) -> kernels.Record:
    units, steps = sum(net.layer_sizes), (len(batch), batch.n_steps)

    def empty(size: int) -> NDArray[Any]:
        return np.empty((*steps, size), arithmetic.storage_dtype)

    return kernels.Record(empty(units), empty(units), empty(net.n_outputs))


def _concatenated(recordings: list[Recording]) -> Recording | None:
    if not recordings:
        return None

    def layers(parts: list[Any]) -> list[Any]:
        return [None if p[0] is None else np.concatenate(p) for p in zip(*parts, strict=True)]

    trained = recordings[0].errors is not None
    return Recording(
        spikes=layers([recording.spikes for recording in recordings]),
        errors=layers([recording.errors for recording in recordings]) if trained else None,
        step_scores=np.concatenate([recording.step_scores for recording in recordings]),
    )
