"""What experiments have in common: data, networks that are trained once, and a report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import unreadable, whole_file
from spikebp_plugins.common.errors import integer, real, wrong_argument
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.data.images import Dataset, error_percent, shuffled
from spikebp_plugins.event_order import EventCheckpoint, EventMLP
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import Layer
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.reproduce.learners import LEARNERS, Learned, Learner, start_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Samples between two updates of the progress bar.
BLOCK: Final = 2_000

#: The number of training images with `quick`, and the largest number of epochs.
QUICK_SAMPLES: Final = 2_000
QUICK_EPOCHS: Final = 2

#: What the errors of an epoch must be.
PERCENT: Final = ("a number from 0 to 100", lambda percent: 0 <= percent <= 100)


@dataclass(frozen=True)
class Report:
    """The result of an experiment: a table, notes and a picture.

    Attributes
    ----------
    title : str
        Title of the table.
    rows : sequence of mapping
        The rows of the table: for each name of a column a text, a number, numbers or None.
    notes : sequence of str
        Sentences below the table.
    draw : callable
        Draws the result on a figure of matplotlib.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    draw: Callable[[Figure], None]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that has been trained.

    Attributes
    ----------
    learned : Checkpoint, EventCheckpoint or ReluWeights
        The network after the last epoch.
    test_errors : list of float
        In percent, after each epoch.
    train_error : float
        In percent, after the last epoch.
    operations : list of Operations
        Spikes and operations of the training in each epoch; those of a ReLU network are zero.
    averaged_error : float or None
        Test error in percent with the mean of the weights of the last epochs; None if no mean is
        taken.
    """

    learned: Learned
    test_errors: list[float]
    train_error: float
    operations: list[Operations]
    averaged_error: float | None = None

    @property
    def net(self) -> Definition:
        """The definition of a network of steps, or of the ReLU network that has its shape."""
        assert not isinstance(self.learned, EventCheckpoint)
        return self.learned.net

    @property
    def checkpoint(self) -> Checkpoint:
        """The network after the last epoch, which is one of steps."""
        assert isinstance(self.learned, Checkpoint)
        return self.learned

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of the weights, matrices of shape (n_in, n_out)."""
        learned = self.learned
        matrices: Sequence[Any] = (
            learned.state.weights if isinstance(learned, Checkpoint) else learned.weights
        )
        return [np.array(matrix, np.float64) for matrix in matrices]


@dataclass(frozen=True, eq=False)
class Study:
    """Where an experiment takes its data from and keeps its networks.

    Parameters
    ----------
    data : Dataset
        Images, with their pixels in 8 bits.
    folder : Path
        Where trained networks are kept.
    quick : bool, default=False
        Learn from few images for few epochs: shows what an experiment does, not its true result.
    seed : int, default=0
        Seed of initial weights, and of the order of samples.
    in_full : bool, default=False
        Show all images also to what runs on the slow reference alone.
    """

    data: Dataset
    folder: Path
    quick: bool = False
    seed: int = 0
    in_full: bool = False

    def net(self, *hidden: int, **changes: Any) -> Definition:
        """Return the definition of the paper (T = 10, rate 0.01), with some fields changed."""
        data = self.data
        fields = {"input_scale": data.input_scale, "seed": self.seed} | changes
        return SpikingMLP.paper((data.x_train.shape[1], *hidden, data.n_classes), **fields)

    def event_net(self, *hidden: int, **changes: Any) -> EventMLP:
        """Return the network of the authors' program, with some fields changed."""
        data = self.data
        fields = {"input_scale": data.input_scale, "seed": self.seed} | changes
        return EventMLP((data.x_train.shape[1], *hidden, data.n_classes), **fields)

    def image_net(self, *layers: Layer, **changes: Any) -> Definition:
        """Return a network that sees images, with the fields of the paper but for some changed."""
        fields = {"input_scale": self.data.input_scale, "seed": self.seed} | changes
        return SpikingNetwork.paper(self.data.image_shape, layers, **fields)

    def title(self, hidden: Sequence[int | str], text: str) -> str:
        """Return the title of a table: data, hidden layers by sizes or name, and what was done."""
        return f"{self.data.name}, {'-'.join(map(str, hidden))}{text}"

    def held_out(self) -> Study:
        """Return a study that tests on the last sixth of the training images, held out from it."""
        data, n = self.data, len(self.data.x_train) - len(self.data.x_train) // 6
        parts = {
            f"{name}_{part}": getattr(data, f"{name}_train")[rows]
            for name in ("x", "y")
            for part, rows in (("train", slice(n)), ("test", slice(n, None)))
        }
        return replace(self, data=replace(data, name=f"{data.name}, held out", **parts))

    def of_images(self, n: int) -> Study:
        """Return a study of the first n training images."""
        data = self.data
        return replace(self, data=replace(data, x_train=data.x_train[:n], y_train=data.y_train[:n]))

    @property
    def is_the_papers(self) -> bool:
        """Whether the data are those that the authors give figures for."""
        return self.data.name == "mnist"

    @property
    def train(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The training images and their labels."""
        n = QUICK_SAMPLES if self.quick else len(self.data.x_train)
        return self.data.x_train[:n], self.data.y_train[:n]

    @property
    def test(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The test images and their labels."""
        return self.data.x_test, self.data.y_test

    def epochs(self, wanted: int) -> int:
        """Return how many epochs to train for."""
        return min(wanted, QUICK_EPOCHS) if self.quick else wanted

    def learned(
        self,
        net: Definition | EventMLP,
        epochs: int,
        kind: str = "spiking",
        *,
        halve_after: Sequence[int] = (),
        average: int = 0,
        **options: Any,
    ) -> TrainedNetwork:
        """Return a network after some epochs; epochs that are saved are not trained again.

        Parameters
        ----------
        net : Definition or EventMLP
            The definition.
        epochs : int
            How often each training image is shown.
        kind : {"spiking", "event order", "ReLU", "integer ReLU"}
            The network itself, in steps or, for an EventMLP, in the order of events; or one of
            rectified units with its shape, initial weights and rate.
        halve_after : sequence of int, default=()
            After these epochs the learning rate is halved.
        average : int, default=0
            Number of last epochs whose weights are averaged; 0 averages none.
        **options
            Options of the learner of that kind.
        """
        how = {"halve_after": halve_after, "average": average, "options": options}
        return self._trained(net, epochs, kind, how).learned()

    def test_errors(
        self,
        net: Definition | EventMLP,
        epochs: int,
        kind: str = "spiking",
        *,
        halve_after: Sequence[int] = (),
        **options: Any,
    ) -> list[float]:
        """Return the test errors after each epoch, in percent; the network itself is not kept.

        The parameters are those of `learned`.
        """
        how = {"halve_after": halve_after, "average": 0, "options": options}
        training = self._trained(net, epochs, kind, how)
        training.forget()
        return [epoch["test_error"] for epoch in training.done]

    def _trained(
        self, net: Definition | EventMLP, epochs: int, kind: str, how: dict[str, Any]
    ) -> Training:
        epochs = self.epochs(epochs)
        x, y = self.train
        about: dict[str, Any] = {
            "definition": net.to_dict(),
            "kind": kind,
            "epochs": epochs,
            "dataset": self.data.name,
            "samples": len(x),
            **how,
        }
        training = Training(self, net, about)
        total = epochs * len(x)
        with progress_bar(total, f"{kind} network, {epochs} epochs") as bar:
            bar.update(len(training.done) * len(x))
            while len(training.done) < epochs:
                order = shuffled(len(x), net.seed, len(training.done))
                for start in range(0, len(x), BLOCK):
                    block = order[start : start + BLOCK]
                    training.learn(x[block], y[block])
                    bar.update(len(block))
                training.keep_epoch()
        return training


def _epochs_in(path: Path) -> list[dict[str, Any]]:
    try:
        epochs: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["done"]
        if not isinstance(epochs, list):
            raise wrong_argument("done", "a list", type(epochs).__name__)
        for epoch in epochs:
            _check_epoch(**epoch)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(path, "list of epochs", error) from error
    return epochs


def _check_epoch(test_error: Any, train_error: Any, operations: Any, averaged_error: Any) -> None:
    """Refuse what `Training.keep_epoch` does not write."""
    real("test_error", test_error, *PERCENT)
    for name, error in (("train_error", train_error), ("averaged_error", averaged_error)):
        if error is not None:
            real(name, error, *PERCENT)
    for name, count in vars(Operations(**operations)).items():
        integer(name, count, 0)


class Training:
    """A network in training, and the files that keep its progress.

    After each epoch the checkpoint is written, and then the list of epochs, whose length names the
    checkpoint. So an interrupt at any moment leaves a list whose checkpoint exists.

    Parameters
    ----------
    study : Study
        Data, and the folder for the files.
    net : Definition or EventMLP
        The definition.
    about : dict
        All that decides what is learned; its hash names the files.
    """

    def __init__(self, study: Study, net: Definition | EventMLP, about: dict[str, Any]) -> None:
        key = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        self._study, self._about, self._name = study, about, key
        self._list = study.folder / f"{key}.json"
        self.done: list[dict[str, Any]] = []
        if self._list.exists():
            self.done = _epochs_in(self._list)
        self._net, self._before = net, Operations()

    @cached_property
    def learner(self) -> Learner:
        """The network after the epochs that are done, at the rate of the next one."""
        done, kind = len(self.done), self._about["kind"]
        start = start_of(self._net, kind, self._file(done) if done else None)
        if done in self._about["halve_after"]:
            assert not isinstance(start, EventCheckpoint), "no experiment halves its rate"
            start = start.at_rate(start.net.learning_rate / 2)
        return self._learner(start)

    def learn(self, x: NDArray[Any], y: NDArray[np.int64]) -> None:
        """Learn from samples in order."""
        self.learner.learn(x, y)

    def _learner(self, start: Learned) -> Learner:
        return LEARNERS[self._about["kind"]](start, **self._about["options"])

    def _file(self, epochs: int) -> Path:
        return self._study.folder / f"{self._name}-{epochs}.npz"

    def keep_epoch(self) -> None:
        """Save the checkpoint and the results of the epoch that has just ended."""
        learned = self.learner.operations - self._before
        done = len(self.done) + 1
        self.learner.checkpoint().save(self._file(done))
        is_last = done == self._about["epochs"]
        self.done.append(
            {
                "test_error": self._error(*self._study.test),
                "train_error": self._error(*self._study.train) if is_last else None,
                "operations": learned.to_dict(),
                "averaged_error": self._averaged_error() if is_last else None,
            }
        )
        self._before = self.learner.operations
        with whole_file(self._list) as file:
            file.write(json.dumps(self._about | {"done": self.done}, indent=1).encode())
        for epoch in range(1, done):
            if is_last or epoch not in self._averaged_epochs:
                self._file(epoch).unlink(missing_ok=True)
        if done in self._about["halve_after"]:
            del self.learner
            self._before = Operations()

    def forget(self) -> None:
        """Remove the network after the last epoch; what was measured of it stays."""
        self._file(len(self.done)).unlink(missing_ok=True)

    @property
    def _averaged_epochs(self) -> range:
        epochs: int = self._about["epochs"]
        return range(max(1, epochs + 1 - self._about["average"]), epochs + 1)

    def _averaged_error(self) -> float | None:
        if not self._averaged_epochs:
            return None
        mean = Checkpoint.mean(
            [Checkpoint.load(self._file(epoch)) for epoch in self._averaged_epochs]
        )
        x, y = self._study.test
        return error_percent(self._learner(mean).scores(x), y)

    def _error(self, x: NDArray[Any], y: NDArray[np.int64]) -> float:
        return error_percent(self.learner.scores(x), y)

    def learned(self) -> TrainedNetwork:
        """Return the network after all epochs, with the results of each."""
        return TrainedNetwork(
            learned=self.learner.checkpoint(),
            test_errors=[epoch["test_error"] for epoch in self.done],
            train_error=self.done[-1]["train_error"],
            averaged_error=self.done[-1].get("averaged_error"),
            operations=[Operations(**epoch["operations"]) for epoch in self.done],
        )
