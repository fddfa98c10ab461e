"""Kernels that advance a network by single steps, for samples whose end is not known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Run, copy, is_busy, write_mean_drive, write_row
from .blocks import SAMPLES_PER_BOUND, begin_at_boundary, measure
from .boundary import end_boundary, go_back_to_boundary, keep_whole
from .build import entry, kernel
from .entering import enter_counts, enter_values
from .rules import learn, open_sample, restart_backward, send_spikes, train_step
from .slices import units_of
from .structs import Struct


class Kept(Struct):
    """Copies of what a step changes before its range is certain, made before the step."""

    state: Any  # of `Sample`
    backward_potential: Any  # of `Learning`
    spikes: Any  # of `Totals`
    errors: Any  # of `Totals`


class StepRun(Run):
    """A run that can go back by a step."""

    kept: Kept


@kernel
def copy_part(target, source, start, stop):
    """Target = source from index `start` to `stop`."""
    for i in range(start, stop):
        target[np.uintp(i)] = source[np.uintp(i)]


@kernel
def copy_state(net, target, source):
    """Copy what a step reads of the state of a sample before it writes it: see `Sample.state`.

    Without delays that is not what the step before has sent, which most often is the larger part.
    """
    units, last = net.unit[net.sizes.size], net.sizes.size - 1
    if net.spike_delay[last] > 0 or net.error_delay[1] > 0:
        copy(target, source)
        return
    # Where input is spike counts, its units have no potential.
    copy_part(target, source, net.unit[1] if net.counts_in else 0, units)
    copy_part(target, source, 2 * units, 3 * units)  # counts
    copy_part(target, source, 5 * units, source.size)  # target potentials


@kernel
def keep(run):
    """Remember the state before a step."""
    net, kept, psi = run.net, run.kept, run.learning.backward_potential
    copy_state(net, kept.state, run.sample.state)
    copy_part(kept.backward_potential, psi, net.unit[1], psi.size)
    copy(kept.spikes, run.totals.spikes)
    copy(kept.errors, run.totals.errors)


@kernel
def go_back(run):
    """Return to the state before a step; weights change only in steps that are certain."""
    net, kept, psi = run.net, run.kept, run.learning.backward_potential
    copy_state(net, run.sample.state, kept.state)
    copy_part(psi, kept.backward_potential, net.unit[1], psi.size)
    copy(run.totals.spikes, kept.spikes)
    copy(run.totals.errors, kept.errors)


@kernel
def begin(run, drawn, opens, restarts):
    """With `opens`, reset the state of the sample; with `restarts`, its backward potentials."""
    age = run.boundary.age
    if opens:
        if not run.boundary.keeps:  # then others may have changed the weights
            age[0] = SAMPLES_PER_BOUND
        begin_at_boundary(run)
        open_sample(run, True)
    if restarts:
        restart_backward(run, drawn)


@kernel
def clear_errors(sample):
    """Set the errors of all layers to zero."""
    sample.error[:] = 0
    sample.n_errors[:] = 0


@kernel
def show_step(run, x, y, t, n_inputs, learns):
    """Show step t of a sample; False, with nothing changed, if its range is not certain."""
    while True:
        keep(run)
        if learns:
            certain = train_step(run, x, y, t, n_inputs)
        else:
            clear_errors(run.sample)
            certain = send_spikes(run, x, t, n_inputs)
        if certain:
            return True
        go_back(run)
        if run.boundary.age[0] == 0:
            return False
        # Bounds only grow from step to step: those of now may prove the range.
        measure(run)


@entry
def show_steps(run, x, y, drawn, opens, restarts, learns, first, n_inputs, n_steps, row):
    """Show the same input and target for some steps; return how many were certain.

    The first of these steps is step `first` of its sample, which has `n_inputs` steps of input, and
    step t after it is written to row `row` + t of the record. Layers that are idle send nothing,
    and this is recorded too. The first step that is not certain, and those after it, change
    nothing.
    """
    net, sample = run.net, run.sample
    begin(run, drawn, opens, restarts)
    for i in range(n_steps):
        t = first + i
        if not show_step(run, x, y, t, n_inputs, learns):
            return i
        for layer in range(net.sizes.size):
            if not is_busy(t, net.spike_delay[layer], n_inputs):
                units_of(sample.spike, net, layer)[:] = 0
        write_row(run, 0, row + i)
    return n_steps


@kernel
def rests(run):
    """Whether a step of silence without a target changes nothing: no potential fires."""
    net, potential = run.net, run.sample.potential
    if not net.limited:  # every step leaves all potentials at the threshold or below
        return True
    for i in range(potential.size):
        if potential[i] > net.half or (i < net.unit[1] and potential[i] < -net.half):
            return False
    return True


@kernel
def show_counts(run, counts, y, learns):
    """Show a step of events; False, with nothing changed, if its range is not certain.

    The number of the step plays no part: only timings with delays read it.
    """
    net, sample = run.net, run.sample
    if net.counts_in:
        enter_counts(net, counts, sample.input)
    else:
        enter_values(net, counts, net.input_scale, sample.input)
    return show_step(run, sample.input, y, 1, 1, learns)


@entry
def show_events(run, at, unit, weight, counts, y, drawn, opens, restarts, learns, n_steps):
    """Show consecutive steps of events; return how many were certain.

    Event a counts weight[a] in step at[a] of unit[a]. `counts` holds what has been counted in the
    first step before. It is zero after the last step; where a step is not certain, it holds the
    counts of that step. Steps of silence that change nothing are passed over.
    """
    begin(run, drawn, opens, restarts)
    a, i, is_silent = 0, 0, False
    for j in range(counts.size):
        is_silent = is_silent or counts[j] != 0
    is_silent = not is_silent
    while i < n_steps:
        while a < at.size and at[a] == i:
            counts[unit[a]] += weight[a]
            is_silent = False
            a += 1
        if is_silent and not learns and rests(run):
            i = at[a] if a < at.size else n_steps
            continue
        if not show_counts(run, counts, y, learns):
            return i
        counts[:] = 0
        is_silent = True
        i += 1
    return n_steps


@entry
def find_scores(run, n_steps, scores):
    """Write the scores of the steps shown."""
    write_mean_drive(run, n_steps, scores)


@entry
def close_sample(run):
    """Rule 5 of update="outer"; False, with nothing changed, if the range is not certain."""
    return learn(run, run.sample.error_sum, 1)


@entry
def keep_all(run):
    """Keep all weights, before others than a kernel change them."""
    if run.boundary.logs:
        keep_whole(run)


@entry
def end_sample(run, trained):
    """End a sample that is learned, or was shown without a target: see `end_boundary`."""
    end_boundary(run, trained)


@entry
def drop_sample(run):
    """Undo a sample."""
    go_back_to_boundary(run)
