r"""An integer network of rectified units that skips zeros: the rival of the spiking network.

It learns on line, one sample at a time, and multiplies where the other adds. Numbers are integers;
:math:`\lfloor v \rceil_b` rounds to b bits behind the point. For a sample x with target y, and
errors of E bits:

.. math::

    a_0 &= \lfloor x \rceil_8, \qquad s_l = a_{l-1} W_l, \qquad
    a_l = \lfloor \max(0, s_l) \rfloor_8 \\
    e_L &= \lfloor s_L - y \rceil_E, \qquad e_{l-1} = \lfloor W_l e_l \rceil_E \, [a_{l-1} > 0] \\
    W_l &\leftarrow W_l - \lfloor \eta \, a_{l-1} e_l^T \rceil_f

The rate :math:`\eta` is a power of two. Coarse errors are mostly zero, and what is zero costs
nothing: so it learns with as few operations as a spiking network. It is computed by
`c/integer_relu.c`, built with the engine, which proves that no number leaves its type.
"""

from __future__ import annotations

import ctypes
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.engine.library import POINTER, functions_of
from spikebp_plugins.engine.network import LINE, aligned
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations, operations_of
from spikebp_plugins.network.samples import real_targets
from spikebp_plugins.network.state import initial_state

Array = NDArray[Any]

ACTIVATION_BITS: Final = 8
#: The types of weights, by the most fraction bits that leave room for weights up to 2.
WEIGHT_TYPES: Final = {14: np.int16, 18: np.int32}

_SIGNATURES: Final = {"show_relu": (ctypes.c_int64, [POINTER])}


class CReluLayer(ctypes.Structure):
    """``struct relu_layer`` of `c/integer_relu.c`."""

    _fields_: ClassVar = [
        *((name, ctypes.c_int32) for name in ("n", "n_lines", "n_active")),
        *((name, POINTER) for name in ("active", "value")),
        *((name, ctypes.c_double) for name in ("sum", "top")),
        *((name, POINTER) for name in ("drive", "error", "w")),
        ("weight_bound", ctypes.c_double),
    ]


class CRelu(ctypes.Structure):
    """``struct relu``."""

    _fields_: ClassVar = [
        ("layer", POINTER),
        *(
            (name, ctypes.c_int32)
            for name in ("n_layers", "is_short", "bits", "error_bits", "update_bits")
        ),
        ("of_pixel", POINTER),
        *((name, ctypes.c_int32) for name in ("n_errors", "n_touched")),
        *((name, POINTER) for name in ("erring", "touched", "short_errors")),
        *((name, POINTER) for name in ("x", "y", "scores")),
        *((name, ctypes.c_int64) for name in ("n_samples", "n_learned")),
        *((name, ctypes.c_int64) for name in ("forward", "backward", "updates")),
    ]


class IntegerReluLearner:
    """A network of rectified units with the shape, grid, rate and initial weights of a definition.

    Parameters
    ----------
    start : Checkpoint
        Of a `SpikingMLP` with ``n_steps=1``, fixed arithmetic of at most 18 fraction bits, and a
        rate that is a power of two. The learner's own checkpoints are such ones too.
    error_bits : int, default=6
        Bits of errors behind the point, E; fewer than those of the drive.

    Raises
    ------
    ValueError
        If the definition is another, or `error_bits` is out of range.
    """

    def __init__(self, start: Checkpoint, *, error_bits: int = 6) -> None:
        net = start.net
        bits, shift = _checked_grid(net, error_bits)
        dtype = next(np.dtype(kind) for most, kind in WEIGHT_TYPES.items() if bits <= most)
        self._net, self._n_shown, self._n_learned = net, 0, 0
        self._arrays: list[Array] = []  # to which the structs point
        self._weights: list[Array] = []
        self._layers = (CReluLayer * len(net.layer_sizes))()
        for layer, n in zip(self._layers, net.layer_sizes, strict=True):
            layer.n, layer.n_lines, layer.weight_bound = n, -(-n * dtype.itemsize // LINE), np.inf
            for name in ("active", "value", "drive", "error"):
                setattr(layer, name, self._address_of(_row(n)))
        for layer, matrix in zip(self._layers[1:], start.state.weights, strict=True):
            rows = aligned(len(matrix) * layer.n_lines * LINE // dtype.itemsize, dtype)
            own = rows.reshape(len(matrix), -1)[:, : layer.n]
            own[...] = _units(matrix, bits, dtype, "start")
            layer.w = self._address_of(rows)
            self._weights.append(own)
        of_pixel, longest = _row(256), _row(max(net.layer_sizes))
        of_pixel[:] = _units(np.arange(256) * net.input_scale, ACTIVATION_BITS, np.int32, "start")
        self._relu = CRelu(
            layer=ctypes.addressof(self._layers),
            n_layers=net.n_layers,
            is_short=dtype == np.int16,
            bits=bits,
            error_bits=bits + ACTIVATION_BITS - error_bits,
            update_bits=shift,
            of_pixel=self._address_of(of_pixel),
            erring=self._address_of(longest),
            touched=self._address_of(np.zeros_like(longest)),
            short_errors=self._address_of(aligned(3 * len(longest), np.int16)),
        )
        self._show_relu = functions_of(_SIGNATURES, 32, None)["show_relu"]

    def _address_of(self, array: Array) -> int:
        self._arrays.append(array)
        return array.ctypes.data

    @property
    def operations(self) -> Operations:
        """Multiply-adds so far; an update of a weight is one."""
        return operations_of(
            self._net,
            forward=self._relu.forward,
            backward=self._relu.backward,
            update=self._relu.updates,
            met=self._relu.forward + self._relu.backward,
            shown=self._n_shown,
            trained=self._n_learned,
        )

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_inputs), uint8
            Pixels.
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Labels, which ask for `label_targets` of the definition, or targets.

        Raises
        ------
        OverflowError
            If a number might leave its type; what was learned is not to be used then.
        """
        asked = real_targets(self._net, y)
        targets = _units(asked, self._relu.bits + ACTIVATION_BITS, np.int32, "y")
        if targets.shape != (len(x), self._net.n_outputs):
            raise wrong_argument("y", f"of shape {(len(x), self._net.n_outputs)}", targets.shape)
        self._show(x, targets)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the drive of the output, of shape (n_samples, n_outputs)."""
        nothing = np.empty((0, self._net.n_outputs), np.int32)
        one = 2.0 ** (self._relu.bits + ACTIVATION_BITS)
        scores: NDArray[np.float64] = self._show(x, nothing) / one
        return scores

    def _show(self, x: Array, targets: Array) -> NDArray[np.int32]:
        net, relu, n = self._net, self._relu, len(x)
        if x.shape != (n, net.n_inputs) or x.dtype != np.uint8:
            allowed = f"of shape {(n, net.n_inputs)} and uint8"
            raise wrong_argument("x", allowed, f"{x.shape} and {x.dtype}")
        pixels = np.ascontiguousarray(x)
        scores = np.empty((n, net.n_outputs), np.int32)
        relu.x, relu.y, relu.scores = (array.ctypes.data for array in (pixels, targets, scores))
        relu.n_samples, relu.n_learned = n, len(targets)
        if self._show_relu(ctypes.addressof(relu)) < n:
            raise OverflowError("a number might leave its type")
        self._n_shown += n
        self._n_learned += len(targets)
        return scores

    def checkpoint(self) -> Checkpoint:
        """Return the definition and the learned weights."""
        bits = -self._relu.bits
        weights = [np.ldexp(matrix.astype(np.float64), bits) for matrix in self._weights]
        return Checkpoint(self._net, initial_state(self._net, weights))


def _checked_grid(net: Definition, error_bits: int) -> tuple[int, int]:
    """Return the fraction bits of weights, and the bits by which a change is shifted to them."""
    bits = net.fraction_bits
    if bits is None or net.n_steps != 1 or bits > max(WEIGHT_TYPES) or not net.is_dense:
        allowed = f"dense, with n_steps=1 and at most {max(WEIGHT_TYPES)} fraction bits"
        raise wrong_argument("start", allowed, repr(net))
    most = bits + ACTIVATION_BITS - 1
    error_bits = integer("error_bits", error_bits, 1, most)
    mantissa, exponent = np.frexp(net.learning_rate)
    shift = ACTIVATION_BITS + error_bits + 1 - int(exponent) - bits
    if mantissa != 0.5 or not 1 <= shift <= 15:
        allowed = f"a power of two below 2**{ACTIVATION_BITS + error_bits - bits}"
        raise wrong_argument("learning_rate", allowed, repr(net.learning_rate))
    return bits, shift


def _row(n: int) -> Array:
    """Return zeros for n numbers and those behind them, as vectors take them."""
    length = LINE // np.dtype(np.int16).itemsize
    return aligned(-(-n // length) * length, np.int32)


def _units(values: Any, bits: int, dtype: Any, name: str) -> Array:
    """Return real values of an argument in units of 2^-f of a type."""
    units = np.rint(np.ldexp(np.asarray(values, np.float64), bits))
    if not np.abs(units).max(initial=0) <= np.iinfo(dtype).max:
        allowed = f"of values below {np.ldexp(np.iinfo(dtype).max + 1.0, -bits):g}"
        raise wrong_argument(name, allowed, np.abs(values).max())
    return np.ascontiguousarray(units, dtype)
