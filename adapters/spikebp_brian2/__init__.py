"""The network as native Brian2 objects, and a back end made of them.

`SpikingMLPGroup`, which is also called `SpikingNetworkGroup`, goes into a script of yours;
``Simulator(net, backend="brian2")`` needs no script. The parts of a group are ordinary Brian2
objects. These are their variables.
"""

try:
    import brian2 as _brian2  # noqa: F401
except ImportError as error:
    raise ImportError(
        "spikebp_brian2 needs Brian2; install it with: pip install 'spikebp-plugins[brian2]'"
    ) from error

from spikebp_brian2.group import SpikingMLPGroup, SpikingNetworkGroup
from spikebp_brian2.rules import described

if __doc__ is not None:  # python -OO leaves docstrings out
    __doc__ += described()

__all__ = ["SpikingMLPGroup", "SpikingNetworkGroup"]
