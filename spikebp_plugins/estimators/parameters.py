"""The parameters that all estimators share, checked when they are used, as scikit-learn does it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from operator import is_
from typing import Any, ClassVar, Final

import numpy as np

from spikebp_plugins.common.errors import positive
from spikebp_plugins.estimators.learning_rate import TIMES_AT_FIRST, LearningRate
from spikebp_plugins.estimators.locks import EstimatorLocks
from spikebp_plugins.estimators.structure import Structure
from spikebp_plugins.network.connections import Layer
from spikebp_plugins.network.defaults import sends_few_spikes
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkParameters(EstimatorLocks):
    """The parameters of an estimator that describe its network and where it runs.

    Parameters
    ----------
    learning_rate : float or None, default=None
        Learning rate of stochastic gradient descent, which stays what it is. None begins with twice
        that of the table of defaults, which is halved after 128 training samples, 384, 1,152
        and 3,456, and in a stream begins anew when errors rise or a new label comes.
    n_steps : int or None, default=None
        Steps for which a sample is shown; None takes the table's 2.
    backend : str or None, default=None
        A back end by name, with its options if any: ``"brian2:numpy"``, ``"lava"``,
        ``"compiled:n_jobs=1"``. None takes "compiled", or "reference" where the engine in C is
        missing, which is said once.
    input_scale : float or "auto", default="auto"
        "auto" scales features by powers of two to what they have been so far; `fit` looks at all
        samples first. Dense features are centred, and cut at four deviations; sparse ones, which
        are mostly zero, share one factor. A number multiplies all: ``1/255`` for 8-bit pixels.
    update : {"fractional", "outer", "normalized"} or None, default=None
        Weights change at every step, or once at the end of a sample; with "normalized" at a rate
        that is divided by the squared spike counts of the layer below. None takes "normalized" for
        classifiers, where it is possible, and otherwise "fractional".
    spikes : {"graded", "binary"}, default="graded"
        Whether a unit may send several spikes in one step.
    arithmetic : {"fixed", "loihi2"}, default="fixed"
        Exact fixed point, equal on all back ends, or the numbers of a chip.
    feedback : {"transpose", "random"}, default="transpose"
        Backpropagation, or feedback alignment.
    """

    learning_rate: float | None = None
    n_steps: int | None = None
    backend: str | None = None
    input_scale: Any = "auto"
    update: str | None = None
    spikes: str = "graded"
    arithmetic: str = "fixed"
    feedback: str = "transpose"

    #: What ``update=None`` takes; None takes the table's. "normalized" moves hidden layers by the
    #: square of the targets: the rate fits those of labels, and not real ones of any size.
    _automatic_update: ClassVar[str | None] = None
    #: The initial weights in fixed point; None takes the table's.
    _weight_init: ClassVar[str | None] = None
    #: The index of the constant input, which serves as a bias.
    intercept_at: ClassVar[int] = -1

    def __dask_tokenize__(self) -> bytes:
        # For a dataclass Dask would hash the fields alone, without the learned state.
        return pickle.dumps(self)

    def _definition(
        self, structure: Structure, n_inputs: int, n_outputs: int, seed: int
    ) -> tuple[Definition, LearningRate]:
        """Return a network whose grid holds all learning rates, and these rates.

        Raises
        ------
        ValueError
            If a parameter is not allowed.
        """
        values = {name: getattr(self, name) for name in self._network_parameters()}
        scale, allowed = self.input_scale, "'auto' or a positive finite number"
        values["input_scale"] = 1.0 if self._scales else positive("input_scale", scale, allowed)
        if self.update is None:
            values["update"] = self._automatic_update
        if self.arithmetic == "fixed":
            values["weight_init"] = self._weight_init
        net = structure.network(n_inputs, n_outputs, seed=seed, **values)
        # A chip has too few learning rates to halve one four times.
        is_fixed = self.learning_rate is not None or self.arithmetic != "fixed"
        first = net.learning_rate * (1 if is_fixed else TIMES_AT_FIRST)
        rate = LearningRate(first, is_fixed, self._classes_of(n_outputs))
        # The grid of "normalized" holds far lower rates than it is made for, and a finer one would
        # leave less room for weights.
        last = net.replace(learning_rate=rate.low if net.update == "normalized" else rate.lowest)
        return net.replace(learning_rate=rate.first, fraction_bits=last.fraction_bits), rate

    def _classes_of(self, n_outputs: int) -> int:
        """Return how many classes the outputs stand for, as far as it is known; 0 for numbers."""
        return 0

    def _with_constant(self, X: Any, net: Definition) -> Any:
        """Return input of shape (n_samples, n_features) with the constant input inserted."""
        is_first, (n_rows, n_features) = self.intercept_at == 0, X.shape
        # The network multiplies all of its input by input_scale: the product is to be 1.
        constant = 1 / net.input_scale
        if isinstance(X, SparseRows):
            unit = X.unit + np.int32(1) if is_first else X.unit
            wider = SparseRows(X.begin, unit, X.number, n_features + 1)
            at = np.array([0 if is_first else n_features], np.int32)
            return wider.with_entries(at, np.array([[constant]]))
        inputs = np.empty((n_rows, n_features + 1))
        inputs[:, slice(1, None) if is_first else slice(-1)] = X
        inputs[:, self.intercept_at] = constant
        return inputs

    def _silence_monitor(self, has_constant: bool) -> SilenceMonitor:
        """Return what warns of a network, with a constant input or without, that does not fire."""
        constant_at = self.intercept_at if has_constant else None
        return SilenceMonitor(constant_at, input_is_scaled=self._scales)

    def _network_parameters(self) -> list[str]:
        """Return the names of the parameters that are fields of the definition, but for a seed."""
        of_definition = set(SpikingMLP.field_names()) - {"seed"}
        return [one.name for one in fields(self) if one.name in of_definition]

    @property
    def _spread(self) -> float:
        """The input for a feature that is one deviation from its mean."""
        return 1.0 if sends_few_spikes(self.spikes, self.arithmetic) else 2.0

    @property
    def _scales(self) -> bool:
        """Whether features are scaled and centred."""
        return isinstance(self.input_scale, str) and self.input_scale == "auto"


@dataclass(eq=False, repr=False, kw_only=True)
class LabelParameters(NetworkParameters):
    """The parameter of a classifier that says what a label asks of the output.

    Parameters
    ----------
    label_targets : sequence of two floats or None, default=None
        Spikes that a unit of a wrong class is to send in a step, and that of the right one: (1, 5).
        None takes the table's: 6 and 36, less than 6 for more than ten classes, and more than 36
        for more than 20.
    """

    label_targets: Any = None


#: Types whose values cannot change: the same object is the same value.
_CONSTANT: Final = frozenset([int, float, str, bool, type(None)])


class ParametersInUse:
    """A snapshot of the parameters of an estimator.

    An estimator that learns one sample at a time would spend most of its time on checks of what
    has not changed.

    Parameters
    ----------
    estimator : NetworkParameters
        The estimator.
    """

    def __init__(self, estimator: NetworkParameters) -> None:
        self._names = [field.name for field in fields(estimator)]
        values = [getattr(estimator, name) for name in self._names]
        self._values = values if all(map(_is_constant, values)) else None

    def are_those_of(self, estimator: NetworkParameters) -> bool:
        """Return whether an estimator is known to have the same parameters now."""
        if self._values is None:
            return False
        values = vars(estimator)
        # By identity: True and 1 are equal, but not both allowed.
        return all(map(is_, map(values.get, self._names), self._values))


def _is_constant(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_constant, value))
    return type(value) in _CONSTANT or isinstance(value, Layer)
