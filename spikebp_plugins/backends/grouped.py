"""Input that is the same at all steps: units with equal spike trains are added up once.

The spike train of an input unit then depends on its value alone, not on the network, so all T
steps of the first layer can be prepared when the sample opens:

- Units with equal trains form a group g. Each row of W_1 that is needed is read once, into the
  sum G_g of its group, and the drive of step t is d_t = sum over g of k_t(g) G_g. An image has
  hundreds of active pixels and a few dozen trains.
- Let C_t be a train's count after step t. It grows with the unit's value at every t, so two trains
  that differ at all differ in their label, sum over t of C_t: a small integer to group by.
- Rule 5 changes W_1 within the sample by W_1 -= rate * outer(c_0(t'), e_1(t')). Rows are written
  once, when the sample closes. Until then the drive of a later step t lacks
  -rate * (k_t . c_0(t')) e_1(t'), with the scalar product taken over groups.

On the grid a sum does not depend on the order of its terms, so all this changes no result.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from spikebp_plugins.backends.kernels import (
    MOST_SPIKES,
    SOURCES,
    add_rows,
    backward,
    bound_learning,
    bound_update,
    copy,
    drive_within,
    entry,
    fire_layer,
    fire_rectified,
    forward_layers,
    kernel,
    largest,
    learn,
    list_active,
    magnitude,
    open_sample,
    restart_backward,
    signed_spikes,
    units_of,
    weights_of,
    write_drive,
    write_record,
)

#: Trains with labels beyond this are left to the general kernel.
MOST_LABEL: Final = 2**15
#: So is input shown for longer: with more steps than this hardly any two trains are equal.
MOST_STEPS: Final = 64


class Groups(NamedTuple):
    """What the kernel keeps beside `Learning` and `Sample`."""

    # For the whole run: the trains of labels.
    known: Any  # bool (2 * MOST_LABEL + 1,)
    train: Any  # int32 (2 * MOST_LABEL + 1, T): C_t
    # For a sample: its active units, sorted by group.
    group_of: Any  # int64 (2 * MOST_LABEL + 1,): the group of a label plus one, 0 for none
    label: Any  # int64 (n_0,): the label of each group
    count: Any  # int64 (n_0, T + 1): C_t of each group behind a first column of zeros
    sent: Any  # float64 (T,): the spikes of all groups in each step
    start: Any  # int64 (n_0 + 1,): where the members of each group start
    unit: Any  # int64 (n_0 + 1,): units before they are sorted
    value: Any  # int64 (n_0,): their values, labels and groups
    unit_label: Any  # int64 (n_0,)
    unit_group: Any  # int64 (n_0,)
    member: Any  # int64 (n_0,): units sorted by group
    sums: Any  # (n_0 * n_1,): G_g
    spike: Any  # (n_0,): k_t(g)
    active: Any  # int64 (n_0,)
    drive: Any  # (2, T, widest): of layer 1 in [1]; prediction takes turns between layers
    train_spike: Any  # (T, widest): the spikes of a layer in all steps, in prediction
    now: Any  # int64 (widest + 1,): the units that fire in one of them
    # The errors of layer 1 so far, and where they will be written.
    product: Any  # int64 (T,)
    n_past: Any  # int64 (1,)
    past_step: Any  # int64 (T * n_1,)
    past_unit: Any  # int64 (T * n_1,)
    past_error: Any  # (T * n_1,)
    change: Any  # (n_1,)
    column: Any  # int64 (n_1,)


@kernel
def count_after(net, value, t):
    """C_t after t steps of a constant value: it follows t * value to within half a spike."""
    count = signed_spikes(t * value, np.int64(net.half), net.fraction_bits)
    return min(max(count, -t), t) if net.limited else count


@kernel
def label_values(net, groups, n_units, n_steps):
    """Write the labels of the values; False if one is out of range."""
    value, label = groups.value[:n_units], groups.unit_label[:n_units]
    if not largest(value) * n_steps < net.certain:
        return False
    label[:] = 0
    for t in range(1, n_steps + 1):
        for a in range(n_units):
            label[a] += count_after(net, value[a], t)
    return largest(label) <= MOST_LABEL


@kernel
def know_train(net, groups, place, value):
    """Write down the train of a label that is met for the first time."""
    if not groups.known[place]:
        groups.known[place] = True
        for t in range(groups.train.shape[1]):
            groups.train[place, t] = count_after(net, value, t + 1)


@kernel
def group_units(net, groups, x):
    """Sort the units that fire by their trains; return the number of groups, or -1."""
    n_units = 0
    for i in range(x.size):
        groups.unit[n_units] = i
        n_units += x[i] != 0
    for a in range(n_units):
        groups.value[a] = x[groups.unit[a]]
    n_steps = groups.train.shape[1]
    if not label_values(net, groups, n_units, n_steps):
        return -1
    n_groups = 0
    n_kept = 0
    for a in range(n_units):
        label = groups.unit_label[a]
        if label == 0:
            continue
        place = label + MOST_LABEL
        group = groups.group_of[place] - 1
        if group < 0:
            group = n_groups
            n_groups += 1
            groups.group_of[place] = n_groups
            groups.label[group] = label
            groups.start[group] = 0
            know_train(net, groups, place, groups.value[a])
        groups.start[group] += 1
        groups.unit[n_kept] = groups.unit[a]
        groups.unit_group[n_kept] = group
        n_kept += 1
    for group in range(n_groups):
        place = groups.label[group] + MOST_LABEL
        groups.group_of[place] = 0
        for t in range(n_steps):
            groups.count[group, t + 1] = groups.train[place, t]
    # From the sizes of the groups to where each ends, then filled from the end.
    end = 0
    for group in range(n_groups):
        end += groups.start[group]
        groups.start[group] = end
    groups.start[n_groups] = end
    for a in range(n_kept - 1, -1, -1):
        group = groups.unit_group[a]
        groups.start[group] -= 1
        groups.member[groups.start[group]] = groups.unit[a]
    return n_groups


@kernel
def count_at(groups, group, t):
    """C_t of a group, 0 before the first step."""
    return groups.count[group, t + 1]


@kernel
def spikes_at(groups, group, t):
    """k_t of a group."""
    return groups.count[group, t + 1] - groups.count[group, t]


@kernel
def size_of(groups, group):
    """The number of units in a group."""
    return groups.start[group + 1] - groups.start[group]


@kernel
def sum_rows(total, matrix, units):
    """Total = the sum of some rows."""
    n_out = total.size
    a = units.size % 4
    if a == 0:
        total[:] = 0
    else:
        copy(total, matrix[units[0] * n_out : (units[0] + 1) * n_out])
    for b in range(1, a):
        row = matrix[units[b] * n_out : (units[b] + 1) * n_out]
        for j in range(n_out):
            total[j] += row[j]
    while a < units.size:  # four rows at a time load and store the total once
        row0 = matrix[units[a] * n_out : (units[a] + 1) * n_out]
        row1 = matrix[units[a + 1] * n_out : (units[a + 1] + 1) * n_out]
        row2 = matrix[units[a + 2] * n_out : (units[a + 2] + 1) * n_out]
        row3 = matrix[units[a + 3] * n_out : (units[a + 3] + 1) * n_out]
        for j in range(n_out):
            total[j] += row0[j] + row1[j] + row2[j] + row3[j]
        a += 4


@kernel
def prepare(net, learning, groups, n_groups, n_steps):
    """The drive of layer 1 at all steps, from the weights as the sample finds them."""
    n_out = net.sizes[1]
    matrix = weights_of(learning, net, 1)
    for g in range(n_groups):
        members = groups.member[groups.start[g] : groups.start[g + 1]]
        sum_rows(groups.sums[g * n_out : (g + 1) * n_out], matrix, members)
    for t in range(n_steps):
        n_active = 0
        sent = 0.0
        for g in range(n_groups):
            k = spikes_at(groups, g, t)
            groups.spike[g] = k
            groups.active[n_active] = g
            n_active += k != 0
            sent += float(size_of(groups, g)) * abs(float(k))
        groups.sent[t] = sent
        drive = groups.drive[1, t, :n_out]
        drive[:] = 0
        add_rows(drive, groups.sums, groups.spike, groups.active, n_active)


@kernel(inline="always")
def first_layer(net, learning, sample, groups, t, totals):
    """Rules 1 and 2 for layers 0 and 1; return the spikes of layer 1, or -1 if not certain."""
    n_sent = groups.sent[t]
    if not n_sent < MOST_SPIKES:
        return -1.0
    totals.spikes[0] += np.int64(n_sent)
    sample.drive_bound[1] += n_sent * learning.weight_bound[1]
    potential = units_of(sample.potential, net, 1)
    for j in range(potential.size):
        potential[j] += groups.drive[1, t, j]
    if sample.drive_bound[1] >= net.certain or not drive_within(net, sample, 1):
        return -1.0
    return fire_layer(net, sample, 1, totals)


@kernel
def scalar_products(groups, n_groups, t, n_steps):
    """Write k_later . c_0(t), over all units, for each later step."""
    product = groups.product[t + 1 : n_steps]
    product[:] = 0
    for g in range(n_groups):
        counted = size_of(groups, g) * count_at(groups, g, t)
        if counted != 0:
            later = groups.count[g, t + 1 :]
            for i in range(product.size):
                product[i] += counted * (later[i + 1] - later[i])


@kernel(inline="always")
def learn_first(net, learning, sample, groups, n_groups, errors, t, n_steps, totals):
    """Rule 5 for layer 1, noted for later; False if the range is not certain."""
    if not net.outer and sample.n_errors[1] == 0:
        return True
    error = units_of(errors, net, 1)
    largest_error = largest(error)
    if largest_error == 0:
        return True
    largest_count = 0.0
    rows = 0
    for g in range(n_groups):
        count = abs(float(count_at(groups, g, t)))
        largest_count = max(largest_count, count)
        if count > 0:
            rows += size_of(groups, g)
    if not bound_update(net, learning, 1, largest_count, largest_error):
        return False
    first = n_past = groups.n_past[0]
    for j in range(error.size):
        if error[j] != 0:
            groups.past_step[n_past] = t
            groups.past_unit[n_past] = j
            groups.past_error[n_past] = error[j]
            n_past += 1
    groups.n_past[0] = n_past
    totals.updates[0] += rows * (n_past - first)
    if t + 1 < n_steps:
        scalar_products(groups, n_groups, t, n_steps)
    for later in range(t + 1, n_steps):
        change = net.rate * groups.product[later]
        for a in range(first, n_past):
            groups.drive[1, later, groups.past_unit[a]] -= change * groups.past_error[a]
    return True


@kernel
def write_first(net, learning, groups, n_groups):
    """Write what layer 1 has learned: one row of changes for each group."""
    n_past = groups.n_past[0]
    if n_past == 0:
        return
    # The columns that change at all, most often few.
    n_out = net.sizes[1]
    groups.change[:] = 0
    n_columns = 0
    for a in range(n_past):
        j = groups.past_unit[a]
        if groups.change[j] == 0:
            groups.change[j] = 1
            groups.column[n_columns] = j
            n_columns += 1
    matrix = weights_of(learning, net, 1)
    for g in range(n_groups):
        groups.change[:] = 0
        for a in range(n_past):
            count = count_at(groups, g, groups.past_step[a])
            groups.change[groups.past_unit[a]] += net.rate * count * groups.past_error[a]
        for m in range(groups.start[g], groups.start[g + 1]):
            row = matrix[groups.member[m] * n_out : (groups.member[m] + 1) * n_out]
            if n_columns * 4 < n_out:
                for a in range(n_columns):
                    row[groups.column[a]] -= groups.change[groups.column[a]]
            else:
                for j in range(n_out):
                    row[j] -= groups.change[j]


@kernel
def fire_steps(net, sample, layer, drive, spike, n_steps):
    """Threshold a layer in all steps."""
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    for t in range(n_steps):
        for j in range(potential.size):
            potential[j] += drive[t, j]
        fire_rectified(potential, spike[t, : potential.size], count, net)


@kernel
def send_steps(net, learning, sample, groups, layer, drive, n_steps, totals):
    """Send a layer's spikes of all steps to the next; False if the range is not certain."""
    n_units = net.sizes[layer]
    count = units_of(sample.count, net, layer)
    # Most units stay silent in all steps: only the others are looked at in each.
    active = units_of(sample.active, net, layer)
    n_active = list_active(count, active)
    n_sent = magnitude(count, active, n_active)
    if not n_sent < MOST_SPIKES:
        return False
    totals.spikes[layer] += np.int64(n_sent)
    if layer == net.sizes.size - 1:
        return True
    sample.drive_bound[layer + 1] += n_sent * learning.weight_bound[layer + 1]
    for t in range(n_steps):
        spike = groups.train_spike[t, :n_units]
        n_now = 0
        for a in range(n_active):
            groups.now[n_now] = active[a]
            n_now += spike[active[a]] != 0
        total = drive[t, : net.sizes[layer + 1]]
        total[:] = 0
        add_rows(total, weights_of(learning, net, layer + 1), spike, groups.now, n_now)
    return sample.drive_bound[layer + 1] < net.certain


@kernel
def record_layer(net, record, index, layer, drive, spike, n_steps):
    """Note the spikes of a layer, and the summed drive of the output, if they are asked for."""
    if record.spikes.shape[0] == 0:
        return
    n_units = net.sizes[layer]
    for t in range(n_steps):
        copy(units_of(record.spikes[index, t], net, layer), spike[t, :n_units])
    if layer == net.sizes.size - 1:
        for t in range(n_steps):
            for j in range(n_units):
                before = record.drive[index, t - 1, j] if t > 0 else 0
                record.drive[index, t, j] = before + drive[t, j]


@kernel
def predict_sample(net, learning, sample, groups, x, n_steps, totals, record, index):
    """Show one sample layer by layer: nothing comes back; False if the range is not certain."""
    n_groups = group_units(net, groups, x)
    if n_groups < 0:
        return False
    prepare(net, learning, groups, n_groups, n_steps)
    if record.spikes.shape[0] > 0:
        for t in range(n_steps):
            spread_spikes(net, sample, groups, n_groups, t)
            copy(units_of(record.spikes[index, t], net, 0), units_of(sample.spike, net, 0))
    for t in range(n_steps):
        if not groups.sent[t] < MOST_SPIKES:
            return False
        totals.spikes[0] += np.int64(groups.sent[t])
        sample.drive_bound[1] += groups.sent[t] * learning.weight_bound[1]
    if not sample.drive_bound[1] < net.certain:
        return False
    spike = groups.train_spike
    for layer in range(1, net.sizes.size):
        drive, above = groups.drive[layer % 2], groups.drive[(layer + 1) % 2]
        fire_steps(net, sample, layer, drive, spike, n_steps)
        record_layer(net, record, index, layer, drive, spike, n_steps)
        if not send_steps(net, learning, sample, groups, layer, above, n_steps, totals):
            return False
    return True


@kernel
def spread_spikes(net, sample, groups, n_groups, t):
    """Write the spikes of layer 0 out for each unit, for a record."""
    spike = units_of(sample.spike, net, 0)
    spike[:] = 0
    for g in range(n_groups):
        k = spikes_at(groups, g, t)
        for m in range(groups.start[g], groups.start[g + 1]):
            spike[groups.member[m]] = k


@kernel(inline="always")
def train_sample(net, learning, sample, groups, x, y, n_steps, totals, record, index):
    """Show one sample and learn from it; False if the range is not certain."""
    n_groups = group_units(net, groups, x)
    if n_groups < 0:
        return False
    prepare(net, learning, groups, n_groups, n_steps)
    groups.n_past[0] = 0
    for t in range(n_steps):
        n_sent = first_layer(net, learning, sample, groups, t, totals)
        if n_sent < 0 or not forward_layers(net, learning, sample, 1, n_sent, totals):
            return False
        if not backward(net, learning, sample, y[t % y.shape[0]], totals):
            return False
        if net.outer:
            for i in range(net.unit[1], sample.error.size):
                sample.error_sum[i] += sample.error[i]
        elif not learn_all(
            net, learning, sample, groups, n_groups, sample.error, t, n_steps, totals
        ):
            return False
        if record.spikes.shape[0] > 0:
            spread_spikes(net, sample, groups, n_groups, t)
            write_record(net, sample, record, index, t)
    if net.outer and not learn_all(
        net, learning, sample, groups, n_groups, sample.error_sum, n_steps - 1, n_steps, totals
    ):
        return False
    write_first(net, learning, groups, n_groups)
    return True


@kernel(inline="always")
def learn_all(net, learning, sample, groups, n_groups, errors, t, n_steps, totals):
    """Rule 5 for all layers; False if the range is not certain."""
    return learn_first(
        net, learning, sample, groups, n_groups, errors, t, n_steps, totals
    ) and learn(net, learning, sample, errors, 2, totals)


def build_run_constant_block(sources):
    """Return the kernel that shows a block of samples, cached for these sources."""

    @entry
    def run_constant_block(
        net, learning, sample, groups, x, y, drawn, n_steps, training, totals, record, drive
    ):
        """Do what `kernels.run_block` does, for input of one row a sample."""
        _ = sources
        bound_learning(net, learning)
        for i in range(x.shape[0]):
            open_sample(net, sample, training)
            if training:
                restart_backward(net, learning, drawn[i % drawn.shape[0]])
                y_i = y[i % y.shape[0]]
                certain = train_sample(
                    net, learning, sample, groups, x[i, 0], y_i, n_steps, totals, record, i
                )
            else:
                certain = predict_sample(
                    net, learning, sample, groups, x[i, 0], n_steps, totals, record, i
                )
            if not certain:
                return i
            write_drive(net, sample, drive[i])
        return x.shape[0]

    return run_constant_block


run_constant_block = build_run_constant_block(SOURCES)
