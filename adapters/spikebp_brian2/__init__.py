"""The network as native Brian2 objects, and a back end made of them."""

from spikebp_brian2.group import SpikingMLPGroup

__all__ = ["SpikingMLPGroup"]
