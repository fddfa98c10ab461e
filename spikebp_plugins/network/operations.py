"""Counts of the spikes, messages and operations of a network."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from spikebp_plugins.network.connections import total
from spikebp_plugins.network.fields import Definition

if TYPE_CHECKING:
    from typing_extensions import Self


class _Counts:
    """Counts of one kind, added and subtracted field by field."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*map(operator.add, vars(self).values(), vars(other).values()))

    def __sub__(self, other: Self) -> Self:
        return type(self)(*map(operator.sub, vars(self).values(), vars(other).values()))


@dataclass(frozen=True)
class Operations(_Counts):
    r"""Synaptic operations: additions of one weight for one spike, and products for a message.

    A graded count of k spikes is k additions for each weight it meets, as on hardware whose spikes
    are single. It is one message, and one product for each weight, where a spike carries a number.

    Attributes
    ----------
    forward : int
        :math:`\sum |k_{l-1}| n_l`.
    backward : int
        :math:`\sum |e_l| n_{l-1}` for :math:`l \ge 2`.
    update : int
        :math:`\sum \mathrm{nnz}(c_{l-1}) \mathrm{nnz}(e_l)`, at every step or once a sample.
    dense : int
        The operations of a ReLU network for the same samples: :math:`\sum n_{l-1} n_l` for the
        forward pass and, in training, as much each for the backward pass and the update.
    samples : int
        Samples shown, in training and prediction.
    spikes : int
        Spikes of all layers, the input's included.
    errors : int
        Error spikes of layers 1 to L after the gate.
    messages : int
        Units that send spikes in a step, or errors, one for each: :math:`\sum \mathrm{nnz}(k_l) +
        \mathrm{nnz}(e_l)`.
    multiply_adds : int
        Products of a number and a weight that messages cause: :math:`\sum \mathrm{nnz}(k_{l-1})
        n_l`, :math:`\sum \mathrm{nnz}(e_l) n_{l-1}` for :math:`l \ge 2`, and `update`.
    """

    forward: int = 0
    backward: int = 0
    update: int = 0
    dense: int = 0
    samples: int = 0
    spikes: int = 0
    errors: int = 0
    messages: int = 0
    multiply_adds: int = 0

    @property
    def total(self) -> int:
        """Forward, backward and update operations together: additions for each spike."""
        return self.forward + self.backward + self.update

    def to_dict(self) -> dict[str, int]:
        """Return the fields as a dictionary."""
        return asdict(self)


@dataclass(frozen=True)
class Work(_Counts):
    """The work that a back end has done for some samples; `Operations` is what the rules ask for.

    The work may be less: consecutive samples of a stream share most of their spikes, and a back
    end need not read again what did not change.

    Attributes
    ----------
    rows_read : int
        Rows of weights that were read: the row of a unit below for its spikes, of a unit above
        for its errors. Where synapses share weights, one for each message.
    multiply_adds : int
        Products that were added to a sum or to a weight.
    clocks : int
        Clocks of hardware, where a back end is simulated clock by clock.
    """

    rows_read: int = 0
    multiply_adds: int = 0
    clocks: int = 0


class MessageTotals(NamedTuple):
    """Totals of the spikes, errors and messages that each layer has sent, by layer or by unit.

    Attributes
    ----------
    spikes : sequence of length L + 1
        Sums of the magnitudes of k_l, for l = 0..L: an int, or an array of shape (n_units,).
    errors : sequence of length L + 1
        Sums of the magnitudes of e_l, for l = 0..L; layer 0 has none.
    messages, error_messages : sequence of length L + 1
        The numbers of k and of e that were not 0.
    """

    spikes: Sequence[Any]
    errors: Sequence[Any]
    messages: Sequence[Any]
    error_messages: Sequence[Any]


def count_operations(
    net: Definition, sent: MessageTotals, update: int, *, shown: int, trained: int
) -> Operations:
    """Return the operations of samples, counted from the totals of what layers sent.

    Parameters
    ----------
    net : Definition
        The definition.
    sent : MessageTotals
        The totals.
    update : int
        Changes of weights, one for each weight and each step (or sample) that changed it.
    shown, trained : int
        The number of samples, and of training samples among them.
    """
    connections = net.connections

    def forward(counts: Sequence[Any]) -> int:
        pairs = zip(connections, counts[:-1], strict=True)
        return sum(connection.forward_operations(k) for connection, k in pairs)

    def backward(counts: Sequence[Any]) -> int:
        pairs = zip(connections[1:], counts[2:], strict=True)
        return sum(connection.backward_operations(e) for connection, e in pairs)

    return operations_of(
        net,
        forward=forward(sent.spikes),
        backward=backward(sent.errors),
        update=update,
        spikes=sum(map(total, sent.spikes)),
        errors=sum(map(total, sent.errors)),
        messages=sum(map(total, (*sent.messages, *sent.error_messages))),
        met=forward(sent.messages) + backward(sent.error_messages),
        shown=shown,
        trained=trained,
    )


def operations_of(
    net: Definition, *, shown: int, trained: int, update: Any = 0, met: Any = 0, **counts: Any
) -> Operations:
    """Return the operations of samples, given all counts but the operations of a ReLU network.

    `counts` are others of the fields, by their names. `messages` and the synapses `met` by them
    leave out updates.
    """
    dense_pass = sum(connection.n_synapses for connection in net.connections)
    return Operations(
        update=int(update),
        dense=dense_pass * (shown + 2 * trained),
        samples=shown,
        multiply_adds=int(met) + int(update),
        **{name: int(count) for name, count in counts.items()},
    )
