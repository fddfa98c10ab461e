"""Warnings of an estimator whose network cannot learn from what it is shown."""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Samples in a row in which no output fires that are warned of.
SILENT: Final = 1000
#: Spikes a step that an input may send, on average.
LOUD: Final = 40.0


class Watch:
    """Looks at what a network is shown and answers, and warns once of each trouble."""

    def __init__(self) -> None:
        self._n_silent = 0
        self._n_heard = 0
        self._spikes = 0.0
        self._has_warned: set[str] = set()

    def observe(self, inputs: Array, scores: Array, n_steps: int) -> None:
        """Take note of samples that were learned.

        Parameters
        ----------
        inputs : ndarray of shape (n_samples, n_inputs)
            What the network was shown, in spikes a step.
        scores : ndarray of shape (n_samples, n_outputs)
            The scores that they reached.
        n_steps : int
            The steps of a sample.
        """
        fires: NDArray[np.bool_] = np.any(scores > 0.5 / n_steps, axis=1)
        last = np.flatnonzero(fires)
        self._n_silent = len(fires) - 1 - last[-1] if len(last) else self._n_silent + len(fires)
        if self._n_heard < SILENT:
            self._n_heard += len(inputs)
            self._spikes += float(np.abs(inputs).mean(axis=1).sum())
            if self._n_heard >= SILENT:
                self._check_loudness()
        if self._n_silent >= SILENT:
            self._check_silence()

    def end_epoch(self) -> None:
        """Take note that all samples have been learned once."""
        self._check_loudness()

    def _check_silence(self) -> None:
        self._warn(
            "silent",
            f"no output of the network has fired in {SILENT} samples, so that it learns nothing: "
            "scale the features (input_scale='auto' does), or take a larger input_scale "
            "or larger label_targets",
        )

    def _check_loudness(self) -> None:
        if self._spikes > LOUD * self._n_heard:
            self._warn(
                "loud",
                f"an input sends {self._spikes / self._n_heard:.3g} spikes a step on average, "
                "which is slow and makes learning unstable: scale the features "
                "(input_scale='auto' does), or take a smaller input_scale",
            )

    def _warn(self, trouble: str, message: str) -> None:
        if trouble not in self._has_warned:
            self._has_warned.add(trouble)
            warnings.warn(message, RuntimeWarning, stacklevel=6)
