"""Kernels that compute one layer of a step, for engines where each layer is its own process.

Such a layer is layer 1 of a network of two layers, in all arrays. Layer 0 stands for the layer
below, whose spikes arrive.
"""

from __future__ import annotations

from .arrays import MOST_SPIKES, WRAP, largest, list_units
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
    """Clear the errors before a step, and do what `begin` does with `opens` and `restarts`."""
    begin(run, drawn, opens, restarts)
    clear_errors(run.sample)


@entry
def receive_spikes(run, k):
    """Count arriving spikes k, and send them through W; False if the range is not certain."""
    return hand_up(run, 0, fire_input(run, k))


@entry
def fire_arrived(run, busy):
    """Rule 2 if the layer is busy, else no spikes; False if the range is not certain."""
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
    """Rule 4, where `arrived` is e B from above; False if the range is not certain."""
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
    """Total = e B, with the errors just found; False if the range is not certain."""
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
    """Rule 5 for W and its transposed copy `back`; False if the range is not certain."""
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
        n_columns = list_units(error, column)
        factor = units_of(sample.factor, net, 0)
        descend_transposed(sample.rate[1], back, factor, error, column, n_columns)
    return True
