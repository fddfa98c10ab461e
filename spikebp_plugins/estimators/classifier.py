"""The network as a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.estimators.estimator import SpikingEstimator
from spikebp_plugins.estimators.parameters import LabelParameters, with_shared_parameters
from spikebp_plugins.estimators.validation import checked_data, validate_data

if TYPE_CHECKING:
    from typing_extensions import Self


@with_shared_parameters
@dataclass(eq=False, repr=False, kw_only=True)
class SpikingMLPClassifier(ClassifierMixin, LabelParameters, SpikingEstimator):
    """A spiking network that learns to classify by backpropagation.

    One output unit stands for each class. The target of the right unit is `target` spikes in every
    step, that of the others is none; or `label_targets` says both. The estimator adds nothing to
    the network: samples learned in the same order give the same integers as
    `spikebp_plugins.Simulator` does, on every back end.

    Scale the features first, with ``StandardScaler`` or to [0, 1]: an input of size x sends x
    spikes a step.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in the order of the outputs.
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had names that are all strings.
    n_iter_ : int
        Epochs of `fit` and calls of `partial_fit` that the network has seen.
    loss_curve_ : list of float
        For each epoch of `fit`, half the squared error of the rectified scores that a sample
        reached while it was learned, as a mean over samples.
    validation_scores_ : list of float
        The accuracy on the validation samples after each epoch; empty without early stopping.
    checkpoint_ : Checkpoint
        Definition and learning state, from which any back end can go on.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), SpikingMLPClassifier(random_state=0))
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    """

    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Learn from each sample once, in the order in which they come.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features; one sample at a time is fine.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will ever come; needed in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If an argument or a parameter is not allowed; what was learned before stays.
        OverflowError
            If a value leaves the range of the arithmetic. What was learned until then stays.
        """
        self._check_parameters()
        first = not self.__sklearn_is_fitted__()
        known = self._known_classes(first, classes)
        self._train_once(*self._prepared(X, y, first=first, classes=known))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each sample: that of the largest score (in a tie, the first one).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        scores = self._scores(X)
        predicted: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return predicted

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the positive scores as shares of their sum.

        They are not calibrated: the network is asked for spikes, not for probabilities, and a
        share of 0.9 does not mean that nine of ten such samples belong to the class. Where no
        score is positive, the softmax of the scores takes their place.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Not negative; rows sum to one; columns are those of `classes_`.
        """
        return probabilities(self._scores(X))

    def _known_classes(self, first: bool, classes: Any) -> NDArray[Any]:
        if classes is None:
            if not first:
                return self.classes_
            raise wrong_argument("classes", "all labels in the first call of partial_fit", "None")
        check_classification_targets(classes)
        known: NDArray[Any] = np.unique(np.asarray(classes))
        if not first and not np.array_equal(known, self.classes_):
            raise wrong_argument("classes", f"those of the first call, {self.classes_}", known)
        return known

    def _prepared(self, X: Any, y: Any, *, first: bool, classes: Any = None) -> Any:
        if first:
            X, y = validate_data(self, X, y, dtype=np.float64)
        else:
            X, y = checked_data(self, X, y)
        if classes is None:
            check_classification_targets(y)
            classes = np.unique(y) if first else self.classes_
        labels = _positions(classes, y)
        if first:
            self._start(len(classes))
            self.classes_: NDArray[Any] = classes
        else:
            self._resume()
        return X, labels

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _goodness(self, scores: NDArray[np.float64], y: NDArray[Any]) -> float:
        return float(np.mean(scores.argmax(axis=1) == y))


def _positions(classes: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each label among sorted classes."""
    places: NDArray[np.int64] = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    is_unknown = classes[places] != y
    if is_unknown.any():
        raise wrong_argument("y", f"labels among the classes {classes}", repr(y[is_unknown][0]))
    return places


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return shares that sum to one: the positive scores of a row, divided by their sum.

    A row without a positive score gets the softmax of its scores instead. It keeps their order,
    and gives nearly equal shares to scores near zero.
    """
    largest = scores.max(axis=1, keepdims=True)
    shares = np.where(largest > 0, np.maximum(scores, 0), np.exp(np.minimum(scores - largest, 0)))
    normalised: NDArray[np.float64] = shares / shares.sum(axis=1, keepdims=True)
    return normalised
