"""What a network in a simulator of others predicts: by the core, from what it has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.simulation.simulator import Simulator


class PredictsFromCheckpoint:
    """The mixin of networks that run elsewhere and have a checkpoint."""

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state."""
        raise NotImplementedError

    def predict(self, x: Any, *, n_steps: int | None = None) -> NDArray[np.float64]:
        """Return the scores of samples by the network of `checkpoint`.

        They are those that the network itself would reach. It is not touched: neither what it has
        learned nor its sample, its time or what is recorded.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
            Input, as for ``Simulator.predict``.
        n_steps : int or None, default=None
            Steps for which to show each sample; None takes those of the definition.

        Returns
        -------
        ndarray of shape (n_samples, n_outputs)
            The scores; the index of the largest is the class.

        Raises
        ------
        ValueError
            If an argument is not allowed.
        OverflowError
            If a value leaves the range of the arithmetic.
        RuntimeError
            Where `checkpoint` raises it.
        """
        with Simulator.from_checkpoint(self.checkpoint()) as sim:
            scores: NDArray[np.float64] = sim.predict(x, n_steps=n_steps)
            return scores

    def accuracy(self, x: Any, y: Any) -> float:
        """Return the share of samples that `predict` gives the largest score at their label.

        Parameters
        ----------
        x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
            Input.
        y : array-like of shape (n_samples,)
            Integer labels. A sample whose label is not known, -1, is left out.

        Raises
        ------
        ValueError, OverflowError, RuntimeError
            As `predict`; also if no label is known.
        """
        labels = check_batch(self.checkpoint().net, x, y).y
        if labels is None or labels.ndim != 1:
            raise wrong_argument("y", "integer labels", "real targets")
        if not (labels >= 0).any():
            raise wrong_argument("y", "labels of which one is known", f"{len(labels)} unknown ones")
        classes = self.predict(x).argmax(axis=1)
        return float(np.mean((classes == labels)[labels >= 0]))
