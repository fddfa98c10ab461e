"""Values of the parts' variables: numbers of the definition, learning state, records of a run.

A variable is named by its part ("schedule", "layer_0", "synapses_1" for the synapses into layer 1)
and its own name, as in :mod:`spikebp_brian2.rules`, so that the functions here serve a running
simulation and a compiled program alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_brian2 import rules
from spikebp_brian2.proof import Seen
from spikebp_plugins import Operations
from spikebp_plugins.network.arithmetic import LIMIT, arithmetic_of
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import count_operations
from spikebp_plugins.network.rates import added_squares, learning_rate_into, summed_error_limit
from spikebp_plugins.network.state import LearningState

#: Part and name of a variable.
Place = tuple[str, str]

#: A function that returns the values of a variable.
Read = Callable[[Place], NDArray[Any]]


def constants(net: Definition) -> dict[Place, float]:
    """Return the numbers of a definition, by variable."""
    bits = net.fraction_bits
    of_layers = {
        "units_per_one": 1.0 if bits is None else 2.0**bits,
        "value_limit": arithmetic_of(net).limit,
        "count_limit": float(LIMIT),
        "binary": float(net.spikes == "binary"),
        "input_scale": net.input_scale,
        "wrong_target": net.label_targets[0],
        "right_target": net.label_targets[1],
        "update_rate": net.rate,
        "added_squares": float(added_squares(net)),
        "seed_of_draws": float(net.seed),
        "bits_of_draws": 53.0 if bits is None else float(bits),
    }
    found = {}
    for l in range(net.n_layers + 1):
        here = of_layers | {"drawn_before": float(sum(net.layer_sizes[1:l]))}
        if l > 0 and net.update == "normalized":
            here["update_rate"] = learning_rate_into(net, l)
            here["summed_error_limit"] = float(summed_error_limit(net, l))
        for name, value in here.items():
            if rules.has_variable(net, l, name):
                found[f"layer_{l}", name] = value
        if l > 0 and rules.has_rate_of_synapses(net):
            found[f"synapses_{l}", "update_rate"] = net.rate
    return found


def learned(state: LearningState) -> dict[Place, NDArray[Any]]:
    """Return the values of a learning state, by variable."""
    found: dict[Place, NDArray[Any]] = {
        ("schedule", "samples_seen"): np.array([state.samples_seen], np.float64)
    }
    for l, matrix in enumerate(state.weights, 1):
        found[f"synapses_{l}", "weight"] = matrix.ravel()
    for l, matrix in enumerate(state.feedback, 2):
        found[f"synapses_{l}", "backward_weight"] = matrix.T.ravel()
    for l, psi in enumerate(state.backward_potentials, 1):
        found[f"layer_{l}", "backward_potential"] = psi
    return found


def read_state(net: Definition, read: Read) -> LearningState:
    """Return the learning state that the variables hold."""
    dtype = arithmetic_of(net).dtype

    def matrix(l: int, name: str) -> NDArray[Any]:
        shape = net.weight_shapes[l - 1]
        return np.array(read((f"synapses_{l}", name)), dtype).reshape(shape)

    hidden = range(1, net.n_layers)
    backward = range(2, net.n_layers + 1) if net.feedback == "random" else ()
    return LearningState(
        weights=tuple(matrix(l, "weight") for l in range(1, net.n_layers + 1)),
        backward_potentials=tuple(
            np.array(read((f"layer_{l}", "backward_potential")), dtype) for l in hidden
        ),
        feedback=tuple(matrix(l, "backward_weight").T.copy() for l in backward),
        samples_seen=int(read(("schedule", "samples_seen"))[0]),
    )


def read_operations(net: Definition, read: Read, seen_before: int) -> Operations:
    """Return the synaptic operations counted since `samples_seen` was `seen_before`."""

    def total(l: int, name: str) -> int:
        return int(np.sum(read((f"layer_{l}", name))))

    layers = range(net.n_layers + 1)
    return count_operations(
        net,
        [total(l, "spikes_sent") for l in layers],
        [0, *(total(l, "errors_sent") for l in layers[1:])],
        sum(total(l, "weights_changed") for l in layers[:-1]),
        shown=int(read(("schedule", "samples_shown"))[0]),
        trained=int(read(("schedule", "samples_seen"))[0]) - seen_before,
    )


def read_seen(net: Definition, read: Read) -> list[Seen]:
    """Return what layers 0..L have seen in a run."""
    return [
        Seen(
            *(
                np.array(read((f"layer_{l}", name)), np.float64)
                if rules.has_variable(net, l, name)
                else np.zeros(net.layer_sizes[l])
                for name in Seen._fields
            )
        )
        for l in range(net.n_layers + 1)
    ]
