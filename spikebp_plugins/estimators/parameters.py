"""The parameters that all estimators share, and what parameters may be.

They are checked when they are used, as scikit-learn has it.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from inspect import cleandoc
from numbers import Integral, Real
from typing import Any, Final, TypeVar

import numpy as np

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.estimators.docstrings import with_parameters
from spikebp_plugins.network.definition import SpikingMLP

C = TypeVar("C", bound="type[NetworkParameters]")


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkParameters:
    """What an estimator is told of its network.

    Parameters
    ----------
    learning_rate : float
        Of stochastic gradient descent.
    n_steps : int, default=10
        Steps for which a sample is shown.
    backend : str, default="compiled"
        A back end by name, with its options if any: ``"brian2:numpy"``, ``"lava"``,
        ``"compiled:n_jobs=1"``.
    intercept : bool, default=True
        Whether a constant input of 1 is added behind the features. The network has no bias.
    input_scale : float, default=1.0
        Features are multiplied with it: ``1/255`` for 8-bit pixels.
    update : {"fractional", "outer"}, default="fractional"
        Weights change at every step, or once at the end of a sample.
    presynaptic : {"counts", "drive"}, default="counts"
        What an error teaches with: spikes sent, or the rectified drive.
    spikes : {"graded", "binary"}, default="graded"
        Whether a unit may send several spikes in one step.
    arithmetic : {"fixed", "float64", "float32", "loihi2"}, default="fixed"
        Exact fixed point, equal on all back ends; floating point; or the numbers of a chip.
    fraction_bits : int or None, default=None
        Fraction bits of fixed point; None chooses.
    backward_init : {"carry", "zero", "uniform"}, default="carry"
        Backward potentials at the start of a training sample.
    feedback : {"transpose", "random"}, default="transpose"
        Backpropagation, or feedback alignment.
    """

    learning_rate: float = 0.02
    n_steps: int = 10
    backend: str = "compiled"
    intercept: bool = True
    input_scale: float = 1.0
    update: str = "fractional"
    presynaptic: str = "counts"
    spikes: str = "graded"
    arithmetic: str = "fixed"
    fraction_bits: int | None = None
    backward_init: str = "carry"
    feedback: str = "transpose"

    def __dask_tokenize__(self) -> bytes:
        # Of a dataclass Dask would take the fields alone, which say nothing of what was learned.
        return pickle.dumps(self)

    def _definition(
        self, n_inputs: int, hidden_layers: Sequence[int], n_outputs: int, seed: int
    ) -> SpikingMLP:
        values = {name: getattr(self, name) for name in NETWORK_PARAMETERS}
        return SpikingMLP((n_inputs, *hidden_layers, n_outputs), seed=seed, **values)


#: The parameters that are fields of the definition.
NETWORK_PARAMETERS: Final = tuple(
    field.name
    for field in fields(NetworkParameters)
    if field.name in {field.name for field in fields(SpikingMLP)}
)


def with_shared_parameters(cls: C) -> C:
    """Add to the docstring of an estimator the parameters that it has from its bases."""
    bases = [base for base in cls.__mro__[1:] if issubclass(base, NetworkParameters)]
    cls.__doc__ = with_parameters(*(cleandoc(c.__doc__ or "") for c in (cls, *bases)))
    return cls


def check_flag(name: str, value: object) -> bool:
    """Return a parameter that is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong_argument(name, "True or False", repr(value))
    return bool(value)


def check_integer(name: str, value: Any, lowest: int = 1) -> int:
    """Return a parameter that is an integer of at least `lowest`."""
    if not _is_integer(value) or value < lowest:
        raise wrong_argument(name, f"an integer of at least {lowest}", repr(value))
    return int(value)


def check_real(name: str, value: Any, allowed: str, holds: Callable[[float], bool]) -> float:
    """Return a parameter that is a finite number for which a condition holds."""
    is_real = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not is_real or not math.isfinite(value) or not holds(float(value)):
        raise wrong_argument(name, allowed, repr(value))
    return float(value)


def check_positive(name: str, value: Any, allowed: str = "a positive finite number") -> float:
    """Return a parameter that is a finite number above zero."""
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
