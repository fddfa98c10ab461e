"""What the rules ask of connections, which may all be dense, or of any kinds.

The type of the definition decides when a kernel is compiled. Kernels for a `Network` know dense
connections alone; those for a `ConnectedNetwork` ask for the kind of each.
"""

from __future__ import annotations

import numpy as np

from . import dense
from .arrays import Network, list_units
from .boundary import log_update
from .build import chosen, kernel, rare
from .rows import (
    Rows,
    add_backward_along,
    add_forward_along,
    descend_along,
    has_rows,
    operations_along,
    squares_along,
)
from .slices import units_of


class ConnectedNetwork(Network):
    """A definition whose connections are not all dense."""

    rows: Rows


def add_forward(run, layer, drive):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(add_forward)
def _overload_add_forward(run, layer, drive):
    # Add the drive that the spikes of a layer cause in the layer above.
    if has_rows(run.fields["net"]):
        return lambda run, layer, drive: _add_forward_of_kind(run, layer, drive)
    return lambda run, layer, drive: dense.add_forward(run, layer, drive)


@kernel
def _add_forward_of_kind(run, layer, drive):
    if run.net.rows.is_dense[layer + 1]:
        dense.add_forward(run, layer, drive)
    else:
        add_forward_along(run, layer, drive)


def add_backward(run, layer, potential):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(add_backward)
def _overload_add_backward(run, layer, potential):
    # Add the errors of a layer, through B, to the backward potentials of the layer below.
    if has_rows(run.fields["net"]):
        return lambda run, layer, potential: _add_backward_of_kind(run, layer, potential)
    return lambda run, layer, potential: dense.add_backward(run, layer, potential)


@kernel
def _add_backward_of_kind(run, layer, potential):
    if run.net.rows.is_dense[layer]:
        dense.add_backward(run, layer, potential)
    else:
        add_backward_along(run, layer, potential)


def descend(run, errors, layer):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(descend)
def _overload_descend(run, errors, layer):
    # W_l -= rate * outer(c, e), and B_l with it; return how many synapses that changes.
    if has_rows(run.fields["net"]):
        return lambda run, errors, layer: _descend_of_kind(run, errors, layer)
    return lambda run, errors, layer: dense.descend(run, errors, layer)


@rare
def _descend_of_kind(run, errors, layer):
    net, sample = run.net, run.sample
    if net.rows.is_dense[layer]:
        return dense.descend(run, errors, layer)
    error, column = units_of(errors, net, layer), units_of(sample.active, net, layer)
    n_columns = list_units(error, column)
    if run.boundary.logs:
        log_update(run, layer, units_of(sample.factor, net, layer - 1), error, column, n_columns)
    return descend_along(run, errors, layer, n_columns)


def learns(net, layer):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(learns)
def _overload_learns(net, layer):
    # Whether W_l has weights of its own.
    if has_rows(net):
        return lambda net, layer: net.rows.learns[layer]
    return lambda net, layer: True


def most_uses(net, layer):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(most_uses)
def _overload_most_uses(net, layer):
    # The most synapses that share a weight of W_l.
    if has_rows(net):
        return lambda net, layer: net.rows.uses[layer]
    return lambda net, layer: 1.0


def squared_counts(run, layer):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(squared_counts)
def _overload_squared_counts(run, layer):
    # The sum of the squared counts of a layer, as often as its units meet the weights above. It is
    # not exact where it is no exact double.
    if has_rows(run.fields["net"]):
        return lambda run, layer: squares_along(run, layer)
    return lambda run, layer: _squared_counts(run, layer)


@kernel
def _squared_counts(run, layer):
    total = 0.0
    count = units_of(run.sample.count, run.net, layer)
    for i in range(count.size):
        total += float(count[i]) * float(count[i])
    return total


def count_spikes(run, layer, n_sent):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(count_spikes)
def _overload_count_spikes(run, layer, n_sent):
    # Count the spikes that a layer has sent and, unless units are alike in that, their operations.
    if has_rows(run.fields["net"]):
        return lambda run, layer, n_sent: _count_spikes_along(run, layer, n_sent)
    return lambda run, layer, n_sent: _count(run.totals.spikes, layer, n_sent)


@kernel
def _count(totals, layer, n_sent):
    totals[layer] += np.int64(n_sent)


@kernel
def _count_spikes_along(run, layer, n_sent):
    net, sample = run.net, run.sample
    _count(run.totals.spikes, layer, n_sent)
    run.totals.spikes[net.sizes.size + layer] += operations_along(
        net.rows.up,
        net.unit[layer],
        units_of(sample.spike, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


def count_errors(run, layer, n_sent):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@chosen(count_errors)
def _overload_count_errors(run, layer, n_sent):
    # Count the errors that a layer has sent, and their operations as those of spikes.
    if has_rows(run.fields["net"]):
        return lambda run, layer, n_sent: _count_errors_along(run, layer, n_sent)
    return lambda run, layer, n_sent: _count(run.totals.errors, layer, n_sent)


@kernel
def _count_errors_along(run, layer, n_sent):
    net, sample = run.net, run.sample
    _count(run.totals.errors, layer, n_sent)
    run.totals.errors[net.sizes.size + layer] += operations_along(
        net.rows.down,
        net.unit[layer],
        units_of(sample.error, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )
