"""Kernels that go back to the last sample boundary.

A training sample changes the weights into those units alone that get errors: the columns j of W_l,
and the rows j of B_l, with e_j != 0. Most samples have few. Before such a column changes for the
first time, it is kept. So a sample that turns out to be out of range, or is dropped, is undone
without a copy of all weights.
"""

from __future__ import annotations

import numpy as np

from .arrays import copy
from .build import entry, kernel
from .slices import backward_of, units_of, weights_of


@kernel
def list_kept(run, layer, j):
    """Enter unit j of a layer in the list of those that have learned, unless it is there."""
    boundary = run.boundary
    is_kept = units_of(boundary.is_kept, run.net, layer)
    if not is_kept[j]:
        is_kept[j] = True
        n = boundary.n_kept[0]
        boundary.kept_layer[n], boundary.kept_unit[n] = layer, j
        boundary.n_kept[0] = n + 1


@kernel
def keep_listed(run, layer, first):
    """Keep the weights into the units of a layer that are listed from index `first` on."""
    net, boundary, learning = run.net, run.boundary, run.learning
    n_in, n_out = net.sizes[layer - 1], net.unit[layer + 1] - net.unit[layer]
    n, place = boundary.n_kept[0] - first, boundary.n_used[0]
    column, unit = boundary.column, boundary.kept_unit
    boundary.n_used[0] += n * n_in
    if layer > 1 and not net.random_feedback:  # B_l has the weights of a unit side by side
        back, width = backward_of(learning, net, layer), net.unit[layer] - net.unit[layer - 1]
        for a in range(first, first + n):
            boundary.kept_place[a], boundary.kept_stride[a] = place, 1
            start = unit[a] * width
            for i in range(n_in):  # an index without a sign lets the compiler use vectors
                column[np.uintp(place + i)] = back[np.uintp(start + i)]
            place += n_in
        return
    weight = weights_of(learning, net, layer)
    for a in range(n):
        boundary.kept_place[first + a], boundary.kept_stride[first + a] = place + a, n
    for i in range(n_in):  # row by row, as the weights lie in memory
        for a in range(n):
            j = np.uintp(i * n_out + unit[np.uintp(first + a)])
            column[np.uintp(place + i * n + a)] = weight[j]


@kernel
def keep_columns(run, layer, units, n):
    """Keep the weights into n units of a layer, except those that are kept already."""
    if run.boundary.keeps:
        first = run.boundary.n_kept[0]
        for a in range(n):
            list_kept(run, layer, units[a])
        if run.boundary.n_kept[0] > first:
            keep_listed(run, layer, first)


@kernel
def keep_column(run, layer, j):
    """Keep the weights into unit j of a layer, unless this sample has changed them before."""
    if run.boundary.keeps:
        first = run.boundary.n_kept[0]
        list_kept(run, layer, j)
        if run.boundary.n_kept[0] > first:
            keep_listed(run, layer, first)


@kernel
def restore(net, boundary, learning):
    """Make a learning state what it was at the boundary."""
    for a in range(boundary.n_kept[0]):
        layer, j = boundary.kept_layer[a], boundary.kept_unit[a]
        place, stride = boundary.kept_place[a], boundary.kept_stride[a]
        n_in, n_out = net.sizes[layer - 1], net.unit[layer + 1] - net.unit[layer]
        weight = weights_of(learning, net, layer)
        for i in range(n_in):
            weight[i * n_out + j] = boundary.column[place + i * stride]
        if layer > 1 and not net.random_feedback:
            back, width = backward_of(learning, net, layer), net.unit[layer] - net.unit[layer - 1]
            for i in range(n_in):
                back[j * width + i] = boundary.column[place + i * stride]
    copy(learning.backward_potential, boundary.backward_potential)
    copy(learning.weight_bound, boundary.weight_bound)
    copy(learning.matrix_bound, boundary.matrix_bound)
    copy(learning.backward_bound, boundary.backward_bound)


@kernel
def go_back_to_boundary(run):
    """Undo what has changed since the last sample boundary."""
    boundary, totals = run.boundary, run.totals
    if boundary.keeps:
        restore(run.net, boundary, run.learning)
    copy(totals.spikes, boundary.spikes)
    copy(totals.errors, boundary.errors)
    copy(totals.updates, boundary.updates)
    boundary.is_open[0] = False


@kernel
def begin_boundary(run):
    """Begin a sample: make the present state the one to which `go_back_to_boundary` goes back."""
    net, boundary, learning, totals = run.net, run.boundary, run.learning, run.totals
    if boundary.is_open[0]:  # an interrupt has kept the caller from undoing a sample
        go_back_to_boundary(run)
    if boundary.keeps:
        for a in range(boundary.n_kept[0]):
            units_of(boundary.is_kept, net, boundary.kept_layer[a])[boundary.kept_unit[a]] = False
        boundary.n_kept[0] = boundary.n_used[0] = 0
        copy(boundary.backward_potential, learning.backward_potential)
        copy(boundary.weight_bound, learning.weight_bound)
        copy(boundary.matrix_bound, learning.matrix_bound)
        copy(boundary.backward_bound, learning.backward_bound)
    copy(boundary.spikes, totals.spikes)
    copy(boundary.errors, totals.errors)
    copy(boundary.updates, totals.updates)
    boundary.is_open[0] = boundary.keeps


@kernel
def end_boundary(run, trained):
    """End a sample: count it, as a training sample too if `trained` is 1 and not 0."""
    samples = run.totals.samples
    samples[0] += 1
    samples[1] += trained
    samples[2] += trained
    run.boundary.age[0] += trained
    run.boundary.is_open[0] = False


@entry
def restore_copy(net, boundary, learning):
    """Make a copy of a learning state what the original was at the boundary."""
    restore(net, boundary, learning)
