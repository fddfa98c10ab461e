"""Event timing compiled by Numba: the rules of "Event order" in docs/semantics.md.

Arrays are laid out as for the step rules (`rules`): variables of all layers in one flat array, W_l
flat, and its transpose B_l kept beside it, so that columns too are read along memory. Sums are in
floating point and in a fixed order, which the compiler must keep. It can use vectors all the same:
each loop runs over units whose sums are independent.

While errors are held, and in prediction, the weights do not change in the forward pass. Both orders
then send the same spikes in the same order within each layer, and `forward_by_layers` serves both.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Run, copy
from .blocks import show_block
from .boundary import keep_column
from .build import entry, kernel
from .entering import enter_input, enter_target
from .event_queue import (
    BACKWARD,
    DRIVE,
    HALF,
    LARGEST_POTENTIAL,
    POTENTIAL,
    TARGET,
    WEIGHT,
    Queues,
    fire_rectified,
    fire_signed,
    let_go,
    next_spike,
    note_fault,
    unit_of,
)
from .slices import backward_of, units_of, weights_of
from .structs import Struct


class EventSample(Struct):
    """The state of a sample; an array without a stated shape has (sum n_l,)."""

    input: Any  # (n_inputs,): what enters in this step
    target: Any  # (n_outputs,): the target of this step
    potential: Any
    target_potential: Any  # (n_outputs,), of the negative target
    drive: Any
    count: Any
    error_sum: Any
    held: Any  # int64 (n_outputs,): output spikes less target spikes of this step
    current: Any  # int32 (L+1,): the spike of each layer that is being followed
    spike: Any  # int64: net spikes in this step
    error: Any  # int64: net error spikes in this step, after the gate
    net_error: Any  # int64: net error spikes of the sample, before the gate
    gross_error: Any  # int64: all error spikes of the sample, of either sign, before the gate
    forward: Queues
    backward: Queues
    fault: Any  # float64 (3,), shared by the queues


class EventRun(Run):
    """A run with the order in which spikes are handled."""

    depth: bool  # each spike is followed through all layers before the next
    hold: bool  # errors wait for the end of the step


@kernel
def add(total, values, sign):
    """Total += sign * values."""
    if sign > 0:
        for j in range(total.size):
            total[j] += values[j]
    else:
        for j in range(total.size):
            total[j] -= values[j]


@kernel
def count_above(potential):
    """The number of potentials above the threshold; without branches, the loop uses vectors."""
    n = 0
    for j in range(potential.size):
        n += 1 if np.float32(potential[j]) > HALF else 0
    return n


@kernel(inline="always")  # some 8 per cent faster than a plain kernel
def drive_layer(run, layer, spike):
    """Add the row of a spike from below to a layer, which fires; False if out of range.

    Summed drive and potential are two sums of the same rows in the same order.
    """
    net, learning, sample = run.net, run.learning, run.sample
    n_out, unit = net.sizes[layer], unit_of(spike)
    start = net.edge[layer] + unit * n_out
    row = learning.weight[start : start + n_out]
    sign = 1 if spike >= 0 else -1
    add(units_of(sample.drive, net, layer), row, sign)
    potential = units_of(sample.potential, net, layer)
    add(potential, row, sign)
    return count_above(potential) == 0 or fire_rectified(potential, sample.forward, layer)


@kernel
def note_sent(run, layer, spike):
    """Count a spike that has left the queue of a layer."""
    net, sample = run.net, run.sample
    unit = net.unit[layer] + unit_of(spike)
    sample.spike[unit] += 1 if spike >= 0 else -1
    run.totals.spikes[layer] += 1


@kernel
def count_input(run, layer, spike):
    """Add a spike of a layer to its input count, c."""
    net, sample = run.net, run.sample
    if spike >= 0:
        sample.count[net.unit[layer] + spike] += net.one
    else:
        sample.count[net.unit[layer] + ~spike] -= net.one


@kernel
def forward_by_layers(run):
    """Handle all spikes of a layer before the next; return the number of the output's, or -1.

    The spikes of the input are in its queue. Those of the output are put in `sample.forward.left`.
    The return value -1 means that a value is out of range.
    """
    net, sample = run.net, run.sample
    queues = sample.forward
    n_sent = let_go(queues, 0, 0)
    for layer in range(net.sizes.size):
        sent = queues.left[layer % 2]
        for a in range(n_sent):
            note_sent(run, layer, sent[a])
        if layer == net.sizes.size - 1:
            break
        for a in range(n_sent):
            count_input(run, layer, sent[a])
        n_above = 0
        for a in range(n_sent):
            if not drive_layer(run, layer + 1, sent[a]):
                return -1
            if queues.size[layer + 1] > 0:
                n_above = let_go(queues, layer + 1, n_above)
        n_sent = n_above
    return n_sent


@kernel
def forward_by_spikes(run):
    """Follow each spike to the output and back at once; False if out of range.

    The spikes of the input are in its queue. A spike is added to the input count c after all that
    it has caused.
    """
    net, sample = run.net, run.sample
    queues, last = sample.forward, net.sizes.size - 1
    layer = 0
    while True:
        if queues.size[layer] == 0:
            if layer == 0:
                return True
            layer -= 1
            count_input(run, layer, sample.current[layer])
            continue
        spike = next_spike(queues, layer)
        note_sent(run, layer, spike)
        if layer == last:
            if not backward_by_spikes(run, spike):
                return False
        else:
            sample.current[layer] = spike
            layer += 1
            if not drive_layer(run, layer, spike):
                return False


@kernel
def passes(run, layer, spike):
    """Count an error spike, and say whether the gate lets it through."""
    net, sample = run.net, run.sample
    unit, sign = net.unit[layer] + unit_of(spike), 1 if spike >= 0 else -1
    sample.net_error[unit] += sign
    sample.gross_error[unit] += 1
    if sample.drive[unit] < 0:
        return False
    sample.error[unit] += sign
    run.totals.errors[layer] += 1
    return True


@kernel(inline="always")  # faster, as for `drive_layer`
def send_back(run, layer, spike):
    """Add the column of an error spike to the layer below, which fires; False if out of range."""
    net, learning, sample = run.net, run.learning, run.sample
    n_in, unit = net.sizes[layer - 1], unit_of(spike)
    start = net.back[layer] + unit * n_in
    column = learning.backward[start : start + n_in]
    potential = units_of(learning.backward_potential, net, layer - 1)
    add(potential, column, 1 if spike >= 0 else -1)
    return fire_signed(potential, sample.backward, layer - 1, BACKWARD)


@kernel
def learn(run, layer, spike):
    """Change the weights into a unit by one error spike; False if out of range."""
    net, sample = run.net, run.sample
    unit = unit_of(spike)
    if net.outer:
        sample.error_sum[net.unit[layer] + unit] += net.one if spike >= 0 else -net.one
        return True
    factor = net.rate if spike >= 0 else -net.rate
    return descend(run, layer, unit, factor)


@kernel
def descend(run, layer, unit, factor):
    """W_l[:, unit] -= max(c, 0) * factor, and B_l with it; False if out of range."""
    net, learning, sample = run.net, run.learning, run.sample
    count = units_of(sample.count, net, layer - 1)
    weight = weights_of(learning, net, layer)
    n_out = net.sizes[layer]
    keep_column(run, layer, unit)
    for i in range(count.size):
        if count[i] > 0:
            weight[i * n_out + unit] -= count[i] * factor
            run.totals.updates[0] += 1
            if not abs(weight[i * n_out + unit]) < net.limit:
                return note_fault(sample.fault, WEIGHT, layer, weight[i * n_out + unit])
    if layer > 1 and not net.random_feedback:
        start = unit * count.size
        transposed = backward_of(learning, net, layer)[start : start + count.size]
        for i in range(count.size):
            if count[i] > 0:
                transposed[i] -= count[i] * factor
    return True


@kernel
def backward_by_layers(run, n_sent):
    """Send error spikes of the output back, all of a layer at a time; False if out of range.

    The `n_sent` spikes are in `sample.backward.left`. Columns are read before they change: the
    weights learn after all columns of the layer have been added to the layer below.
    """
    net, sample = run.net, run.sample
    queues = sample.backward
    for layer in range(net.sizes.size - 1, 0, -1):
        sent, n_passed = queues.left[layer % 2], 0
        for a in range(n_sent):
            if passes(run, layer, sent[a]):
                sent[n_passed] = sent[a]
                n_passed += 1
        n_sent = 0
        if layer > 1:
            for a in range(n_passed):
                if not send_back(run, layer, sent[a]):
                    return False
                n_sent = let_go(queues, layer - 1, n_sent)
        for a in range(n_passed):
            if not learn(run, layer, sent[a]):
                return False
    return True


@kernel
def backward_by_spikes(run, spike):
    """Follow an error spike of the output to the first layer; False if out of range.

    Weights learn before their column is read.
    """
    net, sample = run.net, run.sample
    queues, last = sample.backward, net.sizes.size - 1
    layer = last
    while True:
        if passes(run, layer, spike):
            if not learn(run, layer, spike):
                return False
            if layer > 1:
                if not send_back(run, layer, spike):
                    return False
                layer -= 1
        while layer < last and queues.size[layer] == 0:
            layer += 1
        if layer == last:
            return True
        spike = next_spike(queues, layer)


@kernel
def launch(run, n_sent):
    """Send the error spikes in `sample.backward.left` back; False if out of range."""
    net, sample = run.net, run.sample
    if not run.depth:
        return backward_by_layers(run, n_sent)
    sent = sample.backward.left[(net.sizes.size - 1) % 2]
    for a in range(n_sent):  # noqa: SIM110 - Numba compiles no all()
        if not backward_by_spikes(run, sent[a]):
            return False
    return True


@kernel
def hold(sample, queues, layer, n_sent):
    """Count spikes that have left a layer's queue, by unit, until the end of the step."""
    sent = queues.left[layer % 2]
    for a in range(n_sent):
        sample.held[unit_of(sent[a])] += 1 if sent[a] >= 0 else -1


@kernel
def launch_held(run):
    """Send the held errors back, one spike at a time; False if out of range."""
    net, sample = run.net, run.sample
    sent = sample.backward.left[(net.sizes.size - 1) % 2]
    for j in range(sample.held.size):
        spike = j if sample.held[j] > 0 else ~j
        for _ in range(abs(sample.held[j])):
            sent[0] = spike
            if not launch(run, 1):
                return False
        sample.held[j] = 0
    return True


@kernel
def forward(run, x, training):
    """Show the input of a step, and handle what it causes; False if out of range."""
    net, sample = run.net, run.sample
    queues, last = sample.forward, net.sizes.size - 1
    potential = units_of(sample.potential, net, 0)
    add(potential, x, 1)
    if not fire_signed(potential, queues, 0, POTENTIAL):
        return False
    if training and run.depth and not run.hold:
        return forward_by_spikes(run)
    n_sent = forward_by_layers(run)
    if n_sent < 0 or not training:
        return n_sent >= 0
    if run.hold:
        hold(sample, queues, last, n_sent)
        return True
    copy(sample.backward.left[last % 2][:n_sent], queues.left[last % 2])
    return backward_by_layers(run, n_sent)


@kernel
def compare(run, y):
    """Let the negative target fire, and send errors back; False if out of range."""
    net, sample = run.net, run.sample
    queues, last = sample.backward, net.sizes.size - 1
    add(sample.target_potential, y, -1)
    if not fire_signed(sample.target_potential, queues, last, TARGET):
        return False
    n_sent = let_go(queues, last, 0)
    if not run.hold:
        return launch(run, n_sent)
    hold(sample, queues, last, n_sent)
    return launch_held(run)


@kernel
def within(run):
    """Whether potentials and summed drive are in range at the end of a step."""
    net, sample = run.net, run.sample
    for layer in range(1, net.sizes.size):
        potential = units_of(sample.potential, net, layer)
        drive = units_of(sample.drive, net, layer)
        for j in range(potential.size):
            if not abs(potential[j]) < LARGEST_POTENTIAL:
                return note_fault(sample.fault, POTENTIAL, layer, potential[j])
            if not abs(drive[j]) < net.limit:
                return note_fault(sample.fault, DRIVE, layer, drive[j])
    return True


@kernel
def open_sample(sample):
    """Reset the state of a sample."""
    sample.potential[:] = 0
    sample.target_potential[:] = 0
    sample.drive[:] = 0
    sample.count[:] = 0
    sample.error_sum[:] = 0
    sample.held[:] = 0
    sample.net_error[:] = 0
    sample.gross_error[:] = 0
    sample.forward.size[:] = 0
    sample.backward.size[:] = 0


@kernel
def close_training(run):
    """With update="outer", change the weights by the summed errors; False if out of range."""
    net, sample = run.net, run.sample
    for layer in range(1, net.sizes.size):
        error = units_of(sample.error_sum, net, layer)
        for j in range(error.size):
            if error[j] != 0:
                factor = error[j] * net.rate
                if not descend(run, layer, j, factor):
                    return False
    return True


@kernel
def write_record(run, index, t):
    """Record the spikes and errors of step t, from 0, unless the record is empty."""
    net, sample, record = run.net, run.sample, run.record
    if record.spikes.shape[0] > 0:
        copy(record.spikes[index, t], sample.spike)
        copy(record.errors[index, t], sample.error)
        copy(record.drive[index, t], units_of(sample.drive, net, net.sizes.size - 1))


@kernel
def begin_sample(run, training):
    """Reset the state of a sample."""
    open_sample(run.sample)


@kernel
def show_sample(run, block, i):
    """Show sample i of a block; False if something is out of range."""
    sample = run.sample
    for t in range(block.n_steps):
        sample.spike[:] = 0
        sample.error[:] = 0
        sample.forward.fired[:] = 0
        sample.backward.fired[:] = 0
        enter_input(run, block, i, t)
        if not forward(run, sample.input, block.training):
            return False
        if block.training:
            enter_target(run, block, i, t)
            if not compare(run, sample.target):
                return False
        if not within(run):
            return False
        write_record(run, i, t)
    return not (block.training and run.net.outer) or close_training(run)


@kernel
def write_scores(run, block, i):
    """Write the scores of sample i, in single precision, as the authors hand them out."""
    net, scores = run.net, block.scores[i]
    drive = units_of(run.sample.drive, net, net.sizes.size - 1)
    for j in range(scores.size):
        scores[j] = np.float32(float(drive[j]) / block.n_steps)


@entry
def run_event_block(job):
    """Show samples in order; if one is out of range, stop: `run.sample.fault` says why."""
    return show_block(job.run, job.block, begin_sample, show_sample, write_scores)
