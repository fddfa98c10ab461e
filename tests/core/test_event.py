"""The order of events: the compiled network against a literal transcription, spike by spike."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from spikebp_plugins import SpikingMLP
from spikebp_plugins.common.archive import read_archive, write_archive
from spikebp_plugins.engine.building import levels
from spikebp_plugins.engine.library import best_level
from spikebp_plugins.event_order import EventCheckpoint, EventMLP, EventNetwork, network
from tests.core.backward_spikes import backward_spikes
from tests.core.engine_copies import skip_without_engine
from tests.core.event_networks import assert_follows_the_order, assert_sample, on_level, run
from tests.core.literal_event import LiteralEventNetwork
from tests.core.small_nets import assert_all_equal
from tests.profiles import examples

skip_without_engine()

LEVELS = [level for level in levels() if level <= best_level()]
ORDERS = [
    {"order": order, "hold_error": hold} for order in ("breadth", "depth") for hold in (True, False)
]


def assert_equal(found, expected):
    assert found.net == expected.net
    assert found.samples_seen == expected.samples_seen
    for name in ("weights", "backward_potentials"):
        assert_all_equal(getattr(found, name), getattr(expected, name))


# --- The definition


def test_the_defaults_are_those_of_the_paper():
    net = EventMLP((4, 3, 2))
    assert (net.order, net.hold_error, net.update) == ("breadth", True, "fractional")
    assert (net.n_steps, net.learning_rate, net.arithmetic) == (10, 0.01, "float32")
    assert (net.n_layers, net.n_inputs, net.n_outputs) == (2, 4, 2)
    assert net.weight_shapes == ((4, 3), (3, 2))
    assert_all_equal(net.init_weights(), SpikingMLP.paper((4, 3, 2)).init_weights())
    assert hash(net) == hash(EventMLP(np.array([4, 3, 2]), hold_error=np.True_))
    assert net != replace(net, seed=1)
    assert EventMLP.from_dict(json.loads(json.dumps(net.to_dict()))) == net


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("layer_sizes", (3,), "a sequence of at least two positive integers; got (3,)"),
        ("n_steps", 0, "an integer from 1 to 2147483647; got 0"),
        ("learning_rate", 0.0, "a positive finite number; got 0.0"),
        ("input_scale", "1", "a positive finite number; got '1'"),
        ("order", "width", "one of 'breadth', 'depth'; got 'width'"),
        ("hold_error", 1, "True or False; got 1"),
        ("update", "normalized", "one of 'fractional', 'outer'; got 'normalized'"),
        ("backward_init", "uniform", "one of 'carry', 'zero'; got 'uniform'"),
        ("arithmetic", "fixed", "one of 'float32', 'float64'; got 'fixed'"),
        ("seed", -1, "an integer from 0 to 4294967294; got -1"),
        ("learning_rate", 1e-40, "such that learning_rate / n_steps**2 is a float32 above zero"),
        ("learning_rate", 1e300, "such that learning_rate / n_steps**2 is a float32 above zero"),
    ],
)
def test_a_wrong_field_is_named(name, value, allowed):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{name} must be {allowed}')}"):
        EventMLP(**{"layer_sizes": (3, 2)} | {name: value})


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize(("learning_rate", "n_steps"), [(0.01, 10), (0.1, 3), (1e-5, 100)])
def test_the_rate_is_in_single_precision(arithmetic, learning_rate, n_steps):
    net = EventMLP((2, 2), n_steps, learning_rate, arithmetic=arithmetic)
    assert net.rate == np.float32(learning_rate) / np.float32(n_steps**2)


@pytest.mark.parametrize(
    "values", [{"layer_sizes": [2, 2]}, [], EventMLP((2, 2)).to_dict() | {"a": 1}]
)
def test_what_describes_no_definition_is_refused(values):
    with pytest.raises(ValueError, match=r"values must be a mapping with \['arithmetic', "):
        EventMLP.from_dict(values)


# --- The order


@pytest.mark.parametrize("level", LEVELS)
def test_the_network_follows_the_order(level):
    run(level, max_examples=examples(200 if level == best_level() else 50))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_layers_of_many_vectors_follow_the_order(arithmetic, level):
    net = EventMLP((40, 150, 70, 3), n_steps=2, arithmetic=arithmetic)
    random = np.random.RandomState(3)
    weights = [random.standard_normal(s) * 2 / np.sqrt(s[0]) for s in net.weight_shapes]
    x = random.uniform(-0.5, 1, (2, 40))
    with on_level(level):
        assert_follows_the_order(net, weights, x, np.array([0, 2]), x)


@pytest.mark.parametrize(
    ("x", "scale", "k"),
    [
        # 0.5000000153 is 0.5 in single precision; the product of single factors is above it.
        (0.1684950255250112, 2.9674467465658334, 0),
        # 0.500000038 is above 0.5 in single precision; the product of single factors is 0.5.
        (0.24646286877334014, 2.0287033113031154, 1),
    ],
)
def test_an_input_becomes_single_precision_after_its_product(x, scale, k):
    assert (np.float32(x * scale) > 0.5) == k
    assert (np.float32(x) * np.float32(scale) > 0.5) != k
    found = EventNetwork(EventMLP((1, 1), n_steps=1, input_scale=scale))
    assert found.predict([[x]], record=True).spikes[0].item() == k


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("l", [0, 1])
def test_thresholds_are_those_of_single_precision(l, level):
    """Of the input, and of a layer, in double precision: half, and numbers that round to it."""
    net = EventMLP((1, 1, 1), n_steps=1, arithmetic="float64")
    at_half = 0.5 + np.array([-(2.0**-26), 0.0, 2.0**-26, 2.0**-25, 2.0**-25 + 2.0**-53, 2.0**-24])
    with on_level(level):
        for v in at_half:
            weight, x = (v, 1.0) if l == 1 else (1.0, v)
            found = EventNetwork(net, [[[weight]], [[1.0]]])
            assert found.predict([[x]], record=True).spikes[l].item() == (np.float32(v) > 0.5)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_a_network_of_many_spikes_follows_the_order(arithmetic, order):
    net = EventMLP((9, 8, 7, 4), n_steps=8, learning_rate=0.05, arithmetic=arithmetic, **order)
    random = np.random.RandomState(3)
    weights = [random.standard_normal(shape) * 0.7 for shape in net.weight_shapes]
    x = np.rint(random.uniform(-6, 12, (12, 9))) / 4
    assert_follows_the_order(net, weights, x, random.randint(0, 4, 12), x)


@pytest.mark.parametrize("n_inputs", [2, 3, 7, 8, 100])
def test_equal_keys_leave_as_they_leave_the_heap(n_inputs):
    """Sums in single precision, of weights of all magnitudes, tell in which order they leave."""
    net = EventMLP((n_inputs, 2), n_steps=1)
    random = np.random.RandomState(0)
    weights = [random.uniform(-1, 1, (n_inputs, 2)) * 2.0 ** random.randint(-9, 9, (n_inputs, 2))]
    x = random.choice([-1.75, 0.25, 0.75, 1.75, 2.75], (60, n_inputs))
    literal = LiteralEventNetwork(net, weights)
    record = EventNetwork(net, weights).predict(x, record=True)
    for n in range(len(x)):
        assert_sample(net, record, n, literal.show([x[n]], None))


def small(**changes):
    net = EventMLP((6, 5, 4, 3), learning_rate=0.1, **changes)
    random = np.random.RandomState(5)
    weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
    return net, weights, random.uniform(-0.5, 1.5, (40, 6)), random.randint(0, 3, 40)


def test_the_order_makes_no_difference_without_learning():
    scores = []
    for order in ORDERS:
        net, weights, x, _ = small(**order)
        scores.append(EventNetwork(net, weights).predict(x))
    assert_all_equal(scores, [scores[0]] * len(scores))


def test_backward_spikes_are_counted():
    net, weights, x, y = small()
    start = EventCheckpoint.initial(net, weights)
    launched = backward_spikes(start, x, y)
    assert launched.net.shape == launched.gross.shape == (len(x), 5 + 4 + 3)
    assert (np.abs(launched.net) <= launched.gross).all()


# --- Samples


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_blocks_and_calls_of_one_sample_learn_like_one_call_of_many(order, monkeypatch):
    net, weights, x, y = small(**order)
    x, targets = x[:9], np.eye(3)[y[:9]]
    whole, singly, in_blocks = (EventNetwork(net, weights) for _ in range(3))
    expected = whole.train(x, targets, record=True)
    scores = [singly.train(x[i : i + 1], targets[i : i + 1]) for i in range(9)]
    assert_all_equal([np.concatenate(scores)], [expected.scores])
    monkeypatch.setattr(network, "BLOCK_WORK", 2 * net.n_steps * (6 * 5 + 5 * 4 + 4 * 3))
    record = in_blocks.train(x, y[:9], record=True)
    assert_all_equal(
        [record.scores, *record.spikes, *record.errors],
        [expected.scores, *expected.spikes, *expected.errors],
    )
    for found in (singly, in_blocks):
        assert_equal(found.checkpoint(), whole.checkpoint())
        assert found.operations == whole.operations


def test_no_samples_are_samples():
    net, weights, x, y = small()
    found = EventNetwork(net, weights)
    record = found.train(x[:0], y[:0], record=True)
    assert record.scores.shape == found.predict(x[:0]).shape == (0, 3)
    assert [k.shape for k in record.spikes] == [(0, 10, n) for n in net.layer_sizes]
    assert found.samples_seen == found.operations.samples == 0


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 5)), [0, 1], r"x must be real numbers of shape \(n_samples, 6\); got shape"),
        (np.zeros((2, 6), complex), [0, 1], "x must be real numbers"),
        (np.full((2, 6), np.nan), [0, 1], "x must be finite; got nan"),
        (np.full((2, 6), np.inf), [0, 1], "x must be finite; got inf"),
        (np.zeros((2, 6)), [0, 3], "y must be integer labels from 0 to 2"),
        (np.zeros((2, 6)), [0, -1], "y must be integer labels from 0 to 2"),
        (np.zeros((2, 6)), [0.0, 1.0], "y must be integer labels from 0 to 2"),
        (np.zeros((2, 6)), [0], r"y must be labels of shape \(2,\) or real numbers of shape"),
        (np.zeros((2, 6)), np.full((2, 3), np.nan), "y must be finite; got nan"),
    ],
)
def test_wrong_samples_are_refused(x, y, message):
    net, weights, *_ = small()
    found = EventNetwork(net, weights)
    with pytest.raises(ValueError, match=message):
        found.train(x, y)
    assert_equal(found.checkpoint(), EventCheckpoint.initial(net, weights))


def test_an_interrupt_leaves_a_sample_boundary(monkeypatch):
    net, weights, x, y = small()
    found, undisturbed = EventNetwork(net, weights), EventNetwork(net, weights)
    found.train(x[:5], y[:5])
    show = EventNetwork._show_block

    def interrupted(*arguments):
        show(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(EventNetwork, "_show_block", interrupted)
        with pytest.raises(KeyboardInterrupt):
            found.train(x[5:9], y[5:9])
    # The call has ended, so its samples are learned and counted.
    undisturbed.train(x[:9], y[:9])
    assert found.operations == undisturbed.operations
    assert_equal(found.checkpoint(), undisturbed.checkpoint())


# --- Range


# What is wrong in sample 4 of 8, and what the error names.
def enormous_input(x, y):
    x[4, 2] = 2.0**23


def infinite_input(x, y):
    x[4, 2] = 1e300


def too_many_input_spikes(x, y):
    x[4, 2] = 2.0**20


def enormous_target(x, y):
    y[4, 1] = -(2.0**30)


def too_many_in_all(x, y):
    x[4] = 2.0**18


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (enormous_input, "potential of layer 0 must stay below 8388608 in magnitude; it reached"),
        (infinite_input, r"potential of layer 0 must stay below 8.38861e\+06 in magnitude.* inf,"),
        (too_many_input_spikes, "spikes in one step of layer 0 must be fewer than 1048576"),
        (enormous_target, r"target potential of layer 3 must stay below 8.38861e\+06"),
        (too_many_in_all, "spikes in one step of layer 0 must be fewer than 1048576"),
    ],
)
def test_what_is_out_of_range_leaves_a_sample_boundary(order, spoil, message):
    net, weights, x, y = small(**order)
    x, y = x[:8], np.eye(3)[y[:8]]
    spoil(x, y)
    found, expected = EventNetwork(net, weights), EventNetwork(net, weights)
    expected.train(x[:4], y[:4])
    with pytest.raises(OverflowError, match=f"{message}.*in sample 4$"):
        found.train(x, y)
    for _ in range(2):
        assert_equal(found.checkpoint(), expected.checkpoint())
        assert found.operations == expected.operations
        for each in (found, expected):  # the columns that carry errors are not in a checkpoint
            each.train(x[5:], y[5:])


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("arithmetic", "scale", "message"),
    [
        ("float32", 2.0**21, "spikes in one step of layer 1 must be fewer than"),
        ("float32", -(2.0**22), "potential of layer 1 must stay below"),
        ("float64", 2.0**30, "potential of layer 1 must stay below"),
        ("float32", 3e5, "spikes in one step of layer 1 must be fewer than"),
    ],
)
def test_weights_that_drive_too_much_are_an_error(order, arithmetic, scale, message):
    net = EventMLP((3, 2, 2), arithmetic=arithmetic, **order)
    found = EventNetwork(net, [np.full((3, 2), scale), np.ones((2, 2))])
    x = np.ones((1, 3))
    for call in (lambda: found.train(x, [0]), lambda: found.predict(x)):
        with pytest.raises(OverflowError, match=message):
            call()
    assert found.samples_seen == 0


def test_summed_drive_that_leaves_the_range_is_an_error():
    found = EventNetwork(EventMLP((1, 1)), [[[9e5]]])
    with pytest.raises(
        OverflowError, match=r"summed drive of layer 1 must stay below 8.38861e\+06"
    ):
        found.predict([[1.0]])


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_a_weight_that_leaves_the_range_is_an_error(update, order):
    # One output that fires whatever it learns, with a count of one million from the only input.
    net = EventMLP((1, 1), n_steps=1, learning_rate=100.0, update=update, **order)
    found = EventNetwork(net, [[[1e-6]]])
    with pytest.raises(OverflowError, match=r"weight of layer 1 must stay below 8.38861e\+06"):
        found.train([[1e6]], [[-1.0]])
    assert found.weights[0].tolist() == [[float(np.float32(1e-6))]]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_errors_that_avalanche_are_an_error(order):
    net = EventMLP((2, 3, 3, 1), n_steps=2, learning_rate=1e-6, **order)
    weights = [np.ones((2, 3)), np.full((3, 3), 2e3), np.full((3, 1), 2e3)]
    weights[1][:, 0] = -2e3
    with pytest.raises(OverflowError, match=r"of layer \d must"):
        EventNetwork(net, weights).train(np.ones((1, 2)), [[-1.0]])


# --- Checkpoints


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_training_goes_on_from_a_checkpoint(order, arithmetic, tmp_path):
    net, weights, x, y = small(arithmetic=arithmetic, **order)
    whole, first = EventNetwork(net, weights), EventNetwork(net, weights)
    whole.train(x, y)
    first.train(x[:13], y[:13])
    first.predict(x)
    first.save(tmp_path / "half.npz")
    checkpoint = EventCheckpoint.load(tmp_path / "half.npz")
    assert_equal(checkpoint, first.checkpoint())
    assert checkpoint.weights[0].dtype == arithmetic
    second = EventNetwork(checkpoint)
    assert second.samples_seen == 13
    second.train(x[13:], y[13:])
    assert_equal(second.checkpoint(), whole.checkpoint())
    assert second.operations.samples == 27
    assert_equal(checkpoint, first.checkpoint())  # which has not been written to


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"definition": None}, "it holds no definition of a network"),
        ({"format_version": np.array(2)}, "2"),
        ({"definition": np.frombuffer(b"{}", np.uint8)}, "values must be a mapping with"),
        ({"definition": np.frombuffer(b"[" * 100_000, np.uint8)}, "is not a readable"),
        ({"samples_seen": np.array(-1)}, "samples_seen must be a number that is not negative"),
        ({"weights_1": None}, r"weights_1 must be float32 of shape \(6, 5\)"),
        ({"weights_1": np.zeros((5, 6), "f4")}, r"weights_1 must be float32 of shape \(6, 5\)"),
        ({"weights_3": np.zeros((4, 3))}, r"weights_3 must be float32 of shape \(4, 3\)"),
        ({"weights_3": np.full((4, 3), np.nan, "f4")}, "weights_3 must stay below 8.38861e"),
        ({"backward_potential_2": np.full(4, 2.0**23, "f4")}, "backward_potential_2 must stay"),
    ],
)
def test_a_damaged_file_is_refused(changes, message, tmp_path):
    net, weights, _, _ = small()
    EventCheckpoint.initial(net, weights).save(tmp_path / "a.npz")
    arrays = read_archive(tmp_path / "a.npz", "file") | changes
    kept = {name: array for name, array in arrays.items() if array is not None}
    write_archive(tmp_path / "b.npz", kept)
    with pytest.raises(ValueError, match=message):
        EventCheckpoint.load(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([np.zeros((2, 3))], r"weights must be matrices of shapes \[\(3, 2\)\]; got \[\(2, 3\)\]"),
        ([[["a"] * 2] * 3], "weights of layer 1 must be finite real numbers"),
        ([np.full((3, 2), np.inf)], "weights of layer 1 must be finite real numbers; got inf"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        EventNetwork(EventMLP((3, 2)), weights)


def test_what_is_no_start_is_refused():
    net = EventMLP((3, 2))
    with pytest.raises(ValueError, match="start must be an EventMLP or an EventCheckpoint; got 3"):
        EventNetwork(3)
    with pytest.raises(ValueError, match="weights must be None with a checkpoint; got matrices"):
        EventNetwork(EventCheckpoint.initial(net), [np.zeros((3, 2))])
    with pytest.raises(OverflowError, match="weight of layer 1 must stay below"):
        EventNetwork(net, [np.full((3, 2), 1e10)])
