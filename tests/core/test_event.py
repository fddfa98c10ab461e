"""Event timing: the compiled engine against a literal transcription, one spike at a time."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, reject, settings
from numba import njit

from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError, load
from spikebp_plugins.compiled import backend as compiled
from spikebp_plugins.compiled.kernels import event_queue
from tests.core.backward_spikes import backward_spikes
from tests.core.literal import asked_by
from tests.core.literal_event import JavaQueue, LiteralEventNetwork
from tests.core.small_nets import assert_all_equal, checkpoint_bytes
from tests.core.strategies import event_experiments
from tests.core.test_registry import Pretender
from tests.profiles import examples

EVENT = {"timing": "event", "arithmetic": "float32"}
ORDERS = [
    {"event_order": order, "hold_error": hold}
    for order in ("breadth", "depth")
    for hold in (True, False)
]


def drawn_by_the_rule(net, i):
    generator = np.random.Philox(key=net.seed, counter=[0, 0, i, 0])
    number = np.dtype(net.arithmetic).type
    hidden = [
        [number(math.ldexp((int(raw) >> 11) - 2**52, -53)) for raw in generator.random_raw(size)]
        for size in net.layer_sizes[1:-1]
    ]
    return [[number(0)] * net.n_inputs, *hidden, [number(0)] * net.n_outputs]


def steps_of(sample, n_steps):
    return np.broadcast_to(sample, (n_steps, sample.shape[-1]))


def assert_sample(net, trace, n, shown):
    k, e, s = shown
    n_steps = len(k)
    for t in range(n_steps):
        for l in range(net.n_layers + 1):
            assert trace.spikes[l][n, t].tolist() == k[t][l]
            if trace.errors is not None and l > 0:
                assert trace.errors[l][n, t].tolist() == e[t][l]
        steps = np.dtype(net.arithmetic).type(t + 1)
        scores = [float(np.float32(drive / steps)) for drive in s[t]]
        assert trace.step_scores[n, t].tolist() == scores
    assert trace.scores[n].tolist() == trace.step_scores[n, -1].tolist()


def assert_follows_the_order(net, weights, x, y, x_test):
    targets = np.array(asked_by(net, y)) if y.ndim == 1 else y
    literal = LiteralEventNetwork(net, weights, net.init_feedback())
    T, L = net.n_steps, net.n_layers
    with Simulator(net, weights=weights, n_jobs=1) as sim:
        try:
            launched = backward_spikes(sim.checkpoint(), x, y)
        except OverflowError as error:  # a cascade that does not end, which nobody could follow
            with pytest.raises(OverflowError, match=re.escape(str(error))):
                sim.train(x, y)
            reject()
        trace = sim.train(x, y, record=True)
        for n in range(len(x)):
            if net.backward_init == "uniform":
                literal.psi = drawn_by_the_rule(net, n)
            assert_sample(net, trace, n, literal.show(steps_of(x[n], T), steps_of(targets[n], T)))
            assert launched.net[n].tolist() == np.concatenate(literal.net_backward[1:]).tolist()
            assert launched.gross[n].tolist() == np.concatenate(literal.gross_backward[1:]).tolist()
        state = sim.checkpoint().state
        for l in range(1, L + 1):
            assert trace.weights[l - 1].tolist() == np.array(literal.W[l], float).tolist()
            if l < L:
                assert state.backward_potentials[l - 1].tolist() == literal.psi[l]
        lengths = (T,) if x_test.ndim == 3 or net.input_coding == "spikes" else (T, T + 3)
        for n_steps in lengths:
            predicted = sim.predict(x_test, n_steps=n_steps, record=True)
            assert predicted.errors is None
            for n in range(len(x_test)):
                shown = literal.show(steps_of(x_test[n], n_steps), None)
                assert_sample(net, predicted, n, shown)
        work, sizes = sim.operations, net.layer_sizes
        assert work.spikes == sum(literal.n_sent)
        assert work.errors == sum(literal.n_passed)
        assert work.forward == sum(literal.n_sent[l - 1] * sizes[l] for l in range(1, L + 1))
        assert work.backward == sum(literal.n_passed[l] * sizes[l - 1] for l in range(2, L + 1))
        assert work.update == literal.n_changed
        assert work.samples == len(x) + len(lengths) * len(x_test)


@settings(max_examples=examples(300))
@given(event_experiments())
def test_the_engine_follows_the_order(experiment):
    assert_follows_the_order(*experiment)


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
    with Simulator(SpikingMLP((1, 1), n_steps=1, input_scale=scale, **EVENT), n_jobs=1) as sim:
        assert sim.predict([[x]], record=True).spikes[0].item() == k


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_a_network_of_many_spikes_follows_the_order(arithmetic, order):
    net = SpikingMLP(
        (9, 8, 7, 4), timing="event", arithmetic=arithmetic, learning_rate=0.05, n_steps=8, **order
    )
    random = np.random.RandomState(3)
    weights = [random.standard_normal(shape) * 0.7 for shape in net.weight_shapes]
    x = np.rint(random.uniform(-6, 12, (12, 9))) / 4
    assert_follows_the_order(net, weights, x, random.randint(0, 4, 12), x)


@njit(_nrt=False)  # what kernels alone call is compiled without a way in from Python
def queued(queues, keys):
    for size in range(keys.size):
        event_queue.offer(queues.key[0], queues.spike[0], size, keys[size], size)
    queues.size[0] = keys.size
    return event_queue.let_go(queues, 0, 0)


def test_equal_keys_leave_as_they_leave_the_heap():
    random = np.random.RandomState(0)
    queues = event_queue.make_queues(1, np.zeros(3))
    for _ in range(200):
        keys = random.randint(1, 5, random.randint(1, 40)).astype(np.float32)
        java = JavaQueue()
        for size, key in enumerate(keys):
            java.offer(key, size)
        n_left = queued(queues, keys)
        assert queues.left[0, :n_left].tolist() == [java.poll() for _ in keys]


def small(**changes):
    net = SpikingMLP((6, 5, 4, 3), learning_rate=0.1, **(EVENT | changes))
    random = np.random.RandomState(5)
    weights = [random.standard_normal(shape) * 0.6 for shape in net.weight_shapes]
    return net, weights, random.uniform(-0.5, 1.5, (40, 6)), random.randint(0, 3, 40)


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_training_goes_on_from_a_checkpoint(order, tmp_path):
    net, weights, x, y = small(backward_init="uniform", **order)
    with Simulator(net, weights=weights) as whole, Simulator(net, weights=weights) as first:
        whole.train(x, y)
        first.train(x[:13], y[:13])
        first.predict(x)
        first.save(tmp_path / "half.npz")
        checkpoint = load(tmp_path / "half.npz", net)
        assert checkpoint.net == net
        with checkpoint.simulate() as second:
            second.train(x[13:], y[13:])
            assert checkpoint_bytes(second) == checkpoint_bytes(whole)


def test_a_checkpoint_of_another_order_is_refused(tmp_path):
    net, weights, _, _ = small()
    Simulator(net, weights=weights).save(tmp_path / "breadth.npz")
    with pytest.raises(ValueError, match="event_order is 'breadth' there and 'depth' here"):
        load(tmp_path / "breadth.npz", net.replace(event_order="depth"))


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
    with Simulator(net, weights=weights) as expected:
        expected.train(x[:4], y[:4])
    spoil(net, x, y)
    with Simulator(net, weights=weights) as sim:
        with pytest.raises(OverflowError, match=message):
            sim.train(x, y)
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
        assert sim.operations == expected.operations


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
    net = SpikingMLP((3, 2, 2), timing="event", arithmetic=arithmetic, **order)
    weights = [np.full((3, 2), scale), np.ones((2, 2))]
    with Simulator(net, weights=weights) as sim:
        for call in (lambda: sim.train(np.ones((1, 3)), [0]), lambda: sim.predict(np.ones((1, 3)))):
            with pytest.raises(OverflowError, match=message):
                call()
        assert sim.samples_seen == 0


def test_summed_drive_that_leaves_the_range_is_an_error():
    net = SpikingMLP((1, 1), n_steps=10, **EVENT)
    with (
        Simulator(net, weights=[[[9e5]]]) as sim,
        pytest.raises(OverflowError, match=r"summed drive of layer 1 must stay below 8.38861e\+06"),
    ):
        sim.predict([[1.0]])


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_a_weight_that_leaves_the_range_is_an_error(update, order):
    # One output that fires whatever it learns, with a count of one million from the only input.
    net = SpikingMLP((1, 1), n_steps=1, learning_rate=100.0, update=update, **EVENT, **order)
    with Simulator(net, weights=[[[1e-6]]]) as sim:
        with pytest.raises(OverflowError, match=r"weight of layer 1 must stay below 8.38861e\+06"):
            sim.train([[1e6]], [[-1.0]])
        assert sim.weights[0].tolist() == [[float(np.float32(1e-6))]]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_errors_that_avalanche_are_an_error(order):
    net = SpikingMLP((2, 3, 3, 1), n_steps=2, learning_rate=1e-6, **EVENT, **order)
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
        show = compiled.KERNELS["event"]

        def interrupted(job):
            show(job)
            raise KeyboardInterrupt

        monkeypatch.setitem(compiled.KERNELS, "event", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sim.train(x[5:9], y[5:9])
        monkeypatch.undo()
        # The kernel has ended, so its samples are learned and counted.
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
