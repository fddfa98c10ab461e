"""Checks of the parameters of estimators, made when these are used, as scikit-learn does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Final

import numpy as np

from spikebp_plugins.common.errors import wrong_argument

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


def check_flag(name: str, value: object) -> bool:
    """Return a parameter, which must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_argument(name, "True or False", repr(value))
    return bool(value)


def check_integer(name: str, value: Any, lowest: int = 1) -> int:
    """Return a parameter, which must be an integer of at least `lowest`."""
    if not _is_integer(value) or value < lowest:
        raise wrong_argument(name, f"an integer of at least {lowest}", repr(value))
    return int(value)


def check_real(name: str, value: Any, allowed: str, holds: Callable[[float], bool]) -> float:
    """Return a parameter, which must be a finite number for which `holds` is true."""
    is_real = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not is_real or not math.isfinite(value) or not holds(float(value)):
        raise wrong_argument(name, allowed, repr(value))
    return float(value)


def check_positive(name: str, value: Any, allowed: str = "a positive finite number") -> float:
    """Return a parameter, which must be a finite number above zero."""
    return check_real(name, value, allowed, lambda number: number > 0)


def check_hidden_layers(value: Any) -> tuple[int, ...]:
    """Return the sizes of hidden layers, given as a sequence or as the size of the only one."""
    sizes = [value] if _is_integer(value) else value
    is_sequence = isinstance(sizes, (Sequence, np.ndarray)) and not isinstance(sizes, (str, bytes))
    if not is_sequence or not all(_is_integer(size) and size >= 1 for size in sizes):
        raise wrong_argument(
            "hidden_layer_sizes", "a sequence of positive integers, or one of them", repr(value)
        )
    return tuple(int(size) for size in sizes)


def _is_integer(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))
