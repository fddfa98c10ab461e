r"""The rate of an update with ``update="normalized"``, from the counts of the layer below.

In units of the last place, 2^-f, with the learning rate R:

.. math::

    N_l = a_l (T g)^2 + \sum_i m_i c_{l-1,i}^2, \qquad
    r_l = \max(1, \lfloor 2^{-h_l} R / N_l \rfloor),

.. math::

    a_1 = 4, \; a_l = 24 \; (l > 1), \qquad h_l = 2 \; (l < L), \; h_L = 0.

g spikes stand for 1 (`spikes_per_unit`). Unit i meets the weights of the connection m_i times:
once, or as often as a kernel lies on it. That is the normalized rule of least mean squares (Nagumo
and Noda, 1967): an update moves the drive of a sample by a share of its error that does not depend
on how many units spike below, or how often. Below the output, summed errors are cut off before they
teach: they grow with the weights above, and with them the share.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import LIMIT, grid_of, out_of_range
from spikebp_plugins.network.fields import (
    ADDED_SQUARES,
    HIDDEN_RATE_BITS,
    LARGEST_SUMMED_ERROR,
    Definition,
)


def added_squares(net: Definition, l: int) -> int:
    """Return a_l (T g)^2, which is added to the squared counts below W_l; 0 if no rate needs it."""
    if net.update != "normalized":
        return 0
    of_input, above = ADDED_SQUARES
    return (of_input if l == 1 else above) * (net.n_steps * net.spikes_per_unit) ** 2


def rate_shift(net: Definition, l: int) -> int:
    """Return h_l, the number of bits by which the rate of W_l is below that of the output."""
    return 0 if l == net.n_layers else HIDDEN_RATE_BITS


def summed_error_limit(net: Definition, l: int) -> int:
    """Return the limit of summed errors of layer l in an update: 8 T g below the output.

    The limit of the output is one that no sum reaches.
    """
    return LIMIT if l == net.n_layers else LARGEST_SUMMED_ERROR * net.n_steps * net.spikes_per_unit


def learning_rate_into(net: Definition, l: int) -> float:
    """Return the learning rate with which layers l - 1 and l alone learn as in the whole network.

    With ``update="normalized"`` the rate of layers below the output is lower.
    """
    if net.update != "normalized":
        return net.learning_rate
    grid = grid_of(net)
    return math.ldexp(grid.rate_units >> rate_shift(net, l), -grid.fraction_bits)


def normalized_rate_units(net: Definition, counts: NDArray[np.int64], l: int) -> int:
    """Return r_l.

    Parameters
    ----------
    net : Definition
        The definition.
    counts : ndarray of shape (n_{l-1},)
        The counts c of layer l - 1 at the end of a sample.
    l : int
        The layer that W_l leads to.

    Raises
    ------
    OverflowError
        If N_l is no exact double.
    """
    total = added_squares(net, l) + net.connections[l - 1].squares(counts)
    if total >= LIMIT:
        raise out_of_range("sum of squared counts", l - 1, LIMIT, total)
    return max(1, (grid_of(net).rate_units >> rate_shift(net, l)) // total)
