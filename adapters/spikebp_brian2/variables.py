"""Values of the parts' variables: numbers of the definition, learning state, records of a run.

A variable is named by its part ("schedule", "layer_0", "synapses_1" for the synapses into layer 1)
and its own name, as in :mod:`spikebp_brian2.rules`, so that the functions here serve a running
simulation and a compiled program alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_brian2 import rules
from spikebp_brian2.parts import NetworkOfParts, VariableKey
from spikebp_brian2.range_check import RunExtremes, UnitExtremes
from spikebp_plugins import Operations
from spikebp_plugins.network.arithmetic import LIMIT, arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.learning_rule import Limit
from spikebp_plugins.network.operations import MessageTotals, count_operations
from spikebp_plugins.network.state import LearningState, RealState

#: How many steps a sample takes.
STEPS_PER_SAMPLE: Final[VariableKey] = ("schedule", "steps_per_sample")

#: A function that returns the values of a variable.
VariableReader = Callable[[VariableKey], NDArray[Any]]


def reader(mlp: NetworkOfParts) -> VariableReader:
    """Return the function that reads the variables of a network."""

    def read(place: VariableKey) -> NDArray[Any]:
        part, name = place
        return np.asarray(getattr(mlp.parts[part], name)[:])

    return read


def name_in_program(mlp: NetworkOfParts, owner: Any, variable: str) -> str:
    """Return the C++ name of the array of a variable."""
    name: str = mlp.device.get_array_name(owner.variables[variable], False)
    return f"brian::{name}"


def constants(net: Definition, n_steps: float) -> dict[VariableKey, float]:
    """Return the numbers of a definition, by variable; with others it is another network.

    `n_steps` is how many steps a sample takes; the rate follows from those of the definition.
    """
    rule = net.learning_rule
    units_per_one = 2.0**net.fraction_bits
    of_layers = {
        "units_per_one": units_per_one,
        "value_limit": arithmetic_of(net).limit,
        "count_limit": float(LIMIT),
        "binary": float(net.spikes == "binary"),
        "starts_at_zero": float(net.backward_init == "zero"),
        "input_factor": net.input_factor,
        "wrong_target": net.label_targets[0],
        "right_target": net.label_targets[1],
    }
    found: dict[VariableKey, float] = {STEPS_PER_SAMPLE: n_steps}
    for l in range(net.n_layers + 1):
        here = of_layers | _limits("count", rule.count_limit)
        if l > 0:
            here |= _limits("error", rule.weights[l - 1].error_limit)
        for name, value in here.items():
            if rules.has_variable(net, l, name):
                found[f"layer_{l}", name] = value
    for l, (connection, own) in enumerate(zip(net.connections, rule.weights, strict=True), 1):
        part = "rate" if rule.reads_squares else "synapses"
        found[f"{part}_{l}", "update_rate"] = math.ldexp(own.rate, -net.fraction_bits)
        if rule.reads_squares:
            found[f"rate_{l}", "units_per_one"] = units_per_one
        if rule.divides_rate:
            found[f"rate_{l}", "added_squares"] = float(own.added_squares)
        if rule.limits_gain:
            limits = _limits("gain", rule.gain_limit)
            found |= {(f"rate_{l}", name): limit for name, limit in limits.items()}
        if (weight := connection.constant_weight) is not None:
            found[f"kernel_{l}", "weight"] = float(arithmetic_of(net).round_weights(weight))
    return found


def _limits(what: str, limit: Limit) -> dict[str, float]:
    of_sample, of_step = map(float, limit)
    return {f"{what}_limit_of_sample": of_sample, f"{what}_limit_of_step": of_step}


def learned(net: Definition, state: LearningState | RealState) -> dict[VariableKey, NDArray[Any]]:
    """Return the values of a learning state, by variable."""
    found: dict[VariableKey, NDArray[Any]] = {
        ("schedule", "samples_seen"): np.array([state.samples_seen], np.float64)
    }
    for l, psi in enumerate(state.backward_potentials, 1):
        found[f"layer_{l}", "backward_potential"] = psi
    found |= placed_weights(net, state.weights)
    for l, matrix in enumerate(state.feedback, 2):
        if rules.has_backward_weights(net, l):
            # Turned as the weights of the connection are.
            turned = net.connections[l - 1].backward_weights(matrix)
            found[rules.part_with_weights(net, l), "backward_weight"] = turned.ravel()
    return found


def placed_weights(
    net: Definition, weights: Sequence[NDArray[Any]]
) -> dict[VariableKey, NDArray[Any]]:
    """Return the values of weights that learn, by variable."""
    return {
        (rules.part_with_weights(net, l), "weight"): matrix.ravel()
        for l, matrix in enumerate(weights, 1)
        if not rules.has_constant_weight(net, l)
    }


def read_state(net: Definition, read: VariableReader) -> RealState:
    """Return what the variables hold at present, on the grid or not."""
    upper = range(1, net.n_layers + 1)

    def feedback(l: int) -> NDArray[Any]:
        turned: NDArray[Any] = net.connections[l - 1].backward_weights(
            _read_matrix(net, read, l, "backward_weight")
        )
        return turned.copy()

    return RealState(
        weights=tuple(_read_matrix(net, read, l, "weight") for l in upper),
        backward_potentials=tuple(
            np.array(read((f"layer_{l}", "backward_potential"))) for l in upper[:-1]
        ),
        feedback=tuple(feedback(l) for l in upper[1:] if net.feedback == "random"),
        samples_seen=int(read(("schedule", "samples_seen"))[0]),
    )


def _read_matrix(net: Definition, read: VariableReader, l: int, name: str) -> NDArray[Any]:
    shape = net.weight_shapes[l - 1]
    if rules.has_constant_weight(net, l):
        return np.zeros(shape)
    return np.array(read((rules.part_with_weights(net, l), name))).reshape(shape)


def is_half_taught(read: VariableReader) -> bool:
    """Return whether there is a sample that has had a target and is not over."""
    return bool(read(("schedule", "in_training"))[0] and not read(("schedule", "sample_over"))[0])


def read_state_after_last_sample(net: Definition, read: VariableReader) -> RealState:
    """Return the learning state without what a sample has taught that is not over."""
    state = read_state(net, read)
    if not is_half_taught(read):
        return state
    return state._replace(
        weights=tuple(
            W + _read_sample_change(net, read, l) for l, W in enumerate(state.weights, 1)
        ),
        backward_potentials=tuple(
            np.array(read((f"layer_{l}", "backward_potential_before")))
            for l in range(1, net.n_layers)
        ),
    )


def _read_sample_change(net: Definition, read: VariableReader, l: int) -> NDArray[Any] | float:
    """Return what the weights into layer l have lost in the present sample."""
    if not rules.has_sample_change(net, l):
        return 0.0
    change = _read_matrix(net, read, l, "sample_change")
    if not rules.has_own_weights(net, l):
        return change
    had_error = (read((f"layer_{l}", "earlier_errors")) != 0) | (read((f"layer_{l}", "error")) != 0)
    connection = net.connections[l - 1]
    return np.where(connection.outer(np.ones(connection.n_below), had_error), change, 0.0)


def read_operations(net: Definition, read: VariableReader, seen_before: int) -> Operations:
    """Return the synaptic operations counted since `samples_seen` was `seen_before`."""
    layers = range(net.n_layers + 1)

    def counted(name: str, first: int) -> list[NDArray[np.int64]]:
        none = [np.zeros(1, np.int64)] * first
        named = (np.asarray(read((f"layer_{l}", name))) for l in layers[first:])
        return [*none, *(counts.astype(np.int64) for counts in named)]

    sent = MessageTotals(
        spikes=counted("spikes_sent", 0),
        errors=counted("errors_sent", 1),
        messages=counted("messages_sent", 0),
        error_messages=counted("error_messages_sent", 1),
    )
    return count_operations(
        net,
        sent,
        sum(int(np.sum(read((f"layer_{l}", "weights_changed")))) for l in layers[:-1]),
        shown=int(read(("schedule", "samples_shown"))[0]),
        trained=int(read(("schedule", "samples_seen"))[0]) - seen_before,
    )


def seen_places(net: Definition) -> list[VariableKey]:
    """Return the variables from which the range of a run is proven; they begin at 0."""
    of_units = [
        (f"layer_{l}", name)
        for l in range(net.n_layers + 1)
        for name in UnitExtremes._fields
        if rules.has_variable(net, l, name)
    ]
    learning = [l for l in range(1, net.n_layers + 1) if not rules.has_constant_weight(net, l)]
    return of_units + [_place_of_travel(net, l) for l in learning]


def read_seen(net: Definition, read: VariableReader) -> RunExtremes:
    """Return the extremes of a run."""
    units = [
        UnitExtremes(
            *(
                np.array(read((f"layer_{l}", name)), np.float64)
                if rules.has_variable(net, l, name)
                else np.zeros(net.layer_sizes[l])
                for name in UnitExtremes._fields
            )
        )
        for l in range(net.n_layers + 1)
    ]
    return RunExtremes(units, [_read_travel(net, read, l) for l in range(1, net.n_layers + 1)])


def _place_of_travel(net: Definition, l: int) -> VariableKey:
    part = f"layer_{l - 1}" if rules.has_own_weights(net, l) else f"kernel_{l}"
    return part, "weight_travel"


def _read_travel(net: Definition, read: VariableReader, l: int) -> NDArray[Any]:
    """Return bounds of how far each of the weights into layer l has changed."""
    connection = net.connections[l - 1]
    if rules.has_constant_weight(net, l):
        return np.zeros(connection.weight_shape)
    travel = np.array(read(_place_of_travel(net, l)), np.float64)
    if rules.has_own_weights(net, l):
        # The summed changes of all weights of the synapses that start from a unit.
        return connection.outer(travel, np.ones(connection.n_above))
    return travel.reshape(connection.weight_shape)
