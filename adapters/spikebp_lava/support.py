"""The reasons why process models cannot run a definition."""

from __future__ import annotations

from typing import Final

from spikebp_lava.memory import FIXED, FLOATING
from spikebp_plugins.backends.base import refused_kind
from spikebp_plugins.engine.step_engine import StepEngine
from spikebp_plugins.network.connections import (
    AveragePooling,
    Connection,
    Convolution,
    DenseConnection,
    SparseConnection,
)
from spikebp_plugins.network.fields import Definition

#: The values that the processes run, of fields whose values not every back end runs. Connections
#: take no step, or all take one.
CHOICES: Final = {"timing": ("immediate", "pipelined")}

#: The same for Lava's own synapses; the timing has a reason of its own below.
CHOICES_OF_STANDARD_PARTS: Final = {**CHOICES, "arithmetic": ("fixed", "loihi2")}

#: Why connections are not made of standard parts, of the kinds that Lava seems to have.
NO_SYNAPSES: Final[dict[type[Connection], str]] = {
    Convolution: (
        "the kernel of Lava's Conv does not learn, and Lava's synapses that learn share no weight"
    ),
    AveragePooling: "they are not built on Lava's Conv",
    SparseConnection: "they are not built on Lava's LearningSparse",
}

#: The most units whose weights of 9 bits times payloads of 9 bits fit into Lava's 32-bit sums.
LARGEST_FIXED_LAYER: Final = 2**31 // (256 * 254)


def why_unsupported(net: Definition) -> str | None:
    """Return why a process cannot run a definition by the engine, or None if it can."""
    return refused_kind(net, CHOICES, StepEngine.connections)


def tag_of_standard_parts(net: Definition) -> str:
    """Return the tag that synapses of Lava's own need for the arithmetic of a definition."""
    return FIXED if net.arithmetic == "loihi2" else FLOATING


def why_no_standard_graph(net: Definition, tag: str, granularity: str) -> str | None:
    """Return why the back end cannot run a definition with standard parts, or None if it can."""
    if granularity == "sample":
        step = "standard parts take a step of Lava for each step"
        reason: str | None = f"{step}, not one for granularity='sample'"
    else:
        reason = why_not_of_standard_parts(net)
    if tag == FIXED:
        at_random = (
            "with standard parts fixed_pt rounds weights at random, with numbers of Lava's own, "
            "and so is no network of the definition"
        )
        advice = "use tag='floating_pt', or StandardMLP"
        # A user who follows the advice must not meet another reason then.
        return f"{at_random}; {advice}" if reason is None else f"{at_random}; and {reason}"
    return reason


def why_not_of_standard_parts(net: Definition) -> str | None:
    """Return why synapses of Lava's own cannot make up a network, or None if they can."""
    known: tuple[type[Connection], ...] = (DenseConnection, *NO_SYNAPSES)
    if (reason := refused_kind(net, CHOICES_OF_STANDARD_PARTS, known)) is not None:
        return reason
    for connection in net.connections:
        if (reason := NO_SYNAPSES.get(type(connection))) is not None:
            return f"of standard parts there are no {connection.kind} connections: {reason}"
    if net.timing != "pipelined":
        return (
            "a spike takes a step through synapses of Lava's own: they know timing='pipelined', "
            f"not timing={net.timing!r}"
        )
    if net.learning_rule.divides_rate:
        return (
            "a learning rule of Lava's has one rate for all samples, which update='normalized' "
            "divides by what the sample has sent"
        )
    if net.bounded:
        return (
            "synapses of Lava's own learn from every update, also where bounded=True leaves it out"
            "; they know bounded=False"
        )
    if tag_of_standard_parts(net) == FIXED and max(net.layer_sizes) > LARGEST_FIXED_LAYER:
        return (
            f"sums of 32 bits hold the spikes of {LARGEST_FIXED_LAYER} units in fixed_pt, not "
            f"those of {max(net.layer_sizes)}"
        )
    return None
