"""The weights of connections in simpler forms for other tools: one matrix, or a mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import constant_in
from spikebp_plugins.network.connections import Connection, DenseConnection, SynapseList
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]


def as_matrix(connection: Connection, weights: Array) -> Array:
    """Return the matrix of shape (n_below, n_above) that is equivalent to a connection.

    Pairs of units without a synapse have a weight of 0.

    Parameters
    ----------
    connection : Connection
        The connection.
    weights : ndarray
        Its weights or, if it has none, its constant weight.
    """
    if isinstance(connection, DenseConnection):
        return weights
    assert isinstance(connection, SynapseList)
    i, j, w = connection.synapses
    matrix = np.zeros((connection.n_below, connection.n_above), weights.dtype)
    np.add.at(matrix, (i, j), weights.reshape(-1)[w])
    return matrix


def note_on_inexact_pools(net: Definition) -> str | None:
    """Return a note on the first pool whose rounded weight does not give a mean exactly.

    Parameters
    ----------
    net : Definition
        The definition.

    Returns
    -------
    str or None
        A sentence about the first one; None if there is none.
    """
    for l, connection in enumerate(net.connections, 1):
        exact = connection.constant_weight
        if exact is None:
            continue
        rounded = constant_in(net, connection).item()
        if rounded != exact:
            return (
                f"a pixel of the pools of layer {l} weighs {rounded:.6g} in the spiking network, "
                f"which is not {exact:.6g} on its grid"
            )
    return None
