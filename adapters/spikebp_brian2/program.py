"""The interface of what runs blocks of samples for the back end, on any of Brian2's targets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins import Operations
from spikebp_plugins.backends import Outcome
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState

#: Fields of a definition that change the generated code. All others are values of variables.
STRUCTURE: Final = (
    "connections",
    "timing",
    "input_coding",
    "update",
    "feedback",
)


def structure_of(net: Definition) -> tuple[Any, ...]:
    """Return the structure of a definition: one program serves all definitions of one structure."""
    return tuple(getattr(net, name) for name in STRUCTURE)


class BlockResult(NamedTuple):
    """The results of a block of samples.

    Attributes
    ----------
    state : LearningState
        What has been learned when the block is over.
    outcome : Outcome
        Scores, and spikes and errors if asked for.
    operations : Operations
        The synaptic operations of the block.
    """

    state: LearningState
    outcome: Outcome
    operations: Operations


class Program(ABC):
    """A network of Brian2 objects that can run any definition of its structure."""

    @abstractmethod
    def show(
        self, state: LearningState, batch: Batch, record: bool, report: Callable[[int], None]
    ) -> BlockResult:
        """Show samples to the network that `batch.net` defines, and learn if there are targets.

        Parameters
        ----------
        state : LearningState
            The learning state to start from.
        batch : Batch
            The samples.
        record : bool
            Whether to return every spike and error.
        report : callable
            Called now and then with the number of samples shown so far.

        Raises
        ------
        OverflowError
            If it cannot be proved that every number stayed in its range.
        """

    @abstractmethod
    def block_size(self, n_steps: int) -> int:
        """Return how many samples to show in one run."""


def real_targets(batch: Batch) -> NDArray[Any]:
    """Return real targets of shape (n_samples, 1 or n_steps, n_outputs); one row of 0 for none."""
    if batch.y is None:
        return np.zeros((1, 1, batch.net.n_outputs))
    return np.asarray(batch.targets(), np.float64)
