"""The base of classifier and regressor: the network, and its training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from spikebp_plugins.common.errors import boolean, choice, integer, is_integer, real, wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.data.tables import Table
from spikebp_plugins.estimators.activity_monitor import ActivityMonitor
from spikebp_plugins.estimators.all_rows import AllRows, RowsInMemory
from spikebp_plugins.estimators.files import EstimatorFiles
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.learning_rate import MOST_HALVED, LearningRate
from spikebp_plugins.estimators.parameters import NetworkParameters, ParametersInUse
from spikebp_plugins.estimators.repetition import WeightRemainders
from spikebp_plugins.estimators.samples import ROWS_AT_ONCE, Samples, parts_of
from spikebp_plugins.estimators.scaling import InputScaling, scaled_in_turn
from spikebp_plugins.estimators.structure import Structure
from spikebp_plugins.estimators.validation import checked_data
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import LARGEST_SEED
from spikebp_plugins.network.replay import MOST_SAMPLES, ReplayBuffer
from spikebp_plugins.network.samples import real_targets
from spikebp_plugins.network.sparse_rows import SparseRows

if TYPE_CHECKING:
    from typing_extensions import Self

#: Without as many validation samples, and samples of each class, `fit` keeps none out by itself.
FEWEST_KEPT_OUT: Final = 20
#: By itself it keeps out so many at most: more are worth more as samples that are learned.
MOST_KEPT_OUT: Final = 300
FEWEST_OF_CLASS: Final = 5


class FitParameters(NamedTuple):
    """The parameters of `fit`, as plain Python: scikit-learn wants them left as they were given."""

    max_iter: int
    shuffle: bool
    early_stopping: str | bool
    validation_fraction: float
    n_iter_no_change: int
    tol: float
    verbose: bool


@dataclass(eq=False, repr=False)
class SpikingEstimator(BaseEstimator, EstimatorFiles, NetworkParameters, ABC):
    """The base of both estimators: a network that is trained as scikit-learn trains.

    Subclasses check samples and make the network (`_prepared`), give the targets of the output
    (`_targets`) and rate its scores (`_goodness`).

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, or int, default=(200, 100), of a regressor (100,)
        Units of the hidden layers, which are dense; an integer is the size of the only one.
    connections : sequence of layers, str or None, default=None
        The layers below the output instead of `hidden_layer_sizes`, as of a `SpikingNetwork`:
        ``[Conv2D(16, 5, stride=2), Conv2D(32, 5, stride=2)]``, or in words,
        ``"conv16k5s2,conv32k5s2"``; ``"pool2"``, ``"dense100"`` and ``"sparse100d0.1"`` are others.
        The output is dense. None takes dense layers of `hidden_layer_sizes`.
    image_shape : sequence of int or None, default=None
        The shape in which the features of a sample are read, (height, width) or (height, width,
        channels). An image has no place for a constant input: none is added to it. None takes the
        features as a plain vector.
    max_iter : int, default=100
        The most epochs of `fit`.
    shuffle : bool, default=True
        Whether `fit` draws an order anew for each epoch.
    random_state : int, RandomState instance or None, default=None
        Seeds the initial weights, the orders of samples and the choice of validation samples. An
        integer is the seed of the definition itself.
    early_stopping : "auto" or bool, default="auto"
        Whether `fit` ends before `max_iter` epochs if it finds no gain. True keeps validation
        samples out of training, whose loss says what a gain is, and takes the weights of the best
        epoch; their scores give a classifier its probabilities. "auto" does so with 20 to 300
        validation samples, and 5 samples of a class in the mean; with fewer, the loss of training
        itself decides. It keeps none out of so few epochs, three times `n_iter_no_change`, that
        `fit` cannot end before the last one for want of gain.
    validation_fraction : float, default=0.1
        The share of samples that are validation samples; a classifier takes each class in its
        proportion.
    n_iter_no_change : int, default=5
        Epochs in a row without gain after which the automatic learning rate is halved; `fit` ends
        where it has been halved twice, or where `learning_rate` is a number.
    tol : float, default=1e-4
        A gain lowers the least loss by at least this share of it.
    warm_start : bool, default=False
        Whether `fit` goes on with the network of an earlier call. Of the network's parameters
        only `learning_rate`, `label_targets` and `backend` may have changed.
    verbose : bool, default=False
        Whether `fit` prints loss, spikes and, with early stopping, the validation score after each
        epoch.
    callback : callable or None, default=None
        A function that `fit` calls with the estimator after each epoch. ``n_iter_``,
        ``loss_curve_`` and ``checkpoint_`` are up to date, and `predict` works. If it returns
        True, `fit` ends.
    replay_capacity : int, default=0
        Samples of the past that are kept; after each new one, one of them is learned again: so a
        network does not forget classes, say, that come no more. They count among the samples that
        the learning rate follows. 0 keeps none.
    """

    hidden_layer_sizes: Any = (100,)
    _: KW_ONLY
    connections: Any = None
    image_shape: Any = None
    max_iter: int = 100
    shuffle: bool = True
    random_state: Any = None
    early_stopping: Any = "auto"
    validation_fraction: float = 0.1
    n_iter_no_change: int = 5
    tol: float = 1e-4
    warm_start: bool = False
    verbose: bool = False
    callback: Any = None
    replay_capacity: int = 0

    @abstractmethod
    def _checked(self, X: Any, y: Any, *, first: bool) -> tuple[Any, NDArray[Any]]:
        """Return checked features, and labels or real targets."""

    @abstractmethod
    def _prepared(
        self, X: Any, y: Any, sample_weight: Any, *, first: bool, has_epochs: bool
    ) -> Samples:
        """Check samples, make the network ready to learn from them, and return them."""

    @abstractmethod
    def _targets(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return the targets of the network: labels, or real targets of its outputs."""

    def _asked(
        self, y: NDArray[Any], is_new: NDArray[np.bool_] | None, *, in_turn: bool
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Return the targets of samples, and the attributes to set once these are learned.

        In a stream (`in_turn`) targets may be scaled by what came so far; see `scaled_in_turn`.
        """
        return self._targets(y), {}

    @abstractmethod
    def _rate_after(
        self, rate: LearningRate, scores: NDArray[np.float64], targets: NDArray[Any]
    ) -> LearningRate:
        """Return the learning rate after samples, given their scores."""

    @abstractmethod
    def _goodness(
        self, scores: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        """Return the accuracy or the R² of the network's scores, as `score` gives it."""

    def _loss_without_learning(
        self, scores: NDArray[np.float64], y: NDArray[Any], weights: NDArray[np.float64] | None
    ) -> float:
        """Process the scores of samples that are not learned, and return their loss."""
        return 1 - self._goodness(scores, y, weights)

    def _learned_from(self, scores: NDArray[np.float64], y: NDArray[Any]) -> None:
        """Process the scores that samples reached when they were learned for the first time."""

    @property
    @synchronized
    def checkpoint_(self) -> Checkpoint:
        """Definition and learning state, from which any back end can continue."""
        check_is_fitted(self)
        is_scaled = self._scaling is not None
        return replace(self._learned.checkpoint, input_is_scaled=is_scaled)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn from samples for `max_iter` epochs.

        With ``shuffle=True`` the order in which samples are given does not matter.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,), for a regressor also (n_samples, n_targets)
            Labels of any kind, or the targets of a regressor.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            The times that an epoch shows each sample, 0 or more, on average at most 1,000: with 2.5
            twice in one epoch, and three times in the next. None shows each once. Where the mean of
            those above 0 is below 1, all are divided by it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter, `X` or `y` is not allowed; what was learned before stays.
        OverflowError
            If a value leaves the range of the arithmetic, as with data that are not scaled. What
            was learned until then stays.
        """
        with self._learning_lock:
            with self._lock:
                self._check_parameters()
                goes_on = self.warm_start and self.__sklearn_is_fitted__()
                samples = self._prepared(X, y, sample_weight, first=not goes_on, has_epochs=True)
                if self._course.shuffle:
                    samples = samples.sorted()
                if not goes_on:
                    numbers = samples.X, samples.y.reshape(len(samples.y), -1)
                    self._scale_to(*(RowsInMemory.of(x, samples.weights) for x in numbers))
            self._train_epochs(samples, goes_on=goes_on)
        return self

    set_params = synchronized(BaseEstimator.set_params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_learned")

    def _check_parameters(self) -> None:
        """Check the parameters, unless they are those that were checked last."""
        in_use = getattr(self, "_in_use", None)
        if in_use is None or not in_use.are_those_of(self):
            self._check_values()
            self._in_use = ParametersInUse(self)
            self._resumed: LazySimulator | None = None  # the network that goes on with them

    def _check_values(self) -> None:
        """Check the parameters."""
        between, fraction = "between 0 and 1", self.validation_fraction
        course = FitParameters(
            max_iter=integer("max_iter", self.max_iter, 1),
            shuffle=boolean("shuffle", self.shuffle),
            early_stopping=self._checked_early_stopping,
            validation_fraction=real("validation_fraction", fraction, between, lambda x: 0 < x < 1),
            n_iter_no_change=integer("n_iter_no_change", self.n_iter_no_change, 1),
            tol=real("tol", self.tol, "a finite number of at least 0", lambda x: x >= 0),
            verbose=boolean("verbose", self.verbose),
        )
        if not (self.callback is None or callable(self.callback)):
            raise wrong_argument("callback", "None or callable", repr(self.callback))
        boolean("warm_start", self.warm_start)
        integer("replay_capacity", self.replay_capacity, 0, MOST_SAMPLES)
        if not (self.random_state is None or isinstance(self.random_state, np.random.RandomState)):
            allowed = f"None, a RandomState or an integer from 0 to {LARGEST_SEED}"
            integer("random_state", self.random_state, 0, LARGEST_SEED, allowed=allowed)
        structure = Structure.of_parameters(
            self.hidden_layer_sizes,
            self.connections,
            self.image_shape,
            default=type(self).hidden_layer_sizes,
        )
        # Whether layers other than dense ones fit a plain vector is not known before it comes.
        is_known = structure.is_dense or structure.image_shape is not None
        checked = structure if is_known else Structure(())
        self._definition(checked, 1, 1, seed=0)
        self._course, self._structure = course, structure

    @property
    def _checked_early_stopping(self) -> str | bool:
        value = self.early_stopping
        value = bool(value) if isinstance(value, np.bool_) else value
        allowed: tuple[str | bool, ...] = ("auto", True, False)
        return choice("early_stopping", value, allowed)

    def _start(self, n_outputs: int) -> None:
        """Make a network in its initial state."""
        has_constant = self._structure.image_shape is None  # which has no place in an image
        n_inputs = self.n_features_in_ + has_constant
        net, rate = self._definition(self._structure, n_inputs, n_outputs, self._seed())
        learned = LazySimulator.untrained(net, rate, self._silence_monitor(has_constant))
        learned.open(self.backend)  # raises here, before anything is replaced
        self._learned = learned
        self._scaling: InputScaling | None = None
        if self._scales:
            self._scaling = InputScaling.unknown(self.n_features_in_, self._spread)
        self._replay: ReplayBuffer | None = None
        if self.replay_capacity:
            self._replay = ReplayBuffer(self.replay_capacity, seed=net.seed)
        self._monitor = ActivityMonitor()
        self._carry = WeightRemainders()
        self.table_: Table | None = None
        self.n_iter_ = 0
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] = []

    def _scale_to(self, features: AllRows, targets: AllRows) -> None:
        """Scale features to all samples, before any has been learned."""
        if self._scaling is not None:
            self._scaling = self._scaling.of_all(features)
            self._warn_of_outlier()

    def _warn_of_outlier(self) -> None:
        names = getattr(self, "feature_names_in_", None)
        self._monitor.warn_of_outlier(self._scaling, lambda i: i if names is None else names[i])

    def _seed(self) -> int:
        if is_integer(self.random_state):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(LARGEST_SEED + 1, dtype=np.int64))

    def _resume(self) -> None:
        """Make the network of earlier calls go on, at the present learning rate."""
        if self._resumed is not self._learned:
            self._go_on()
            self._resumed = self._learned

    def _go_on(self) -> None:
        net = self._learned.net
        self._check_structure(Structure.of_network(net))
        if self._scales != (self._scaling is not None):
            before = net.input_scale if self._scaling is None else "auto"
            raise self._changed("input_scale", before, self.input_scale)
        self._check_replay()
        wanted, rate = self._definition(self._structure, net.n_inputs, net.n_outputs, net.seed)
        for name in self._network_parameters():
            before = getattr(net, name)
            if getattr(wanted, name) != before and name not in ("learning_rate", "label_targets"):
                raise self._changed(name, before, getattr(self, name))
        learned = self._learned.with_fields(label_targets=wanted.label_targets)
        for one in (rate.first, rate.lowest):
            net.replace(learning_rate=one, fraction_bits=net.fraction_bits)  # or raise
        learned.open(self.backend)
        if rate[:2] != learned.rate[:2]:  # otherwise it goes on
            learned.rate = rate
        self._learned = learned

    def _check_replay(self) -> None:
        """Refuse another replay buffer than the network was made with."""
        replay = self.replay_buffer_
        capacity = 0 if replay is None else replay.capacity
        if self.replay_capacity != capacity:
            raise self._changed("replay_capacity", capacity, self.replay_capacity)

    def _check_structure(self, before: Structure) -> None:
        """Refuse another structure than the network was made with."""
        now = self._structure
        if now.image_shape != before.image_shape:
            raise self._changed("image_shape", before.image_shape, now.image_shape)
        if now.hidden_layers == before.hidden_layers:
            return
        if self.connections is None and before.is_dense:
            sizes_before = before.network(1, 1).layer_sizes[1:-1]
            raise self._changed("hidden_layer_sizes", sizes_before, self.hidden_layer_sizes)
        raise self._changed("connections", before.hidden_layers, self.connections)

    def _changed(self, name: str, before: object, now: object) -> ValueError:
        allowed = f"what it was when the network was made, {before!r}, to go on"
        return wrong_argument(name, allowed, repr(now))

    @property
    def _has_intercept(self) -> bool:
        """Whether the network has a constant input."""
        return bool(self._learned.net.n_inputs > self.n_features_in_)

    @property
    def input_scaling_(self) -> InputScaling | None:
        """The scaling of features to input, as it is now; None if they are not scaled."""
        check_is_fitted(self)
        with self._lock:
            return None if self._scaling is None else self._scaling.copy()

    @property
    def replay_buffer_(self) -> ReplayBuffer | None:
        """The samples that are learned again, as features; None without `replay_capacity`."""
        check_is_fitted(self)
        return self._replay

    @synchronized
    def network_inputs(self, X: Any) -> NDArray[np.float64]:
        """Return the input of the network of `checkpoint_` for features.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_inputs)
            The features, scaled as `input_scaling_` says, and the constant input if there is one.
        """
        check_is_fitted(self)
        shown = self._inputs(checked_data(self, X))
        inputs: NDArray[np.float64] = shown.dense() if isinstance(shown, SparseRows) else shown
        return inputs

    def _inputs(self, X: Any) -> Any:
        """Return the input for features, lists for lists."""
        if self._scaling is not None:
            X = self._scaling.scaled(self._scaling.without_unknown(X))
        return self._with_intercept(X)

    def _with_intercept(self, X: Any) -> Any:
        return self._with_constant(X, self._learned.net) if self._has_intercept else X

    def _scores(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self._shown(checked_data(self, X))

    def _shown(self, X: Any, *, are_inputs: bool = False) -> NDArray[np.float64]:
        """Return the scores of checked samples."""
        parts = [
            self._learned.predict(self.backend, X[rows] if are_inputs else self._inputs(X[rows]))
            for rows in parts_of(X, None)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _train(
        self, samples: Samples, order: NDArray[np.int64] | None, *, in_turn: bool = False
    ) -> NDArray[np.float64]:
        """Learn from samples in an order, or from each once, and return the scores they reached.

        In a stream (`in_turn`) each is scaled by what came so far, itself included.
        """
        if self._replay is not None:
            order = np.arange(len(samples.y)) if order is None else order
            return self._train_again(self._replay, samples, order, in_turn=in_turn)
        scores, net, last = [], self._learned.net, -1
        for rows in parts_of(samples.X, order):
            X, y, scaling = samples.X[rows], samples.y[rows], self._scaling
            if samples.are_inputs:
                inputs = X
            elif in_turn and scaling is not None:
                scaling, scaled = scaled_in_turn(scaling, X)
                inputs = self._with_intercept(scaled)
            else:
                inputs = self._inputs(X)
            targets, changes = self._asked(y, None, in_turn=in_turn)
            scores.append(self._learn(inputs, targets))
            self.__dict__.update(changes | {"_scaling": scaling})
            is_new, last = _first_times(rows, last)
            self._learned_from(scores[-1][is_new], y[is_new])
            self._monitor.observe(inputs, net)
        return scores[0] if len(scores) == 1 else np.concatenate(scores)

    def _learn(self, inputs: Any, targets: NDArray[Any]) -> NDArray[np.float64]:
        """Learn from samples at the rate that follows their errors, and return their scores."""

        def after(rate: LearningRate, scores: NDArray[np.float64], rows: slice) -> LearningRate:
            return self._rate_after(rate, scores, targets[rows])

        return self._learned.train(self.backend, inputs, targets, after)

    def _train_again(
        self,
        replay: ReplayBuffer,
        samples: Samples,
        order: NDArray[np.int64],
        *,
        in_turn: bool,
    ) -> NDArray[np.float64]:
        """Learn from samples in an order, and again from some of before after each.

        The buffer keeps features, which are scaled as those of the new sample before them are: in a
        stream (`in_turn`) by what came so far.
        """
        scores, learned, last = [], self._learned, -1
        net = learned.net
        for start in range(0, len(order), ROWS_AT_ONCE):
            rows = order[start : start + ROWS_AT_ONCE]
            new, scaling = (samples.X[rows], samples.y[rows]), self._scaling
            with replay.learning(*new, lambda: learned.n_seen) as mixture:
                X = mixture.x
                if in_turn and scaling is not None:
                    scaling, scaled = scaled_in_turn(scaling, X, mixture.is_new)
                    inputs = self._with_intercept(scaled)
                else:
                    inputs = self._inputs(X)
                targets, changes = self._asked(mixture.y, mixture.is_new, in_turn=in_turn)
                reached = self._learn(inputs, targets)
                self.__dict__.update(changes | {"_scaling": scaling})
            scores.append(reached[mixture.is_new])
            is_new, last = _first_times(rows, last)
            self._learned_from(scores[-1][is_new], new[1][is_new])
            self._monitor.observe(inputs[np.flatnonzero(mixture.is_new)], net)
        return np.concatenate(scores)

    def _train_once(self, samples: Samples) -> None:
        if samples.are_left_out:
            return
        self._learned.rate = self._learned.rate.beginning()._replace(in_stream=True)
        order = None
        if samples.weights is not None:
            kinds = samples.y if is_classifier(self) else np.zeros(len(samples.y))
            order = self._carry.shown(samples.weights, kinds)
        if order is None or len(order):
            self._train(samples, order, in_turn=True)
            self._warn_of_outlier()
        self.n_iter_ += 1

    def _train_epochs(self, samples: Samples, *, goes_on: bool) -> None:
        seed, course, callback = self._learned.net.seed, self._course, self.callback
        with self._lock:
            if self._replay is None:
                samples = samples._replace(X=self._inputs(samples.X), are_inputs=True)
            kept_out, best, least = None, None, math.inf
            if self._keeps_samples_out(samples):
                samples, kept_out = self._split(samples, seed)
                if goes_on:
                    least = self._validated(kept_out)[0]
                best = self._snapshot()
            self._learned.rate = self._learned.rate.beginning()
        without_gain, bar = 0, least
        for _ in range(course.max_iter):
            with self._lock:
                loss = self._train_epoch(samples, kept_out, seed)
                without_gain += 1
                if loss < (1 - course.tol) * bar:
                    bar, without_gain = loss, 0
                if loss < least and kept_out is not None:
                    best, least = self._snapshot(), loss
            # Without the lock: what it waits for may be another thread that predicts.
            if callback is not None and callback(self) is True:
                break
            if course.early_stopping and without_gain >= course.n_iter_no_change:
                if not self._learned.rate.may_be_halved:
                    break
                self._learned.rate, without_gain = self._learned.rate.halved(), 0
        if kept_out is not None:
            self._go_back(best)

    def _keeps_samples_out(self, samples: Samples) -> bool:
        """Return whether samples are kept out of training."""
        course = self._course
        if course.early_stopping != "auto":
            return bool(course.early_stopping)
        n_samples, n_classes = (
            len(samples.y),
            len(np.unique(samples.y)) if is_classifier(self) else 0,
        )
        return (
            course.validation_fraction * n_samples >= FEWEST_KEPT_OUT
            and n_samples >= FEWEST_OF_CLASS * n_classes
            and course.max_iter > (MOST_HALVED + 1) * course.n_iter_no_change  # it may end early
        )

    def _train_epoch(self, samples: Samples, kept_out: Samples | None, seed: int) -> float:
        """Learn for an epoch, and return the loss of the validation samples, or of training."""
        course = self._course
        order = samples.shown_in_epoch(self.n_iter_)
        if course.shuffle:
            order = order[shuffled(len(order), seed, self.n_iter_)]
        spikes = self._learned.operations.spikes
        # A stream of later samples compares its errors with those of the last epoch.
        self._learned.rate = self._learned.rate.forgetting(in_stream=False)
        loss = math.nan
        if len(order):  # small weights may leave an epoch empty
            scores = self._train(samples, order)
            self._monitor.end_epoch()
            loss = float(np.mean(self._squared_errors(scores, samples.y[order])) / 2)
        self.n_iter_ += 1
        self.loss_curve_.append(loss)
        score = None
        if kept_out is not None:
            loss, score = self._validated(kept_out)
            self.validation_scores_.append(score)
        if course.verbose:
            spikes = self._learned.operations.spikes - spikes
            self._print(spikes / max(1, len(order)), score)
        return loss

    def _squared_errors(self, scores: NDArray[np.float64], y: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared error of the rectified scores of each sample."""
        targets = real_targets(self._learned.net, self._targets(y))
        errors: NDArray[np.float64] = np.sum((np.maximum(scores, 0) - targets) ** 2, axis=1)
        return errors

    def _split(self, samples: Samples, seed: int) -> tuple[Samples, Samples]:
        """Return the samples to learn from, and those for validation."""
        fraction, n_samples = self._course.validation_fraction, len(samples.y)
        if self._course.early_stopping == "auto":
            fraction = min(fraction, MOST_KEPT_OUT / n_samples)
        stratify = None
        if is_classifier(self):
            _, counts = np.unique(samples.y, return_counts=True)
            if counts.min() > 1 and min(fraction, 1 - fraction) * n_samples >= len(counts):
                stratify = samples.y
        kept, held_out = train_test_split(
            np.arange(n_samples), test_size=fraction, random_state=seed, stratify=stratify
        )
        return samples.take(np.sort(kept)), samples.take(np.sort(held_out))

    def _snapshot(self) -> Any:
        """Return a snapshot of everything that learning changes."""
        replay = self._replay
        return self._learned.copy(), None if replay is None else replay.copy()

    @synchronized
    def _go_back(self, snapshot: Any) -> None:
        """Restore a snapshot."""
        self._learned, self._replay = snapshot

    def _validated(self, samples: Samples) -> tuple[float, float]:
        """Return the loss and the score of validation samples."""
        scores = self._shown(samples.X, are_inputs=samples.are_inputs)
        of_samples = scores, samples.y, samples.weights
        return self._loss_without_learning(*of_samples), self._goodness(*of_samples)

    def _print(self, spikes: float, score: float | None) -> None:
        line = f"Iteration {self.n_iter_}, loss = {self.loss_curve_[-1]:.6f}"
        line += f", spikes per sample = {spikes:.1f}"
        print(line if score is None else f"{line}, validation score = {score:.6f}")


def _first_times(rows: Any, last: int) -> tuple[Any, int]:
    """Return which rows of an order do not repeat the one before, and the last of them.

    Parameters
    ----------
    rows : ndarray of int, or a slice of all rows
        A part of the order.
    last : int
        The row before it; -1 for none.

    Returns
    -------
    is_first : ndarray of bool, or a slice of all
        Whether each row differs from the one before.
    last : int
        The last row.
    """
    if isinstance(rows, slice) or not len(rows):
        return slice(None), last
    return np.diff(rows, prepend=last) != 0, int(rows[-1])
