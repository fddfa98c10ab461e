"""The network as a graph of Lava's own synapses, and what Lava's learning engine makes of it."""
