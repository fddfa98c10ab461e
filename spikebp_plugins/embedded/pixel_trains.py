"""The trains of spikes that 8-bit pixels send: few different ones, the same in each sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.fields import Definition


class PixelTrains(NamedTuple):
    """The different trains, of which the first is silent.

    Attributes
    ----------
    spikes : ndarray of shape (n_trains, n_steps), int64
        Signed spikes of each train in each step.
    of_pixel : ndarray of shape (256,), int64
        The train of each pixel.
    """

    spikes: NDArray[np.int64]
    of_pixel: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """The signed spikes of each train up to each step."""
        return self.spikes.cumsum(axis=1)

    @property
    def most(self) -> int:
        """The largest magnitude of a count or of spikes in a step; 1 if none is larger."""
        return max(1, int(np.abs(self.spikes).max()), int(np.abs(self.counts).max()))


def pixel_trains(net: Definition, values: NDArray[Any]) -> PixelTrains:
    """Return the trains of pixels, given the value of each in units of 2^-f a step."""
    bits = arithmetic_of(net).fraction_bits
    potential = np.zeros(len(values), np.int64)
    spikes = np.empty((len(values), net.n_steps), np.int64)
    for t in range(net.n_steps):
        potential += values
        crossings = (np.abs(potential) + 2 ** (bits - 1) - 1) >> bits
        if net.spikes == "binary":
            crossings = np.minimum(crossings, 1)
        spikes[:, t] = np.sign(potential) * crossings
        potential -= spikes[:, t] << bits
    silent = np.zeros((1, net.n_steps), np.int64)
    trains, of_pixel = np.unique(spikes, axis=0, return_inverse=True)
    order = [i for i, train in enumerate(trains) if train.any()]
    index = np.zeros(len(trains), np.int64)
    index[order] = np.arange(1, len(order) + 1)
    return PixelTrains(np.concatenate([silent, trains[order]]), index[of_pixel.reshape(-1)])
