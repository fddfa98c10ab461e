"""The queues of event timing: spikes that have fired leave in the order of their potentials.

A spike of unit i is one integer: i if the spike is positive, ~i if it is negative. Its key is the
magnitude of the potential that fired it, in single precision in any arithmetic. The largest key
leaves first. Equal keys leave in the order of the binary heap of ``java.util.PriorityQueue``, so
each comparison below is strict exactly where Java's is.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .build import kernel
from .structs import Struct

#: No layer may fire this many spikes in one step. Memory for them costs nothing until it is used.
MOST_FIRED: Final = 2**20
#: No potential may reach this in magnitude: below it single precision holds halves exactly, and
#: subtracting a spike always changes it.
LARGEST_POTENTIAL: Final = 2.0**23

#: The quantities that can be out of range; `Queues.fault` holds the index of one.
FAULTS: Final = (
    "potential",
    "target potential",
    "backward potential",
    "summed drive",
    "weight",
    "spikes in one step",
)
POTENTIAL, TARGET, BACKWARD, DRIVE, WEIGHT, SPIKES = range(len(FAULTS))

HALF: Final = np.float32(0.5)
ONE: Final = np.float32(1)


class Queues(Struct):
    """One queue for each layer, and room for the spikes that have left two of them."""

    key: Any  # float32 (L+1, MOST_FIRED)
    spike: Any  # int32 (L+1, MOST_FIRED)
    size: Any  # int64 (L+1,)
    fired: Any  # int64 (L+1,): spikes of each layer in this step
    left: Any  # int32 (2, MOST_FIRED): spikes that have left queue l, in order, in row l % 2
    fault: Any  # float64 (3,): number of the quantity, layer, value


def make_queues(n_layers: int, fault: Any) -> Queues:
    """Return empty queues for layers 0 to `n_layers`."""
    layers = n_layers + 1
    return Queues(
        key=np.empty((layers, MOST_FIRED), np.float32),
        spike=np.empty((layers, MOST_FIRED), np.int32),
        size=np.zeros(layers, np.int64),
        fired=np.zeros(layers, np.int64),
        left=np.empty((2, MOST_FIRED), np.int32),
        fault=fault,
    )


@kernel
def unit_of(spike):
    """The unit that sent a spike."""
    return spike if spike >= 0 else ~spike


@kernel
def note_fault(fault, quantity, layer, value):
    """Write down which quantity went out of range, where, and its value; return False."""
    fault[0] = quantity
    fault[1] = layer
    fault[2] = value
    return False


@kernel
def offer(key, spike, size, new_key, new_spike):
    """Put a spike into a queue that holds `size`."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if key[parent] >= new_key:
            break
        key[place] = key[parent]
        spike[place] = spike[parent]
        place = parent
    key[place] = new_key
    spike[place] = new_spike


@kernel
def poll(key, spike, size):
    """Take the first spike out of a queue that holds `size`, at least one."""
    first = spike[0]
    size -= 1
    last_key, last_spike = key[size], spike[size]
    place = 0
    while place < size >> 1:
        child = 2 * place + 1
        if child + 1 < size and key[child + 1] > key[child]:
            child += 1
        if last_key >= key[child]:
            break
        key[place] = key[child]
        spike[place] = spike[child]
        place = child
    key[place] = last_key
    spike[place] = last_spike
    return first


@kernel
def next_spike(queues, layer):
    """Take the first spike out of the queue of a layer, which is not empty."""
    first = poll(queues.key[layer], queues.spike[layer], queues.size[layer])
    queues.size[layer] -= 1
    return first


@kernel
def let_go(queues, layer, n_left):
    """Append all spikes of a layer's queue to the `n_left` that have left; return the new count."""
    left = queues.left[layer % 2]
    for size in range(queues.size[layer], 0, -1):
        left[n_left] = poll(queues.key[layer], queues.spike[layer], size)
        n_left += 1
    queues.size[layer] = 0
    return n_left


@kernel
def has_room(queues, layer, quantity, v):
    """Whether a potential above the threshold may fire; if not, the fault is written down."""
    if not abs(v) < LARGEST_POTENTIAL:
        return note_fault(queues.fault, quantity, layer, v)
    # v fires at most |v| + 1/2 spikes.
    if not queues.fired[layer] + queues.size[layer] + abs(v) + 1 < MOST_FIRED:
        return note_fault(queues.fault, SPIKES, layer, MOST_FIRED)
    return True


@kernel
def fire_rectified(potential, queues, layer):
    """While v > 1/2 fire a spike with key v; False if something is out of range.

    Potentials are rounded for the comparison and for the key, and keep their own precision.
    """
    key, spike, size = queues.key[layer], queues.spike[layer], 0
    for j in range(potential.size):
        v = potential[j]
        if np.float32(v) > HALF:
            queues.size[layer] = size
            if not has_room(queues, layer, POTENTIAL, v):
                return False
            while np.float32(v) > HALF:
                offer(key, spike, size, np.float32(v), j)
                size += 1
                v -= ONE
            potential[j] = v
    queues.size[layer] = size
    queues.fired[layer] += size
    return True


@kernel
def fire_signed(potential, queues, layer, quantity):
    """While |v| > 1/2 fire a spike of v's sign with key |v|; False if something is out of range.

    Potentials are rounded to single precision, whether they fire or not.
    """
    key, spike, size = queues.key[layer], queues.spike[layer], 0
    for i in range(potential.size):
        v = np.float32(potential[i])
        if abs(v) > HALF:
            queues.size[layer] = size
            if not has_room(queues, layer, quantity, v):
                return False
            while v > HALF:
                offer(key, spike, size, v, i)
                size += 1
                v -= ONE
            while v < -HALF:
                offer(key, spike, size, -v, ~i)
                size += 1
                v += ONE
        potential[i] = v
    queues.size[layer] = size
    queues.fired[layer] += size
    return True
