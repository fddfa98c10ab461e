"""Counts of the weights that change in a step, for synapses that do not count them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.memory import shared_array


class Activity:
    """The number of units whose counts and errors change weights, shared by a network's processes.

    With :math:`n^c_l` units that have spiked and :math:`n^e_l` that have an error, a step changes
    :math:`n^c_{l-1} n^e_l` weights of :math:`W_l`.

    Parameters
    ----------
    n_layers : int
        L, the number of matrices.
    """

    def __init__(self, n_layers: int) -> None:
        # A process may begin a step as soon as all have ended the one before. So only the last two
        # steps are read, and there is memory for two.
        self._units = shared_array((2, 2, n_layers + 1), np.int64)

    def write(
        self, time_step: int, l: int, counts: NDArray[Any], errors: NDArray[Any] | tuple[()] = ()
    ) -> None:
        """Write the spike counts and errors with which layer l teaches in a step."""
        self._units[time_step % 2, :, l] = np.count_nonzero(counts), np.count_nonzero(errors)

    def changes(self, time_step: int) -> NDArray[np.int64]:
        """Return the numbers of changed weights of W_1 to W_L, of shape (L + 1,), 0 at index 0.

        To be called when that step is over, and before the end of the next one.
        """
        counts, errors = self._units[time_step % 2]
        return np.concatenate([[0], counts[:-1] * errors[1:]])
