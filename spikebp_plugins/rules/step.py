"""The step rules in plain NumPy: the executable specification of every back end.

Each function takes a state and returns the next one; nothing is changed in place. The
table of delays of a timing (``network/delays.py``) says when each layer acts. The names are those
of ``docs/semantics.md``: L layers with weights W, feedback B, potentials phi, spikes k, summed
drive s (the drive of a step is the input current of a unit), input counts c (presynaptic traces),
backward potentials psi (which accumulate errors), errors e and their sums E. Tuples are indexed by
layer, so those that start at layer 1 hold None at index 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import (
    LIMIT,
    Change,
    FixedPoint,
    Integers,
    Reals,
    arithmetic_of,
    check_counts,
    constant_in,
    out_of_range,
)
from spikebp_plugins.network.connections import Connection, WeightedCounts
from spikebp_plugins.network.delays import ENDLESS, delays_of, is_busy
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.learning_rule import Limit, WeightRule
from spikebp_plugins.network.state import RealState, drawn_backward_potentials
from spikebp_plugins.rules.quantization import rectified, signed

#: The magnitude that no summed error reaches: they are 64-bit integers ("Range" in
#: docs/semantics.md).
LARGEST_SUM: Final = 2**63

#: One entry for each layer; None where the layer has none.
Layers = tuple[Any, ...]

Quantizer = Callable[[Any, bool], tuple[Integers, Any]]


class Step(NamedTuple):
    """The messages of one step: spikes k of layers 0..L, and errors e of layers 1..L or None."""

    k: tuple[Integers, ...]
    e: Layers | None


class SampleState(NamedTuple):
    """The state that lasts for one sample, each attribute a tuple indexed by layer.

    Attributes
    ----------
    phi : tuple of ndarray
        Potentials of layers 0..L.
    phi_y : ndarray of shape (n_outputs,)
        Potential of the target.
    s : tuple of ndarray
        Summed drive of layers 1..L.
    c : tuple of ndarray
        Net input counts: signed spikes of layers 0..L-1 so far.
    E : tuple of ndarray
        Summed errors of layers 1..L.
    sent : Step
        Spikes and errors of the last step, zero for a layer that was idle.
    before : RealState or None
        The learning state at the start of the last step: `sent` goes through its weights. None
        before the first step, and where no connection takes a step.
    t : int
        The steps so far.
    shown : int
        The steps of input among them.
    """

    phi: tuple[Reals, ...]
    phi_y: Reals
    s: Layers
    c: tuple[Integers, ...]
    E: Layers
    sent: Step
    before: RealState | None = None
    t: int = 0
    shown: int = 0


def open_sample(net: Definition) -> SampleState:
    """Return the state at the start of a sample: everything zero."""
    sizes = net.layer_sizes
    zeros = [np.zeros(size) for size in sizes]
    counts = [np.zeros(size, np.int64) for size in sizes]
    return SampleState(
        phi=tuple(zeros),
        phi_y=zeros[-1],
        s=(None, *zeros[1:]),
        c=tuple(counts[:-1]),
        E=(None, *counts[1:]),
        sent=silence(net),
    )


def silence(net: Definition) -> Step:
    """Return the messages of idle layers: no spikes and no errors."""
    nothing = tuple(np.zeros(size, np.int64) for size in net.layer_sizes)
    return Step(nothing, (None, *nothing[1:]))


def open_training(net: Definition, learning: RealState) -> RealState:
    """Return the state with the backward potentials that a training sample starts from."""
    if net.backward_init == "carry":
        return learning
    if net.backward_init == "zero":
        psi = tuple(np.zeros_like(psi_l) for psi_l in learning.backward_potentials)
    else:
        psi = drawn_backward_potentials(net, learning.samples_seen)
    return learning._replace(backward_potentials=psi)


def step(
    net: Definition,
    learning: RealState,
    sample: SampleState,
    x: NDArray[Any],
    y: Reals | None,
    n_steps: int = ENDLESS,
) -> tuple[RealState, SampleState, Step]:
    """Advance a sample by one step.

    Parameters
    ----------
    net : Definition
        The definition.
    learning : RealState
        Weights and backward potentials.
    sample : SampleState
        The sample so far.
    x : ndarray of shape (n_inputs,)
        Values on the grid, or signed spike counts with ``input_coding="spikes"``; ignored after
        the last step of input.
    y : ndarray of shape (n_outputs,) or None
        Target on the grid for what the output sends in this step; None for a step without learning.
    n_steps : int, default=ENDLESS
        The steps of input that the sample has.

    Returns
    -------
    learning, sample : RealState, SampleState
        Both after the step.
    sent : Step
        The spikes and errors of the step.

    Raises
    ------
    OverflowError
        If a value leaves the range of the arithmetic.
    """
    L, t, delays = net.n_layers, sample.t + 1, delays_of(net)
    shown = sample.shown
    phi, s, c = list(sample.phi), list(sample.s), list(sample.c)
    k, e = (list(layers or ()) for layers in silence(net))
    # Indexed by lag: what was sent in this step (0) or in the step before (1), and the weights from
    # the start of that step, which it goes through.
    sent_k, sent_e = (k, sample.sent.k), (e, sample.sent.e or ())
    through = (learning, sample.before or learning)
    W: list[Layers] = [synaptic_weights(net, state) for state in through]
    B: list[Layers] = [backward_weights(net, state) for state in through]
    connections = net.connections

    # 1. The input fires.
    if is_busy(t, delays.spikes[0], n_steps):
        k[0], phi[0], c[0] = fire_input(net, phi[0], c[0], x)
        shown = t

    # 2. The forward pass.
    for l in range(1, L + 1):
        if is_busy(t, delays.spikes[l], n_steps):
            lag = delays.forward_lags[l]
            arriving = connections[l - 1].forward(sent_k[lag][l - 1], W[lag][l])
            k[l], phi[l], s[l] = forward(net, arriving, phi[l], s[l], l)
            if l < L:
                c[l] = check_counts(c[l] + k[l], l)

    sample = sample._replace(phi=tuple(phi), s=tuple(s), c=tuple(c), t=t, shown=shown)
    if not delays.are_zero:
        sample = sample._replace(before=learning)
    if y is None:
        return learning, sample._replace(sent=Step(tuple(k), tuple(e))), Step(tuple(k), None)

    # 3. The output is compared with the target.
    phi_y = sample.phi_y
    if is_busy(t, delays.errors[L], n_steps):
        e[L], phi_y = output_error(net, k[L], y, phi_y, s[L])

    # 4. The errors go backward.
    psi: list[Any] = [None, *learning.backward_potentials]
    for l in range(L - 1, 0, -1):
        if is_busy(t, delays.errors[l], n_steps):
            lag = delays.backward_lags[l]
            arriving = connections[l].backward(sent_e[lag][l + 1], B[lag][l + 1])
            e[l], psi[l] = backward(net, arriving, psi[l], s[l], l)

    # 5. The weights learn, now or at the end of the sample.
    sent = Step(tuple(k), tuple(e))
    learning = learning._replace(backward_potentials=tuple(psi[1:]))
    learning, sample = learn(net, learning, sample._replace(phi_y=phi_y, sent=sent), e)
    return learning, sample, sent


def fire_input(net: Definition, phi: Reals, c: Integers, x: NDArray[Any]) -> tuple[Any, Any, Any]:
    """Rule 1: return spikes, potential and counts of the input."""
    number, k = arithmetic_of(net), x
    if net.input_coding == "values":
        k, phi = fire(net, signed, number.check(phi + x, "potential", 0))
    return k, phi, check_counts(c + check_counts(k, 0), 0)


def forward(
    net: Definition, arriving: WeightedCounts, phi: Reals, s: Reals, l: int
) -> tuple[Any, Any, Any]:
    """Rule 2: return spikes, potential and summed drive of layer l."""
    number = arithmetic_of(net)
    s = number.add_product(s, arriving, "summed drive", l)
    phi = number.add_product(phi, arriving, "potential", l)
    return *fire(net, rectified, phi), s


def output_error(
    net: Definition, k: Integers, y: Reals, phi_y: Reals, s: Reals
) -> tuple[Integers, Any]:
    """Rule 3: return the errors of the output, and the potential of the target."""
    number = arithmetic_of(net)
    phi_y = number.check(phi_y + y, "target potential", net.n_layers)
    m, phi_y = fire(net, signed, phi_y)
    return np.where(s < 0, 0, within_payload(net, k - m)), phi_y


def backward(
    net: Definition, arriving: WeightedCounts, psi: Reals, s: Reals, l: int
) -> tuple[Integers, Any]:
    """Rule 4: return errors and backward potential of layer l."""
    psi = arithmetic_of(net).add_product(psi, arriving, "backward potential", l)
    spent, psi = fire(net, signed, psi)
    return np.where(s < 0, 0, spent), psi


def fire(net: Definition, quantizer: Quantizer, v: Reals) -> tuple[Integers, Reals]:
    """Return spikes, and the potentials left; spikes beyond what a message holds stay in these."""
    k, left = quantizer(v, net.spikes == "binary")
    sent = within_payload(net, k)
    if sent is k:
        return k, left
    return sent, left + (k - sent)


def within_payload(net: Definition, k: Integers) -> Integers:
    """Return counts, limited to the largest payload of a message."""
    largest = arithmetic_of(net).largest_payload
    return k if largest is None else np.clip(k, -largest, largest)


def synaptic_weights(net: Definition, learning: RealState) -> Layers:
    """Return W_1 to W_L, with the constant of connections that have no weights of their own."""
    pairs = zip(net.connections, learning.weights, strict=True)
    return (None, *(W if c.constant_weight is None else constant_in(net, c) for c, W in pairs))


def backward_weights(net: Definition, learning: RealState) -> Layers:
    """Return B_2 to B_L: the random feedback or, without it, the weights as errors read them."""
    W = synaptic_weights(net, learning)
    B: list[Any] = [None, None]
    for l, connection in enumerate(net.connections[1:], 2):
        is_random = learning.feedback and connection.constant_weight is None
        B.append(learning.feedback[l - 2] if is_random else connection.backward_weights(W[l]))
    return tuple(B)


def learn(
    net: Definition, learning: RealState, sample: SampleState, e: Sequence[Any]
) -> tuple[RealState, SampleState]:
    """Rule 5: return both states after a step, with weights changed or with errors summed."""
    if not net.learning_rule.learns_once:
        return _descend(net, learning, sample, e), sample
    E = (None, *(summed_errors(sample.E[l], e[l], l) for l in range(1, net.n_layers + 1)))
    return learning, sample._replace(E=E)


def summed_errors(E: Integers, e: Integers, l: int) -> Integers:
    """Return the errors of layer l summed so far, or raise OverflowError for a sum too large."""
    magnitude = np.abs(E.astype(np.float64) + e)
    if not np.all(magnitude < LARGEST_SUM):
        raise out_of_range("summed error", l, LARGEST_SUM, float(magnitude.max()))
    return E + e


def close_training(net: Definition, learning: RealState, sample: SampleState) -> RealState:
    """Return the state after a training sample, with the update at its end if there is one."""
    if net.learning_rule.learns_once:
        learning = _descend(net, learning, sample, sample.E)
    return learning._replace(samples_seen=learning.samples_seen + 1)


def teaching_factors(
    net: Definition, sample: SampleState, e: Sequence[Any], l: int
) -> tuple[Any, Integers]:
    """Return what multiplies in an update of W_l: counts and errors, both cut off.

    Errors are 0 where the gain is too large to learn from. With ``presynaptic="drive"`` the first
    is the rate times the drive, in units of 2^-f.
    """
    rule = net.learning_rule
    errors = cut_off(e[l], rule.weights[l - 1].error_limit, sample)
    if net.presynaptic == "counts":
        counts = cut_off(sample.c[l - 1], rule.count_limit, sample)
        squares = net.connections[l - 1].squares(counts) if rule.limits_gain else 0
        return counts, errors * rule.learns_from(l, squares, sample.shown)
    number, rate = arithmetic_of(net), rule.weights[l - 1].rate
    if l == 1:
        s_0 = number.check(sample.phi[0] + sample.c[0], "summed input", 0)
        return number.smoothed(rate, s_0), errors
    return number.smoothed(rate, np.maximum(sample.s[l - 1], 0)), errors


def cut_off(values: Integers, limit: Limit, sample: SampleState) -> Integers:
    """Return counts or errors cut off at their limit for the steps of input shown so far."""
    most = limit.after(sample.shown)
    return np.clip(values, -most, most)


def _descend(
    net: Definition, learning: RealState, sample: SampleState, e: Sequence[Any]
) -> RealState:
    number = arithmetic_of(net).at(learning.samples_seen, sample.t)
    descended = (
        descend(net, number, W, *teaching_factors(net, sample, e, l), l)
        for l, W in enumerate(learning.weights, 1)
    )
    return learning._replace(weights=tuple(descended))


def descend(net: Definition, number: FixedPoint, W: Reals, c: Any, e: Integers, l: int) -> Reals:
    """Rule 5: return W_l after an update.

    Parameters
    ----------
    net : Definition
        The definition.
    number : FixedPoint
        Its arithmetic, for this step.
    W : ndarray
        W_l.
    c, e : ndarray of shape (n_{l-1},), ndarray of shape (n_l,)
        The result of `teaching_factors`, for the errors of this step or the summed ones.
    l : int
        The layer that W_l leads to.
    """
    connection, rule = net.connections[l - 1], net.learning_rule.weights[l - 1]
    if connection.constant_weight is not None:
        return W
    rate = rule.rate
    if rule.added_squares:
        rate = divided_rate(connection, rule, c, l)
    elif net.presynaptic == "drive":
        rate = 1  # it is in c
    changed: Reals = number.descend(W, connection, Change(rate, c, e), l)
    return changed


def divided_rate(connection: Connection, rule: WeightRule, c: Integers, l: int) -> int:
    """Return r_l, or raise OverflowError if N_l is no exact double."""
    squares = connection.squares(c)
    total = rule.added_squares + squares
    if total >= LIMIT:
        raise out_of_range("sum of squared counts", l - 1, LIMIT, total)
    return rule.divided_rate(squares)
