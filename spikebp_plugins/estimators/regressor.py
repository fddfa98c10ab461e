"""The network as a regressor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_is_fitted

from spikebp_plugins.common.docstrings import with_shared_parameters
from spikebp_plugins.common.errors import boolean, positive
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.estimators.all_rows import AllRows
from spikebp_plugins.estimators.estimator import SpikingEstimator
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.samples import Samples
from spikebp_plugins.estimators.scaling import scaled_in_turn
from spikebp_plugins.estimators.target_coding import TargetCoding
from spikebp_plugins.estimators.target_scaling import TargetScaling
from spikebp_plugins.estimators.validation import (
    check_pixels,
    checked_data,
    checked_weights,
    validate_data,
)
from spikebp_plugins.network.defaults import sends_few_spikes

if TYPE_CHECKING:
    from typing_extensions import Self


#: Spikes a step for a deviation of the targets; where units send few spikes, so many that one with
#: binary spikes still reaches targets of twice that size.
TYPICAL_SPIKES: Final = 16.0
FEW_SPIKES: Final = 0.5


def distances(scores: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances of scores from their targets, in spikes a step, of shape (n_samples,).

    Parameters
    ----------
    scores, targets : ndarray of shape (n_samples, n_outputs)
        Scores, and what was asked of the outputs.
    """
    summed: NDArray[np.float64] = np.abs(np.maximum(scores, 0) - targets).sum(axis=1)
    return summed


@with_shared_parameters
@dataclass(eq=False, repr=False, kw_only=True)
class SpikingMLPRegressor(MultiOutputMixin, RegressorMixin, SpikingEstimator):
    """A spiking network that learns real numbers by backpropagation.

    Output units send no negative spikes, so one unit cannot predict negative numbers. Therefore
    two units stand for each target, one for its positive and one for its negative part, and the
    prediction is the difference of their rectified scores. With ``signed_output=False`` one unit
    stands for each target, and a negative target is refused.

    Targets are scaled by powers of two, and centred: `fit` looks at all of them first, and
    `partial_fit` finds their scale as they come. Features may have any size (`input_scale`). Inputs
    as `network_inputs` returns them, learned in the same order, give the same integers in a
    `spikebp_plugins.Simulator`, on every back end.

    Parameters
    ----------
    target_scale : float or "auto", default="auto"
        Spikes a step for a target of 1, which is not centred then. With more spikes learning is
        faster and predictions are finer; with fewer, learning is more stable. "auto" centres each
        target, and asks for about 16 spikes a step for one deviation (1/2 with ``spikes="binary"``
        or ``arithmetic="loihi2"``). Targets are cut at eight deviations.
    signed_output : bool, default=True
        Whether targets may be negative. If not, "auto" does not centre them, and their root mean
        square takes the place of the deviation.

    Attributes
    ----------
    n_features_in_ : int
        Features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had names that are all strings.
    target_scale_ : ndarray of shape (n_targets,)
        Spikes a step for a target of 1; 0 for one that has been constant so far.
    target_scaling_ : TargetScaling or None
        The scaling of targets to spikes a step; None for a `target_scale` that was given.
    n_iter_ : int
        Epochs of `fit` and calls of `partial_fit` that the network has seen.
    loss_curve_ : list of float
        For each epoch of `fit`, half the squared error of the rectified scores that a sample
        reached while it was learned, in spikes a step, as a mean over samples.
    validation_scores_ : list of float
        R² on the validation samples after each epoch; empty without early stopping.
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
    >>> import numpy as np
    >>> X = np.linspace(-3, 3, 400)[:, np.newaxis]
    >>> model = SpikingMLPRegressor(random_state=0).fit(X, np.sin(X[:, 0]))
    >>> bool(model.score(X, np.sin(X[:, 0])) > 0.95)
    True
    """

    _automatic_update: ClassVar = "fractional"
    target_scale: Any = "auto"
    signed_output: bool = True

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from each sample once, in the order in which they come.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features; one sample at a time is fine.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The times that each sample is shown, 0 or more, on average at most 1,000; fractions are
            carried on to the next samples. None shows each once. A call whose weights are all 0
            changes nothing; below 1/2, it warns.

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
            self._train_once(self._prepared(X, y, sample_weight, first=first, has_epochs=False))
        return self

    @synchronized
    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return the prediction for each sample.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
            Predicted targets, in the units and the shape of `y`.
        """
        scores = self._scores(X)
        return self._decoded(scores)

    def _checked(self, X: Any, y: Any, *, first: bool) -> tuple[Any, NDArray[Any]]:
        options: dict[str, Any] = {"multi_output": True, "y_numeric": True}
        if first:
            check_pixels(X, self._structure.image_shape)
            options |= {"dtype": np.float64, "accept_sparse": "csr"}
            X, y = validate_data(self, X, y, **options)
        else:
            X, y = checked_data(self, X, y, **options)
        y = y.astype(np.float64)
        (self._new_coding(y) if first else self._coding).check(y)
        return X, y

    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, first: bool, has_epochs: bool
    ) -> Samples:
        X, y = self._checked(X, y, first=first)
        weights = checked_weights(sample_weight, X.shape[0], has_epochs=has_epochs)
        samples = Samples(X, y, weights)
        if first and samples.are_left_out:
            return samples
        coding = self._new_coding(y) if first else self._coding
        if first:
            self._start(coding.n_outputs)
            self._coding: TargetCoding = coding
            self._target_scaling: TargetScaling | None = None
            if self._scale is None:
                are_few = sends_few_spikes(self.spikes, self.arithmetic)
                spread = FEW_SPIKES if are_few else TYPICAL_SPIKES
                unknown = TargetScaling.unknown
                self._target_scaling = unknown(len(coding.scale), spread, is_centred=coding.signed)
            return samples
        if self._scale is not None:
            if self._target_scaling is not None:
                raise self._changed("target_scale", "auto", self.target_scale)
            if np.any(coding.scale != self._scale):
                raise self._changed("target_scale", coding.scale, self.target_scale)
        if self.signed_output != coding.signed:
            raise self._changed("signed_output", coding.signed, self.signed_output)
        self._resume()
        return samples

    def _new_coding(self, y: NDArray[np.float64]) -> TargetCoding:
        n_targets = 1 if y.ndim == 1 else y.shape[1]
        scale = np.full(n_targets, 1.0 if self._scale is None else self._scale)
        return TargetCoding(y.shape[1:], scale, bool(self.signed_output))

    def _scale_to(self, features: AllRows, targets: AllRows) -> None:
        super()._scale_to(features, targets)
        if self._target_scaling is not None:
            self._target_scaling = self._target_scaling.of_all(targets)

    @property
    def target_scaling_(self) -> TargetScaling | None:
        """The scaling of targets to spikes a step; None for a scale that was given."""
        check_is_fitted(self)
        return self._target_scaling

    @property
    def target_scale_(self) -> NDArray[np.float64]:
        """Spikes a step for a target of 1."""
        check_is_fitted(self)
        scaling = self._target_scaling
        return self._coding.scale if scaling is None else scaling.factor

    def _check_values(self) -> None:
        scale, allowed = self.target_scale, "'auto' or a positive finite number"
        is_automatic = isinstance(scale, str) and scale == "auto"
        self._scale = None if is_automatic else positive("target_scale", scale, allowed)
        boolean("signed_output", self.signed_output)
        super()._check_values()

    def _targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        scaling = self._target_scaling
        if scaling is not None:
            y = scaling.scaled(y.reshape(len(y), -1))
        return self._coding.encoded(y)

    def _asked(
        self, y: NDArray[Any], is_new: NDArray[np.bool_] | None, *, in_turn: bool
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        scaling = self._target_scaling
        if scaling is None or not in_turn:
            return super()._asked(y, is_new, in_turn=in_turn)
        scaling, asked = scaled_in_turn(scaling, y.reshape(len(y), -1), is_new)
        return self._coding.encoded(asked), {"_target_scaling": scaling}

    def _decoded(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        answers, scaling = self._coding.decoded(scores), self._target_scaling
        if scaling is None:
            return answers
        restored: NDArray[np.float64] = scaling.restored(answers.reshape(len(answers), -1))
        return restored.reshape(answers.shape)

    def _rate_after(
        self, rate: LearningRate, scores: NDArray[np.float64], targets: NDArray[Any]
    ) -> LearningRate:
        return rate.after(distances(scores, targets))

    def _goodness(
        self, scores: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        return float(r2_score(y, self._decoded(scores), sample_weight=weights))
