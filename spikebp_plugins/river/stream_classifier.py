"""The network as a classifier of river."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from river import base

from spikebp_plugins.common.docstrings import with_shared_parameters
from spikebp_plugins.common.errors import choice, real, wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.estimators.class_counts import ClassCounts
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.parameters import LabelParameters
from spikebp_plugins.estimators.repetition import WeightRemainders
from spikebp_plugins.estimators.temperature import Temperature
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import label_rows
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.river.frames import targets_of
from spikebp_plugins.river.names import Places, capacity, is_missing, new_places
from spikebp_plugins.river.stream_learner import GROWING, StreamLearner

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@with_shared_parameters
@dataclass(eq=False, repr=False)
class SpikingMLPClassifier(base.MiniBatchClassifier, LabelParameters, StreamLearner):
    """A spiking network that learns to classify from a stream.

    It grows with the stream: new features of a sample take the next inputs of the network, in the
    order of their ``repr``, and a new label takes the next output. A feature that a sample does not
    have counts as 0. Prediction assigns no inputs: a feature that has no input yet counts as 0
    there. An output learns from the first sample of its label on. So it does not matter how much
    memory there is beforehand (`n_features`, `n_classes`). Features may have any size, since they
    are scaled as they come (`input_scale`). Learning the same samples in the same order gives the
    same integers on every back end.

    Parameters
    ----------
    n_classes : int or None, default=None
        The most different labels that may appear, for which memory is made at once; None makes
        memory as they come.
    hidden_layer_sizes : sequence of int, or int, default=(100, 200)
        Units of the hidden layers; an integer is the size of the only one.
    class_weight : dict, "balanced" or None, default=None
        How often a sample is shown, by label; fractions are carried on to the next samples of the
        same label, and one that is not named has the weight 1. "balanced" shows all labels equally
        often: a sample of a rare one up to four times, and others are left out.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics
    >>> from spikebp_plugins.river import SpikingMLPClassifier
    >>> model = SpikingMLPClassifier()
    >>> accuracy = evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    >>> accuracy.get() > 0.85
    True
    """

    n_classes: int | None = None
    hidden_layer_sizes: Any = (100, 200)
    class_weight: Any = None

    def __post_init__(self) -> None:
        self.n_classes = capacity("n_classes", self.n_classes)
        self._start(self.hidden_layer_sizes, self.n_classes or 1)
        self._require_growth("n_classes")
        self._outputs: Places = {}
        self._temperature = Temperature()
        self._check_class_weight()
        self._class_counts = ClassCounts()
        self._carry = WeightRemainders()

    def _check_class_weight(self) -> None:
        value = self.class_weight
        if isinstance(value, dict):
            for label, weight in value.items():
                real(f"class_weight[{label!r}]", weight, "from 0 to 1,000", lambda w: 0 <= w <= 1e3)
        elif value is not None:
            choice("class_weight", value, ("balanced",), "or a dict or None")

    @property
    def _multiclass(self) -> bool:
        return True

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {}
        yield {"n_features": 20, "n_classes": 10}

    @property
    def classes(self) -> list[Hashable]:
        """The labels met so far, in the order of the outputs."""
        return list(self._outputs)

    @synchronized
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
            If a value of `x` is no finite number, `y` is None or NaN, or there are more features or
            labels than the constructor was told; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; nothing has been learned then.
        """
        self._learn_labels(*self._rows_of_one(x), [y])

    @synchronized
    def learn_many(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Learn from samples in turn, as `learn_one` would, all of them or none.

        Parameters
        ----------
        X
            A frame of real numbers, with a column for each feature.
        y
            The labels.

        Raises
        ------
        ValueError
            If a value of `X` is no finite number, a label is None or NaN, or there are more
            features or labels than the constructor was told; nothing has changed then.
        OverflowError
            If a value leaves the range of the arithmetic; nothing has been learned then.
        """
        new, rows = self._rows_of_many(X)
        labels = targets_of(y, len(rows))
        if labels:
            self._learn_labels(new, rows, labels)

    def _learn_labels(self, new: Places, rows: Array | SparseRows, y: list[Any]) -> None:
        outputs, known = self._outputs, []
        for label in y:
            if is_missing(label):
                raise wrong_argument("y", "a label", repr(label))
            added = new_places(outputs, (label,), "n_classes", self.n_classes)
            outputs = {**outputs, **added} if added else outputs
            known.append(len(outputs))
        rows, learned, changes = self._completed(rows)
        labels = np.array([outputs[label] for label in y])[learned]
        n_known = np.array(known)[learned]
        is_new = np.ones(len(labels), bool)
        if self.class_weight is not None:
            order, of_classes = self._order_of(y[learned], labels)
            changes |= of_classes
            rows, labels, n_known = rows[order], labels[order], n_known[order]
            is_new = np.diff(order, prepend=-1) != 0
        n_outputs = max(self._learned.net.n_outputs, len(outputs))

        def after(rate: LearningRate, scores: Array, rows: slice) -> LearningRate:
            n_outputs = scores.shape[1]
            if n_known[rows.start] < n_outputs:  # the first sample knows the least
                is_known = np.arange(n_outputs) < n_known[rows, np.newaxis]
                scores = np.where(is_known, scores, -np.inf)
            answers = scores.argmax(axis=1)
            return rate.after(answers != labels[rows], labels[rows])

        scores = self._learn(
            new,
            rows,
            n_outputs,
            lambda net: _targets(net, labels, n_known),
            after,
            _outputs=outputs,
            **changes,
        )
        for i in np.flatnonzero(is_new).tolist():
            self._temperature.observe(scores[i : i + 1, : n_known[i]], labels[i : i + 1])

    def _order_of(
        self, y: list[Any], labels: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], dict[str, Any]]:
        """Return the order in which samples are shown, and the attributes to set then.

        Parameters
        ----------
        y : list
            The labels of samples.
        labels : ndarray of shape (n_samples,)
            Their outputs.
        """
        counts, carry = self._class_counts.copy(), self._carry.copy()
        if isinstance(self.class_weight, dict):
            weights = np.array([self.class_weight.get(label, 1.0) for label in y], np.float64)
        else:
            weights = counts.weights(y)
        return carry.shown(weights, labels), {"_class_counts": counts, "_carry": carry}

    @synchronized
    def predict_one(self, /, x: dict[Any, Any], **kwargs: Any) -> Any:
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

    @synchronized
    def predict_proba_one(self, /, x: dict[Any, Any], **kwargs: Any) -> dict[Any, float]:
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

    @synchronized
    def predict_many(self, X: pd.DataFrame) -> pd.Series:
        """Return the label of each row of a frame.

        Parameters
        ----------
        X
            A frame of real numbers, with a column for each feature.

        Returns
        -------
        A series of labels, with the index of `X`; empty before any label has been met.
        """
        import pandas as pd

        if not self._outputs:
            return pd.Series(dtype=object)
        classes, best = self.classes, self._known(self._scores_of_many(X)).argmax(axis=1)
        return pd.Series([classes[place] for place in best], index=X.index)

    @synchronized
    def predict_proba_many(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the probabilities of the labels met so far, for each row of a frame.

        Parameters
        ----------
        X
            A frame of real numbers, with a column for each feature.

        Returns
        -------
        A frame with the index of `X` and a column for each label; empty before any has been met.
        """
        import pandas as pd

        if not self._outputs:
            return pd.DataFrame(index=X.index)
        shares = self._temperature.probabilities(self._known(self._scores_of_many(X)))
        return pd.DataFrame(shares, index=X.index, columns=self.classes)

    def _scores(self, x: dict[Any, Any]) -> Array:
        return self._known(self._learned.predict(self.backend, self._shown_one(x)))

    def _known(self, scores: Array) -> Array:
        """Return the scores of labels that have been met."""
        return scores[:, : len(self._outputs)]


def _targets(net: Definition, labels: NDArray[Any], n_known: NDArray[Any]) -> NDArray[Any]:
    """Return the targets of labels; outputs whose label has not come yet get no spikes.

    Those are silent, so that they have no error, and their weights stay 0.

    Parameters
    ----------
    net : Definition
        The definition.
    labels, n_known : ndarray of shape (n_samples,)
        The output that each sample is for, and how many labels had come with it.
    """
    if net.weight_init != GROWING or n_known[0] == net.n_outputs:
        return labels
    targets = np.zeros((len(labels), net.n_outputs))
    for n in np.unique(n_known).tolist():
        rows = n_known == n
        targets[rows, :n] = label_rows(labels[rows], n, _label_targets(net, n))
    return targets


@lru_cache
def _label_targets(net: Definition, n_outputs: int) -> tuple[float, float]:
    """Return the `label_targets` of a network with so many outputs."""
    return net.replace(layer_sizes=(*net.layer_sizes[:-1], n_outputs)).label_targets
