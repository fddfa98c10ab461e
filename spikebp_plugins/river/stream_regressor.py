"""The network as a regressor of river."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from river import base

from spikebp_plugins.common.docstrings import with_shared_parameters
from spikebp_plugins.common.errors import positive, wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.regressor import distances
from spikebp_plugins.estimators.scaling import scaled_in_turn
from spikebp_plugins.estimators.target_coding import TargetCoding
from spikebp_plugins.estimators.target_scaling import TargetScaling
from spikebp_plugins.river.frames import real_numbers, targets_of
from spikebp_plugins.river.names import is_real
from spikebp_plugins.river.stream_learner import StreamLearner

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

#: Spikes a step for a target that is one deviation from its mean.
TARGET_SPREAD: Final = 16.0
#: One unit for the positive part of a scaled target, and one for its negative part.
CODING: Final = TargetCoding((), np.ones(1), signed=True)


@with_shared_parameters
@dataclass(eq=False, repr=False)
class SpikingMLPRegressor(base.MiniBatchRegressor, StreamLearner):
    """A spiking network that learns real numbers from a stream.

    Two output units stand for the target, one for its positive and one for its negative part, and
    the prediction is the difference of their rectified scores. Target and features are scaled by
    powers of two, and centred, as they come. New features of a sample take the next inputs of the
    network, in the order of their ``repr``; it grows with them. A feature that a sample does not
    have counts as 0. Learning the same samples in the same order gives the same integers on every
    back end.

    Parameters
    ----------
    target_scale : float or "auto", default="auto"
        Spikes a step for a target of 1. "auto" scales targets as `input_scale` does features, to
        16 spikes a step for one deviation from the mean.
    hidden_layer_sizes : sequence of int, or int, default=(100,)
        Units of the hidden layers; an integer is the size of the only one.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from spikebp_plugins.river import SpikingMLPRegressor
    >>> model = SpikingMLPRegressor()
    >>> error = evaluate.progressive_val_score(datasets.TrumpApproval(), model, metrics.MAE())
    >>> error.get() < 0.6
    True
    """

    hidden_layer_sizes: Any = (100,)
    target_scale: Any = "auto"

    _automatic_update: ClassVar = "fractional"

    def __post_init__(self) -> None:
        scale = self.target_scale
        self._target_scaling: TargetScaling | None = None
        if isinstance(scale, str) and scale == "auto":
            self._target_scaling = TargetScaling.unknown(1, TARGET_SPREAD)
        else:
            positive("target_scale", scale, "'auto' or a positive finite number")
        self._start(self.hidden_layer_sizes, CODING.n_outputs)

    @property
    def target_scaling(self) -> TargetScaling | None:
        """The scaling of the target to spikes a step; None for a scale that was given."""
        return self._target_scaling

    @synchronized
    def learn_one(self, x: dict[Any, Any], y: Any) -> None:
        """Learn from one sample.

        Parameters
        ----------
        x
            Real numbers by feature.
        y
            The target, a real number.

        Raises
        ------
        ValueError
            If a value of `x`, or `y`, is no finite number, or there are more features than the
            constructor was told; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; nothing has been learned then.
        """
        if not is_real(y):
            raise wrong_argument("y", "a finite real number", repr(y))
        self._learn_targets(*self._rows_of_one(x), np.array([[float(y)]]))

    @synchronized
    def learn_many(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Learn from samples in turn, as `learn_one` would, all of them or none.

        Parameters
        ----------
        X
            A frame of real numbers, with a column for each feature.
        y
            The targets.

        Raises
        ------
        ValueError
            If a value is no finite number, or there are more features than the constructor was
            told; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; nothing has been learned then.
        """
        new, rows = self._rows_of_many(X)
        targets = real_numbers("y", np.array(targets_of(y, len(rows))))
        if len(rows):
            self._learn_targets(new, rows, targets[:, np.newaxis])

    def _learn_targets(self, new: Any, rows: Any, y: Array) -> None:
        rows, learned, changes = self._completed(rows)
        scaling, asked = self._target_scaling, y[learned]
        if scaling is None:
            asked = asked * self.target_scale
        else:
            scaling, asked = scaled_in_turn(scaling, asked)
        targets = CODING.encoded(asked)
        outputs = CODING.n_outputs

        def after(rate: LearningRate, scores: Array, rows: slice) -> LearningRate:
            return rate.after(distances(scores, targets[rows]))

        changes["_target_scaling"] = scaling
        self._learn(new, rows, outputs, lambda _: targets, after, **changes)

    @synchronized
    def predict_one(self, x: dict[Any, Any]) -> Any:
        """Return the prediction for a sample.

        Parameters
        ----------
        x
            Real numbers by feature.

        Returns
        -------
        The predicted target; 0 before any sample has been learned.
        """
        scores = self._learned.predict(self.backend, self._shown_one(x))
        return float(self._decoded(scores)[0])

    @synchronized
    def predict_many(self, X: pd.DataFrame) -> pd.Series:
        """Return the prediction for each row of a frame.

        Parameters
        ----------
        X
            A frame of real numbers, with a column for each feature.

        Returns
        -------
        A series of numbers, with the index of `X`.
        """
        import pandas as pd

        return pd.Series(self._decoded(self._scores_of_many(X)), index=X.index)

    def _decoded(self, scores: Array) -> Array:
        answers, scaling = CODING.decoded(scores), self._target_scaling
        return answers / self.target_scale if scaling is None else scaling.restored(answers)

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}
