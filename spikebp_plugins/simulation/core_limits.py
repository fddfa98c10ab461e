"""What the layers of a network take of the cores of a chip.

A core holds neurons and all synapses that lead to them: those from the layer below, and those
through which errors come from the layer above. Every number has the width that it has with
``arithmetic="loihi2"``. Tables of addresses, programs and spare room are not counted, since how
much of them a chip needs is not public: fewer cores than counted here are not enough, and more may
be needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from spikebp_plugins.common.errors import integer
from spikebp_plugins.network.arithmetic import (
    LARGEST_PAYLOAD,
    LARGEST_TRACE,
    STATE_BITS,
    WEIGHT_BITS,
)
from spikebp_plugins.network.fields import Definition

#: Bytes of a state of a neuron, of a weight, and of a count that synapses learn with.
STATE_BYTES: Final = STATE_BITS // 8
WEIGHT_BYTES: Final = WEIGHT_BITS // 8
TRACE_BYTES: Final = (LARGEST_TRACE.bit_length() + 1) // 8


@dataclass(frozen=True)
class CoreLimits:
    """What a core of a chip holds, and how many cores there are.

    The defaults are those of Loihi 2: Intel's technology brief "Taking Neuromorphic Computing to
    the Next Level with Loihi 2" (2021) states 128 cores on a chip, 192 KB of memory in each, which
    can be divided as one likes, up to 1 million neurons on a chip, which is 8,192 on a core, and
    payloads of up to 32 bits. Axons are not limited unless a number is given.

    Parameters
    ----------
    neurons : int, default=8192
        Neurons of a core.
    memory : int, default=196608
        Bytes of a core for states, weights and learning.
    message_bits : int, default=32
        Bits of the payload of a message, which is a signed integer.
    axons : int or None, default=None
        Units from which a core can receive; None is any number.
    cores : int, default=128
        Cores of a chip.

    Raises
    ------
    ValueError
        If a limit is no positive integer.
    """

    neurons: int = 8_192
    memory: int = 192 * 1024
    message_bits: int = 32
    axons: int | None = None
    cores: int = 128

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.default is not None:
                object.__setattr__(self, field.name, integer(field.name, value, 1))


@dataclass(frozen=True)
class LayerNeeds:
    """What one layer takes of a chip.

    Attributes
    ----------
    layer : int
        The layer.
    neurons : int
        Its neurons.
    synapses : int
        Synapses that lead to them, from the layer below and, for errors, from the layer above.
    fan_in, fan_out : int
        Synapses that lead to one of its neurons, and that lead from it to other layers.
    axons_in : int
        Units that send to the layer, and so to each of its cores.
    axons_out : int or None
        Lines that leave the layer: one from each neuron to each core that it sends to. None if a
        layer beside it does not fit.
    largest_message : int or None
        The most spikes or errors of one sign that a unit sends in a step: as seen, if samples were
        shown, otherwise as the definition allows. None is any number.
    state_memory, synapse_memory, learning_memory : int
        Bytes for the states of neurons, for weights, and for the counts that synapses learn with:
        a trace of each axon, on every core, and a third factor of each neuron. If the layer does
        not fit, those of one core.
    cores : int or None
        Cores that the layer takes; None if not even one of its neurons fits on a core.
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
        """The bytes in all."""
        return self.state_memory + self.synapse_memory + self.learning_memory


@dataclass(frozen=True)
class _Part:
    """The memory of a layer: of each neuron, and of each core whatever its neurons."""

    neurons: int
    synapses: int
    states: int
    factors: int
    fan_in: int
    axons_in: int
    traces: int

    @property
    def of_neuron(self) -> int:
        """Bytes of one neuron and its synapses."""
        return self.states + self.factors + WEIGHT_BYTES * self.fan_in

    def cores(self, core: CoreLimits) -> int | None:
        """Return how many cores the layer takes; None if none can hold a neuron of it."""
        if core.axons is not None and self.axons_in > core.axons:
            return None
        on_a_core = min(core.neurons, (core.memory - self.traces) // self.of_neuron)
        return None if on_a_core < 1 else -(-self.neurons // on_a_core)


def needs_of_layers(
    net: Definition, core: CoreLimits, seen: Mapping[int, int]
) -> tuple[LayerNeeds, ...]:
    """Return what each layer takes.

    Parameters
    ----------
    net : Definition
        The definition.
    core : CoreLimits
        The limits of a core.
    seen : mapping of int to int
        The largest message that was seen, by layer; empty if no samples were shown.
    """
    L = net.n_layers
    parts = [_part(net, l) for l in range(L + 1)]
    cores = [part.cores(core) for part in parts]
    needs = []
    for l, part in enumerate(parts):
        # Spikes go up, errors down to layer 1.
        targets = [beside for beside in (l - 1, l + 1) if 0 < beside <= L]
        reached = [cores[beside] for beside in targets]
        axons_out = None if None in reached else part.neurons * sum(filter(None, reached))
        needs.append(
            LayerNeeds(
                layer=l,
                neurons=part.neurons,
                synapses=part.synapses,
                fan_in=part.fan_in,
                fan_out=_fan_out(net, l),
                axons_in=part.axons_in,
                axons_out=axons_out,
                largest_message=seen.get(l, _largest_message(net)),
                state_memory=part.neurons * part.states,
                synapse_memory=part.synapses * WEIGHT_BYTES,
                learning_memory=part.neurons * part.factors + (cores[l] or 1) * part.traces,
                cores=cores[l],
            )
        )
    return tuple(needs)


def why_no_fit(need: LayerNeeds, net: Definition, core: CoreLimits) -> str | None:
    """Return why a layer does not fit on cores, or None if it does."""
    part = _part(net, need.layer)
    if core.axons is not None and part.axons_in > core.axons:
        return f"receives from {part.axons_in:,} units, and a core from {core.axons:,}"
    if need.cores is None:
        least = part.of_neuron + part.traces
        return f"needs {least:,} bytes for one neuron alone, and a core has {core.memory:,}"
    if need.largest_message is not None:
        bits = need.largest_message.bit_length() + 1
        if bits > core.message_bits:
            return f"sends messages of {bits} bits, and a message has {core.message_bits}"
    return None


def _part(net: Definition, l: int) -> _Part:
    up = net.connections[l - 1] if l > 0 else None
    # Errors come down to layer 1; layer 0 has none.
    down = net.connections[l] if 0 < l < net.n_layers else None
    fan_in = synapses = axons_in = traces = factors = 0
    if up is not None:
        fan_in += up.n_synapses // up.n_above
        synapses += up.n_synapses
        axons_in += up.n_below
        traces += up.n_below * (STATE_BYTES if net.presynaptic == "drive" else TRACE_BYTES)
        factors += TRACE_BYTES
    if down is not None:
        fan_in += down.n_synapses // down.n_below
        synapses += down.n_synapses
        axons_in += down.n_above
        if net.feedback == "transpose":
            # The transposed copy learns too: with the errors that arrive, and the layer's counts.
            traces += down.n_above * TRACE_BYTES
            factors += TRACE_BYTES
    # Layer 0 has a potential. Above it there is the summed drive, and a second potential, for
    # errors or for the target.
    states = STATE_BYTES * (1 if l == 0 else 3)
    return _Part(net.layer_sizes[l], synapses, states, factors, fan_in, axons_in, traces)


def _fan_out(net: Definition, l: int) -> int:
    L, connections = net.n_layers, net.connections
    spikes = connections[l].n_synapses // connections[l].n_below if l < L else 0
    errors = connections[l - 1].n_synapses // connections[l - 1].n_above if l > 1 else 0
    return spikes + errors


def _largest_message(net: Definition) -> int | None:
    if net.spikes == "binary":
        return 1
    return LARGEST_PAYLOAD if net.arithmetic == "loihi2" else None
