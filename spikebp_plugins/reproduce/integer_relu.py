r"""An integer network of rectified units that skips zeros: the rival of the spiking network.

It learns on line, one sample at a time, and multiplies where the other adds. Numbers are integers;
:math:`\lfloor v \rceil_b` rounds to b bits behind the point. For a sample x with target y:

.. math::

    a_0 &= \lfloor x \rceil_8, \qquad s_l = a_{l-1} W_l, \qquad
    a_l = \lfloor \max(0, s_l) \rfloor_8 \\
    e_L &= \lfloor s_L - y \rceil_6, \qquad e_{l-1} = \lfloor W_l e_l \rceil_6 \, [a_{l-1} > 0] \\
    W_l &\leftarrow W_l - \lfloor \eta \, a_{l-1} e_l^T \rceil_f

The rate :math:`\eta` is a power of two. Errors are so coarse because that makes most of them zero,
and a network no worse: it then learns with as few operations as a spiking one. No sum or weight is
checked in a sample, which would cost time; weights are checked after each call.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.compiled.kernels.relu import Grid, Layers, Sample, show
from spikebp_plugins.compiled.kernels.vectors import LANES, whole_vectors
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, operations_of
from spikebp_plugins.network.state import initial_state

Array = NDArray[Any]

ACTIVATION_BITS: Final = 8
ERROR_BITS: Final = 6
#: The types of weights, by the most fraction bits that leave room for weights up to 2.
WEIGHT_TYPES: Final = {14: np.int16, 18: np.int32}
#: The part of their type that weights may take after a call: in a call none comes from there to
#: where the type ends.
LARGEST_PART: Final = 0.75
#: Kernels write by eight vectors at a time.
ROOM: Final = 8 * LANES


class IntegerReluLearner:
    """A network of rectified units with the shape, grid, rate and initial weights of a definition.

    Parameters
    ----------
    start : Checkpoint
        Of a `SpikingMLP` with ``n_steps=1``, fixed arithmetic of at most 18 fraction bits, and a
        rate that is a power of two. The learner's own checkpoints are such ones too.

    Raises
    ------
    ValueError
        If the definition is another.
    """

    def __init__(self, start: Checkpoint) -> None:
        net = start.net
        bits, shift = _checked_grid(net)
        self._net, self._layers = net, _layers_of(net.layer_sizes)
        self._grid = Grid(*map(np.int32, (bits, bits + ACTIVATION_BITS - ERROR_BITS, shift)))
        self._sample = _silent_sample(self._layers)
        last = self._layers.weight[-1] + net.layer_sizes[-2] * self._layers.width[-1]
        type_of_weights = next(kind for most, kind in WEIGHT_TYPES.items() if bits <= most)
        self._weights: Array = np.zeros(last + ROOM, type_of_weights)
        for matrix, own in zip(start.state.weights, self._matrices(), strict=True):
            own[...] = np.rint(np.ldexp(np.array(matrix, np.float64), bits))
        pixels = np.arange(256) * net.input_scale
        self._of_pixel = np.rint(np.ldexp(pixels, ACTIVATION_BITS)).astype(np.int32)
        self._operations, self._n_shown, self._n_learned = np.zeros(3, np.int64), 0, 0

    def _matrices(self) -> list[Array]:
        """Views of W_1 to W_L in the array of all weights."""
        places, widths = self._layers.weight[1:], self._layers.width[1:]
        return [
            self._weights[place : place + n_in * width].reshape(n_in, width)[:, :n_out]
            for (n_in, n_out), place, width in zip(
                pairwise(self._net.layer_sizes), places, widths, strict=True
            )
        ]

    @property
    def operations(self) -> Operations:
        """Multiply-adds so far; an update of a weight is one."""
        forward, backward, update = map(int, self._operations)
        return operations_of(
            self._net,
            forward=forward,
            backward=backward,
            update=update,
            shown=self._n_shown,
            trained=self._n_learned,
        )

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_inputs), uint8
            Pixels.
        y : array-like of shape (n_samples, n_outputs)
            Targets.

        Raises
        ------
        OverflowError
            If a weight came near the end of its type; what was learned is not to be used then.
        """
        bits = self._grid.weight + ACTIVATION_BITS
        self._show(x, np.rint(np.ldexp(np.asarray(y, np.float64), bits)).astype(np.int32))
        largest = 2 ** (8 * self._weights.itemsize - 1)
        if np.abs(self._weights.astype(np.int64)).max() > LARGEST_PART * largest:
            raise OverflowError(f"a weight takes more than {LARGEST_PART} of its type")

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the drive of the output, of shape (n_samples, n_outputs)."""
        nothing = np.empty((0, self._net.n_outputs), np.int32)
        return np.ldexp(self._show(x, nothing), -int(self._grid.weight) - ACTIVATION_BITS)

    def _show(self, x: Array, targets: NDArray[np.int32]) -> NDArray[np.int32]:
        scores = np.empty((len(x), self._net.n_outputs), np.int32)
        own = self._layers, self._grid, self._sample, self._weights, self._of_pixel
        show(*own, np.ascontiguousarray(x, np.uint8), targets, scores, self._operations)
        self._n_shown += len(x)
        self._n_learned += len(targets)
        return scores

    def checkpoint(self) -> Checkpoint:
        """Return what has been learned."""
        bits = -int(self._grid.weight)
        weights = [np.ldexp(matrix.astype(np.float64), bits) for matrix in self._matrices()]
        return Checkpoint(self._net, initial_state(self._net, weights))


def _checked_grid(net: Definition) -> tuple[int, int]:
    """Return the fraction bits, and by how many a weight has fewer than its change has before."""
    bits = net.fraction_bits
    if bits is None or net.n_steps != 1 or bits > max(WEIGHT_TYPES) or not net.is_dense:
        allowed = f"dense, with n_steps=1 and at most {max(WEIGHT_TYPES)} fraction bits"
        raise wrong_argument("start", allowed, repr(net))
    mantissa, exponent = np.frexp(net.learning_rate)
    shift = ACTIVATION_BITS + ERROR_BITS + 1 - int(exponent) - bits
    if mantissa != 0.5 or not 1 <= shift <= 31:
        allowed = f"a power of two below 2**{ACTIVATION_BITS + ERROR_BITS - bits}"
        raise wrong_argument("learning_rate", allowed, repr(net.learning_rate))
    return bits, shift


def _layers_of(sizes: tuple[int, ...]) -> Layers:
    widths = [whole_vectors(n) for n in sizes]
    weights = [n * width for n, width in zip(sizes, widths[1:], strict=False)]
    return Layers(
        size=np.array(sizes),
        width=np.array(widths),
        unit=np.cumsum([0, *(n + ROOM for n in widths[:-1])]),
        weight=np.cumsum([0, 0, *weights[:-1]]),
    )


def _silent_sample(layers: Layers) -> Sample:
    n = int(layers.unit[-1] + layers.width[-1] + ROOM)
    (row, column), (value, drive, error) = np.zeros((2, n), np.int64), np.zeros((3, n), np.int32)
    return Sample(np.zeros(len(layers.size), np.int64), row, value, drive, error, column)
