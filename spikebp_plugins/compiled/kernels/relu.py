"""Kernels of an integer network of rectified units: no part of an engine, but its rival.

`spikebp_plugins.reproduce.integer_relu` states what they compute. They are written as the kernels
of the spiking network are: sums of a loop over active units stay in registers, and rows are whole
vectors. What is zero is skipped everywhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .build import entry, kernel
from .columns import by_columns
from .vectors import (
    LANES,
    in_type_of,
    larger,
    load,
    lowest,
    nonzero,
    store,
    sum_of_lanes,
    zeros,
)

#: Where at most one error in so many is not zero, these alone are gone through.
FEW_ERRORS = 4


class Layers(NamedTuple):
    """Where things are; layer l of L has n_l units, and room for whole vectors of them."""

    size: Any  # int64 (L+1,): n_l
    width: Any  # int64 (L+1,): n_l in whole vectors, the length of a row of W_l
    unit: Any  # int64 (L+1,): the place of unit 0 in arrays of all units
    weight: Any  # int64 (L+1,): the place of W_l in the array of all weights


class Grid(NamedTuple):
    """Bits behind the point; shifts are of the type of the numbers that they shift."""

    weight: Any  # int32: of weights
    error: Any  # int32: by which an error of the output has fewer than a drive
    update: Any  # int32: by which a weight has fewer than rate * activation * error


class Sample(NamedTuple):
    """What a sample leaves behind; arrays have the places of all layers."""

    n_active: Any  # int64 (L+1,): active units
    row: Any  # int64: where the weights of each active unit begin in W_{l+1}
    value: Any  # int32: the activation of each active unit
    drive: Any  # int32
    error: Any  # int32
    column: Any  # int64: the units of a layer whose errors are not zero


def _drive_of(lanes):
    @kernel
    def add(j, weight, row, value, n_active, drive):
        total = zeros(drive, lanes)
        for a in range(n_active):
            weights = load(weight, row[np.uintp(a)] + j, lanes)
            total += in_type_of(drive, weights) * value[np.uintp(a)]
        store(drive, j, total)

    return add


_pass_forward = by_columns(_drive_of)


@kernel
def _find_inputs(x, of_pixel, width, row, value):
    """List the pixels that are not zero; return their number."""
    n, i = 0, 0
    while i < x.size:
        # The last pixels, which fill no vector, are looked at one by one.
        is_whole = i + LANES <= x.size
        active = nonzero(load(x, i, LANES)) if is_whole else np.int64(x[np.uintp(i)] != 0)
        while active != 0:
            pixel = i + lowest(active)
            row[np.uintp(n)] = pixel * width
            value[np.uintp(n)] = of_pixel[np.uintp(x[np.uintp(pixel)])]
            n += 1
            active &= active - 1
        i += LANES if is_whole else 1
    return n


@kernel
def _rectify(drive, n, bits, width, row, value):
    """List the units whose activation is above zero; return their number."""
    n_active = 0
    for start in range(0, n, LANES):
        activation = larger(load(drive, start, LANES) >> bits, np.int32(0))
        store(drive, start, activation)
        active = nonzero(activation)
        while active != 0:
            i = start + lowest(active)
            row[np.uintp(n_active)] = i * width
            value[np.uintp(n_active)] = drive[np.uintp(i)]
            n_active += 1
            active &= active - 1
    return n_active


@kernel
def _find_errors(error, column):
    """List the errors of a layer that are not zero; return their number."""
    n = 0
    for start in range(0, error.size, LANES):
        found = nonzero(load(error, start, LANES))
        while found != 0:
            column[np.uintp(n)] = start + lowest(found)
            n += 1
            found &= found - 1
    return n


@kernel
def _change_few(weight, begin, change, half, shift, error, column, n_errors):
    """Change some weights of a row; return the error that passes back through it."""
    total = np.int32(0)
    for m in range(n_errors):
        j = column[np.uintp(m)]
        place, e = np.uintp(begin + j), error[np.uintp(j)]
        total += np.int32(e * weight[place])
        weight[place] -= (change * e + half) >> shift
    return total


@kernel
def _change_row(weight, begin, change, half, shift, error):
    """Change a row of weights; return the error that passes back through it."""
    total = zeros(error, LANES)
    for j in range(0, error.size, LANES):
        e, weights = load(error, j, LANES), in_type_of(error, load(weight, begin + j, LANES))
        total += e * weights
        changed = weights - ((e * change + half) >> shift)
        store(weight, begin + j, in_type_of(weight, changed))
    return sum_of_lanes(total)


@kernel
def _descend(layers, grid, sample, weights, l, n_errors):
    """Change W_l, and pass the errors of layer l back to the active units of the layer below."""
    below, above = layers.unit[l - 1], layers.unit[l]
    row, value, weight = sample.row[below:], sample.value[below:], weights[layers.weight[l] :]
    error = sample.error[above : above + layers.width[l]]
    half, half_weight = np.int32(1 << (grid.update - 1)), np.int32(1 << (grid.weight - 1))
    passed = sample.error[below:]
    are_few = n_errors * FEW_ERRORS <= error.size
    for a in range(sample.n_active[l - 1]):
        begin, change = row[np.uintp(a)], value[np.uintp(a)]
        if are_few:
            total = _change_few(
                weight, begin, change, half, grid.update, error, sample.column, n_errors
            )
        else:
            total = _change_row(weight, begin, change, half, grid.update, error)
        if l > 1:
            passed[np.uintp(begin // layers.width[l])] = (total + half_weight) >> grid.weight


@kernel
def _forward(layers, grid, sample, weights, of_pixel, x):
    last = layers.size.size - 1
    n = _find_inputs(x, of_pixel, layers.width[1], sample.row, sample.value)
    for l in range(1, last + 1):
        sample.n_active[l - 1] = n
        below, above = layers.unit[l - 1], layers.unit[l]
        row, value, drive = sample.row[below:], sample.value[below:], sample.drive[above:]
        weight = weights[layers.weight[l] :]
        _pass_forward(layers.width[l], (weight, row, value, n, drive))
        if l < last:
            row, value = sample.row[above:], sample.value[above:]
            n = _rectify(drive, layers.width[l], grid.weight, layers.width[l + 1], row, value)


@kernel
def _compare(layers, grid, sample, target):
    """Set the errors of the output: drive - target, rounded."""
    last = layers.size.size - 1
    first, half = layers.unit[last], np.int32(1 << (grid.error - 1))
    for j in range(layers.size[last]):
        over = sample.drive[first + j] - target[j]
        sample.error[first + j] = (over + half) >> grid.error


@entry
def show(layers, grid, sample, weights, of_pixel, x, targets, scores, operations):
    """Show samples, and learn from those that have targets.

    Parameters
    ----------
    layers, grid, sample : Layers, Grid, Sample
        See there.
    weights : ndarray of shape (n_weights,)
        All weights; they are changed.
    of_pixel : ndarray of int32 of shape (256,)
        The activation of each value of a pixel.
    x : ndarray of uint8 of shape (n_samples, n_inputs)
        Pixels.
    targets : ndarray of int32 of shape (n_learned, n_outputs)
        Of the first samples, in units of a drive.
    scores : ndarray of int32 of shape (n_samples, n_outputs)
        Takes the drives of the output.
    operations : ndarray of int64 of shape (3,)
        Takes the multiply-adds: forward, backward, and those of updates.
    """
    last = layers.size.size - 1
    output = layers.unit[last]
    for s in range(len(x)):
        _forward(layers, grid, sample, weights, of_pixel, x[s])
        for j in range(layers.size[last]):
            scores[s, j] = sample.drive[output + j]
        for l in range(1, last + 1):
            operations[0] += sample.n_active[l - 1] * layers.size[l]
        if s >= len(targets):
            continue
        _compare(layers, grid, sample, targets[s])
        for l in range(last, 0, -1):
            first = layers.unit[l]
            error = sample.error[first : first + layers.width[l]]
            n_errors = _find_errors(error, sample.column)
            if n_errors == 0:
                break
            if l > 1:  # only active units of the layer below take an error
                first = layers.unit[l - 1]
                for i in range(layers.width[l - 1]):
                    sample.error[first + i] = 0
                operations[1] += sample.n_active[l - 1] * n_errors
            operations[2] += sample.n_active[l - 1] * n_errors
            _descend(layers, grid, sample, weights, l, n_errors)
