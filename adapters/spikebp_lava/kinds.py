"""The kinds of connections that Lava's processes build, and what they build of each."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from lava.proc.dense.process import Dense, LearningDense

from spikebp_lava.layer_by_kernels import LayerByKernels
from spikebp_lava.layer_by_rules import LayerByRules
from spikebp_lava.layer_steps import LayerSteps
from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.network import connections
from spikebp_plugins.network.connections import Connection
from spikebp_plugins.network.fields import Definition


class Processes(NamedTuple):
    """Lava's own processes for a kind of connection: with weights that stay, and that learn."""

    that_stay: type
    that_learn: type


class MakeLayer(Protocol):
    """Makes what computes a layer of a network."""

    def __call__(self, shared: SharedNetwork, l: int) -> LayerSteps:
        """Return what computes layer l."""


class Kind(NamedTuple):
    """What is built of a kind of connection.

    Attributes
    ----------
    layer : MakeLayer
        What computes the layer above.
    synapses : Processes or str
        Lava's own synapses, or why the network is not made of such.
    """

    layer: MakeLayer
    synapses: Processes | str


#: What is built of each kind of connection. A kind that is not here is refused.
KINDS: Final[dict[type[Connection], Kind]] = {
    connections.DenseConnection: Kind(LayerByKernels, Processes(Dense, LearningDense)),
    connections.Convolution: Kind(
        LayerByRules,
        "the kernel of Lava's Conv does not learn, and Lava's synapses that learn share no weight",
    ),
    connections.AveragePooling: Kind(LayerByRules, "they are not built on Lava's Conv"),
    connections.SparseConnection: Kind(LayerByRules, "they are not built on Lava's LearningSparse"),
}


def synapses_of(connection: Connection) -> Processes:
    """Return Lava's own synapses for a connection that has some."""
    found = KINDS[type(connection)].synapses
    assert isinstance(found, Processes)
    return found


def why_no_synapses(net: Definition) -> str | None:
    """Return why Lava's own synapses cannot be the connections of a network, or None if they can.

    All kinds of connections must be those of `KINDS`.
    """
    for connection in net.connections:
        reason = KINDS[type(connection)].synapses
        if isinstance(reason, str):
            return f"of standard parts there are no {connection.kind} connections: {reason}"
    return None


def is_of_kernels(net: Definition) -> bool:
    """Return whether the kernels of the compiled core compute all layers of a network."""
    return all(KINDS[type(c)].layer is LayerByKernels for c in net.connections)
