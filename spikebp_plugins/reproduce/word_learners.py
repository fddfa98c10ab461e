"""The learners of `speech`: the spiking network, and rivals of PyTorch and scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.data.images import shuffled
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.reproduce.learners import SpikingLearner
from spikebp_plugins.reproduce.study import Study

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]

#: Epochs of training on the words of speakers who are known; the rate is halved after each.
EPOCHS: Final = 4
HALVE_AFTER: Final = (1, 2, 3)

#: Words of a mini-batch while networks of rivals are trained: better and faster than one by one.
BATCH: Final = 16

#: The targets of wrong outputs and of the right one, in spikes a step.
TARGETS: Final = (0.75, 8.0)

#: Fraction bits with which the grid holds the lowest rate to within 0.1 %.
FRACTION_BITS: Final = 22


class Rates(NamedTuple):
    """The learning rates of a learner.

    Attributes
    ----------
    known : float
        At the start of training on speakers who are known.
    new : float
        For the words of a new speaker.
    """

    known: float
    new: float


class WordLearner(ABC):
    """A classifier that is trained in epochs, and then learns new words one at a time."""

    name: ClassVar[str]
    #: Those that it may choose from; the first without a choice.
    rates: ClassVar[tuple[Rates, ...]]
    #: The package that it needs.
    package: ClassVar[str]

    @classmethod
    def is_there(cls) -> bool:
        """Return whether the package is installed."""
        return find_spec(cls.package) is not None

    @classmethod
    @abstractmethod
    def trained(cls, study: Study, hidden: tuple[int, ...], rate: float) -> Self:
        """Return a learner after the training samples of a study, from the study's seed."""

    @abstractmethod
    def at_rate(self, rate: float) -> Self:
        """Return a copy that learns on at another rate."""

    @abstractmethod
    def learn(self, x: Array, label: int) -> None:
        """Learn from a word of shape (n_features,), once."""

    @abstractmethod
    def scores(self, x: Array) -> Array:
        """Return a score for each digit, of words of shape (n_words, n_features)."""

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """The number of its parameters."""


class SpikingWords(WordLearner):
    """The spiking network; what it learns of known speakers is kept in the study's folder."""

    name = "spiking network"
    package = "spikebp_plugins"
    rates = tuple(Rates(known, new) for known in (0.6, 0.3, 1.0) for new in (0.4, 0.2, 0.6))

    def __init__(self, start: Checkpoint) -> None:
        self._learner = SpikingLearner(start)

    @classmethod
    def trained(cls, study: Study, hidden: tuple[int, ...], rate: float) -> Self:
        """Return a network after the training samples of a study."""
        net = study.net(
            *hidden,
            update="normalized",
            learning_rate=rate,
            weight_init="quiet",
            label_targets=TARGETS,
            fraction_bits=FRACTION_BITS,
        )
        return cls(study.learned(net, EPOCHS, halve_after=HALVE_AFTER).checkpoint)

    def at_rate(self, rate: float) -> Self:
        """Return a copy that learns on at another rate."""
        return type(self)(self._learner.checkpoint().at_rate(rate))

    def learn(self, x: Array, label: int) -> None:
        """Learn from a word."""
        self._learner.learn(x[np.newaxis], np.array([label]))

    def scores(self, x: Array) -> Array:
        """Return a score for each digit."""
        return self._learner.scores(x)

    @property
    def n_parameters(self) -> int:
        """The number of weights."""
        return sum(weights.size for weights in self._learner.checkpoint().state.weights)


class SpikingWordsTwice(SpikingWords):
    """The same, shown each word twice: still in a fraction of the time that rivals take for one."""

    name = "spiking network, words twice"

    def learn(self, x: Array, label: int) -> None:
        """Learn from a word, two times in a row."""
        self._learner.learn(np.array([x, x]), np.array([label, label]))


class TorchWords(WordLearner):
    """A network of ReLU units in PyTorch with biases, softmax cross-entropy and plain SGD."""

    name = "PyTorch"
    package = "torch"
    rates = tuple(Rates(known, new) for known in (0.1, 0.05, 0.2) for new in (0.01, 0.005, 0.02))

    def __init__(self, module: Any, rate: float) -> None:
        self._torch = import_module("torch")
        self._module = module
        self._optimizer = self._torch.optim.SGD(module.parameters(), lr=rate)
        self._loss = self._torch.nn.CrossEntropyLoss()

    @classmethod
    def trained(cls, study: Study, hidden: tuple[int, ...], rate: float) -> Self:
        """Return a network after the training samples of a study."""
        torch = import_module("torch")
        torch.manual_seed(study.seed)
        x, y = study.train
        sizes = (x.shape[1], *hidden, study.data.n_classes)
        layers: list[Any] = []
        for n_in, n_out in pairwise(sizes):
            layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
        learner = cls(torch.nn.Sequential(*layers[:-1]), rate)
        for epoch in range(study.epochs(EPOCHS)):
            order = shuffled(len(x), study.seed, epoch)
            for start in range(0, len(x), BATCH):
                batch = order[start : start + BATCH]
                learner._step(x[batch], y[batch])
            learner._optimizer.param_groups[0]["lr"] /= 2
        return learner

    def at_rate(self, rate: float) -> Self:
        """Return a copy that learns on at another rate."""
        return type(self)(deepcopy(self._module), rate)

    def learn(self, x: Array, label: int) -> None:
        """Learn from a word."""
        self._step(x[np.newaxis], np.array([label]))

    def _step(self, x: Array, y: Array) -> None:
        self._optimizer.zero_grad()
        scores = self._module(self._tensor(x))
        self._loss(scores, self._torch.from_numpy(y)).backward()
        self._optimizer.step()

    def scores(self, x: Array) -> Array:
        """Return a score for each digit."""
        with self._torch.no_grad():
            scores: Array = self._module(self._tensor(x)).numpy()
        return scores

    def _tensor(self, x: Array) -> Any:
        return self._torch.from_numpy(x.astype(np.float32))

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum(parameter.numel() for parameter in self._module.parameters())


class _ScikitWords(WordLearner):
    """A classifier of scikit-learn that learns by ``partial_fit``."""

    package = "sklearn"

    def __init__(self, model: Any, classes: Array) -> None:
        self._model, self._classes = model, classes

    def _train(self, study: Study) -> Self:
        x, y = study.train
        for epoch in range(study.epochs(EPOCHS)):
            order = shuffled(len(x), study.seed, epoch)
            self._model.partial_fit(x[order], y[order], classes=self._classes)
            self._end_epoch()
        return self

    def _end_epoch(self) -> None:
        """Finish an epoch."""

    def learn(self, x: Array, label: int) -> None:
        """Learn from a word."""
        self._model.partial_fit(x[np.newaxis], np.array([label]))

    def scores(self, x: Array) -> Array:
        """Return a score for each digit."""
        scores: Array = self._model.predict_proba(x)
        return scores


class MlpWords(_ScikitWords):
    """``MLPClassifier``, whose rate cannot change after its first call."""

    name = "MLPClassifier"
    rates = tuple(Rates(rate, rate) for rate in (0.0005, 0.00025, 0.001))

    @classmethod
    def trained(cls, study: Study, hidden: tuple[int, ...], rate: float) -> Self:
        """Return a network after the training samples of a study."""
        model = import_module("sklearn.neural_network").MLPClassifier(
            hidden,
            learning_rate_init=rate,
            batch_size=BATCH,
            shuffle=False,
            random_state=study.seed,
        )
        return cls(model, np.arange(study.data.n_classes))._train(study)

    def at_rate(self, rate: float) -> Self:
        """Return a copy that learns single words."""
        return type(self)(deepcopy(self._model).set_params(batch_size=1), self._classes)

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return sum(array.size for array in (*self._model.coefs_, *self._model.intercepts_))


class LinearWords(_ScikitWords):
    """``SGDClassifier``: logistic regression, without hidden units."""

    name = "SGDClassifier"
    rates = tuple(
        Rates(known, new) for known in (0.001, 0.0003, 0.003) for new in (0.01, 0.003, 0.03)
    )

    @classmethod
    def trained(cls, study: Study, hidden: tuple[int, ...], rate: float) -> Self:  # noqa: ARG003
        """Return a classifier after the training samples of a study."""
        model = import_module("sklearn.linear_model").SGDClassifier(
            loss="log_loss",
            penalty=None,
            learning_rate="constant",
            eta0=rate,
            shuffle=False,
            random_state=study.seed,
        )
        return cls(model, np.arange(study.data.n_classes))._train(study)

    def _end_epoch(self) -> None:
        self._model.set_params(eta0=self._model.eta0 / 2)

    def at_rate(self, rate: float) -> Self:
        """Return a copy that learns on at another rate."""
        return type(self)(deepcopy(self._model).set_params(eta0=rate), self._classes)

    @property
    def n_parameters(self) -> int:
        """The number of weights and biases."""
        return int(self._model.coef_.size + self._model.intercept_.size)


LEARNERS: Final[tuple[type[WordLearner], ...]] = (
    SpikingWords,
    SpikingWordsTwice,
    TorchWords,
    MlpWords,
    LinearWords,
)
