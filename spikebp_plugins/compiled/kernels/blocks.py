"""Kernels that show samples one after the other."""

from __future__ import annotations

import numpy as np

from .arrays import copy, write_drive, write_record
from .build import entry, kernel
from .rules import bound_learning, learn, open_sample, restart_backward, send_spikes, train_step
from .slices import units_of

#: Samples after which bounds are measured again, which reads all weights.
SAMPLES_PER_BOUND = 250


@kernel
def show_block(run, block, begin, show, write):
    """Show samples in order, by three functions that each family of kernels has.

    ``begin(run, i, training)`` gets ready for sample i, ``show(run, block, i)`` shows it, and
    ``write(run, drive)`` writes the summed drive of the output. Returns the number of samples done.
    It is less than all if `show` has returned False: the caller must then discard what the block
    has changed.
    """
    training = block.training
    for i in range(block.drive.shape[0]):
        begin(run, i, training)
        if training:
            restart_backward(run, block.drawn[i % block.drawn.shape[0]])
        if not show(run, block, i):
            return i
        write(run, block.drive[i])
    return block.drive.shape[0]


@kernel
def begin_sample(run, i, training):
    """Reset the state of a sample; at times measure the bounds, which only grow in between."""
    if i % SAMPLES_PER_BOUND == 0:
        bound_learning(run)
    open_sample(run, training)


@kernel
def show_sample(run, block, i):
    """Show sample i of a block; False if the range is not certain."""
    net, sample, n_steps = run.net, run.sample, block.n_steps
    x, y = block.x[i], block.y[i % block.y.shape[0]]
    if not block.training:
        for t in range(1, n_steps + 1):
            if not send_spikes(run, x[(t - 1) % x.shape[0]], t, n_steps):
                return False
            write_record(run, i, t, n_steps)
        return True
    last = net.sizes.size - 1
    for t in range(1, n_steps + net.error_delay[1] + 1):
        of_output = max(t - net.spike_delay[last], 1)
        x_t, y_t = x[(t - 1) % x.shape[0]], y[(of_output - 1) % y.shape[0]]
        if not train_step(run, x_t, y_t, t, n_steps):
            return False
        write_record(run, i, t, n_steps)
    if net.outer and not learn(run, sample.error_sum, 1):
        return False
    sample.moment[0] += np.uint64(1)
    return True


@entry
def run_block(run, block):
    """Show samples in order, and learn from each if they are for training."""
    return show_block(run, block, begin_sample, show_sample, write_drive)


@kernel
def lead(run):
    """The largest summed drive of the output less the second largest."""
    net, sample = run.net, run.sample
    last = net.sizes.size - 1
    potential = units_of(sample.potential, net, last)
    count = units_of(sample.count, net, last)
    first = second = -np.inf
    for j in range(net.sizes[last]):
        drive = float(potential[j] + count[j] * net.one)
        first, second = max(first, drive), max(second, min(first, drive))
    return first - second


@entry
def run_until(run, block, margin, shown, spikes):
    """Show each sample until its lead is `margin`; write its steps to `shown`, and its `spikes`.

    Returns the number of samples done: less than all if the range of one is not certain.
    """
    bound_learning(run)
    for i in range(block.drive.shape[0]):
        open_sample(run, False)
        run.totals.spikes[:] = 0
        x = block.x[i]
        for t in range(1, block.n_steps + 1):
            if not send_spikes(run, x[(t - 1) % x.shape[0]], t, block.n_steps):
                return i
            shown[i] = t
            if lead(run) >= margin:
                break
        copy(spikes[i], run.totals.spikes)
        write_drive(run, block.drive[i])
    return block.drive.shape[0]


@entry
def to_units(values, scale, one, farthest, units):
    """Units = rint(v * scale * 2^f), cut to a magnitude that `units` can hold."""
    for i in range(values.size):
        v = np.rint((values[i] * scale) * one)
        units[i] = np.int64(min(max(v, -float(farthest)), float(farthest)))
