"""The definitions that the process models cannot run."""

from __future__ import annotations

from typing import Final

from spikebp_lava.kinds import KINDS, why_no_synapses
from spikebp_lava.memory import FIXED, FLOATING
from spikebp_plugins.backends.base import refused_kind
from spikebp_plugins.network.connections import refused_connections
from spikebp_plugins.network.fields import Definition

#: What the processes know of fields whose values not every back end knows. Connections take no
#: step, or all take one.
CHOICES: Final = {
    "timing": ("immediate", "pipelined"),
    "arithmetic": ("fixed", "float64", "float32"),
    "presynaptic": ("counts", "drive"),
    "backward_init": ("carry", "zero", "uniform"),
}

#: The most units whose weights of 9 bits times payloads of 9 bits fit into Lava's 32-bit sums.
LARGEST_FIXED_LAYER: Final = 2**31 // (256 * 254)


def why_unsupported(
    net: Definition, tag: str, *, hierarchical: bool, whole_samples: bool, resets: bool = False
) -> str | None:
    """Return why models of a tag cannot run a definition, or None if they can."""
    if (reason := refused_kind(net, CHOICES, KINDS)) is not None:
        return reason
    if tag == FIXED and net.arithmetic != "fixed":
        return (
            f"fixed_pt computes with integers, not with arithmetic={net.arithmetic!r}; "
            "use tag='floating_pt'"
        )
    if hierarchical and net.presynaptic == "drive":
        return (
            "the process of a layer receives the spikes of the layer below, not its drive, with "
            "which presynaptic='drive' teaches; use implementation='leaf'"
        )
    if hierarchical and whole_samples:
        return "layers exchange spikes at every step, which granularity='sample' does not show"
    if net.timing == "pipelined" and whole_samples and resets:
        return (
            "with timing='pipelined' and granularity='sample' a message has the way through the "
            "network in it, so a sample is one message, and reset_in is to be left unconnected"
        )
    return None


def tag_of_standard_parts(net: Definition) -> str:
    """Return the tag that synapses of Lava's own need for the arithmetic of a definition."""
    return FIXED if net.arithmetic == "loihi2" else FLOATING


def why_not_of_standard_parts(net: Definition, tag: str) -> str | None:
    """Return why synapses of Lava's own cannot make up a network, or None if they can."""
    reason = refused_connections(net.connections, KINDS) or why_no_synapses(net)
    if reason is not None:
        return reason
    if net.timing != "pipelined":
        return (
            "a spike takes a step through synapses of Lava's own: they know timing='pipelined', "
            f"not timing={net.timing!r}"
        )
    if net.presynaptic != "counts":
        return (
            "the trace of a synapse counts spikes, and does not know the drive, with which "
            f"presynaptic={net.presynaptic!r} teaches"
        )
    if net.update == "normalized":
        return (
            "a learning rule of Lava's has one rate for all samples, which update='normalized' "
            "divides by what the sample has sent"
        )
    if tag == FIXED and net.arithmetic != "loihi2":
        return (
            "synapses of Lava's own hold integers of 9 bits in fixed_pt: they know "
            f"arithmetic='loihi2', not arithmetic={net.arithmetic!r}"
        )
    if tag == FIXED and max(net.layer_sizes) > LARGEST_FIXED_LAYER:
        return (
            f"sums of 32 bits hold the spikes of {LARGEST_FIXED_LAYER} units in fixed_pt, not "
            f"those of {max(net.layer_sizes)}"
        )
    if tag == FLOATING and net.arithmetic in ("float32", "loihi2"):
        return (
            "synapses of Lava's own compute with doubles in floating_pt, and round nothing as "
            f"arithmetic={net.arithmetic!r} does"
        )
    return None
