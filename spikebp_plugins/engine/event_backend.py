"""Event timing by the engine in C: the paper's own order."""

from __future__ import annotations

from typing import Any, ClassVar, Final, NoReturn

from spikebp_plugins.backends.base import UnsupportedError
from spikebp_plugins.backends.outcome import EarlySamples
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.engine.event_network import EventNetwork
from spikebp_plugins.engine.library import event_build_of
from spikebp_plugins.engine.network import BlockResult, EngineNetwork, work_of_step
from spikebp_plugins.network.fields import LARGEST_N_STEPS
from spikebp_plugins.network.samples import Batch

#: Synapses times steps of a block: single spikes take longer than steps do.
BLOCK_WORK: Final = 400_000_000


class EventBackend(EngineBackend):
    """Event timing in C: whole samples, each spike by itself, in floating point.

    The option `n_jobs` is the number of threads that predict, by default one for each core;
    results are the same for any number.
    """

    choices: ClassVar = {**EngineBackend.choices, "timing": ("event",)}
    most_steps: ClassVar[int] = LARGEST_N_STEPS

    def _networks(self) -> tuple[EngineNetwork | None, EngineNetwork]:
        """Return one network alone, whose numbers have the precision of the arithmetic."""
        build = event_build_of(32 if self.net.arithmetic == "float32" else 64)
        return None, EventNetwork(self.net, build)

    def block_size(self, n_steps: int) -> int:
        """Return the number of samples of a block."""
        return max(1, BLOCK_WORK // (n_steps * work_of_step(self.net)))

    def show_until(self, batch: Batch, margin: float) -> EarlySamples:
        """Refuse: samples are shown whole."""
        raise UnsupportedError("samples stop early with timing='immediate' alone")

    def steps(self) -> Any:
        """Refuse: samples are shown whole."""
        raise UnsupportedError("streams run with timing='immediate', not timing='event'")

    def _show_some(self, batch: Batch, record: bool, margin: float | None = None) -> BlockResult:
        return self._choose(batch.n_steps).show(batch, self.samples_seen, record, margin)

    def _by_reference(self, show: Any) -> NoReturn:
        """Raise the error of a sample that was refused: the reference has no event timing."""
        network = self._engine.current
        assert isinstance(network, EventNetwork)
        raise network.overflow()
