"""What all processes that are a whole network have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from numpy.typing import NDArray

from spikebp_lava.memory import SharedNetwork
from spikebp_lava.variables import WithPortsOfLava
from spikebp_lava.watch import Watched
from spikebp_plugins import Checkpoint, Operations
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.definition import require_definition
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState, initial_state


class NetworkProcess(Watched, WithPortsOfLava):
    """A process whose state lies in shared memory: a base class before Lava's own.

    Attributes
    ----------
    net : Definition
        The definition.
    shared : SharedNetwork
        What has been learned, and what is counted.
    """

    _ports_of_lava: ClassVar = {"s_in": "spikes_in", "s_out": "spikes_out"}

    net: Definition
    shared: SharedNetwork

    def _make_ports(self) -> None:
        """Make the ports of a network, whatever it is made of."""
        n_inputs, n_outputs = self.net.n_inputs, self.net.n_outputs
        self.spikes_in = InPort(shape=(n_inputs,))
        self.label_in = InPort(shape=(1,))
        self.target_in = InPort(shape=(n_outputs,))
        self.reset_in = InPort(shape=(1,))
        self.spikes_out = OutPort(shape=(n_outputs,))
        self.summed_drive_out = OutPort(shape=(n_outputs,))

    def _participant(self) -> Any:
        return self

    @property
    def learning(self) -> bool:
        """Whether to learn from targets; to be read and set between runs."""
        return bool(self.shared.switches.learning[0])

    @learning.setter
    def learning(self, value: bool) -> None:
        self.shared.switches.learning[0] = bool(value)

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of the weights as real numbers, of the shapes ``net.weight_shapes``."""
        return [np.array(matrix, np.float64) for matrix in self.shared.read().weights]

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        return self.shared.operations

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state, to go on from on any back end."""
        return Checkpoint(self.net, self.shared.read())

    def begin_run(self) -> None:
        """Remember the state before a run; called when one begins."""
        self._kept = self.shared.kept()

    def undo_run(self) -> None:
        """Return to the state before the run; called when one has failed."""
        for array, before in self._kept:
            array[...] = before


def definition_of(net: Any) -> Definition:
    """Return the definition that a process is given, alone or in a checkpoint."""
    definition = net.net if isinstance(net, Checkpoint) else net
    require_definition("net", definition, "a Checkpoint")
    return definition


def starting_state(
    net: Any, weights: Sequence[Any] | None, feedback: Sequence[Any] | None
) -> LearningState:
    """Return the state in which a process starts."""
    if not isinstance(net, Checkpoint):
        return initial_state(definition_of(net), weights, feedback)
    if weights is not None or feedback is not None:
        raise wrong_argument("weights and feedback", "None with a checkpoint", "matrices")
    return net.state
