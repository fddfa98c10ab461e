"""The three products of dense connections, along rows: work follows spikes, not layer sizes."""

from __future__ import annotations

import numpy as np

from .arrays import list_units, nonzero_from
from .boundary import keep_columns, log_update
from .build import kernel, rare
from .chip import descend_rounded
from .slices import backward_of, units_of, weights_of
from .vectors import lowest

#: Where at least one column in so many changes, whole rows are changed, by vectors.
COLUMNS_IN_VECTOR = 8


@rare
def add_rows(total, matrix, counts, active, n_active):
    """Total += counts @ matrix, one row for each active unit."""
    n_out = total.size
    a = 0
    while a + 4 <= n_active:  # four rows at a time load and store the total once
        i0, i1, i2, i3 = active[a], active[a + 1], active[a + 2], active[a + 3]
        k0, k1, k2, k3 = counts[i0], counts[i1], counts[i2], counts[i3]
        row0 = matrix[i0 * n_out : (i0 + 1) * n_out]
        row1 = matrix[i1 * n_out : (i1 + 1) * n_out]
        row2 = matrix[i2 * n_out : (i2 + 1) * n_out]
        row3 = matrix[i3 * n_out : (i3 + 1) * n_out]
        if k0 == 1 and k1 == 1 and k2 == 1 and k3 == 1:  # as most are
            for j in range(n_out):
                total[j] += row0[j] + row1[j] + row2[j] + row3[j]
        else:
            for j in range(n_out):
                total[j] += k0 * row0[j] + k1 * row1[j] + k2 * row2[j] + k3 * row3[j]
        a += 4
    while a < n_active:
        k = counts[active[a]]
        row = matrix[active[a] * n_out : (active[a] + 1) * n_out]
        for j in range(n_out):
            total[j] += k * row[j]
        a += 1


@kernel
def add_forward(run, layer, drive):
    """Add the drive that the spikes of a layer cause in the layer above."""
    net, sample = run.net, run.sample
    add_rows(
        drive,
        weights_of(run.learning, net, layer + 1),
        units_of(sample.spike, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


@kernel
def add_backward(run, layer, potential):
    """Add the errors of a layer, through B, to the backward potentials of the layer below."""
    net, sample = run.net, run.sample
    add_rows(
        potential,
        backward_of(run.learning, net, layer),
        units_of(sample.error, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


@rare
def descend_transposed(rate, back, factor, error, column, n_columns):
    """B_l -= rate * outer(e, c), by rows; `column` lists `n_columns` units with errors."""
    n_in = factor.size
    for a in range(n_columns):
        start, e = column[a] * n_in, error[column[a]]
        transposed = back[start : start + n_in]
        for i in range(n_in):
            transposed[i] -= rate * (factor[i] * e)


@rare
def descend(run, errors, layer):
    """W_l -= rate * outer(c, e), and B_l with it; return how many weights that changes."""
    net, sample, learning = run.net, run.sample, run.learning
    factor = units_of(sample.factor, net, layer - 1)
    error = units_of(errors, net, layer)
    column = units_of(sample.active, net, layer)
    n_columns = list_units(error, column)
    if run.boundary.logs:
        log_update(run, layer, factor, error, column, n_columns)
    elif run.boundary.keeps:
        keep_columns(run, layer, column, n_columns)
    if net.chip:
        n_rows = list_units(factor, units_of(sample.active, net, layer - 1))
        descend_rounded(run, errors, layer, n_rows, n_columns)
        return n_rows * n_columns
    n_out, rate = error.size, sample.rate[layer]
    weight = weights_of(learning, net, layer)
    whole_rows = n_columns * COLUMNS_IN_VECTOR >= n_out
    n_rows = i = 0
    while i < factor.size:  # row by row, as the weights lie in memory
        found, n = nonzero_from(factor, i)
        while found != 0:
            row = i + lowest(found)
            found &= found - 1
            n_rows += 1
            c, start = factor[np.uintp(row)], np.uintp(row * n_out)
            if whole_rows:
                for j in range(n_out):
                    weight[start + np.uintp(j)] -= rate * (c * error[j])
            else:
                for a in range(n_columns):
                    unit = np.uintp(column[np.uintp(a)])
                    weight[start + unit] -= rate * (c * error[unit])
        i += n
    if layer > 1 and not net.random_feedback:
        back = backward_of(learning, net, layer)
        descend_transposed(rate, back, factor, error, column, n_columns)
    return n_rows * n_columns
