"""Kernels for input that is the same at all steps, with vectors that stay in registers.

The spike trains of the input do not depend on the network, so the first layer's summed drive in
all T steps can be prepared when the sample opens, and corrected when W_1 learns:

- Units with equal trains form a group g (see `trains`), whose rows of W_1 are summed to G_g. With
  C_t(g) the count of its train after step t, the summed drive is S_t = sum over g of C_t(g) G_g.
- Groups are sorted, so counts rise by small jumps from group to group. Summation by parts gives
  S_t = sum over g of (C_t(g) - C_t(g - 1)) P_g, with P_g the sum of all rows from group g on. For
  input of up to 1, at most t of these terms are not zero. Each row of W_1 is read once.
- Rule 5 changes W_1 within the sample by W_1 -= rate * outer(c_0(t'), e_1(t')). Rows are written
  once, when the sample closes and nothing can be out of range any more. Until then
  -rate * ((C_t - C_t') . C_t') e_1(t') is added to the prepared S_t of each later step t; the
  scalar product runs over the input units.

Prediction sends no errors, so it computes all steps of a layer before the next layer, some columns
at a time: their sums and potentials stay in registers, and the weights in the first-level cache.

On the grid a sum does not depend on the order of its terms, and a sum that wraps on the way is
right in the end if its result is in range. So all this changes no result. Layouts for these kernels
have rows of whole vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .arrays import MOST_SPIKES, TOO_MANY, Run, copy, largest, list_active, list_units, write_record
from .blocks import begin_sample, show_block, write_scores
from .build import entry, kernel, rare
from .columns import by_columns
from .entering import enter_target
from .rules import (
    bound_update,
    cut_off,
    find_rate,
    fire_layer,
    hand_up,
    learn,
    note_spikes,
    send_errors,
    take_drive,
)
from .slices import units_of, weights_of
from .structs import Struct
from .trains import (
    Groups,
    Sorting,
    Trains,
    count_at,
    follow_trains,
    groups_in_use,
    size_of,
    sort_sample,
)
from .vectors import LANES, larger, load, smaller, store, whole_vectors, zeros


class Workspace(Struct):
    """The working arrays of these kernels; widths of layers are rounded up to whole vectors."""

    sums: Any  # (n_0 * width of layer 1,): P_g
    drive: Any  # (T, widest): S_t of a layer
    spike: Any  # (2, T, widest): the spikes of layer l in all steps, at index l % 2
    active: Any  # int64 (2, T, widest): the units that fire in each step
    n_active: Any  # int64 (2, T): how many units these are
    product: Any  # (T rounded up to whole vectors,): what `scalar_products` writes
    # The errors of layer 1 so far, by which W_1 changes when the sample closes.
    n_past: Any  # int64 (1,): how many errors there are
    past_step: Any  # int64 (T * n_1,): the step of each error, from 0
    past_unit: Any  # int64 (T * n_1,): its unit
    past_error: Any  # (T * n_1,): its signed number of spikes
    column: Any  # int64 (n_1,): the units with errors, each once
    error: Any  # (T, n_1): the errors of each step in these columns, times the rate
    change: Any  # (n_1,): what is subtracted from a row of W_1 in these columns
    place: Any  # int64 (n_1,): the index of a unit in `column` plus 1; 0 if it is not there
    row: Any  # (n_1,): `change` spread over a whole row, for when much of a row changes


class ConstantRun(Run):
    """A run with the arrays for constant input."""

    trains: Trains
    sorting: Sorting
    groups: Groups
    workspace: Workspace


def make_workspace(
    values: Callable[..., Any], n_inputs: int, widths: Sequence[int], n_steps: int
) -> Workspace:
    """Return the working arrays.

    `values` makes zeros in the layout's type; `widths` are layers 1..L in whole vectors.
    """
    width, widest = widths[0], max(widths)

    def indices(*shape: int) -> Any:
        return np.zeros(shape, np.int64)

    return Workspace(
        sums=values(n_inputs * width),
        drive=values(n_steps, widest),
        spike=values(2, n_steps, widest),
        active=indices(2, n_steps, widest),
        n_active=indices(2, n_steps),
        product=values(whole_vectors(n_steps)),
        n_past=indices(1),
        past_step=indices(n_steps * width),
        past_unit=indices(n_steps * width),
        past_error=values(n_steps * width),
        column=indices(width),
        error=values(n_steps, width),
        change=values(width),
        place=indices(width),
        row=values(width),
    )


@kernel
def rectified(net, potential):
    """The spikes that potentials fire, given and returned as vectors."""
    k = larger((potential + (net.half - 1)) >> net.fraction_bits, 0)
    return smaller(k, net.most) if net.limited else k


@kernel
def n_spikes(counts):
    """The number of spikes; each count is capped at TOO_MANY, so that the sum cannot wrap."""
    total = np.int64(0)
    for j in range(counts.size):
        total += min(np.int64(counts[j]), TOO_MANY)
    return float(total)


def build_prepare(lanes):
    """Return the kernel for `lanes` columns of layer 1."""

    @kernel
    def prepare(j, matrix, width, trains, groups, sums, drive):
        """Write S_t of layer 1 in all steps to `drive`."""
        total = zeros(matrix, lanes)
        for group in range(groups.label.size - 2, -1, -1):
            for m in range(groups.start[group], groups.start[group + 1]):
                row = np.int64(groups.member[np.uintp(m)])
                total += load(matrix, row * width + j, lanes)
            store(sums, group * width + j, total)
        for t in range(trains.n_jumps.size):
            total = zeros(matrix, lanes)
            for m in range(trains.n_jumps[t]):
                start = trains.jump_group[t, m] * width + j
                total += trains.jump[t, m] * load(sums, start, lanes)
            store(drive[t], j, total)

    return prepare


def build_fire_next(lanes):
    """Return the kernel for `lanes` units of a layer above the first."""

    @kernel
    def fire_next(j, net, matrix, width, below, potential, count, spike):
        """Rule 2 in one step, from the spikes of the layer below."""
        spike_below, active, n_active = below
        left = load(potential, j, lanes)
        for a in range(n_active):
            i = active[a]
            left += spike_below[np.uintp(i)] * load(matrix, i * width + j, lanes)
        k = rectified(net, left)
        store(potential, j, left - (k << net.fraction_bits))
        store(count, j, load(count, j, lanes) + k)
        store(spike, j, k)

    return fire_next


def build_show_next(lanes):
    """Return the kernel for `lanes` units of a layer above the first."""

    @kernel
    def show_next(j, net, matrix, width, below, drive, spike, count):
        """Rule 2 in all steps, from the spikes of the layer below."""
        spike_below, active, n_active = below
        total = fired = zeros(matrix, lanes)
        for t in range(n_active.size):
            for a in range(n_active[t]):
                i = active[t, a]
                total += spike_below[t, i] * load(matrix, i * width + j, lanes)
            k = rectified(net, total - fired)
            fired += k << net.fraction_bits
            store(drive[t], j, total)
            store(spike[t], j, k)
        store(count, j, fired >> net.fraction_bits)

    return show_next


prepare = by_columns(build_prepare)


@rare
def prepare_first(run, groups):
    """Write S_t of layer 1 in all steps to `drive`."""
    workspace, width = run.workspace, run.net.unit[2] - run.net.unit[1]
    matrix = weights_of(run.learning, run.net, 1)
    prepare(width, (matrix, width, run.trains, groups, workspace.sums, workspace.drive))


fire_next = by_columns(build_fire_next)
show_next = by_columns(build_show_next)


@kernel
def fire_first(net, drive, potential, count, spike):
    """Rule 2 for layer 1, from its summed drive."""
    for j in range(0, count.size, LANES):
        c = load(count, j, LANES)
        left = load(drive, j, LANES) - (c << net.fraction_bits)
        k = rectified(net, left)
        store(potential, j, left - (k << net.fraction_bits))
        store(count, j, c + k)
        store(spike, j, k)


@rare
def send(run, layer, n_sent):
    """Count the spikes of a layer; False if the drive that they cause may be out of range."""
    net, sample = run.net, run.sample
    if not n_sent < MOST_SPIKES:
        return False
    run.totals.spikes[layer] += np.int64(n_sent)
    if layer + 1 < net.sizes.size:
        sample.drive_bound[layer + 1] += n_sent * run.learning.weight_bound[layer + 1]
        return sample.drive_bound[layer + 1] < net.certain
    return True


@kernel
def record_layer(run, index, layer, n_steps):
    """Record the spikes of a layer, and summed drive of the output, unless the record is empty."""
    net, record, workspace = run.net, run.record, run.workspace
    if record.spikes.shape[0] == 0:
        return
    n_units = net.unit[layer + 1] - net.unit[layer]
    for t in range(n_steps):
        copy(units_of(record.spikes[index, t], net, layer), workspace.spike[layer % 2, t, :n_units])
        if layer == net.sizes.size - 1:
            copy(record.drive[index, t], workspace.drive[t, : record.drive.shape[2]])


@rare
def record_input(run, groups, index, t):
    """Record the spikes of layer 0 in step t, from 0."""
    spike = units_of(run.record.spikes[index, t], run.net, 0)
    spike[:] = 0
    for group in range(groups.label.size - 1):
        k = count_at(run.trains, groups, group, t + 1) - count_at(run.trains, groups, group, t)
        for m in range(groups.start[group], groups.start[group + 1]):
            spike[groups.member[m]] = k


@kernel(inline="always")
def steps_of(workspace, layer):
    """The spikes of a layer in all steps, the units that fire in each, and their number."""
    here = layer % 2
    return workspace.spike[here], workspace.active[here], workspace.n_active[here]


@kernel
def predict_sample(run, groups, index, n_steps):
    """Predict one sample, all steps of a layer at once; False if the range is not certain."""
    net, learning, sample = run.net, run.learning, run.sample
    trains, workspace = run.trains, run.workspace
    follow_trains(trains, groups, n_steps)
    n_sent = 0.0
    for t in range(n_steps):
        n_sent += float(trains.sent[t])
        if run.record.spikes.shape[0] > 0:
            record_input(run, groups, index, t)
    for layer in range(1, net.sizes.size):
        if not send(run, layer - 1, n_sent):
            return False
        potential = units_of(sample.potential, net, layer)
        count = units_of(sample.count, net, layer)
        matrix, width, drive = weights_of(learning, net, layer), count.size, workspace.drive
        spike, active, n_active = steps_of(workspace, layer)
        if layer == 1:
            prepare_first(run, groups)
            for t in range(n_steps):
                fire_first(net, drive[t], potential, count, spike[t])
        else:
            below = steps_of(workspace, layer - 1)
            show_next(width, (net, matrix, width, below, drive, spike, count))
        n_sent = n_spikes(count)
        if layer + 1 < net.sizes.size:
            for t in range(n_steps):
                n_active[t] = list_units(spike[t, :width], active[t])
        record_layer(run, index, layer, n_steps)
    # `summed_drive` adds potential and count.
    for j in range(count.size):
        count[j] = 0
        potential[j] = drive[n_steps - 1, j]
    return send(run, net.sizes.size - 1, n_sent)


@kernel
def forward(run, t):
    """Rules 1 and 2 in step t, from 0; False if the range is not certain."""
    net, learning, sample = run.net, run.learning, run.sample
    n_sent = float(run.trains.sent[t])
    for layer in range(1, net.sizes.size):
        if not send(run, layer - 1, n_sent):
            return False
        potential = units_of(sample.potential, net, layer)
        count = units_of(sample.count, net, layer)
        spike, active = units_of(sample.spike, net, layer), units_of(sample.active, net, layer)
        if layer == 1:
            fire_first(net, run.workspace.drive[t], potential, count, spike)
        else:
            matrix, width = weights_of(learning, net, layer), count.size
            below = (
                units_of(sample.spike, net, layer - 1),
                units_of(sample.active, net, layer - 1),
                sample.n_active[layer - 1],
            )
            fire_next(width, (net, matrix, width, below, potential, count, spike))
        sample.n_active[layer], n_sent = list_active(spike, active)
    return send(run, net.sizes.size - 1, n_sent)


@kernel
def forward_delayed(run, t, n_steps):
    """Rules 1 and 2 in step t, from 1, with delays; False if the range is not certain.

    Layer 1 is shown for a step of input when the spikes of that step have arrived.
    """
    net, sample = run.net, run.sample
    last = net.sizes.size - 1
    for place in range(last + 1):
        layer = net.spike_order[place]
        row = t - 1 - net.spike_delay[layer]
        if not 0 <= row < n_steps:
            continue
        if layer == 0:
            if not send(run, 0, float(run.trains.sent[row])):
                return False
            continue
        if layer == 1:
            potential = units_of(sample.potential, net, 1)
            count, spike = units_of(sample.count, net, 1), units_of(sample.spike, net, 1)
            fire_first(net, run.workspace.drive[row], potential, count, spike)
            n_sent = note_spikes(run, 1)
        else:
            if not take_drive(run, layer):
                return False
            n_sent = fire_layer(run, layer)
        if layer == last:
            if not n_sent < MOST_SPIKES:
                return False
        elif not hand_up(run, layer, n_sent):
            return False
    return True


@kernel
def scalar_products(run, groups, t, first):
    """Write (C_later - C_t) . C_t, summed over all input units, for steps from `first` on."""
    trains, product = run.trains, run.workspace.product
    total = zeros(product, LANES)
    for group in range(groups.label.size - 1):
        now = count_at(trains, groups, group, t + 1)
        counted = size_of(groups, group) * now
        total += counted * (load(trains.count[groups.label[group]], first + 1, LANES) - now)
    store(product, first, total)


@rare
def squared_input_counts(run, groups, t):
    """The sum of the squared counts of the input after step t, from 0."""
    total = 0.0
    for group in range(groups.label.size - 1):
        count = float(count_at(run.trains, groups, group, t + 1))
        total += float(size_of(groups, group)) * (count * count)
    return total


@rare
def learn_first(run, groups, errors, t, n_steps):
    """Rule 5 for W_1 in step t, from 0, or after it, when the input is silent.

    Keeps errors, and corrects later drive; False if the range is not certain.
    """
    net, sample, workspace = run.net, run.sample, run.workspace
    if not net.outer and sample.n_errors[1] == 0:
        return True
    if net.normalized:
        cut_off(run, 1, errors)
        if not find_rate(run, 1, squared_input_counts(run, groups, t)):
            return False
    error, column = units_of(errors, net, 1), units_of(sample.active, net, 1)
    n_columns = list_units(error, column)
    if n_columns == 0:
        return True
    largest_count = n_rows = np.int64(0)
    for group in range(groups.label.size - 1):
        count = abs(np.int64(count_at(run.trains, groups, group, t + 1)))
        largest_count = max(largest_count, count)
        n_rows += size_of(groups, group) if count > 0 else 0
    if not bound_update(run, 1, float(largest_count), largest(error)):
        return False
    first = workspace.n_past[0]
    n_past = first + n_columns
    for a in range(n_columns):
        workspace.past_step[first + a] = t
        workspace.past_unit[first + a] = column[a]
        workspace.past_error[first + a] = error[column[a]]
    workspace.n_past[0] = n_past
    run.totals.updates[0] += n_rows * n_columns
    for first_step in range((t + 1) // LANES * LANES, n_steps, LANES):
        scalar_products(run, groups, t, first_step)
    for later in range(t + 1, n_steps):
        change = sample.rate[1] * workspace.product[later]
        for a in range(first, n_past):
            workspace.drive[later, workspace.past_unit[a]] -= change * workspace.past_error[a]
    return True


@kernel
def find_changes(run, groups, n_columns):
    """Write to `sums` what changes in each column from a group to the next; clear the errors."""
    trains, workspace = run.trains, run.workspace
    width, sums = workspace.change.size, workspace.sums
    for group in range(groups.label.size - 1):
        for j in range(0, n_columns, LANES):
            store(sums, group * width + j, zeros(sums, LANES))
    first = np.int64(0)
    for a in range(workspace.n_past[0]):
        t = workspace.past_step[a]
        if a > 0 and t == first:  # several errors of one step
            continue
        first, error = t, workspace.error[t]
        for j in range(0, n_columns, LANES):
            errors = load(error, j, LANES)
            for m in range(trains.n_jumps[t]):
                start = trains.jump_group[t, m] * width + j
                store(sums, start, load(sums, start, LANES) + trains.jump[t, m] * errors)
            store(error, j, zeros(error, LANES))


@kernel
def write_first(run, groups):
    """Change W_1 by the errors kept: all rows of a group of input units change alike.

    The change of a group is the one of the group before, and what C_t jumps by.
    """
    net, workspace = run.net, run.workspace
    n_past = workspace.n_past[0]
    change, column, place = workspace.change, workspace.column, workspace.place
    # List the columns that change, most often few, and the place of each error in this list.
    n_columns = 0
    for a in range(n_past):
        j = workspace.past_unit[a]
        if place[j] == 0:
            column[n_columns] = j
            n_columns += 1
            place[j] = n_columns
        error = workspace.error[workspace.past_step[a]]
        error[np.uintp(place[j] - 1)] += run.sample.rate[1] * workspace.past_error[a]
    matrix, width = weights_of(run.learning, net, 1), net.unit[2] - net.unit[1]
    find_changes(run, groups, n_columns)
    in_row = n_columns * 4 >= width
    change[:n_columns] = 0
    for group in range(groups.label.size - 1):
        for j in range(0, n_columns, LANES):
            step = load(workspace.sums, group * width + j, LANES)
            store(change, j, load(change, j, LANES) + step)
        if in_row:
            for a in range(n_columns):
                workspace.row[np.uintp(column[a])] = change[a]
        for m in range(groups.start[group], groups.start[group + 1]):
            start = np.int64(groups.member[np.uintp(m)]) * width
            if in_row:
                for j in range(0, width, LANES):
                    learned = load(workspace.row, j, LANES)
                    store(matrix, start + j, load(matrix, start + j, LANES) - learned)
            else:
                for a in range(n_columns):
                    matrix[np.uintp(start + column[a])] -= change[a]
    for a in range(n_columns):
        place[column[a]] = 0
        workspace.row[column[a]] = 0


@kernel
def learn_all(run, groups, errors, t, n_steps):
    """Rule 5 for all W_l; False if the range is not certain."""
    return learn_first(run, groups, errors, t, n_steps) and learn(run, errors, 2)


@kernel
def train_sample(run, groups, block, index):
    """Show one sample and learn from it; False if the range is not certain."""
    net, sample, workspace = run.net, run.sample, run.workspace
    n_steps = block.n_steps
    follow_trains(run.trains, groups, n_steps)
    prepare_first(run, groups)
    workspace.n_past[0] = 0
    last, is_delayed = net.sizes.size - 1, net.error_delay[1] > 0
    for t in range(n_steps + net.error_delay[1]):
        enter_target(run, block, index, max(t - net.spike_delay[last], 0))
        certain = forward_delayed(run, t + 1, n_steps) if is_delayed else forward(run, t)
        if not (certain and send_errors(run, sample.target, t + 1, n_steps)):
            return False
        if net.outer:
            for i in range(net.unit[1], sample.error.size):
                sample.error_sum[i] += sample.error[i]
        elif not learn_all(run, groups, sample.error, min(t, n_steps - 1), n_steps):
            return False
        if run.record.spikes.shape[0] > 0:
            write_record(run, index, t + 1, n_steps)
            if t < n_steps:
                record_input(run, groups, index, t)
    if net.outer and not learn_all(run, groups, sample.error_sum, n_steps - 1, n_steps):
        return False
    write_first(run, groups)
    return True


@kernel
def show_constant_sample(run, block, i):
    """Show sample i of a block; False if the range is not certain."""
    if not sort_sample(run, block, i):
        return False
    groups = groups_in_use(run.groups)
    if block.training:
        return train_sample(run, groups, block, i)
    return predict_sample(run, groups, i, block.n_steps)


@entry
def run_constant_block(job):
    """Show samples of constant input in order, and learn from each if they are for training."""
    return show_block(job.run, job.block, begin_sample, show_constant_sample, write_scores)
