"""The base of all processes that are a whole network."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.variable import Var
from numpy.typing import NDArray

from spikebp_lava.agreement import Exchange, require_agreement
from spikebp_lava.memory import FIXED, Memory, SharedNetwork
from spikebp_lava.runtime import GuardedProcess, at_rest
from spikebp_lava.variables import LavaPortNames, ReadOnlyVar, SharedVar
from spikebp_plugins import Checkpoint, Operations
from spikebp_plugins.common.errors import boolean, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.checkpoint import starting_checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import LearningState
from spikebp_plugins.simulation.prediction import PredictsFromCheckpoint

Array = NDArray[Any]

#: Attributes that Lava or a user may set after a process was made.
SET_LATER: Final = ("name", "parent_proc")


class NetworkProcess(GuardedProcess, LavaPortNames, PredictsFromCheckpoint):
    """A process whose state lies in shared memory: a base class before Lava's own.

    Attributes
    ----------
    net : Definition
        The definition.
    shared : SharedNetwork
        The network as the models of its processes get it.
    exchange : Exchange
        The properties on which messages of samples and scores depend.
    """

    _ports_of_lava: ClassVar = {"s_in": "spikes_in", "s_out": "spikes_out"}

    net: Definition
    in_ports: Any
    out_ports: Any
    var_ports: Any
    name: str
    shared: SharedNetwork
    exchange: Exchange
    _input_is_scaled: bool

    @property
    def _memory(self) -> Memory:
        memory: Memory = self.shared.memory
        return memory

    def _start_from(self, net: Any, weights: Any, feedback: Any) -> LearningState:
        """Take a definition, alone or in a checkpoint; return the state to start from."""
        start = starting_checkpoint(net, weights, feedback)
        self.net, self._input_is_scaled = start.net, start.input_is_scaled
        return start.state

    def _make_ports(self) -> None:
        """Make the ports of a network, whatever it is made of."""
        n_inputs, n_outputs = self.net.n_inputs, self.net.n_outputs
        self.spikes_in = InPort(shape=(n_inputs,))
        self.label_in = InPort(shape=(1,))
        self.target_in = InPort(shape=(n_outputs,))
        self.reset_in = InPort(shape=(1,))
        self.spikes_out = OutPort(shape=(n_outputs,))
        self.summed_drive_out = OutPort(shape=(n_outputs,))

    def _make_variables(self) -> None:
        """Make the variables of all layers, of which only weights can be set."""
        for l, connection in enumerate(self.net.connections, 1):
            if connection.constant_weight is None:
                read, write = partial(self._weights, l), partial(self._set_weights, l)
                setattr(self, f"weight_{l}", SharedVar(read, write))
        for l, size in enumerate(self.net.layer_sizes):
            for state in self._states_of(l):
                setattr(self, f"{state}_{l}", ReadOnlyVar(shape=(size,)))

    def _states_of(self, l: int) -> tuple[str, ...]:
        """Return the names of a layer's states that can be read after each step."""
        of_spikes = ("spike_count", "potential")
        return of_spikes if l == 0 else (*of_spikes, "error", "summed_drive")

    def _post_init(self) -> None:
        super()._post_init()  # type: ignore[misc]
        self._is_made = True

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = name.startswith("_") or hasattr(type(self), name) or name in SET_LATER
        if "_is_made" in self.__dict__ and not is_own:
            advice = "only learning and learning_rate can be"
            if isinstance(self.__dict__.get(name), Var):
                advice = f"it is a variable, whose values {name}.set(...) replaces"
            raise AttributeError(f"{name!r} of {type(self).__name__} cannot be set: {advice}")
        super().__setattr__(name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{type(self).__name__} cannot be copied or pickled, since its graph cannot; "
            "checkpoint() can, and another process can be made from it"
        )

    @property
    def learning(self) -> bool:
        """Whether to learn from targets; to be read and set between runs."""
        return bool(self.shared.switches.learning[0])

    @learning.setter
    def learning(self, value: bool) -> None:
        with at_rest(self):
            self.shared.switches.learning[0] = boolean("learning", value)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the definition, to be read and set between runs.

        The grid of the weights stays what it is, as with ``Definition.at_rate``.

        Raises
        ------
        ValueError
            If the rate is not allowed, or rounds to zero on the grid.
        RuntimeError
            If a run is under way, or a sample is half shown.
        """
        return self.net.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        net = self.net.at_rate(value)
        with at_rest(self):
            if self.shared.is_open[0]:
                raise RuntimeError(
                    f"the learning rate of {self.name!r} is set between samples, and the present "
                    "one is half shown: run it to its end first"
                )
            self._take_rate(net)
            self.__dict__["net"], self.shared.learning_rate[0] = net, net.learning_rate

    def _take_rate(self, net: Definition) -> None:
        """Prepare for a definition of another rate, which process models read from the memory."""
        self._memory.take_rate(net)

    @property
    def weights(self) -> list[NDArray[np.float64]]:
        """Copies of the weights of `checkpoint` as real numbers, of ``net.weight_shapes``."""
        return self._learned().weights.copies()

    @property
    def operations(self) -> Operations:
        """Synaptic operations of all samples that have ended since the start."""
        with at_rest(self):
            return self._memory.operations

    def checkpoint(self) -> Checkpoint:
        """Return definition and learning state after the last whole sample, for any back end.

        A sample that is half shown has taught it nothing, and is not among its `samples_seen`.
        Weights that were set meanwhile are in it as they were set.
        """
        return Checkpoint(self.net, self._learned(), input_is_scaled=self._input_is_scaled)

    def _learned(self) -> LearningState:
        with at_rest(self):
            return self._memory.state

    @abstractmethod
    def _weights(self, l: int) -> Array:
        """Return W_l in the numbers in which it is got and set."""

    @abstractmethod
    def _set_weights(self, l: int, values: Array, where: Any) -> None:
        """Replace W_l at an index by those of a matrix in these numbers."""

    def _replace_weights(self, l: int, values: Array, given: Array, where: Any) -> None:
        """Replace W_l at an index by real numbers, which were converted from the matrix `given`.

        Raises
        ------
        ValueError
            If the shape is not that of W_l, or a weight is not on the grid.
        OverflowError
            If a weight is out of range.
        """
        shape, arithmetic = self.net.weight_shapes[l - 1], arithmetic_of(self.net)
        name = f"weight_{l}"
        if values.shape != shape:
            raise wrong_argument(name, f"of shape {shape}", f"shape {values.shape}")
        scaled = np.ldexp(values, -arithmetic.exponent_of_weights)
        if np.any(off := np.rint(scaled) != scaled):
            allowed = "on the grid: multiples of 2**-fraction_bits (whole numbers in fixed_pt)"
            raise wrong_argument(name, allowed, given[off][0])
        arithmetic.check(values, "weight", l)
        self._memory.replace_weights(l, values, where)

    def prepare(self, models: list[type]) -> None:
        """Check a graph; called before its processes are started."""
        require_agreement(self, FIXED in {getattr(model, "kind", None) for model in models})
        self._n_connections = self._count_connections()

    def _count_connections(self) -> int:
        ports = (*self.in_ports.members, *self.out_ports.members)
        both = sum(len(port.in_connections) + len(port.out_connections) for port in ports)
        return both + len(self.var_ports.members)

    def begin_run(self) -> None:
        """Remember the state before a run; called when one begins.

        Raises
        ------
        RuntimeError
            If something was connected when the graph had been made, which Lava ignores.
        """
        if self._count_connections() != self._n_connections:
            raise RuntimeError(
                f"{self.name!r} was connected or probed after its graph was made, which has no "
                "effect; connect all processes before the first run"
            )
        arrays = [*self._memory.arrays, self.shared.is_open]
        self._kept = [(array, array.copy()) for array in arrays]

    def undo_run(self) -> None:
        """Return to the state before the run; called when one has failed."""
        for array, before in self._kept:
            array[...] = before
