"""The parameters that all estimators share, checked when they are used, as scikit-learn does it."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, fields
from operator import is_
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    ArgumentError,
    choice,
    integer,
    positive,
    wrong_argument,
)
from spikebp_plugins.estimators.locks import EstimatorLocks
from spikebp_plugins.estimators.schedule import Schedule
from spikebp_plugins.estimators.structure import Structure
from spikebp_plugins.network.connections import Layer
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition


@dataclass(eq=False, repr=False, kw_only=True)
class NetworkParameters(EstimatorLocks):
    """The parameters of an estimator that describe its network and where it runs.

    Parameters
    ----------
    learning_rate : float or None, default=None
        Learning rate of stochastic gradient descent. None takes 1 with ``update="normalized"``, or
        0.6 for a network that `fit` makes, and otherwise 0.02, or for the regressor 0.01.
    rate_halvings : int or None, default=None
        How often the rate is halved: after 128 training samples, 512, 2,048, .. With
        ``update="normalized"`` None takes 3, and 6 for a network that `fit` makes, whose samples
        come again; otherwise it takes 0.
    n_steps : int, default=10
        Steps for which a sample is shown.
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
        classifiers in fixed point, with graded spikes and ``presynaptic="counts"``, and otherwise
        "fractional".
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
        on the number of inputs. None takes "quiet" with ``update="normalized"``, and otherwise
        "paper"; in fixed point the estimators for river take "growing".
    """

    learning_rate: float | None = None
    rate_halvings: int | None = None
    n_steps: int = 10
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

    #: The learning rate that None takes, but for ``update="normalized"``.
    _default_rate: ClassVar[float] = 0.02
    #: Whether None takes ``update="normalized"`` where that is possible. It moves hidden layers by
    #: the square of the targets: the rate fits those of labels, and not real ones of any size.
    _normalizes: ClassVar[bool] = True
    #: The place of the constant input of `intercept`.
    intercept_at: ClassVar[int] = -1
    #: Spikes a step for a feature that is one deviation from its mean.
    _spread: ClassVar[float] = 1.0

    def __dask_tokenize__(self) -> bytes:
        # Of a dataclass Dask would take the fields alone, which say nothing of what was learned.
        return pickle.dumps(self)

    def _definition(
        self,
        structure: Structure,
        n_inputs: int,
        n_outputs: int,
        seed: int,
        schedule: Schedule,
    ) -> Definition:
        values = {name: getattr(self, name) for name in NETWORK_PARAMETERS}
        values |= {"update": self._update, "learning_rate": schedule.rate, "spikes_per_unit": 1}
        if self.weight_init is None:
            of_layers = "paper" if structure.is_dense else "he"
            values["weight_init"] = self._automatic_weight_init or of_layers
        values |= self._further_fields(structure)
        net = structure.network(n_inputs, n_outputs, seed=seed, **values)
        return net.replace(fraction_bits=self._grid_of_all_rates(net, schedule))

    def _grid_of_all_rates(self, net: Definition, schedule: Schedule) -> int | None:
        """Return fraction bits for the first rate and the last, or raise before any is taken."""
        try:
            last = net.replace(learning_rate=schedule.lowest, fraction_bits=self.fraction_bits)
        except ArgumentError as error:
            allowed = f"such that the last learning rate, {schedule.lowest:.3g}, is large enough"
            raise wrong_argument("rate_halvings", allowed, schedule.halvings) from error
        return last.fraction_bits

    def _with_constant(self, X: NDArray[np.float64], net: Definition) -> NDArray[np.float64]:
        """Return input of shape (n_samples, n_features) with the constant one at its place."""
        inputs = np.empty((len(X), X.shape[1] + 1))
        inputs[:, slice(1, None) if self.intercept_at == 0 else slice(-1)] = X
        # The network multiplies all of its input by input_scale: the product is to be 1.
        inputs[:, self.intercept_at] = 1 / net.input_scale
        return inputs

    @property
    def _automatic_weight_init(self) -> str | None:
        """What ``weight_init=None`` takes, if it does not depend on the connections."""
        return "quiet" if self._update == "normalized" else None

    def _further_fields(self, structure: Structure) -> dict[str, Any]:
        """Return the fields of the definition that no parameter gives as it is."""
        return {}

    @property
    def _update(self) -> str:
        if self.update is not None:
            return self.update
        kinds = (self.arithmetic, self.presynaptic, self.spikes)
        is_possible = kinds == ("fixed", "counts", "graded")
        return "normalized" if self._normalizes and is_possible else "fractional"

    def _schedule(self, has_epochs: bool) -> Schedule:
        """Return the learning rates for samples that come once or in epochs."""
        is_normalized = self._update == "normalized"
        rate, halvings = self.learning_rate, self.rate_halvings
        if rate is None:
            rate = self._default_rate
            if is_normalized:
                rate = NORMALIZED_RATE_OF_EPOCHS if has_epochs else NORMALIZED_RATE
        if halvings is None:
            few = NORMALIZED_HALVINGS_OF_EPOCHS if has_epochs else NORMALIZED_HALVINGS
            halvings = few if is_normalized else 0
        most = LARGEST_HALVINGS
        return Schedule(
            positive("learning_rate", rate), integer("rate_halvings", halvings, 0, most)
        )

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
        Spikes that the unit of the right class is to send in a step, and those of the others none.
        None takes 2.0, unless ``update="normalized"``.
    label_targets : sequence of two floats or None, default=None
        Spikes that a unit of a wrong class is to send in a step, and that of the right one: (1, 5)
        instead of a `target`. None takes (0, `target`), or with ``update="normalized"`` and no
        `target` (3/4, 8), without hidden layers (0, 8).
    """

    target: float | None = None
    label_targets: Any = None

    def _further_fields(self, structure: Structure) -> dict[str, Any]:
        if self.label_targets is None and self.target is None and self._update == "normalized":
            wrong, right = NORMALIZED_LABEL_TARGETS
            # Without hidden layers, what one class asks of an output drives it below zero for the
            # opposite input, where it would have no error, and never learn its own class.
            return {"label_targets": (wrong if structure.hidden_layers else 0.0, right)}
        if self.label_targets is None:
            target = TARGET if self.target is None else positive("target", self.target)
            return {"label_targets": (0.0, target)}
        if self.target is not None:
            raise wrong_argument("target", "None beside label_targets", repr(self.target))
        return {"label_targets": self.label_targets}


#: What parameters that are None take with ``update="normalized"``.
NORMALIZED_RATE: Final = 1.0
NORMALIZED_RATE_OF_EPOCHS: Final = 0.6
NORMALIZED_HALVINGS: Final = 3
NORMALIZED_HALVINGS_OF_EPOCHS: Final = 6
NORMALIZED_LABEL_TARGETS: Final = (0.75, 8.0)
#: With more, the rate would be halved after more samples than anyone has.
LARGEST_HALVINGS: Final = 20

#: What ``target=None`` takes.
TARGET: Final = 2.0

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
