"""The placement of neurons on the cores of a chip, in the order of their numbers."""

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
class IncomingSynapses:
    """The synapses that lead to a layer from one of its neighbours.

    Parameters
    ----------
    connection : Connection
        The synapses between the two layers.
    is_upward : bool
        True for spikes that the lower layer sends up, False for errors that the upper sends down.
    trace : int
        Bytes that a core keeps for each unit that it receives from.
    """

    connection: Connection
    is_upward: bool
    trace: int

    @property
    def n_senders(self) -> int:
        """The units of the sending layer."""
        return self.connection.n_below if self.is_upward else self.connection.n_above

    @property
    def n_receivers(self) -> int:
        """The units of the receiving layer."""
        return self.connection.n_above if self.is_upward else self.connection.n_below

    @cached_property
    def fan_in(self) -> Integers:
        """The synapses of each receiver."""
        return self._fans(of_receivers=True)

    @cached_property
    def fan_out(self) -> Integers:
        """The synapses of each sender."""
        return self._fans(of_receivers=False)

    def _fans(self, *, of_receivers: bool) -> Integers:
        connection, is_above = self.connection, self.is_upward == of_receivers
        if isinstance(connection, SynapseList):
            return connection.fan_in_of_units if is_above else connection.fan_out_of_units
        sizes = self.n_receivers, self.n_senders
        n, other = sizes if of_receivers else sizes[::-1]
        return np.full(n, other)

    @property
    def n_axons(self) -> int:
        """The senders that have a synapse."""
        return int(np.count_nonzero(self.fan_out))

    @cached_property
    def is_complete(self) -> bool:
        """Whether each receiver has a synapse from each sender."""
        return not isinstance(self.connection, SynapseList)

    @cached_property
    def _senders_in_order(self) -> list[Integers]:
        assert isinstance(self.connection, SynapseList)
        i, j, _ = self.connection.synapses
        senders, receivers = (i, j) if self.is_upward else (j, i)
        order = np.argsort(receivers, kind="stable")
        return np.split(senders[order], np.cumsum(self.fan_in)[:-1])

    def senders_of(self, unit: int) -> Integers:
        """Return the senders of one receiver."""
        return np.arange(self.n_senders) if self.is_complete else self._senders_in_order[unit]


class Placement(NamedTuple):
    """The cores that a layer takes.

    Attributes
    ----------
    cores : int
        The number of cores.
    axons : tuple of int
        For each sending layer, the sum over cores of the units that a core receives from.
    """

    cores: int
    axons: tuple[int, ...]


def placed(
    bytes_of_neurons: Integers, incoming: list[IncomingSynapses], limits: CoreLimits
) -> Placement:
    """Return the placement of a layer of which each neuron fits on a core of its own.

    Parameters
    ----------
    bytes_of_neurons : ndarray of shape (n_units,)
        Bytes of each neuron and its synapses.
    incoming : list of IncomingSynapses
        The synapses that lead to the layer.
    limits : CoreLimits
        The limits of a core.
    """
    if all(part.is_complete for part in incoming):  # all neurons need the same
        traces = sum(part.trace * part.n_axons for part in incoming)
        fitting = (limits.memory - traces) // int(bytes_of_neurons[0])
        cores = -(-len(bytes_of_neurons) // min(limits.neurons, fitting))
        return Placement(cores, tuple(cores * part.n_axons for part in incoming))
    filled = [_Core(incoming, limits)]
    for unit, size in enumerate(bytes_of_neurons.tolist()):
        if not filled[-1].takes(unit, size):
            filled.append(_Core(incoming, limits))
            filled[-1].takes(unit, size)
    axons = zip(*(core.axons for core in filled), strict=True)
    return Placement(len(filled), tuple(map(sum, axons)))


class _Core:
    """A core that is filled with neurons."""

    def __init__(self, incoming: list[IncomingSynapses], limits: CoreLimits) -> None:
        self._incoming, self._limits = incoming, limits
        self._has_axon = [np.zeros(part.n_senders, np.bool_) for part in incoming]
        self._neurons = self._memory = 0
        #: The units of each sending layer that the core receives from.
        self.axons = [0] * len(incoming)

    def takes(self, unit: int, size: int) -> bool:
        """Put a neuron on the core, unless it is full; return whether there was room."""
        limits, new, memory = self._limits, [], self._memory + size
        for part, has_axon in zip(self._incoming, self._has_axon, strict=True):
            senders = part.senders_of(unit)
            new.append(senders[~has_axon[senders]])
            memory += part.trace * len(new[-1])
        axons = [before + len(more) for before, more in zip(self.axons, new, strict=True)]
        if self._neurons == limits.neurons or memory > limits.memory:
            return False
        if limits.axons is not None and sum(axons) > limits.axons:
            return False
        for has_axon, more in zip(self._has_axon, new, strict=True):
            has_axon[more] = True
        self._neurons, self._memory, self.axons = self._neurons + 1, memory, axons
        return True
