"""Counts samples in which no output fires, and warns if the network is the reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.notice import warn
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.samples import Batch
from spikebp_plugins.network.sparse_rows import SparseRows
from spikebp_plugins.simulation.silence import reason_of_silence

#: A network is examined after so many consecutive samples in which no output fires: at first, and
#: once an output has fired. If nothing is wrong, the next time comes after ten times as many.
SILENT_AT_FIRST: Final = 100
SILENT_LATER: Final = 1000
#: Once an output has fired, so many samples that are shown one by one are not looked at: a look
#: takes a twentieth of such a call.
NOT_OBSERVED: Final = 100
#: Of silent ones, the last are shown to a copy of the network.
N_KEPT: Final = 32


@dataclass
class SilentRun:
    """Consecutive samples in which no output has fired.

    Attributes
    ----------
    n : int
        Their number.
    limit : int
        The number after which the network is examined.
    kept : list of Batch
        Copies of the last of them.
    n_unobserved : int
        The samples to come that are not looked at.
    """

    n: int = 0
    limit: int = SILENT_AT_FIRST
    kept: list[Batch] = field(default_factory=list)
    n_unobserved: int = 0

    def keep(self, batch: Batch) -> None:
        """Keep the last samples of a batch, whose arrays may be the user's own."""
        if self.kept and self.kept[0].net.layer_sizes != batch.net.layer_sizes:  # it has grown
            self.kept.clear()
        x, y = batch.x, batch.y
        x = x.apart().joined() if isinstance(x, SparseRows) else x.copy()
        self.kept.append(replace(batch, x=x, y=None if y is None else y.copy()))
        while sum(map(len, self.kept[1:])) >= N_KEPT:
            del self.kept[0]


class SilenceMonitor:
    """Observes the scores of samples, and warns once if the network is why no output fires.

    Samples that are learned are counted apart from others. Copies and pickles count anew.

    Parameters
    ----------
    constant_at : int or None, default=None
        The index of a constant input, which an estimator divides by `input_scale`.
    input_is_scaled : bool, default=False
        Whether an estimator scales features, so that there is no `input_scale` to choose.
    """

    def __init__(self, constant_at: int | None = None, *, input_is_scaled: bool = False) -> None:
        self._constant_at, self._input_is_scaled = constant_at, input_is_scaled
        # Of samples that are predicted, and of those that are learned.
        self._runs: tuple[SilentRun, SilentRun] | None = SilentRun(), SilentRun()

    def __getstate__(self) -> dict[str, Any]:
        # Without samples of the user.
        return vars(self) | {"_runs": self._runs and (SilentRun(), SilentRun())}

    def observe(
        self,
        batch: Batch,
        scores: NDArray[np.float64],
        n_steps: int | NDArray[np.int64],
        checkpoint: Callable[[], Checkpoint],
    ) -> None:
        """Observe samples that have been shown, and warn if nothing fires.

        Parameters
        ----------
        batch : Batch
            The samples.
        scores : ndarray of shape (n_samples, n_outputs)
            Their scores.
        n_steps : int or ndarray of shape (n_samples,)
            The steps for which they were shown.
        checkpoint : callable
            Returns the network as it is now.
        """
        if self._runs is None:
            return
        n, run = len(scores), self._runs[batch.y is not None]
        if run.n_unobserved and n == 1:
            run.n_unobserved -= 1
            return
        # The summed drive of an output that has sent no spike is at most 1/2.
        fires = np.flatnonzero(scores.max(axis=1) > 0.5 / n_steps)
        n_silent = n - 1 - int(fires[-1]) if len(fires) else n
        if n_silent < n:
            run.n, run.limit, run.n_unobserved = 0, SILENT_LATER, NOT_OBSERVED
            run.kept.clear()
        if n_silent:
            run.n += n_silent
            if run.n > run.limit - N_KEPT:
                run.keep(batch[n - min(n_silent, N_KEPT) :])
            if run.n >= run.limit:
                self._examine(run, checkpoint)

    def _examine(self, run: SilentRun, checkpoint: Callable[[], Checkpoint]) -> None:
        reason = None
        with suppress(OverflowError):  # in a copy
            reason = reason_of_silence(
                checkpoint(),
                run.kept,
                is_long=run.n >= SILENT_LATER,
                constant_at=self._constant_at,
                input_is_scaled=self._input_is_scaled,
            )
        while run.limit <= run.n:
            run.limit *= 10
        run.kept.clear()
        if reason is not None:
            self._runs = None
            warn(f"no output of the network has fired in {run.n} samples: {reason}")
