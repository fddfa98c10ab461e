"""Kernels of pipelined timing: one step of delay on every connection, forward and backward.

They consist of the same parts as those of immediate timing. Within a step layers act from the
output down when they fire, and from layer 1 up when they send errors: what a layer is handed in
this step then reaches it only after it has acted on what it was handed in the step before, and
one array for what is under way is enough. Weights learn after all that.

Prediction is that of immediate timing, and done there.
"""

from __future__ import annotations

import numpy as np

from spikebp_plugins.compiled.kernels.arrays import MOST_SPIKES, WRAP, copy, write_drive
from spikebp_plugins.compiled.kernels.blocks import bound_again
from spikebp_plugins.compiled.kernels.build import entry, kernel
from spikebp_plugins.compiled.kernels.rules import (
    add_rows,
    drive_within,
    fire_input,
    fire_layer,
    fire_signed,
    gate,
    learn,
    learn_or_sum,
    note_errors,
    open_sample,
    output_error,
    restart_backward,
    send_no_errors,
    within,
)
from spikebp_plugins.compiled.kernels.slices import backward_of, units_of, weights_of


@kernel
def is_busy(t, delay, n_steps):
    """Whether what reaches a layer `delay` steps after the input is under way in step t."""
    return 1 <= t - delay <= n_steps


@kernel
def take_drive(net, sample, layer):
    """Add what has arrived to the potential; False if the range is not certain."""
    potential = units_of(sample.potential, net, layer)
    arriving = units_of(sample.arriving, net, layer)
    for j in range(potential.size):
        potential[j] += arriving[j]
    return drive_within(net, sample, layer)


@kernel
def hand_up(net, learning, sample, layer, n_sent):
    """Put the spikes of a layer on their way to the next; False if the range is not certain."""
    arriving = units_of(sample.arriving, net, layer + 1)
    arriving[:] = 0
    gain = n_sent * learning.weight_bound[layer + 1]
    if not (n_sent < MOST_SPIKES and gain < WRAP):
        return False
    if n_sent > 0:
        sample.drive_bound[layer + 1] += gain
        add_rows(
            arriving,
            weights_of(learning, net, layer + 1),
            units_of(sample.spike, net, layer),
            units_of(sample.active, net, layer),
            sample.n_active[layer],
        )
    return True


@kernel
def fire_layers(net, learning, sample, x, t, n_steps, totals):
    """Rules 1 and 2 of a step; False if the range is not certain."""
    last = net.sizes.size - 1
    for layer in range(last, -1, -1):
        if not is_busy(t, layer, n_steps):
            continue
        if layer == 0:
            n_sent = fire_input(net, sample, x, totals)
        else:
            if not take_drive(net, sample, layer):
                return False
            n_sent = fire_layer(net, sample, layer, totals)
        if layer == last:
            if not n_sent < MOST_SPIKES:
                return False
        elif not hand_up(net, learning, sample, layer, n_sent):
            return False
    return True


@kernel
def hand_down(net, learning, sample, layer, n_sent):
    """Give the errors of a layer to the one below; False if the range is not certain."""
    gain = n_sent * learning.matrix_bound[layer]
    if not (n_sent < MOST_SPIKES and gain < WRAP):
        return False
    if n_sent > 0:
        learning.backward_bound[layer - 1] += gain
        potential = units_of(learning.backward_potential, net, layer - 1)
        add_rows(
            potential,
            backward_of(learning, net, layer),
            units_of(sample.error, net, layer),
            units_of(sample.active, net, layer),
            sample.n_active[layer],
        )
        return within(net, learning.backward_bound[layer - 1], potential)
    return True


@kernel
def fire_errors(net, learning, sample, layer):
    """Rule 4 of a layer, for the errors that it was given in the step before."""
    if learning.backward_bound[layer] <= net.half:
        # Nothing has come, and nothing was left above the threshold.
        send_no_errors(net, sample, layer)
        return
    potential = units_of(learning.backward_potential, net, layer)
    fire_signed(potential, units_of(sample.error, net, layer), net)
    if not net.limited:
        learning.backward_bound[layer] = net.half
    gate(net, sample, layer)


@kernel
def send_errors(net, learning, sample, y, t, n_steps, totals):
    """Rules 3 and 4 of a step; False if the range is not certain."""
    last = net.sizes.size - 1
    for layer in range(1, last + 1):
        if not is_busy(t, 2 * last - layer, n_steps):
            send_no_errors(net, sample, layer)
            continue
        if layer < last:
            fire_errors(net, learning, sample, layer)
        elif not output_error(net, sample, y):
            return False
        n_sent = note_errors(net, sample, layer, totals)
        if layer == 1:
            if not n_sent < MOST_SPIKES:
                return False
        elif not hand_down(net, learning, sample, layer, n_sent):
            return False
    return True


@kernel
def train_step(net, learning, sample, x, y, t, n_steps, totals):
    """Step t of a training sample; False if the range is not certain."""
    sample.moment[1] = t
    if not (
        fire_layers(net, learning, sample, x, t, n_steps, totals)
        and send_errors(net, learning, sample, y, t, n_steps, totals)
    ):
        return False
    return learn_or_sum(net, learning, sample, totals)


@kernel
def write_record(net, sample, record, index, t, n_steps):
    """Note what layers have sent in step t, each under the step of input that it belongs to."""
    if record.spikes.shape[0] == 0:
        return
    last = net.sizes.size - 1
    for layer in range(last + 1):
        if is_busy(t, layer, n_steps):
            row = record.spikes[index, t - layer - 1]
            copy(units_of(row, net, layer), units_of(sample.spike, net, layer))
        if layer > 0 and is_busy(t, 2 * last - layer, n_steps):
            row = record.errors[index, t - (2 * last - layer) - 1]
            copy(units_of(row, net, layer), units_of(sample.error, net, layer))
    if is_busy(t, last, n_steps):
        write_drive(net, sample, record.drive[index, t - last - 1])


@kernel
def run_sample(net, learning, sample, x, y, n_steps, totals, record, index):
    """Show one training sample; False if the range is not certain."""
    last = net.sizes.size - 1
    for t in range(1, n_steps + 2 * last):
        of_output = max(t - last, 1)
        x_t, y_t = x[(t - 1) % x.shape[0]], y[(of_output - 1) % y.shape[0]]
        if not train_step(net, learning, sample, x_t, y_t, t, n_steps, totals):
            return False
        write_record(net, sample, record, index, t, n_steps)
    return not net.outer or learn(net, learning, sample, sample.error_sum, 1, totals)


@entry
def run_block(net, learning, sample, x, y, drawn, n_steps, totals, record, drive):
    """Learn from samples in order; otherwise as ``kernels.run_block``."""
    for i in range(x.shape[0]):
        bound_again(net, learning, i)
        open_sample(net, sample, True)
        restart_backward(net, learning, drawn[i % drawn.shape[0]])
        if not run_sample(
            net, learning, sample, x[i], y[i % y.shape[0]], n_steps, totals, record, i
        ):
            return i
        sample.moment[0] += np.uint64(1)
        write_drive(net, sample, drive[i])
    return x.shape[0]
