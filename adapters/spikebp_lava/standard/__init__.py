"""What Lava's own synapses compute: the proof that sums were exact, and a model of the engine."""
