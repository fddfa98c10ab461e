"""Samples for a network, and the reference's results for them."""

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP

#: Three layers of weights, so that errors pass two hidden layers.
NET = SpikingMLP((9, 8, 7, 3), n_steps=7, learning_rate=0.5)
N_SAMPLES = 8


class Experiment:
    """Samples for a network, and the reference's results for them."""

    def __init__(self, net, seed=1, counts=False, **training):
        random = np.random.RandomState(seed)
        self.net = net
        self.weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
        if counts:
            # Spike counts of 0 or 1 for each step.
            self.x = random.randint(0, 2, (N_SAMPLES, net.n_steps, net.n_inputs))
        else:
            self.x = random.uniform(-1, 2, (N_SAMPLES, net.n_inputs))
        self.y = random.randint(0, net.n_outputs, N_SAMPLES)
        with Simulator(net, "reference", self.weights) as sim:
            self.trace = sim.train(self.x, self.y, record=True)
            self.operations = sim.operations
            self.end = sim.checkpoint().state

    def assert_learned_by(self, mlp):
        """Assert that a group has the learning state of the reference."""
        state = mlp.checkpoint().state
        assert state.samples_seen == self.end.samples_seen
        for name in ("weights", "backward_potentials", "feedback"):
            for l, (found, expected) in enumerate(
                zip(getattr(state, name), getattr(self.end, name), strict=True)
            ):
                assert np.array_equal(found, expected), f"{name}[{l}]"
