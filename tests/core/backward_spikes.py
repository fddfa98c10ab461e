"""The backward spikes of event timing before the gate, which no back end hands out."""

import ctypes
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.event_backend import EventBackend
from spikebp_plugins.engine.structs import ALL_BACKWARD, NET_BACKWARD
from spikebp_plugins.network.samples import check_batch


class BackwardSpikes(NamedTuple):
    """Of layers 1 to L, for each training sample: net spikes, and spikes of either sign counted."""

    net: NDArray[np.int64]
    gross: NDArray[np.int64]


def backward_spikes(start, x, y):
    """Return the backward spikes of training samples; the checkpoint `start` stays as it is."""
    network = EventBackend(start.net, start.state, 1)._engine.current
    whole, seen, found = check_batch(start.net, x, y), start.state.samples_seen, []
    for i in range(len(whole)):
        if not len(network.show(whole[i : i + 1], seen + i).scores):
            raise network.overflow()
        found.append([_of_layers(network, which) for which in (NET_BACKWARD, ALL_BACKWARD)])
    return BackwardSpikes(*map(np.array, zip(*found, strict=True)))


def _of_layers(network, which):
    """Return a copy of an array of counts, of layers 1 to L side by side."""
    layers = []
    for l, n in enumerate(network.net.layer_sizes[1:], 1):
        at = network.build.array(network._place, l, which)
        layers.append(np.ctypeslib.as_array((ctypes.c_int64 * n).from_address(at)))
    return np.concatenate(layers)
