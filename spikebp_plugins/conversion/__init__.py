"""Conversion from and to conventional ReLU networks.

A source becomes :class:`AffineLayer` objects (``sources``), whose scale can be chosen for spikes
(``balance``) and whose biases become weights of units that are always on (``bias``), in images
those of a channel of them (``bias_channel``). ``back`` has the way back.
"""

from spikebp_plugins.conversion.back import to_relu, to_torch
from spikebp_plugins.conversion.bias import with_bias_input
from spikebp_plugins.conversion.convert import from_relu

__all__ = ["from_relu", "to_relu", "to_torch", "with_bias_input"]
