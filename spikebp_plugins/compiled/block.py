"""Checked samples as kernels read them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.kernels.arrays import Block
from spikebp_plugins.compiled.layout import Layout, Now
from spikebp_plugins.network.samples import Batch

Array = NDArray[Any]

_NO_REALS: Final = np.zeros((0, 1, 1))
_NO_LEVELS: Final = np.zeros((0, 1, 1), np.uint8)
_NO_COUNTS: Final = np.zeros((0, 1, 1), np.int64)
_NO_LABELS: Final = np.zeros(0, np.int64)


def make_block(
    layout: Layout,
    batch: Batch,
    samples_seen: int,
    *,
    copied: bool = False,
    checked: bool = True,
) -> Block:
    """Return samples as kernels read them; arrays of the right type are used as they are.

    Arrays are made contiguous: for each other order in memory kernels would be compiled anew. With
    `copied` none of them is shared with the batch. Without `checked` the kernel is to check them.
    """
    given = _given(batch)
    convert = np.array if copied else np.asarray
    fields = {"reals": _NO_REALS, "levels": _NO_LEVELS, "counts": _NO_COUNTS}
    fields |= {"targets": _NO_REALS, "labels": _NO_LABELS}
    fields |= {name: convert(array, order="C") for name, array in given.items()}
    return Block(
        **fields,
        drawn=layout.drawn(batch, samples_seen),
        scores=np.empty((len(batch), layout.net.n_outputs)),
        n_steps=batch.n_steps,
        training=batch.y is not None,
        checked=checked,
    )


def _given(batch: Batch) -> dict[str, Array]:
    """Return the arrays of input and targets by the fields of a `Block` that they are for."""
    given: dict[str, Array] = {}
    if batch.net.input_coding == "spikes":
        given["counts"] = _counts(batch)
    elif batch.x.dtype == np.uint8:
        given["levels"] = batch.rows()
    else:
        given["reals"] = batch.rows().astype(np.float64, copy=False)
    if batch.y is not None and batch.y.ndim == 1:
        given["labels"] = batch.y
    elif batch.y is not None:
        y = batch.y if batch.y.ndim == 3 else batch.y[:, np.newaxis]
        given["targets"] = y.astype(np.float64, copy=False)
    return given


class SampleRoom:
    """A block of one sample, whose memory is filled anew for each sample of the same shape.

    Parameters
    ----------
    layout : Layout
        How the definition lies in memory.
    batch : Batch
        The first sample.
    samples_seen : int
        Training samples before it.
    checked : bool
        Whether samples are checked before they are written; if not, the kernel does.
    """

    def __init__(self, layout: Layout, batch: Batch, samples_seen: int, *, checked: bool) -> None:
        self.block = block = make_block(layout, batch, samples_seen, copied=True, checked=checked)
        x, *y = _given(batch)
        self._x = getattr(block, x)
        self._y: Any = getattr(block, y[0]) if y else None
        self._is_counted = x == "counts"
        self._layout = layout
        self._draws = batch.y is not None and layout.net.backward_init == "uniform"

    def fill_checked(self, batch: Batch, now: Now) -> None:
        """Write a checked sample into the memory."""
        self.fill(_counts(batch) if self._is_counted else batch.x, batch.y, now)

    def fill(self, x: Array, y: Array | None, now: Now) -> None:
        """Write a sample into the memory: one whose spike counts 64 bits hold."""
        self._x[...] = x
        if y is not None:
            self._y[...] = y
            if self._draws:
                self.block.drawn[0] = self._layout.drawn_for(now.samples_seen)


def _counts(batch: Batch) -> Array:
    """Return spike counts of 64 bits, as they came if they can be cut in a kernel."""
    return batch.rows() if batch.x.dtype == np.int64 else batch.inputs()
