"""The verdict on a random graph: equal to the reference, refused, or different, and where first."""

import re

import numpy as np

from spikebp_plugins import Checkpoint, UnsupportedError
from spikebp_plugins.network.state import initial_state
from tests.verdicts import DifferenceError, RefusedError, verdict_on
from tests.with_lava.random_graphs.player import Player

#: The refusals that are documented, by the class of the error and its message.
REFUSALS = (
    (UnsupportedError, r"it knows arithmetic=.*, not arithmetic='loihi2'"),
    (UnsupportedError, r"fixed_pt computes with integers, not with arithmetic='float\d\d'"),
    (UnsupportedError, r"not its drive, with which presynaptic='drive' teaches"),
    (UnsupportedError, r"does not know the drive, with which presynaptic='drive' teaches"),
    (UnsupportedError, r"they know arithmetic='loihi2', not arithmetic='fixed'"),
    (UnsupportedError, r"round nothing as arithmetic='loihi2' does"),
    (UnsupportedError, r"of standard parts there are no (Conv2D|AveragePool2D|Sparse) connections"),
    (UnsupportedError, r"reset_in is to be left unconnected"),
    (ValueError, r"a label must be known at all steps of a sample or at none"),
    (ValueError, r"label_in must be 0 to \d+ in a sample that learns; got -1"),
    (ValueError, r"must be sent whole numbers of 32 bits in fixed_pt"),
    (ValueError, r"must be without negative spikes in fixed_pt"),
    (ValueError, r"spikes_in must be spike counts -1, 0 or 1 with spikes='binary'"),
    (ValueError, r"learning_rate must be from .* for Lava's engine in fixed_pt"),
    (OverflowError, r"may leave the range in which all sums are exact"),
    (OverflowError, r"of layer \d+ must stay below .* in magnitude"),
)


def assert_equal(name, played, messages):
    """Raise DifferenceError with the first message at which a network differs, and how."""
    found = played.found()
    differences = [
        *different_records(found.records, messages),
        *different_looks(played, found.looks, messages),
        *different_ends(found, messages),
    ]
    if differences:
        message, what = min(differences, key=lambda difference: difference[0])
        raise DifferenceError(f"{name} network, step {message}: {what}")


def different_records(records, messages):
    for name, seen in records.items():
        for message, row in enumerate(seen[: len(messages)]):
            wanted = recorded(name, messages, message)
            if wanted is None:
                continue
            wanted = np.asarray(wanted, float).reshape(-1)
            if len(wrong := np.flatnonzero(row != wanted)):
                unit = wrong[0]
                values = f"{row[unit]} in Lava, {wanted[unit]} in the reference"
                yield message, f"{name}, unit {unit}: {values}"
                break


def recorded(name, messages, number):
    """Return what should have been recorded at a message, or None if that is not known."""
    message = messages[number]
    if message.last is None:
        return None
    if name == "output":
        return message.spikes
    if name == "drive":
        return message.last.drives[-1]
    if name == "behind":
        return messages[number - 1].spikes if number else np.zeros_like(message.spikes)
    kind, l = name
    if kind == "weight":
        return message.last.state.weights[l - 1]
    return {"spike_count": message.last.spikes, "error": message.last.errors}[kind][l]


def different_looks(played, looks, messages):
    for n_messages, look in looks.items():
        moment = messages[n_messages - 1].last
        if moment is None:
            continue
        for name, value in look.items():
            if name != "state":
                wanted = {"spike_count": moment.spikes, "error": moment.errors}[name[0]][name[1]]
                if not np.array_equal(value, wanted):
                    yield n_messages - 1, f"{name} read: {value}, not {wanted}"
            # A checkpoint holds no sample that is half shown, but weights learn at every step.
            elif moment.closes or played.part.form != "standard":
                names = STATE if moment.closes else STATE[:1]
                if what := differing_state(value, moment.state, names):
                    yield n_messages - 1, f"{what} when the run was over"


#: The parts of a learning state.
STATE = ("weights", "backward_potentials", "feedback", "samples_seen")


def differing_state(state, wanted, names=STATE):
    """Return the first place where two learning states differ, or None."""
    for name in names:
        one, other = getattr(state, name), getattr(wanted, name)
        both = [(one, other)] if name == "samples_seen" else zip(one, other, strict=True)
        for i, (one, other) in enumerate(both):
            one, other = np.asarray(one), np.asarray(other)
            if len(wrong := np.argwhere(one != other)):
                at = tuple(wrong[0])
                return f"{name}[{i}]{list(map(int, at))} is {one[at]} and not {other[at]}"
    return None


def different_ends(found, messages):
    last = messages[-1].last
    if found.scores is not None:
        closing = [m.last.scores for m in messages if m.last is not None and m.last.closes]
        wanted = np.array(closing).reshape(-1, found.scores.shape[-1])
        if not np.array_equal(found.scores, wanted):
            yield len(messages) - 1, f"scores are {found.scores}, not {wanted}"
    # In the middle of a sample the spikes of its first steps have been counted already.
    is_known = last.operations is not None
    if is_known and last.closes and found.operations != last.operations:
        text = f"{found.operations} in Lava, {last.operations} in the reference"
        yield len(messages) - 1, text


def refusal(error):
    """Return the message with which something documented was refused; None if it just failed."""
    for kind, sentence in REFUSALS:
        if isinstance(error, kind) and re.search(sentence, str(error)):
            return f"{type(error).__name__}: {error}"
    return None


def judge(graph):
    """Return the verdict on a graph."""
    return verdict_on(compare, graph)


def compare(graph):
    """Raise DifferenceError if a graph differs from the reference, RefusedError if it is refused.

    An error of the reference is a difference: what it cannot compute must have been refused.
    """
    random = np.random.default_rng([graph.seed, 3])
    start = [Checkpoint(part.net, drawn_state(part.net, random)) for part in graph.parts]
    reached, wanted = compare_one(graph, start, start)
    if graph.then is not None:
        compare_one(graph.then, [reached], [wanted])


def drawn_state(net, random):
    """Return a state with weights with which layers spike."""
    size = 0.2 if net.arithmetic == "loihi2" else 0.8
    return initial_state(net, [size * random.standard_normal(s) for s in net.weight_shapes])


def compare_one(graph, start, wanted):
    """Play a graph from some checkpoints; return what both sides have reached."""
    player = played(graph, start)
    said = player.moments(wanted)
    for number, name in enumerate(("first", "second")[: len(start)]):
        assert_equal(name, player.parts[number], said[number])
    last = said[0][-1].last
    state = None if last is None else last.state
    return player.parts[0].network.checkpoint(), Checkpoint(graph.parts[0].net, state)


def played(graph, start):
    player = None
    try:
        player = Player(graph, start)
        player.play()
    except Exception as error:
        if (reason := refusal(error)) is None:
            raise
        if player is not None:
            assert_unchanged(player, start)
        raise RefusedError(reason) from error
    return player


def assert_unchanged(player, start):
    """Assert that a refused run has left each network as the run before did."""
    for part, checkpoint in zip(player.parts, start, strict=True):
        before = [look["state"] for look in part.looks.values()] or [checkpoint.state]
        if player.settings:
            continue
        if what := differing_state(part.network.checkpoint().state, before[-1]):
            raise DifferenceError(f"a refused run has changed: {what}")
