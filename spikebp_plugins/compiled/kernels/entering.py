"""Kernels that turn input and targets, as a user gives them, into the numbers of a layout."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload
from numba.np.numpy_support import as_dtype

from .build import entry, kernel


def number_of(net, value, like):  # pragma: no cover - replaced by the overload
    raise NotImplementedError


@overload(number_of, inline="always")
def _overload_number_of(net, value, like):
    # A real value as a number of the type of the array `like`. On a grid, rint(v * 2^f), cut to a
    # magnitude that the type holds, and that every bound refuses or the arithmetic saturates.
    own = as_dtype(like.dtype).type
    if isinstance(like.dtype, types.Integer):

        def number(net, value, like):
            units = np.rint(value * float(net.one))
            return own(min(max(units, -net.farthest), net.farthest))

    else:

        def number(net, value, like):
            return own(value)

    return number


@kernel
def enter_values(net, values, scale, entering):
    """Entering = values * scale, in the numbers of the layout."""
    for i in range(values.size):
        entering[i] = number_of(net, float(values[i]) * scale, entering)


@kernel
def enter_counts(net, counts, entering):
    """Entering = counts, cut to a magnitude that the type holds."""
    farthest = np.int64(net.farthest)
    for i in range(counts.size):
        entering[i] = min(max(np.int64(counts[i]), -farthest), farthest)


@kernel
def enter_input(run, block, i, t):
    """Write what sample i of a block shows in step t, from 0, to `Sample.input`."""
    net, entering = run.net, run.sample.input
    if block.counts.shape[0] > 0:
        enter_counts(net, block.counts[i, t % block.counts.shape[1]], entering)
    elif block.levels.shape[0] > 0:
        row = t % block.levels.shape[1]
        if row > 0 or t == 0:
            enter_values(net, block.levels[i, row], net.input_scale, entering)
    else:
        row = t % block.reals.shape[1]
        if row > 0 or t == 0:
            enter_values(net, block.reals[i, row], net.input_scale, entering)


@kernel
def enter_target(run, block, i, t):
    """Write the target of sample i of a block in step t, from 0, to `Sample.target`."""
    net, target = run.net, run.sample.target
    if block.labels.shape[0] > 0:
        if t == 0:
            target[:] = number_of(net, net.wrong_target, target)
            target[block.labels[i]] = number_of(net, net.right_target, target)
    else:
        row = t % block.targets.shape[1]
        if row > 0 or t == 0:
            enter_values(net, block.targets[i, row], 1.0, target)


@kernel
def are_finite(values):
    """Whether real values are all finite."""
    finite = 1
    for i in range(values.size):
        finite &= abs(values[i]) < np.inf
    return finite == 1


@kernel
def are_counts(net, counts):
    """Whether a layer may send these spike counts in one step."""
    if net.counts_in and net.limited:
        for i in range(counts.size):
            if not -net.most <= counts[i] <= net.most:
                return False
    return True


@kernel
def is_allowed(net, block, i):
    """Whether input and target of sample i are such as `network.samples` allows.

    The types and the shapes are those of the block, so that only values can be wrong.
    """
    if block.counts.shape[0] > 0:
        for t in range(block.counts.shape[1]):
            if not are_counts(net, block.counts[i, t]):
                return False
    elif block.reals.shape[0] > 0:
        for t in range(block.reals.shape[1]):
            if not are_finite(block.reals[i, t]):
                return False
    if block.labels.shape[0] > 0:
        return 0 <= block.labels[i] < net.sizes[net.sizes.size - 1]
    if block.targets.shape[0] > 0:
        for t in range(block.targets.shape[1]):
            if not are_finite(block.targets[i, t]):
                return False
    return True


@entry
def to_numbers(net, values, scale, entering):
    """Entering = values * scale, in the numbers of the layout; for flat arrays."""
    enter_values(net, values, scale, entering)
