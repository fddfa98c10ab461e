"""The structs that kernels share, and what reads and writes their arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from .build import kernel
from .slices import units_of
from .structs import Struct
from .vectors import LANES, WORD, load, lowest, nonzero

#: No 64-bit sum of products may reach this, lest it wrap.
WRAP = 2.0**61
#: More spikes than this from a layer in one step might wrap a block's totals, or take an input
#: count beyond what a double holds within any feasible number of steps.
MOST_SPIKES = 2.0**30
TOO_MANY = np.int64(MOST_SPIKES)


class Network(Struct):
    """The definition in the form that the kernels read."""

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
    one: Any  # what a spike is worth
    half: Any  # the threshold
    rate: Any
    limit: float  # no magnitude reaches this
    certain: float  # a bound below this proves a value, whatever was rounded in computing the bound
    narrow: bool  # results beyond `certain` may have wrapped, or been rounded
    limited: bool  # a unit sends at most `most` spikes in a step, and the rest waits
    most: Any
    outer: bool
    smoothed: bool  # errors teach with the drive instead of the counts
    factor_rate: Any  # what is left to multiply factors with
    grid: float  # 2^f where floating point holds values on the grid, else 0
    largest_product: float  # rate times drive stays exact below this
    counts_in: bool  # x holds spike counts
    random_feedback: bool
    zero_backward: bool
    uniform_backward: bool
    chip: bool  # the numbers of a chip, for which alone the following are
    largest_message: Any
    largest_trace: Any
    weight_shift: int  # the last bit of a weight, in grid units
    lowest_weight: int
    highest_weight: int
    rate_bits: int
    seed: Any  # uint64


class Learning(Struct):
    """What outlives a sample, and bounds on its magnitudes."""

    weight: Any  # (sum n_{l-1} n_l,)
    backward: Any  # (sum n_l n_{l-1} for l >= 2,)
    backward_potential: Any  # (sum n_l,)
    weight_bound: Any  # float64 (L+1,)
    matrix_bound: Any  # float64 (L+1,), of B_l
    backward_bound: Any  # float64 (L+1,), of psi_l


class Sample(Struct):
    """What lasts for a sample, each over the units of all layers."""

    state: Any  # the six that follow, one behind the other: all that a step changes
    potential: Any
    arriving: Any  # drive that is under way, where spikes take a step to the next layer
    count: Any
    spike: Any
    error: Any
    target_potential: Any  # (n_outputs,)
    factor: Any  # what a unit teaches with; `count` itself, unless that is its drive
    error_sum: Any
    active: Any  # int64: the units of a layer that sent something
    n_active: Any  # int64 (L+1,)
    n_errors: Any  # float64 (L+1,): error spikes of each layer in this step
    drive_bound: Any  # float64 (L+1,); [0] is that of the input
    target_bound: Any  # float64 (1,)
    moment: Any  # uint64 (2,): training samples seen, and the step of this one


class Totals(Struct):
    """Counts over a block: spikes and errors of each layer, and weights changed."""

    spikes: Any  # int64 (L+1,)
    errors: Any  # int64 (L+1,)
    updates: Any  # int64 (1,)


class BlockRecord(Struct):
    """Where to write what a block showed; arrays of no rows record nothing."""

    spikes: Any  # (n_samples, n_steps, sum n_l)
    errors: Any  # (n_samples, n_steps, sum n_l)
    drive: Any  # (n_samples, n_steps, n_outputs)


class Run(Struct):
    """All that a kernel reads and writes, but for the samples."""

    net: Network
    learning: Learning
    sample: Sample
    totals: Totals
    record: BlockRecord


class Block(Struct):
    """Samples to show in order, and where the summed drive of each one's output is written.

    Targets and drawn potentials of fewer samples are taken in turn.
    """

    x: Any  # (n_samples, 1 or n_steps, n_inputs)
    y: Any  # (n, 1 or n_steps, n_outputs)
    drawn: Any  # (n, sum n_l): the backward potentials that training samples start from
    drive: Any  # (n_samples, n_outputs)
    n_steps: int
    training: bool


@kernel
def copy(target, source):
    """Target = source, which a slice assignment would do through a temporary array."""
    for i in range(target.size):
        target[i] = source[i]


@kernel
def largest(values):
    """The largest magnitude."""
    if values.size == 0:
        return 0.0
    low = high = values[0]
    for i in range(values.size):
        low = min(low, values[i])
        high = max(high, values[i])
    return max(-float(low), float(high))


@kernel
def list_lanes(values, j, lanes, active, n_active, total):
    """Append the indices of some values that are not zero; return the number and the sum."""
    found = nonzero(load(values, j, lanes))
    while found != 0:
        i = j + lowest(found)
        active[np.uintp(n_active)] = i
        n_active += 1
        total += min(abs(np.int64(values[np.uintp(i)])), TOO_MANY)
        found &= found - 1
    return n_active, total


@kernel
def list_active(counts, active):
    """Write the indices of nonzero counts; return how many, and the sum of their magnitudes.

    Each count is capped at TOO_MANY, so that the sum cannot wrap.
    """
    n_active, j, total = 0, 0, np.int64(0)
    while j + WORD <= counts.size:
        n_active, total = list_lanes(counts, j, WORD, active, n_active, total)
        j += WORD
    while j + LANES <= counts.size:
        n_active, total = list_lanes(counts, j, LANES, active, n_active, total)
        j += LANES
    for i in range(j, counts.size):
        if counts[i] != 0:
            active[n_active] = i
            n_active += 1
            total += min(abs(np.int64(counts[i])), TOO_MANY)
    return n_active, float(total)


@kernel
def input_unit(net):
    """What one in the input is worth, in the units of potentials."""
    return net.one if net.counts_in else 1


@kernel
def is_busy(t, delay, n_steps):
    """Whether a layer with a delay has something to send in step t of `n_steps` of input."""
    return 1 <= t - delay <= n_steps


@kernel
def write_drive(run, drive):
    """The summed drive of the output, s = phi + c."""
    net, sample = run.net, run.sample
    last = net.sizes.size - 1
    potential = units_of(sample.potential, net, last)
    count = units_of(sample.count, net, last)
    for j in range(drive.size):
        drive[j] = potential[j] + count[j] * net.one


@kernel
def write_row(run, index, row):
    """Note what all layers have sent in this step, if it is asked for."""
    record = run.record
    if record.spikes.shape[0] > 0:
        copy(record.spikes[index, row], run.sample.spike)
        copy(record.errors[index, row], run.sample.error)
        write_drive(run, record.drive[index, row])


@kernel
def write_record(run, index, t, n_steps):
    """Note what layers have sent in step t, each under the step of input that it belongs to."""
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
