"""One sample by the step rules: the record of its spikes and errors, and its work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import Reals
from spikebp_plugins.network.delays import Delays, delays_of, is_busy
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import MessageTotals, Operations, count_operations
from spikebp_plugins.network.state import RealState
from spikebp_plugins.rules.step import (
    SampleState,
    Step,
    close_training,
    open_sample,
    open_training,
    step,
    teaching_factors,
)

#: A function with the arguments and results of `step`.
MakeStep = Callable[..., tuple[RealState, SampleState, Step]]


class SampleRecord(NamedTuple):
    """The record of one sample.

    Attributes
    ----------
    steps : list of Step
        Spikes and errors that belong to each step of input.
    step_scores : ndarray of shape (n_steps, n_outputs)
        The running scores after each step of input.
    operations : Operations
        The synaptic operations of the sample.
    """

    steps: list[Step]
    step_scores: NDArray[np.float64]
    operations: Operations


def run_sample(
    net: Definition,
    learning: RealState,
    x: NDArray[Any],
    y: Reals | None,
    n_steps: int,
    make_step: MakeStep | None = None,
) -> tuple[RealState, SampleRecord]:
    """Show one sample, and learn from it if there is a target.

    The record lists the spikes and errors of each layer by the step of input they belong to.

    Parameters
    ----------
    net : Definition
        The definition.
    learning : RealState
        Weights and backward potentials.
    x : ndarray of shape (1, n_inputs) or (n_steps, n_inputs)
        Input on the grid (or spike counts), the same at all steps or one row a step.
    y : ndarray of shape (1, n_outputs) or (n_steps, n_outputs), or None
        Target on the grid; None predicts, which leaves `learning` as it is.
    n_steps : int
        The number of steps of input.
    make_step : callable or None, default=None
        The function that makes a step, called as `step` is; None takes `step`.
    """
    make_step = make_step or step
    training, L, delays = y is not None, net.n_layers, delays_of(net)
    sample = open_sample(net)
    if training:
        learning = open_training(net, learning)
    sent: list[Step] = []
    step_scores = np.empty((n_steps, net.n_outputs))
    work = WorkCounter(net)
    for t in range(1, delays.duration(n_steps) + 1):
        of_output = max(t - delays.spikes[L], 1)
        x_t, y_t = x[(t - 1) % len(x)], None if y is None else y[(of_output - 1) % len(y)]
        learning, sample, now = make_step(net, learning, sample, x_t, y_t, n_steps)
        sent.append(now)
        work.add(sample, now)
        if is_busy(t, delays.spikes[L], n_steps):
            step_scores[of_output - 1] = sample.s[-1] / of_output
    if training:
        learning = close_training(net, learning, sample)
    steps = [_belonging_to(delays, sent, tau) for tau in range(n_steps)]
    return learning, SampleRecord(steps, step_scores, work.total(sample, training))


def _belonging_to(delays: Delays, sent: list[Step], tau: int) -> Step:
    """Return the spikes and errors that belong to step `tau` of input, counted from 0."""
    k = tuple(sent[tau + d].k[l] for l, d in enumerate(delays.spikes))
    if sent[0].e is None:
        return Step(k, None)
    errors = [sent[tau + b].e for b in delays.errors]
    return Step(k, tuple(e and e[l] for l, e in enumerate(errors)))


def weights_changed(net: Definition, sample: SampleState, e: Sequence[Any]) -> int:
    """Return the number of synapses that an update changes: both of its factors are not 0."""
    return sum(
        connection.synapses_with(*teaching_factors(net, sample, e, l))
        for l, connection in enumerate(net.connections, 1)
    )


class WorkCounter:
    """Counts the synaptic operations of a sample as its steps go by.

    Parameters
    ----------
    net : Definition
        The definition.
    """

    def __init__(self, net: Definition) -> None:
        self._net = net
        # Python's integers, one for each unit: no sum of them wraps.
        self._sent = MessageTotals(
            *([np.zeros(n, object) for n in net.layer_sizes] for _ in MessageTotals._fields)
        )
        self._updates = 0

    def add(self, sample: SampleState, sent: Step) -> None:
        """Count the operations of a step, given the sample after it and what the step sent."""
        _add(self._sent.spikes, self._sent.messages, sent.k)
        if sent.e is None:
            return
        _add(self._sent.errors[1:], self._sent.error_messages[1:], sent.e[1:])
        if not self._net.learning_rule.learns_once:
            self._updates += weights_changed(self._net, sample, sent.e)

    def total(self, sample: SampleState, training: bool) -> Operations:
        """Return the operations of the sample once it has ended."""
        updates = self._updates
        if training and self._net.learning_rule.learns_once:
            updates = weights_changed(self._net, sample, sample.E)
        return count_operations(self._net, self._sent, updates, shown=1, trained=int(training))


def _add(totals: Sequence[Any], messages: Sequence[Any], sent: Sequence[Any]) -> None:
    for total, n_messages, counts in zip(totals, messages, sent, strict=True):
        active = np.flatnonzero(counts)
        total[active] += np.abs(counts[active]).astype(object)
        n_messages[active] += 1
