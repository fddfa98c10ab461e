"""What classifier and regressor share: the network, and how it is trained."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.parameters import (
    NETWORK_PARAMETERS,
    NetworkParameters,
    check_flag,
    check_hidden_layers,
    check_integer,
    check_real,
)
from spikebp_plugins.estimators.validation import validate_data
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.definition import LARGEST_SEED


@dataclass(eq=False, repr=False)
class SpikingEstimator(BaseEstimator, NetworkParameters, ABC):
    """A network that is trained as scikit-learn trains.

    Subclasses say what the network is to answer (`_targets`) and how well it does (`_goodness`).

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, default=(100,)
        Units of the hidden layers; an integer is the size of the only one.
    max_iter : int, default=100
        Epochs of `fit`.
    shuffle : bool, default=True
        Whether `fit` draws an order anew for each epoch.
    random_state : int, RandomState instance or None, default=None
        Seeds the weights, the orders, and the validation samples. An integer is the seed of the
        definition itself.
    early_stopping : bool, default=False
        Whether `fit` keeps samples out, ends when their score stops rising, and takes the weights
        of the epoch where it was best.
    validation_fraction : float, default=0.1
        The share of samples that early stopping keeps out; of classes, each in its proportion.
    n_iter_no_change : int, default=10
        Epochs in a row without gain after which early stopping ends.
    tol : float, default=1e-4
        A smaller rise of the validation score is no gain.
    warm_start : bool, default=False
        Whether `fit` goes on with the network that there is. Of the network's parameters only
        `learning_rate` may have changed; any back end may take over.
    """

    hidden_layer_sizes: Any = (100,)
    _: KW_ONLY
    max_iter: int = 100
    shuffle: bool = True
    random_state: Any = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    tol: float = 1e-4
    warm_start: bool = False

    @abstractmethod
    def _targets(self, y: NDArray[Any]) -> NDArray[np.float64]:
        """Return what the outputs should be, of shape (n_samples, n_outputs)."""

    @abstractmethod
    def _goodness(self, scores: NDArray[np.float64], y: NDArray[Any]) -> float:
        """Return how well scores answer, as `score` measures it."""

    @property
    def checkpoint_(self) -> Checkpoint:
        """Definition and learning state, to go on from anywhere."""
        check_is_fitted(self)
        return self._learned.checkpoint

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_learned")

    def _check_parameters(self) -> None:
        for name in ("shuffle", "early_stopping", "warm_start", "intercept"):
            check_flag(name, getattr(self, name))
        for name in ("max_iter", "n_iter_no_change"):
            check_integer(name, getattr(self, name))
        fraction = self.validation_fraction
        check_real("validation_fraction", fraction, "between 0 and 1", lambda value: 0 < value < 1)
        check_real("tol", self.tol, "a finite number of at least 0", lambda value: value >= 0)
        state = self.random_state
        if isinstance(state, Integral) and not 0 <= int(state) <= LARGEST_SEED:
            allowed = f"None, a RandomState or an integer from 0 to {LARGEST_SEED}"
            raise wrong_argument("random_state", allowed, repr(state))
        self._definition(1, check_hidden_layers(self.hidden_layer_sizes), 1, seed=0)

    @property
    def _goes_on(self) -> bool:
        """Whether `fit` trains the network that there is."""
        return self.warm_start and self.__sklearn_is_fitted__()

    def _start(self, n_outputs: int) -> None:
        """Make a network in its initial state."""
        n_inputs = self.n_features_in_ + bool(self.intercept)
        hidden = check_hidden_layers(self.hidden_layer_sizes)
        net = self._definition(n_inputs, hidden, n_outputs, self._seed())
        learned = LazySimulator.untrained(net)
        learned.open(self.backend)  # what refuses does so before anything is replaced
        self._learned = learned
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] = []

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(LARGEST_SEED + 1, dtype=np.int64))

    def _resume(self) -> None:
        """Go on with the network that there is, at the present learning rate."""
        net = self._learned.net
        hidden = check_hidden_layers(self.hidden_layer_sizes)
        if hidden != net.layer_sizes[1:-1]:
            raise self._changed("hidden_layer_sizes", net.layer_sizes[1:-1], hidden)
        if bool(self.intercept) != self._has_intercept:
            raise self._changed("intercept", self._has_intercept, self.intercept)
        for name in NETWORK_PARAMETERS:
            before, now = getattr(net, name), getattr(self, name)
            is_automatic = name == "fraction_bits" and now is None
            if now != before and name != "learning_rate" and not is_automatic:
                raise self._changed(name, before, now)
        if self.learning_rate != net.learning_rate:
            self._learned = LazySimulator(self._learned.checkpoint.at_rate(self.learning_rate))
            self._learned.open(self.backend)

    def _changed(self, name: str, before: object, now: object) -> ValueError:
        return wrong_argument(
            name, f"what it was when the network was made, {before!r}, to go on", repr(now)
        )

    @property
    def _has_intercept(self) -> bool:
        return bool(self._learned.net.n_inputs > self.n_features_in_)

    def _inputs(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._has_intercept:
            return X
        # The definition multiplies it with input_scale, like all input.
        return np.column_stack([X, np.full(len(X), 1 / self._learned.net.input_scale)])

    def _scores(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self._learned.predict(self.backend, self._inputs(X))

    def _train_once(self, X: NDArray[np.float64], y: NDArray[Any]) -> None:
        self._learned.train(self.backend, self._inputs(X), self._targets(y))
        self.n_iter_ += 1

    def _train_epochs(
        self, X: NDArray[np.float64], y: NDArray[Any], *, goes_on: bool, stratify: Any = None
    ) -> None:
        inputs, seed = self._inputs(X), self._learned.net.seed
        kept_out = None
        if self.early_stopping:
            rows, others = train_test_split(
                np.arange(len(y)),
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=stratify,
            )
            kept_out = (inputs[others], y[others])
            inputs, y = inputs[rows], y[rows]
        targets = self._targets(y)
        best, best_score, without_gain = self._learned.checkpoint, -math.inf, 0
        if kept_out is not None and goes_on:
            best_score = self._validation_score(*kept_out)
        for _ in range(self.max_iter):
            order: Any = slice(None)
            if self.shuffle:
                order = shuffled(len(inputs), seed, self.n_iter_)
            scores = self._learned.train(self.backend, inputs[order], targets[order])
            self.n_iter_ += 1
            self.loss_curve_.append(_loss(scores, targets[order]))
            if kept_out is None:
                continue
            score = self._validation_score(*kept_out)
            self.validation_scores_.append(score)
            without_gain = without_gain + 1 if score < best_score + self.tol else 0
            if score > best_score:
                best, best_score = self._learned.checkpoint, score
            if without_gain >= self.n_iter_no_change:
                break
        if kept_out is not None:
            self._learned = LazySimulator(best)

    def _validation_score(self, inputs: NDArray[np.float64], y: NDArray[Any]) -> float:
        return self._goodness(self._learned.predict(self.backend, inputs), y)


def _loss(scores: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    errors = np.maximum(scores, 0) - targets
    return float(np.mean(np.sum(errors**2, axis=1)) / 2)
