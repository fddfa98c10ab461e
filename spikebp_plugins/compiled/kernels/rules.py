"""The step rules compiled by Numba, event-driven: work follows spikes, not layer sizes.

The same code serves integers (grid units of fixed arithmetic, in 64 or 32 bits) and floating
point; the two quantizers are all that differs. Variables of all layers lie in one flat array,
those of layer l at ``unit[l]:unit[l + 1]``, and the matrices in another, so that one compiled
kernel serves any depth.

Summed drive is not stored: what a unit has fired was subtracted from its potential, so
s = phi + c. The backward matrices B_l are stored even where they are the transposes of the
weights, and updated along with them, so that both directions read along rows.

Range: integers would wrap without notice. Before each sum of products its magnitude is bounded by
(spikes sent) x (largest weight). Where that proves too little, 64-bit and floating-point results
are looked at one by one; 32-bit ones, which may have wrapped, are not trusted. A sample that
cannot be proven, or that has reached the limit, ends the block: the caller discards what the
attempt changed and has the sample done in wider numbers, at last by the reference, exactly or
with its OverflowError.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from spikebp_plugins.compiled.kernels.arrays import (
    MOST_SPIKES,
    WRAP,
    copy,
    input_unit,
    largest,
    list_active,
)
from spikebp_plugins.compiled.kernels.build import kernel
from spikebp_plugins.compiled.kernels.chip import descend_rounded, find_traces
from spikebp_plugins.compiled.kernels.slices import backward_of, units_of, weights_of


def _integer_type(potential):
    # Numba widens 32-bit arithmetic to 64 bits. The casts, and a shift that visibly stays within
    # the type, let the compiler use vectors of the type in which the values are stored.
    return (np.int32 if potential.bitwidth == 32 else np.int64), potential.bitwidth - 1


def signed_spikes(potential, half, bits):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(signed_spikes, inline="always")
def _overload_signed_spikes(potential, half, bits):
    # sgn(v) * ceil(|v| - 1/2). In grid units an arithmetic shift rounds down, and the half less
    # one unit for positive v makes the threshold strict on both sides.
    if isinstance(potential, types.Integer):
        own, mask = _integer_type(potential)
        return lambda potential, half, bits: (
            own(potential + half - (potential > 0)) >> own(bits & mask)
        )

    return lambda potential, half, bits: np.copysign(np.ceil(abs(potential) - half), potential)


def rectified_spikes(potential, half, bits):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(rectified_spikes, inline="always")
def _overload_rectified_spikes(potential, half, bits):
    if isinstance(potential, types.Integer):
        own, mask = _integer_type(potential)
        return lambda potential, half, bits: max(
            own(potential + half - 1) >> own(bits & mask), own(0)
        )
    return lambda potential, half, bits: max(np.ceil(potential - half), 0)


@kernel
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
def fire_signed(potential, spike, net):
    """k = signed(v), v <- v - k."""
    if net.limited:
        for i in range(potential.size):
            k = signed_spikes(potential[i], net.half, net.fraction_bits)
            k = min(max(k, -net.most), net.most)
            spike[i] = k
            potential[i] -= k * net.one
    else:
        for i in range(potential.size):
            k = signed_spikes(potential[i], net.half, net.fraction_bits)
            spike[i] = k
            potential[i] -= k * net.one


@kernel
def fire_rectified(potential, spike, count, net):
    """k = rectified(v), v <- v - k, c <- c + k."""
    if net.limited:
        for i in range(potential.size):
            k = min(rectified_spikes(potential[i], net.half, net.fraction_bits), net.most)
            spike[i] = k
            count[i] += k
            potential[i] -= k * net.one
    else:
        for i in range(potential.size):
            k = rectified_spikes(potential[i], net.half, net.fraction_bits)
            spike[i] = k
            count[i] += k
            potential[i] -= k * net.one


@kernel
def gate(net, sample, layer):
    """e = 0 where s = phi + c is below 0."""
    error = units_of(sample.error, net, layer)
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    for i in range(error.size):
        if potential[i] + count[i] * net.one < 0:
            error[i] = 0


@kernel
def within(net, bound, values):
    """Whether all values are in range, given a bound on their magnitude."""
    return bound < net.certain or (not net.narrow and largest(values) < net.limit)


@kernel
def drive_within(net, sample, layer):
    """Whether potential and summed drive of a layer are in range."""
    if sample.drive_bound[layer] < net.certain:
        return True
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    if net.narrow or not largest(potential) < net.limit:
        return False
    for j in range(potential.size):
        if not abs(float(potential[j] + count[j] * net.one)) < net.limit:
            return False
    return True


@kernel
def open_sample(net, sample, training):
    """Reset what lasts for a sample."""
    sample.potential[:] = 0
    sample.target_potential[:] = 0
    sample.count[:] = 0
    sample.drive_bound[:] = 0
    sample.target_bound[0] = 0
    sample.moment[1] = 0
    if training:
        sample.error[:] = 0
        sample.n_errors[:] = 0
        if net.outer:
            sample.error_sum[:] = 0


@kernel
def restart_backward(net, learning, drawn):
    """Set the backward potentials that a training sample starts from."""
    if net.zero_backward:
        learning.backward_potential[:] = 0
        learning.backward_bound[:] = 0
    elif net.uniform_backward:
        copy(learning.backward_potential, drawn)
        learning.backward_bound[:] = net.half


@kernel
def bound_learning(net, learning):
    """Measure the magnitudes that `Learning` bounds."""
    for layer in range(1, net.sizes.size):
        learning.weight_bound[layer] = largest(weights_of(learning, net, layer))
        if layer > 1:
            learning.matrix_bound[layer] = learning.weight_bound[layer]
            if net.random_feedback:
                learning.matrix_bound[layer] = largest(backward_of(learning, net, layer))
        psi = units_of(learning.backward_potential, net, layer)
        learning.backward_bound[layer] = largest(psi)


@kernel
def fire_layer(net, sample, layer, totals):
    """Threshold a layer and list the units that fire; return the number of spikes."""
    spike = units_of(sample.spike, net, layer)
    count = units_of(sample.count, net, layer)
    fire_rectified(units_of(sample.potential, net, layer), spike, count, net)
    return note_spikes(net, sample, layer, totals)


@kernel
def note_spikes(net, sample, layer, totals):
    """List the units of a layer that sent spikes; return the number of spikes."""
    spike = units_of(sample.spike, net, layer)
    active = units_of(sample.active, net, layer)
    sample.n_active[layer], n_sent = list_active(spike, active)
    if n_sent < MOST_SPIKES:
        totals.spikes[layer] += np.int64(n_sent)
    return n_sent


@kernel
def forward_layers(net, learning, sample, layer, n_sent, totals):
    """Rule 2 from a layer that has sent `n_sent` spikes upward; False if not certain."""
    last = net.sizes.size - 1
    while layer < last:
        gain = n_sent * learning.weight_bound[layer + 1]
        if not (n_sent < MOST_SPIKES and gain < WRAP):
            return False
        if n_sent > 0:
            sample.drive_bound[layer + 1] += gain
            add_rows(
                units_of(sample.potential, net, layer + 1),
                weights_of(learning, net, layer + 1),
                units_of(sample.spike, net, layer),
                units_of(sample.active, net, layer),
                sample.n_active[layer],
            )
            if not drive_within(net, sample, layer + 1):
                return False
        layer += 1
        n_sent = fire_layer(net, sample, layer, totals)
    return n_sent < MOST_SPIKES


@kernel
def fire_input(net, sample, x, totals):
    """Rule 1; return the number of spikes, infinite if the range is not certain."""
    spike = units_of(sample.spike, net, 0)
    sample.drive_bound[0] += largest(x)
    if net.smoothed and not sample.drive_bound[0] * input_unit(net) < net.certain:
        return np.inf
    if net.counts_in:
        copy(spike[: x.size], x)
    else:
        potential = units_of(sample.potential, net, 0)
        for i in range(x.size):
            potential[i] += x[i]
        if not within(net, sample.drive_bound[0], potential):
            return np.inf
        fire_signed(potential, spike, net)
    count = units_of(sample.count, net, 0)
    for i in range(x.size):
        count[i] += spike[i]
    return note_spikes(net, sample, 0, totals)


@kernel
def forward(net, learning, sample, x, totals):
    """Rules 1 and 2; False if the range is not certain."""
    n_sent = fire_input(net, sample, x, totals)
    return forward_layers(net, learning, sample, 0, n_sent, totals)


@kernel
def output_error(net, sample, y):
    """Rule 3; False if the range is not certain."""
    last = net.sizes.size - 1
    sample.target_bound[0] += largest(y)
    for j in range(y.size):
        sample.target_potential[j] += y[j]
    if not within(net, sample.target_bound[0], sample.target_potential):
        return False
    error = units_of(sample.error, net, last)
    fire_signed(sample.target_potential, error, net)
    spike = units_of(sample.spike, net, last)
    for j in range(y.size):
        error[j] = spike[j] - error[j]
    if net.chip:
        for j in range(y.size):
            error[j] = min(max(error[j], -net.largest_message), net.largest_message)
    gate(net, sample, last)
    return True


@kernel
def note_errors(net, sample, layer, totals):
    """List the units of a layer that sent errors; return the number of error spikes."""
    error = units_of(sample.error, net, layer)
    active = units_of(sample.active, net, layer)
    sample.n_active[layer], n_sent = list_active(error, active)
    if n_sent < MOST_SPIKES:
        totals.errors[layer] += np.int64(n_sent)
    sample.n_errors[layer] = n_sent
    return n_sent


@kernel
def send_no_errors(net, sample, layer):
    """e = 0 for a layer."""
    if sample.n_errors[layer] > 0:
        units_of(sample.error, net, layer)[:] = 0
        sample.n_errors[layer] = 0


@kernel
def backward(net, learning, sample, y, totals):
    """Rules 3 and 4; False if the range is not certain."""
    if not output_error(net, sample, y):
        return False
    last = net.sizes.size - 1
    n_sent = note_errors(net, sample, last, totals)
    for layer in range(last, 1, -1):
        gain = n_sent * learning.matrix_bound[layer]
        if not (n_sent < MOST_SPIKES and gain < WRAP):
            return False
        if n_sent == 0 and learning.backward_bound[layer - 1] <= net.half:
            # Nothing has come, and nothing was left above the threshold.
            send_no_errors(net, sample, layer - 1)
            continue
        potential = units_of(learning.backward_potential, net, layer - 1)
        learning.backward_bound[layer - 1] += gain
        add_rows(
            potential,
            backward_of(learning, net, layer),
            units_of(sample.error, net, layer),
            units_of(sample.active, net, layer),
            sample.n_active[layer],
        )
        if not within(net, learning.backward_bound[layer - 1], potential):
            return False
        fire_signed(potential, units_of(sample.error, net, layer - 1), net)
        if not net.limited:
            learning.backward_bound[layer - 1] = net.half
        gate(net, sample, layer - 1)
        n_sent = note_errors(net, sample, layer - 1, totals)
    return n_sent < MOST_SPIKES


@kernel
def bound_update(net, learning, layer, largest_factor, largest_error):
    """Bound the weights after an update; False if their range is not certain."""
    if net.chip:  # they saturate
        learning.weight_bound[layer] = float(-net.lowest_weight << net.weight_shift)
    else:
        learning.weight_bound[layer] += net.factor_rate * largest_factor * largest_error
    if not net.random_feedback:
        learning.matrix_bound[layer] = learning.weight_bound[layer]
    return learning.weight_bound[layer] < net.certain


def scaled_drive(drive, rate, bits, grid):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(scaled_drive, inline="always")
def _overload_scaled_drive(drive, rate, bits, grid):
    # rint(r * s / 2^f), ties to even, in 64 bits. A shift rounds down; half a unit less one part
    # makes it round to the nearest, ties downward, and the part is given back to odd numbers.
    if isinstance(drive, types.Integer):

        def scaled(drive, rate, bits, grid):
            product = np.int64(rate) * np.int64(drive)
            is_odd = (product >> bits) & 1
            return (product + (1 << (bits - 1)) - 1 + is_odd) >> bits

    else:

        def scaled(drive, rate, bits, grid):
            product = rate * drive
            if grid > 0:
                product = np.rint(product * grid) / grid
            return product

    return scaled


@kernel
def find_factors(net, sample, layer):
    """With smoothed updates, what a layer teaches with; False if that is not certain."""
    bound = net.rate * sample.drive_bound[layer]
    if layer == 0:
        bound *= input_unit(net)
    if not (bound < net.largest_product and bound / net.one + net.half < net.certain):
        return False
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    factor = units_of(sample.factor, net, layer)
    for i in range(factor.size):
        drive = potential[i] + count[i] * net.one
        if layer > 0 and drive < 0:
            factor[i] = 0
        else:
            factor[i] = scaled_drive(drive, net.rate, net.fraction_bits, net.grid)
    return True


@kernel
def descend_transposed(net, back, factor, error, column, n_columns):
    """B_l -= rate * outer(e, c), along rows; `column` lists the units with errors."""
    n_in = factor.size
    for a in range(n_columns):
        start, e = column[a] * n_in, error[column[a]]
        transposed = back[start : start + n_in]
        for i in range(n_in):
            transposed[i] -= net.factor_rate * (factor[i] * e)


@kernel
def descend(net, learning, sample, errors, layer):
    """W_l -= rate * outer(c, e), and B_l with it; return how many weights that changes."""
    factor = units_of(sample.factor, net, layer - 1)
    error = units_of(errors, net, layer)
    row = units_of(sample.active, net, layer - 1)
    column = units_of(sample.active, net, layer)
    n_rows, _ = list_active(factor, row)
    n_columns, _ = list_active(error, column)
    if net.chip:
        descend_rounded(net, learning, sample, errors, layer, n_rows, n_columns)
        return n_rows * n_columns
    n_out = error.size
    weight = weights_of(learning, net, layer)
    for a in range(n_columns):
        j, e = column[a], error[column[a]]
        for b in range(n_rows):
            i = np.uintp(row[b])
            weight[np.uintp(row[b] * n_out + j)] -= net.factor_rate * (factor[i] * e)
    if layer > 1 and not net.random_feedback:
        descend_transposed(net, backward_of(learning, net, layer), factor, error, column, n_columns)
    return n_rows * n_columns


@kernel
def learn(net, learning, sample, errors, first, totals):
    """Rule 5 for layers from `first` on; False, with no weight changed, if it is not certain."""
    for layer in range(first, net.sizes.size):
        if net.outer or sample.n_errors[layer] > 0:
            largest_error = largest(units_of(errors, net, layer))
            if net.smoothed and largest_error > 0 and not find_factors(net, sample, layer - 1):
                return False
            if net.chip:
                find_traces(net, sample, layer - 1)
            largest_factor = largest(units_of(sample.factor, net, layer - 1))
            if largest_error > 0 and not bound_update(
                net, learning, layer, largest_factor, largest_error
            ):
                return False
    for layer in range(first, net.sizes.size):
        if net.outer or sample.n_errors[layer] > 0:
            totals.updates[0] += descend(net, learning, sample, errors, layer)
    return True


@kernel
def learn_or_sum(net, learning, sample, totals):
    """Rule 5 of a step, or the sum of errors until the sample ends; False if not certain."""
    if net.outer:
        for i in range(sample.error.size):
            sample.error_sum[i] += sample.error[i]
        return True
    return learn(net, learning, sample, sample.error, 1, totals)


@kernel
def train_step(net, learning, sample, x, y, totals):
    """One step of a training sample; False if the range is not certain."""
    sample.moment[1] += np.uint64(1)
    if not (
        forward(net, learning, sample, x, totals) and backward(net, learning, sample, y, totals)
    ):
        return False
    return learn_or_sum(net, learning, sample, totals)
