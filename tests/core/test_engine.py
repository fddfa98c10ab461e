"""The engine in C equals the reference, in each build that this processor runs."""

import numpy as np
import pytest

from spikebp_plugins import Dense, Simulator, Sparse, SpikingMLP, SpikingNetwork
from spikebp_plugins.engine.library import best_level
from spikebp_plugins.engine.step_engine import StepContext, StepEngine
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
    assert np.array_equal(pair.c.show(check_batch(net, x), 0).scores, ref.predict(x))


@pytest.mark.parametrize("bits", [32, 64])
def test_samples_may_have_a_million_steps(bits):
    """Memory for each step is not on the stack, which does not hold so many."""
    net = SpikingMLP.paper((1, 1, 1), n_steps=2, fraction_bits=10, learning_rate=0.1)
    n_steps = 1_000_000
    ref = Simulator(net, "reference", [[[0.5]], [[0.5]]])
    pair = Pair(net, ref.checkpoint().state, best_level(), bits, n_steps)
    x = np.full((1, 1), 2.0**-8)
    shown = pair.c.show(check_batch(net, x, None, n_steps), 0)
    assert shown.scores.tolist() == [[976.5 / n_steps]]  # of 3906 spikes, and 1953


@pytest.mark.parametrize("bits", [32, 64])
def test_more_trains_than_there_is_room_for_are_shown_in_another_way(bits):
    net = SpikingMLP.paper((600, 3), n_steps=600, fraction_bits=20, learning_rate=1.0)
    random = np.random.RandomState(0)
    weights = [random.uniform(-0.01, 0.01, (600, 3))]
    x = random.uniform(0, 0.18, (2, 600))
    pair = Pair(net, initial_state(net, weights), best_level(), bits)
    assert np.array_equal(pair.c.show(check_batch(net, x), 0).scores, pair.ref.predict(x))
    pair.assert_same()


@pytest.mark.parametrize("bits", [32, 64])
def test_more_spikes_of_an_input_than_32_bits_count(bits):
    net = SpikingMLP.paper((66_000, 1), n_steps=1, fraction_bits=12, learning_rate=1.0)
    x = np.full((1, 66_000), 32_768.0)
    pair = Pair(net, initial_state(net, [np.zeros((66_000, 1))]), best_level(), bits)
    n = len(pair.c.show(check_batch(net, x), 0).scores)
    assert n == (bits == 64)
    pair.ref.predict(x[:n])
    pair.assert_same()


@pytest.mark.parametrize("count", [2**31 - 1, 2**31, -(2**31), 2**32 + 1, 2**53, 2**62])
@pytest.mark.parametrize("bits", [32, 64])
def test_a_count_that_numbers_do_not_hold(count, bits):
    """One unit with weights of zero, of which nothing else is out of range."""
    net = SpikingMLP.paper(
        (1, 1), n_steps=1, input_coding="spikes", fraction_bits=12, learning_rate=1.0
    )
    pair = Pair(net, initial_state(net, [np.zeros((1, 1))]), best_level(), bits)
    x = np.full((1, 1, 1), count)
    assert len(pair.c.show(check_batch(net, x), 0).scores) == (abs(count) < 2 ** min(bits - 1, 53))
    if abs(count) < 2 ** min(bits - 1, 53):
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
    np.testing.assert_equal(states[0], states[1])


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
    assert np.array_equal(pair.c.show(check_batch(net, x, y), 0).scores, pair.ref.train(x, y))
    drive = pair.c.show(check_batch(net, 4 * x[-1:]), 0).scores
    assert drive.tolist() == ([] if bits == 32 else pair.ref.predict(4 * x[-1:]).tolist())


@pytest.mark.parametrize("bits", [32, 64])
def test_bounds_know_what_weights_wait_for(bits):
    """The input does not change, so that the row of weights is not written but to be measured."""
    net = SpikingMLP.paper((1, 1), n_steps=1, fraction_bits=20, learning_rate=0.5)
    pair = Pair(net, initial_state(net, [np.zeros((1, 1))]), best_level(), bits)
    x, y = np.ones((300, 1)), np.full((300, 1), 1000.0)
    assert np.array_equal(pair.c.show(check_batch(net, x, y), 0).scores, pair.ref.train(x, y))
    drive = pair.c.show(check_batch(net, 4 * x[:1]), 0).scores
    assert drive.tolist() == ([] if bits == 32 else pair.ref.predict(4 * x[:1]).tolist())
