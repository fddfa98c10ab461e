"""Not forgetting: five tasks in a row, each sample once, with and without a replay buffer.

Two benchmarks of continual learning, as Avalanche and CapyMOA define them. In Split-MNIST each task
has two digits that the others have not; there is one output for each of the ten digits, and nobody
says at the test which task an image is of (class-incremental). In Permuted-MNIST each task has all
digits, with the pixels in an order of its own (domain-incremental). The order of the digits, the
orders of pixels and those of samples follow from the seed.

With R_ij the test accuracy on task j after task i of n, the average accuracy is the mean of R_nj
over all tasks, and the forgetting is the mean of R_jj - R_nj over those before the last.

A network of PyTorch learns for comparison, where that is installed: the same layers with
biases and rectified units, softmax cross-entropy and plain stochastic gradient descent, from the
same samples, those that are learned again included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import unreadable, whole_file
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.data.images import error_percent, shuffled
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.replay import ReplayBuffer
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.reproduce.learners import SpikingLearner
from spikebp_plugins.reproduce.study import Report, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = NDArray[Any]

N_TASKS: Final = 5
SEEDS: Final = 3
HIDDEN_LAYERS: Final = (200,)

#: Samples in the buffer; 0 is none.
CAPACITIES: Final = (0, 200, 500, 1000, 2000)
QUICK_CAPACITIES: Final = (0, 200)

#: Samples that are learned between two updates of the progress bar.
BLOCK: Final = 1000

#: The definition of the spiking network.
FIELDS: Final[dict[str, Any]] = {
    "update": "normalized",
    "weight_init": "quiet",
    "fraction_bits": 24,
}

#: The targets of labels, for each benchmark without a buffer and with one.
LABEL_TARGETS: Final = {
    "split": ((0.75, 8.0), (0.75, 8.0)),
    "permuted": ((1.0, 8.0), (0.75, 8.0)),
}
#: Steps and rates, likewise.
N_STEPS: Final = {"split": (20, 20), "permuted": (20, 10)}
SPIKING_RATES: Final = {"split": (0.5, 0.1), "permuted": (0.3, 0.25)}
TORCH_RATES: Final = {
    1: {"split": (0.01, 0.01), "permuted": (0.005, 0.02)},
    10: {"split": (0.1, 0.2), "permuted": (0.1, 0.4)},
}


class Task(NamedTuple):
    """The samples of a task."""

    x_train: Array
    y_train: NDArray[np.int64]
    x_test: Array
    y_test: NDArray[np.int64]


def split_tasks(study: Study, seed: int) -> list[Task]:
    """Return tasks of two classes each, which are drawn."""
    order = np.random.RandomState(seed).permutation(study.data.n_classes)
    (x, y), (x_test, y_test) = study.train, study.test
    tasks = []
    for i, classes in enumerate(np.array_split(order, N_TASKS)):
        rows, tested = np.flatnonzero(np.isin(y, classes)), np.isin(y_test, classes)
        rows = rows[shuffled(len(rows), seed, i)]
        tasks.append(Task(x[rows], y[rows], x_test[tested], y_test[tested]))
    return tasks


def permuted_tasks(study: Study, seed: int) -> list[Task]:
    """Return tasks of all classes, each with an order of pixels and a fifth of the images."""
    random = np.random.RandomState(seed)
    (x, y), (x_test, y_test) = study.train, study.test
    tasks = []
    for i in range(N_TASKS):
        pixels = random.permutation(x.shape[1])
        rows = shuffled(len(x), seed, i)[: len(x) // N_TASKS]
        tasks.append(Task(x[rows][:, pixels], y[rows], x_test[:, pixels], y_test))
    return tasks


BENCHMARKS: Final[dict[str, Callable[[Study, int], list[Task]]]] = {
    "split": split_tasks,
    "permuted": permuted_tasks,
}


class TorchLearner:
    """A network of PyTorch with the layers of a definition, with or without a replay buffer.

    Parameters
    ----------
    net : Definition
        Has the sizes of the layers, the scale of the input and the seed.
    replay : ReplayBuffer or None
        The buffer: it draws what it draws for the spiking network.
    rate : float
        Learning rate.
    batch_size : int
        The number of new samples that a step learns from, each with those that are learned again
        after it; with 1 each sample has a step of its own, as in the spiking network.
    """

    def __init__(
        self, net: Definition, replay: ReplayBuffer | None, rate: float, batch_size: int
    ) -> None:
        torch: Any = import_module("torch")
        self._torch, self._scale, self._rate = torch, net.input_scale, rate
        self._replay, self._batch_size = replay, batch_size
        torch.manual_seed(net.seed)
        layers = [torch.nn.Linear(*sizes) for sizes in pairwise(net.layer_sizes)]
        self._layers = [(layer.weight.detach(), layer.bias.detach()) for layer in layers]

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""
        size = self._batch_size
        if self._replay is None:
            self._descend(x, y, size)
            return
        mixture = self._replay.mix(x, y)
        self._descend(mixture.x, mixture.y, size if size == 1 else 2 * size)
        self._replay.keep(mixture)

    def _descend(self, x: Array, y: Array, size: int) -> None:
        inputs, labels = self._inputs(x), self._torch.from_numpy(y)
        for start in range(0, len(x), size):
            self._step(inputs[start : start + size], labels[start : start + size])

    def _step(self, x: Any, y: Any) -> None:
        """Make a step of stochastic gradient descent.

        The gradient of softmax cross-entropy is written out: what PyTorch would find takes three
        times as long for a single sample.
        """
        shown = self._shown(x)
        error = self._torch.softmax(shown.pop(), 1)
        error[self._torch.arange(len(y)), y] -= 1
        error /= len(y)
        for (weight, bias), below in zip(reversed(self._layers), reversed(shown), strict=True):
            error_below = (error @ weight) * (below > 0)
            weight.addmm_(error.T, below, alpha=-self._rate)
            bias.sub_(error.sum(0), alpha=self._rate)
            error = error_below

    def _shown(self, x: Any) -> list[Any]:
        """Return the input, and the activations of each layer."""
        shown = [x]
        for weight, bias in self._layers:
            below = shown[-1] if len(shown) == 1 else shown[-1].relu_()
            shown.append(self._torch.addmm(bias, below, weight.T))
        return shown

    def scores(self, x: Array) -> Array:
        """Return the scores of samples."""
        scores: Array = self._shown(self._inputs(x))[-1].numpy()
        return scores

    def _inputs(self, x: Array) -> Any:
        return self._torch.from_numpy((x * self._scale).astype(np.float32))


class Method(NamedTuple):
    """A method of learning, with its learning rates without a buffer and with one."""

    name: str
    rates: Mapping[str, tuple[float, float]]
    batch_size: int | None = None  # of PyTorch; None is the spiking network

    def learner(
        self, net: Definition, replay: ReplayBuffer | None, rate: float
    ) -> SpikingLearner | TorchLearner:
        """Return a network that has learned nothing."""
        if self.batch_size is None:
            net = net.replace(learning_rate=rate)
            return SpikingLearner(Checkpoint(net, initial_state(net)), replay=replay)
        return TorchLearner(net, replay, rate, self.batch_size)


SPIKING: Final = Method("spikebp", SPIKING_RATES)
TORCH: Final = (
    Method("PyTorch, batches of 10", TORCH_RATES[10], 10),
    Method("PyTorch, one at a time", TORCH_RATES[1], 1),
)


def run(study: Study) -> Report:
    """Learn both benchmarks with buffers of several sizes, from several seeds."""
    has_torch = find_spec("torch") is not None
    methods = (SPIKING, *TORCH) if has_torch else (SPIKING,)
    seeds = range(study.seed, study.seed + (1 if study.quick else SEEDS))
    capacities = QUICK_CAPACITIES if study.quick else CAPACITIES
    n_bytes = study.data.x_train.shape[1] * study.data.x_train.itemsize + np.int64().itemsize
    rows = []
    for benchmark in BENCHMARKS:
        for capacity in capacities:
            row: dict[str, Any] = {"benchmark": benchmark, "buffer": capacity}
            row["bytes"] = capacity * n_bytes
            for method in methods:
                found = [matrix(study, method, benchmark, capacity, seed) for seed in seeds]
                row[f"{method.name}, %"] = float(np.mean([average(each) for each in found]))
                row[f"{method.name}, each"] = [average(each) for each in found]
                row[f"{method.name}, forgetting"] = float(np.mean([forgetting(m) for m in found]))
            rows.append(row)

    def draw(figure: Figure) -> None:
        for axes, benchmark in zip(figure.subplots(1, 2), BENCHMARKS, strict=True):
            chosen = [row for row in rows if row["benchmark"] == benchmark]
            places = range(len(chosen))
            for method, marker in zip(methods, ("o-", "s--", "^:"), strict=False):
                axes.plot(
                    places, [row[f"{method.name}, %"] for row in chosen], marker, label=method.name
                )
            axes.set_xticks(places, [f"{row['buffer']:,}" for row in chosen])
            axes.set_xlabel("samples in the buffer")
            axes.set_title(f"{benchmark} {study.data.name}")
        figure.axes[0].set_ylabel("accuracy over all tasks after the last, %")
        figure.axes[0].legend()

    notes = [
        "Each sample is new once; with a buffer another one is learned again after it.",
        "Percent right over all tasks after the last, and points lost since each was learned.",
    ]
    if not has_torch:
        notes.append("PyTorch is not installed here: its columns are left out.")
    title = study.title(HIDDEN_LAYERS, f", {N_TASKS} tasks, one epoch, {len(seeds)} seeds")
    return Report(title, rows, notes, draw)


def average(accuracies: Array) -> float:
    """Return the average accuracy over all tasks after the last."""
    return float(np.mean(accuracies[-1]))


def forgetting(accuracies: Array) -> float:
    """Return the mean accuracy that is lost on each task but the last since it was learned."""
    return float(np.mean(np.diag(accuracies)[:-1] - accuracies[-1, :-1]))


def matrix(
    study: Study,
    method: Method,
    benchmark: str,
    capacity: int,
    seed: int,
    rate: float | None = None,
) -> Array:
    """Return the accuracy in percent on each task (columns) after each (rows); kept in a file."""
    rate = method.rates[benchmark][capacity > 0] if rate is None else rate
    size = study.data.x_train.shape[1]
    has_buffer = capacity > 0
    fields = FIELDS | {
        "n_steps": N_STEPS[benchmark][has_buffer],
        "label_targets": LABEL_TARGETS[benchmark][has_buffer],
    }
    net = study.net(*HIDDEN_LAYERS, **fields, learning_rate=1.0, seed=seed)
    about = {
        "experiment": "forgetting",
        "way": method.name,
        "network": list(net.layer_sizes) if method.batch_size else net.to_dict(),
        "seed": seed,
        "benchmark": benchmark,
        "capacity": capacity,
        "rate": rate,
        "dataset": [study.data.name, len(study.train[0]), size],
    }
    key = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    path = study.folder / f"{key}.json"
    if path.exists():
        return _read(path)
    replay = ReplayBuffer(capacity, seed=seed) if capacity else None
    tasks = BENCHMARKS[benchmark](study, seed)
    learner = method.learner(net, replay, rate)
    found = []
    total = sum(len(task.x_train) for task in tasks)
    with progress_bar(total, f"{benchmark}, buffer of {capacity}, {method.name}") as bar:
        for task in tasks:
            for start in range(0, len(task.x_train), BLOCK):
                rows = slice(start, start + BLOCK)
                learner.learn(task.x_train[rows], task.y_train[rows])
                bar.update(len(task.x_train[rows]))
            found.append([100 - error_percent(learner.scores(t.x_test), t.y_test) for t in tasks])
    with whole_file(path) as file:
        file.write(json.dumps(about | {"accuracies": found}, indent=1).encode())
    return np.array(found)


def _read(path: Any) -> Array:
    try:
        found = np.array(json.loads(path.read_text("utf-8"))["accuracies"], np.float64)
        if found.shape != (N_TASKS, N_TASKS) or not np.all((found >= 0) & (found <= 100)):
            raise ValueError(f"accuracies must be {N_TASKS} by {N_TASKS} percentages")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(path, "list of accuracies", error) from error
    return found
