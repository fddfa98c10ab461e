"""Networks of dense connections that have the other fields of a definition."""

from __future__ import annotations

from typing import Any

from spikebp_plugins import SpikingMLP
from spikebp_plugins.network.fields import Definition


def dense_network(net: Definition, *layer_sizes: int, **changes: Any) -> SpikingMLP:
    """Return a network of dense connections on the grid of another one, with its other fields.

    Parameters
    ----------
    net : Definition
        The definition.
    *layer_sizes : int
        Units in each layer.
    **changes
        Fields that differ.
    """
    values = net.field_values() | {"layer_sizes": layer_sizes} | changes
    return SpikingMLP(**{name: values[name] for name in SpikingMLP.field_names()})
