"""A network in the order of events, in the memory of C."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike
from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.engine.network import aligned
from spikebp_plugins.engine.wiring import padded
from spikebp_plugins.event_order.checkpoint import LARGEST_POTENTIAL, EventCheckpoint
from spikebp_plugins.event_order.definition import EventMLP
from spikebp_plugins.event_order.library import PSI, QUANTITIES, B, CBlock, CDefinition, W, build_of
from spikebp_plugins.network.arithmetic import out_of_range
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import label_rows

Array = NDArray[Any]

#: Synapses times steps that are shown in one call of C, which takes some tenths of a second;
#: Ctrl-C is served between two.
BLOCK_WORK: Final = 400_000_000

#: No layer may send so many spikes in one step: as `event_queue.h` has it.
MOST_FIRED: Final = 2**20


class EventRecord(NamedTuple):
    """What a network has sent for some samples.

    Attributes
    ----------
    scores : ndarray of shape (n_samples, n_outputs)
        The scores.
    spikes : list of ndarray of shape (n_samples, n_steps, n_units)
        Net spikes of layers 0 to L in each step.
    errors : list of ndarray of shape (n_samples, n_steps, n_units)
        Net error spikes behind the gate; layer 0 has none, and there are none without learning.
    """

    scores: NDArray[np.float64]
    spikes: list[NDArray[np.int64]]
    errors: list[NDArray[np.int64]]


class EventNetwork:
    """A network that learns and predicts in the order of events.

    After any exception its state is that between two samples: what was learned before stays.

    Parameters
    ----------
    start : EventMLP or EventCheckpoint
        A definition, whose initial weights it begins with, or what it goes on from.
    weights : sequence of array-like of shape (n_in, n_out), or None, default=None
        Other initial weights of a definition.

    Examples
    --------
    >>> net = EventNetwork(EventMLP((2, 3, 2), seed=1), [[[1, 0, 0], [0, 1, 0]], np.eye(3, 2)])
    >>> net.predict([[0.25, 0.5]])
    array([[0.2, 0.5]])
    """

    def __init__(
        self, start: EventMLP | EventCheckpoint, weights: Sequence[Any] | None = None
    ) -> None:
        if isinstance(start, EventMLP):
            start = EventCheckpoint.initial(start, weights)
        elif not isinstance(start, EventCheckpoint):
            raise wrong_argument("start", "an EventMLP or an EventCheckpoint", repr(start))
        elif weights is not None:
            raise wrong_argument("weights", "None with a checkpoint", "matrices")
        net = self.net = start.net
        self._seen_before, self._build = start.samples_seen, build_of(net.arithmetic)
        self._sizes = np.array(net.layer_sizes, np.int32)
        definition = CDefinition(
            sizes=self._sizes.ctypes.data,
            rate=net.rate,
            limit=net.limit,
            n_layers=net.n_layers,
            starts_at_zero=net.backward_init == "zero",
            is_outer=net.update == "outer",
            is_depth=net.order == "depth",
            holds_error=net.hold_error,
        )
        n_learned = ctypes.c_int64()
        n_sample = self._build.size(ctypes.byref(definition), ctypes.byref(n_learned))
        self._learned = aligned(n_learned.value, np.uint8)
        self._sample = aligned(n_sample, np.uint8)
        self._place = self._build.place(
            ctypes.byref(definition), self._learned.ctypes.data, self._sample.ctypes.data
        )
        for l, matrix in enumerate(start.weights, 1):
            self._array(l, W)[...] = matrix
            if l > 1:
                self._array(l, B)[...] = matrix.T
        for l, potentials in enumerate(start.backward_potentials, 1):
            self._array(l, PSI)[...] = potentials

    def train(self, x: Any, y: Any, record: bool = False) -> Any:
        """Learn from samples in order.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs)
            Input, which is shown in every step.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Integer labels, which ask their output for one spike a step and others for none, or
            real targets, in spikes a step.
        record : bool, default=False
            Whether to return all spikes too.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs) or EventRecord
            The scores, or with `record` what was sent.

        Raises
        ------
        ValueError
            If an argument is not allowed.
        OverflowError
            If a value leaves its range. The samples before that one have been learned.
        """
        inputs = self._inputs(x)
        return self._show(inputs, self._targets(y, len(inputs)), record)

    def predict(self, x: Any, record: bool = False) -> Any:
        """Show samples and learn nothing.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs)
            Input, which is shown in every step.
        record : bool, default=False
            Whether to return all spikes too.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs) or EventRecord
            The scores, or with `record` what was sent.

        Raises
        ------
        ValueError
            If an argument is not allowed.
        OverflowError
            If a value leaves its range.
        """
        return self._show(self._inputs(x), None, record)

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of :math:`W_1` to :math:`W_L`."""
        return [self._array(l, W).astype(np.float64) for l in range(1, self.net.n_layers + 1)]

    @property
    def samples_seen(self) -> int:
        """Training samples so far."""
        return self._seen_before + self._counts()[1]

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far; each spike is a message."""
        sizes, (shown, trained, update, *sent) = self.net.layer_sizes, self._counts()
        spikes, errors = sent[::2], sent[1::2]
        forward = sum(k * n for k, n in zip(spikes[:-1], sizes[1:], strict=True))
        backward = sum(e * n for e, n in zip(errors[2:], sizes[1:-1], strict=True))
        return Operations(
            forward=forward,
            backward=backward,
            update=update,
            dense=sum(n * m for n, m in pairwise(sizes)) * (shown + 2 * trained),
            samples=shown,
            spikes=sum(spikes),
            errors=sum(errors),
            messages=sum(sent),
            multiply_adds=forward + backward + update,
        )

    def checkpoint(self) -> EventCheckpoint:
        """Return a copy of what has been learned."""
        L = self.net.n_layers
        return EventCheckpoint(
            self.net,
            tuple(self._array(l, W).copy() for l in range(1, L + 1)),
            tuple(self._array(l, PSI).copy() for l in range(1, L)),
            self.samples_seen,
        )

    def save(self, path: PathLike) -> None:
        """Write the checkpoint, whole or not at all."""
        self.checkpoint().save(path)

    def _counts(self) -> list[int]:
        """Return samples shown, those learned, updates, and spikes and errors of each layer."""
        counts = np.zeros(3 + 2 * len(self._sizes), np.int64)
        self._build.write_counts(self._place, counts.ctypes.data)
        return [int(count) for count in counts]

    def _array(self, l: int, which: int) -> Array:
        """Return a view of an array of layer l."""
        n, below = self.net.layer_sizes[l], self.net.layer_sizes[l - 1]
        rows, length = {W: (below, n), B: (n, below)}.get(which, (1, n))
        is_learned = which in (W, B, PSI)
        number: Any = np.ctypeslib.as_ctypes_type(self.net.arithmetic if is_learned else np.int64)
        at = self._build.array(self._place, l, which)
        flat = np.ctypeslib.as_array((number * (rows * padded(length))).from_address(at))
        matrix: Array = flat.reshape(rows, padded(length))[:, :length]
        return matrix if which in (W, B) else matrix[0]

    def _inputs(self, x: Any) -> Array:
        allowed = f"real numbers of shape (n_samples, {self.net.n_inputs})"
        array = array_of("x", x, REALS, allowed)
        if array.ndim != 2 or array.shape[1] != self.net.n_inputs:
            raise wrong_argument("x", allowed, f"shape {array.shape}")
        return finite("x", array)

    def _targets(self, y: Any, n: int) -> Array:
        """Return labels, or real targets."""
        n_outputs = self.net.n_outputs
        allowed = f"labels of shape ({n},) or real numbers of shape ({n}, {n_outputs})"
        array = array_of("y", y, REALS, allowed)
        if array.shape not in ((n,), (n, n_outputs)):
            raise wrong_argument("y", allowed, f"shape {array.shape}")
        if array.ndim == 2:
            return finite("y", array)
        if array.dtype.kind not in "iu" or not np.all((array >= 0) & (array < n_outputs)):
            raise wrong_argument("y", f"integer labels from 0 to {n_outputs - 1}", repr(array))
        return array

    def _rows(self, values: Array) -> Array:
        """Return rows in the type of the arithmetic, as C reads them."""
        length = padded(values.shape[1])
        flat = aligned(len(values) * length, self.net.arithmetic)
        rows: Array = flat.reshape(len(values), length)
        with np.errstate(over="ignore"):
            rows[:, : values.shape[1]] = values
        return rows

    def _show(self, x: Array, y: Array | None, record: bool) -> NDArray[np.float64] | EventRecord:
        net, done = self.net, 0
        work = net.n_steps * sum(n * m for n, m in net.weight_shapes)
        size = max(1, BLOCK_WORK // work)
        parts: list[list[Array]] = []
        while done < len(x) or not parts:
            block = slice(done, done + size)
            parts.append(self._show_block(x[block], None if y is None else y[block], record))
            done += len(parts[-1][0])
            if done < min(block.stop, len(x)):
                raise self._overflow(done)
        scores: NDArray[np.float64]
        scores, *sent = (np.concatenate(kind) for kind in zip(*parts, strict=True))
        if not record:
            return scores
        bounds = list(pairwise(np.cumsum([0, *net.layer_sizes])))
        spikes, errors = ([kind[..., a:b].astype(np.int64) for a, b in bounds] for kind in sent)
        return EventRecord(scores, spikes, errors)

    def _show_block(self, x: Array, y: Array | None, record: bool) -> list[Array]:
        """Show samples up to the first with a value out of range, of which nothing is left.

        Returns their scores, and with `record` the spikes and errors of all layers side by side.
        """
        net, n = self.net, len(x)
        with np.errstate(over="ignore"):
            inputs = self._rows(x.astype(np.float64) * net.input_scale)
        if y is not None:
            y = self._rows(label_rows(y, net.n_outputs, (0.0, 1.0)) if y.ndim == 1 else y)
        shape = (n, net.n_steps, sum(net.layer_sizes))
        sent = [np.zeros(shape, net.arithmetic) for _ in range(2 * record)]
        shown = [np.empty((n, net.n_outputs)), *sent]
        block = CBlock(
            self._place,
            inputs.ctypes.data,
            None if y is None else y.ctypes.data,
            n,
            net.n_steps,
            *(part.ctypes.data for part in shown),
        )
        done = self._build.show(ctypes.byref(block))
        return [part[:done] for part in shown]

    def _overflow(self, sample: int) -> OverflowError:
        """Return the error for a sample that was refused."""
        fault = np.zeros(3)
        self._build.write_fault(self._place, fault.ctypes.data)
        quantity, layer, value = QUANTITIES[int(fault[0])], int(fault[1]), float(fault[2])
        if quantity == "spikes in one step":
            error = f"{quantity} of layer {layer} must be fewer than {MOST_FIRED}; there were more"
        else:
            has_own_limit = quantity in ("summed drive", "weight")
            limit = self.net.limit if has_own_limit else LARGEST_POTENTIAL
            error = str(out_of_range(quantity, layer, limit, abs(value)))
        return OverflowError(f"{error}, in sample {sample}")
