"""Single steps on the back end `compiled`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.backends.steps import Array, Steps
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.compiled.notice import announced
from spikebp_plugins.compiled.stepper import Moment, Stepper
from spikebp_plugins.network.operations import count_operations

if TYPE_CHECKING:
    from spikebp_plugins.compiled.backend import CompiledBackend


class CompiledSteps(Steps):
    """The kernels for single steps, on a copy of what the back end has learned.

    Parameters
    ----------
    backend : CompiledBackend
        Where samples start from, and what receives what they have taught.
    layout : Layout
        How the definition lies in memory: in numbers that hold any value in range.
    """

    def __init__(self, backend: CompiledBackend, layout: Layout) -> None:
        super().__init__(backend.net)
        self._backend, self._layout = backend, layout
        self._start = backend.now_in(layout)
        self._learning = layout.copied(self._start.learning)
        self._totals = layout.totals()
        self._stepper = Stepper(layout, self._learning, self._totals)
        self._nowhere = layout.record(0, 1)
        self._is_stale = False

    def _show(self, x: Array, y: Array | None, n_steps: int, opens: bool, restarts: bool) -> None:
        if opens:
            self._begin()
        moment = Moment(opens, False, restarts, y is not None, False)
        with announced(("steps", self._layout.dtype, self.net.update)):
            self._stepper.show(x, y, moment, self._seen, self._nowhere, n_steps=n_steps)

    def _begin(self) -> None:
        """Return to what the back end has learned, unless this is that already."""
        for counter in self._totals:
            counter[...] = 0
        now = self._backend.now_in(self._layout)
        if self._is_stale or now.learning is not self._start.learning:
            for target, source in zip(self._learning, now.learning, strict=True):
                target[...] = source
        self._start = now
        self._is_stale = True  # until the sample is closed

    def _close(self) -> None:
        if self.is_learning and self.net.update == "outer":
            self._stepper.close(self._seen)
        totals, trained = self._totals, int(self.is_learning)
        counts = (totals.spikes, totals.errors, totals.updates[0])
        work = count_operations(self.net, *counts, shown=1, trained=trained)
        self._start = self._backend.take(self._learning if trained else None, work)
        self._is_stale = False

    @property
    def _seen(self) -> int:
        return self._start.samples_seen

    @property
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""
        return np.asarray(self._layout.decoded(self._stepper.summed_drive), np.float64)
