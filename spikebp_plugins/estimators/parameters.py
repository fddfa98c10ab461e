"""Checks of the parameters of estimators, made when these are used, as scikit-learn does it."""

from __future__ import annotations

from typing import Any, Final

from spikebp_plugins.common.errors import integer, is_integer, sizes

#: The parameters that are fields of the definition.
NETWORK_PARAMETERS: Final = (
    "n_steps",
    "learning_rate",
    "input_scale",
    "update",
    "presynaptic",
    "spikes",
    "arithmetic",
    "fraction_bits",
    "backward_init",
    "feedback",
)


def check_hidden_layers(value: Any) -> tuple[int, ...]:
    """Return the sizes of hidden layers, given as a sequence or as the size of the only one."""
    name, allowed = "hidden_layer_sizes", "a sequence of positive integers, or one of them"
    if is_integer(value):
        return (integer(name, value, 1, allowed=allowed),)
    return sizes(name, value, allowed)
