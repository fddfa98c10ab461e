"""Making the synapses of each kind of connection, and linking them to shared weights."""

from __future__ import annotations

from typing import Final

import numpy as np
from brian2.codegen.runtime.numpy_rt import NumpyCodeObject
from brian2.devices.device import RuntimeDevice, get_device
from numpy.typing import NDArray

from spikebp_brian2.parts import PartNeurons, PartSynapses
from spikebp_plugins.network.connections import (
    AveragePooling,
    Connection,
    Convolution,
    DenseConnection,
    SparseConnection,
    SynapseList,
)

#: The kinds of connections whose synapses can be made.
KINDS: Final = (DenseConnection, Convolution, AveragePooling, SparseConnection)


def connect(synapses: PartSynapses, connection: Connection) -> None:
    """Make the synapses of a connection, sorted by the unit below and then above."""
    if isinstance(get_device(), RuntimeDevice):
        # Connecting is quick in NumPy; Cython would compile for it.
        synapses.codeobj_class = NumpyCodeObject
    if not isinstance(connection, SynapseList):
        synapses.connect()
    elif connection.n_synapses:
        synapses.connect(i=connection.synapses.i, j=connection.synapses.j)
    else:  # of a kernel that lies on padding alone; Brian2 takes no empty arrays
        synapses.connect(condition="False")
    synapses.codeobj_class = None


def ends(connection: Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the unit below and the unit above of each synapse, in the order of `connect`."""
    if isinstance(connection, SynapseList):
        return connection.synapses.i, connection.synapses.j
    below, above = np.arange(connection.n_below), np.arange(connection.n_above)
    return np.repeat(below, len(above)), np.tile(above, len(below))


def add_numbers(synapses: PartSynapses, name: str, values: NDArray[np.int64]) -> None:
    """Give synapses a read-only variable, an integer for each."""
    synapses.variables.add_array(
        name, size=len(values), values=values, dtype=np.int32, constant=True, read_only=True
    )


def share(synapses: PartSynapses, kernel: PartNeurons, index: NDArray[np.int64]) -> None:
    """Link synapses to shared weights, given the index of the weight of each synapse.

    The names of these begin with an underscore, so that no code of a user's takes them for
    variables of the synapses: what is set for each synapse would be set several times for a weight.
    """
    synapses.kernel = kernel
    add_numbers(synapses, "weight_index", index)
    for name in kernel.equations.names:
        synapses.variables.add_reference(f"_kernel_{name}", kernel, name, index="weight_index")
