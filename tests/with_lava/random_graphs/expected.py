"""What the reference, or the model of Lava's engine, says of the networks of a random graph."""

from typing import NamedTuple

import numpy as np

from spikebp_lava import EngineMLP
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import delays_of, steps_of_sample
from tests.core.literal import asked_by
from tests.step_oracle import Moment, follow


class Message(NamedTuple):
    """What a network is after a message: its last moment, and the spikes of all of them."""

    spikes: np.ndarray
    last: Moment


def expected(player, played, start, inputs, settings):
    """Return what the reference says of one network of a graph."""
    net, form, n = played.net, played.part.form, player.n_messages
    together = steps_of_sample(net, net.n_steps) if form == "sample" else 1
    x = np.repeat(inputs.rows(n), together, axis=0)
    learns = switched(player, played)
    answers = played.answer.rows(n)
    targets = [None] * n if answers is None else [target_of(row) for row in answers]
    targets = [target if switch else None for target, switch in zip(targets, learns, strict=True)]
    targets = [target for target in targets for _ in range(together)]
    ends = None
    if played.feeds.ends is not None:
        ends = np.zeros(n * together, bool)
        ends[together - 1 :: together] = played.feeds.ends[:n]
    weights = {message * together: given for message, given in settings.items()}
    if net.arithmetic == "loihi2":
        moments = follow_engine(start, x, targets)
    else:
        moments = follow(start, x, targets, ends, weights)
    groups = [moments[i : i + together] for i in range(0, n * together, together)]
    return [message_of(group) for group in groups]


def message_of(moments):
    """Return the message of some steps, of which nothing may be known."""
    last = moments[-1]
    return Message(last and sum(moment.spikes[-1] for moment in moments), last)


def target_of(row):
    """Return the label of a row, None for one below 0, or its real targets."""
    if np.ndim(row) == 0:
        return None if row < 0 else int(row)
    return row


def switched(player, played):
    """Return whether each message of a network is learned from."""
    n, number = player.n_messages, player.parts.index(played)
    messages = np.arange(n)
    if played.net.timing == "pipelined":  # a matter of whole samples
        messages = played.feeds.first_of(n)
    starts = np.array([*player.learning])
    runs = [*player.learning.values()]
    return [runs[i][number] for i in np.searchsorted(starts, messages, side="right") - 1]


def follow_engine(start, x, targets):
    """Return the moments of standard parts in fixed_pt, by the model of Lava's engine.

    It knows whole samples alone: of one that is not shown to its end, nothing is compared.
    """
    net, model = start.net, EngineMLP(start)
    delays, period = delays_of(net), steps_of_sample(net, net.n_steps)
    moments, scores = [], np.zeros(net.n_outputs)
    for first in range(0, len(x), period):
        rows = x[first : first + period]
        if len(rows) < period:
            return moments + [None] * len(rows)
        before = saturated(net, model.state)
        shown = rows[np.newaxis, : net.n_steps]
        if net.input_coding == "spikes":
            shown = shown.astype(int)
        y = targets[first : first + period][delays.spikes[-1] :][: net.n_steps]
        if y[0] is None:
            trace = model.predict(shown)
        else:
            y = [asked_by(net, [row])[0] if np.ndim(row) == 0 else row for row in y]
            trace = model.train(shown, np.array(y)[np.newaxis])
        for t in range(period):
            closes = t == period - 1
            scores = trace.scores[0] if closes else scores
            moments.append(
                Moment(
                    spikes=_of_step(net, trace.spikes, delays.spikes, t),
                    errors=_of_step(net, trace.errors, delays.errors, t),
                    drives=_drives(net, trace, t - delays.spikes[-1]),
                    scores=scores,
                    state=saturated(net, model.state) if closes else before,
                    closes=closes,
                    shown=first // period + closes,
                    operations=None,
                )
            )
    return moments


def saturated(net, state):
    """Return a state as a checkpoint has it: the engine has one bit more for weights."""
    weights = tuple(map(arithmetic_of(net).round_weights, state.weights))
    return state._replace(weights=weights)


def _of_step(net, record, delays, t):
    """Return what each layer sends in step t of a sample, from 0 on."""
    sent = []
    for l, size in enumerate(net.layer_sizes):
        tau, rows = t - delays[l], record[l] if record else None
        is_busy = rows is not None and 0 <= tau < net.n_steps
        sent.append(rows[0, tau] if is_busy else np.zeros(size, int))
    return tuple(sent)


def _drives(net, trace, tau):
    """Return the summed drives, of which that of the output alone is known."""
    tau = min(tau, net.n_steps - 1)
    # Rounded to the grid, where it was before it was divided.
    drive = np.zeros(net.n_outputs) if tau < 0 else trace.step_scores[0, tau] * (tau + 1)
    drive = arithmetic_of(net).round(drive)
    return (None,) * net.n_layers + (drive,)
