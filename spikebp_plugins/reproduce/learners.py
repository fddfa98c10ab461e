"""The kinds of network that experiments train: spiking, in steps or events, and ReLU networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike, read_archive, unreadable, write_archive
from spikebp_plugins.conversion.relu import relu_scores, train_relu
from spikebp_plugins.event_order import EventCheckpoint, EventMLP, EventNetwork
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.replay import ReplayBuffer
from spikebp_plugins.network.samples import real_targets
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.reproduce.integer_relu import IntegerReluLearner

Array = NDArray[Any]


class ReluWeights(NamedTuple):
    """What a ReLU network has learned: arrays of real numbers, which are on no grid.

    Attributes
    ----------
    net : Definition
        The definition that gives the network its shape, initial weights and rate.
    weights : list of ndarray of shape (n_in, n_out)
        The weights.
    """

    net: Definition
    weights: list[NDArray[np.float64]]

    def save(self, path: PathLike) -> None:
        """Write the weights, whole or not at all."""
        write_archive(path, {f"weights_{l}": W for l, W in enumerate(self.weights, 1)})

    @classmethod
    def load(cls, path: PathLike, net: Definition) -> ReluWeights:
        """Read the weights of a definition."""
        names = [f"weights_{l}" for l in range(1, net.n_layers + 1)]
        arrays = read_archive(path, "file of weights")
        weights = [arrays[name] for name in names if name in arrays]
        are_doubles = all(W.dtype == np.float64 for W in weights)
        if not are_doubles or tuple(W.shape for W in weights) != net.weight_shapes:
            raise unreadable(path, "file of weights", "its arrays are not those of the network")
        return cls(net, weights)

    def at_rate(self, learning_rate: float) -> ReluWeights:
        """Return the same weights, which go on learning at another rate."""
        return self._replace(net=self.net.replace(learning_rate=learning_rate))


#: What a network of any kind has learned.
Learned = Checkpoint | EventCheckpoint | ReluWeights


class Learner(Protocol):
    """What learns samples one at a time, and can be kept."""

    @property
    def operations(self) -> Operations:
        """All that was counted so far."""

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order, which have labels."""

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""

    def checkpoint(self) -> Learned:
        """Return what has been learned."""


class SpikingLearner:
    """A spiking network that learns in a simulator.

    Parameters
    ----------
    start : Checkpoint
        What it goes on from.
    margin : float or None, default=None
        By so many spikes the summed drive of an output has to lead all others for a sample to end:
        that of its label in training, any in prediction. None shows all steps.
    replay : ReplayBuffer or None, default=None
        Where samples of the past come from, which are learned again in between.
    n_jobs : int or None, default=None
        Threads that predict; None takes those of the back end.
    backend : str or None, default=None
        Name of the back end; None takes the default.
    """

    def __init__(
        self,
        start: Checkpoint,
        *,
        margin: float | None = None,
        replay: ReplayBuffer | None = None,
        n_jobs: int | None = None,
        backend: str | None = None,
    ) -> None:
        options: dict[str, Any] = {} if n_jobs is None else {"n_jobs": n_jobs}
        self._simulator = start.simulate(backend, **options)
        self._margin, self._replay = margin, replay

    @property
    def operations(self) -> Operations:
        """All that was counted so far."""
        return self._simulator.operations

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order, which have labels."""
        self._simulator.train(x, y, margin=self._margin, replay=self._replay, progress=False)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        shown = self._simulator.predict(x, margin=self._margin, progress=False)
        scores: NDArray[np.float64] = shown if self._margin is None else shown.scores
        return scores

    def checkpoint(self) -> Checkpoint:
        """Return what has been learned."""
        return self._simulator.checkpoint()


class EventLearner:
    """A spiking network that learns in the order of events."""

    def __init__(self, start: EventCheckpoint) -> None:
        self._network = EventNetwork(start)

    @property
    def operations(self) -> Operations:
        """All that was counted so far."""
        return self._network.operations

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order, which have labels."""
        self._network.train(x, y)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        scores: NDArray[np.float64] = self._network.predict(x)
        return scores

    def checkpoint(self) -> EventCheckpoint:
        """Return what has been learned."""
        return self._network.checkpoint()


class ReluLearner:
    """A ReLU network with the shape, initial weights and rate of a definition."""

    #: Always zero: operations are counted for spikes, and this network sends none.
    operations: Final = Operations()

    def __init__(self, start: ReluWeights) -> None:
        self._net, self._weights = start

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order, which have labels."""
        net, asked = self._net, real_targets(self._net, y)
        self._weights = train_relu(self._weights, x * net.input_scale, asked, net.learning_rate)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        return relu_scores(self._weights, x * self._net.input_scale)

    def checkpoint(self) -> ReluWeights:
        """Return what has been learned."""
        return ReluWeights(self._net, self._weights)


#: The kinds of network by name: functions of what a network starts from, and of options.
LEARNERS: Final[dict[str, Callable[..., Learner]]] = {
    "spiking": SpikingLearner,
    "event order": EventLearner,
    "ReLU": ReluLearner,
    "integer ReLU": IntegerReluLearner,
}


def start_of(net: Definition | EventMLP, kind: str, path: Path | None) -> Learned:
    """Return what a network starts from: what a file holds or, without one, its initial weights."""
    if isinstance(net, EventMLP):
        return EventCheckpoint.initial(net) if path is None else EventCheckpoint.load(path)
    if kind == "ReLU":
        return ReluWeights(net, net.init_weights()) if path is None else ReluWeights.load(path, net)
    return Checkpoint(net, initial_state(net)) if path is None else Checkpoint.load(path)
