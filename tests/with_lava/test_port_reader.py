"""What arrives at the ports of a network: what is refused, and in which steps it is looked at."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_lava.memory import SharedNetwork
from spikebp_lava.port_reader import PortReader
from spikebp_plugins.network.delays import steps_of_sample
from tests.with_lava.graphs import NET

COUNTS_IN = NET.replace(input_coding="spikes", input_scale=1.0)
PIPELINED = NET.replace(timing="pipelined")
L, T = PIPELINED.n_layers, PIPELINED.n_steps
IN_ALL = steps_of_sample(PIPELINED, T)


class Ports:
    """Ports of a process model, of which some have messages."""

    def __init__(self, net=NET, tag="floating_pt", **messages):
        self.kind = tag
        for port, n in (("spikes_in", 9), ("label_in", 1), ("target_in", 3), ("reset_in", 1)):
            setattr(self, port, self._port(n, messages.get(port)))
        self.reader = PortReader(SharedNetwork(net, None), self)

    def _port(self, n, messages):
        rows = iter(np.zeros(IN_ALL) if messages is None else messages)
        connected = [] if messages is None else [None]
        return SimpleNamespace(csp_ports=connected, recv=lambda: np.full(n, next(rows)))

    def receive(self, n_steps=1):
        return [self.reader.receive() for _ in range(n_steps)]


@pytest.mark.parametrize(
    ("net", "tag", "port", "value", "message"),
    [
        (NET, "floating_pt", "spikes_in", np.nan, "spikes_in must be finite; got nan"),
        (NET, "floating_pt", "target_in", np.inf, "target_in must be finite; got inf"),
        (NET, "floating_pt", "label_in", 1.5, "label_in must be whole numbers; got 1.5"),
        (NET, "floating_pt", "label_in", np.nan, "label_in must be whole numbers; got nan"),
        (NET, "floating_pt", "label_in", 3, "label_in must be below 3; got 3"),
        (NET, "fixed_pt", "spikes_in", 0.5, "spikes_in must be whole numbers in fixed_pt; got 0.5"),
        (NET, "fixed_pt", "target_in", 0.5, "target_in must be whole numbers in fixed_pt; got 0.5"),
        (
            COUNTS_IN,
            "floating_pt",
            "spikes_in",
            0.5,
            "spikes_in must be whole numbers with input_coding='spikes'; got 0.5",
        ),
        (
            COUNTS_IN.replace(spikes="binary"),
            "floating_pt",
            "spikes_in",
            2,
            "spikes_in must be spike counts -1, 0 or 1 with spikes='binary'; got 2",
        ),
    ],
)
def test_values_that_are_no_message_are_refused(net, tag, port, value, message):
    with pytest.raises(ValueError, match=message):
        Ports(net, tag, **{port: [value]}).receive()


def test_labels_or_targets_teach_and_not_both():
    with pytest.raises(ValueError, match="connect label_in or target_in, not both"):
        Ports(label_in=[1], target_in=[1]).receive()


def test_targets_are_grid_units_in_fixed_pt():
    for tag, unit in (("floating_pt", 1), ("fixed_pt", 2.0**-NET.fraction_bits)):
        (message,) = Ports(tag=tag, target_in=[3]).receive()
        assert message.y.tolist() == [3 * unit] * 3


def in_steps(first, value, other):
    """Return a value in T steps of a sample, and another one before and after them."""
    steps = np.full(IN_ALL, other)
    steps[first : first + T] = value
    return steps


def test_nobody_looks_at_what_arrives_while_a_layer_is_idle():
    """Not a number is no input, and there is no class 99."""
    messages = {"spikes_in": in_steps(0, 1.0, np.nan), "label_in": in_steps(L, 2, 99)}
    seen = Ports(PIPELINED, **messages).receive(IN_ALL)
    assert [message.x[0] for message in seen] == in_steps(0, 1, 0).tolist()
    assert [message.y is not None and message.y[2] == 1 for message in seen[L : L + T]] == [
        True
    ] * T
    assert all(message.context.learns for message in seen[L:])
    assert [message.context.closes for message in seen] == [False] * (IN_ALL - 1) + [True]


@pytest.mark.parametrize(("first", "change"), [(-1, "comes"), (0, "goes")])
def test_a_label_that_changes_its_mind_is_refused(first, change):
    labels = np.full(IN_ALL, first)
    labels[L + 2 :] = -1 - first
    ports = Ports(PIPELINED, label_in=labels)
    ports.receive(L + 2)
    message = (
        "a label must be known at all steps of a sample or at none with timing='pipelined'; "
        f"got one that {change} at step {L + 3}"
    )
    with pytest.raises(ValueError, match=message):
        ports.receive()


def test_a_reset_of_an_input_that_has_ended_is_refused():
    resets = np.zeros(IN_ALL)
    resets[[T - 1, T]] = 1
    ports = Ports(PIPELINED, reset_in=resets)
    ports.receive(T)
    message = "reset_in must be 0 from the end of a sample's input to the next sample"
    with pytest.raises(ValueError, match=message):
        ports.receive()
