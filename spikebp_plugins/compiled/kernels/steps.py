"""Kernels that advance a network by single steps, for samples whose end is not known beforehand."""

from __future__ import annotations

from typing import Any

from .arrays import Run, copy, is_busy, write_row
from .build import entry, kernel
from .rules import bound_learning, learn, open_sample, restart_backward, send_spikes, train_step
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
def keep(run):
    """Remember the state before a step."""
    copy(run.kept.state, run.sample.state)
    copy(run.kept.backward_potential, run.learning.backward_potential)
    copy(run.kept.spikes, run.totals.spikes)
    copy(run.kept.errors, run.totals.errors)


@kernel
def go_back(run):
    """Return to the state before a step; weights change only in steps that are certain."""
    copy(run.sample.state, run.kept.state)
    copy(run.learning.backward_potential, run.kept.backward_potential)
    copy(run.totals.spikes, run.kept.spikes)
    copy(run.totals.errors, run.kept.errors)


@kernel
def begin(run, drawn, opens, restarts):
    """With `opens`, reset the state of the sample; with `restarts`, its backward potentials."""
    if opens:
        open_sample(run, True)
        bound_learning(run)
    if restarts:
        restart_backward(run, drawn)


@kernel
def clear_errors(sample):
    """Set the errors of all layers to zero."""
    sample.error[:] = 0
    sample.n_errors[:] = 0


@entry
def show_steps(run, x, y, drawn, moment, n_steps, row):
    """Show the same input and target for some steps; return how many were certain.

    `moment` is the place of the first of these steps in its sample, and step t after it is written
    to row `row` + t of the record. Layers that are idle send nothing, and this is recorded too. The
    first step that is not certain, and those after it, change nothing.
    """
    net, sample = run.net, run.sample
    begin(run, drawn, moment.opens, moment.restarts)
    for i in range(n_steps):
        t = moment.t + i
        keep(run)
        if moment.learns:
            certain = train_step(run, x, y, t, moment.n_inputs)
        else:
            clear_errors(sample)
            certain = send_spikes(run, x, t, moment.n_inputs)
        if not certain:
            go_back(run)
            return i
        for layer in range(net.sizes.size):
            if not is_busy(t, net.spike_delay[layer], moment.n_inputs):
                units_of(sample.spike, net, layer)[:] = 0
        write_row(run, 0, row + i)
    return n_steps


@entry
def close_sample(run):
    """Rule 5 of update="outer"; False, with nothing changed, if the range is not certain."""
    return learn(run, run.sample.error_sum, 1)
