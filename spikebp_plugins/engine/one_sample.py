"""Cached calls of the engine for single samples: the struct of the arguments is kept."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.network import EngineNetwork
from spikebp_plugins.engine.structs import LABELS, LEVELS, NONE, REALS, CRows

Array = NDArray[Any]


def kind_of(x: Any, y: Any, n_steps: int) -> Any:
    """Return a key of the samples that share a cached call; None if there can be none."""
    if type(x) is not np.ndarray or x.shape[:1] != (1,):
        return None
    if y is None:
        return x.dtype, x.shape, n_steps
    return (x.dtype, x.shape, n_steps, y.dtype, y.shape) if type(y) is np.ndarray else None


class OneSample:
    """A cached call that shows one sample of a kind on a network, unchecked.

    The samples are values that are constant in time, with a label, a constant target, or none.

    Parameters
    ----------
    network : EngineNetwork
        The network.
    x, y : ndarray
        A sample of the kind: input, and a label, real targets or None.
    n_steps : int
        The steps of each.
    """

    @classmethod
    def of(
        cls, network: EngineNetwork, x: Array, y: Array | None, n_steps: int
    ) -> OneSample | None:
        """Return a call for samples of this kind; None if only checked calls can show them."""
        net, shape_of_y = network.net, None if y is None else y.shape
        if net.arithmetic == "loihi2":  # saturation would hide a NaN, which bounds find otherwise
            return None
        if net.input_coding != "values" or x.shape != (1, net.n_inputs) or not _is_number(x):
            return None
        if y is not None and (
            not _is_number(y)
            or shape_of_y != ((1,) if y.dtype.kind in "iu" else (1, net.n_outputs))
        ):
            return None
        return cls(network, x, y, n_steps)

    def __init__(self, network: EngineNetwork, x: Array, y: Array | None, n_steps: int) -> None:
        net = network.net
        self.network = network
        self._x = np.zeros((1, net.n_inputs), np.uint8 if x.dtype == np.uint8 else np.float64)
        self._y: Array | None = None
        self._n_classes = 0
        self._scores = np.zeros((1, net.n_outputs))
        block = self.block = type(network.block).from_buffer_copy(network.block)
        block.x = CRows(at=self._x.ctypes.data, kind=LEVELS if x.dtype == np.uint8 else REALS)
        block.y = CRows(kind=NONE)
        if y is not None:
            is_label = y.ndim == 1
            self._y = np.zeros(y.shape, np.int64 if is_label else np.float64)
            self._n_classes = net.n_outputs if is_label else 0
            block.y = CRows(at=self._y.ctypes.data, kind=LABELS if is_label else REALS)
        block.n_samples, block.n_steps = 1, n_steps
        block.scores = self._scores.ctypes.data
        block.spikes = block.errors = block.step_scores = None
        block.until_lead = False
        self._show, self._address = network.build.show, ctypes.addressof(block)

    def show(self, x: Array, y: Array | None) -> Array | None:
        """Show a sample, and return its scores of shape (1, n_outputs).

        None, with nothing changed, if it is not allowed or may be out of range.
        """
        self._x[...] = x
        if self._y is not None:
            if self._n_classes and not 0 <= y[0] < self._n_classes:  # type: ignore[index]
                return None
            self._y[...] = y
        return self._scores.copy() if self._show(self._address) else None


def _is_number(values: Array) -> bool:
    """Whether float64 holds the values as in a checked sample."""
    return values.dtype.kind in "iuf" and values.dtype.itemsize <= np.dtype(np.float64).itemsize
