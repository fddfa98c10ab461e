"""Sorts the units of input that is the same at all steps by their spike trains.

The train of such an input unit depends on its value alone, not on the network. Let C_t be the sum
of the unit's spikes up to step t. A larger value does not lower C_t at any t, so two trains that
differ at all differ in their labels. The label of a train is the sum of C_t over t: a small
integer, by which units are sorted into groups of equal trains. An image has hundreds of active
units and a few dozen groups.

A block of samples is sorted before the network sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from .arrays import largest, list_active
from .build import entry, kernel
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
    count: Any  # int64 (labels, stride): 0, then C_1 .. C_T, then zeros, in whole vectors
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
    value: Any  # (n_0,): their values
    label: Any  # (n_0,): their labels
    at: Any  # int64 (n_0,): their labels + MOST_LABEL
    level_label: Any  # (256,): labels of all levels of 8-bit input


class Groups(Struct):
    """The active units of samples, sorted by group; one sample follows the other."""

    first_unit: Any  # int64 (n_samples + 1,): where in `member` a sample begins
    first_group: Any  # int64 (n_samples + 1,): where in `start` and `label` a sample begins
    member: Any  # int32: units
    start: Any  # int32: where each group begins in its sample; then, where its last group ends
    label: Any  # int32: label + MOST_LABEL of each group of a sample, ascending; then 0


class SampleGroups(NamedTuple):
    """The groups of one sample: slices of `Groups`."""

    member: Any
    start: Any
    label: Any


def make_trains(n_units: int, n_steps: int) -> Trains:
    """Return room for the spike trains of constant input."""
    labels = 2 * MOST_LABEL + 1
    return Trains(
        known=np.zeros(labels, np.bool_),
        count=np.zeros((labels, whole_vectors(n_steps) + LANES), np.int64),
        n_jumps=np.zeros(n_steps, np.int64),
        jump_group=np.zeros((n_steps, n_units), np.int64),
        jump=np.zeros((n_steps, n_units), np.int64),
        sent=np.zeros(n_steps, np.int64),
    )


def make_sorting(zeros: Callable[..., Any], n_units: int) -> Sorting:
    """Return the memory for sorting constant input; `zeros` makes arrays of values."""
    n = whole_vectors(n_units)
    return Sorting(
        place=np.zeros(whole_vectors(2 * MOST_LABEL + 1) + LANES, np.int64),
        rank=np.zeros(n, np.int64),
        unit=np.zeros(n, np.int64),
        value=zeros(n),
        label=zeros(n),
        at=np.zeros(n, np.int64),
        level_label=zeros(256),
    )


def make_groups(n_samples: int, n_units: int) -> Groups:
    """Return room for the groups of `n_samples` samples of up to `n_units` active units each."""
    n = n_samples * n_units
    return Groups(
        first_unit=np.zeros(n_samples + 1, np.int64),
        first_group=np.zeros(n_samples + 1, np.int64),
        member=np.empty(n, np.int32),
        start=np.empty(n + n_samples, np.int32),
        label=np.empty(n + n_samples, np.int32),
    )


@kernel
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


@kernel
def know_trains(net, trains, value, label, n, n_steps):
    """Compute and keep the trains of labels that are met for the first time."""
    for a in range(n):
        place = np.int64(label[a]) + MOST_LABEL
        if not trains.known[place]:
            trains.known[place] = True
            for t in range(1, n_steps + 1):
                count = signed_spikes(t * value[a], net.half, net.fraction_bits)
                trains.count[place, t] = min(max(count, -t), t) if net.limited else count


def find_labels(net, trains, sorting, x, n, n_steps):  # pragma: no cover - replaced by overloads
    raise NotImplementedError


@overload(find_labels, inline="always")
def _overload_find_labels(net, trains, sorting, x, n, n_steps):
    # Write the labels of the units listed in `sorting.unit`; False if one is out of range.
    if x.dtype == types.uint8:

        def find(net, trains, sorting, x, n, n_steps):
            for a in range(n):
                level = x[np.uintp(sorting.unit[a])]
                sorting.label[a] = sorting.level_label[level]
            return True

    else:

        def find(net, trains, sorting, x, n, n_steps):
            for a in range(n):
                sorting.value[a] = x[np.uintp(sorting.unit[a])]
            if not label_values(net, sorting.value, sorting.label, n, n_steps):
                return False
            know_trains(net, trains, sorting.value, sorting.label, n, n_steps)
            return True

    return find


@kernel
def sort_units(sorting, n_units, member, start, label):
    """Sort the units of a sample that fire into groups; return how many groups and units."""
    place, rank, at = sorting.place, sorting.rank, sorting.at
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
    return n_groups, end


@entry
def sort_block(net, trains, sorting, levels, x, n_steps, groups):
    """Sort the units of samples up to the first that is out of range; return how many are sorted.

    `levels` holds the values of the 256 levels of 8-bit input; for other input it has length 0.
    """
    if not label_values(net, levels, sorting.level_label, levels.size, n_steps):
        return 0
    know_trains(net, trains, levels, sorting.level_label, levels.size, n_steps)
    first_unit = first_group = 0
    for i in range(x.shape[0]):
        groups.first_unit[i], groups.first_group[i] = first_unit, first_group
        n_units, _ = list_active(x[i], sorting.unit)
        if not find_labels(net, trains, sorting, x[i], n_units, n_steps):
            return i
        n_groups, n_firing = sort_units(
            sorting,
            n_units,
            groups.member[first_unit:],
            groups.start[first_group:],
            groups.label[first_group:],
        )
        first_unit += n_firing
        first_group += n_groups + 1
    groups.first_unit[x.shape[0]], groups.first_group[x.shape[0]] = first_unit, first_group
    return x.shape[0]


@kernel(inline="always")
def groups_of(groups, i):
    """The groups of one sample."""
    units = groups.first_unit[i : i + 2]
    places = groups.first_group[i : i + 2]
    return SampleGroups(
        groups.member[units[0] : units[1]],
        groups.start[places[0] : places[1]],
        groups.label[places[0] : places[1]],
    )


@kernel
def size_of(groups, group):
    """The number of units in a group."""
    return np.int64(groups.start[group + 1]) - np.int64(groups.start[group])


@kernel
def count_at(trains, groups, group, t):
    """C_t of a group; t counts from 1."""
    return trains.count[groups.label[group], t]


@kernel
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
                sent[t] += (abs(now) - abs(was)) * from_here
        before = count
    for step in range(n_steps - 1, 0, -1):
        sent[step] -= sent[step - 1]
