"""Real targets as spikes a step, and scores as predictions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument


class TargetCoding(NamedTuple):
    """The encoding of real targets as spikes a step, and the decoding of scores as predictions.

    Attributes
    ----------
    shape : tuple of int
        Shape of the targets of one sample: ``()`` or ``(n_targets,)``.
    scale : ndarray of shape (n_targets,)
        Spikes a step for a target of 1.
    signed : bool
        Whether a second set of units stands for negative targets.
    """

    shape: tuple[int, ...]
    scale: NDArray[np.float64]
    signed: bool

    @property
    def n_outputs(self) -> int:
        """Number of output units."""
        return len(self.scale) * (2 if self.signed else 1)

    def check(self, y: NDArray[np.float64]) -> None:
        """Raise ValueError for targets that have another shape or a sign without units."""
        if y.shape[1:] != self.shape:
            allowed = f"of shape {('n_samples', *self.shape)}, as before"
            raise wrong_argument("y", allowed, f"shape {y.shape}")
        if not self.signed and y.min() < 0:
            raise wrong_argument("y", "not negative with signed_output=False", y[y < 0][0])

    def encoded(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return targets in spikes a step, of shape (n_samples, n_outputs)."""
        asked = self.scale * y.reshape(len(y), len(self.scale))
        return np.maximum(np.hstack([asked, -asked]) if self.signed else asked, 0)

    def decoded(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return predictions, of shape (n_samples, *shape)."""
        answers = np.maximum(scores, 0)
        if self.signed:
            positive, negative = np.hsplit(answers, 2)
            answers = positive - negative
        return (answers / self.scale).reshape(len(scores), *self.shape)
