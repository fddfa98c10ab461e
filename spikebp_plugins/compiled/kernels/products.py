"""What the rules ask of connections, which may all be dense, or of any kinds.

The type of the definition decides when a kernel is compiled. Kernels for a `Network` know dense
connections alone; those for a `ConnectedNetwork` go along rows and runs, whatever the kinds.
"""

from __future__ import annotations

import numpy as np

from . import dense
from .arrays import Network, list_units
from .boundary import log_update
from .build import kernel, rare
from .rows import (
    Rows,
    add_backward_along,
    add_forward_along,
    by_connections,
    descend_along,
    operations_along,
    squares_along,
)
from .slices import units_of


class ConnectedNetwork(Network):
    """A definition whose connections are not all dense."""

    rows: Rows


@rare
def _descend(run, errors, layer):
    net, sample = run.net, run.sample
    error, column = units_of(errors, net, layer), units_of(sample.active, net, layer)
    n_columns = list_units(error, column)
    if run.boundary.logs:
        log_update(run, layer, units_of(sample.factor, net, layer - 1), error, column, n_columns)
    return descend_along(run, errors, layer, n_columns)


@kernel
def _all_learn(run, layer):
    return True


@kernel
def _learns(run, layer):
    return run.net.rows.learns[layer]


@kernel
def _one_use(run, layer):
    return 1.0


@kernel
def _most_uses(run, layer):
    return run.net.rows.uses[layer]


@kernel
def _squared_counts(run, layer):
    total = 0.0
    count = units_of(run.sample.count, run.net, layer)
    for i in range(count.size):
        total += float(count[i]) * float(count[i])
    return total


@kernel
def _count_spikes(run, layer, n_sent):
    run.totals.spikes[layer] += np.int64(n_sent)


@kernel
def _count_spikes_along(run, layer, n_sent):
    net, sample = run.net, run.sample
    _count_spikes(run, layer, n_sent)
    run.totals.spikes[net.sizes.size + layer] += operations_along(
        net.rows.up,
        net.unit[layer],
        units_of(sample.spike, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


@kernel
def _count_errors(run, layer, n_sent):
    run.totals.errors[layer] += np.int64(n_sent)


@kernel
def _count_errors_along(run, layer, n_sent):
    net, sample = run.net, run.sample
    _count_errors(run, layer, n_sent)
    if layer == 1:  # whose errors go no further
        return
    run.totals.errors[net.sizes.size + layer] += operations_along(
        net.rows.down,
        net.unit[layer],
        units_of(sample.error, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


#: ``add_forward(run, layer, drive)``: add the drive that the spikes of a layer cause in the layer
#: above.
add_forward = by_connections(dense.add_forward, add_forward_along)
#: ``add_backward(run, layer, potential)``: add the errors of a layer, through B, to the backward
#: potentials of the layer below.
add_backward = by_connections(dense.add_backward, add_backward_along)
#: ``descend(run, errors, layer)``: change W_l, and B_l with it; return how many synapses learn.
descend = by_connections(dense.descend, _descend)
#: ``learns(run, layer)``: whether W_l has weights of its own.
learns = by_connections(_all_learn, _learns)
#: ``most_uses(run, layer)``: the most synapses that share a weight of W_l.
most_uses = by_connections(_one_use, _most_uses)
#: ``squared_counts(run, layer)``: the sum of the squared counts of a layer, as often as its units
#: meet the weights above; not exact where it is no exact double.
squared_counts = by_connections(_squared_counts, squares_along)
#: ``count_spikes(run, layer, n_sent)`` and ``count_errors(run, layer, n_sent)``: count what a layer
#: has sent and, unless its units are alike in that, its operations.
count_spikes = by_connections(_count_spikes, _count_spikes_along)
count_errors = by_connections(_count_errors, _count_errors_along)
