"""Connections of any kind as rows of weights, and the products along them.

What a unit sends meets rows: each has a place in the array of weights, and a place in the layer
that receives, where it is added. A pixel meets a row for each place of the kernel that lies on it,
and the channels of that place are the row. A weight by itself, as of a sparse connection, is a row
of one.

Rows of several weights are filled up with zeros to whole vectors. To add one also adds zeros to
units behind those that it is for, which changes nothing; arrays have room for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import MANY_ACTIVE
from .build import chosen, kernel, rare
from .runs import Runs, add_by_place, change_by_place, gathers
from .slices import backward_of, units_of, weights_of
from .structs import Struct
from .vectors import LANES, load, store


class Fan(Struct):
    """The rows that units send through; arrays by unit have the places of all layers."""

    first: Any  # int64 (sum n_l,): the first row of each unit in the lists that follow
    last: Any  # int64 (sum n_l,): the row behind its last
    offset: Any  # int64 (sum n_l,): what its channel adds to the places of these rows
    n_synapses: Any  # int64 (sum n_l,): its synapses
    target: Any  # int64 (rows,): the unit that receives the first weight, in its layer
    place: Any  # int64 (rows,): where the row of channel 0 begins in W_l or B_l
    length: Any  # int64 (L+1,): weights of a row into (forward) or out of (backward) layer l


class Rows(Struct):
    """The connections of a network, not all of them dense, and all of integers."""

    learns: Any  # bool (L+1,): W_l has weights of its own
    uses: Any  # float64 (L+1,): the most synapses that share a weight of W_l
    times_met: Any  # int64 (sum n_l,): how often a unit meets the weights above
    up: Fan
    down: Fan
    runs: Runs
    column: Any  # int64 (sum n_l,): the channel of a unit above
    # The order of W_l and B_l: taps, channels below and above, row lengths are those of the fans.
    taps: Any  # int64 (L+1,)
    channels: Any  # int64 (L+1,): channels below
    channels_above: Any  # int64 (L+1,)


def by_connections(of_dense, of_any):
    """Return a function for kernels that calls one of two, by the type of the definition.

    Parameters
    ----------
    of_dense, of_any : kernel
        Kernels with the same arguments, of which the first is a definition or holds one as `net`:
        one for networks whose connections are all dense, and one for all others.
    """

    def called(*arguments):  # pragma: no cover - replaced by what is chosen
        raise NotImplementedError

    @chosen(called)
    def choose(*arguments):
        net = arguments[0].fields.get("net", arguments[0])
        function = of_any if "rows" in net.fields else of_dense
        return lambda *arguments: function(*arguments)

    return called


@kernel
def add_row(total, start, k, matrix, place, length):
    """Total += k * row, `length` numbers from `start` and `place` on, in whole vectors."""
    if length == LANES:  # as most rows are
        _add_vector(total, start, k, matrix, place)
    else:
        for j in range(0, length, LANES):
            _add_vector(total, start + j, k, matrix, place + j)


@kernel
def _add_vector(total, start, k, matrix, place):
    store(total, start, load(total, start, LANES) + k * load(matrix, place, LANES))


@rare
def add_along(fan, first_unit, length, total, matrix, counts, active, n_active):
    """Add to `total` what active units send through their rows."""
    for a in range(n_active):
        i = active[np.uintp(a)]
        k, unit = counts[np.uintp(i)], np.uintp(first_unit + i)
        first, last, offset = fan.first[unit], fan.last[unit], fan.offset[unit]
        if length == 1:
            for m in range(first, last):
                total[np.uintp(fan.target[np.uintp(m)])] += (
                    k * matrix[np.uintp(fan.place[np.uintp(m)] + offset)]
                )
        else:
            for m in range(first, last):
                start, place = fan.target[np.uintp(m)], fan.place[np.uintp(m)] + offset
                add_row(total, start, k, matrix, place, length)


@kernel
def add_forward_along(run, layer, drive):
    """Add the drive that the spikes of a layer cause in the layer above."""
    net, sample = run.net, run.sample
    fan, matrix = net.rows.up, weights_of(run.learning, net, layer + 1)
    if gathers(run, layer + 1):
        add_by_place(run, layer + 1, matrix, drive)
        return
    add_along(
        fan,
        net.unit[layer],
        fan.length[layer + 1],
        drive,
        matrix,
        units_of(sample.spike, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


@kernel
def add_backward_along(run, layer, potential):
    """Add the errors of a layer, through B, to the backward potentials of the layer below."""
    net, sample = run.net, run.sample
    fan = net.rows.down
    add_along(
        fan,
        net.unit[layer],
        fan.length[layer],
        potential,
        backward_of(run.learning, net, layer),
        units_of(sample.error, net, layer),
        units_of(sample.active, net, layer),
        sample.n_active[layer],
    )


@kernel
def change_unit(net, layer, weight, factor, j, step):
    """W_l -= step * c_i for the synapses of unit j; return how many c_i are not 0.

    `factor` are the c of the layer below.
    """
    runs, unit = net.rows.runs, np.uintp(net.unit[layer] + j)
    apart, column = runs.apart[layer], net.rows.column[unit]
    n_changed = 0
    for m in range(runs.first[unit], runs.last[unit]):
        start, place = runs.start[np.uintp(m)], runs.weight[np.uintp(m)] + column
        for i in range(runs.size[np.uintp(m)]):
            c = factor[np.uintp(start + i)]
            if c != 0:
                weight[np.uintp(place + i * apart)] -= step * c
                n_changed += 1
    return n_changed


@kernel
def change_back(net, layer, back, factor, j, step):
    """B_l -= step * c_i for the synapses of unit j."""
    rows, fan, unit = net.rows, net.rows.down, np.uintp(net.unit[layer] + j)
    channels = rows.channels[layer]
    for m in range(fan.first[unit], fan.last[unit]):
        start, place = fan.target[np.uintp(m)], fan.place[np.uintp(m)] + fan.offset[unit]
        if channels == fan.length[layer] and channels % LANES == 0:
            add_row(back, place, -step, factor, start, channels)
        else:
            for a in range(channels):
                back[np.uintp(place + a)] -= step * factor[np.uintp(start + a)]


@rare
def change_by_unit(net, layer, weight, back, has_back, factor, j, step):
    """Change W_l and B_l by the error of one unit."""
    change_unit(net, layer, weight, factor, j, step)
    if has_back:
        change_back(net, layer, back, factor, j, step)


@kernel
def descend_along(run, errors, layer, n_columns):
    """W_l -= rate * sum of c_i e_j over the synapses of each weight, and B_l with it."""
    net, sample, learning = run.net, run.sample, run.learning
    factor, error = units_of(sample.factor, net, layer - 1), units_of(errors, net, layer)
    column, rate = units_of(sample.active, net, layer), sample.rate[layer]
    weight, back = weights_of(learning, net, layer), backward_of(learning, net, layer)
    if layer > 1 and not net.random_feedback:
        for a in range(n_columns):
            j = column[np.uintp(a)]
            change_back(net, layer, back, factor, j, rate * error[np.uintp(j)])
    if net.rows.runs.by_place[layer]:
        return change_by_place(run, layer, weight, factor, error, n_columns)
    n_changed = 0
    for a in range(n_columns):
        j = column[np.uintp(a)]
        n_changed += change_unit(net, layer, weight, factor, j, rate * error[np.uintp(j)])
    return n_changed


@rare
def rebuild_backward(net, learning, layer):
    """Make B_l from W_l."""
    rows = net.rows
    weight, back = weights_of(learning, net, layer), backward_of(learning, net, layer)
    below, above = rows.channels[layer], rows.channels_above[layer]
    up, down = rows.up.length[layer], rows.down.length[layer]
    for tap in range(rows.taps[layer]):
        for a in range(below):
            for b in range(above):
                back[(tap * above + b) * down + a] = weight[(tap * below + a) * up + b]


@rare
def squares_along(run, layer):
    """The sum of the squared counts of a layer, each as often as its unit meets the weights."""
    total, first = 0.0, run.net.unit[layer]
    count, times_met = units_of(run.sample.count, run.net, layer), run.net.rows.times_met
    for i in range(count.size):
        total += float(count[i]) * float(count[i]) * times_met[np.uintp(first + i)]
    return total


@rare
def operations_along(fan, first_unit, counts, active, n_active):
    """The synaptic operations of counts, of which each is small enough for their sum."""
    total = np.int64(0)
    if n_active * MANY_ACTIVE >= counts.size:  # vectors read neighbours faster than a list
        for i in range(counts.size):
            total += abs(np.int64(counts[i])) * fan.n_synapses[np.uintp(first_unit + i)]
        return total
    for a in range(n_active):
        i = active[np.uintp(a)]
        total += abs(np.int64(counts[np.uintp(i)])) * fan.n_synapses[np.uintp(first_unit + i)]
    return total
