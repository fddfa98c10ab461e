r"""Connections: the synapses between two layers, and all that depends on their kind.

A connection is a set of synapses (i, j, w): unit i below, unit j above, and the index w of the
weight that they use. The rules of ``docs/semantics.md`` touch weights in three sums:

.. math::

    d_j = \sum_{(i, j, w)} k_i W_w, \qquad
    \psi_i \leftarrow \psi_i + \sum_{(i, j, w)} e_j B_w, \qquad
    W_w \leftarrow W_w - r \sum_{(i, j, w)} c_i e_j

All code asks a connection for its shapes, fan-out and products. Each engine has one table of what
it builds for each kind of connection, and refuses kinds that are not in the table.

A user describes a connection, with the layer that it leads to, as a `Layer`: ``Dense(10)``. What
joins two layers of known shapes is a `Connection`.
"""

from spikebp_plugins.network.connections.connection import Connection, WeightedCounts, total
from spikebp_plugins.network.connections.convolution import Conv2D, Convolution
from spikebp_plugins.network.connections.dense import Dense, DenseConnection
from spikebp_plugins.network.connections.kinds import (
    LAYERS,
    layer_from_dict,
    refused_connections,
    require_dense,
)
from spikebp_plugins.network.connections.layer import Layer, Shape
from spikebp_plugins.network.connections.pooling import AveragePool2D, AveragePooling
from spikebp_plugins.network.connections.sparse import Sparse, SparseConnection
from spikebp_plugins.network.connections.synapse_list import SynapseList

__all__ = [
    "LAYERS",
    "AveragePool2D",
    "AveragePooling",
    "Connection",
    "Conv2D",
    "Convolution",
    "Dense",
    "DenseConnection",
    "Layer",
    "Shape",
    "Sparse",
    "SparseConnection",
    "SynapseList",
    "WeightedCounts",
    "layer_from_dict",
    "refused_connections",
    "require_dense",
    "total",
]
