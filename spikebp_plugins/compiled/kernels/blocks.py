"""Kernels that show samples one after the other."""

from __future__ import annotations

import numpy as np

from spikebp_plugins.compiled.kernels.arrays import copy, write_drive, write_record
from spikebp_plugins.compiled.kernels.build import entry, kernel
from spikebp_plugins.compiled.kernels.rules import (
    bound_learning,
    forward,
    learn,
    open_sample,
    restart_backward,
    train_step,
)
from spikebp_plugins.compiled.kernels.slices import units_of

#: Samples after which bounds are measured again, which reads all weights.
SAMPLES_PER_BOUND = 250


@kernel
def bound_again(net, learning, i):
    """Measure the magnitudes before sample i of a block, now and then: bounds only grow."""
    if i % SAMPLES_PER_BOUND == 0:
        bound_learning(net, learning)


@kernel
def run_sample(net, learning, sample, x, y, n_steps, training, totals, record, index):
    """Show one sample; False if the range is not certain."""
    for t in range(n_steps):
        x_t = x[t % x.shape[0]]
        if training:
            certain = train_step(net, learning, sample, x_t, y[t % y.shape[0]], totals)
        else:
            certain = forward(net, learning, sample, x_t, totals)
        if not certain:
            return False
        write_record(net, sample, record, index, t)
    if training and net.outer:
        return learn(net, learning, sample, sample.error_sum, 1, totals)
    return True


@entry
def run_block(net, learning, sample, x, y, drawn, n_steps, training, totals, record, drive):
    """Show samples in order and write each one's summed output drive.

    Returns the number of samples done: less than all if the range of the next is not
    certain, in which case `learning`, `totals` and `record` are to be discarded.
    """
    for i in range(x.shape[0]):
        bound_again(net, learning, i)
        open_sample(net, sample, training)
        if training:
            restart_backward(net, learning, drawn[i % drawn.shape[0]])
        y_i = y[i % y.shape[0]]
        if not run_sample(net, learning, sample, x[i], y_i, n_steps, training, totals, record, i):
            return i
        sample.moment[0] += np.uint64(training)
        write_drive(net, sample, drive[i])
    return x.shape[0]


@kernel
def lead(net, sample):
    """The largest summed drive of the output less the second largest."""
    last = net.sizes.size - 1
    potential = units_of(sample.potential, net, last)
    count = units_of(sample.count, net, last)
    first = second = -np.inf
    for j in range(net.sizes[last]):
        drive = float(potential[j] + count[j] * net.one)
        first, second = max(first, drive), max(second, min(first, drive))
    return first - second


@entry
def run_until(net, learning, sample, x, n_steps, margin, totals, drive, shown, spikes):
    """Show samples until their lead is `margin`; write drive, steps, and spikes of each layer.

    Returns the number of samples done: less than all if the range of the next is not certain.
    """
    bound_learning(net, learning)
    for i in range(x.shape[0]):
        open_sample(net, sample, False)
        totals.spikes[:] = 0
        for t in range(n_steps):
            if not forward(net, learning, sample, x[i, t % x.shape[1]], totals):
                return i
            shown[i] = t + 1
            if lead(net, sample) >= margin:
                break
        copy(spikes[i], totals.spikes)
        write_drive(net, sample, drive[i])
    return x.shape[0]


@entry
def to_units(values, scale, one, farthest, units):
    """Units = rint(v * scale * 2^f), cut to a magnitude that `units` can hold."""
    for i in range(values.size):
        v = np.rint((values[i] * scale) * one)
        units[i] = np.int64(min(max(v, -float(farthest)), float(farthest)))
