r"""Initial weights that do not depend on how many inputs and outputs there are.

Weight (l, i, j) is, with the 16-bit parts :math:`u_1, \dots, u_{12}` of its three numbers of 64
bits,

.. math:: W_{lij} = \frac{\sigma_l}{2^{16}} \left(\sum_k u_k - 6 \, (2^{16} - 1)\right)

The sum of twelve uniform numbers is normal in all but its tails. It is one of integers, so that
every machine draws the same. Philox is a counter: unit i of layer l has one of its own, and the
numbers of weight (l, i, j) are those from 3j on, whatever else there is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: What is drawn, which the last word of Philox's counter says, 0 being for backward potentials.
WEIGHTS: Final = 1
FEEDBACK: Final = 2

#: Weights of input i are as large as those of a network with so many more inputs than i. Those of
#: a few inputs are about equal then, and thousands of them do not add up to more than a few do.
FIRST_INPUTS: Final = 8
#: What random feedback is divided by that does not know how many outputs there will be.
FEEDBACK_DIVISOR: Final = 2.0

NUMBERS: Final = 3
PARTS: Final = 12


def unit_weights(seed: int, what: int, l: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return weights of mean 0 and deviation 1; a larger matrix begins with a smaller one.

    Parameters
    ----------
    seed : int
        The key of Philox.
    what : int
        `WEIGHTS` or `FEEDBACK`.
    l : int
        The layer that the weights belong to.
    shape : tuple of int
        Rows and columns; of feedback, which has its rows in layer l, transposed.

    Returns
    -------
    ndarray of the shape asked for
        Multiples of 2^-16.
    """
    n_below, n_above = shape
    raw = np.empty((n_below, NUMBERS * n_above), np.uint64)
    for i in range(n_below):
        raw[i] = np.random.Philox(key=seed, counter=[0, i, l, what]).random_raw(raw.shape[1])
    parts = raw[..., np.newaxis] >> np.arange(0, 64, 16, dtype=np.uint64)
    total = (parts & np.uint64(0xFFFF)).reshape(n_below, n_above, PARTS).sum(axis=2)
    weights: NDArray[np.float64] = (total.astype(np.float64) - 6 * (2**16 - 1)) / 2**16
    return weights


def fan_in(n_inputs: int) -> NDArray[np.float64]:
    """Return for how many inputs the weights of each input are made, of shape (n_inputs, 1)."""
    return FIRST_INPUTS + np.arange(n_inputs, dtype=np.float64)[:, np.newaxis]
