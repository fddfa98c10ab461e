"""Kernels that show samples one after the other."""

from __future__ import annotations

import numpy as np

from .arrays import summed_drive, write_mean_drive, write_record
from .boundary import begin_boundary, end_boundary, go_back_to_boundary
from .build import entry, kernel, rare
from .entering import enter_input, enter_target, is_allowed
from .rules import bound_learning, learn, open_sample, restart_backward, send_spikes, train_step

#: Training samples after which bounds are measured again, which reads all weights.
SAMPLES_PER_BOUND = 250


@rare
def measure(run):
    """Measure the bounds of what has been learned."""
    bound_learning(run.net, run.learning)
    run.boundary.age[0] = 0


@kernel
def begin_at_boundary(run):
    """Begin a sample; at times measure the bounds, which only grow in between.

    Threads that share what has been learned have an age of 0 each, and do not write bounds.
    """
    if run.boundary.is_open[0]:  # an interrupt has kept the caller from undoing a sample
        go_back_to_boundary(run)
    if run.boundary.age[0] >= SAMPLES_PER_BOUND:
        measure(run)
    begin_boundary(run)


@kernel
def show_block(run, block, begin, show, write):
    """Show samples in order, by three functions that each family of kernels has.

    ``begin(run, training)`` gets ready for a sample, ``show(run, block, i)`` shows sample i, and
    ``write(run, block, i)`` writes its scores. Returns the number of samples done. It is less than
    all if `show` has returned False with bounds measured just before: what that sample has changed
    is undone then. It is also less if nobody has checked the samples, and one is not allowed.
    """
    training, age = block.training, run.boundary.age
    for i in range(block.scores.shape[0]):
        if not block.checked and not is_allowed(run.net, block, i):
            return i
        while True:
            begin_at_boundary(run)
            begin(run, training)
            if training:
                restart_backward(run, block.drawn[i % block.drawn.shape[0]])
            if show(run, block, i):
                break
            go_back_to_boundary(run)
            if age[0] == 0:
                return i
            # Bounds only grow from sample to sample: those of now may prove the range.
            measure(run)
        write(run, block, i)
        end_boundary(run, 1 if training else 0)
    return block.scores.shape[0]


@kernel
def begin_sample(run, training):
    """Reset the state of a sample."""
    open_sample(run, training)
    run.sample.moment[0] = np.uint64(run.totals.samples[2])


@kernel
def write_scores(run, block, i):
    """Write the scores of sample i."""
    write_mean_drive(run, block.n_steps, block.scores[i])


@kernel
def show_sample(run, block, i):
    """Show sample i of a block; False if the range is not certain."""
    net, sample, n_steps = run.net, run.sample, block.n_steps
    if not block.training:
        for t in range(1, n_steps + 1):
            enter_input(run, block, i, t - 1)
            if not send_spikes(run, sample.input, t, n_steps):
                return False
            write_record(run, i, t, n_steps)
        return True
    last = net.sizes.size - 1
    for t in range(1, n_steps + net.error_delay[1] + 1):
        enter_input(run, block, i, t - 1)
        enter_target(run, block, i, max(t - net.spike_delay[last], 1) - 1)
        if not train_step(run, sample.input, sample.target, t, n_steps):
            return False
        write_record(run, i, t, n_steps)
    return not net.outer or learn(run, sample.error_sum, 1)


@entry
def run_block(job):
    """Show samples in order, and learn from each if they are for training."""
    return show_block(job.run, job.block, begin_sample, show_sample, write_scores)


@entry
def measure_bounds(net, learning):
    """Set the bounds of a learning state."""
    bound_learning(net, learning)


@kernel
def lead(run):
    """The largest summed drive of the output less the second largest."""
    net = run.net
    first = second = -np.inf
    for j in range(net.sizes[net.sizes.size - 1]):
        drive = float(summed_drive(run, j))
        first, second = max(first, drive), max(second, min(first, drive))
    return first - second


@kernel
def show_until(run, block, i, margin):
    """Show sample i until its lead is `margin`; return the steps, 0 if the range is not certain."""
    for t in range(1, block.n_steps + 1):
        enter_input(run, block, i, t - 1)
        if not send_spikes(run, run.sample.input, t, block.n_steps):
            return 0
        if lead(run) >= margin:
            return t
    return block.n_steps


@entry
def run_until(job, margin, shown, spikes):
    """Show each sample until its lead is `margin`; write its steps to `shown`, and its `spikes`.

    Returns the number of samples done: less than all if the range of one is not certain.
    """
    run, block = job.run, job.block
    totals, before = run.totals, run.boundary.spikes
    for i in range(block.scores.shape[0]):
        begin_at_boundary(run)
        begin_sample(run, False)
        shown[i] = show_until(run, block, i, margin)
        if shown[i] == 0:
            go_back_to_boundary(run)
            return i
        for layer in range(before.size):
            spikes[i, layer] = totals.spikes[layer] - before[layer]
        scores = block.scores[i]
        for j in range(scores.size):
            scores[j] = float(summed_drive(run, j)) * run.net.real / shown[i]
        end_boundary(run, 0)
    return block.scores.shape[0]
