"""The step rules compiled by Numba, event-driven: work follows spikes, not layer sizes.

The same code serves integers (grid units of fixed arithmetic, in 64 or 32 bits) and floating
point; only the quantizers differ. Variables of all layers lie in one flat
array, those of layer l at ``unit[l]:unit[l + 1]``, and the matrices in another, so that one
compiled kernel serves any depth.

Summed drive is not stored: what a unit has fired was subtracted from its potential, so
s = phi + c. The backward matrices B_l are stored even where they are the transposes of the
weights, and updated along with them, so that both directions read along rows.

The delays of a timing say in which steps a layer is busy. In a step the layers act in such an order
that spikes and errors with a lag of 0 arrive before the receiving layer acts, and those with a lag
of 1 after it has acted. Then the weights learn.

Range: integers would wrap without notice. So each sum of products is bounded beforehand by (spikes
sent) x (largest weight). If the bound does not prove the range, 64-bit and floating-point results
are checked one by one; 32-bit results may have wrapped and are not trusted. If then the range is
not certain, or a value has reached the limit, the block ends before this sample. The caller
discards what was changed and computes the sample in wider numbers, at last by the reference,
which returns the exact result or raises OverflowError.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from .arrays import MOST_SPIKES, WRAP, copy, input_unit, is_busy, largest, list_active
from .build import kernel, rare
from .chip import find_traces
from .products import (
    add_backward,
    add_forward,
    count_errors,
    count_spikes,
    descend,
    learns,
    most_uses,
    squared_counts,
)
from .slices import backward_of, units_of, weights_of
from .vectors import shifted_right

#: Sums of integers below this are exact in doubles.
MOST_EXACT = 2.0**53


def _integer_type(potential):
    # Numba widens 32-bit arithmetic to 64 bits. With casts back, and a shift in the type of the
    # value, the compiler can use vectors of the type in which the values are stored.
    return np.int32 if potential.bitwidth == 32 else np.int64


def signed_spikes(potential, half, bits):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(signed_spikes, inline="always")
def _overload_signed_spikes(potential, half, bits):
    # sgn(v) * ceil(|v| - 1/2). In grid units, an arithmetic shift rounds down. The half that is
    # added is one unit less for positive v, which makes the threshold strict on both sides.
    if isinstance(potential, types.Integer):
        own = _integer_type(potential)
        return lambda potential, half, bits: shifted_right(
            own(potential + half - (potential > 0)), bits
        )

    return lambda potential, half, bits: np.copysign(np.ceil(abs(potential) - half), potential)


def rectified_spikes(potential, half, bits):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(rectified_spikes, inline="always")
def _overload_rectified_spikes(potential, half, bits):
    if isinstance(potential, types.Integer):
        own = _integer_type(potential)
        return lambda potential, half, bits: max(
            shifted_right(own(potential + half - 1), bits), own(0)
        )
    return lambda potential, half, bits: max(np.ceil(potential - half), 0)


def summed(potential, count, one):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(summed, inline="always")
def _overload_summed(potential, count, one):
    # Summed drive, s = phi + c. It is in range, so it does not wrap.
    if isinstance(potential, types.Integer):
        own = _integer_type(potential)
        return lambda potential, count, one: own(potential + count * one)
    return lambda potential, count, one: potential + count * one


@rare
def fire_signed(potential, spike, net):
    """k = signed(v), v <- v - k."""
    one, half, bits = net.one, net.half, net.fraction_bits
    if net.limited:
        most = net.most
        for i in range(potential.size):
            k = min(max(signed_spikes(potential[i], half, bits), -most), most)
            spike[i] = k
            potential[i] -= k * one
    else:
        for i in range(potential.size):
            k = signed_spikes(potential[i], half, bits)
            spike[i] = k
            potential[i] -= k * one


@kernel
def fire_rectified(potential, spike, count, net):
    """k = rectified(v), v <- v - k, c <- c + k."""
    one, half, bits = net.one, net.half, net.fraction_bits
    if net.limited:
        most = net.most
        for i in range(potential.size):
            k = min(rectified_spikes(potential[i], half, bits), most)
            spike[i] = k
            count[i] += k
            potential[i] -= k * one
    else:
        for i in range(potential.size):
            k = rectified_spikes(potential[i], half, bits)
            spike[i] = k
            count[i] += k
            potential[i] -= k * one


@rare
def gate(run, layer):
    """e = 0 where s = phi + c is below 0."""
    net, sample = run.net, run.sample
    error = units_of(sample.error, net, layer)
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    for i in range(error.size):
        if not summed(potential[i], count[i], net.one) >= 0:
            error[i] = 0


@kernel
def within(net, bound, values):
    """Whether all values are in range, given a bound on their magnitude."""
    return bound < net.certain or (not net.narrow and largest(values) < net.limit)


@kernel
def open_sample(run, training):
    """Reset the state of a sample and, for training, its errors."""
    sample = run.sample
    sample.potential[:] = 0
    sample.target_potential[:] = 0
    sample.count[:] = 0
    sample.drive_bound[:] = 0
    sample.target_bound[0] = 0
    sample.moment[1] = 0
    if training:
        sample.error[:] = 0
        sample.n_errors[:] = 0
        if run.net.outer:
            sample.error_sum[:] = 0


@kernel
def restart_backward(run, drawn):
    """Set the backward potentials that a training sample starts from."""
    net, learning = run.net, run.learning
    if net.zero_backward:
        learning.backward_potential[:] = 0
        learning.backward_bound[:] = 0
    elif net.uniform_backward:
        copy(learning.backward_potential, drawn)
        learning.backward_bound[:] = net.half


@rare
def bound_learning(net, learning):
    """Set the bounds of `Learning` to the largest magnitudes of what they bound."""
    for layer in range(1, net.sizes.size):
        learning.weight_bound[layer] = largest(weights_of(learning, net, layer))
        if layer > 1:
            learning.matrix_bound[layer] = learning.weight_bound[layer]
            if net.random_feedback:
                learning.matrix_bound[layer] = largest(backward_of(learning, net, layer))
        psi = units_of(learning.backward_potential, net, layer)
        learning.backward_bound[layer] = largest(psi)


@kernel
def note_spikes(run, layer):
    """List the units of a layer that sent spikes; return the number of spikes."""
    net, sample = run.net, run.sample
    spike = units_of(sample.spike, net, layer)
    sample.n_active[layer], n_sent = list_active(spike, units_of(sample.active, net, layer))
    if n_sent < MOST_SPIKES:
        count_spikes(run, layer, n_sent)
    return n_sent


@rare
def fire_layer(run, layer):
    """Threshold a layer and list the units that fire; return the number of spikes."""
    net, sample = run.net, run.sample
    spike = units_of(sample.spike, net, layer)
    count = units_of(sample.count, net, layer)
    fire_rectified(units_of(sample.potential, net, layer), spike, count, net)
    return note_spikes(run, layer)


@kernel
def fire_input(run, x):
    """Rule 1; return the number of spikes, infinite if the range is not certain."""
    net, sample = run.net, run.sample
    spike = units_of(sample.spike, net, 0)
    sample.drive_bound[0] += largest(x)
    if net.smoothed and not sample.drive_bound[0] * input_unit(net) < net.certain:
        return np.inf
    if net.counts_in:
        copy(spike[: x.size], x)
    else:
        potential = units_of(sample.potential, net, 0)
        for i in range(x.size):
            potential[i] += x[i]
        if not within(net, sample.drive_bound[0], potential):
            return np.inf
        fire_signed(potential, spike, net)
    count = units_of(sample.count, net, 0)
    for i in range(x.size):
        count[i] += spike[i]
    return note_spikes(run, 0)


@rare
def take_drive(run, layer):
    """Add drive with a lag of 1; False if a potential or summed drive may be out of range."""
    net, sample = run.net, run.sample
    potential = units_of(sample.potential, net, layer)
    if net.forward_lag[layer] > 0:
        arriving = units_of(sample.arriving, net, layer)
        for j in range(potential.size):
            potential[j] += arriving[j]
    if sample.drive_bound[layer] < net.certain:
        return True
    if net.narrow or not largest(potential) < net.limit:
        return False
    count = units_of(sample.count, net, layer)
    for j in range(potential.size):
        if not abs(float(potential[j] + count[j] * net.one)) < net.limit:
            return False
    return True


@kernel
def largest_drive(run, layer):
    """The largest magnitude of the summed drive of a layer, s = phi + c."""
    net = run.net
    potential = units_of(run.sample.potential, net, layer)
    count = units_of(run.sample.count, net, layer)
    low = high = summed(potential[0], count[0], net.one)
    for j in range(potential.size):
        drive = summed(potential[j], count[j], net.one)
        low, high = min(low, drive), max(high, drive)
    return max(-float(low), float(high))


@rare
def hand_up(run, layer, n_sent):
    """Send the spikes of a layer to the next; False if the range is not certain."""
    net, sample, learning, above = run.net, run.sample, run.learning, layer + 1
    gain = n_sent * learning.weight_bound[above]
    if not (n_sent < MOST_SPIKES and gain < WRAP):
        return False
    drive = units_of(sample.potential, net, above)
    if net.forward_lag[above] > 0:
        drive = units_of(sample.arriving, net, above)
        drive[:] = 0
    if n_sent > 0:
        if not sample.drive_bound[above] + gain < net.certain:  # a bound of many steps is loose
            sample.drive_bound[above] = largest_drive(run, above)
        sample.drive_bound[above] += gain
        add_forward(run, layer, drive)
    return True


@rare
def send_spikes(run, x, t, n_steps):
    """Rules 1 and 2 of step t; False if the range is not certain."""
    net = run.net
    last = net.sizes.size - 1
    for place in range(last + 1):
        layer = net.spike_order[place]
        if not is_busy(t, net.spike_delay[layer], n_steps):
            continue
        if layer == 0:
            n_sent = fire_input(run, x)
        else:
            if not take_drive(run, layer):
                return False
            n_sent = fire_layer(run, layer)
        if layer == last:
            if not n_sent < MOST_SPIKES:
                return False
        elif not hand_up(run, layer, n_sent):
            return False
    return True


@kernel
def output_error(run, y):
    """Rule 3; False if the range is not certain."""
    net, sample = run.net, run.sample
    last = net.sizes.size - 1
    gain = largest(y)
    if not sample.target_bound[0] + gain < net.certain:
        sample.target_bound[0] = largest(sample.target_potential)
    sample.target_bound[0] += gain
    for j in range(y.size):
        sample.target_potential[j] += y[j]
    if not within(net, sample.target_bound[0], sample.target_potential):
        return False
    error = units_of(sample.error, net, last)
    fire_signed(sample.target_potential, error, net)
    spike = units_of(sample.spike, net, last)
    for j in range(y.size):
        error[j] = spike[j] - error[j]
    if net.chip:
        for j in range(y.size):
            error[j] = min(max(error[j], -net.largest_message), net.largest_message)
    gate(run, last)
    return True


@kernel
def note_errors(run, layer):
    """List the units of a layer that sent errors; return the number of error spikes."""
    net, sample = run.net, run.sample
    error = units_of(sample.error, net, layer)
    sample.n_active[layer], n_sent = list_active(error, units_of(sample.active, net, layer))
    if n_sent < MOST_SPIKES:
        count_errors(run, layer, n_sent)
    sample.n_errors[layer] = n_sent
    return n_sent


@kernel
def send_no_errors(run, layer):
    """e = 0 for a layer."""
    sample = run.sample
    if sample.n_errors[layer] > 0:
        units_of(sample.error, run.net, layer)[:] = 0
        sample.n_errors[layer] = 0


@kernel
def fire_errors(run, layer):
    """Rule 4 of a layer: its backward potentials fire error spikes, which pass the gate or not."""
    net, learning = run.net, run.learning
    backward = units_of(learning.backward_potential, net, layer)
    error = units_of(run.sample.error, net, layer)
    if net.limited:
        fire_signed(backward, error, net)
        gate(run, layer)
        return
    # In one loop: most steps have few errors, so that these two take the most of their time.
    potential = units_of(run.sample.potential, net, layer)
    count = units_of(run.sample.count, net, layer)
    one, half, bits = net.one, net.half, net.fraction_bits
    for i in range(error.size):
        e = signed_spikes(backward[i], half, bits)
        backward[i] -= e * one
        error[i] = e if summed(potential[i], count[i], one) >= 0 else 0
    learning.backward_bound[layer] = half


@kernel
def hand_down(run, layer, n_sent):
    """Send the errors of a layer to the one below; False if the range is not certain."""
    net, learning, below = run.net, run.learning, layer - 1
    gain = n_sent * learning.matrix_bound[layer]
    if not (n_sent < MOST_SPIKES and gain < WRAP):
        return False
    if n_sent == 0:
        return True
    learning.backward_bound[below] += gain
    potential = units_of(learning.backward_potential, net, below)
    add_backward(run, layer, potential)
    return within(net, learning.backward_bound[below], potential)


@kernel
def send_errors(run, y, t, n_steps):
    """Rules 3 and 4 of step t; False if the range is not certain."""
    net = run.net
    last = net.sizes.size - 1
    for place in range(last):
        layer = net.error_order[place]
        is_idle = not is_busy(t, net.error_delay[layer], n_steps)
        # A bound of at most the threshold says that no backward potential fires.
        if is_idle or (layer < last and run.learning.backward_bound[layer] <= net.half):
            send_no_errors(run, layer)
            continue
        if layer < last:
            fire_errors(run, layer)
        elif not output_error(run, y):
            return False
        n_sent = note_errors(run, layer)
        if layer == 1:
            if not n_sent < MOST_SPIKES:
                return False
        elif not hand_down(run, layer, n_sent):
            return False
    return True


@rare
def cut_off(run, layer, errors):
    """Cut off the summed errors of a layer with update="normalized"."""
    limit, error = run.net.error_limit[layer], units_of(errors, run.net, layer)
    for i in range(error.size):
        if abs(error[i]) > limit:
            error[i] = limit if error[i] > 0 else -limit


@rare
def find_rate(run, layer, squares):
    """Find the rate of W_l with update="normalized"; False if the squares may be out of range."""
    net = run.net
    total = squares + net.added_squares
    if not total < MOST_EXACT:
        return False
    rest, rate = np.int64(total), net.rate_units >> net.rate_shift[layer]
    while rest > 0:
        rest >>= 1
        rate >>= 1
    run.sample.rate[layer] = max(rate, 1)
    return True


@rare
def bound_update(run, layer, largest_factor, largest_error):
    """Bound the weights after an update; False if their range is not certain."""
    net, learning = run.net, run.learning
    if net.chip:  # whose weights saturate
        learning.weight_bound[layer] = float(-net.lowest_weight << net.weight_shift)
    else:
        rate = run.sample.rate[layer]
        change = rate * largest_factor * largest_error * most_uses(run, layer)
        learning.weight_bound[layer] += change
    if not net.random_feedback:
        learning.matrix_bound[layer] = learning.weight_bound[layer]
    return learning.weight_bound[layer] < net.certain


@kernel
def scaled_drive(drive, rate, bits):
    """rint(r * s / 2^f), ties to even, in 64 bits."""
    # A shift rounds down. Adding 2^(f-1) - 1 before it rounds to the nearest, ties downward; adding
    # 1 more to an odd quotient rounds those up.
    product = np.int64(rate) * np.int64(drive)
    is_odd = (product >> bits) & 1
    return (product + (1 << (bits - 1)) - 1 + is_odd) >> bits


@rare
def find_factors(run, layer):
    """With presynaptic="drive", write a of rule 5; False if its range is not certain."""
    net, sample = run.net, run.sample
    bound = net.rate * sample.drive_bound[layer]
    if layer == 0:
        bound *= input_unit(net)
    if not (bound < WRAP and bound / net.one + net.half < net.certain):
        return False
    potential = units_of(sample.potential, net, layer)
    count = units_of(sample.count, net, layer)
    factor = units_of(sample.factor, net, layer)
    one, rate, bits = net.one, net.rate, net.fraction_bits
    for i in range(factor.size):
        drive = potential[i] + count[i] * one
        if layer > 0 and drive < 0:
            factor[i] = 0
        else:
            factor[i] = scaled_drive(drive, rate, bits)
    return True


@rare
def learn(run, errors, first):
    """Rule 5 for W_l, l >= `first`; False, with none changed, if the range is not certain."""
    net, sample = run.net, run.sample
    for layer in range(first, net.sizes.size):
        if learns(run, layer) and (net.outer or sample.n_errors[layer] > 0):
            if net.normalized:
                cut_off(run, layer, errors)
                if not find_rate(run, layer, squared_counts(run, layer - 1)):
                    return False
            largest_error = largest(units_of(errors, net, layer))
            if net.smoothed and largest_error > 0 and not find_factors(run, layer - 1):
                return False
            if net.chip:
                find_traces(run, layer - 1)
            largest_factor = largest(units_of(sample.factor, net, layer - 1))
            if largest_error > 0 and not bound_update(run, layer, largest_factor, largest_error):
                return False
    for layer in range(first, net.sizes.size):
        if learns(run, layer) and (net.outer or sample.n_errors[layer] > 0):
            run.totals.updates[0] += descend(run, errors, layer)
    return True


@kernel
def train_step(run, x, y, t, n_steps):
    """Step t of a training sample; False if the range is not certain."""
    sample = run.sample
    sample.moment[1] = t
    if not (send_spikes(run, x, t, n_steps) and send_errors(run, y, t, n_steps)):
        return False
    if not run.net.outer:
        return learn(run, sample.error, 1)
    for i in range(sample.error.size):
        sample.error_sum[i] += sample.error[i]
    return True
