"""Connections whose weights are shared by places, as runs of units below.

The kernel of a convolution lies on runs of units that are side by side in the layer below, and
meets them with weights that are equally far apart in W. So what a place receives is a sum over the
active units of its runs, which stays in registers::

    total = load(drive, place)                   # all channels of a place
    for run in runs(place):
        for i in active(run):
            total += k[i] * load(W, row of i)
    store(drive, place, total)

Where the layer below has few active units for each run, it is faster to add the rows of each active
unit to the places that it meets: see `rows`.

A layer lists its active units in order. How many of them lie before a given unit, and with that the
part of the list that belongs to a run, follows from one bit for each unit and a count for each word
of bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Sample, list_units
from .build import kernel, rare
from .columns import by_columns
from .slices import units_of
from .structs import Struct
from .vectors import LANES, load, nonzero, number_of_bits, store

#: Sums are gathered place by place from so many active units for each run on.
UNITS_OF_RUN = 3
#: To find the active units of a run takes as long as to change so many vectors.
LOOK_UP = 4


class Runs(Struct):
    """The runs that units above receive from; arrays by unit have the places of all layers."""

    by_place: Any  # bool (L+1,): units of a place side by side have the same runs
    first: Any  # int64 (sum n_l,): the first run of each unit in the lists that follow
    last: Any  # int64 (sum n_l,): the run behind its last
    start: Any  # int64 (runs,): the first unit of a run, in its layer
    size: Any  # int64 (runs,): its units
    weight: Any  # int64 (runs,): the index in W_l of that for this unit and channel 0 above
    apart: Any  # int64 (L+1,): from the weight for a unit to that for the next
    many: Any  # int64 (L+1,): with so many active units below, W_l is read place by place
    n_places: Any  # int64 (L+1,)
    n_runs: Any  # int64 (L+1,): all of them
    n_pairs: Any  # int64 (L+1,): units of all runs together


class ConnectedSample(Sample):
    """The state of a sample of a network whose connections are not all dense."""

    bits: Any  # int64 (words of the widest layer + 1,): which of LANES units are active
    before: Any  # int64 (words of the widest layer + 1,): how many are active before these
    step: Any  # (widest place,): the changes of the weights for a factor of 1
    n_met: Any  # int64 (1,): the active units that a place meets


@rare
def index_units(values, bits, before):
    """Write the bits of the nonzero values, and how many of them lie before each word."""
    n_words = values.size // LANES
    total = np.int64(0)
    for word in range(n_words):
        found = nonzero(load(values, word * LANES, LANES))
        bits[np.uintp(word)], before[np.uintp(word)] = found, total
        total += number_of_bits(found)
    bits[np.uintp(n_words)], before[np.uintp(n_words)] = 0, total


@kernel
def n_before(bits, before, unit):
    """How many of the values of units before `unit` are not 0."""
    word = np.uintp(unit // LANES)
    return before[word] + number_of_bits(bits[word] & ((np.int64(1) << (unit % LANES)) - 1))


def build_add(lanes):
    """Return the kernel for `lanes` channels."""

    @kernel
    def add(channel, net, layer, matrix, below, total):
        """Add to `total` what the places of a layer receive from the spikes below."""
        runs, apart, above = net.rows.runs, net.rows.runs.apart[layer], net.rows.channels_above
        spike, active, bits, before = below
        for j in range(0, net.sizes[layer], above[layer]):
            unit = np.uintp(net.unit[layer] + j)
            received = load(total, j + channel, lanes)
            for m in range(runs.first[unit], runs.last[unit]):
                start, size = runs.start[np.uintp(m)], runs.size[np.uintp(m)]
                row = runs.weight[np.uintp(m)] + channel - start * apart
                first, last = n_before(bits, before, start), n_before(bits, before, start + size)
                for a in range(first, last):
                    i = active[np.uintp(a)]
                    received += spike[np.uintp(i)] * load(matrix, row + i * apart, lanes)
            store(total, j + channel, received)

    return add


def build_change(lanes):
    """Return the kernel for `lanes` channels."""

    @kernel
    def change(channel, net, layer, matrix, below, step, j, n_met):
        """W_l -= c_i * step for the place of unit j above; `n_met` becomes the number of c_i."""
        runs, apart, unit = net.rows.runs, net.rows.runs.apart[layer], net.unit[layer] + j
        factor, active, bits, before = below
        steps, n_met[0] = load(step, channel, lanes), 0
        for m in range(runs.first[np.uintp(unit)], runs.last[np.uintp(unit)]):
            start, size = runs.start[np.uintp(m)], runs.size[np.uintp(m)]
            row = runs.weight[np.uintp(m)] + channel - start * apart
            first, last = n_before(bits, before, start), n_before(bits, before, start + size)
            for a in range(first, last):
                i = active[np.uintp(a)]
                learned = load(matrix, row + i * apart, lanes) - factor[np.uintp(i)] * steps
                store(matrix, row + i * apart, learned)
            n_met[0] += last - first

    return change


add_channels, change_channels = by_columns(build_add), by_columns(build_change)


@kernel
def first_of_place(net, layer, j):
    """The first unit of the place of unit j."""
    return j - net.rows.column[np.uintp(net.unit[layer] + j)]


@rare
def change_is_shorter_by_unit(net, layer, n_active, column, n):
    """Whether to go through the places that active units meet, and not through places with errors.

    The first looks at places without errors too. The second has to find the active units.
    """
    runs, rows, n_places, latest = net.rows.runs, net.rows, 0, np.int64(-1)
    vectors = rows.up.length[layer] // LANES
    if vectors * LANES != rows.channels_above[layer]:  # the errors of a place are no whole vectors
        return False
    for a in range(n):
        first = first_of_place(net, layer, column[np.uintp(a)])
        n_places += first != latest
        latest = first
    all_places, n_below = runs.n_places[layer], net.sizes[layer - 1]
    n_without_errors = n_active * runs.n_pairs[layer] * (all_places - n_places) * vectors
    n_looked_up = n_places * runs.n_runs[layer] * n_below * LOOK_UP
    return n_without_errors < n_looked_up


@kernel
def change_vector(weight, start, k, error, first):
    """W_l += k * e_j for a vector of errors; return how many of them are not 0."""
    errors = load(error, first, LANES)
    store(weight, start, load(weight, start, LANES) + k * errors)
    return number_of_bits(nonzero(errors))


@rare
def change_by_unit_below(net, layer, weight, factor, rate, error, active, n_active):
    """W_l -= rate * c_i e_j, row by row of the active units; return how many pairs are not 0."""
    fan, first_unit, length = net.rows.up, net.unit[layer - 1], net.rows.up.length[layer]
    n_changed = np.int64(0)
    for a in range(n_active):
        i = active[np.uintp(a)]
        k, unit = -rate * factor[np.uintp(i)], np.uintp(first_unit + i)
        offset = fan.offset[unit]
        for m in range(fan.first[unit], fan.last[unit]):
            first, row = fan.target[np.uintp(m)], fan.place[np.uintp(m)] + offset
            if length == LANES:
                n_changed += change_vector(weight, row, k, error, first)
                continue
            for b in range(0, length, LANES):
                n_changed += change_vector(weight, row + b, k, error, first + b)
    return n_changed


@kernel
def gathers(run, layer):
    """Whether the drive of a layer is best summed place by place."""
    n_active, runs = run.sample.n_active[layer - 1], run.net.rows.runs
    return runs.by_place[layer] and n_active >= runs.many[layer]


@rare
def add_by_place(run, layer, matrix, drive):
    """Add the drive that spikes cause in a layer of places."""
    net, sample = run.net, run.sample
    spike, active = units_of(sample.spike, net, layer - 1), units_of(sample.active, net, layer - 1)
    index_units(spike, sample.bits, sample.before)
    below = spike, active, sample.bits, sample.before
    add_channels(net.rows.up.length[layer], (net, layer, matrix, below, drive))


@rare
def change_by_place(run, layer, weight, factor, error, n):
    """Change the weights of a layer of places, of which n units have errors.

    Returns how many factors and errors that are not 0 have met.
    """
    net, sample, rows = run.net, run.sample, run.net.rows
    column, active = units_of(sample.active, net, layer), units_of(sample.active, net, layer - 1)
    n_active, rate = list_units(factor, active), sample.rate[layer]
    if change_is_shorter_by_unit(net, layer, n_active, column, n):
        return change_by_unit_below(net, layer, weight, factor, rate, error, active, n_active)
    index_units(factor, sample.bits, sample.before)
    below = factor, active, sample.bits, sample.before
    length, step = rows.up.length[layer], sample.step
    for b in range(length):
        step[np.uintp(b)] = 0
    n_changed = a = 0
    while a < n:
        first = first_of_place(net, layer, column[np.uintp(a)])
        begin = a
        while a < n and column[np.uintp(a)] < first + rows.channels_above[layer]:
            j = column[np.uintp(a)]
            step[np.uintp(j - first)] = rate * error[np.uintp(j)]
            a += 1
        change_channels(length, (net, layer, weight, below, step, first, sample.n_met))
        n_changed += (a - begin) * sample.n_met[0]
        for b in range(begin, a):
            step[np.uintp(column[np.uintp(b)] - first)] = 0
    return n_changed
