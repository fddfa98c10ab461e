"""The agreement of a network with what it is connected with: sources, sinks, other networks."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from lava.magma.core.process.ports.ports import InPort, OutPort

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


def has_sender(port: Any) -> bool:
    """Return whether messages arrive at an InPort of a graph that has been compiled.

    The port of a process that contains the receiver may lead to it, and have no sender itself.
    """
    return any(isinstance(source, OutPort) for source in port.get_src_ports())


def require_no_receiver(port: Any, allowed: str) -> None:
    """Refuse that an OutPort of a compiled graph is connected; `allowed` says when it may be.

    Raises
    ------
    ValueError
        If it leads to an InPort.
    """
    for receiver in port.get_dst_ports():
        if isinstance(receiver, InPort):
            what = f"{port.name} of {_named(port.process)}"
            got = f"a connection with {receiver.name} of {_named(receiver.process)}"
            raise wrong_argument(what, f"connected {allowed}", got)


def require_agreement(network: Any, is_fixed: bool) -> None:
    """Check sources, sinks and networks that one of a compiled graph is connected with directly.

    Parameters
    ----------
    network : NetworkProcess
        The network.
    is_fixed : bool
        Whether messages are integers, some of them in units of 2^-f.

    Raises
    ------
    ValueError
        If a source or a sink was made with another definition or granularity, if a sink cannot know
        where samples end, or if what another network sends means something else here.
    """
    for port in network.in_ports.members:
        for sender in port.get_src_ports():
            _require_equal(sender.process, network.exchange, port.name == "target_in")
            if (other := _network_around(sender.process)) is not None:
                _require_steps(other, network)
                if is_fixed:
                    _require_one_unit(sender, other, port)
    resets = has_sender(network.reset_in)
    for port in network.out_ports.members:
        for receiver in port.get_dst_ports():
            _require_equal(receiver.process, network.exchange, port.name == "summed_drive_out")
            if resets and hasattr(receiver.process, "exchange_with_network"):
                allowed = "unconnected with a ScoreSink, which counts n_steps steps to a sample"
                what = f"reset_in of {_named(network)}"
                raise wrong_argument(what, allowed, _named(receiver.process))


def _named(process: Any) -> str:
    return f"{type(process).__name__} {process.name!r}"


def _network_around(process: Any) -> Any:
    """Return the network that a process is or is a part of; None if there is none."""
    while process is not None and not isinstance(getattr(process, "exchange", None), Exchange):
        process = process.parent_proc
    return process


def _require_steps(*networks: Any) -> None:
    for network in networks:
        if network.exchange.granularity != "step":
            allowed = "'step' where networks are connected with each other"
            what = f"granularity of {_named(network)}"
            raise wrong_argument(what, allowed, repr(network.exchange.granularity))


def _require_one_unit(sender: Any, sending: Any, port: Any) -> None:
    """Refuse integers in another unit than the port's; `input_scale` says that of values."""
    net = port.process.net
    sent = sending.net.fraction_bits if sender.name == "summed_drive_out" else 0
    own = {"target_in": net.fraction_bits}
    if net.input_coding == "spikes":
        own["spikes_in"] = 0
    if own.get(port.name, sent) != sent:
        wanted, got = (f"2**-{bits}" if bits else "1" for bits in (own[port.name], sent))
        allowed = f"sent numbers in units of {wanted} in fixed_pt"
        got = f"units of {got} from {sender.name} of {_named(sending)}"
        raise wrong_argument(f"{port.name} of {_named(port.process)}", allowed, got)


def _require_equal(process: Any, expected: Exchange, is_in_units: bool) -> None:
    """Refuse a source or sink of other properties, as far as a connection depends on them.

    Targets and drive are sent in units of 2^-f. How many layers there are matters to delays alone.
    """
    exchange = getattr(process, "exchange_with_network", expected)
    if not is_in_units:
        exchange = exchange._replace(fraction_bits=expected.fraction_bits)
    if exchange.timing == "immediate":
        exchange = exchange._replace(n_layers=expected.n_layers)
    for name, wanted, got in zip(Exchange._fields, expected, exchange, strict=True):
        if got != wanted:
            what = f"{name} of {_named(process)}"
            raise wrong_argument(what, f"that of the network, {wanted!r}", repr(got))
