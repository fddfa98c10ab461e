"""The learned state of a network of standard parts, written by its processes after each sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.memory import shared_array
from spikebp_plugins import Operations
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import MessageTotals, count_operations
from spikebp_plugins.network.state import LearningState, RealState

Array = NDArray[Any]


def _shared(values: Array) -> Array:
    """Return a copy of an array in shared memory."""
    copy = shared_array(values.shape, values.dtype)
    copy[...] = values
    return copy


class SharedState:
    """The `Memory` of a network of standard parts, in real numbers.

    Parameters
    ----------
    net : Definition
        The definition.
    state : LearningState
        The learning state to start from.

    Attributes
    ----------
    weights, backward_potentials : list of ndarray
        Of layers 1 to L, and of layers 1 to L - 1.
    feedback : OnGrid
        Of layers 2 to L, if it is random.
    spikes, errors : ndarray of shape (L + 1, 2), int64
        Spikes and error spikes since the start, by layer, and the messages that carried them.
    updates : ndarray of shape (L + 1,), int64
        Changed weights since the start, by layer.
    samples : ndarray of shape (3,), int64
        Samples shown, those of them that learned, and all training samples so far.
    teaching : ndarray of shape (2, 2, L + 1), int64
        For the last two steps, the number of units of each layer whose counts, and whose errors,
        change weights. There are two since a process may begin a step as soon as all have ended the
        one before.
    has_target : ndarray of shape (1,), int64
        Whether the present sample has a target. The output writes it in its first busy step, in
        which no other layer of the sample has errors yet.
    """

    def __init__(self, net: Definition, state: LearningState) -> None:
        self._net, self.feedback = net, state.feedback
        self.weights, self.backward_potentials = (
            list(map(_shared, part)) for part in (state.weights, state.backward_potentials)
        )
        layers = net.n_layers + 1
        self.spikes, self.errors = (shared_array((layers, 2), np.int64) for _ in range(2))
        self.updates = shared_array(layers, np.int64)
        self.samples = _shared(np.array([0, 0, state.samples_seen]))
        self.teaching = shared_array((2, 2, layers), np.int64)
        self.has_target = shared_array(1, np.int64)
        counts = (self.spikes, self.errors, self.updates, self.samples)
        self.arrays = [*self.weights, *self.backward_potentials, *counts]

    @property
    def state(self) -> LearningState:
        """A copy of what was learned from whole samples."""
        learned = RealState(
            weights=tuple(self.weights),
            backward_potentials=tuple(self.backward_potentials),
            feedback=tuple(self.feedback),
            samples_seen=int(self.samples[2]),
        )
        return learned.on_grid(self._net)

    def replace_weights(self, l: int, weights: Array, where: Any = ...) -> None:
        """Replace W_l at an index."""
        self.weights[l - 1][where] = weights[where]

    def take_rate(self, net: Definition) -> None:
        """Go on with a definition of another learning rate."""
        self._net = net

    def changes(self, time_step: int) -> NDArray[np.int64]:
        """Return the numbers of weights of W_1 to W_L that a step changes, 0 at index 0.

        These are :math:`n^c_{l-1} n^e_l` for :math:`n^c_l` units of layer l that have spiked and
        :math:`n^e_l` that have an error. To be called when that step is over, and before the end of
        the next one.
        """
        counts, errors = self.teaching[time_step % 2]
        return np.concatenate([[0], counts[:-1] * errors[1:]])

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        shown, trained, _ = self.samples.tolist()
        update = int(self.updates.sum())
        (spikes, messages), (errors, of_errors) = self.spikes.T.tolist(), self.errors.T.tolist()
        sent = MessageTotals(spikes, errors, messages, of_errors)
        return count_operations(self._net, sent, update, shown=shown, trained=trained)
