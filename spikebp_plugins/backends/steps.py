"""A sample whose end is not known beforehand: shown step by step, closed when its time has come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.definition import SpikingMLP

if TYPE_CHECKING:
    from spikebp_plugins.backends.base import Backend

Array = NDArray[Any]


class Steps(ABC):
    """The steps of one sample after the other on a back end.

    What a sample teaches reaches the back end when it is closed: until then, and after an error
    in one of its steps, the learning state there is that before the sample.

    Parameters
    ----------
    net : SpikingMLP
        The definition.

    Attributes
    ----------
    steps_shown : int
        Steps of the sample that is open, or of the last one.
    is_open : bool
        Whether a sample is open.
    is_learning : bool
        Whether the open sample has had a target.
    """

    def __init__(self, net: SpikingMLP) -> None:
        self.net = net
        self.steps_shown = 0
        self.is_open = self.is_learning = False

    def show(self, x: Array | None, y: Array | None, n_steps: int = 1) -> None:
        """Show an input for some steps, and a target to learn from.

        Parameters
        ----------
        x : ndarray of shape (n_inputs,) or None
            Real values, or integer spike counts with ``input_coding="spikes"``; None is silence.
        y : ndarray of shape (n_outputs,) or None
            Real target; None learns nothing in these steps.
        n_steps : int, default=1
            The steps.

        Raises
        ------
        OverflowError
            If a value leaves the range of the arithmetic. The sample is dropped then.
        """
        # In silence nothing fires, since graded spikes leave no potential above the threshold.
        waits = self.is_open and x is None and y is None and self.net.spikes == "graded"
        if not waits:
            if x is None:
                x = np.zeros(self.net.n_inputs, np.int64)
            opens, restarts = not self.is_open, y is not None and not self.is_learning
            try:
                self._show(x, y, n_steps, opens, restarts)
            except BaseException:
                self.drop()
                raise
            if opens:
                self.steps_shown = 0
            self.is_open, self.is_learning = True, self.is_learning or y is not None
        self.steps_shown += n_steps

    def close(self) -> None:
        """End the open sample, and hand what it has taught to the back end.

        Raises
        ------
        OverflowError
            If an update at the end leaves the range of the arithmetic. The sample is dropped then.
        """
        try:
            self._close()
        finally:
            self.drop()

    def drop(self) -> None:
        """End the open sample as if it had not been."""
        self.is_open = self.is_learning = False

    @property
    def scores(self) -> NDArray[np.float64]:
        """The running scores of the open sample, or the scores of the last one; zero before any."""
        if self.steps_shown == 0:
            return np.zeros(self.net.n_outputs)
        scores: NDArray[np.float64] = self.summed_drive / self.steps_shown
        return scores

    @abstractmethod
    def _show(self, x: Array, y: Array | None, n_steps: int, opens: bool, restarts: bool) -> None:
        """Show some steps; `opens`, `restarts`: the first of the sample, of it that learns."""

    @abstractmethod
    def _close(self) -> None:
        """Update if that is due at the end, and hand state and operations to the back end."""

    @property
    @abstractmethod
    def summed_drive(self) -> NDArray[np.float64]:
        """The summed drive of the output as reals, of shape (n_outputs,)."""


def why_no_steps(backend: Backend) -> str:
    """Return why a back end does not show single steps."""
    return (
        f"{type(backend).__name__} shows whole samples: streams run on the back ends 'compiled' "
        "and 'reference', and inside a simulator as its own objects (docs/streams.md)"
    )
