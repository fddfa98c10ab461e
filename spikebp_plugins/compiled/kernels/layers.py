"""Kernels that compute one layer of a step, for who has each layer in a process of its own."""

from __future__ import annotations

from spikebp_plugins.compiled.kernels.arrays import MOST_SPIKES, WRAP, largest, list_active
from spikebp_plugins.compiled.kernels.build import entry
from spikebp_plugins.compiled.kernels.pipelined import hand_up, take_drive
from spikebp_plugins.compiled.kernels.rules import (
    add_rows,
    descend_transposed,
    fire_input,
    fire_layer,
    fire_signed,
    forward,
    gate,
    learn,
    note_errors,
    open_sample,
    output_error,
    within,
)
from spikebp_plugins.compiled.kernels.slices import units_of
from spikebp_plugins.compiled.kernels.steps import begin, clear_errors


@entry
def input_layer(net, sample, x, opens, totals):
    """Rule 1; False if the range is not certain."""
    if opens:
        open_sample(net, sample, False)
    return fire_input(net, sample, x, totals) < MOST_SPIKES


@entry
def forward_layer(net, learning, sample, k, drawn, opens, restarts, totals):
    """Rule 2 for the spikes of the layer below; False if the range is not certain."""
    begin(net, learning, sample, drawn, opens, restarts)
    clear_errors(sample)
    return forward(net, learning, sample, k, totals)


@entry
def fire_arrived(net, learning, sample, drawn, opens, restarts, busy, totals):
    """Rule 2 for what has arrived before this step; False if the range is not certain."""
    begin(net, learning, sample, drawn, opens, restarts)
    clear_errors(sample)
    if not busy:
        units_of(sample.spike, net, 1)[:] = 0
        return True
    return take_drive(net, sample, 1) and fire_layer(net, sample, 1, totals) < MOST_SPIKES


@entry
def receive_spikes(net, learning, sample, k, totals):
    """Count spikes, and send them through the weights; False if the range is not certain."""
    return hand_up(net, learning, sample, 0, fire_input(net, sample, k, totals))


@entry
def output_layer_error(net, sample, y, totals):
    """Rule 3; False if the range is not certain."""
    if not output_error(net, sample, y):
        return False
    return note_errors(net, sample, 1, totals) < MOST_SPIKES


@entry
def hidden_layer_error(net, learning, sample, arrived, totals):
    """Rule 4 for what has arrived from above; False if the range is not certain."""
    potential = units_of(learning.backward_potential, net, 1)
    learning.backward_bound[1] += largest(arrived)
    for i in range(arrived.size):
        potential[i] += arrived[i]
    if not within(net, learning.backward_bound[1], potential):
        return False
    fire_signed(potential, units_of(sample.error, net, 1), net)
    if not net.limited:
        learning.backward_bound[1] = net.half
    gate(net, sample, 1)
    return note_errors(net, sample, 1, totals) < MOST_SPIKES


@entry
def errors_down(net, sample, back, matrix_bound, total):
    """Total = e B, after an error phase; False if the range is not certain."""
    total[:] = 0
    gain = sample.n_errors[1] * matrix_bound
    if not gain < (net.certain if net.narrow else WRAP):
        return False
    active = units_of(sample.active, net, 1)
    add_rows(total, back, units_of(sample.error, net, 1), active, sample.n_active[1])
    return True


@entry
def layer_learns(net, learning, sample, back, closes, totals):
    """Rule 5, and the same for the transposed copy; False if the range is not certain."""
    errors = sample.error
    if net.outer:
        for i in range(errors.size):
            sample.error_sum[i] += errors[i]
        if not closes:
            return True
        errors = sample.error_sum
    if not learn(net, learning, sample, errors, 1, totals):
        return False
    if back.size > 0 and not net.random_feedback:
        error, column = units_of(errors, net, 1), units_of(sample.active, net, 1)
        n_columns, _ = list_active(error, column)
        factor = units_of(sample.factor, net, 0)
        descend_transposed(net, back, factor, error, column, n_columns)
    return True
