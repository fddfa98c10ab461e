"""The arrays that kernels share, and what reads and writes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spikebp_plugins.compiled.kernels.build import kernel
from spikebp_plugins.compiled.kernels.slices import units_of
from spikebp_plugins.compiled.kernels.vectors import LANES, WORD, load, lowest, nonzero

#: No 64-bit sum of products may reach this, lest it wrap.
WRAP = 2.0**61
#: More spikes than this from a layer in one step might wrap a block's totals, or take an input
#: count beyond what a double holds within any feasible number of steps.
MOST_SPIKES = 2.0**30
TOO_MANY = np.int64(MOST_SPIKES)


class Network(NamedTuple):
    """The definition in the form that the kernels read."""

    sizes: Any  # int64 (L+1,)
    unit: Any  # int64 (L+2,): where the units of each layer start
    edge: Any  # int64 (L+2,): where W_l starts
    back: Any  # int64 (L+2,): where B_l starts
    fraction_bits: int
    one: Any  # what a spike is worth
    half: Any  # the threshold
    rate: Any
    limit: float  # no magnitude reaches this
    certain: float  # a bound below this proves it, whatever was rounded in computing the bound
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


class Learning(NamedTuple):
    """What outlives a sample, and bounds on its magnitudes."""

    weight: Any  # (sum n_{l-1} n_l,)
    backward: Any  # (sum n_l n_{l-1} for l >= 2,)
    backward_potential: Any  # (sum n_l,)
    weight_bound: Any  # float64 (L+1,)
    matrix_bound: Any  # float64 (L+1,), of B_l
    backward_bound: Any  # float64 (L+1,), of psi_l


class Sample(NamedTuple):
    """What lasts for a sample, each over the units of all layers."""

    potential: Any
    arriving: Any  # drive that is under way for one step, with pipelined timing
    target_potential: Any  # (n_outputs,)
    count: Any
    factor: Any  # what a unit teaches with; `count` itself, unless that is its drive
    error_sum: Any
    spike: Any
    error: Any
    active: Any  # int64: the units of a layer that sent something
    n_active: Any  # int64 (L+1,)
    n_errors: Any  # float64 (L+1,): error spikes of each layer in this step
    drive_bound: Any  # float64 (L+1,); [0] is that of the input
    target_bound: Any  # float64 (1,)
    moment: Any  # uint64 (2,): training samples seen, and steps of this one


class Totals(NamedTuple):
    """Counts over a block: spikes and errors of each layer, and weights changed."""

    spikes: Any  # int64 (L+1,)
    errors: Any  # int64 (L+1,)
    updates: Any  # int64 (1,)


class Record(NamedTuple):
    """Where to write what a block showed; arrays of no rows record nothing."""

    spikes: Any  # (n_samples, n_steps, sum n_l)
    errors: Any  # (n_samples, n_steps, sum n_l)
    drive: Any  # (n_samples, n_steps, n_outputs)


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

    None counts for more than is too many in any case, so that the sum cannot wrap.
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
def write_drive(net, sample, drive):
    """The summed drive of the output, s = phi + c."""
    last = net.sizes.size - 1
    potential = units_of(sample.potential, net, last)
    count = units_of(sample.count, net, last)
    for j in range(drive.size):
        drive[j] = potential[j] + count[j] * net.one


@kernel
def write_record(net, sample, record, index, t):
    """Note the spikes and errors of a step, if they are asked for."""
    if record.spikes.shape[0] > 0:
        copy(record.spikes[index, t], sample.spike)
        copy(record.errors[index, t], sample.error)
        write_drive(net, sample, record.drive[index, t])
