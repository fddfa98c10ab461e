"""The engine in C equals the reference, in each build that this processor runs."""

import numpy as np
import pytest

from spikebp_plugins import (
    EVENT_DTYPE,
    Conv2D,
    Dense,
    EventEncoder,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
)
from spikebp_plugins.engine.library import best_level
from spikebp_plugins.engine.step_engine import StepContext, StepEngine
from spikebp_plugins.engine.structs import B, C, W
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import initial_state
from tests.core.engine_copies import skip_without_engine
from tests.core.engine_networks import CHECKS, Pair, run
from tests.profiles import examples

skip_without_engine()

BUILDS = [(level, bits) for level in (1, 3, 4) if level <= best_level() for bits in (32, 64)]


@pytest.mark.parametrize(("level", "bits"), BUILDS)
@pytest.mark.parametrize("check", CHECKS)
def test_random_networks_equal_the_reference(check, level, bits):
    run(check, level, bits, max_examples=examples(50))


@pytest.mark.parametrize(("level", "bits"), BUILDS)
@pytest.mark.parametrize("n", [32, 112])
def test_layers_of_which_all_units_fire(n, level, bits):
    """The lists of a row are full, and what is written behind one would be in the next."""
    net = SpikingMLP.paper((3, 5, n, 2), n_steps=4, fraction_bits=10, learning_rate=0.1)
    random = np.random.RandomState(0)
    ref = Simulator(net, "reference", [random.uniform(0.5, 1, s) for s in net.weight_shapes])
    x = random.uniform(1, 2, (3, 3))
    pair = Pair(net, ref.checkpoint().state, level, bits)
    assert np.array_equal(pair.c.show(check_batch(net, x)).scores, ref.predict(x))


@pytest.mark.parametrize("bits", [32, 64])
def test_samples_may_have_a_million_steps(bits):
    """Memory for each step is not on the stack, which does not hold so many."""
    net = SpikingMLP.paper((1, 1, 1), n_steps=2, fraction_bits=10, learning_rate=0.1)
    n_steps = 1_000_000
    ref = Simulator(net, "reference", [[[0.5]], [[0.5]]])
    pair = Pair(net, ref.checkpoint().state, best_level(), bits)
    x = np.full((1, 1), 2.0**-8)
    shown = pair.c.show(check_batch(net, x, None, n_steps))
    assert shown.scores.tolist() == [[976.5 / n_steps]]  # of 3906 spikes, and 1953


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("most_pending", [1, 2, 3, 16, 40])
def test_samples_of_more_steps_than_updates_may_wait(most_pending, bits):
    """In step t the weight grows by t units, as often as the input has sent a spike."""
    net = SpikingMLP.paper(
        (1, 1), n_steps=40, input_coding="spikes", fraction_bits=20, learning_rate=1600 * 2.0**-20
    )
    pair = Pair(net, initial_state(net, [[[0.0]]]), best_level(), bits, most_pending)
    x, y = np.ones((1, 40, 1), int), np.ones((1, 1))
    units = pair.c.show(check_batch(net, x, y)).scores * 40 * 2**20
    assert units.tolist() == [[sum(t * (t - 1) // 2 for t in range(1, 41))]]
    assert pair.c.read().weights[0] * 2**20 == 40 * 41 // 2
    pair.ref.train(x, y)
    pair.assert_same()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("most_pending", [1, 2, 3, 4, 5, 16])
def test_samples_with_delays_whose_updates_fill_all_room(most_pending, bits):
    """Steps follow the last update, in which weights are written before the sample closes."""
    net = SpikingMLP.paper(
        (3, 5, 4, 2), n_steps=4, timing="pipelined", learning_rate=0.05, fraction_bits=12
    )
    random = np.random.RandomState(0)
    x, y = 2 * random.rand(12, 3), random.randint(0, 2, 12)
    weights = [random.standard_normal(shape) for shape in net.weight_shapes]
    pair = Pair(net, initial_state(net, weights), best_level(), bits, most_pending)
    assert np.array_equal(pair.c.show(check_batch(net, x, y)).scores, pair.ref.train(x, y))
    pair.assert_same()


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("is_dropped", [True, False])
def test_a_sample_that_has_written_weights_of_all_kinds_is_undone(is_dropped, bits):
    """An update that waits, too: by the caller, or by the next sample after an interrupt."""
    layers = [Conv2D(2, 2), Conv2D(3, 2), Sparse(6, 0.5), Dense(5), Dense(3)]
    net = SpikingNetwork.paper((4, 4, 1), layers, n_steps=3, learning_rate=0.01, seed=1)
    random = np.random.RandomState(0)
    weights = [random.uniform(0.1, 0.6, shape) for shape in net.weight_shapes]
    pair = Pair(net, initial_state(net, weights), best_level(), bits, most_pending=1)
    c, x, y = pair.c, np.full(16, 0.9), np.array([9.0, 0.0, 3.0])
    held = [c.array(l, which) for which in (W, B) for l in range(1 + (which == B), 6)]
    before = [array.copy() for array in held]
    c.begin_steps(y, opens=True, restarts=True)
    assert c.show_steps(x, 3) == 3
    assert not any(map(np.array_equal, held, before))
    pair.assert_same()  # which reads what was before
    c.begin_steps(y)
    assert c.show_steps(x, 1) == 1
    if is_dropped:
        c.drop_sample()
        assert all(map(np.array_equal, held, before))
        other = initial_state(net, [matrix / 2 for matrix in weights])
        c.write(other)  # which nothing undoes
        c.begin_steps(None, opens=True)
        assert c.show_steps(x, 1) == 1
        assert all(map(np.array_equal, c.read().weights, other.weights))
        c.write(initial_state(net, weights))
    c.begin_steps(y, opens=True, restarts=True)
    assert c.show_steps(x, 3) == 3
    assert c.close_sample(learns=True)
    pair.ref.train(x[np.newaxis], y[np.newaxis])
    pair.assert_same()


def test_bounds_that_a_dropped_sample_has_measured_are_forgotten():
    """It makes a weight of 256 one of 64, which more spikes may meet."""
    net = SpikingMLP.paper(
        (1, 1), n_steps=2, input_coding="spikes", fraction_bits=20, learning_rate=0.75 * 2**2
    )
    c = Pair(net, initial_state(net, [[[256.0]]]), best_level(), 32).c
    c.begin_steps(np.array([0.0]), opens=True, restarts=True)
    assert c.show_steps(np.array([1]), 1) == 1
    c.begin_steps(None)
    assert c.show_steps(np.array([5]), 1) == 1
    assert c.scores(2).tolist() == [(256 + 5 * 64) / 2]
    c.drop_sample()
    assert c.show(check_batch(net, np.array([[[2], [0]]]))).scores.tolist() == [[256.0]]
    assert not len(c.show(check_batch(net, np.array([[[16], [0]]]))).scores)


@pytest.mark.parametrize(("bits", "fraction_bits"), [(32, 20), (64, 40)])
def test_bytes_that_follow_each_other_with_a_sample_between_that_is_refused(bits, fraction_bits):
    """Each of 16 weights of 4: the engine goes on from what the refused sample has sent."""
    net = SpikingMLP.paper(
        (16, 1), n_steps=1, fraction_bits=fraction_bits, learning_rate=1 / 64, input_scale=1.0
    )
    pair = Pair(net, initial_state(net, [np.full((16, 1), 4.0)]), best_level(), bits)
    x, y = np.zeros((5, 16), np.uint8), np.full((5, 1), 3.0)
    x[:2, 0] = 1
    x[2] = 255
    x[3, [0, 15]] = 1
    x[4, 15] = 1
    shown = pair.c.show(check_batch(net, x, y)).scores
    assert shown.tolist() == [[4], [4 - 1 / 64]]
    shown = pair.c.show(check_batch(net, x[3:], y[3:])).scores
    assert shown.tolist() == [[8 - 2 / 64], [4 - 5 / 64]]
    wanted = np.full(16, 4.0)
    wanted[[0, 15]] -= 7 / 64, 6 / 64
    assert pair.c.read().weights[0][:, 0].tolist() == wanted.tolist()


def test_bytes_after_events_are_read_anew():
    """Of the bytes that came last, nothing is left in the input."""
    net = SpikingMLP.paper((16, 1), n_steps=1, input_scale=1.0, learning_rate=1.0)
    x = np.zeros((1, 16), np.uint8)
    x[0, [1, 9]] = 2, 5
    event = np.zeros(2, EVENT_DTYPE)
    event["t"] = 0, 15
    with Simulator(net, weights=[np.ones((16, 1))]) as sim:
        for _ in range(2):
            assert sim.predict(x).tolist() == [[7.0]]
        stream = sim.stream(EventEncoder(4, 4, step=10, polarity="ignored"))
        stream.feed(event)
        assert stream.scores.tolist() == [1.0]
        stream.close_sample()
        assert sim.predict(x).tolist() == [[7.0]]


@pytest.mark.parametrize("bits", [32, 64])
def test_more_spikes_of_an_input_than_32_bits_count(bits):
    net = SpikingMLP.paper((66_000, 1), n_steps=1, fraction_bits=12, learning_rate=1.0)
    x = np.full((1, 66_000), 32_768.0)
    pair = Pair(net, initial_state(net, [np.zeros((66_000, 1))]), best_level(), bits)
    n = len(pair.c.show(check_batch(net, x)).scores)
    assert n == (bits == 64)
    pair.ref.predict(x[:n])
    pair.assert_same()


@pytest.mark.parametrize("count", [2**31 - 1, 2**31, -(2**31), 2**32 + 1, 2**53, 2**62])
@pytest.mark.parametrize("n_units", [1, 16])
@pytest.mark.parametrize("bits", [32, 64])
def test_a_count_that_numbers_do_not_hold(count, n_units, bits):
    """Of one unit with weights of zero, of which nothing else is out of range."""
    net = SpikingMLP.paper(
        (n_units, 1), n_steps=1, input_coding="spikes", fraction_bits=12, learning_rate=1.0
    )
    pair = Pair(net, initial_state(net, [np.zeros((n_units, 1))]), best_level(), bits)
    x = np.zeros((1, 1, n_units), np.int64)
    x[0, 0, -1] = count
    is_held = n_units * abs(count) < 2 ** min(bits - 1, 53)
    assert len(pair.c.show(check_batch(net, x)).scores) == is_held
    if is_held:
        pair.ref.predict(x)
        pair.assert_same()


def test_more_spikes_of_an_input_than_a_count_holds():
    """Their weights are zero, so that nothing else is out of range."""
    net = SpikingMLP.paper(
        (1, 1), n_steps=4, input_coding="spikes", fraction_bits=12, learning_rate=1.0
    )
    x = np.full((1, 4, 1), 2**51)
    for backend in ("compiled", "reference"):
        with Simulator(net, backend, [np.zeros((1, 1))]) as sim:
            assert sim.predict(x[:, :3], n_steps=3).tolist() == [[0.0]]
            with pytest.raises(OverflowError):
                sim.predict(x)


@pytest.mark.parametrize("spikes", ["graded", "binary"])
def test_nothing_is_proven_after_a_step_by_the_reference(spikes):
    """A large step, and small ones: the sum leaves the range, which none of them does by itself."""
    net = SpikingMLP.paper((2, 1), n_steps=1, fraction_bits=12, learning_rate=1.0, spikes=spikes)
    for backend in ("compiled", "reference"):
        with Simulator(net, backend, [[[1.0], [1.0]]]) as sim:
            stream = sim.stream()
            # The potential of binary input loses a spike in each step, and is just below the limit.
            for row in [[5, 0], [1, 0], [1, 0], *[[1, 0]] * (spikes == "binary")]:
                stream.show(np.array(row) * 2.0**38)
            with pytest.raises(OverflowError):
                stream.show(np.array([1, 0]) * 2.0**38)


def test_nothing_is_proven_of_weights_that_are_set_within_a_sample():
    net = SpikingMLP.paper(
        (1, 1), n_steps=3, input_coding="spikes", fraction_bits=20, learning_rate=1.0
    )
    c = Pair(net, initial_state(net, [[[1.0]]]), best_level(), 64).c
    c.begin_steps(None, opens=True)
    assert c.show_steps(np.array([1]), 1) == 1
    c.write_updates()
    c.replace_weights(1, np.array([[2.0**32]]))
    assert c.show_steps(np.array([1]), 1) == 1
    assert c.scores(1).tolist() == [1 + 2.0**32]
    assert c.show_steps(np.array([1]), 1) == 0


@pytest.mark.parametrize("bits", [19, 40])
@pytest.mark.parametrize("bounded", [False, True])
def test_a_step_that_bounds_do_not_prove_counts_once(bounded, bits):
    """Numbers of 64 bits, or the reference, show it; a third step of input would let it teach."""
    net = SpikingMLP.paper(
        (1, 1), n_steps=1, update="fractional", learning_rate=0.75, bounded=bounded
    )
    net, done = net.replace(fraction_bits=bits), {}
    for backend in ("compiled", "reference"):
        with Simulator(net, backend, [[[1000.0]]]) as sim:
            stream = sim.stream()
            for _ in range(2):
                stream.show([1.0], target=[-400.0])
            stream.close_sample()
            done[backend] = sim.checkpoint().state.weights[0].item(), sim.operations
    assert done["compiled"] == done["reference"]
    assert bounded == (done["compiled"][0] == -50)


FEW_STEPS = SpikingMLP.paper(
    (1, 1), n_steps=1, update="fractional", learning_rate=0.75, fraction_bits=40
)


def test_bounds_know_what_the_reference_has_learned():
    with Simulator(FEW_STEPS, "compiled", [[[1.0]]]) as sim:
        stream = sim.stream()
        stream.show([1.0], target=[6001.0])
        stream.close_sample()
        assert sim.checkpoint().state.weights[0].item() == 4501
        with pytest.raises(OverflowError):
            sim.predict([[2.0]])


def test_bounds_know_the_drive_before_a_step_that_the_reference_has_shown():
    with Simulator(FEW_STEPS, "compiled", [[[1000.0]]]) as sim:
        stream = sim.stream()

        def learn():
            for _ in range(2):
                stream.show([4.0])
            stream.show([0.0], target=[200.0])

        learn()
        with pytest.raises(OverflowError):
            stream.show([1.0])
        learn()
        stream.close_sample()
        assert sim.checkpoint().state.weights[0].item() == 2200


def test_counts_of_inputs_that_32_bits_do_not_hold_are_refused():
    net = SpikingMLP.paper((1, 1), n_steps=1, input_coding="spikes", learning_rate=1.0)
    c = Pair(net, initial_state(net, [[[0.0]]]), best_level(), 32).c
    for i, n_shown in enumerate([1, 0, 0]):
        c.begin_steps(None, opens=i == 0)
        assert c.show_steps(np.array([2**30]), 1) == n_shown
    assert c.array(0, C).tolist() == [2**30]


@pytest.mark.parametrize("bits", [12, 33])
def test_drive_that_falls_after_many_spikes(bits):
    """The potential is below the drive by all that was sent: its bound is not that of the drive."""
    net = SpikingMLP.paper(
        (1, 1, 1), n_steps=1, input_coding="spikes", fraction_bits=bits, learning_rate=1.0
    )
    counts = [1, 1, *[-1] * 6, *[1] * 6]
    scores = {}
    for backend in ("compiled", "reference"):
        with Simulator(net, backend, [[[1.0]], [[0.25]]]) as sim:
            stream, scores[backend] = sim.stream(), []
            for count in counts:
                stream.show([count * 2**17])
                scores[backend].append(stream.scores.tolist())
    assert scores["compiled"] == scores["reference"]


@pytest.mark.parametrize("learns", [False, True])
def test_what_is_handed_over_stays_when_weights_are_replaced_in_a_sample(learns):
    """Bounds are unknown then: the step is shown again, of what was handed over before it."""
    net = SpikingMLP.paper((3, 4, 2), n_steps=5, timing="pipelined", learning_rate=0.1, seed=1)
    x, y = np.array([0.9, -1.6, 2.3]), np.array([1.0, 0.0]) if learns else None
    states = []
    for replaces in (False, True):
        engine = StepEngine(net, initial_state(net))
        for t in range(1, 9):
            engine.show(x, y, StepContext(t == 1, t == 8, learns and t == 1, learns, False, t, 5))
            if replaces:
                engine.replace_weights(1, engine.weights(1) * 2.0**-net.fraction_bits)
        states.append((engine.state, engine.summed_drive(2).tolist(), engine.operations))
    assert states[0] == states[1]


def test_errors_count_that_pass_weights_of_zero():
    net = SpikingNetwork.paper((2,), [Dense(2), Sparse(1, 1.0)], n_steps=2, learning_rate=0.5)
    weights = [np.ones((2, 2)), np.zeros(2)]
    with Simulator(net, "compiled", weights) as sim, Simulator(net, "reference", weights) as ref:
        for each in (sim, ref):
            each.train(np.full((1, 2), 2.0), np.array([[3.0]]))
        assert sim.operations == ref.operations


@pytest.mark.parametrize("bits", [32, 64])
def test_bounds_know_the_rows_that_have_changed(bits):
    """Those that were measured long ago are not measured again."""
    net = SpikingMLP.paper((40, 1), n_steps=1, fraction_bits=20, learning_rate=0.5)
    pair = Pair(net, initial_state(net, [np.zeros((40, 1))]), best_level(), bits)
    x, y = np.eye(40)[[3] * 260 + [37] * 300], np.repeat([1.0, 1000.0], [260, 300])[:, np.newaxis]
    assert np.array_equal(pair.c.show(check_batch(net, x, y)).scores, pair.ref.train(x, y))
    drive = pair.c.show(check_batch(net, 4 * x[-1:])).scores
    assert drive.tolist() == ([] if bits == 32 else pair.ref.predict(4 * x[-1:]).tolist())


@pytest.mark.parametrize("bits", [32, 64])
def test_bounds_know_what_weights_wait_for(bits):
    """The input does not change, so that the row of weights is not written but to be measured.

    Targets grow: where nothing is learned any more, the row is written.
    """
    net = SpikingMLP.paper((1, 1), n_steps=1, fraction_bits=20, learning_rate=0.5)
    pair = Pair(net, initial_state(net, [np.zeros((1, 1))]), best_level(), bits)
    x, y = np.ones((300, 1)), np.linspace(0, 1000, 300)[:, np.newaxis]
    assert np.array_equal(pair.c.show(check_batch(net, x, y)).scores, pair.ref.train(x, y))
    drive = pair.c.show(check_batch(net, 4 * x[:1])).scores
    assert drive.tolist() == ([] if bits == 32 else pair.ref.predict(4 * x[:1]).tolist())


@pytest.mark.parametrize("bits", [32, 64])
def test_bounds_know_the_rows_that_are_written_when_they_are_read(bits):
    """Two weights grow by the same, one of them from above zero: its input comes and goes."""
    net = SpikingMLP.paper((40, 16), n_steps=1, fraction_bits=20, learning_rate=1 / 64)
    weights = np.zeros((40, 16))
    weights[0], weights[37] = -256, 256
    pair = Pair(net, initial_state(net, [weights]), best_level(), bits)
    x, y = np.zeros((260, 40)), np.full((260, 16), 510.0)
    x[0, [3, 4]] = x[1:, 0] = x[2::2, 37] = 1  # the first update does not wait
    assert np.array_equal(pair.c.show(check_batch(net, x, y)).scores, pair.ref.train(x, y))
    pulse = 5 * np.eye(40)[[37]]
    drive = pair.c.show(check_batch(net, pulse)).scores
    assert drive.tolist() == ([] if bits == 32 else pair.ref.predict(pulse).tolist())
    assert 500 < pair.c.read().weights[0][37, 0] < 512
