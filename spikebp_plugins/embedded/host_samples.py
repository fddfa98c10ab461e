"""Samples of a batch in the integer types of C."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.embedded.network_in_c import NetworkInC
from spikebp_plugins.network.samples import Batch, spike_counts

#: The kinds of input, as in ``enum input`` of C.
PIXELS, VALUES, SPIKES = range(3)

#: Integers, and which of the samples fit a type. The integers of other samples mean nothing.
Fitted = tuple[NDArray[Any], NDArray[np.bool_]]


class SamplesInC(NamedTuple):
    """Samples as C takes them.

    Attributes
    ----------
    kind : {PIXELS, VALUES, SPIKES}
        The kind of input.
    x : ndarray of shape (n_samples, 1 or n_steps, n_inputs)
        Input.
    y : ndarray of shape (n_samples, 1 or n_steps, n_outputs) or None
        Targets.
    n_steps : int
        Steps of input.
    """

    kind: int
    x: NDArray[Any]
    y: NDArray[Any] | None
    n_steps: int


def samples_in_c(network: NetworkInC, batch: Batch) -> SamplesInC:
    """Return the samples of a batch up to the first that does not fit the types of a network."""
    kind, (x, fits) = _inputs(network, batch)
    y = None
    if batch.y is not None:
        y, may_teach = _in_units(network, batch.targets())
        fits = fits & may_teach
    n = len(fits) if fits.all() else int(fits.argmin())
    return SamplesInC(kind, x[:n], None if y is None else y[:n], batch.n_steps)


def _inputs(network: NetworkInC, batch: Batch) -> tuple[int, Fitted]:
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
