"""Networks and samples small enough for the reference, and lively enough to test something."""

import copy
import pickle
import tempfile
from pathlib import Path

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP

#: The engines of the core.
ENGINES = ("reference", "compiled")


def small_net(layer_sizes=(3, 5, 4, 2), **changes):
    return SpikingMLP.paper(layer_sizes, **({"n_steps": 4, "learning_rate": 0.5} | changes))


def lively_weights(net, seed=1):
    """Weights with which all layers spike."""
    random = np.random.RandomState(seed)
    return [random.standard_normal(shape) * 0.7 for shape in net.weight_shapes]


def samples(net, n_samples, seed=2):
    """Return values (or spikes) for layer 0, and labels."""
    random = np.random.RandomState(seed)
    if net.input_coding == "spikes":
        x = random.randint(-1, 2, (n_samples, net.n_steps, net.n_inputs))
    else:
        x = random.uniform(-0.5, 2, (n_samples, net.n_inputs))
    return x, random.randint(0, net.n_outputs, n_samples)


def lively_simulator(net, backend="reference"):
    return Simulator(net, backend, lively_weights(net))


def trained(net, n_samples=5):
    """Return the checkpoint of a network that has learned."""
    sim = lively_simulator(net)
    sim.train(*samples(net, n_samples))
    return sim.checkpoint()


def assert_restored(found, expected):
    """Assert that a checkpoint that was read is that of a trained network."""
    assert found.net == expected.net
    assert found.state.samples_seen == expected.state.samples_seen == 5
    for kind in ("weights", "backward_potentials", "feedback"):
        assert_all_equal(getattr(found.state, kind), getattr(expected.state, kind))


def checkpoint_bytes(holder):
    """Return the file that a simulator or a checkpoint saves."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.npz"
        holder.save(path)
        return path.read_bytes()


def assert_copies_go_on(sim, x, y):
    """Assert that copies are simulators of their own, which learn what the first one learns."""
    copies = [copy.copy(sim), copy.deepcopy(sim), pickle.loads(pickle.dumps(sim))]
    before = checkpoint_bytes(sim)
    trace = sim.train(x, y, record=True)
    for other in copies:
        with other:
            assert checkpoint_bytes(other) == before
            assert other.train(x, y, record=True).diff(trace) is None
            assert checkpoint_bytes(other) == checkpoint_bytes(sim)


def arrays_in(path):
    """Return all arrays of an npz file."""
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def assert_all_equal(first, second):
    """Assert that two sequences of arrays are equal, types included."""
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)
