"""The network of the paper in its own order, which handles each spike when it comes.

It is another network than `SpikingMLP`, of equal statistics: its sums are in floating point, and
each has one order, in which the program that the authors published computes it. Runs of that
program are repeated in every bit. docs/event_order.md states the order.
"""

from spikebp_plugins.event_order.checkpoint import EventCheckpoint
from spikebp_plugins.event_order.definition import EventMLP
from spikebp_plugins.event_order.network import EventNetwork, EventRecord

__all__ = ["EventCheckpoint", "EventMLP", "EventNetwork", "EventRecord"]
