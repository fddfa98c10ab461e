"""Connections of any kind: their shapes, what they are refused for, their files and their work."""

import copy
import json
import pickle
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings

from spikebp_plugins import (
    AveragePool2D,
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    Trace,
    UnsupportedError,
)
from spikebp_plugins.engine.wiring import Connections
from spikebp_plugins.network.arithmetic import Change, FixedPoint
from spikebp_plugins.network.checkpoint import to_arrays
from spikebp_plugins.network.connections import DenseConnection, layer_from_dict
from spikebp_plugins.network.definition import definition_from_dict
from spikebp_plugins.network.state import initial_state
from tests.core.engine_copies import needs_engine
from tests.core.experiment import Experiment, assert_equals_reference
from tests.core.literal_synapses import synapses_of
from tests.core.strategies import experiments, networks, random_weights
from tests.profiles import examples

#: Two channels, a kernel that does not fit the borders, a pool that leaves pixels out.
LAYERS = [Conv2D(3, 3, stride=2, padding=1), AveragePool2D(2), Sparse(6, density=0.5), Dense(4)]
NET = SpikingNetwork.paper((9, 7, 2), LAYERS, n_steps=4, learning_rate=0.1, seed=3)


def test_shapes_follow_from_the_layers():
    assert NET.layer_shapes == ((9, 7, 2), (5, 4, 3), (2, 2, 3), (6,), (4,))
    assert NET.layer_sizes == (126, 60, 12, 6, 4)
    assert NET.weight_shapes == ((3, 3, 2, 3), (0,), (36,), (6, 4))
    assert NET.feedback_shapes == ((0,), (36,), (4, 6))
    turned = NET.replace(input_layout="channels_first")
    assert turned.layer_shapes[0] == (2, 9, 7)
    assert turned.layer_shapes[1:] == NET.layer_shapes[1:]


@settings(max_examples=examples(100))
@given(networks(max_steps=3))
def test_synapses_are_those_of_the_definition(net):
    for connection, literal in zip(net.connections, synapses_of(net), strict=True):
        assert connection.n_synapses == len(literal)
        if not isinstance(connection, DenseConnection):
            found = zip(*(places.tolist() for places in connection.synapses), strict=True)
            assert list(found) == [(i, j, w) for i, j, w, _ in literal]
            uses = np.bincount([w for *_, w, _ in literal], minlength=1)
            assert connection.most_uses == uses.max()
            for side, fans in enumerate((connection.fan_out_of_units, connection.fan_in_of_units)):
                units = np.array([synapse[side] for synapse in literal], np.int64)
                assert np.array_equal(fans, np.bincount(units, minlength=len(fans)))


@settings(max_examples=examples(50))
@given(experiments(nets=networks, max_steps=3, scales=(0.5,), rates=(0.01, 0.1)))
def test_operations_are_those_of_the_synapses(experiment):
    net, weights, x, y, _ = experiment
    with Simulator(net, "reference", weights) as sim:
        trace, found = sim.train(x, y, record=True), sim.operations
    forward = backward = 0
    for l, synapses in enumerate(synapses_of(net), 1):
        spikes = np.abs(trace.spikes[l - 1]).sum(axis=(0, 1)).tolist()
        errors = np.abs(trace.errors[l]).sum(axis=(0, 1)).tolist()
        forward += sum(spikes[i] for i, _, _, _ in synapses)
        backward += sum(errors[j] for _, j, _, _ in synapses) if l > 1 else 0
    assert (found.forward, found.backward) == (forward, backward)
    assert found.dense == 3 * len(x) * sum(map(len, synapses_of(net)))


@settings(max_examples=examples(100))
@given(networks())
def test_a_definition_survives_descriptions(net):
    assert definition_from_dict(net.to_dict()) == net
    assert net.replace() == net
    copy = pickle.loads(pickle.dumps(net))
    assert copy == net
    assert hash(copy) == hash(net)
    names = {kind.__name__: kind for kind in (AveragePool2D, Conv2D, Dense, Sparse, SpikingNetwork)}
    assert eval(repr(net), names) == net


def test_initial_weights_depend_on_the_kinds():
    convolution = SpikingNetwork.paper((8, 8), [Conv2D(4, 3), Dense(3)], seed=5)
    assert (convolution.weight_init, SpikingNetwork.paper((8,), [Dense(3)]).weight_init) == (
        "he",
        "paper",
    )
    random = np.random.RandomState(5)
    kernel = random.standard_normal((3, 3, 1, 4)) * np.sqrt(2 / 9)
    dense = random.standard_normal((144, 3)) * np.sqrt(2 / 144)
    first, second = convolution.init_weights()
    assert np.array_equal(first, kernel)
    assert np.array_equal(second, dense)
    changed = convolution.replace(layers=[Dense(3)])
    assert changed.weight_init == "he"
    [feedback] = convolution.replace(layers=[Dense(9), Dense(3)], input_shape=(9,)).init_feedback()
    assert feedback.shape == (3, 9)
    kernels = SpikingNetwork.paper(
        (8, 8), [Conv2D(4, 3), Conv2D(2, 3, 2)], seed=5, feedback="random"
    )
    drawn = np.random.RandomState(6).standard_normal((3, 3, 4, 2)) / np.sqrt(9 * 2 / 4)
    assert np.array_equal(kernels.init_feedback()[0], drawn)


def test_dense_layers_compute_what_a_perceptron_does():
    fields = {"n_steps": 5, "learning_rate": 0.3, "seed": 2}
    nets = (
        SpikingMLP.paper((6, 5, 3), **fields),
        SpikingNetwork.paper((6,), [Dense(5), Dense(3)], **fields),
    )
    random = np.random.RandomState(0)
    x, y = random.uniform(0, 2, (4, 6)), random.randint(0, 3, 4)
    weights = [random.standard_normal(shape) for shape in nets[0].weight_shapes]
    for backend in ("reference", "compiled"):
        one, two = (Simulator(net, backend, weights) for net in nets)
        assert np.array_equal(one.train(x, y), two.train(x, y))
        assert all(map(np.array_equal, one.weights, two.weights))


def test_the_order_of_channels_is_that_of_numbers_alone():
    random = np.random.RandomState(1)
    x = random.uniform(0, 1, (3, 9, 7, 2))
    y = random.randint(0, 4, 3)
    last = Simulator(NET, "reference")
    first = Simulator(NET.replace(input_layout="channels_first"), "reference")
    turned = x.transpose(0, 3, 1, 2)
    assert np.array_equal(last.train(x, y), first.train(turned, y))
    assert all(map(np.array_equal, last.weights, first.weights))
    # Arrays in the shape of the layer are the flat ones.
    flat = Simulator(NET, "reference")
    flat.train(x.reshape(3, -1), y)
    assert all(map(np.array_equal, flat.weights, last.weights))
    steps = np.repeat(x[:, np.newaxis], 4, axis=1)
    assert np.array_equal(last.predict(steps), last.predict(x))
    with pytest.raises(ValueError, match=r"x must be of shape .*\(n_samples, 9, 7, 2\)"):
        last.predict(turned)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SpikingNetwork.paper((9,), [Conv2D(2, 3)]),
            r"layer 1: .* layer Conv2D above; got \(9,\)",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9), [Conv2D(2, 10)]),
            r"layer 1: kernel_size must be at most 9, .*; got 10",
        ),
        (lambda: SpikingNetwork.paper((9, 4), [AveragePool2D(5)]), r"size must be at most 4"),
        (
            lambda: SpikingNetwork.paper((9, 9), []),
            r"layers must be a sequence of at least one layer",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9), [10]),
            r"layers must be a sequence of at least one layer",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9, 1, 1), [Dense(2)]),
            r"input_shape must be .* one to three",
        ),
        (lambda: Conv2D(2, (3, 5)), r"kernel_size must be an integer of at least 1; got \(3, 5\)"),
        (lambda: Conv2D(2, 3, padding=-1), r"padding must be an integer of at least 0"),
        (lambda: Sparse(3), r"Sparse must be given either density or pairs"),
        (lambda: Sparse(3, 0.5, [(0, 0)]), r"Sparse must be given either density or pairs"),
        (lambda: Sparse(3, 1.5), r"density must be above 0 and at most 1"),
        (lambda: Sparse(3, pairs=[(0, 3)]), r"pairs must be of units below 3 in their second"),
        (lambda: Sparse(3, pairs=[(0, 1), (0, 1)]), r"pairs must be different from each other"),
        (lambda: Sparse(3, pairs=[(-1, 1)]), r"pairs must be an array of shape \(n_pairs, 2\)"),
        (
            lambda: SpikingNetwork.paper((4,), [Sparse(3, pairs=[(4, 1)])]).connections,
            r"pairs must be of units below 4 in layer 0; got 4",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9), [Conv2D(2, 3)], weight_init="growing"),
            r"weight_init must be another where not all connections are dense",
        ),
        (
            lambda: SpikingNetwork.paper(
                (9, 9), [AveragePool2D(3)], learning_rate=9.0, fraction_bits=4
            ),
            r"layer 1 must be one whose constant weight 0.111111 .* within 1 %; got 0.125",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9), [AveragePool2D(1)], arithmetic="loihi2"),
            r"layer 1 must be one whose constant weight 1 .* within 1 %; got 0.248047",
        ),
        (
            lambda: SpikingNetwork.paper((9, 9), [Conv2D(2, 3)], weight_init="growing"),
            r"weight_init must be another",
        ),
    ],
)
def test_wrong_layers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_checkpoint_and_a_trace_hold_any_weights(tmp_path):
    random = np.random.RandomState(4)
    x, y = random.uniform(0, 3, (3, 126)), random.randint(0, 4, 3)
    net = NET.replace(feedback="random")
    sim = Simulator(net, "reference")
    trace = sim.train(x, y, record=True)
    arrays = to_arrays(sim.checkpoint())
    assert [arrays[f"feedback_{l}"].shape for l in (2, 3, 4)] == [(0,), (36,), (4, 6)]
    sim.save(tmp_path / "conv.npz")
    again = Checkpoint.load(tmp_path / "conv.npz", net)
    assert all(map(np.array_equal, again.state.weights, sim.weights))
    with pytest.raises(ValueError, match="seed is 3 there and 4 here"):
        Checkpoint.load(tmp_path / "conv.npz", net.replace(seed=4))
    with pytest.raises(ValueError, match="a SpikingNetwork there and a SpikingMLP here"):
        Checkpoint.load(tmp_path / "conv.npz", SpikingMLP.paper((126, 4)))
    trace.save(tmp_path / "trace.npz")
    shown = Trace.load(tmp_path / "trace.npz")
    assert all(map(np.array_equal, shown.weights, trace.weights))
    mean = Checkpoint.mean([sim.checkpoint(), sim.checkpoint()])
    assert all(map(np.array_equal, mean.state.weights, sim.weights))
    # Of another seed come other pairs: their weights have no mean.
    other = Checkpoint(net.replace(seed=8), initial_state(net.replace(seed=8)))
    with pytest.raises(ValueError, match="checkpoints must be of the same connections"):
        Checkpoint.mean([sim.checkpoint(), other])


def test_the_bound_of_an_update_counts_the_synapses_of_a_weight():
    connection = SpikingNetwork.paper((4, 1), [Conv2D(1, 1)]).connections[0]
    number, c, e = FixedPoint(12), np.full(4, 2**25 + 1), np.full(4, -(2**25) - 1)
    changed = number.descend(np.zeros((1, 1, 1, 1)), connection, Change(1, c, e), 3)
    assert np.ldexp(changed, 12).item() == 4 * (2**25 + 1) ** 2
    with pytest.raises(OverflowError, match="weight of layer 3"):
        number.descend(np.zeros((1, 1, 1, 1)), connection, Change(1, 2 * c, e), 3)


@dataclass(frozen=True)
class PrivateConnection(DenseConnection):
    """A kind that no engine has heard of."""

    kind = "Alone"


class MLPOfPrivateConnections(SpikingMLP):
    @property
    def connections(self):
        return tuple(map(PrivateConnection, self.layer_sizes[:-1], self.layer_sizes[1:]))


@needs_engine
def test_an_engine_refuses_a_kind_that_it_does_not_know():
    net = MLPOfPrivateConnections((5, 4, 4), n_steps=6)
    with pytest.raises(UnsupportedError, match=r"it knows .* connections, not Alone$"):
        Simulator(net)
    with Simulator(net, "reference") as sim:
        assert sim.train(np.ones((2, 5)), [0, 1]).shape == (2, 4)


@needs_engine
@pytest.mark.parametrize("layers", [(), (Dense(3),)])
def test_a_kernel_may_lie_on_padding_alone(layers):
    net = SpikingNetwork.paper((1, 1), [Conv2D(1, 1, stride=2, padding=1), *layers], n_steps=2)
    assert net.connections[0].n_synapses == 0
    x, y = np.ones((3, 1)), np.array([0, 1, 2])
    assert_equals_reference(Experiment(net, initial_state(net).weights, x, y, x), "compiled")


@needs_engine
@pytest.mark.parametrize("seed", range(3))
def test_channels_of_whole_vectors_learn_by_place_and_by_active_unit(seed):
    layers = [Conv2D(16, 3, stride=2), Conv2D(32, 2), Dense(3)]
    net = SpikingNetwork.paper((8, 8), layers, n_steps=4, learning_rate=0.05, seed=seed)
    random = np.random.RandomState(seed)
    x = random.uniform(0, 1, (6, 64)) * (random.uniform(size=(6, 64)) < 0.4)
    weights = random_weights(net, random, 0.3)
    experiment = Experiment(net, weights, x, random.randint(0, 3, 6), x)
    assert experiment.on("reference")[2].update > 0
    assert_equals_reference(experiment, "compiled")


def test_pairs_compare_by_value():
    given = [(2, 0), (0, 1), (0, 0)]
    one, other = (Sparse(2, pairs=pairs) for pairs in (given, np.array(given[::-1])))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Sparse(2, pairs=given[:2])
    assert list(one.pairs) == [(0, 0), (0, 1), (2, 0)]
    assert (len(one.pairs), one.pairs[-1], list(one.pairs[1:])) == (3, (2, 0), [(0, 1), (2, 0)])
    assert repr(one) == "Sparse(n=2, density=None, pairs=((0, 0), (0, 1), (2, 0)))"
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(one)) == one
    assert layer_from_dict(one.to_dict()) == one
    assert json.loads(json.dumps(one.to_dict()))["pairs"] == [[0, 0], [0, 1], [2, 0]]
    with pytest.raises(ValueError, match=r"^pairs must be an array .* from 0 to 2147483646"):
        Sparse(2, pairs=[(2**31 - 1, 0)])


@pytest.mark.parametrize(
    ("layers", "most"),
    [
        ([Conv2D(4, 5, stride=4), Conv2D(4, 5, stride=4), Dense(3)], 90),
        ([Sparse(20, density=0.01), Dense(3)], 45),
    ],
    ids=["Conv2D", "Sparse"],
)
def test_large_sensors_take_the_memory_of_units_and_synapses(layers, most):
    tracemalloc.start()
    net = SpikingNetwork((260, 346, 2), layers, input_layout="channels_first")
    connections = Connections(net)  # as the engine has them
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(connections.layouts) == len(layers)
    assert peak < most * sum(net.layer_sizes)
