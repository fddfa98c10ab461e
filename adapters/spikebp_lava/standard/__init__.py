"""What Lava's own synapses compute: where it is kept, and the proof that sums were exact."""
