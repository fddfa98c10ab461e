"""Kernels that advance a network by single steps, or by one layer of a step.

For those who do not know beforehand how long a sample lasts, or who compute each layer in a
process of its own. They consist of the same parts as the kernels for blocks.

A layer alone is the upper half of a network of two: that of the layer below, whose spikes arrive,
and its own. Index 1 is therefore the layer itself in all of its arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from spikebp_plugins.compiled.kernels.arrays import copy, write_record
from spikebp_plugins.compiled.kernels.build import entry, kernel
from spikebp_plugins.compiled.kernels.pipelined import fire_layers, is_busy
from spikebp_plugins.compiled.kernels.pipelined import train_step as pipelined_train_step
from spikebp_plugins.compiled.kernels.rules import (
    bound_learning,
    forward,
    learn,
    open_sample,
    restart_backward,
    train_step,
)
from spikebp_plugins.compiled.kernels.slices import units_of


class Kept(NamedTuple):
    """What a step changes before it is certain, as it was before the step."""

    potential: Any
    arriving: Any
    target_potential: Any
    count: Any
    backward_potential: Any
    spike: Any
    error: Any
    spikes: Any
    errors: Any


@kernel
def keep(kept, learning, sample, totals):
    """Remember the state before a step."""
    copy(kept.potential, sample.potential)
    copy(kept.arriving, sample.arriving)
    copy(kept.target_potential, sample.target_potential)
    copy(kept.count, sample.count)
    copy(kept.backward_potential, learning.backward_potential)
    copy(kept.spike, sample.spike)
    copy(kept.error, sample.error)
    copy(kept.spikes, totals.spikes)
    copy(kept.errors, totals.errors)


@kernel
def go_back(kept, learning, sample, totals):
    """Return to the state before a step; weights change only in steps that are certain."""
    copy(sample.potential, kept.potential)
    copy(sample.arriving, kept.arriving)
    copy(sample.target_potential, kept.target_potential)
    copy(sample.count, kept.count)
    copy(learning.backward_potential, kept.backward_potential)
    copy(sample.spike, kept.spike)
    copy(sample.error, kept.error)
    copy(totals.spikes, kept.spikes)
    copy(totals.errors, kept.errors)


@kernel
def begin(net, learning, sample, drawn, opens, restarts):
    """Reset what a sample starts from, where a step opens one or is the first that learns."""
    if opens:
        open_sample(net, sample, True)
        bound_learning(net, learning)
    if restarts:
        restart_backward(net, learning, drawn)


@kernel
def clear_errors(sample):
    """Set the errors of all layers to zero."""
    sample.error[:] = 0
    sample.n_errors[:] = 0


@entry
def show_steps(
    net,
    learning,
    sample,
    kept,
    x,
    y,
    drawn,
    n_steps,
    opens,
    restarts,
    learns,
    totals,
    record,
    row,
):
    """Show the same input and target for some steps; return how many were certain.

    `opens` and `restarts` say whether the first of them opens a sample, and whether it is the
    first that learns in its sample. Step t is written to row `row` + t of the record. The
    first step that is not certain, and those after it, change nothing.
    """
    begin(net, learning, sample, drawn, opens, restarts)
    for t in range(n_steps):
        keep(kept, learning, sample, totals)
        if learns:
            certain = train_step(net, learning, sample, x, y, totals)
        else:
            clear_errors(sample)
            certain = forward(net, learning, sample, x, totals)
        if not certain:
            go_back(kept, learning, sample, totals)
            return t
        write_record(net, sample, record, 0, row + t)
    return n_steps


@entry
def show_pipelined_steps(
    net,
    learning,
    sample,
    kept,
    x,
    y,
    drawn,
    n_steps,
    opens,
    restarts,
    learns,
    totals,
    record,
    row,
    first,
    n_inputs,
):
    """Show steps `first`, `first` + 1, .. of a sample with `n_inputs` steps of input.

    Otherwise as `show_steps`; layers that are idle send nothing, and this is recorded too.
    """
    begin(net, learning, sample, drawn, opens, restarts)
    for i in range(n_steps):
        t = first + i
        keep(kept, learning, sample, totals)
        if learns:
            certain = pipelined_train_step(net, learning, sample, x, y, t, n_inputs, totals)
        else:
            clear_errors(sample)
            certain = fire_layers(net, learning, sample, x, t, n_inputs, totals)
        if not certain:
            go_back(kept, learning, sample, totals)
            return i
        for layer in range(net.sizes.size):
            if not is_busy(t, layer, n_inputs):
                units_of(sample.spike, net, layer)[:] = 0
        write_record(net, sample, record, 0, row + i)
    return n_steps


@entry
def close_sample(net, learning, sample, totals):
    """With update="outer", rule 5; False, with nothing changed, if it is not certain."""
    return learn(net, learning, sample, sample.error_sum, 1, totals)
