"""The definitions that the process models cannot run."""

from __future__ import annotations

from typing import Final

from spikebp_lava.memory import FIXED
from spikebp_plugins import SpikingMLP
from spikebp_plugins.backends.base import refused_kind

#: The timings whose delays the processes follow: all connections take no step, or all take one.
TIMINGS: Final = ("immediate", "pipelined")


def why_unsupported(
    net: SpikingMLP, tag: str, *, hierarchical: bool, whole_samples: bool, resets: bool = False
) -> str | None:
    """Return why models of a tag cannot run a definition, or None if they can."""
    if (reason := refused_kind(net, TIMINGS)) is not None:
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
