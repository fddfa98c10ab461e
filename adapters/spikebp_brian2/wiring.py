"""How synapses of each kind of connection are made, and how they find weights that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from brian2 import Synapses
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

Connect = Callable[[Synapses, Any], None]


def _connect_all(synapses: Synapses, _: DenseConnection) -> None:
    synapses.connect()


def _connect_listed(synapses: Synapses, connection: SynapseList) -> None:
    i, j, _ = connection.synapses
    if len(i):
        synapses.connect(i=i, j=j)
    else:  # of a kernel that lies on padding alone; Brian2 takes no empty arrays
        synapses.connect(condition="False")


#: What makes the synapses of each kind of connection, sorted by the unit below and then above.
KINDS: Final[dict[type[Connection], Connect]] = {
    DenseConnection: _connect_all,
    Convolution: _connect_listed,
    AveragePooling: _connect_listed,
    SparseConnection: _connect_listed,
}


def connect(synapses: PartSynapses, connection: Connection) -> None:
    """Make the synapses of a connection, on every target without compiling for it."""
    if isinstance(get_device(), RuntimeDevice):
        # Connecting is quick in NumPy; Cython would compile for it.
        synapses.codeobj_class = NumpyCodeObject
    KINDS[type(connection)](synapses, connection)
    synapses.codeobj_class = None


def add_numbers(synapses: PartSynapses, name: str, values: NDArray[np.int64]) -> None:
    """Give synapses a variable of one integer each that nobody can change."""
    synapses.variables.add_array(
        name, size=len(values), values=values, dtype=np.int32, constant=True, read_only=True
    )


def share(synapses: PartSynapses, kernel: PartNeurons, index: NDArray[np.int64]) -> None:
    """Let synapses find the weights that they share, given the number of that of each synapse.

    The names of these begin with an underscore, so that no code of a user's takes them for
    variables of the synapses: what is set for each synapse would be set several times for a weight.
    """
    synapses.kernel = kernel
    add_numbers(synapses, "weight_index", index)
    for name in kernel.equations.names:
        synapses.variables.add_reference(f"_kernel_{name}", kernel, name, index="weight_index")
