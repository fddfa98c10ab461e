"""Targets of any size as spikes a step, found as they come."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.all_rows import AllRows
from spikebp_plugins.estimators.running_scale import ONE, RunningScale

Array = NDArray[np.float64]

#: The deviations at which targets are cut: what is far away is less often wrong than in features,
#: and no target excites the whole network.
LIMIT: Final = 8


class TargetScaling(NamedTuple):
    """The scaling of targets to spikes a step, with the statistics of the targets so far.

    Attributes
    ----------
    spread : float
        Spikes a step for a deviation, or for the root mean square of targets without centre.
    n_seen : int
        The samples so far.
    waiting : tuple of ndarray of shape (.., n_targets)
        Those of the block that has not ended.
    scale : RunningScale
        The scale of the targets.
    """

    spread: float
    n_seen: int
    waiting: tuple[Array, ...]
    scale: RunningScale

    @classmethod
    def unknown(cls, n_targets: int, spread: float, *, is_centred: bool = True) -> TargetScaling:
        """Return the scaling before the first sample."""
        scale = RunningScale.beginning(np.zeros(n_targets), LIMIT, is_centred=is_centred)
        return cls(spread, 0, (), scale)

    def of_all(self, targets: AllRows) -> TargetScaling:
        """Return the scaling of targets that are all there."""
        scale, *_ = RunningScale.of_all(targets, LIMIT, is_centred=self.scale.is_centred)
        return self._replace(n_seen=targets.total >> targets.bits, scale=scale)

    @property
    def factor(self) -> Array:
        """Spikes a step for a target of 1, of shape (n_targets,); 0 if that is not known."""
        return self.scale.factor * (self.spread / ONE)

    def after_block(self, y: Array) -> TargetScaling:
        """Return the scaling after the samples of a block, of shape (n_samples, n_targets)."""
        if self.n_seen == 1 and self.scale.is_centred:
            return self._replace(scale=RunningScale.beginning(y[0], LIMIT))
        return self._replace(scale=self.scale.after(y))

    def scaled(self, y: Array) -> Array:
        """Return targets in spikes a step."""
        return self.scale.units(y) * (self.spread / ONE)

    def restored(self, spikes: Array) -> Array:
        """Return the targets for spikes a step; of a target that is not known, the first one."""
        return self.scale.readings(spikes * (ONE / self.spread))
