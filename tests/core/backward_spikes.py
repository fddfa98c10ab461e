"""The backward spikes of event timing before the gate, which no back end hands out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled import event_order
from spikebp_plugins.compiled.block import make_block
from spikebp_plugins.compiled.kernels import event
from spikebp_plugins.compiled.kernels.arrays import Job
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.samples import check_batch


class BackwardSpikes(NamedTuple):
    """Of layers 1 to L, for each training sample: net spikes, and spikes of either sign counted."""

    net: NDArray[np.int64]
    gross: NDArray[np.int64]


def backward_spikes(start, x, y):
    """Return the backward spikes of training samples; the checkpoint `start` stays as it is."""
    layout = Layout(start.net, start.net.arithmetic)
    sample, learning = event_order.make_sample(layout), layout.learning(start.state)
    room = {
        "net": layout.network,
        "learning": learning,
        "totals": layout.totals(),
        "boundary": layout.boundary(),
        "record": layout.record(0, 1),
    }
    run, seen, found = event_order.make_run(layout, sample, room), start.state.samples_seen, []
    whole = check_batch(start.net, x, y)
    for i in range(len(whole)):
        block = make_block(layout, whole[i : i + 1], seen + i)
        if not event.run_event_block(Job(run, block)):
            raise event_order.overflow(layout, sample)
        found.append((sample.net_error.copy(), sample.gross_error.copy()))
    net, gross = (np.array(spikes)[:, start.net.n_inputs :] for spikes in zip(*found, strict=True))
    return BackwardSpikes(net, gross)
