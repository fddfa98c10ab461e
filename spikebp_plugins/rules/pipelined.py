"""Pipelined timing: the step rules with one step of delay on every connection, in plain NumPy.

The rules are those of ``reference.py``, and so are the names. What differs is when they apply: see
"Pipelined timing" in ``docs/semantics.md``. Layer l is busy with step tau of a sample at
t = tau + l, and with the errors of that step at t = tau + 2 L - l.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import Reals, check_counts
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.rules.step import (
    Layers,
    MakeStep,
    SampleRecord,
    SampleState,
    Step,
    WorkCounter,
    backward,
    backward_weights,
    close_training,
    fire_input,
    forward,
    learn,
    open_sample,
    open_training,
    output_error,
)


class Flight(NamedTuple):
    """What is under way: the last step's spikes and errors, and the weights that they go through.

    Attributes
    ----------
    sent : Step
        Spikes of layers 0..L and errors of layers 1..L, zero for a layer that was idle.
    learning : LearningState
        Weights and feedback as they stood when the spikes were sent, before that step's learning.
    """

    sent: Step
    learning: LearningState


def n_steps_of_sample(net: SpikingMLP, n_steps: int) -> int:
    """Return how many steps a sample takes: those of its input, and the way there and back."""
    return n_steps + 2 * net.n_layers - 1


def is_busy(t: int, delay: int, n_steps: int) -> bool:
    """Return whether what reaches a layer `delay` steps after the input is under way in step t."""
    return 1 <= t - delay <= n_steps


def step(
    net: SpikingMLP,
    learning: LearningState,
    sample: SampleState,
    flight: Flight,
    t: int,
    n_steps: int,
    x: NDArray[Any],
    y: Reals | None,
) -> tuple[LearningState, SampleState, Step]:
    """Advance a sample by one step.

    Parameters
    ----------
    net : SpikingMLP
        The definition.
    learning : LearningState
        Weights and backward potentials.
    sample : SampleState
        The sample so far.
    flight : Flight
        What was sent in the step before.
    t : int
        The step, counted from 1 to ``n_steps + 2 * L - 1``.
    n_steps : int
        The steps for which the input is shown.
    x : ndarray of shape (n_inputs,)
        What layer 0 is shown in step t; not looked at after the last step of input.
    y : ndarray of shape (n_outputs,) or None
        The target of the output in step t, not looked at while the output is idle; None predicts.

    Returns
    -------
    learning, sample : LearningState, SampleState
        Both after the step.
    sent : Step
        The spikes and errors of the step.

    Raises
    ------
    OverflowError
        If a value leaves the range of the arithmetic.
    """
    L = net.n_layers
    W: Layers = (None, *flight.learning.weights)
    phi, s, c = list(sample.phi), list(sample.s), list(sample.c)
    k, e = (list(layers) for layers in nothing(net))

    # 1. The input fires.
    if is_busy(t, 0, n_steps):
        k[0], phi[0], c[0] = fire_input(net, phi[0], c[0], x)

    # 2. Every layer takes what was sent below in the step before.
    for l in range(1, L + 1):
        if is_busy(t, l, n_steps):
            k[l], phi[l], s[l] = forward(net, flight.sent.k[l - 1], W[l], phi[l], s[l], l)
            if l < L:
                c[l] = check_counts(c[l] + k[l], l)

    sample = sample._replace(phi=tuple(phi), s=tuple(s), c=tuple(c), t=t)
    if y is None or flight.sent.e is None:
        return learning, sample, Step(tuple(k), None)

    # 3. The output is compared with the target.
    phi_y = sample.phi_y
    if is_busy(t, L, n_steps):
        e[L], phi_y = output_error(net, k[L], y, phi_y, s[L])

    # 4. Every layer takes the errors that were sent above in the step before.
    B: Layers = backward_weights(flight.learning)
    psi: list[Any] = [None, *learning.backward_potentials]
    for l in range(1, L):
        if is_busy(t, 2 * L - l, n_steps):
            e[l], psi[l] = backward(net, flight.sent.e[l + 1], B[l + 1], psi[l], s[l], l)

    # 5. The weights learn from what the units at both their ends have sent by now.
    learning = learning._replace(backward_potentials=tuple(psi[1:]))
    learning, sample = learn(net, learning, sample._replace(phi_y=phi_y), e)
    return learning, sample, Step(tuple(k), tuple(e))


def nothing(net: SpikingMLP) -> tuple[Layers, Layers]:
    """Return the spikes of layers 0..L, and the errors of layers 1..L, of idle layers."""
    silence = tuple(np.zeros(size, np.int64) for size in net.layer_sizes)
    return silence, (None, *silence[1:])


def run_sample(
    net: SpikingMLP,
    learning: LearningState,
    x: NDArray[Any],
    y: Reals | None,
    n_steps: int,
    make_step: MakeStep | None = None,
) -> tuple[LearningState, SampleRecord]:
    """Show one sample, and learn from it if there is a target; as in ``reference.run_sample``.

    The record has a layer's spikes and errors under the step of input that they belong to. An
    engine that does something else in a step can put its own in the place of `step`.
    """
    make_step = make_step or step
    training, L = y is not None, net.n_layers
    sample = open_sample(net)
    if training:
        learning = open_training(net, learning)
    spikes, errors = nothing(net)
    flight = Flight(Step(spikes, errors if training else None), learning)
    sent: list[Step] = []
    step_scores = np.empty((n_steps, net.n_outputs))
    work = WorkCounter(net)
    for t in range(1, n_steps_of_sample(net, n_steps) + 1):
        before, of_output = learning, max(t - L, 1)
        y_t = None if y is None else y[(of_output - 1) % len(y)]
        learning, sample, now = make_step(
            net, learning, sample, flight, t, n_steps, x[(t - 1) % len(x)], y_t
        )
        flight = Flight(now, before)
        sent.append(now)
        work.add(sample, now)
        if is_busy(t, L, n_steps):
            step_scores[of_output - 1] = sample.s[-1].astype(np.float64) / of_output
    if training:
        learning = close_training(net, learning, sample)
    steps = [_belonging_to(net, sent, tau) for tau in range(n_steps)]
    return learning, SampleRecord(steps, step_scores, work.total(sample, training))


def _belonging_to(net: SpikingMLP, sent: list[Step], tau: int) -> Step:
    """Return what each layer sent for one step of input, counted from 0."""
    L = net.n_layers
    k = tuple(sent[tau + l].k[l] for l in range(L + 1))
    if sent[0].e is None:
        return Step(k, None)
    errors = [sent[tau + 2 * L - l].e for l in range(1, L + 1)]
    return Step(k, (None, *(e[l] for l, e in enumerate(errors, 1) if e is not None)))
