"""Who shows a network single steps, in memory of his own, sees what the reference computes."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebp_plugins import Operations, Simulator, SpikingMLP
from spikebp_plugins.engine.step_engine import StepContext, StepEngine
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.delays import delays_of
from spikebp_plugins.network.samples import Batch, real_targets
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.rules.step import close_training, open_sample, open_training, step
from tests.core.engine_copies import skip_without_engine
from tests.core.strategies import any_network, definitions, inputs, networks, random_weights
from tests.profiles import examples

skip_without_engine()

NET = SpikingMLP.paper((5, 4, 3), n_steps=4, learning_rate=0.5, seed=1)
X = np.random.RandomState(2).uniform(-1, 4, (3, 5))
Y = real_targets(NET, np.array([0, 2, 1]))


def lively_state(net=NET):
    random = np.random.RandomState(3)
    return initial_state(net, [random.standard_normal(shape) for shape in net.weight_shapes])


def show(engine, sample, steps=range(NET.n_steps)):
    for t in steps:
        last = t == NET.n_steps - 1
        context = StepContext(t == 0, last, t == 0, learns=True, updates=last)
        engine.show(X[sample], Y[sample], context)


def assert_same(found, expected):
    assert found == expected


def test_samples_are_learned_in_memory_of_the_caller():
    places = []

    def allocate(shape, dtype):
        places.append(np.zeros(shape, dtype))
        return places[-1]

    engine = StepEngine(NET, lively_state(), allocate)
    ref = Simulator(NET, "reference", lively_state().weights)
    trace = ref.train(X, Y, record=True)
    for array in engine.arrays:
        assert any(np.shares_memory(array, place) for place in places)
    for sample in range(len(X)):
        for t in range(NET.n_steps):
            show(engine, sample, [t])
            for l in range(NET.n_layers + 1):
                assert np.array_equal(engine.spikes(l), trace.spikes[l][sample, t])
                assert l == 0 or np.array_equal(engine.errors(l), trace.errors[l][sample, t])
            drive = engine.summed_drive(NET.n_layers) * 2.0**-NET.fraction_bits
            assert np.array_equal(drive / (t + 1), trace.step_scores[sample, t])
    assert_same(engine.state, ref.checkpoint().state)
    assert engine.operations == ref.operations


def test_a_step_that_the_reference_shows_is_read_like_others(monkeypatch):
    """Potentials of the input so large that no bound proves them."""
    net = NET.replace(fraction_bits=40, spikes="binary")
    x, by_reference = np.full(5, 1200.0), []
    sound = StepNetwork.step_by_reference
    monkeypatch.setattr(
        StepNetwork,
        "step_by_reference",
        lambda self, *given: (by_reference.append(given), sound(self, *given)),
    )
    weights = lively_state().weights
    engine = StepEngine(net, lively_state(net))
    trace = Simulator(net, "reference", weights).train(x[np.newaxis], Y[:1], record=True)
    for t in range(net.n_steps):
        last = t == net.n_steps - 1
        engine.show(x, Y[0], StepContext(t == 0, last, t == 0, learns=True, updates=last))
        for l in range(net.n_layers + 1):
            assert np.array_equal(engine.spikes(l), trace.spikes[l][0, t])
            assert l == 0 or np.array_equal(engine.errors(l), trace.errors[l][0, t])
    assert by_reference


def test_what_a_sample_has_sent_counts_when_it_has_ended():
    engine = StepEngine(NET, lively_state())
    show(engine, 0, range(NET.n_steps - 1))
    assert engine.operations == Operations()
    show(engine, 0, [NET.n_steps - 1])
    assert engine.operations.samples == 1


@pytest.mark.parametrize("n_open", [0, 2])
def test_copies_of_the_arrays_undo_samples(n_open):
    """Also those since the middle of a sample: then all is as it was before that one."""
    engine = StepEngine(NET, lively_state())
    show(engine, 0)
    before, operations, weights = engine.state, engine.operations, engine.weights(1).copy()
    if n_open:
        show(engine, 1, range(n_open))
        assert not np.array_equal(engine.weights(1), weights)
        assert_same(engine.state, before)
        weights = engine.weights(1).copy()
    copies = [array.copy() for array in engine.arrays]
    show(engine, 1, range(n_open, NET.n_steps))
    show(engine, 2, [0, 1])
    assert engine.operations != operations
    for array, copy in zip(engine.arrays, copies, strict=True):
        array[...] = copy
    assert_same(engine.state, before)
    assert np.array_equal(engine.weights(1), weights)
    assert engine.operations == operations


@pytest.mark.parametrize("size", [2.0, 2.0 ** (51 - NET.fraction_bits)])
def test_weights_that_are_set_within_a_sample_are_met_by_its_next_step(size):
    """Nothing that was proved for the weights before holds for others."""
    engine, ref = (
        StepEngine(NET, lively_state()),
        Simulator(NET, "reference", lively_state().weights),
    )
    stream = ref.stream()
    show(engine, 0, [0, 1])
    stream.show(X[0], target=Y[0], n_steps=2)
    before, now = engine.state, stream._steps._learning
    matrix = np.full((5, 4), size)
    engine.replace_weights(1, matrix)
    assert_same(engine.state, before.with_reals(weights=(matrix, before.weights[1])))
    stream._steps._learning = now._replace(weights=(matrix, now.weights[1]))
    if size > 2:
        with pytest.raises(OverflowError) as expected:
            stream.show(X[0], n_steps=2)
        with pytest.raises(OverflowError, match=re.escape(str(expected.value))):
            show(engine, 0, [2, 3])
        return
    stream.show(X[0], n_steps=2)
    stream.close_sample()
    show(engine, 0, [2, 3])
    assert_same(engine.state, ref.checkpoint().state)


def test_a_weight_that_is_set_within_a_sample_leaves_others_as_they_were():
    engine, unit = StepEngine(NET, lively_state()), 2.0**-NET.fraction_bits
    show(engine, 0, [0, 1])
    before, now = engine.state, engine.weights(2) * unit
    assert not np.array_equal(before.weights[1], now)
    matrix = now.copy()
    matrix[0] = 0.25
    engine.replace_weights(2, matrix, 0)
    assert np.array_equal(engine.weights(2) * unit, matrix)
    assert np.array_equal(engine.state.weights[1][1:], before.weights[1][1:])
    assert (engine.state.weights[1][0] == 0.25).all()


@st.composite
def samples(draw):
    """Networks with pipelined timing, and samples of which some end early."""
    kinds = (definitions, networks)
    net = draw(any_network(kinds, timing="pipelined", max_depth=3))
    return net, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=examples(60))
@given(samples())
def test_steps_of_pipelined_networks_equal_the_reference(drawn):
    """Each step, with what every layer sends in it, and the weights that it leaves."""
    net, seed = drawn
    random, delays, L = np.random.RandomState(seed), delays_of(net), net.n_layers
    state = initial_state(net, random_weights(net, random, 0.5))
    engine, learned = StepEngine(net, state), state.reals()
    for _ in range(3):
        n_inputs, learns = random.randint(1, net.n_steps + 1), random.rand() < 0.8
        x = inputs(net, random, 1, 1.0, True)[0]
        x = np.resize(x, (n_inputs, net.n_inputs))
        y = random.uniform(-1, 2, (n_inputs, net.n_outputs))
        shown = Batch(net, x[np.newaxis], None, n_inputs).inputs()[0]
        sample, now = open_sample(net), learned
        if learns:
            now = open_training(net, now)
        duration = delays.duration(n_inputs)
        for t in range(1, duration + 1):
            of_output = min(max(t - delays.spikes[L], 1), n_inputs) - 1
            target = arithmetic_of(net).round(y[of_output]) if learns else None
            row = shown[min(t, n_inputs) - 1]
            now, sample, sent = step(net, now, sample, row, target, n_inputs)
            last = t == duration
            first = t == delays.errors[L] + 1
            context = StepContext(
                t == 1, last, learns and first, learns, last and learns, t, n_inputs
            )
            is_taught = learns and not t <= delays.errors[L]
            given = x[min(t, n_inputs) - 1]
            engine.show(given, y[of_output] if is_taught else None, context)
            for l in range(L + 1):
                assert np.array_equal(engine.spikes(l), sent.k[l])
                assert l == 0 or sent.e is None or np.array_equal(engine.errors(l), sent.e[l])
            for l in range(1, L + 1):
                assert np.array_equal(
                    arithmetic_of(net).decode(engine.summed_drive(l)), sample.s[l]
                )
            if not last:
                for l, matrix in enumerate(now.weights, 1):
                    assert np.array_equal(arithmetic_of(net).decode(engine.weights(l)), matrix)
                assert_same(engine.state, learned.on_grid(net))
        learned = close_training(net, now, sample) if learns else now
        assert_same(engine.state, learned.on_grid(net))
