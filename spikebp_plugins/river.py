"""The network as a classifier of river: one sample at a time, classes and features as they come.

Needs river: ``pip install "spikebp-plugins[river]"``.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

try:
    from river import base
except ImportError as error:
    raise ImportError(
        'the classifier for river needs river: pip install "spikebp-plugins[river]"'
    ) from error

from spikebp_plugins.common.errors import boolean, integer, wrong_argument
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.parameters import (
    LabelParameters,
    check_hidden_layers,
    with_shared_parameters,
)
from spikebp_plugins.estimators.scaling import InputScaling
from spikebp_plugins.estimators.temperature import Temperature
from spikebp_plugins.estimators.watch import Watch
from spikebp_plugins.network.checkpoint import Checkpoint


@with_shared_parameters
@dataclass(eq=False, repr=False)
class SpikingMLPClassifier(base.Classifier, LabelParameters):
    """A spiking network that learns to classify from a stream.

    The network has a fixed number of inputs and outputs. Learning assigns them to names as these
    come: new features of a sample take the next inputs, in the order of their ``repr``; a new label
    takes the next output. A feature that a sample does not have counts as 0. Prediction assigns no
    inputs: a feature that has no input yet counts as 0 there. Features may have any size, since
    they are scaled as they come (`scale_inputs`). Learning the same samples in the same order gives
    the same integers on every back end.

    Parameters
    ----------
    n_features : int
        Number of inputs: the most different features that may appear.
    n_classes : int
        Number of outputs: the most different labels that may appear.
    hidden_layer_sizes : sequence of int, or int, default=(100,)
        Units of the hidden layers; an integer is the size of the only one.
    seed : int, default=0
        Seed of the definition.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from spikebp_plugins.river import SpikingMLPClassifier
    >>> model = SpikingMLPClassifier(n_features=9, n_classes=2)
    >>> accuracy = evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    >>> accuracy.get() > 0.85
    True
    """

    n_features: int
    n_classes: int
    hidden_layer_sizes: Any = (100,)
    _: KW_ONLY
    seed: int = 0

    def __post_init__(self) -> None:
        self.n_features = integer("n_features", self.n_features, 1)
        self.n_classes = integer("n_classes", self.n_classes, 1)
        self.intercept = boolean("intercept", self.intercept)
        hidden = check_hidden_layers(self.hidden_layer_sizes)
        n_inputs = self.n_features + self.intercept
        net = self._definition(n_inputs, hidden, self.n_classes, self.seed)
        self._learned = LazySimulator.untrained(net)
        self._temperature, self._watch = Temperature(), Watch()
        self._scaling: InputScaling | None = None
        if self._scales:
            self._scaling = InputScaling.unknown(self.n_features, self._spread)
        self._rates = self._schedule
        self._inputs: dict[Hashable, int] = {}
        self._outputs: dict[Hashable, int] = {}
        # The names of the last sample, the inputs at that time, and the places of its values.
        self._places: tuple[Any, ...] = (), self._inputs, [], []

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # In a pickle from before the definition knew what labels ask for, it lacks the target.
        self._learned = self._learned.with_fields(**self._further_fields())

    @property
    def _multiclass(self) -> bool:
        return True

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"n_features": 20, "n_classes": 10}

    @property
    def checkpoint(self) -> Checkpoint:
        """Definition and learning state, from which any back end can go on."""
        return self._learned.checkpoint

    @property
    def features(self) -> list[Hashable]:
        """The features met so far, in the order of the inputs."""
        return list(self._inputs)

    @property
    def classes(self) -> list[Hashable]:
        """The labels met so far, in the order of the outputs."""
        return list(self._outputs)

    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        """Learn from one sample.

        Parameters
        ----------
        x
            Real numbers by feature.
        y
            The label.

        Raises
        ------
        ValueError
            If a value of `x` is no finite number, or there are more features or labels than the
            constructor was told; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; nothing has been learned then.
        """
        inputs = _with_new("n_features", self.n_features, self._inputs, x)
        outputs = _with_new("n_classes", self.n_classes, self._outputs, (y,))
        label = np.array([outputs[y]])
        features, scaling = self._features(x, inputs), self._scaling
        if scaling is not None:
            scaling = scaling.after(features)
        row, net = self._row(features, scaling), self._learned.net
        scores = self._learned.train(self.backend, row, label, self._rates)
        self._inputs, self._outputs, self._scaling = inputs, outputs, scaling
        self._watch.observe(row * net.input_scale, scores, net.n_steps)
        self._temperature.observe(scores[:, : len(outputs)], label)

    def predict_one(self, x: dict[Any, Any], **kwargs: Any) -> Any:
        """Return the label of the largest score, the first of equal ones.

        Parameters
        ----------
        x
            Real numbers by feature.

        Returns
        -------
        The label, or None before any has been met.
        """
        if not self._outputs:
            return None
        return self.classes[int(self._scores(x).argmax())]

    def predict_proba_one(self, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
        r"""Return probabilities of the labels met so far: the softmax of a multiple of the scores.

        .. math:: p = \mathrm{softmax}(\beta s)

        :math:`\beta` is the power of :math:`2^{1/32}` with the least log loss over the last 1,000
        samples that were learned, found anew after every 50.

        Parameters
        ----------
        x
            Real numbers by feature.

        Returns
        -------
        A probability for each label; empty before any has been met.
        """
        if not self._outputs:
            return {}
        found = self._temperature.probabilities(self._scores(x))[0].tolist()
        return dict(zip(self._outputs, found, strict=True))

    def _scores(self, x: Mapping[Hashable, Any]) -> NDArray[np.float64]:
        row = self._row(self._features(x, self._inputs), self._scaling)
        scores = self._learned.predict(self.backend, row)
        return scores[:, : len(self._outputs)]

    @property
    def input_scaling(self) -> InputScaling | None:
        """How features are scaled before they become input; None if they are not."""
        return self._scaling

    def _features(
        self, x: Mapping[Any, Any], inputs: Mapping[Hashable, int]
    ) -> NDArray[np.float64]:
        features = np.zeros(self.n_features)
        values, names = _real_values(x), tuple(x)
        if (names, inputs) != self._places[:2]:
            # Most often the next sample has the same features, in the same order.
            known = [place for place, name in enumerate(names) if name in inputs]
            self._places = names, inputs, known, [inputs[names[place]] for place in known]
        _, _, known, places = self._places
        features[places] = values if len(known) == len(names) else [values[i] for i in known]
        return features

    def _row(
        self, features: NDArray[np.float64], scaling: InputScaling | None
    ) -> NDArray[np.float64]:
        row = np.empty((1, self.n_features + self.intercept))
        row[0, : self.n_features] = features if scaling is None else scaling.scaled(features)
        if self.intercept:
            # The network multiplies all of its input by input_scale: the product is to be 1.
            row[0, -1] = 1 / self._learned.net.input_scale
        return row


#: The types of most values, of which nothing but infinity and NaN has to be found.
_NUMBERS: Final = frozenset([float, int, np.float64])


def _real_values(x: Mapping[Any, Any]) -> list[Any]:
    """Return the values of all features, which must be finite real numbers."""
    values = list(x.values())
    if not (_NUMBERS.issuperset(map(type, values)) and _is_finite(sum(values))):
        for name, value in x.items():
            if not (isinstance(value, (Real, np.bool_)) and _is_finite(value)):
                raise wrong_argument(f"x[{name!r}]", "a finite real number", repr(value))
    return values


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no double holds
        return False


def _with_new(
    capacity_name: str, capacity: int, places: dict[Hashable, int], names: Any
) -> dict[Hashable, int]:
    """Return the places of all names; new names get the next free places."""
    new = [name for name in names if name not in places]
    if not new:
        return places
    new.sort(key=repr)  # so that the order of a sample's features has no effect
    count = len(places) + len(new)
    if count > capacity:
        allowed = f"at least {count}, so that there is room for {new[capacity - len(places)]!r}"
        raise wrong_argument(capacity_name, allowed, capacity)
    return places | {name: place for place, name in enumerate(new, len(places))}
