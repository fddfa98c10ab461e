"""Kernels that go back to the last sample boundary, without a copy of all weights.

In integers an update W_l -= r c e' is undone exactly by its inverse, even if it has wrapped. So its
c and its nonzero e_j are logged. A sample whose log is full, as one of many steps, goes on with a
copy of the weights of the boundary.

Where numbers are rounded, or saturate, nothing has an inverse. There a sample changes the weights
into those units alone that get errors: the columns j of W_l, and the rows j of B_l, with e_j != 0.
Before such a column changes for the first time, it is kept.
"""

from __future__ import annotations

import numpy as np

from .arrays import copy
from .build import entry, kernel, rare
from .rows import by_connections, change_by_unit, rebuild_backward
from .slices import back_of, backward_of, matrix_of, units_of, weights_of

#: Numbers of an update in the log before its factors: layer, how many errors there are, and rate.
LOG_HEAD = 3


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


@rare
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
def _undo_dense(net, weight, backward, has_backward, layer, log, factor, column, n_columns):
    n_in, n_out = net.unit[layer] - net.unit[layer - 1], net.unit[layer + 1] - net.unit[layer]
    rate, matrix = log[factor - 1], matrix_of(weight, net, layer)
    for i in range(n_in):
        c = log[factor + i]
        if c != 0:
            for a in range(column, column + n_columns):
                j = np.uintp(i * n_out + np.int64(log[a]))
                matrix[j] += rate * (c * log[a + n_columns])
    if has_backward and layer > 1:
        transposed = back_of(backward, net, layer)
        for a in range(column, column + n_columns):
            start, e = np.int64(log[a]) * n_in, log[a + n_columns]
            for i in range(n_in):
                transposed[np.uintp(start + i)] += rate * (log[factor + i] * e)


@kernel
def _undo_along(net, weight, backward, has_backward, layer, log, factor, column, n_columns):
    matrix, back = matrix_of(weight, net, layer), back_of(backward, net, layer)
    rate, factors = log[factor - 1], log[factor:column]
    has_back = has_backward and layer > 1
    for a in range(column, column + n_columns):
        step = -rate * log[a + n_columns]
        change_by_unit(net, layer, matrix, back, has_back, factors, np.int64(log[a]), step)


#: ``undo_update(net, weight, backward, has_backward, layer, log, factor, column, n_columns)``: undo
#: an update of W_l, whose factors, columns and errors have these places in the log.
undo_update = by_connections(_undo_dense, _undo_along)


@rare
def undo_updates(net, boundary, weight, backward, has_backward):
    """Undo the updates of the log, in flat arrays of all W_l and, with `has_backward`, all B_l."""
    log, place = boundary.log, np.int64(0)
    while place < boundary.n_logged[0]:
        layer, n_columns = np.int64(log[place]), np.int64(log[place + 1])
        n_in = net.unit[layer] - net.unit[layer - 1]
        factor, column = place + LOG_HEAD, place + LOG_HEAD + n_in
        place = column + 2 * n_columns
        undo_update(net, weight, backward, has_backward, layer, log, factor, column, n_columns)


@rare
def keep_whole(run):
    """Copy the weights, and make the copy what they were at the boundary."""
    boundary = run.boundary
    if not boundary.is_whole[0]:
        copy(boundary.column, run.learning.weight)
        undo_updates(run.net, boundary, boundary.column, run.learning.backward, False)
        boundary.is_whole[0] = True


@kernel
def log_update(run, layer, factor, error, column, n_columns):
    """Log an update of W_l; `column` lists the units of its `n_columns` errors that are not 0."""
    boundary = run.boundary
    log, place = boundary.log, boundary.n_logged[0]
    stop = place + LOG_HEAD + factor.size + 2 * n_columns
    if stop > log.size:
        keep_whole(run)
    if boundary.is_whole[0]:
        return
    log[place], log[place + 1], log[place + 2] = layer, n_columns, run.sample.rate[layer]
    place += LOG_HEAD
    for i in range(factor.size):
        log[np.uintp(place + i)] = factor[np.uintp(i)]
    place += factor.size
    for a in range(n_columns):
        log[np.uintp(place + a)] = column[a]
        log[np.uintp(place + n_columns + a)] = error[np.uintp(column[a])]
    boundary.n_logged[0] = stop


@kernel
def keep_columns(run, layer, units, n):
    """Keep the weights into n units of a layer, except those that are kept already."""
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


@rare
def restore_columns(net, boundary, learning):
    """Make the columns that are kept what they were at the boundary."""
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


@kernel
def _transpose(net, learning, layer):
    weight, n_out = weights_of(learning, net, layer), net.unit[layer + 1] - net.unit[layer]
    back, width = backward_of(learning, net, layer), net.unit[layer] - net.unit[layer - 1]
    for i in range(net.sizes[layer - 1]):
        for j in range(net.sizes[layer]):
            back[j * width + i] = weight[i * n_out + j]


#: ``make_backward(net, learning, layer)``: make B_l from W_l.
make_backward = by_connections(_transpose, rebuild_backward)


@rare
def restore_whole(net, boundary, learning):
    """Make all weights what they were at the boundary."""
    copy(learning.weight, boundary.column)
    for layer in range(2, net.sizes.size):
        if not net.random_feedback:
            make_backward(net, learning, layer)


@rare
def restore(net, boundary, learning):
    """Make a learning state what it was at the boundary."""
    if not boundary.logs:
        restore_columns(net, boundary, learning)
    elif boundary.is_whole[0]:
        restore_whole(net, boundary, learning)
    else:
        has_backward = not net.random_feedback
        undo_updates(net, boundary, learning.weight, learning.backward, has_backward)
    copy(learning.backward_potential, boundary.backward_potential)
    copy(learning.weight_bound, boundary.weight_bound)
    copy(learning.matrix_bound, boundary.matrix_bound)
    copy(learning.backward_bound, boundary.backward_bound)


@rare
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
    if boundary.keeps:
        for a in range(boundary.n_kept[0]):
            units_of(boundary.is_kept, net, boundary.kept_layer[a])[boundary.kept_unit[a]] = False
        boundary.n_kept[0] = boundary.n_used[0] = boundary.n_logged[0] = 0
        boundary.is_whole[0] = False
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
