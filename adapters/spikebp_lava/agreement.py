"""The agreement of a network with the sources of its samples and the sinks of its scores."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final, NamedTuple

from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.network.fields import Definition

GRANULARITIES: Final = ("step", "sample")


class Exchange(NamedTuple):
    """The properties of a definition on which the messages of samples and scores depend."""

    n_steps: int
    timing: str
    n_layers: int
    fraction_bits: int | None
    granularity: str


def exchange_of(net: Definition, granularity: str = "step") -> Exchange:
    """Return the exchange of processes that are made with a definition and a granularity."""
    granularity = choice("granularity", granularity, GRANULARITIES)
    return Exchange(net.n_steps, net.timing, net.n_layers, net.fraction_bits, granularity)


def require_agreement(network: Any) -> None:
    """Check the sources and sinks that a network of a compiled graph is connected with directly.

    Raises
    ------
    ValueError
        If one was made with another definition or granularity; the message names the difference.
    """
    senders = (port.get_src_ports() for port in network.in_ports.members)
    receivers = (port.get_dst_ports() for port in network.out_ports.members)
    for port in chain(*senders, *receivers):
        _require_equal(port.process, network.exchange)


def _require_equal(process: Any, expected: Exchange) -> None:
    exchange = getattr(process, "exchange_with_network", expected)
    for name, wanted, got in zip(Exchange._fields, expected, exchange, strict=True):
        if got != wanted:
            what = f"{name} of {type(process).__name__} {process.name!r}"
            raise wrong_argument(what, f"that of the network, {wanted!r}", repr(got))
