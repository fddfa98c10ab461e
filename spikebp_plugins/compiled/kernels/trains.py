"""Sorts the units of input that is the same at all steps by their spike trains.

The train of such an input unit depends on its value alone, not on the network. Let C_t be the sum
of the unit's spikes up to step t. A larger value does not lower C_t at any t, so two trains that
differ at all differ in their labels. The label of a train is the sum of C_t over t: a small
integer, by which units are sorted into groups of equal trains. An image has hundreds of active
units and a few dozen groups.

A sample is sorted before the network sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from .arrays import largest, list_units
from .build import kernel, rare
from .entering import number_of
from .rules import signed_spikes
from .structs import Struct
from .vectors import LANES, larger, load, lowest, nonzero, smaller, store, whole_vectors

#: Trains with labels beyond this are left to the general kernel.
MOST_LABEL: Final = 2**15
#: Input shown for more steps is left to it too: hardly any two of its trains are equal.
MOST_STEPS: Final = 64


class Trains(Struct):
    """The trains that were met so far; a label has the index label + `MOST_LABEL`."""

    known: Any  # bool (labels,)
    count: Any  # (labels, stride): 0, then C_1 .. C_T, then zeros, in whole vectors
    # A jump: the C_t of a group of the sample less that of the group before, if it is not 0.
    n_jumps: Any  # int64 (T,)
    jump_group: Any  # int64 (T, n_0)
    jump: Any  # int64 (T, n_0)
    sent: Any  # int64 (T,): the spikes of all units in each step


class Sorting(Struct):
    """The memory for sorting the units of a sample; lengths are rounded up to whole vectors."""

    place: Any  # int64 (labels,): number of units of a label, then the place of the first; else 0
    rank: Any  # int64 (n_0,): how many units of the same label come before
    unit: Any  # int64 (n_0,): the active units of a sample
    value: Any  # (n_0,): the values of the active units
    label: Any  # (n_0,): their labels
    at: Any  # int64 (n_0,): their labels + MOST_LABEL
    level_value: Any  # (256,): the values of all levels of 8-bit input
    level_label: Any  # (256,): their labels
    levels_are: Any  # int64 (1,): whether these labels are found, and in range; see below


#: What is known of the labels of 8-bit input.
UNKNOWN: Final = 0
IN_RANGE: Final = 1
OUT_OF_RANGE: Final = 2


class Groups(Struct):
    """The active units of a sample, sorted by group."""

    member: Any  # int32 (n_0,): units
    start: Any  # int32 (n_0 + 1,): where each group begins; then, where the last one ends
    label: Any  # int32 (n_0 + 1,): label + MOST_LABEL of each group, ascending; then 0
    size: Any  # int64 (2,): how many groups and units these are


class SampleGroups(NamedTuple):
    """The parts of `Groups` that are in use."""

    member: Any
    start: Any
    label: Any


def make_trains(zeros: Callable[..., Any], n_units: int, n_steps: int) -> Trains:
    """Return room for the spike trains of constant input; `zeros` makes arrays of the layout."""
    labels = 2 * MOST_LABEL + 1
    return Trains(
        known=np.zeros(labels, np.bool_),
        count=zeros(labels, whole_vectors(n_steps) + LANES),
        n_jumps=np.zeros(n_steps, np.int64),
        jump_group=np.zeros((n_steps, n_units), np.int64),
        jump=np.zeros((n_steps, n_units), np.int64),
        sent=np.zeros(n_steps, np.int64),
    )


def make_sorting(zeros: Callable[..., Any], n_units: int, level_value: Any) -> Sorting:
    """Return the memory for sorting constant input.

    `zeros` makes arrays of the layout's type, of which `level_value` is one.
    """
    n = whole_vectors(n_units)
    return Sorting(
        place=np.zeros(whole_vectors(2 * MOST_LABEL + 1) + LANES, np.int64),
        rank=np.zeros(n, np.int64),
        unit=np.zeros(n, np.int64),
        value=zeros(n),
        label=zeros(n),
        at=np.zeros(n, np.int64),
        level_value=level_value,
        level_label=zeros(256),
        levels_are=np.zeros(1, np.int64),
    )


def make_groups(n_units: int) -> Groups:
    """Return room for the groups of a sample of up to `n_units` active units."""
    return Groups(
        member=np.zeros(n_units, np.int32),
        start=np.zeros(n_units + 1, np.int32),
        label=np.zeros(n_units + 1, np.int32),
        size=np.zeros(2, np.int64),
    )


@rare
def label_values(net, value, label, n, n_steps):
    """Write the labels of n values; False if one is out of range."""
    if not largest(value[:n]) * n_steps < net.certain:
        return False
    for a in range(0, n, LANES):
        v = load(value, a, LANES)
        # C_t is `signed_spikes` of t * v, here computed lane by lane.
        reached = net.half - larger(smaller(v, 1), 0)
        total = v - v
        for t in range(1, n_steps + 1):
            reached += v
            count = reached >> net.fraction_bits
            if net.limited:
                count = larger(smaller(count, t), -t)
            total += count
        store(label, a, total)
    return largest(label[:n]) <= MOST_LABEL


@rare
def know_trains(net, trains, value, label, n, n_steps):
    """Compute and keep the trains of labels that are met for the first time."""
    for a in range(n):
        place = np.int64(label[a]) + MOST_LABEL
        if not trains.known[place]:
            trains.known[place] = True
            for t in range(1, n_steps + 1):
                count = signed_spikes(t * value[a], net.half, net.fraction_bits)
                trains.count[place, t] = min(max(count, -t), t) if net.limited else count


@kernel
def know_levels(net, trains, sorting, n_steps):
    """Find the labels of all levels of 8-bit input, once; False if one is out of range."""
    if sorting.levels_are[0] == UNKNOWN:
        value, label = sorting.level_value, sorting.level_label
        sorting.levels_are[0] = OUT_OF_RANGE
        if label_values(net, value, label, value.size, n_steps):
            know_trains(net, trains, value, label, value.size, n_steps)
            sorting.levels_are[0] = IN_RANGE
    return sorting.levels_are[0] == IN_RANGE


@kernel
def label_levels(net, trains, sorting, x, n_steps):
    """List the active units of 8-bit input with their labels; return how many, or -1.

    The return value -1 means that a value is out of range, here as in `label_reals`.
    """
    if not know_levels(net, trains, sorting, n_steps):
        return -1
    n = list_units(x, sorting.unit)
    for a in range(n):
        sorting.label[a] = sorting.level_label[x[np.uintp(sorting.unit[a])]]
    return n


@kernel
def label_reals(net, trains, sorting, x, n_steps):
    """List the active units of real-valued input with their labels; return how many, or -1."""
    n = list_units(x, sorting.unit)
    for a in range(n):  # a value that is rounded to 0 is silent too
        value = x[np.uintp(sorting.unit[a])] * net.input_scale
        sorting.value[a] = number_of(net, value, sorting.value)
    if not label_values(net, sorting.value, sorting.label, n, n_steps):
        return -1
    know_trains(net, trains, sorting.value, sorting.label, n, n_steps)
    return n


@kernel
def sort_units(sorting, n_units, groups):
    """Sort the units of a sample that fire into groups."""
    place, rank, at = sorting.place, sorting.rank, sorting.at
    member, start, label = groups.member, groups.start, groups.label
    low = high = np.int64(MOST_LABEL)
    for a in range(n_units):
        at[a] = np.int64(sorting.label[a]) + MOST_LABEL
        low, high = min(low, at[a]), max(high, at[a])
        rank[a] = place[np.uintp(at[a])]
        place[np.uintp(at[a])] = rank[a] + 1
    place[MOST_LABEL] = 0  # silent units are in no group
    n_groups = end = 0
    for first in range(low, high + 1, LANES):
        found = nonzero(load(place, first, LANES))
        while found != 0:
            here = np.uintp(first + lowest(found))
            found &= found - 1
            label[np.uintp(n_groups)], start[np.uintp(n_groups)] = here, end
            size = place[here]
            place[here] = end
            end += size
            n_groups += 1
    label[np.uintp(n_groups)], start[np.uintp(n_groups)] = 0, end
    place[MOST_LABEL] = end  # silent units come behind the others
    for a in range(n_units):
        member[np.uintp(place[np.uintp(at[a])] + rank[a])] = sorting.unit[a]
    place[MOST_LABEL] = 0
    for group in range(n_groups):
        place[np.uintp(label[group])] = 0
    groups.size[0], groups.size[1] = n_groups, end


@kernel
def sort_sample(run, block, i):
    """Sort the units of a sample of constant input; False if a value is out of range."""
    net, trains, sorting = run.net, run.trains, run.sorting
    if block.levels.shape[0] > 0:
        n_units = label_levels(net, trains, sorting, block.levels[i, 0], block.n_steps)
    else:
        n_units = label_reals(net, trains, sorting, block.reals[i, 0], block.n_steps)
    if n_units >= 0:
        sort_units(sorting, n_units, run.groups)
    return n_units >= 0


@kernel(inline="always")
def groups_in_use(groups):
    """The groups of the sample that was sorted last."""
    n_groups, n_units = groups.size[0], groups.size[1]
    return SampleGroups(
        groups.member[:n_units], groups.start[: n_groups + 1], groups.label[: n_groups + 1]
    )


@kernel
def size_of(groups, group):
    """The number of units in a group."""
    return np.int64(groups.start[group + 1]) - np.int64(groups.start[group])


@kernel
def count_at(trains, groups, group, t):
    """C_t of a group; t counts from 1."""
    return trains.count[groups.label[group], t]


@rare
def follow_trains(trains, groups, n_steps):
    """Find the spikes sent in each step, and where C_t jumps between groups."""
    n_jumps, sent = trains.n_jumps, trains.sent
    n_jumps[:] = 0
    sent[:] = 0
    before = trains.count[MOST_LABEL]  # the silent units
    for group in range(groups.label.size - 1):
        count = trains.count[groups.label[group]]
        from_here = groups.member.size - np.int64(groups.start[group])
        for first in range(0, n_steps, LANES):
            jumps = nonzero(load(count, first + 1, LANES) - load(before, first + 1, LANES))
            while jumps != 0:
                step = first + lowest(jumps)
                jumps &= jumps - 1
                t = np.uintp(step)
                now, was = count[np.uintp(step + 1)], before[np.uintp(step + 1)]
                last = np.uintp(n_jumps[t])
                trains.jump_group[t, last] = group
                trains.jump[t, last] = now - was
                n_jumps[t] += 1
                # A sum by parts, like the drive: the jump counts for all units from this group on.
                sent[t] += (abs(np.int64(now)) - abs(np.int64(was))) * from_here
        before = count
    for step in range(n_steps - 1, 0, -1):
        sent[step] -= sent[step - 1]
