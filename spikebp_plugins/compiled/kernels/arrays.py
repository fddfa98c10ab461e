"""The structs that kernels share, and functions that read and write their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .build import kernel, rare
from .slices import units_of
from .structs import Struct
from .vectors import LANES, WORD, load, lowest, nonzero, number_of_bits

#: No 64-bit sum of products may reach this, lest it wrap.
WRAP = 2.0**61
#: A layer must send fewer spikes than this in one step: with more, in a feasible number of steps,
#: the totals of a block might wrap, or an input count go beyond what a double holds exactly.
MOST_SPIKES = 2.0**30
TOO_MANY = np.int64(MOST_SPIKES)
#: Where at least one unit in so many is active, sums run over all units.
MANY_ACTIVE = 6


class Network(Struct):
    """The definition as kernels read it; fields without a type have that of the layout."""

    sizes: Any  # int64 (L+1,)
    unit: Any  # int64 (L+2,): where the units of each layer start
    edge: Any  # int64 (L+2,): where W_l starts
    back: Any  # int64 (L+2,): where B_l starts
    spike_delay: Any  # int64 (L+1,): steps from the input to the spikes of each layer
    error_delay: Any  # int64 (L+1,): steps from the input to the errors of each layer
    forward_lag: Any  # int64 (L+1,): steps, 0 or 1, that spikes take to each layer
    spike_order: Any  # int64 (L+1,): layers in the order in which they send spikes in a step
    error_order: Any  # int64 (L,): layers in the order in which they send errors in a step
    fraction_bits: int
    input_scale: float
    wrong_target: float  # what a label asks of wrong outputs, before it is rounded
    right_target: float  # and of the right one
    real: float  # what 1 in the numbers of the layout stands for
    farthest: float  # the magnitude to which input and targets are cut
    one: Any  # what a spike is worth
    half: Any  # the threshold
    rate: Any  # of an update; int64 in layouts of integers
    limit: float  # the magnitude that no value may reach
    certain: float  # a bound below this proves the range, even if the bound was rounded
    narrow: bool  # results beyond `certain` may have wrapped, or been rounded
    limited: bool  # a unit sends at most `most` spikes in a step, and the rest waits
    most: Any
    outer: bool  # errors are summed, and weights learn at the end of a sample
    normalized: bool  # update="normalized", which alone uses the four fields that follow
    rate_units: int  # the learning rate
    added_squares: float  # to the squared counts of a layer
    rate_shift: Any  # int64 (L+1,): by how many bits the rate of W_l is lower
    error_limit: Any  # int64 (L+1,): where summed errors are cut off before they teach
    smoothed: bool  # presynaptic="drive"
    factor_rate: Any  # what factors are multiplied by; 1 if they contain the rate
    counts_in: bool  # x holds spike counts
    random_feedback: bool
    zero_backward: bool
    uniform_backward: bool
    chip: bool  # arithmetic="loihi2", which alone uses the fields that follow
    largest_message: Any  # the most error spikes of an output in one step
    largest_trace: Any  # the largest input count that rule 5 reads
    weight_shift: int  # weights are multiples of 2^weight_shift grid units
    lowest_weight: int
    highest_weight: int
    rate_bits: int  # the rate is in units of 2^-rate_bits of the last bit of a weight
    seed: Any  # uint64


class Learning(Struct):
    """The learning state, and bounds on its magnitudes; n_l includes the zeros of the layout."""

    weight: Any  # (sum n_{l-1} n_l,)
    backward: Any  # (sum n_l n_{l-1} for l >= 2,)
    backward_potential: Any  # (sum n_l,)
    weight_bound: Any  # float64 (L+1,), of W_l
    matrix_bound: Any  # float64 (L+1,), of B_l
    backward_bound: Any  # float64 (L+1,), of psi_l


class Sample(Struct):
    """The state of a sample; an array without a stated shape has (sum n_l,)."""

    input: Any  # (n_inputs,): what enters in this step
    target: Any  # (n_outputs,): the target of this step
    state: Any  # the six arrays that follow, one behind the other, to be copied at once
    potential: Any
    arriving: Any  # drive that is under way, where spikes take a step to the next layer
    count: Any
    spike: Any
    error: Any
    target_potential: Any  # (n_outputs,)
    factor: Any  # what W reads in rule 5: `count` itself, or else the scaled drive or the trace
    error_sum: Any
    active: Any  # int64: of each layer, the indices of the units that sent something
    n_active: Any  # int64 (L+1,): how many units these are
    rate: Any  # (L+1,): what factors of W_l are multiplied by; int64 in layouts of integers
    n_errors: Any  # float64 (L+1,): error spikes of each layer in this step
    drive_bound: Any  # float64 (L+1,), of s_l; [0] is that of the summed input
    target_bound: Any  # float64 (1,), of the target potential
    moment: Any  # uint64 (2,): the training samples seen, and the step of this sample


class Totals(Struct):
    """Counts since the start: spikes and errors of each layer, weights changed, and samples."""

    spikes: Any  # int64 (L+1,)
    errors: Any  # int64 (L+1,)
    updates: Any  # int64 (1,)
    samples: Any  # int64 (3,): shown, those of them that learned, and all training samples so far


class Boundary(Struct):
    """What a sample changes, as it was at the boundary before the sample."""

    keeps: bool  # False where the caller keeps a copy of the whole state
    is_open: Any  # bool (1,): whether there may be something to undo
    logs: bool  # whether updates are logged, and undone by their inverse
    log: Any  # (n,): of each update its layer, factors and errors
    n_logged: Any  # int64 (1,): how much of it is in use
    is_whole: Any  # bool (1,): whether `column` has all weights, row by row
    column: Any  # (sum n_{l-1} n_l,): the weights into each unit that has learned
    n_used: Any  # int64 (1,): how much of it is in use
    is_kept: Any  # bool (sum n_l,): whether a unit has learned
    n_kept: Any  # int64 (1,): how many units have
    kept_layer: Any  # int64 (sum n_l,): the layers of these units
    kept_unit: Any  # int64 (sum n_l,): their indices in their layers
    kept_place: Any  # int64 (sum n_l,): where in `column` their weights begin
    kept_stride: Any  # int64 (sum n_l,): how far apart their weights are
    age: Any  # int64 (1,): training samples since the bounds were measured
    backward_potential: Any  # of `Learning`
    weight_bound: Any
    matrix_bound: Any
    backward_bound: Any
    spikes: Any  # of `Totals`
    errors: Any
    updates: Any


class BlockRecord(Struct):
    """Where spikes, errors and summed drive of a block are written; empty arrays record nothing."""

    spikes: Any  # (n_samples, n_steps, sum n_l)
    errors: Any  # (n_samples, n_steps, sum n_l)
    drive: Any  # (n_samples, n_steps, n_outputs)


class Run(Struct):
    """All that a kernel reads and writes, except the samples that it shows."""

    net: Network
    learning: Learning
    sample: Sample
    totals: Totals
    boundary: Boundary
    record: BlockRecord


class Block(Struct):
    """The samples to show in order, as the user gives them, and the array for their scores.

    Input is in one of three arrays, and targets in one of two; the others are empty. Where all
    steps of a sample are alike, it has one row.
    """

    reals: Any  # float64 (n_samples, 1 or n_steps, n_inputs)
    levels: Any  # uint8, likewise: input of 8 bits
    counts: Any  # int64, likewise: spike counts
    targets: Any  # float64 (n_samples, 1 or n_steps, n_outputs)
    labels: Any  # int64 (n_samples,)
    drawn: Any  # (n, sum n_l): backward potentials to start from; sample i has the row i % n
    scores: Any  # float64 (n_samples, n_outputs)
    n_steps: int
    training: bool
    checked: bool  # False if the kernel is to refuse what is not allowed


class Job(Struct):
    """What Python hands to a kernel that shows a block: one address."""

    run: Run
    block: Block


@rare
def copy(target, source):
    """Target = source, which a slice assignment would do through a temporary array."""
    for i in range(target.size):
        target[i] = source[i]


@rare
def largest(values):
    """The largest magnitude in an array; 0 if the array is empty."""
    if values.size == 0:
        return 0.0
    low = high = values[0]
    for i in range(values.size):
        low = min(low, values[i])
        high = max(high, values[i])
    return max(-float(low), float(high))


@kernel
def nonzero_from(values, j):
    """Bits that say which of the n values from j on are not 0, and n."""
    if j + WORD <= values.size:
        return nonzero(load(values, j, WORD)), WORD
    if j + LANES <= values.size:
        return nonzero(load(values, j, LANES)), LANES
    return np.int64(values[j] != 0), 1


@rare
def list_units(values, active):
    """Write the indices of nonzero values; return how many. What lies behind them is overwritten.

    Most words have few bits. To write LANES indices always takes less time than to stop after the
    last one, which no processor can predict.
    """
    n_active = j = 0
    while j < values.size:
        found, n = nonzero_from(values, j)
        n_found = number_of_bits(found)
        if n == 1:
            if n_found > 0:
                active[n_active] = j
        else:
            # At most j indices lie before these, so that these end where the values read end.
            for a in range(n_active, n_active + max(n_found, LANES)):
                active[np.uintp(a)] = j + lowest(found)
                found &= found - 1
        n_active += n_found
        j += n
    return n_active


@rare
def list_active(counts, active):
    """Write the indices of nonzero counts; return how many, and the sum of their magnitudes.

    Each count is capped at TOO_MANY, so that the sum cannot wrap.
    """
    n_active, total = list_units(counts, active), np.int64(0)
    if n_active * MANY_ACTIVE >= counts.size:  # vectors read neighbours faster than a list
        for i in range(counts.size):
            total += min(abs(np.int64(counts[i])), TOO_MANY)
        return n_active, float(total)
    for a in range(n_active):
        total += min(abs(np.int64(counts[np.uintp(active[np.uintp(a)])])), TOO_MANY)
    return n_active, float(total)


@kernel
def input_unit(net):
    """The potential that an input of 1 stands for: a spike if the input is spike counts."""
    return net.one if net.counts_in else 1


@kernel
def is_busy(t, delay, n_steps):
    """Whether a layer with a delay is busy in step t, from 1, given `n_steps` of input."""
    return 1 <= t - delay <= n_steps


@kernel
def summed_drive(run, j):
    """The summed drive of unit j of the output, s = phi + c."""
    net, sample = run.net, run.sample
    place = net.unit[net.sizes.size - 1] + j
    return sample.potential[place] + sample.count[place] * net.one


@kernel
def write_drive(run, drive):
    """Write the summed drive of the output."""
    for j in range(drive.size):
        drive[j] = summed_drive(run, j)


@kernel
def write_mean_drive(run, n_steps, scores):
    """Write the summed drive of the output, as reals, divided by the steps shown."""
    for j in range(scores.size):
        scores[j] = float(summed_drive(run, j)) * run.net.real / n_steps


@kernel
def write_row(run, index, row):
    """Record what all layers have sent in this step, unless the record is empty."""
    record = run.record
    if record.spikes.shape[0] > 0:
        copy(record.spikes[index, row], run.sample.spike)
        copy(record.errors[index, row], run.sample.error)
        write_drive(run, record.drive[index, row])


@kernel
def write_record(run, index, t, n_steps):
    """Record what each layer has sent in step t, in the row of the step of input that caused it."""
    net, sample, record = run.net, run.sample, run.record
    if record.spikes.shape[0] == 0:
        return
    for layer in range(net.sizes.size):
        row = t - net.spike_delay[layer]
        if 1 <= row <= n_steps:
            spikes = units_of(record.spikes[index, row - 1], net, layer)
            copy(spikes, units_of(sample.spike, net, layer))
            if layer == net.sizes.size - 1:
                write_drive(run, record.drive[index, row - 1])
        row = t - net.error_delay[layer]
        if 1 <= row <= n_steps:
            errors = units_of(record.errors[index, row - 1], net, layer)
            copy(errors, units_of(sample.error, net, layer))
