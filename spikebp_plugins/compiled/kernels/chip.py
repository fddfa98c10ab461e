"""The numbers of a chip: weights of few bits that learn with stochastic rounding."""

from __future__ import annotations

import numpy as np

from .build import kernel, rare
from .slices import backward_of, units_of, weights_of

#: The increment of SplitMix64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@kernel
def find_traces(run, layer):
    """Write the traces of a layer: its input counts, limited as on a chip."""
    net, sample = run.net, run.sample
    count, trace = units_of(sample.count, net, layer), units_of(sample.factor, net, layer)
    for i in range(trace.size):
        trace[i] = min(max(count[i], -net.largest_trace), net.largest_trace)


@kernel
def mixed(z):
    """The finalizer of SplitMix64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def absorbed(state, number):
    """The state of SplitMix64 after a number has been mixed into it."""
    return mixed(state + GOLDEN * (np.uint64(number) + np.uint64(1)))


@rare
def descend_rounded(run, errors, layer, n_rows, n_columns):
    """W_l -= rate * outer(c, e), rounded stochastically; B_l stays the transpose of W_l."""
    net, sample, learning = run.net, run.sample, run.learning
    factor, error = units_of(sample.factor, net, layer - 1), units_of(errors, net, layer)
    row, column = units_of(sample.active, net, layer - 1), units_of(sample.active, net, layer)
    weight, back = weights_of(learning, net, layer), backward_of(learning, net, layer)
    n_in, n_out = factor.size, error.size
    state = absorbed(absorbed(np.uint64(0), net.seed), sample.moment[0])
    state = absorbed(absorbed(state, sample.moment[1]), layer)
    for b in range(n_rows):
        i = row[b]
        c = np.int64(net.rate) * np.int64(factor[i])
        for a in range(n_columns):
            j = column[a]
            position = i * n_out + j
            drawn = mixed(state + GOLDEN * (np.uint64(position) + np.uint64(1)))
            part = np.int64(drawn >> np.uint64(64 - net.rate_bits))
            units = np.int64(weight[position]) >> net.weight_shift
            units -= (c * np.int64(error[j]) + part) >> net.rate_bits
            units = min(max(units, net.lowest_weight), net.highest_weight)
            weight[position] = units << net.weight_shift
            if layer > 1 and not net.random_feedback:
                back[j * n_in + i] = weight[position]
