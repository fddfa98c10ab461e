"""The parameters that all estimators share, checked when they are used, as scikit-learn does it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from operator import is_
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import choice, positive, wrong_argument
from spikebp_plugins.estimators.learning_rate import TIMES_AT_FIRST, LearningRate
from spikebp_plugins.estimators.locks import EstimatorLocks
from spikebp_plugins.estimators.structure import Structure
from spikebp_plugins.network.connections import Layer
from spikebp_plugins.network.defaults import sends_few_spikes
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition


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
    intercept : bool, default=True
        Whether a constant input of 1 is added behind the features. The network has no bias.
    input_scale : float, default=1.0
        The factor by which features are multiplied: ``1/255`` for 8-bit pixels.
    scale_inputs : {"auto", "off"}, default="auto"
        "auto" scales features by powers of two, and centres them, to what they have been so far;
        `fit` looks at all samples first. With another `input_scale` than 1 it does nothing.
    update : {"fractional", "outer", "normalized"} or None, default=None
        Weights change at every step, or once at the end of a sample; with "normalized" at a rate
        that is divided by the squared spike counts of the layer below. None takes "normalized" for
        classifiers, where it is possible, and otherwise "fractional".
    presynaptic : {"counts", "drive"}, default="counts"
        What an update multiplies errors by: counts of spikes sent, or the rectified drive.
    spikes : {"graded", "binary"}, default="graded"
        Whether a unit may send several spikes in one step.
    arithmetic : {"fixed", "loihi2"}, default="fixed"
        Exact fixed point, equal on all back ends, or the numbers of a chip.
    fraction_bits : int or None, default=None
        Fraction bits of fixed point; None takes as many as `learning_rate` needs.
    backward_init : {"carry", "zero", "uniform"}, default="carry"
        Backward potentials at the start of a training sample.
    feedback : {"transpose", "random"}, default="transpose"
        Backpropagation, or feedback alignment.
    weight_init : {"paper", "he", "quiet", "growing"} or None, default=None
        Standard deviation of the initial weights: 0.01, or the root of two by the inputs of a unit.
        "quiet" has quiet outputs until they have learned, and "growing" weights that do not depend
        on the number of inputs. None takes "quiet"; in fixed point the estimators for river take
        "growing".
    """

    learning_rate: float | None = None
    n_steps: int | None = None
    backend: str | None = None
    intercept: bool = True
    input_scale: float = 1.0
    scale_inputs: str = "auto"
    update: str | None = None
    presynaptic: str = "counts"
    spikes: str = "graded"
    arithmetic: str = "fixed"
    fraction_bits: int | None = None
    backward_init: str = "carry"
    feedback: str = "transpose"
    weight_init: str | None = None

    #: What ``update=None`` takes; None takes the table's. "normalized" moves hidden layers by the
    #: square of the targets: the rate fits those of labels, and not real ones of any size.
    _automatic_update: ClassVar[str | None] = None
    #: What ``weight_init=None`` takes in fixed point; None takes the table's.
    _automatic_weight_init: ClassVar[str | None] = None
    #: The place of the constant input of `intercept`.
    intercept_at: ClassVar[int] = -1

    def __dask_tokenize__(self) -> bytes:
        # Of a dataclass Dask would take the fields alone, which say nothing of what was learned.
        return pickle.dumps(self)

    def _definition(
        self, structure: Structure, n_inputs: int, n_outputs: int, seed: int
    ) -> tuple[Definition, LearningRate]:
        """Return a network with a grid that holds all learning rates, and these.

        Raises
        ------
        ValueError
            If a parameter is not allowed.
        """
        values = {name: getattr(self, name) for name in NETWORK_PARAMETERS}
        values |= self._further_fields()
        if self.update is None:
            values["update"] = self._automatic_update
        if self.weight_init is None and self.arithmetic == "fixed":
            values["weight_init"] = self._automatic_weight_init
        net = structure.network(n_inputs, n_outputs, seed=seed, **values)
        # A chip has too few learning rates to halve one four times.
        is_fixed = self.learning_rate is not None or self.arithmetic != "fixed"
        rate = LearningRate(net.learning_rate * (1 if is_fixed else TIMES_AT_FIRST), is_fixed)
        last = net.replace(learning_rate=rate.lowest, fraction_bits=self.fraction_bits)
        return net.replace(learning_rate=rate.first, fraction_bits=last.fraction_bits), rate

    def _with_constant(self, X: NDArray[np.float64], net: Definition) -> NDArray[np.float64]:
        """Return input of shape (n_samples, n_features) with the constant one at its place."""
        inputs = np.empty((len(X), X.shape[1] + 1))
        inputs[:, slice(1, None) if self.intercept_at == 0 else slice(-1)] = X
        # The network multiplies all of its input by input_scale: the product is to be 1.
        inputs[:, self.intercept_at] = 1 / net.input_scale
        return inputs

    def _further_fields(self) -> dict[str, Any]:
        """Return the fields of the definition that no parameter gives as it is."""
        return {}

    @property
    def _spread(self) -> float:
        """The input for a feature that is one deviation from its mean."""
        return 1.0 if sends_few_spikes(self.spikes, self.arithmetic) else 2.0

    @property
    def _scales(self) -> bool:
        """Whether features are scaled and centred."""
        return choice("scale_inputs", self.scale_inputs, ("auto", "off")) == "auto" and (
            self.input_scale == 1
        )


@dataclass(eq=False, repr=False, kw_only=True)
class LabelParameters(NetworkParameters):
    """The parameters of a classifier that say what a label asks of the output.

    Parameters
    ----------
    target : float or None, default=None
        Spikes that the unit of the right class is to send in a step, and those of the others none:
        (0, `target`) for `label_targets`. Give one of the two.
    label_targets : sequence of two floats or None, default=None
        Spikes that a unit of a wrong class is to send in a step, and that of the right one: (1, 5).
        None takes the table's: 6 and 36, and less than 6 for more than ten classes.
    """

    target: float | None = None
    label_targets: Any = None

    def _further_fields(self) -> dict[str, Any]:
        if self.target is None:
            return {"label_targets": self.label_targets}
        if self.label_targets is not None:
            raise wrong_argument("target", "None beside label_targets", repr(self.target))
        return {"label_targets": (0.0, positive("target", self.target))}


#: The parameters that are fields of the definition.
NETWORK_PARAMETERS: Final = tuple(
    field.name for field in fields(NetworkParameters) if field.name in SpikingMLP.field_names()
)


#: Types whose values cannot change: the same object is the same value.
_CONSTANT: Final = frozenset([int, float, str, bool, type(None)])


class ParametersInUse:
    """The parameters of an estimator as they were at some moment.

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
        """Return whether it is certain that an estimator has the same parameters now."""
        if self._values is None:
            return False
        values = vars(estimator)
        # By identity: True and 1 are equal, but not both allowed.
        return all(map(is_, map(values.get, self._names), self._values))


def _is_constant(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_is_constant, value))
    return type(value) in _CONSTANT or isinstance(value, Layer)
