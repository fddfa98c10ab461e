"""Weights of few bits where connections are not dense."""

import numpy as np
import pytest

from spikebp_plugins import AveragePool2D, Conv2D, Dense, Sparse, SpikingNetwork
from spikebp_plugins.conversion.quantized import quantized_weights
from tests.core.literal_synapses import synapses_of
from tests.core.small_nets import lively_simulator, samples

LAYERS = [Conv2D(3, 3, 2, 1), AveragePool2D(2), Sparse(6, density=0.5), Dense(4)]
NET = SpikingNetwork.paper((9, 7, 2), LAYERS, n_steps=6, seed=3)
SHARED_BY = pytest.mark.parametrize("shared_by", ["layer", "unit"])


def uneven_simulator(net):
    """Return a simulator whose units, and channels, have weights of different sizes."""
    sim = lively_simulator(net)
    weights = [W * 2.0 ** -(np.arange(W.size).reshape(W.shape) % 3) for W in sim.weights]
    return type(sim)(net, "reference", weights)


@SHARED_BY
def test_integers_and_thresholds_alone_give_the_spikes(shared_by):
    found = quantized_weights(uneven_simulator(NET), 5, shared_by=shared_by)
    assert [Q.shape for Q in found.weights] == list(NET.weight_shapes)
    units = [(), (3,), (6,), (4,)] if shared_by == "unit" else [()] * 4
    assert sorted(e.shape for e in found.exponents) == sorted(units)
    assert found.exponents[1] == -2
    assert found.thresholds[1] == 2.0
    x, _ = samples(NET, 4)
    with found.checkpoint().simulate("reference") as sim:
        trace = sim.predict(x, record=True)
    for sample in range(4):
        potentials = [np.zeros(n, np.int64) for n in NET.layer_sizes[1:]]
        for step in range(NET.n_steps):
            k = trace.spikes[0][sample, step]
            for l, synapses in enumerate(synapses_of(NET)):
                theta = np.resize(found.thresholds[l], NET.layer_sizes[l + 1]).astype(np.int64)
                assert np.array_equal(theta, np.resize(found.thresholds[l], len(theta)))
                v = potentials[l]
                for i, j, place, _ in synapses:
                    v[j] += k[i] * (int(found.weights[l].flat[place]) if l != 1 else 1)
                k = np.where(v > theta, -((theta - v) // (2 * theta)), 0)
                v -= k * 2 * theta
                np.testing.assert_array_equal(k, trace.spikes[l + 1][sample, step])


@SHARED_BY
def test_each_unit_has_the_least_exponent_of_its_own_weights(shared_by):
    sim = uneven_simulator(NET.replace(fraction_bits=30))
    found = quantized_weights(sim, 6, shared_by=shared_by)
    kernel, _, sparse, _ = sim.weights
    j = NET.connections[2].synapses.j
    if shared_by == "unit":
        groups = [(kernel[..., b], found.exponents[0][b]) for b in range(3)]
        groups += [(sparse[j == unit], found.exponents[2][unit]) for unit in range(6)]
    else:
        groups = [(kernel, found.exponents[0]), (sparse, found.exponents[2])]
    for W, e in groups:
        assert np.rint(W / 2.0**e).max() <= 31
        assert np.rint(W / 2.0**e).min() >= -32
        half = np.rint(W / 2.0 ** (e - 1))
        assert half.max() > 31 or half.min() < -32


@pytest.mark.parametrize(
    ("size", "fields", "weight"),
    [
        (3, {}, "0.111115"),
        (2, {"arithmetic": "loihi2"}, "0.248047"),
    ],
)
def test_pools_whose_weight_is_no_power_of_two_are_refused(size, fields, weight):
    net = SpikingNetwork.paper((9, 7), [AveragePool2D(size), Dense(2)], **fields)
    error = f"the weight of a pixel must be a power of two in layer 1, .*; got {weight} for a pool"
    with pytest.raises(ValueError, match=error):
        quantized_weights(lively_simulator(net))
