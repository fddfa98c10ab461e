"""The step rules compiled by Numba, event-driven: work follows spikes, not layer sizes.

The same code serves 64-bit integers (grid units of fixed arithmetic) and floating point; the two
quantizers are all that differs. Variables of all layers lie in one flat array, those of layer l
at ``unit[l]:unit[l + 1]``, and the matrices in another, so that one compiled kernel serves any
depth.

Range: 64-bit integers would wrap without notice. Before each sum of products its magnitude is
bounded by (spikes sent) x (largest weight). A sum that might wrap, or a result that has reached
the limit, ends the block with the number of the sample: the caller discards what that attempt
changed and has the reference do the sample, exactly or with its OverflowError.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload

#: No sum of products may reach this, lest it wrap; two spare bits let sums of two stay clear.
WRAP = 2.0**61
#: More spikes than this from a layer in one step might wrap a block's totals, or take an input
#: count beyond what a double holds within any feasible number of steps.
MOST_SPIKES = 2.0**30


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
    binary: bool
    outer: bool
    counts_in: bool  # x holds spike counts
    random_feedback: bool
    zero_backward: bool
    uniform_backward: bool


class Learning(NamedTuple):
    """What outlives a sample, and bounds on its magnitudes."""

    weight: Any  # (sum n_{l-1} n_l,)
    feedback: Any  # (sum n_l n_{l-1},) or (0,)
    backward_potential: Any  # (sum n_l,)
    weight_bound: Any  # float64 (L+1,)
    feedback_bound: Any  # float64 (L+1,)
    backward_bound: Any  # float64 (L+1,)


class Sample(NamedTuple):
    """What lasts for a sample, each over the units of all layers."""

    potential: Any
    target_potential: Any  # (n_outputs,)
    drive: Any
    count: Any
    error_sum: Any
    spike: Any
    error: Any
    incoming: Any  # scratch
    active: Any  # int64 scratch
    drive_bound: Any  # float64 (L+1,); [0] is that of the input
    target_bound: Any  # float64 (1,)


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


def _signed_spikes(potential, half, bits):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(_signed_spikes)
def _overload_signed_spikes(potential, half, bits):
    if isinstance(potential, types.Integer):
        # sgn(v) * ceil(|v| - 1/2) in grid units: an arithmetic shift rounds down, and the half
        # less one unit for positive v makes the threshold strict on both sides.
        return lambda potential, half, bits: (potential + half - (potential > 0)) >> bits

    def fire(potential, half, bits):
        count = np.ceil(abs(potential) - half)
        return count if potential > 0 else -count

    return fire


@njit
def _signed(potential, spike, net):
    """k = signed(v), v <- v - k."""
    for i in range(potential.size):
        k = _signed_spikes(potential[i], net.half, net.fraction_bits)
        if net.binary:
            k = min(max(k, -1), 1)
        spike[i] = k
        potential[i] -= k * net.one


@njit
def _rectified(potential, spike, net):
    """k = rectified(v), v <- v - k."""
    for i in range(potential.size):
        k = max(_signed_spikes(potential[i], net.half, net.fraction_bits), 0)
        if net.binary:
            k = min(k, 1)
        spike[i] = k
        potential[i] -= k * net.one


@njit
def _gate(error, drive):
    """e = 0 where s < 0."""
    for i in range(error.size):
        if drive[i] < 0:
            error[i] = 0


@njit
def _magnitude(counts):
    total = 0.0
    for i in range(counts.size):
        total += abs(counts[i])
    return total


@njit
def _largest(values):
    largest = 0.0
    for i in range(values.size):
        largest = max(largest, abs(values[i]))
    return largest


@njit
def _units(array, net, layer):
    return array[net.unit[layer] : net.unit[layer + 1]]


@njit
def _list_active(counts, active):
    """Write the indices of nonzero counts; return how many."""
    n = 0
    for i in range(counts.size):
        if counts[i] != 0:
            active[n] = i
            n += 1
    return n


@njit
def _add_rows(total, matrix, counts):
    """Total += counts @ matrix, one row for each active unit."""
    n_out = total.size
    for i in range(counts.size):
        k = counts[i]
        if k != 0:
            row = matrix[i * n_out : (i + 1) * n_out]
            for j in range(n_out):
                total[j] += k * row[j]


@njit
def _add_columns(total, matrix, counts, active):
    """Total += matrix @ counts, one column for each active unit."""
    n_active = _list_active(counts, active)
    if n_active == 0:
        return
    for i in range(total.size):
        row = matrix[i * counts.size : (i + 1) * counts.size]
        for a in range(n_active):
            j = active[a]
            total[i] += counts[j] * row[j]


@njit
def _descend(matrix, rate, counts, errors, active):
    """W -= rate * outer(c, e); return how many weights that changes."""
    n_active = _list_active(errors, active)
    if n_active == 0:
        return 0
    rows = 0
    for i in range(counts.size):
        c = counts[i]
        if c != 0:
            rows += 1
            row = matrix[i * errors.size : (i + 1) * errors.size]
            for a in range(n_active):
                j = active[a]
                row[j] -= rate * (c * errors[j])
    return rows * n_active


@njit
def _open_sample(net, learning, sample, drawn, training):
    sample.potential[:] = 0
    sample.target_potential[:] = 0
    sample.drive[:] = 0
    sample.count[:] = 0
    sample.error_sum[:] = 0
    sample.drive_bound[:] = 0
    sample.target_bound[0] = 0
    if training and net.zero_backward:
        learning.backward_potential[:] = 0
        learning.backward_bound[:] = 0
    elif training and net.uniform_backward:
        learning.backward_potential[:] = drawn
        learning.backward_bound[:] = net.half


@njit
def _forward(net, learning, sample, x, totals):
    """Rules 1 and 2; False if the range is not certain."""
    last = net.sizes.size - 1
    spike = _units(sample.spike, net, 0)
    potential = _units(sample.potential, net, 0)
    sample.drive_bound[0] += _largest(x)
    if net.counts_in:
        spike[:] = x
    else:
        for i in range(x.size):
            potential[i] += x[i]
        if sample.drive_bound[0] >= net.certain and not _largest(potential) < net.limit:
            return False
        _signed(potential, spike, net)
    _units(sample.count, net, 0)[:] += spike

    for layer in range(1, last + 1):
        sent = _units(sample.spike, net, layer - 1)
        n_sent = _magnitude(sent)
        gain = n_sent * learning.weight_bound[layer]
        if not (gain < WRAP and n_sent < MOST_SPIKES):
            return False
        totals.spikes[layer - 1] += np.int64(n_sent)
        sample.drive_bound[layer] += gain

        potential = _units(sample.potential, net, layer)
        drive = _units(sample.drive, net, layer)
        if n_sent > 0:
            incoming = sample.incoming[: potential.size]
            incoming[:] = 0
            matrix = learning.weight[net.edge[layer] : net.edge[layer + 1]]
            _add_rows(incoming, matrix, sent)
            for j in range(potential.size):
                potential[j] += incoming[j]
                drive[j] += incoming[j]
            if sample.drive_bound[layer] >= net.certain and not (
                _largest(potential) < net.limit and _largest(drive) < net.limit
            ):
                return False
        spike = _units(sample.spike, net, layer)
        _rectified(potential, spike, net)
        if layer < last:
            _units(sample.count, net, layer)[:] += spike

    n_sent = _magnitude(_units(sample.spike, net, last))
    totals.spikes[last] += np.int64(n_sent)
    return n_sent < MOST_SPIKES


@njit
def _backward(net, learning, sample, y, totals):
    """Rules 3 and 4; False if the range is not certain."""
    last = net.sizes.size - 1
    sample.target_bound[0] += _largest(y)
    for j in range(y.size):
        sample.target_potential[j] += y[j]
    if sample.target_bound[0] >= net.certain and not _largest(sample.target_potential) < net.limit:
        return False
    error = _units(sample.error, net, last)
    _signed(sample.target_potential, error, net)
    spike = _units(sample.spike, net, last)
    for j in range(y.size):
        error[j] = spike[j] - error[j]
    _gate(error, _units(sample.drive, net, last))

    for layer in range(last, 0, -1):
        error = _units(sample.error, net, layer)
        n_sent = _magnitude(error)
        if not n_sent < MOST_SPIKES:
            return False
        totals.errors[layer] += np.int64(n_sent)
        if layer == 1:
            break
        if net.random_feedback:
            gain = n_sent * learning.feedback_bound[layer]
        else:
            gain = n_sent * learning.weight_bound[layer]
        bound = learning.backward_bound[layer - 1] + gain
        if not gain < WRAP:
            return False
        potential = _units(learning.backward_potential, net, layer - 1)
        if n_sent > 0:
            if net.random_feedback:
                matrix = learning.feedback[net.back[layer] : net.back[layer + 1]]
                _add_rows(potential, matrix, error)
            else:
                matrix = learning.weight[net.edge[layer] : net.edge[layer + 1]]
                _add_columns(potential, matrix, error, sample.active)
            if bound >= net.certain and not _largest(potential) < net.limit:
                return False
        below = _units(sample.error, net, layer - 1)
        _signed(potential, below, net)
        # A graded quantizer leaves no more than half a spike; a binary one leaves the rest.
        learning.backward_bound[layer - 1] = bound if net.binary else net.half
        _gate(below, _units(sample.drive, net, layer - 1))
    return True


@njit
def _learn(net, learning, sample, errors, totals):
    """Rule 5: W_l -= rate * outer(c_{l-1}, e_l); False if the range is not certain."""
    last = net.sizes.size - 1
    for layer in range(1, last + 1):
        largest_error = _largest(_units(errors, net, layer))
        if largest_error > 0:
            largest_count = _largest(_units(sample.count, net, layer - 1))
            learning.weight_bound[layer] += net.rate * largest_count * largest_error
            if not learning.weight_bound[layer] < net.certain:
                return False
    for layer in range(1, last + 1):
        totals.updates[0] += _descend(
            learning.weight[net.edge[layer] : net.edge[layer + 1]],
            net.rate,
            _units(sample.count, net, layer - 1),
            _units(errors, net, layer),
            sample.active,
        )
    return True


@njit
def _train_step(net, learning, sample, x, y, totals):
    """One step of a training sample; False if the range is not certain."""
    if not (
        _forward(net, learning, sample, x, totals) and _backward(net, learning, sample, y, totals)
    ):
        return False
    if net.outer:
        sample.error_sum[:] += sample.error
        return True
    return _learn(net, learning, sample, sample.error, totals)


@njit
def _run_sample(net, learning, sample, x, y, drawn, n_steps, training, totals, record, index):
    """Show one sample; False if the range is not certain."""
    last = net.sizes.size - 1
    _open_sample(net, learning, sample, drawn, training)
    for t in range(n_steps):
        x_t = x[t % x.shape[0]]
        if training:
            y_t = y[t % y.shape[0]]
            certain = _train_step(net, learning, sample, x_t, y_t, totals)
        else:
            certain = _forward(net, learning, sample, x_t, totals)
        if not certain:
            return False
        if record.spikes.shape[0] > 0:
            record.spikes[index, t] = sample.spike
            record.errors[index, t] = sample.error
            record.drive[index, t] = _units(sample.drive, net, last)
    if training and net.outer:
        return _learn(net, learning, sample, sample.error_sum, totals)
    return True


@njit(cache=True)
def run_block(net, learning, sample, x, y, drawn, n_steps, training, totals, record, drive):
    """Show samples in order and write each one's summed output drive.

    Returns the number of samples done: less than all if the range of the next is not certain, in
    which case `learning`, `totals` and `record` are to be discarded.
    """
    last = net.sizes.size - 1
    for layer in range(1, last + 1):
        learning.weight_bound[layer] = _largest(
            learning.weight[net.edge[layer] : net.edge[layer + 1]]
        )
        learning.feedback_bound[layer] = _largest(
            learning.feedback[net.back[layer] : net.back[layer + 1]]
        )
        learning.backward_bound[layer] = _largest(_units(learning.backward_potential, net, layer))
    for i in range(x.shape[0]):
        if not _run_sample(
            net,
            learning,
            sample,
            x[i],
            y[i % y.shape[0]],
            drawn[i % drawn.shape[0]],
            n_steps,
            training,
            totals,
            record,
            i,
        ):
            return i
        drive[i] = _units(sample.drive, net, last)
    return x.shape[0]
