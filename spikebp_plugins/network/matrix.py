"""Any connection as one matrix, for what knows no other form of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.connections import Connection, DenseConnection, SynapseList
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]


def as_matrix(connection: Connection, weights: Array) -> Array:
    """Return the matrix of shape (n_below, n_above) that brings what the connection brings.

    Pairs of units without a synapse have a weight of 0.

    Parameters
    ----------
    connection : Connection
        The connection.
    weights : ndarray
        Its weights; of one that has none, the constant that takes their place.
    """
    if isinstance(connection, DenseConnection):
        return weights
    assert isinstance(connection, SynapseList)
    i, j, w = connection.synapses
    matrix = np.zeros((connection.n_below, connection.n_above), weights.dtype)
    np.add.at(matrix, (i, j), weights.reshape(-1)[w])
    return matrix


def constant_in(net: Definition, connection: Connection) -> Array:
    """Return the constant of a connection without weights of its own, rounded as weights are."""
    return arithmetic_of(net).round_weights(np.array([connection.constant_weight]))
