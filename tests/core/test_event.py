"""Event timing: the compiled engine against a literal transcription, one spike at a time."""

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP, UnsupportedError
from spikebp_plugins.engine.backend import MOST_STEPS
from spikebp_plugins.engine.building import levels
from spikebp_plugins.engine.event_network import EventNetwork
from spikebp_plugins.engine.library import best_level
from tests.core.backward_spikes import backward_spikes
from tests.core.engine_copies import skip_without_engine
from tests.core.event_networks import (
    assert_follows_the_order,
    assert_sample,
    on_level,
    run,
    steps_of,
)
from tests.core.literal_event import LiteralEventNetwork
from tests.core.small_nets import assert_all_equal, checkpoint_bytes
from tests.core.test_registry import Pretender
from tests.profiles import examples

skip_without_engine()

LEVELS = [level for level in levels() if level <= best_level()]
EVENT = {"timing": "event", "arithmetic": "float32"}
ORDERS = [
    {"event_order": order, "hold_error": hold}
    for order in ("breadth", "depth")
    for hold in (True, False)
]


@pytest.mark.parametrize("level", LEVELS)
def test_the_engine_follows_the_order(level):
    run(level, max_examples=examples(200 if level == best_level() else 50))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_layers_of_many_vectors_follow_the_order(arithmetic, level):
    net = SpikingMLP.paper((40, 150, 70, 3), n_steps=2, timing="event", arithmetic=arithmetic)
    random = np.random.RandomState(3)
    weights = [random.standard_normal(s) * 2 / np.sqrt(s[0]) for s in net.weight_shapes]
    x = random.uniform(-0.5, 1, (2, 40))
    with on_level(level):
        assert_follows_the_order(net, weights, x, np.array([0, 2]), x)


def test_a_sample_of_many_steps_is_learned():
    """There are no single steps, by which the step timings show so many."""
    net = SpikingMLP.paper((2, 2), n_steps=MOST_STEPS + 1, timing="event", arithmetic="float64")
    weights, x = [np.full((2, 2), 0.25)], np.array([[0.3, 0.6]])
    assert_follows_the_order(net, weights, x, np.array([1]), x)


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
    with Simulator(
        SpikingMLP.paper((1, 1), n_steps=1, input_scale=scale, **EVENT), n_jobs=1
    ) as sim:
        assert sim.predict([[x]], record=True).spikes[0].item() == k


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("l", [0, 1])
def test_thresholds_are_those_of_single_precision(l, level):
    """Of the input, and of a layer, in double precision: half, and numbers that round to it."""
    net = SpikingMLP.paper((1, 1, 1), timing="event", arithmetic="float64", n_steps=1)
    at_half = 0.5 + np.array([-(2.0**-26), 0.0, 2.0**-26, 2.0**-25, 2.0**-25 + 2.0**-53, 2.0**-24])
    with on_level(level):
        for v in at_half:
            weight, x = (v, 1.0) if l == 1 else (1.0, v)
            sim = Simulator(net, weights=[[[weight]], [[1.0]]], n_jobs=1)
            k = sim.predict([[x]], record=True).spikes[l].item()
            assert k == (np.float32(v) > 0.5)


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_a_network_of_many_spikes_follows_the_order(arithmetic, order):
    net = SpikingMLP.paper(
        (9, 8, 7, 4), timing="event", arithmetic=arithmetic, learning_rate=0.05, n_steps=8, **order
    )
    random = np.random.RandomState(3)
    weights = [random.standard_normal(shape) * 0.7 for shape in net.weight_shapes]
    x = np.rint(random.uniform(-6, 12, (12, 9))) / 4
    assert_follows_the_order(net, weights, x, random.randint(0, 4, 12), x)


@pytest.mark.parametrize("n_inputs", [2, 3, 7, 8, 100])
def test_equal_keys_leave_as_they_leave_the_heap(n_inputs):
    """Sums in single precision, of weights of all magnitudes, tell in which order they leave."""
    net = SpikingMLP.paper((n_inputs, 2), n_steps=1, **EVENT)
    random = np.random.RandomState(0)
    weights = [random.uniform(-1, 1, (n_inputs, 2)) * 2.0 ** random.randint(-9, 9, (n_inputs, 2))]
    x = random.choice([-1.75, 0.25, 0.75, 1.75, 2.75], (60, n_inputs))
    literal = LiteralEventNetwork(net, weights)
    trace = Simulator(net, weights=weights).predict(x, record=True)
    for n in range(len(x)):
        assert_sample(net, trace, n, literal.show([x[n]], None))


def small(**changes):
    net = SpikingMLP.paper((6, 5, 4, 3), learning_rate=0.1, **(EVENT | changes))
    random = np.random.RandomState(5)
    weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
    return net, weights, random.uniform(-0.5, 1.5, (40, 6)), random.randint(0, 3, 40)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_training_goes_on_from_a_checkpoint(order, tmp_path):
    net, weights, x, y = small(**order)
    with Simulator(net, weights=weights) as whole, Simulator(net, weights=weights) as first:
        whole.train(x, y)
        first.train(x[:13], y[:13])
        first.predict(x)
        first.save(tmp_path / "half.npz")
        checkpoint = Checkpoint.load(tmp_path / "half.npz", net)
        assert checkpoint.net == net
        with checkpoint.simulate() as second:
            second.train(x[13:], y[13:])
            assert checkpoint_bytes(second) == checkpoint_bytes(whole)


def test_a_checkpoint_of_another_order_is_refused(tmp_path):
    net, weights, _, _ = small()
    Simulator(net, weights=weights).save(tmp_path / "breadth.npz")
    with pytest.raises(ValueError, match="event_order is 'breadth' there and 'depth' here"):
        Checkpoint.load(tmp_path / "breadth.npz", net.replace(event_order="depth"))


def test_prediction_is_the_same_in_any_number_of_threads():
    net, weights, x, _ = small()
    x = np.tile(x, (5, 1))
    with Simulator(net, weights=weights, n_jobs=3) as sim:
        trace = sim.predict(x, record=True)
        operations = sim.operations
    literal = LiteralEventNetwork(net, weights)
    for n in range(len(x)):
        assert_sample(net, trace, n, literal.show(steps_of(x[n], net.n_steps), None))
    assert operations.spikes == sum(literal.n_sent)


def test_the_order_makes_no_difference_without_learning():
    scores = []
    for order in ORDERS:
        net, weights, x, _ = small(**order)
        scores.append(Simulator(net, weights=weights).predict(x))
    assert_all_equal(scores, [scores[0]] * len(scores))


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_one_sample_a_call_is_checked_and_learned_like_many(order):
    net, weights, x, y = small(**order)
    x, y = x[:9], np.eye(3)[y[:9]]
    with Simulator(net, weights=weights) as sim, Simulator(net, weights=weights) as whole:
        found = [sim.train(x[i : i + 1], y[i : i + 1]) for i in range(9)]
        assert_all_equal([np.concatenate(found)], [whole.train(x, y)])
        for wrong in (np.nan, np.inf):
            with pytest.raises(ValueError, match="x must be finite"):
                sim.train(np.full((1, 6), wrong), y[:1])
            with pytest.raises(ValueError, match="x must be finite"):
                sim.predict(np.full((1, 6), wrong))
            with pytest.raises(ValueError, match="y must be finite"):
                sim.train(x[:1], np.full((1, 3), wrong))
        assert checkpoint_bytes(sim) == checkpoint_bytes(whole)
        assert sim.operations == whole.operations


# What is wrong in sample 4 of 8, and what the error names.
def enormous_input(net, x, y):
    x[4, 2] = 2.0**23


def too_many_input_spikes(net, x, y):
    x[4, 2] = 2.0**20


def enormous_target(net, x, y):
    y[4, 1] = -(2.0**30)


def too_many_in_all(net, x, y):
    x[4] = 2.0**18


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (enormous_input, "potential of layer 0 must stay below 8388608 in magnitude; it reached"),
        (too_many_input_spikes, "spikes in one step of layer 0 must be fewer than 1048576"),
        (enormous_target, r"target potential of layer 3 must stay below 8.38861e\+06"),
        (too_many_in_all, "spikes in one step of layer 0 must be fewer than 1048576"),
    ],
)
def test_what_is_out_of_range_leaves_a_sample_boundary(order, spoil, message):
    net, weights, x, y = small(**order)
    x, y = x[:8], np.eye(3)[y[:8]]
    spoil(net, x, y)
    with Simulator(net, weights=weights) as sim, Simulator(net, weights=weights) as expected:
        expected.train(x[:4], y[:4])
        with pytest.raises(OverflowError, match=message):
            sim.train(x, y)
        for _ in range(2):
            assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
            assert sim.operations == expected.operations
            for each in (sim, expected):  # the columns that carry errors are not in a checkpoint
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
    net = SpikingMLP.paper((3, 2, 2), timing="event", arithmetic=arithmetic, **order)
    weights = [np.full((3, 2), scale), np.ones((2, 2))]
    with Simulator(net, weights=weights) as sim:
        for call in (lambda: sim.train(np.ones((1, 3)), [0]), lambda: sim.predict(np.ones((1, 3)))):
            with pytest.raises(OverflowError, match=message):
                call()
        assert sim.samples_seen == 0


def test_summed_drive_that_leaves_the_range_is_an_error():
    net = SpikingMLP.paper((1, 1), n_steps=10, **EVENT)
    with (
        Simulator(net, weights=[[[9e5]]]) as sim,
        pytest.raises(OverflowError, match=r"summed drive of layer 1 must stay below 8.38861e\+06"),
    ):
        sim.predict([[1.0]])


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_a_weight_that_leaves_the_range_is_an_error(update, order):
    # One output that fires whatever it learns, with a count of one million from the only input.
    net = SpikingMLP.paper((1, 1), n_steps=1, learning_rate=100.0, update=update, **EVENT, **order)
    with Simulator(net, weights=[[[1e-6]]]) as sim:
        with pytest.raises(OverflowError, match=r"weight of layer 1 must stay below 8.38861e\+06"):
            sim.train([[1e6]], [[-1.0]])
        assert sim.weights[0].tolist() == [[float(np.float32(1e-6))]]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_errors_that_avalanche_are_an_error(order):
    net = SpikingMLP.paper((2, 3, 3, 1), n_steps=2, learning_rate=1e-6, **EVENT, **order)
    weights = [np.ones((2, 3)), np.full((3, 3), 2e3), np.full((3, 1), 2e3)]
    weights[1][:, 0] = -2e3
    with (
        Simulator(net, weights=weights) as sim,
        pytest.raises(OverflowError, match=r"of layer \d must"),
    ):
        sim.train(np.ones((1, 2)), [[-1.0]])


def test_an_interrupt_leaves_a_sample_boundary(monkeypatch):
    net, weights, x, y = small()
    with Simulator(net, weights=weights) as sim, Simulator(net, weights=weights) as undisturbed:
        sim.train(x[:5], y[:5])
        show = EventNetwork.show

        def interrupted(*arguments):
            show(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(EventNetwork, "show", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sim.train(x[5:9], y[5:9])
        monkeypatch.undo()
        # The call has ended, so its samples are learned and counted.
        undisturbed.train(x[:9], y[:9])
        assert sim.operations == undisturbed.operations
        assert checkpoint_bytes(sim) == checkpoint_bytes(undisturbed)


def test_backward_spikes_are_counted_without_learning():
    net, weights, x, y = small()
    with Simulator(net, weights=weights) as sim:
        before = checkpoint_bytes(sim)
        launched = backward_spikes(sim.checkpoint(), x, y)
        assert launched.net.shape == launched.gross.shape == (len(x), 5 + 4 + 3)
        assert (np.abs(launched.net) <= launched.gross).all()
        assert checkpoint_bytes(sim) == before
    x[0] = 2.0**30
    with pytest.raises(OverflowError, match="potential of layer 0"):
        backward_spikes(sim.checkpoint(), x, y)


def test_other_back_ends_refuse_event_timing(monkeypatch):
    net, _, _, _ = small()
    reason = "it knows timing='immediate', not timing='event'"
    with pytest.raises(UnsupportedError, match="back end 'reference' cannot run this network: it"):
        Simulator(net, "reference")
    # One that has never heard of it does not even get to see the definition.
    monkeypatch.setattr("spikebp_plugins.backends.registry.get_backend", lambda _: Pretender)
    with pytest.raises(UnsupportedError, match=reason):
        Simulator(net, "pretender")
