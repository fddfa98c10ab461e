"""The kinds of network that experiments train: spiking, and of rectified units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.conversion.relu import relu_scores, train_relu
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.reproduce.integer_relu import IntegerReluLearner
from spikebp_plugins.simulation.simulator import Simulator

Array = NDArray[Any]


class Learner(Protocol):
    """What learns samples one at a time, and is kept as a checkpoint."""

    @property
    def operations(self) -> Operations:
        """All that was counted so far."""

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""

    def checkpoint(self) -> Checkpoint:
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
    """A spiking network that ends a training sample once its right output leads by a margin.

    It is shown a stream, whose samples may be closed early: no other rule is needed.
    """

    #: By so many spikes the summed drive of the right output leads that of any other.
    margin: Final = 8.0

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""
        stream = self.stream(n_steps=None)
        for values, target in zip(x, y, strict=True):
            others = np.arange(len(target)) != target.argmax()
            for _ in range(self.net.n_steps):
                stream.show(values, target=target)
                drive = stream.scores * stream.steps_shown
                if drive[~others] >= drive[others].max() + self.margin:
                    break
            stream.close_sample()


class ReluLearner:
    """A ReLU network with the shape, initial weights and rate of a definition.

    Its checkpoints have that definition with ``arithmetic="float64"``.
    """

    #: Always zero: operations are counted for spikes, and this network sends none.
    operations: Final = Operations()

    def __init__(self, start: Checkpoint) -> None:
        self._net = start.net
        self._weights = [np.array(matrix, np.float64) for matrix in start.state.weights]

    def learn(self, x: Array, y: Array) -> None:
        """Learn from samples in order."""
        rate = self._net.learning_rate
        self._weights = train_relu(self._weights, x * self._net.input_scale, y, rate)

    def scores(self, x: Array) -> NDArray[np.float64]:
        """Return the scores of samples."""
        return relu_scores(self._weights, x * self._net.input_scale)

    def checkpoint(self) -> Checkpoint:
        """Return what has been learned."""
        return Checkpoint(self._net, initial_state(self._net, self._weights))


#: The kinds of network by name: functions of the checkpoint that a network starts from.
LEARNERS: Final[dict[str, Callable[[Checkpoint], Learner]]] = {
    "spiking": SpikingLearner.from_checkpoint,
    "spiking, closed early": EarlyLearner.from_checkpoint,
    "ReLU": ReluLearner,
    "integer ReLU": IntegerReluLearner,
}


def initial_checkpoint(net: Definition, kind: str) -> Checkpoint:
    """Return the checkpoint of a network that has learned nothing."""
    if kind == "ReLU":
        net = net.replace(arithmetic="float64", timing="immediate")
    return Checkpoint(net, initial_state(net))
