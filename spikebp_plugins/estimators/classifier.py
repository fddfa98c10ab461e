"""The network as a classifier."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from spikebp_plugins.common.docstrings import with_shared_parameters
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.estimators.class_counts import ClassCounts
from spikebp_plugins.estimators.estimator import SpikingEstimator
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.parameters import LabelParameters
from spikebp_plugins.estimators.repetition import rounded
from spikebp_plugins.estimators.samples import Samples
from spikebp_plugins.estimators.temperature import Temperature
from spikebp_plugins.estimators.validation import (
    Weights,
    check_not_zero,
    check_pixels,
    check_shown,
    checked_data,
    checked_weights,
    validate_data,
)

if TYPE_CHECKING:
    from typing_extensions import Self


@with_shared_parameters
@dataclass(eq=False, repr=False, kw_only=True)
class SpikingMLPClassifier(ClassifierMixin, LabelParameters, SpikingEstimator):
    """A spiking network that learns to classify by backpropagation.

    One output unit stands for each class, and `label_targets` says what a label asks of it and of
    the others. Features may have any size (`input_scale`). Inputs as `network_inputs` returns
    them, learned in the same order, give the same integers in a `spikebp_plugins.Simulator`, on
    every back end.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, by label; a class that is not named has the weight 1. "balanced"
        gives each class the same total. `fit` divides them by their mean over the samples, so that
        an epoch shows as many samples as without; `partial_fit` multiplies `sample_weight` by them,
        and balances by how often classes have come so far: a sample of a rare class is shown up to
        four times, and others are left out.

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
    input_scaling_ : InputScaling or None
        The scaling of features to input; None if they are not scaled.
    table_ : Table or None
        The columns of the table that ``spikebp train`` learned from: ``table_.features(cells)``
        makes features of rows. None for other samples.
    checkpoint_ : Checkpoint
        Definition and learning state, from which any back end can continue. It is to be shown what
        `network_inputs` returns.
    replay_buffer_ : ReplayBuffer or None
        The samples that are learned again, as features; None without `replay_capacity`.

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

    hidden_layer_sizes: Any = field(default=(200, 100), kw_only=False)
    class_weight: Any = None

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from each sample once, in the order in which they come.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; one sample at a time is fine.
        y : array-like of shape (n_samples,)
            Labels.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will ever come; needed in the first call.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The times that each sample is shown, 0 or more, on average at most 1,000; fractions are
            carried on to the next samples of the same class. None shows each once. A call whose
            weights are all 0 changes nothing; below 1/2, it warns.

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
        with self._learning_lock, self._lock:
            self._check_parameters()
            first = not self.__sklearn_is_fitted__()
            known = self._known_classes(first, classes)
            samples = self._prepared(
                X, y, sample_weight, first=first, has_epochs=False, classes=known
            )
            self._train_once(samples)
        return self

    @synchronized
    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each sample: that of the largest score (in a tie, the first one).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        scores = self._scores(X)
        predicted: NDArray[Any] = self.classes_[scores.argmax(axis=1)]
        return predicted

    @synchronized
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the scores of the classes; of two classes, the second's less the first's.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            In spikes a step; columns are those of `classes_`. Of two classes, the second is
            predicted where the number is above 0.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    @synchronized
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        r"""Return probabilities: the softmax of the scores times a number that learning has found.

        .. math:: p = \mathrm{softmax}(\beta s)

        :math:`\beta` is the power of :math:`2^{1/32}` with the least log loss over samples that had
        not been learned yet: those that `fit` kept out, and the last of a stream when they were
        shown for the first time, 1,000 at most. Where `fit` kept none out, they are those of its
        last epoch. One label of 200 is taken for wrong, so that a network that knows its samples by
        heart is not certain of everything.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Positive; rows sum to one; columns are those of `classes_`.
        """
        scores = self._scores(X)
        return self._temperature.probabilities(scores)

    @synchronized
    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities, finite even of one that a double calls 0.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns are those of `classes_`.
        """
        scores = self._scores(X)
        return self._temperature.log_probabilities(scores)

    def _known_classes(self, first: bool, classes: Any) -> NDArray[Any]:
        if classes is None:
            if not first:
                return self.classes_
            raise wrong_argument("classes", "all labels in the first call of partial_fit", "None")
        if not first and np.array_equal(classes, self.classes_):  # as most calls have them
            return self.classes_
        check_classification_targets(classes)
        known: NDArray[Any] = np.unique(np.asarray(classes))
        if not first and not np.array_equal(known, self.classes_):
            raise wrong_argument("classes", f"those of the first call, {self.classes_}", known)
        return known

    def _checked(self, X: Any, y: Any, *, first: bool) -> tuple[Any, NDArray[Any]]:
        if not first:
            checked: tuple[Any, NDArray[Any]] = checked_data(self, X, y)
            return checked
        check_pixels(X, self._structure.image_shape)
        checked = validate_data(self, X, y, dtype=np.float64, accept_sparse="csr")
        return checked

    def _prepared(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        first: bool,
        has_epochs: bool,
        classes: Any = None,
    ) -> Samples:
        X, y = self._checked(X, y, first=first)
        if classes is None:
            check_classification_targets(y)
            classes = np.unique(y) if first else self.classes_
        labels = _positions(classes, y)
        weights = checked_weights(sample_weight, X.shape[0], has_epochs=has_epochs)
        counts = ClassCounts() if first else self._class_counts.copy()
        if has_epochs or not self._is_balanced:
            shown = self._weights(classes, labels, weights, has_epochs)
        else:
            shown = _balanced(counts, labels, weights)
        samples = Samples(X, labels, shown)
        if first and samples.are_left_out:
            return samples
        if first:
            self._start(len(classes))
            self.classes_: NDArray[Any] = classes
            self._temperature = Temperature()
        else:
            self._resume()
        self._class_counts: ClassCounts = counts
        return samples

    @property
    def _is_balanced(self) -> bool:
        return isinstance(self.class_weight, str) and self.class_weight == "balanced"

    def _classes_of(self, n_outputs: int) -> int:
        return n_outputs

    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        return y

    def _rate_after(
        self, rate: LearningRate, scores: NDArray[np.float64], targets: NDArray[Any]
    ) -> LearningRate:
        return rate.after(scores.argmax(axis=1) != targets, targets)

    def _goodness(
        self, scores: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        return float(np.average(scores.argmax(axis=1) == y, weights=weights))

    def _loss_without_learning(
        self, scores: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        # The scores of samples that have been learned say too little of others.
        self._temperature = Temperature()
        self._temperature.observe(scores, y)
        logs = self._temperature.log_probabilities(scores)
        return -float(np.average(logs[np.arange(len(y)), y], weights=weights))

    def _weights(
        self, classes: NDArray[Any], y: NDArray[Any], weights: Weights | None, has_epochs: bool
    ) -> Weights | None:
        """Return the weights of samples, whose classes are given by index."""
        if self.class_weight is None:
            return weights
        of_classes = compute_class_weight(self.class_weight, classes=classes, y=classes[y])
        if (of_classes < 0).any():
            raise wrong_argument("class_weight", "not negative", repr(self.class_weight))
        name, of_samples = "class_weight times sample_weight", of_classes[y]
        shown: Weights = of_samples if weights is None else of_samples * weights
        if not has_epochs:
            check_shown(name, shown)
            return shown
        check_not_zero(name, shown)
        # The last bits of a mean depend on the order of its terms; how often a sample is shown must
        # not.
        relative = rounded(of_samples / np.average(of_samples, weights=weights))
        return relative if weights is None else relative * weights

    def _learned_from(self, scores: NDArray[np.float64], y: NDArray[Any]) -> None:
        self._temperature.observe(scores, y)

    def _snapshot(self) -> Any:
        return super()._snapshot(), self._temperature.copy()

    def _go_back(self, snapshot: Any) -> None:
        of_network, self._temperature = snapshot
        super()._go_back(of_network)


def _balanced(counts: ClassCounts, labels: NDArray[np.int64], weights: Weights | None) -> Weights:
    """Return the weights of samples of a stream, and count those that are shown."""
    if weights is None:
        return counts.weights(labels.tolist())
    balanced = np.zeros(len(labels))
    balanced[weights > 0] = counts.weights(labels[weights > 0].tolist())
    return balanced * weights


def _positions(classes: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the index of each label among sorted classes."""
    indices: NDArray[np.int64] = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    is_unknown = classes[indices] != y
    if 1 in is_unknown.tobytes():  # quicker than `any` for a single label
        raise wrong_argument("y", f"labels among the classes {classes}", repr(y[is_unknown][0]))
    return indices
