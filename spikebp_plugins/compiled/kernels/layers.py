"""Kernels that compute one layer of a step, for who has each layer in a process of its own.

A layer alone is the upper half of a network of two: that of the layer below, whose spikes arrive,
and its own. Index 1 is therefore the layer itself in all of its arrays.
"""

from __future__ import annotations

from .arrays import MOST_SPIKES, WRAP, largest, list_active
from .build import entry
from .dense import add_rows, descend_transposed
from .rules import (
    fire_errors,
    fire_input,
    fire_layer,
    hand_up,
    learn,
    note_errors,
    open_sample,
    output_error,
    take_drive,
    within,
)
from .slices import units_of
from .steps import begin, clear_errors


@entry
def input_layer(run, x, opens):
    """Rule 1; False if the range is not certain."""
    if opens:
        open_sample(run, False)
    return fire_input(run, x) < MOST_SPIKES


@entry
def begin_step(run, drawn, opens, restarts):
    """Get ready for a step, which may be the first of its sample, or of those that learn."""
    begin(run, drawn, opens, restarts)
    clear_errors(run.sample)


@entry
def receive_spikes(run, k):
    """Count spikes, and send them through the weights; False if the range is not certain."""
    return hand_up(run, 0, fire_input(run, k))


@entry
def fire_arrived(run, busy):
    """Rule 2 for what has arrived; False if the range is not certain."""
    if not busy:
        units_of(run.sample.spike, run.net, 1)[:] = 0
        return True
    return take_drive(run, 1) and fire_layer(run, 1) < MOST_SPIKES


@entry
def output_layer_error(run, y):
    """Rule 3; False if the range is not certain."""
    return output_error(run, y) and note_errors(run, 1) < MOST_SPIKES


@entry
def hidden_layer_error(run, arrived):
    """Rule 4 for what has arrived from above; False if the range is not certain."""
    net, learning = run.net, run.learning
    potential = units_of(learning.backward_potential, net, 1)
    learning.backward_bound[1] += largest(arrived)
    for i in range(arrived.size):
        potential[i] += arrived[i]
    if not within(net, learning.backward_bound[1], potential):
        return False
    fire_errors(run, 1)
    return note_errors(run, 1) < MOST_SPIKES


@entry
def errors_down(run, back, matrix_bound, total):
    """Total = e B, after an error phase; False if the range is not certain."""
    net, sample = run.net, run.sample
    total[:] = 0
    gain = sample.n_errors[1] * matrix_bound
    if not gain < (net.certain if net.narrow else WRAP):
        return False
    active = units_of(sample.active, net, 1)
    add_rows(total, back, units_of(sample.error, net, 1), active, sample.n_active[1])
    return True


@entry
def layer_learns(run, back, closes):
    """Rule 5, and the same for the transposed copy; False if the range is not certain."""
    net, sample = run.net, run.sample
    errors = sample.error
    if net.outer:
        for i in range(errors.size):
            sample.error_sum[i] += errors[i]
        if not closes:
            return True
        errors = sample.error_sum
    if not learn(run, errors, 1):
        return False
    if back.size > 0 and not net.random_feedback:
        error, column = units_of(errors, net, 1), units_of(sample.active, net, 1)
        n_columns, _ = list_active(error, column)
        factor = units_of(sample.factor, net, 0)
        descend_transposed(net, back, factor, error, column, n_columns)
    return True
