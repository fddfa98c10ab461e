r"""Initial weights that do not depend on how many inputs and outputs there are.

Weight (l, i, j) is, with the 16-bit parts :math:`u_1, \dots, u_{12}` of its three numbers of 64
bits,

.. math:: W_{lij} = \frac{\sigma_{li}}{2^{16}} \left(\sum_k u_k - 6 \, (2^{16} - 1)\right)

The sum of twelve uniform numbers is normal in all but its tails. It is one of integers, so that
every machine draws the same. Philox is a counter: unit i of layer l has one of its own, and the
numbers of weight (l, i, j) are those from 3j on, whatever else there is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The last word of Philox's counter, by the quantity that is drawn; 0 is for backward potentials.
WEIGHTS: Final = 1
FEEDBACK: Final = 2

#: Weights of input i are scaled as in a network with so many more inputs than i. So weights of the
#: first inputs are about equal, and thousands of inputs do not drive units more than a few do.
FIRST_INPUTS: Final = 8
#: The divisor of random feedback, which cannot depend on the number of outputs.
FEEDBACK_DIVISOR: Final = 2.0

NUMBERS: Final = 3
PARTS: Final = 12
#: Every second part of a number.
EVEN_PARTS: Final = np.uint64(0x0000FFFF0000FFFF)
#: Philox's counter is in front of the next row after so many steps, each of so many numbers.
NEXT_ROW: Final = 2**64
NUMBERS_OF_COUNTER: Final = 4


def unit_weights(
    seed: int, what: int, l: int, shape: tuple[int, ...], first: int = 0
) -> NDArray[np.float64]:
    """Return weights of mean 0 and deviation 1; a larger matrix begins with a smaller one.

    Parameters
    ----------
    seed : int
        The key of Philox.
    what : int
        `WEIGHTS` or `FEEDBACK`.
    l : int
        The layer that the weights belong to.
    shape : tuple of two int
        Rows, each of which has a counter of its own, and columns.
    first : int, default=0
        The number of the first row.

    Returns
    -------
    ndarray of shape `shape`
        Multiples of 2^-16.
    """
    n_rows, length = shape
    generator = np.random.Philox(key=seed, counter=[0, first, l, what])
    n_numbers = NUMBERS * length
    numbers = np.empty((n_rows, n_numbers), np.uint64)
    for row in numbers:
        row[:] = generator.random_raw(n_numbers)
        generator.advance(NEXT_ROW - -(-n_numbers // NUMBERS_OF_COUNTER))
    # Two parts of each number at a time, so that no sum of six reaches the next two.
    pairs = (numbers & EVEN_PARTS) + (numbers >> np.uint64(16) & EVEN_PARTS)
    sums = pairs.reshape(n_rows, length, NUMBERS).sum(axis=2)
    sums = (sums & np.uint64(2**32 - 1)) + (sums >> np.uint64(32))
    weights: NDArray[np.float64] = sums.astype(np.float64)
    weights -= PARTS * (2**16 - 1) // 2
    weights /= 2**16
    return weights


def fan_in(n_inputs: int) -> NDArray[np.float64]:
    """Return the fan-in for which the weights of each input are scaled, of shape (n_inputs, 1)."""
    return FIRST_INPUTS + np.arange(n_inputs, dtype=np.float64)[:, np.newaxis]
