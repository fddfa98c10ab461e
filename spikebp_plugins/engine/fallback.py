"""The base of back ends that hand samples to the core if their own numbers cannot hold them."""

from __future__ import annotations

from abc import abstractmethod

from spikebp_plugins.backends.base import Backend, StatefulBackend
from spikebp_plugins.backends.outcome import Outcome, joined
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.backends.registry import refused_definition
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.state import LearningState, RealState


class FallbackBackend(StatefulBackend):
    """A back end that hands samples to the core if its own numbers cannot hold them.

    Subclasses define `_show_exactly`. A block for which they raise `OverflowError` is computed
    anew by the engine, which returns the result or raises the error for the user; or by the
    reference, if the engine is missing or does not know the definition's connections.
    """

    def _show(self, batch: Batch, record: bool) -> Outcome:
        try:
            return self._show_exactly(batch, record)
        except OverflowError:
            state, operations = self._so_far
            core = _core(self.net, state)
            try:
                return joined([core.show(part, record) for part in batch.taught_apart()])
            finally:
                self._so_far = (core.state, operations + core.operations)

    def take_rate(self, net: Definition) -> bool:
        """Go on with a definition of another learning rate, from the next samples on."""
        self.net = net  # which is handed on with them: so an interrupt finds either rate
        return True

    @property
    def learned(self) -> RealState:
        """What was learned, in real numbers."""
        return self.state.reals()

    def take(self, learned: RealState, work: Operations) -> None:
        """Take over what was learned from a sample shown step by step, and add its work."""
        self._so_far = (learned.on_grid(self.net), self.operations + work)

    def count(self, work: Operations) -> None:
        """Add operations to those so far."""
        state, operations = self._so_far
        self._so_far = (state, operations + work)

    @abstractmethod
    def _show_exactly(self, batch: Batch, record: bool) -> Outcome:
        """Show samples, or raise OverflowError with nothing changed."""


def _core(net: Definition, state: LearningState) -> Backend:
    if refused_definition(EngineBackend, net, {}) is None:
        return EngineBackend(net, state, n_jobs=1)
    return ReferenceBackend(net, state)
