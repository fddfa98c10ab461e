"""Warnings of an estimator about what it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from spikebp_plugins.common.notice import warn
from spikebp_plugins.estimators.running_scale import OUTLYING
from spikebp_plugins.estimators.scaling import LIMIT, InputScaling
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.sparse_rows import SparseRows

#: The input of so many samples, or of an epoch if that is shorter, is judged.
ENOUGH: Final = 1000
#: The most spikes a step that an input may send, on average, without a warning.
LOUD: Final = 40.0


class ActivityMonitor:
    """Observes the input of a network, and warns once of each kind of trouble.

    The kinds are input that sends very many spikes, and readings that are far from all others.
    """

    def __init__(self) -> None:
        self._n_observed = 0
        self._spikes = 0.0
        self._has_warned: set[str] = set()

    def observe(self, inputs: Any, net: Definition, n_inputs: int | None = None) -> None:
        """Observe samples that were learned.

        Parameters
        ----------
        inputs : ndarray of shape (n_samples, n_inputs), or SparseRows
            Input that the network may be shown.
        net : Definition
            The network.
        n_inputs : int or None, default=None
            The inputs that have been given a feature; None if all have.
        """
        if self._n_observed < ENOUGH:
            self._n_observed += len(inputs)
            numbers = inputs.number if isinstance(inputs, SparseRows) else inputs
            sent = float(np.add.reduce(np.abs(numbers), axis=None)) * net.input_factor
            self._spikes += sent / (n_inputs or net.n_inputs)
            if self._n_observed >= ENOUGH:
                self._check_loudness()

    def end_epoch(self) -> None:
        """Check the input at the end of an epoch, which may be shorter than `ENOUGH` samples."""
        self._check_loudness()

    def warn_of_outlier(self, scaling: InputScaling | None, name: Callable[[int], object]) -> None:
        """Warn of a reading that is far from all others of its feature.

        Parameters
        ----------
        scaling : InputScaling or None
            The scaling of the features.
        name : callable
            Returns the name of a feature, given by its index.
        """
        if scaling is None or scaling.outlier is None or "outlier" in self._has_warned:
            return
        feature, value = scaling.outlier
        self._warn(
            "outlier",
            f"feature {name(feature)!r} has a reading of {value:.6g}, more than {OUTLYING} "
            "deviations away from its mean: readings are cut at "
            f"{LIMIT} deviations, and where many are, the scale is found anew",
        )

    def _check_loudness(self) -> None:
        if self._spikes > LOUD * self._n_observed:
            self._warn(
                "loud",
                f"an input sends {self._spikes / self._n_observed:.3g} spikes a step on average, "
                "which is slow and makes learning unstable: scale the features "
                "(input_scale='auto' does), or take a smaller input_scale",
            )

    def _warn(self, trouble: str, message: str) -> None:
        if trouble not in self._has_warned:
            self._has_warned.add(trouble)
            warn(message)
