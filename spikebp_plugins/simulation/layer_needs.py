"""The cores and the memory of a chip that the layers of a network take.

A core holds neurons and all synapses that lead to them: those from the layer below, and those
through which errors come from the layer above. Each synapse has a weight of its own there, also
where the network shares one among them. Every number has the width that it has with
``arithmetic="loihi2"``. Tables of addresses, programs and spare memory are not counted, since how
much of them a chip needs is not public: a chip may need more cores than are counted here. Dense
layers never need fewer; other layers may, if neurons are not placed in the order of their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from spikebp_plugins.network.arithmetic import (
    LARGEST_PAYLOAD,
    STATE_BITS,
    WEIGHT_BITS,
)
from spikebp_plugins.network.connections import Connection
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.learning_rule import LARGEST_TRACE
from spikebp_plugins.simulation.core_limits import CoreLimits
from spikebp_plugins.simulation.placement import IncomingSynapses, Integers, Placement, placed

#: Bytes of a state of a neuron, of a weight, and of a count that synapses learn with.
STATE_BYTES: Final = STATE_BITS // 8
WEIGHT_BYTES: Final = WEIGHT_BITS // 8
TRACE_BYTES: Final = (LARGEST_TRACE.bit_length() + 1) // 8


@dataclass(frozen=True)
class LayerNeeds:
    """The neurons, synapses, memory and cores that one layer takes of a chip.

    Attributes
    ----------
    layer : int
        The layer.
    neurons : int
        Its neurons.
    synapses : int
        Synapses that lead to them, from the layer below and, for errors, from the layer above.
    fan_in, fan_out : int
        The most synapses that lead to one of its neurons, and that lead from one to other layers.
    axons_in : int
        Units that send to the layer; if it is dense, to each of its cores.
    axons_out : int or None
        Lines that leave the layer: one from each neuron to each core that it sends to. None if a
        neighbouring layer does not fit.
    largest_message : int or None
        The most spikes or errors of one sign that a unit sends in a step: as observed if samples
        were shown, otherwise as the definition allows. None means no limit.
    state_memory, synapse_memory, learning_memory : int
        Bytes for the states of neurons, for weights, and for the counts that synapses learn with:
        a trace of each axon, on every core that it reaches, and a third factor of each neuron. If
        the layer does not fit, those of one core.
    cores : int or None
        Cores that the layer takes; None if one of its neurons fits on no core.
    """

    layer: int
    neurons: int
    synapses: int
    fan_in: int
    fan_out: int
    axons_in: int
    axons_out: int | None
    largest_message: int | None
    state_memory: int
    synapse_memory: int
    learning_memory: int
    cores: int | None

    @property
    def memory(self) -> int:
        """The sum of all bytes."""
        return self.state_memory + self.synapse_memory + self.learning_memory


@dataclass(frozen=True, eq=False)
class _LayerMemory:
    """The memory of a layer: of its neurons, and of each core for the units it receives from."""

    states: int
    factors: int
    incoming: list[IncomingSynapses]
    fan_in: Integers
    fan_out: Integers

    @property
    def synapses(self) -> int:
        """Synapses that lead to the layer."""
        return sum(part.connection.n_synapses for part in self.incoming)

    @property
    def axons_in(self) -> int:
        """Units that send to the layer."""
        return sum(part.n_axons for part in self.incoming)

    @property
    def of_neurons(self) -> Integers:
        """Bytes of each neuron and its synapses."""
        return self.states + self.factors + WEIGHT_BYTES * self.fan_in

    @property
    def most_alone(self) -> int:
        """Bytes that a core needs for one neuron alone, the one that needs most."""
        traces = (part.trace * part.fan_in for part in self.incoming)
        return int(sum(traces, self.of_neurons).max())

    def placed(self, core: CoreLimits) -> Placement | None:
        """Return the placement of the layer; None if a core cannot hold each neuron alone."""
        if self.most_alone > core.memory:
            return None
        if core.axons is not None and self.fan_in.max() > core.axons:
            return None
        return placed(self.of_neurons, self.incoming, core)


def needs_of_layers(
    net: Definition, core: CoreLimits, largest_messages: Mapping[int, int]
) -> tuple[LayerNeeds, ...]:
    """Return the needs of layers 0 to L on a chip.

    Parameters
    ----------
    net : Definition
        The definition.
    core : CoreLimits
        The limits of a core.
    largest_messages : mapping of int to int
        The largest observed message, by layer; empty if no samples were shown.
    """
    parts = [_part(net, l) for l in range(net.n_layers + 1)]
    placements = [part.placed(core) for part in parts]
    needs = []
    for l, (part, placement) in enumerate(zip(parts, placements, strict=True)):
        n, axons = net.layer_sizes[l], [group.n_axons for group in part.incoming]
        if placement is not None:
            axons = list(placement.axons)
        traces = (a.trace * times for a, times in zip(part.incoming, axons, strict=True))
        needs.append(
            LayerNeeds(
                layer=l,
                neurons=n,
                synapses=part.synapses,
                fan_in=int(part.fan_in.max()),
                fan_out=int(part.fan_out.max()),
                axons_in=part.axons_in,
                axons_out=_axons_out(l, placements),
                largest_message=largest_messages.get(l, _largest_message(net)),
                state_memory=n * part.states,
                synapse_memory=part.synapses * WEIGHT_BYTES,
                learning_memory=n * part.factors + sum(traces),
                cores=None if placement is None else placement.cores,
            )
        )
    return tuple(needs)


def _axons_out(l: int, placements: Sequence[Placement | None]) -> int | None:
    """Return the lines from the neurons of a layer to the cores that receive from them."""
    lines = 0
    # Synapses from below are the first group of a layer, those from above the second.
    for neighbour, group in ((l + 1, 0), (l - 1, 1)):
        if 0 < neighbour < len(placements):
            if (placement := placements[neighbour]) is None:
                return None
            lines += placement.axons[group]
    return lines


def why_no_fit(need: LayerNeeds, net: Definition, core: CoreLimits) -> str | None:
    """Return why a layer does not fit on cores, or None if it does."""
    if core.axons is not None and need.fan_in > core.axons:
        return f"receives from {need.fan_in:,} units, and a core from {core.axons:,}"
    if need.cores is None:
        least = _part(net, need.layer).most_alone
        return f"needs {least:,} bytes for one neuron alone, and a core has {core.memory:,}"
    if need.largest_message is not None:
        bits = need.largest_message.bit_length() + 1
        if bits > core.message_bits:
            return f"sends messages of {bits} bits, and a message has {core.message_bits}"
    return None


def _part(net: Definition, l: int) -> _LayerMemory:
    L, n = net.n_layers, net.layer_sizes[l]
    incoming, sent = [], []
    if l > 0:
        trace = STATE_BYTES if net.presynaptic == "drive" else TRACE_BYTES
        up = net.connections[l - 1]
        incoming.append(IncomingSynapses(up, True, trace if _learns(up) else 0))
        if l > 1:
            sent.append(IncomingSynapses(up, False, 0))
    if l < L:
        down = net.connections[l]
        sent.append(IncomingSynapses(down, True, 0))
        if l > 0:
            # The transposed copy learns too: with the errors that arrive, and the layer's counts.
            learns = net.feedback == "transpose" and _learns(down)
            incoming.append(IncomingSynapses(down, False, TRACE_BYTES if learns else 0))
    nothing = np.zeros(n, np.int64)
    return _LayerMemory(
        # Layer 0 has a potential. Above it there is the summed drive, and a second potential, for
        # errors or for the target.
        states=STATE_BYTES * (1 if l == 0 else 3),
        factors=TRACE_BYTES * sum(part.trace > 0 for part in incoming),
        incoming=incoming,
        fan_in=sum((part.fan_in for part in incoming), nothing),
        fan_out=sum((part.fan_out for part in sent), nothing),
    )


def _learns(connection: Connection) -> bool:
    return connection.constant_weight is None


def _largest_message(net: Definition) -> int | None:
    if net.spikes == "binary":
        return 1
    return LARGEST_PAYLOAD if net.arithmetic == "loihi2" else None
