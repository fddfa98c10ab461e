"""The kinds of network that experiments train: spiking, and of rectified units."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import PathLike, read_archive, unreadable, write_archive
from spikebp_plugins.conversion.relu import relu_scores, train_relu
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.reproduce.integer_relu import IntegerReluLearner
from spikebp_plugins.simulation.simulator import Simulator

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


class Learner(Protocol):
    """What learns samples one at a time, and can be kept."""

    @property
    def operations(self) -> Operations:
        """All that was counted so far."""

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""

    def checkpoint(self) -> Checkpoint | ReluWeights:
        """Return what has been learned."""


class SpikingLearner(Simulator):
    """A spiking network that learns in a simulator."""

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""
        self.train(x, y, progress=False)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        scores: NDArray[np.float64] = self.predict(x, progress=False)
        return scores


class EarlyLearner(SpikingLearner):
    """A spiking network that ends a training sample once its right output leads by a margin."""

    #: By so many spikes the summed drive of the right output leads that of any other.
    margin: Final = 8.0

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order, whose targets are those of the definition's labels."""
        self.train(x, y.argmax(axis=1), margin=self.margin, progress=False)


class ReluLearner:
    """A ReLU network with the shape, initial weights and rate of a definition."""

    #: Always zero: operations are counted for spikes, and this network sends none.
    operations: Final = Operations()

    def __init__(self, start: ReluWeights) -> None:
        self._net, self._weights = start

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""
        rate = self._net.learning_rate
        self._weights = train_relu(self._weights, x * self._net.input_scale, y, rate)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        return relu_scores(self._weights, x * self._net.input_scale)

    def checkpoint(self) -> ReluWeights:
        """Return what has been learned."""
        return ReluWeights(self._net, self._weights)


#: The kinds of network by name: functions of what a network starts from.
LEARNERS: Final[dict[str, Callable[[Any], Learner]]] = {
    "spiking": SpikingLearner.from_checkpoint,
    "spiking, closed early": EarlyLearner.from_checkpoint,
    "ReLU": ReluLearner,
    "integer ReLU": IntegerReluLearner,
}


def start_of(net: Definition, kind: str, path: Path | None) -> Checkpoint | ReluWeights:
    """Return what a network starts from: what a file holds or, without one, its initial weights."""
    if kind == "ReLU":
        return ReluWeights(net, net.init_weights()) if path is None else ReluWeights.load(path, net)
    return Checkpoint(net, initial_state(net)) if path is None else Checkpoint.load(path)
