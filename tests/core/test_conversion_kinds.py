"""Conversion of networks of any connections: what they compute stays, whatever else changes."""

import numpy as np
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingNetwork,
    to_relu,
    with_bias_input,
)
from spikebp_plugins.conversion.relu import relu_scores
from tests.core.one_for_one import from_relu
from tests.core.small_nets import assert_all_equal, lively_simulator, samples

LAYERS = [Conv2D(3, 3, 2, 1), AveragePool2D(2), Sparse(6, density=0.5), Dense(4)]
NET = SpikingNetwork.paper((9, 7, 2), LAYERS, n_steps=4, seed=3)
ARITHMETICS = pytest.mark.parametrize(
    "fields", [{}, {"arithmetic": "loihi2"}], ids=["fixed", "loihi2"]
)


def matrix_by_units(connection, weights):
    """Return what a connection brings for a spike of each unit alone."""
    arriving = [connection.forward(k, weights) for k in np.eye(connection.n_below)]
    return np.array([one.product(one.counts, one.weights) for one in arriving])


@ARITHMETICS
def test_connections_of_all_kinds_become_matrices(fields):
    layers = [AveragePool2D(3), Conv2D(2, 2), Sparse(3, density=0.4), Dense(2)]
    net = SpikingNetwork.paper((9, 7, 2), layers, **fields)
    sim = lively_simulator(net)
    given = [W.astype(float) for W in sim.weights]
    # 1 / 9 as the spiking network has it.
    grid = 2.0 ** (net.fraction_bits if net.weight_exponent is None else -net.weight_exponent)
    given[0] = np.array([np.rint(grid / 9) / grid])
    assert_all_equal(to_relu(sim), list(map(matrix_by_units, net.connections, given)))


@pytest.mark.parametrize("changes", [{}, {"seed": 4, "n_steps": 500, "fraction_bits": 30}])
def test_a_network_is_a_source_that_keeps_its_connections(changes):
    sim = lively_simulator(NET)
    found = from_relu(sim, **changes)
    assert_all_equal(found.state.weights, sim.checkpoint().state.weights)
    assert_all_equal(to_relu(found), to_relu(sim))
    assert found.net.layers[:2] == NET.layers[:2]
    assert found.net.input_shape == NET.input_shape
    for name, value in changes.items():
        assert getattr(found.net, name) == value
    assert found.state.samples_seen == 0


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_its_scores_approach_those_of_the_relu_network(layout):
    sim = lively_simulator(NET.replace(input_layout=layout, input_scale=0.5))
    x, _ = samples(NET, 3)
    expected = relu_scores(to_relu(sim), 0.5 * x)
    shaped = x.reshape(3, *sim.net.layer_shapes[0])
    for balance in (None, x, shaped):
        found = from_relu(sim, balance=balance, fraction_bits=24)
        with found.simulate("reference") as many:
            scores = many.predict(x, n_steps=300)
        np.testing.assert_allclose(scores, expected, atol=0.04)
        np.testing.assert_allclose(relu_scores(to_relu(found), 0.5 * x), expected, atol=1e-4)


def test_balancing_brings_layers_with_weights_to_the_peak():
    sim = lively_simulator(NET)
    x, _ = samples(NET, 20)
    found = to_relu(from_relu(sim, balance=x, percentile=99, peak=2.0, fraction_bits=40))
    a, percentiles = x, []
    for W in found[:-1]:
        a = np.maximum(a @ W, 0)
        percentiles.append(np.percentile(a, 99))
    assert percentiles[0] == pytest.approx(2)
    assert percentiles[1] < 2  # means of the first layer, whose scale they have
    assert percentiles[2] == pytest.approx(2)
    won = from_relu(sim, balance=x, output_scale="winner", fraction_bits=40)
    largest = relu_scores(to_relu(won), x).max(axis=1)
    assert np.median(largest) == pytest.approx(won.net.label_targets[1])


def test_a_network_without_weights_keeps_its_scale():
    sim = Simulator(SpikingNetwork.paper((4, 6), [AveragePool2D(2), AveragePool2D(1)]), "reference")
    x, _ = samples(sim.net, 5)
    found = from_relu(sim, balance=x)
    assert_all_equal(to_relu(found), to_relu(sim))
    with pytest.raises(ValueError, match="output_scale must be 1 for a network without weights"):
        from_relu(sim, output_scale=2)


def test_a_pool_that_the_grid_cannot_hold_is_refused():
    sim = Simulator(SpikingNetwork.paper((6, 6), [AveragePool2D(3), Dense(2)]), "reference")
    with pytest.raises(ValueError, match=r"0\.111111 weights hold to within 1 %; got 0\.125"):
        from_relu(sim, fraction_bits=4, learning_rate=30.0)
    with pytest.raises(ValueError, match=r"got 0\.0310059"):
        from_relu(sim, arithmetic="loihi2", weight_exponent=-12)


def test_what_a_source_has_is_not_given_again():
    sim = lively_simulator(NET)
    for name, value in {"layers": LAYERS, "layer_sizes": (3, 2)}.items():
        with pytest.raises(ValueError, match=f"{name} must be left to the source"):
            from_relu(sim, **{name: value})
    with pytest.raises(ValueError, match="input_shape must be None unless the source is a Seq"):
        from_relu(sim, input_shape=(9, 7, 2))
    with pytest.raises(ValueError, match="input_layout must be None without an input_shape"):
        from_relu(sim, input_layout="channels_first")
    with pytest.raises(ValueError, match="bias must be None for a network whose connections are"):
        to_relu(sim, "input")
    with pytest.raises(ValueError, match=r"balance must be .* \(n_samples, 126\)"):
        from_relu(sim, balance=np.zeros((3, 2, 9, 7)))


def test_dense_layers_of_such_a_network_may_have_a_constant_input():
    net = SpikingNetwork.paper((5,), [Dense(4), Dense(2)])
    layers = to_relu(lively_simulator(net), "input")
    assert [W.shape for W, _ in layers] == [(4, 4), (4, 2)]
    assert [b is None for _, b in layers] == [False, True]


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
@pytest.mark.parametrize("steps", [(), (5,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_get_a_channel_for_biases(layout, steps, dtype):
    net = SpikingNetwork.paper((4, 3, 3), [Dense(2)], input_layout=layout, input_scale=1 / 50)
    x = np.random.RandomState(0).randint(0, 99, (2, *steps, 4, 3, 2)).astype(dtype)
    turned = x if layout == "channels_last" else np.moveaxis(x, -1, -3)
    found = with_bias_input(turned, net=net)
    assert found.dtype == dtype
    shaped = found.reshape(2, *steps, *net.layer_shapes[0])
    back = shaped if layout == "channels_last" else np.moveaxis(shaped, -3, -1)
    np.testing.assert_array_equal(back[..., :2], x)
    np.testing.assert_array_equal(back[..., 2], 50)
    flat = turned.reshape(2, *steps, -1)
    assert found.shape == shaped.shape
    found = found.reshape(2, *steps, -1)
    np.testing.assert_array_equal(with_bias_input(flat, net=net), found)
    other = with_bias_input(flat, net=net, input_scale=0.5)
    np.testing.assert_array_equal(other[other != found], 2)
    assert np.count_nonzero(other != found) == other[..., :12].size


def test_gray_images_need_no_axis_for_their_channel():
    x = np.arange(24.0).reshape(2, 4, 3)
    for layout, axis in (("channels_last", 3), ("channels_first", 1)):
        net = SpikingNetwork((4, 3, 2), [Dense(2)], input_layout=layout)
        expected = np.stack([x, np.ones_like(x)], axis=axis)
        for given in (x, np.expand_dims(x, axis)):
            np.testing.assert_array_equal(with_bias_input(given, net=net), expected)
        flat = with_bias_input(x.reshape(2, 12), net=net)
        np.testing.assert_array_equal(flat, expected.reshape(2, 24))
        gray = SpikingNetwork((4, 3), [Dense(2)], input_layout=layout)
        with Simulator(gray, "reference") as sim:
            scores = [sim.predict(given) for given in (x, np.expand_dims(x, axis))]
        np.testing.assert_array_equal(*scores)


def test_input_that_gets_no_channel_is_refused():
    net = SpikingNetwork.paper((4, 3, 3), [Dense(2)])
    with pytest.raises(ValueError, match=r"x must be .* of shape \(24,\) or \(4, 3, 2\); got"):
        with_bias_input(np.zeros((2, 36)), net=net)
    with pytest.raises(ValueError, match="net must be one whose input has a channel for biases"):
        with_bias_input(np.zeros((2, 12)), net=SpikingNetwork.paper((4, 3), [Dense(2)]))
    with pytest.raises(ValueError, match="net must be a SpikingMLP or a SpikingNetwork or None"):
        with_bias_input(np.zeros((2, 12)), net="net")
    plain = SpikingNetwork.paper((13,), [Dense(2)], input_scale=0.5)
    np.testing.assert_array_equal(with_bias_input(np.zeros((2, 12)), net=plain)[:, -1], 2)


def test_scalers_do_not_go_into_a_kernel():
    scaler = StandardScaler().fit(samples(NET, 5)[0])
    source = Pipeline([("scaler", scaler), ("net", lively_simulator(NET))])
    with pytest.raises(ValueError, match="the end of a pipeline must be a network of dense conn"):
        from_relu(source)
