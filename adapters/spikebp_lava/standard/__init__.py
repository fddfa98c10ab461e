"""The network as a graph of Lava's own synapses, and a NumPy model of Lava's learning engine."""
