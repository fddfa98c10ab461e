"""Kernels that go back to the last sample boundary.

A training sample changes the weights into those units alone that get errors: the columns j of W_l,
and the rows j of B_l, with e_j != 0. Most samples have few. Before such a column changes for the
first time, it is kept. So a sample that turns out to be out of range is undone without a copy of
all weights, and what a sample has learned is handed to another copy of the weights in the same way.
"""

from __future__ import annotations

from .arrays import copy
from .build import kernel
from .slices import backward_of, units_of, weights_of


@kernel
def copy_column(learning, net, layer, j, column):
    """Write the weights into unit j of a layer to an array."""
    n_in, n_out = net.unit[layer] - net.unit[layer - 1], net.unit[layer + 1] - net.unit[layer]
    if layer > 1 and not net.random_feedback:  # B_l has them side by side
        back = backward_of(learning, net, layer)
        for i in range(n_in):
            column[i] = back[j * n_in + i]
    else:
        weight = weights_of(learning, net, layer)
        for i in range(net.sizes[layer - 1]):
            column[i] = weight[i * n_out + j]


@kernel
def set_column(learning, net, layer, j, column):
    """Take the weights into unit j of a layer from an array."""
    n_in, n_out = net.unit[layer] - net.unit[layer - 1], net.unit[layer + 1] - net.unit[layer]
    weight = weights_of(learning, net, layer)
    for i in range(net.sizes[layer - 1]):
        weight[i * n_out + j] = column[i]
    if layer > 1 and not net.random_feedback:
        back = backward_of(learning, net, layer)
        for i in range(n_in):
            back[j * n_in + i] = column[i]


@kernel(inline="always")
def column_kept(boundary, net, layer, j):
    """The place where the column of a unit is kept."""
    n_in = net.unit[layer] - net.unit[layer - 1]
    start = net.column[layer] + j * n_in
    return boundary.column[start : start + n_in]


@kernel
def keep_column(run, layer, j):
    """Keep the weights into unit j of a layer, unless this sample has changed them before."""
    net, boundary = run.net, run.boundary
    is_kept = units_of(boundary.is_kept, net, layer)
    if not boundary.keeps or is_kept[j]:
        return
    # Listed before it is written: nothing reads the list while a kernel runs.
    is_kept[j] = True
    n = boundary.n_kept[0]
    boundary.kept_layer[n], boundary.kept_unit[n] = layer, j
    boundary.n_kept[0] = n + 1
    copy_column(run.learning, net, layer, j, column_kept(boundary, net, layer, j))


@kernel
def begin_boundary(run):
    """Make the present state the one to which `go_back_to_boundary` goes back."""
    net, boundary, learning, totals = run.net, run.boundary, run.learning, run.totals
    if boundary.keeps:
        for a in range(boundary.n_kept[0]):
            units_of(boundary.is_kept, net, boundary.kept_layer[a])[boundary.kept_unit[a]] = False
        boundary.n_kept[0] = 0
        copy(boundary.backward_potential, learning.backward_potential)
        copy(boundary.weight_bound, learning.weight_bound)
        copy(boundary.matrix_bound, learning.matrix_bound)
        copy(boundary.backward_bound, learning.backward_bound)
    copy(boundary.spikes, totals.spikes)
    copy(boundary.errors, totals.errors)
    copy(boundary.updates, totals.updates)


@kernel
def go_back_to_boundary(run):
    """Undo what has changed since the last sample boundary."""
    net, boundary, learning, totals = run.net, run.boundary, run.learning, run.totals
    if boundary.keeps:
        for a in range(boundary.n_kept[0]):
            layer, j = boundary.kept_layer[a], boundary.kept_unit[a]
            set_column(learning, net, layer, j, column_kept(boundary, net, layer, j))
        copy(learning.backward_potential, boundary.backward_potential)
        copy(learning.weight_bound, boundary.weight_bound)
        copy(learning.matrix_bound, boundary.matrix_bound)
        copy(learning.backward_bound, boundary.backward_bound)
    copy(totals.spikes, boundary.spikes)
    copy(totals.errors, boundary.errors)
    copy(totals.updates, boundary.updates)
