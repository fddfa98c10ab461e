"""Samples of a batch in the integer types of C."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.network.samples import Batch, encoded, spike_counts
from spikebp_plugins.network.sparse_rows import SparseRows

#: The kinds of input, as in ``enum input`` of C.
PIXELS, VALUES, SPIKES, LIST = range(4)

Array = NDArray[Any]

#: Integers, and which of the samples fit a type. The integers of other samples mean nothing.
Fitted = tuple[Array, Array]


class SamplesInC(NamedTuple):
    """Samples as C takes them.

    Attributes
    ----------
    kind : {PIXELS, VALUES, SPIKES, LIST}
        The kind of input.
    x : ndarray of shape (n_samples, 1 or n_steps, n_inputs), or ListsInC
        Input.
    y : ndarray of shape (n_samples, 1 or n_steps, n_outputs) or None
        Targets.
    n_steps : int
        Steps of input.
    """

    kind: int
    x: NDArray[Any] | ListsInC
    y: NDArray[Any] | None
    n_steps: int


@dataclass(frozen=True)
class ListsInC:
    """Rows of input as lists.

    Attributes
    ----------
    begin : ndarray of shape (n_samples * n_rows + 1,), int64
        Where each list begins, and where the last one ends.
    entries : structured array of shape (n,)
        A ``struct net_entry`` each.
    n_rows : int
        The rows of a sample: 1, or one for each step.
    """

    begin: NDArray[np.int64]
    entries: NDArray[Any]
    n_rows: int

    def __len__(self) -> int:
        return (len(self.begin) - 1) // self.n_rows

    def __getitem__(self, first: slice) -> ListsInC:
        """Return the lists of the first samples."""
        return replace(self, begin=self.begin[: first.stop * self.n_rows + 1])


def samples_in_c(network: NetworkInC, batch: Batch) -> SamplesInC:
    """Return the samples of a batch up to the first that does not fit the types of a network."""
    kind, (x, fits) = _inputs(network, batch)
    y = None
    if batch.y is not None:
        y, may_teach = _in_units(network, batch.targets())
        fits = fits & may_teach
    n = len(fits) if fits.all() else int(fits.argmin())
    return SamplesInC(kind, x[:n], None if y is None else y[:n], batch.n_steps)


def _lists(network: NetworkInC, x: SparseRows) -> tuple[ListsInC, Array]:
    """Return sparse rows as lists, in the order of their units, and which of the samples fit."""
    net, types = network.net, network.types
    numbers, largest = encoded(net, x.number), types.largest_count
    if net.input_coding == "values":
        numbers = numbers * math.ldexp(1.0, network.fraction_bits)  # exact
        largest = types.largest_state
    fits = np.ones(len(x), np.bool_)
    fits[x.row_of_each[np.abs(numbers) > largest]] = False
    order = np.lexsort((x.unit, x.row_of_each))
    kind = [("unit", np.int32), ("number", f"i{types.state_bits // 8}")]
    entries = np.empty(len(order), np.dtype(kind, align=True))
    rows = x.by_step(net.n_inputs)
    entries["unit"] = rows.unit[order]
    entries["number"] = np.clip(numbers, -largest, largest)[order]
    return ListsInC(rows.begin, entries, max(1, len(rows) // max(1, len(x)))), fits


def _inputs(network: NetworkInC, batch: Batch) -> tuple[int, tuple[Any, Array]]:
    if isinstance(batch.x, SparseRows):
        return LIST, _lists(network, batch.x)
    rows, types = batch.rows(), network.types
    if batch.net.input_coding == "spikes":
        return SPIKES, _fitted(spike_counts(rows), types.largest_count, types.count_bits)
    if rows.dtype == np.uint8 and network.takes_pixels:
        return PIXELS, (rows, np.ones(len(rows), np.bool_))
    return VALUES, _in_units(network, batch.inputs())


def _in_units(network: NetworkInC, values: NDArray[Any]) -> Fitted:
    units = values * math.ldexp(1.0, network.fraction_bits)  # exact
    return _fitted(units, network.types.largest_state, network.types.state_bits)


def _fitted(units: NDArray[Any], largest: int, bits: int) -> Fitted:
    fits = (np.abs(units) <= largest).reshape(len(units), -1).all(axis=1)
    return np.clip(units, -largest, largest).astype(f"i{bits // 8}"), fits
