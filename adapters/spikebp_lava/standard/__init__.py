"""The state that Lava's own synapses compute, and the check that their sums were exact."""
