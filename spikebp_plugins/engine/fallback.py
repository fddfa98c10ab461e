"""The base of back ends that hand samples to the core if their own numbers cannot hold them."""

from __future__ import annotations

from abc import abstractmethod

from spikebp_plugins.backends.base import Backend
from spikebp_plugins.backends.outcome import Outcome
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.backends.registry import refused_definition
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState


class FallbackBackend(Backend):
    """A back end that hands samples to the core if its own numbers cannot hold them.

    Subclasses define `_show_exactly`, and keep learning state and operations in `_so_far`. They
    replace both in one assignment, so that after an interrupt both are those of the same sample
    boundary. A block for which they raise `OverflowError` is computed anew by the engine, which
    returns the result or raises the error for the user; or by the reference, if the engine is
    missing or does not know the definition's connections.
    """

    def __init__(self, net: Definition, state: LearningState) -> None:
        super().__init__(net, state)
        self._so_far = (state, Operations())

    @property
    def state(self) -> LearningState:
        """The learning state after the samples so far."""
        return self._so_far[0]

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples shown so far."""
        return self._so_far[1]

    def train(self, batch: Batch, record: bool) -> Outcome:
        """Show samples in order and learn from each."""
        return self._show(batch, record)

    def predict(self, batch: Batch, record: bool) -> Outcome:
        """Show samples and learn nothing."""
        return self._show(batch, record)

    def _show(self, batch: Batch, record: bool) -> Outcome:
        try:
            return self._show_exactly(batch, record)
        except OverflowError:
            state, operations = self._so_far
            core = _core(self.net, state)
            try:
                return (core.predict if batch.y is None else core.train)(batch, record)
            finally:
                self._so_far = (core.state, operations + core.operations)

    @abstractmethod
    def _show_exactly(self, batch: Batch, record: bool) -> Outcome:
        """Show samples, or raise OverflowError with nothing changed."""


def _core(net: Definition, state: LearningState) -> Backend:
    if refused_definition(EngineBackend, net, {}) is None:
        return EngineBackend(net, state, n_jobs=1)
    return ReferenceBackend(net, state)
