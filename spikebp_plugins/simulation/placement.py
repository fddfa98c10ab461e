"""How neurons are divided among the cores of a chip: in the order of their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.connections import Connection, SynapseList
from spikebp_plugins.simulation.core_limits import CoreLimits

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arriving:
    """The synapses that lead to a layer from one of the layers beside it.

    Parameters
    ----------
    connection : Connection
        The synapses between the two layers.
    is_upward : bool
        Whether the upper layer hears the spikes of the lower, and not the lower the errors of the
        upper.
    trace : int
        Bytes that a core keeps for each unit that it hears.
    """

    connection: Connection
    is_upward: bool
    trace: int

    @property
    def n_heard(self) -> int:
        """The units of the layer that is heard."""
        return self.connection.n_below if self.is_upward else self.connection.n_above

    @property
    def n_hearing(self) -> int:
        """The units of the layer that hears."""
        return self.connection.n_above if self.is_upward else self.connection.n_below

    @cached_property
    def fans(self) -> Integers:
        """The synapses of each unit that hears."""
        return self._fans(of_hearing=True)

    @cached_property
    def heard_by(self) -> Integers:
        """The synapses of each unit that is heard."""
        return self._fans(of_hearing=False)

    def _fans(self, *, of_hearing: bool) -> Integers:
        connection, is_above = self.connection, self.is_upward == of_hearing
        if isinstance(connection, SynapseList):
            return connection.fan_in_of_units if is_above else connection.fan_out_of_units
        n, other = (self.n_hearing, self.n_heard) if of_hearing else (self.n_heard, self.n_hearing)
        return np.full(n, other)

    @property
    def n_axons(self) -> int:
        """The units that the layer hears: those that have a synapse."""
        return int(np.count_nonzero(self.heard_by))

    @cached_property
    def is_complete(self) -> bool:
        """Whether each unit hears each."""
        return not isinstance(self.connection, SynapseList)

    @cached_property
    def _heard_in_order(self) -> list[Integers]:
        assert isinstance(self.connection, SynapseList)
        i, j, _ = self.connection.synapses
        heard, hearing = (i, j) if self.is_upward else (j, i)
        order = np.argsort(hearing, kind="stable")
        return np.split(heard[order], np.cumsum(self.fans)[:-1])

    def heard(self, unit: int) -> Integers:
        """Return the units that one unit hears."""
        return np.arange(self.n_heard) if self.is_complete else self._heard_in_order[unit]


class Placement(NamedTuple):
    """The cores that a layer takes.

    Attributes
    ----------
    cores : int
        How many.
    axons : tuple of int
        For each layer that is heard, the units that each core hears of it, added up.
    """

    cores: int
    axons: tuple[int, ...]


def placed(bytes_of_neurons: Integers, arriving: list[Arriving], limits: CoreLimits) -> Placement:
    """Return how a layer is placed, each neuron of which fits on a core of its own.

    Parameters
    ----------
    bytes_of_neurons : ndarray of shape (n_units,)
        What each neuron takes, its synapses included.
    arriving : list of Arriving
        The synapses that lead to the layer.
    limits : CoreLimits
        What a core holds.
    """
    if all(part.is_complete for part in arriving):  # neurons and cores are all alike
        traces = sum(part.trace * part.n_axons for part in arriving)
        fitting = (limits.memory - traces) // int(bytes_of_neurons[0])
        cores = -(-len(bytes_of_neurons) // min(limits.neurons, fitting))
        return Placement(cores, tuple(cores * part.n_axons for part in arriving))
    filled = [_Core(arriving, limits)]
    for unit, size in enumerate(bytes_of_neurons.tolist()):
        if not filled[-1].takes(unit, size):
            filled.append(_Core(arriving, limits))
            filled[-1].takes(unit, size)
    axons = zip(*(core.axons for core in filled), strict=True)
    return Placement(len(filled), tuple(map(sum, axons)))


class _Core:
    """A core that is filled with neurons."""

    def __init__(self, arriving: list[Arriving], limits: CoreLimits) -> None:
        self._arriving, self._limits = arriving, limits
        self._is_heard = [np.zeros(part.n_heard, np.bool_) for part in arriving]
        self._neurons = self._memory = 0
        #: The units that it hears of each layer.
        self.axons = [0] * len(arriving)

    def takes(self, unit: int, size: int) -> bool:
        """Put a neuron on the core, unless it is full; return whether there was room."""
        limits, new, memory = self._limits, [], self._memory + size
        for part, is_heard in zip(self._arriving, self._is_heard, strict=True):
            heard = part.heard(unit)
            new.append(heard[~is_heard[heard]])
            memory += part.trace * len(new[-1])
        axons = [before + len(more) for before, more in zip(self.axons, new, strict=True)]
        if self._neurons == limits.neurons or memory > limits.memory:
            return False
        if limits.axons is not None and sum(axons) > limits.axons:
            return False
        for is_heard, more in zip(self._is_heard, new, strict=True):
            is_heard[more] = True
        self._neurons, self._memory, self.axons = self._neurons + 1, memory, axons
        return True
