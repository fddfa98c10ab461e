"""What learns in shards: a network by itself, or an estimator with all that it knows of samples.

A learner is sent to the workers, each of which learns from a copy. What the last one has besides
its weights goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.multiclass import check_classification_targets

from spikebp_plugins.common.archive import PathLike
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.dask.partitions import taken
from spikebp_plugins.estimators.all_rows import AllRows
from spikebp_plugins.estimators.estimator import SpikingEstimator
from spikebp_plugins.estimators.files import arrays_of
from spikebp_plugins.network.checkpoint import Checkpoint, starting_checkpoint, to_arrays
from spikebp_plugins.network.samples import check_batch


class Found(NamedTuple):
    """What was found in samples that were checked.

    Attributes
    ----------
    n_samples : int
        Their number.
    first : tuple or None
        Features and target of the first one, as they came, for an estimator to begin with; None of
        no sample, and for a network.
    labels : ndarray or None
        The labels that came; None for real targets, and of no sample.
    """

    n_samples: int
    first: tuple[Any, Any] | None = None
    labels: NDArray[Any] | None = None


class Learner(ABC):
    """What learns in shards."""

    #: What is returned in the end.
    result: Any

    @property
    @abstractmethod
    def checkpoint(self) -> Checkpoint:
        """The network, and what it has learned."""

    @property
    @abstractmethod
    def seed(self) -> int | None:
        """Seeds the orders of samples; None keeps the one in which they are given."""

    @property
    def labels(self) -> frozenset[int]:
        """The labels that have come so far, where they are kept."""
        return frozenset()

    @abstractmethod
    def checked(self, X: Any, y: Any) -> Found:
        """Return what is found in samples, of which there are some."""

    @abstractmethod
    def prepare(self, found: list[Found], features: AllRows, targets: AllRows) -> None:
        """Become ready to learn from all samples, which have been checked."""

    @abstractmethod
    def epochs_before(self, n_samples: int) -> int:
        """Return how many epochs of so many samples it has learned."""

    @abstractmethod
    def begin_epoch(self) -> None:
        """Begin an epoch."""

    @abstractmethod
    def learn(self, X: Any, y: Any) -> tuple[float, int]:
        """Learn from samples, and return the sums of their losses and of their spikes."""

    @abstractmethod
    def go_on(self, checkpoint: Checkpoint, labels: frozenset[int]) -> None:
        """Go on with another checkpoint, and with the labels that have come in all shards."""

    @abstractmethod
    def end_epoch(self, loss: float, spikes: float) -> None:
        """Note the mean loss of the samples of an epoch, and the mean of their spikes."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the file of the result."""

    @abstractmethod
    def loaded(self, path: PathLike) -> Learner:
        """Return what a file holds as such a learner."""


class NetworkLearner(Learner):
    """A network by itself, which learns as `Simulator.train` does.

    Parameters
    ----------
    given : Definition or Checkpoint
        Where it begins.
    """

    def __init__(self, given: Any) -> None:
        self.result = starting_checkpoint(given)
        for name in ("replay", "encoder"):
            if (value := getattr(self.result, name)) is not None:
                raise wrong_argument(f"{name} of the checkpoint", "None", repr(value))

    @property
    def checkpoint(self) -> Checkpoint:
        """The network, and what it has learned."""
        checkpoint: Checkpoint = self.result
        return checkpoint

    @property
    def seed(self) -> int | None:
        """Seeds the orders of samples."""
        return self.checkpoint.net.seed

    def checked(self, X: Any, y: Any) -> Found:
        """Return what is found in samples, of which there are some."""
        check_batch(self.checkpoint.net, *map(numbers_of, (X, y)))
        return Found(len(y))

    def prepare(self, found: list[Found], features: AllRows, targets: AllRows) -> None:
        """Do nothing: a network learns from samples as they are."""

    def begin_epoch(self) -> None:
        """Do nothing: a network follows no errors."""

    def end_epoch(self, loss: float, spikes: float) -> None:
        """Do nothing: a network keeps no losses."""

    def epochs_before(self, n_samples: int) -> int:
        """Return how many epochs of so many samples it has learned."""
        return self.checkpoint.state.samples_seen // n_samples

    def learn(self, X: Any, y: Any) -> tuple[float, int]:
        """Learn from samples, and return the sums of their losses, if kept, and of their spikes."""
        with self.checkpoint.simulate() as simulator:
            simulator.train(*map(numbers_of, (X, y)), progress=False)
            self.result = simulator.checkpoint()
            return 0.0, simulator.operations.spikes

    def go_on(self, checkpoint: Checkpoint, labels: frozenset[int]) -> None:
        """Go on with another checkpoint."""
        self.result = checkpoint

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the file of the checkpoint."""
        return to_arrays(self.checkpoint)

    def loaded(self, path: PathLike) -> NetworkLearner:
        """Return what a file holds as such a learner."""
        return NetworkLearner(Checkpoint.load(path, self.checkpoint.net))


class EstimatorLearner(Learner):
    """A copy of an estimator, which learns as its `fit` does, but keeps no samples out.

    Parameters
    ----------
    given : SpikingEstimator
        The estimator.
    """

    def __init__(self, given: Any) -> None:
        self.result = model = deepcopy(given)
        model._check_parameters()
        for name, allowed, is_allowed in (
            ("replay_capacity", "0", model.replay_capacity == 0),
            ("callback", "None", model.callback is None),
            ("early_stopping", "'auto' or False", model._course.early_stopping is not True),
            ("class_weight", "None", getattr(model, "class_weight", None) is None),
        ):
            if not is_allowed:
                value = getattr(model, name)
                raise wrong_argument(name, f"{allowed}, to learn in shards", repr(value))
        self._is_new = not (model.warm_start and model.__sklearn_is_fitted__())

    @property
    def checkpoint(self) -> Checkpoint:
        """The network, and what it has learned."""
        checkpoint: Checkpoint = self.result._learned.checkpoint
        return checkpoint

    @property
    def seed(self) -> int | None:
        """Seeds the orders of samples; None keeps the one in which they are given."""
        return self.checkpoint.net.seed if self.result._course.shuffle else None

    @property
    def labels(self) -> frozenset[int]:
        """The labels that have come so far."""
        labels: frozenset[int] = self.result._learned.rate.labels
        return labels

    def checked(self, X: Any, y: Any) -> Found:
        """Return what is found in samples, of which there are some."""
        model, labels = deepcopy(self.result), None
        _, checked = model._checked(X, y, first=self._is_new)
        if is_classifier(model):
            check_classification_targets(checked)
            labels = np.unique(checked)
        one = np.arange(1)
        return Found(len(checked), (taken(X, one), taken(y, one)), labels)

    def prepare(self, found: list[Found], features: AllRows, targets: AllRows) -> None:
        """Become ready to learn from all samples, which have been checked."""
        model, classes = self.result, {}
        labels = [part.labels for part in found if part.labels is not None]
        if labels:
            known = np.unique(np.concatenate(labels))
            classes = {"classes": known if self._is_new else np.union1d(known, model.classes_)}
            if not self._is_new and len(classes["classes"]) > len(model.classes_):
                raise wrong_argument("y", f"labels among the classes {model.classes_}", known)
        first = next(part.first for part in found if part.first is not None)
        model._prepared(*first, None, first=self._is_new, has_epochs=True, **classes)
        if self._is_new:
            model._scale_to(features, targets)
        model._learned.rate = model._learned.rate.beginning()
        self._is_new = False

    def epochs_before(self, n_samples: int) -> int:
        """Return how many epochs it has learned."""
        return int(self.result.n_iter_)

    def begin_epoch(self) -> None:
        """Begin an epoch, whose errors are not compared with those before."""
        learned = self.result._learned
        learned.rate = learned.rate.forgetting(in_stream=False)

    def learn(self, X: Any, y: Any) -> tuple[float, int]:
        """Learn from samples, and return the sums of their losses and of their spikes."""
        model = self.result
        model._check_parameters()
        samples = model._prepared(X, y, None, first=False, has_epochs=True)
        spikes = model._learned.operations.spikes
        scores = model._train(samples, None)
        loss = float(np.sum(model._squared_errors(scores, samples.y))) / 2
        return loss, model._learned.operations.spikes - spikes

    def go_on(self, checkpoint: Checkpoint, labels: frozenset[int]) -> None:
        """Go on with another checkpoint, and with the labels that have come in all shards."""
        learned = self.result._learned
        self.result._learned = learned.at(checkpoint, learned.rate._replace(labels=labels))

    def end_epoch(self, loss: float, spikes: float) -> None:
        """Note the mean loss of the samples of an epoch, and the mean of their spikes."""
        model = self.result
        model._monitor.end_epoch()
        model.n_iter_ += 1
        model.loss_curve_.append(loss)
        if model._course.verbose:
            model._print(spikes, None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of the file of the estimator."""
        return arrays_of(self.result)

    def loaded(self, path: PathLike) -> EstimatorLearner:
        """Return what a file holds as such a learner."""
        learner = EstimatorLearner(type(self.result).load(path))
        for name, before in learner.result.get_params(deep=False).items():
            if repr(now := getattr(self.result, name)) != repr(before):
                raise wrong_argument(name, f"what it is in {path}, {before!r}", repr(now))
        learner._is_new = False
        return learner


def learner_of(model_or_net: Any) -> Learner:
    """Return the learner of an estimator, of a definition or of a checkpoint."""
    kind = EstimatorLearner if isinstance(model_or_net, SpikingEstimator) else NetworkLearner
    return kind(model_or_net)


def numbers_of(block: Any) -> Any:
    """Return the numbers of a frame; others as they are."""
    return block.to_numpy() if hasattr(block, "iloc") else block
