"""The network as a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets

from spikebp_plugins.common.errors import positive, wrong_argument
from spikebp_plugins.estimators.base import SpikingEstimator
from spikebp_plugins.estimators.learned import probabilities
from spikebp_plugins.estimators.validation import validate_data

if TYPE_CHECKING:
    from typing_extensions import Self


class SpikingMLPClassifier(ClassifierMixin, SpikingEstimator):
    """A spiking network that learns to classify by backpropagation.

    One output unit stands for each class. The target of the right unit is `target` spikes in every
    step, that of the others is none. The estimator adds nothing to the network: samples learned in
    the same order give the same integers as `spikebp_plugins.Simulator` does, on every back end.

    Scale the features first, with ``StandardScaler`` or to [0, 1]: an input of size x sends x
    spikes a step.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, default=(100,)
        Units of the hidden layers; an integer is the size of the only one.
    learning_rate : float, default=0.02
        Learning rate of stochastic gradient descent.
    target : float, default=2.0
        Spikes that the unit of the right class is to send in a step.
    n_steps : int, default=10
        Steps for which a sample is shown.
    max_iter : int, default=100
        Epochs of `fit`.
    shuffle : bool, default=True
        Whether `fit` draws an order anew for each epoch.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the orders of samples and the choice of validation samples. An
        integer is the seed of the definition itself.
    early_stopping : bool, default=False
        Whether `fit` keeps validation samples out of training, ends when their score stops rising,
        and takes the weights of the epoch with the best score.
    validation_fraction : float, default=0.1
        The share of samples that are validation samples, each class in its proportion.
    n_iter_no_change : int, default=10
        Epochs in a row without gain after which early stopping ends.
    tol : float, default=1e-4
        A smaller rise of the validation score is no gain.
    warm_start : bool, default=False
        Whether `fit` goes on with the network of an earlier call. Of the network's parameters
        only `learning_rate` and `backend` may have changed.
    backend : str, default="compiled"
        A back end by name, with its options if any: ``"brian2:numpy"``, ``"lava"``,
        ``"compiled:n_jobs=1"``.
    intercept : bool, default=True
        Whether a constant input of 1 is added behind the features. The network has no bias.
    input_scale : float, default=1.0
        The factor by which features are multiplied: ``1/255`` for 8-bit pixels.
    update : {"fractional", "outer"}, default="fractional"
        Weights change at every step, or once at the end of a sample.
    presynaptic : {"counts", "drive"}, default="counts"
        What an update multiplies errors by: counts of spikes sent, or the rectified drive.
    spikes : {"graded", "binary"}, default="graded"
        Whether a unit may send several spikes in one step.
    arithmetic : {"fixed", "float64", "float32", "loihi2"}, default="fixed"
        Exact fixed point, equal on all back ends; floating point; or the numbers of a chip.
    fraction_bits : int or None, default=None
        Fraction bits of fixed point; None takes as many as `learning_rate` needs.
    backward_init : {"carry", "zero", "uniform"}, default="carry"
        Backward potentials at the start of a training sample.
    feedback : {"transpose", "random"}, default="transpose"
        Backpropagation, or feedback alignment.

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

    classes_: NDArray[Any]

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        *,
        learning_rate: float = 0.02,
        target: float = 2.0,
        n_steps: int = 10,
        max_iter: int = 100,
        shuffle: bool = True,
        random_state: Any = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        warm_start: bool = False,
        backend: str = "compiled",
        intercept: bool = True,
        input_scale: float = 1.0,
        update: str = "fractional",
        presynaptic: str = "counts",
        spikes: str = "graded",
        arithmetic: str = "fixed",
        fraction_bits: int | None = None,
        backward_init: str = "carry",
        feedback: str = "transpose",
    ) -> None:
        super().__init__(
            hidden_layer_sizes,
            learning_rate=learning_rate,
            n_steps=n_steps,
            max_iter=max_iter,
            shuffle=shuffle,
            random_state=random_state,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            backend=backend,
            intercept=intercept,
            input_scale=input_scale,
            update=update,
            presynaptic=presynaptic,
            spikes=spikes,
            arithmetic=arithmetic,
            fraction_bits=fraction_bits,
            backward_init=backward_init,
            feedback=feedback,
        )
        self.target = target

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples for `max_iter` epochs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of any kind.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, `X` or `y` is not allowed; what was learned before stays.
        OverflowError
            If a value leaves the range of the arithmetic, as with features that are not scaled.
            What was learned until then stays.
        """
        self._check_parameters()
        goes_on = self._goes_on
        X, y = validate_data(self, X, y, dtype=np.float64, reset=not goes_on)
        check_classification_targets(y)
        if goes_on:
            labels = self._labels(y)
            self._resume()
        else:
            classes, labels = np.unique(y, return_inverse=True)
            self._start(len(classes))
            self.classes_ = classes
        self._train_epochs(X, labels, goes_on=goes_on, stratify=labels)
        return self

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
        X, y = validate_data(self, X, y, dtype=np.float64, reset=first)
        labels = _positions(known, y)
        if first:
            self._start(len(known))
            self.classes_ = known
        else:
            self._resume()
        self._train_once(X, labels)
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
            if first:
                allowed = "all labels in the first call of partial_fit"
                raise wrong_argument("classes", allowed, "None")
            return self.classes_
        check_classification_targets(classes)
        known: NDArray[Any] = np.unique(np.asarray(classes))
        if not first and not np.array_equal(known, self.classes_):
            raise wrong_argument("classes", f"those of the first call, {self.classes_}", known)
        return known

    def _check_parameters(self) -> None:
        self._target = positive("target", self.target)
        super()._check_parameters()

    def _labels(self, y: NDArray[Any]) -> NDArray[np.int64]:
        return _positions(self.classes_, y)

    def _targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        targets = np.zeros((len(y), len(self.classes_)))
        targets[np.arange(len(y)), y] = self._target
        return targets

    def _goodness(self, scores: NDArray[np.float64], y: NDArray[Any]) -> float:
        return float(np.mean(scores.argmax(axis=1) == y))


def _positions(classes: NDArray[Any], y: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each label among sorted classes."""
    places: NDArray[np.int64] = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    is_unknown = classes[places] != y
    if np.any(is_unknown):
        raise wrong_argument("y", f"labels among the classes {classes}", repr(y[is_unknown][0]))
    return places
