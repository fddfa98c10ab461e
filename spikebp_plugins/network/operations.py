"""Counting what a network did: spikes, and the additions of weights that they cost."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from spikebp_plugins.network.connections import total
from spikebp_plugins.network.fields import Definition


@dataclass(frozen=True)
class Operations:
    r"""Synaptic operations: additions of one weight for one spike.

    A graded count of k spikes is k operations for each weight it meets (NeuroBench's effective
    accumulates).

    Attributes
    ----------
    forward : int
        :math:`\sum |k_{l-1}| n_l`.
    backward : int
        :math:`\sum |e_l| n_{l-1}` for :math:`l \ge 2`.
    update : int
        :math:`\sum \mathrm{nnz}(c_{l-1}) \mathrm{nnz}(e_l)`, at every step or once a sample.
    dense : int
        What a ReLU network does with the same samples: :math:`\sum n_{l-1} n_l` for the forward
        pass and, in training, as much each for the backward pass and the update.
    samples : int
        Samples shown, in training and prediction.
    spikes : int
        Spikes of all layers, the input's included.
    errors : int
        Error spikes of layers 1 to L after the gate.
    """

    forward: int = 0
    backward: int = 0
    update: int = 0
    dense: int = 0
    samples: int = 0
    spikes: int = 0
    errors: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(*map(operator.add, _counts(self), _counts(other)))

    def __sub__(self, other: Operations) -> Operations:
        return Operations(*map(operator.sub, _counts(self), _counts(other)))

    @property
    def total(self) -> int:
        """Forward, backward and update operations together."""
        return self.forward + self.backward + self.update

    def to_dict(self) -> dict[str, int]:
        """Return the fields as a dictionary."""
        return asdict(self)


_counts = operator.attrgetter(*(field.name for field in fields(Operations)))


def count_operations(
    net: Definition,
    spikes: Sequence[Any],
    errors: Sequence[Any],
    update: int,
    *,
    shown: int,
    trained: int,
) -> Operations:
    r"""Return the operations of some samples, given the totals of their spikes and errors.

    Parameters
    ----------
    net : Definition
        The definition.
    spikes : sequence of length L + 1
        :math:`\sum |k_l|` for l = 0..L: the total of a layer, or an array of one for each unit.
    errors : sequence of length L + 1
        :math:`\sum |e_l|` for l = 0..L, likewise; layer 0 has none.
    update : int
        Weights changed, each counted once for every step (or sample) that changed it.
    shown, trained : int
        How many samples were shown, and how many of these were training samples.
    """
    connections = net.connections
    forward = zip(connections, spikes[:-1], strict=True)
    backward = zip(connections[1:], errors[2:], strict=True)
    return operations_of(
        net,
        forward=sum(connection.forward_operations(k) for connection, k in forward),
        backward=sum(connection.backward_operations(e) for connection, e in backward),
        update=update,
        spikes=sum(map(total, spikes)),
        errors=sum(map(total, errors)),
        shown=shown,
        trained=trained,
    )


def operations_of(
    net: Definition,
    *,
    forward: int = 0,
    backward: int = 0,
    update: int = 0,
    spikes: int = 0,
    errors: int = 0,
    shown: int,
    trained: int,
) -> Operations:
    """Return the operations of some samples, given all but what a ReLU network does with them."""
    dense_pass = sum(connection.n_synapses for connection in net.connections)
    return Operations(
        forward=int(forward),
        backward=int(backward),
        update=int(update),
        dense=dense_pass * (shown + 2 * trained),
        samples=shown,
        spikes=int(spikes),
        errors=int(errors),
    )
