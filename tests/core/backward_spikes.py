"""The backward spikes of events before the gate, which the network does not hand out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.event_order import EventNetwork
from spikebp_plugins.event_order.library import ALL_BACKWARD, NET_BACKWARD


class BackwardSpikes(NamedTuple):
    """Of layers 1 to L, for each training sample: net spikes, and spikes of either sign counted."""

    net: NDArray[np.int64]
    gross: NDArray[np.int64]


def backward_spikes(start, x, y):
    """Return the backward spikes of training samples after a checkpoint."""
    network, found = EventNetwork(start), []
    for i in range(len(x)):
        network.train(x[i : i + 1], y[i : i + 1])
        layers = range(1, start.net.n_layers + 1)
        found.append(
            [
                np.concatenate([network._array(l, which) for l in layers])
                for which in (NET_BACKWARD, ALL_BACKWARD)
            ]
        )
    return BackwardSpikes(*map(np.array, zip(*found, strict=True)))
