"""Graphs of NIR with convolutions, pools and sparse connections, to and fro."""

import re

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    to_relu,
)
from spikebp_plugins.conversion.relu import relu_scores
from tests.core.small_nets import (
    assert_restored,
    checkpoint_bytes,
    lively_simulator,
    samples,
    trained,
)

pytest.importorskip("nir", reason="nir is not installed")

import nir

from spikebp_plugins.nir import ApproximationWarning, from_nir, load_nir, save_nir, to_nir
from tests.core.test_nir import APPROXIMATE, chain, units

SHAPE = (9, 7, 2)
LAYERS = [Conv2D(3, 3, 2, 1), AveragePool2D(2), Sparse(6, density=0.5), Dense(4)]
FIELDS = {"n_steps": 4, "learning_rate": 0.1, "seed": 3}
NETS = {
    "all kinds": SpikingNetwork.paper(SHAPE, LAYERS, feedback="random", **FIELDS),
    "channels first": SpikingNetwork.paper(SHAPE, LAYERS, input_layout="channels_first", **FIELDS),
    "loihi2": SpikingNetwork.paper(SHAPE, LAYERS, arithmetic="loihi2", **FIELDS),
    "one channel": SpikingNetwork.paper((5, 4), [Conv2D(2, 2), Dense(3)], **FIELDS),
    "an image without pixels above": SpikingNetwork.paper(SHAPE, [Dense(3), Dense(2)], **FIELDS),
    "a pool before all": SpikingNetwork.paper(SHAPE, [AveragePool2D(2), Conv2D(2, 2, 2)], **FIELDS),
    "sparse": SpikingNetwork.paper(
        (6,), [Sparse(5, density=0.4), Sparse(2, density=0.5)], **FIELDS
    ),
}
EVERY_NET = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


@APPROXIMATE
@EVERY_NET
def test_a_graph_gives_back_the_network(net, tmp_path):
    checkpoint = trained(net)
    expected = checkpoint_bytes(checkpoint)
    assert checkpoint_bytes(from_nir(to_nir(checkpoint))) == expected
    save_nir(tmp_path / "net.nir", checkpoint)
    # Through the reader and the writer of other tools, which check shapes.
    nir.write(tmp_path / "again.nir", nir.read(tmp_path / "net.nir"))
    restored = load_nir(tmp_path / "again.nir", net)
    assert checkpoint_bytes(restored) == expected
    assert_restored(restored, checkpoint)


def scores_of(graph, x):
    """Return what the nodes of a graph compute with rectified units, for one sample.

    By NIR's own terms: images are of shape (channels, height, width).
    """
    a = x
    for name, node in graph.nodes.items():
        if isinstance(node, nir.Linear):
            a = node.weight.astype(float) @ a
        elif isinstance(node, nir.Conv2d):
            padded = np.pad(a, [(0, 0), *((p, p) for p in node.padding)])
            windows = sliding_window_view(padded, node.weight.shape[2:], (1, 2))
            s, t = node.stride
            a = np.einsum("oiqr,iyxqr->oyx", node.weight.astype(float), windows[:, ::s, ::t])
        elif isinstance(node, nir.AvgPool2d):
            m = int(node.kernel_size[0])
            c, h, w = a.shape
            a = a[:, : h // m * m, : w // m * m].reshape(c, h // m, m, w // m, m).mean(axis=(2, 4))
        elif isinstance(node, nir.Flatten):
            a = a.ravel()
        elif isinstance(node, nir.IF):
            assert name != "output"
            a = np.maximum(a, 0)
    return a


def as_in_nir(net, x):
    """Return flat samples as the input of a graph has them."""
    if not isinstance(net.layers[0], (Conv2D, AveragePool2D)):
        return x
    shaped = x.reshape(len(x), *net.layer_shapes[0])
    if shaped.ndim == 3:
        return shaped[:, np.newaxis]
    return shaped if net.input_layout == "channels_first" else shaped.transpose(0, 3, 1, 2)


def flat_scores(net, scores):
    """Return scores as units here are numbered."""
    if scores.ndim == 1:
        return scores
    return scores.transpose(1, 2, 0).ravel()


def tolerance(net):
    """Return the relative tolerance: a pixel of a pool weighs 127/512 there, and not 1/4."""
    return 0.01 if net.arithmetic == "loihi2" else 1e-7


@APPROXIMATE
@EVERY_NET
def test_nodes_compute_what_the_network_approximates(net):
    sim = lively_simulator(net)
    graph = to_nir(sim.checkpoint())
    assert graph.check_types()
    x, _ = samples(net, 3)
    expected = relu_scores(to_relu(sim), x)
    for given, scores in zip(as_in_nir(net, x), expected, strict=True):
        found = flat_scores(net, scores_of(graph, given))
        np.testing.assert_allclose(found, scores, atol=1e-5, rtol=tolerance(net))


@APPROXIMATE
@EVERY_NET
def test_without_its_metadata_a_graph_is_the_same_relu_network(net):
    sim = lively_simulator(net)
    graph = to_nir(sim.checkpoint())
    graph.metadata = {}
    x, _ = samples(net, 3)
    found = from_nir(graph)
    shown = as_in_nir(net, x).reshape(3, -1)  # units of the new network are numbered as in NIR
    expected = relu_scores(to_relu(sim), x)
    found_scores = relu_scores(to_relu(found), shown)
    np.testing.assert_allclose(found_scores, expected, atol=1e-3, rtol=tolerance(net))


@APPROXIMATE
@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_a_definition_says_how_the_input_is_numbered(layout):
    net = NETS["all kinds"]
    sim = lively_simulator(net)
    graph = to_nir(sim.checkpoint())
    graph.metadata = {}
    layers = [*LAYERS[:2], Dense(6), Dense(4)]
    given = SpikingNetwork.paper(SHAPE, layers, input_layout=layout, fraction_bits=20)
    found = from_nir(graph, given)
    assert found.net is given
    x, _ = samples(net, 3)
    shown = x if layout == "channels_last" else as_in_nir(net, x).reshape(3, -1)
    expected = relu_scores(to_relu(sim), x)
    np.testing.assert_allclose(relu_scores(to_relu(found), shown), expected, atol=1e-3)


IMAGE = nir.Input(np.array([2, 4, 3]))
KERNEL = np.arange(3 * 2 * 2 * 2.0).reshape(3, 2, 2, 2) / 8
W = np.arange(2 * 18.0).reshape(2, 18) / 64
END = nir.Output(np.array([2]))


def conv(**changes):
    fields = {
        "input_shape": (4, 3),
        "weight": KERNEL,
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(3),
    }
    return nir.Conv2d(**fields | changes)


def pool(size=2, stride=None, padding=0):
    stride = size if stride is None else stride
    return nir.AvgPool2d(*(np.broadcast_to(n, 2) for n in (size, stride, padding)))


def flatten(*shape, start=0, end=-1):
    return nir.Flatten({"input": np.array(shape) if shape else None}, start, end)


def spikes(*shape, **values):
    return units(shape, **values)


@APPROXIMATE
@pytest.mark.parametrize(
    "flat", [flatten(), flatten(3, 3, 2), flatten(end=2), flatten(start=1), flatten(3, 3, 2, end=2)]
)
def test_a_foreign_graph_of_images_gives_a_network(flat):
    graph = chain(IMAGE, conv(bias=None), spikes(3, 3, 2), flat, nir.Linear(W), END)
    checkpoint = from_nir(graph)
    layers = [Conv2D(3, 2), Dense(2)]
    assert checkpoint.net == SpikingNetwork.paper((4, 3, 2), layers, input_layout="channels_first")
    kernel, rows = checkpoint.state.weights
    np.testing.assert_array_equal(kernel, KERNEL.transpose(2, 3, 1, 0))
    for y, x, c in np.ndindex(3, 2, 3):
        np.testing.assert_array_equal(rows[(y * 2 + x) * 3 + c], W[:, (c * 3 + y) * 2 + x])


@APPROXIMATE
def test_an_image_before_dense_layers_is_numbered_as_in_the_graph():
    weights = np.arange(24.0)[np.newaxis] / 64
    graph = chain(IMAGE, flatten(), nir.Linear(weights), nir.Output(np.array([1])))
    for net in (None, SpikingMLP.paper((24, 1)), SpikingNetwork.paper((24,), [Dense(1)])):
        np.testing.assert_array_equal(from_nir(graph, net).state.weights[0], weights.T)
    turned = from_nir(graph, SpikingNetwork.paper((4, 3, 2), [Dense(1)])).state.weights[0]
    np.testing.assert_array_equal(
        turned[:, 0].reshape(4, 3, 2).transpose(2, 0, 1).ravel(), weights[0]
    )
    with pytest.raises(ValueError, match=r"input_shape of net must be \(4, 3, 2\), as in the gr"):
        from_nir(graph, SpikingNetwork.paper((3, 4, 2), [Dense(1)]))


@APPROXIMATE
@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"padding": "valid"}, {}),
        ({"padding": np.array([0, 0]), "stride": np.array([1, 1])}, {}),
        ({"stride": (2, 2), "padding": np.int64(1)}, {"stride": 2, "padding": 1}),
        (
            {"padding": "same", "weight": np.ones((3, 2, 3, 3))},
            {"kernel_size": 3, "padding": 1},
        ),
    ],
)
def test_strides_and_paddings_may_have_any_form(changes, same):
    node = conv(**changes)
    graph = chain(IMAGE, node, nir.Output(node.output_type["output"]))
    assert from_nir(graph).net.layers == (Conv2D(**{"channels": 3, "kernel_size": 2} | same),)


@APPROXIMATE
def test_units_of_a_channel_scale_its_kernel():
    r = np.broadcast_to(np.array([1.0, 2.0, 0.5])[:, np.newaxis, np.newaxis], (3, 3, 2))
    fires, flat = (nir.IF(values, 0.5 + 0 * values, 0 * values) for values in (r, r.ravel()))
    expected = KERNEL.transpose(2, 3, 1, 0) * [2.0, 4.0, 1.0]
    for nodes in ([fires, flatten()], [flatten(), flat]):
        graph = chain(IMAGE, conv(), *nodes, nir.Linear(W), END)
        np.testing.assert_array_equal(from_nir(graph).state.weights[0], expected)


@APPROXIMATE
def test_a_mean_of_spikes_needs_no_units():
    W2 = np.ones((2, 3))
    kinds = [Conv2D(3, 2), AveragePool2D(2), Dense(2)]
    for fires in ([], [spikes(3, 1, 1)]):
        nodes = [conv(), spikes(3, 3, 2), pool(), *fires, flatten(), nir.Linear(W2)]
        assert list(from_nir(chain(IMAGE, *nodes, END)).net.layers) == kinds


LINEAR = nir.Linear(W)
IMAGE_END = nir.Output(np.array([3, 3, 2]))
UNEQUAL = np.arange(18.0).reshape(3, 3, 2) + 1
REFUSED = {
    "Conv2d node 'conv2d_1' with a bias": [IMAGE, conv(bias=np.ones(3)), IMAGE_END],
    "dilation of node 'conv2d_1' of (2, 2), not 1": [IMAGE, conv(dilation=2), IMAGE_END],
    "groups of node 'conv2d_1' of 2, not 1": [IMAGE, conv(groups=2), IMAGE_END],
    "weights of 'conv2d_1' of shape (3, 1, 2, 2) behind 2 channels": [
        *(IMAGE, conv(weight=KERNEL[:, :1]), IMAGE_END)
    ],
    "kernel of shape (2, 1) of node 'conv2d_1', not the same": [
        *(IMAGE, conv(weight=KERNEL[..., :1]), IMAGE_END)
    ],
    "stride (1, 2) of node 'conv2d_1', not the same": [IMAGE, conv(stride=(1, 2)), IMAGE_END],
    "padding (1, 2) of node 'conv2d_1', not the same": [IMAGE, conv(padding=(1, 2)), IMAGE_END],
    "padding 'same' of node 'conv2d_1' with a kernel_size of 2": [
        *(IMAGE, conv(padding="same"), IMAGE_END)
    ],
    "node 'conv2d_1' that does not fit what is before it: kernel_size": [
        *(IMAGE, conv(weight=np.ones((3, 2, 5, 5))), IMAGE_END)
    ],
    "input_shape of node 'conv2d_1' that is not": [IMAGE, conv(input_shape=(3, 4)), IMAGE_END],
    "node 'conv2d_1' with no image before it": [nir.Input(np.array([24])), conv(), IMAGE_END],
    "node 'conv2d_2' with no IF between it and 'conv2d_1'": [IMAGE, conv(), conv(), IMAGE_END],
    "node 'avgpool2d_2' with no IF between it and 'conv2d_1'": [IMAGE, conv(), pool(), IMAGE_END],
    "node 'conv2d_2' with no IF between it and 'avgpool2d_1'": [IMAGE, pool(1), conv(), IMAGE_END],
    "stride of node 'avgpool2d_1' of [1 1], not 2": [IMAGE, pool(stride=1), IMAGE_END],
    "padding of node 'avgpool2d_1' of [1 1], not 0": [IMAGE, pool(padding=1), IMAGE_END],
    "kernel_size [2 1] of node 'avgpool2d_1', not the same": [IMAGE, pool([2, 1]), IMAGE_END],
    "node 'avgpool2d_1' that does not fit what is before it": [IMAGE, pool(4), IMAGE_END],
    "'if_2' behind a mean, of which a spike does not cost 1": [
        *(IMAGE, pool(), spikes(2, 2, 1, r=2.0), nir.Output(np.array([2, 2, 1])))
    ],
    "'if_2' whose units are not the same in all pixels of a channel": [
        *(IMAGE, conv(), nir.IF(UNEQUAL, 1 + 0 * UNEQUAL, 0 * UNEQUAL), IMAGE_END)
    ],
    "'if_2' of shape (18,) behind an image of (3, 3, 2)": [IMAGE, conv(), spikes(18), IMAGE_END],
    "node 'linear_3' with no Flatten between it and an image": [
        *(IMAGE, conv(), spikes(3, 3, 2), LINEAR, END)
    ],
    "node 'flatten_3' that leaves more than one dimension": [
        *(IMAGE, conv(), spikes(3, 3, 2), flatten(end=1), LINEAR, END)
    ],
    "input_type of node 'flatten_3' that is not": [
        *(IMAGE, conv(), spikes(3, 3, 2), flatten(2, 3, 3), LINEAR, END)
    ],
    "a Flatten before Output node 'output_3', whose units have another order": [
        *(IMAGE, conv(), flatten(), nir.Output(np.array([18])))
    ],
    "Output node 'output_2' of another shape": [IMAGE, conv(), nir.Output(np.array([18]))],
    "node 'input_0' of shape [[4, 3]], not of one dimension or of three": [
        *(nir.Input(np.array([4, 3])), conv(), IMAGE_END)
    ],
    "node 'sumpool2d_1' of type SumPool2d": [
        *(IMAGE, nir.SumPool2d(*np.ones((3, 2), int)), IMAGE_END)
    ],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_another_graph_is_refused_by_name(reason):
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        from_nir(chain(*REFUSED[reason]))
    assert "graph must be a chain of Input, Linear" in str(caught.value)


@APPROXIMATE
def test_a_definition_must_have_the_connections_of_the_graph():
    graph = to_nir(lively_simulator(NETS["all kinds"]).checkpoint())
    graph.metadata = {}
    with pytest.raises(ValueError, match=r"net must be a network of the layers \[Conv2D"):
        from_nir(graph, NETS["all kinds"])  # whose Sparse is a Linear in the graph
    with pytest.raises(ValueError, match="net must be a network of the layers"):
        from_nir(graph, SpikingMLP.paper(NETS["all kinds"].layer_sizes))


@APPROXIMATE
@pytest.mark.parametrize("name", ["conv_1", "pool_2", "linear_3"])
def test_a_graph_that_contradicts_its_metadata_is_refused(name):
    graph = to_nir(lively_simulator(NETS["all kinds"]).checkpoint())
    node = graph.nodes[name]
    if name == "pool_2":  # a convolution that computes the same
        kernel = np.zeros((3, 3, 2, 2))
        kernel[np.arange(3), np.arange(3)] = 1 / 4
        graph.nodes[name] = conv(input_shape=None, weight=kernel, stride=2)
    else:
        node.weight[0] += 1
    with pytest.raises(ValueError, match=f"node '{name}' has other weights or connections"):
        from_nir(graph)


def test_weights_of_pools_that_are_rounded_are_among_the_losses():
    net = SpikingNetwork.paper(SHAPE, [AveragePool2D(3), Dense(2)])
    with pytest.warns(ApproximationWarning, match="or that weights of pools are rounded; docs"):
        to_nir(lively_simulator(net).checkpoint())
