"""Who shows a network single steps, in memory of his own, sees what the reference computes."""

import re

import numpy as np
import pytest

from spikebp_plugins import Operations, Simulator, SpikingMLP
from spikebp_plugins.compiled.step_engine import Moment, StepEngine
from spikebp_plugins.network.samples import real_targets
from spikebp_plugins.network.state import initial_state

NET = SpikingMLP((5, 4, 3), n_steps=4, learning_rate=0.5, seed=1)
X = np.random.RandomState(2).uniform(-1, 4, (3, 5))
Y = real_targets(NET, np.array([0, 2, 1]))


def lively_state(net=NET):
    random = np.random.RandomState(3)
    return initial_state(net, [random.standard_normal(shape) for shape in net.weight_shapes])


def show(engine, sample, steps=range(NET.n_steps)):
    for t in steps:
        last = t == NET.n_steps - 1
        moment = Moment(t == 0, last, t == 0, learns=True, updates=last)
        engine.show(X[sample], Y[sample], moment)


def assert_same(found, expected):
    np.testing.assert_equal(found._asdict(), expected._asdict())


def test_samples_are_learned_in_memory_of_the_caller():
    places = []

    def allocate(shape, dtype):
        places.append(np.zeros(shape, dtype))
        return places[-1]

    engine = StepEngine(NET, lively_state(), allocate)
    ref = Simulator(NET, "reference", lively_state().weights)
    trace = ref.train(X, Y, record=True)
    engine.compile()
    assert {id(place) for place in places} >= {id(array) for array in engine.arrays}
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


def test_what_a_sample_has_sent_counts_when_it_has_ended():
    engine = StepEngine(NET, lively_state())
    show(engine, 0, range(NET.n_steps - 1))
    assert engine.operations == Operations()
    show(engine, 0, [NET.n_steps - 1])
    assert engine.operations.samples == 1


def test_copies_of_the_arrays_undo_samples():
    engine = StepEngine(NET, lively_state())
    show(engine, 0)
    before, operations = engine.state, engine.operations
    copies = [array.copy() for array in engine.arrays]
    show(engine, 1)
    show(engine, 2, [0, 1])
    assert engine.operations != operations
    for array, copy in zip(engine.arrays, copies, strict=True):
        array[...] = copy
    assert_same(engine.state, before)
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
    state = engine.state
    weights = (np.full(state.weights[0].shape, size), *state.weights[1:])
    engine.state = state._replace(weights=weights)
    stream._steps._learning = stream._steps._learning._replace(weights=weights)
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


def test_counts_that_would_wrap_are_refused():
    engine = StepEngine(NET, lively_state())
    (totals,) = (array for array in engine.arrays if array is engine._now.totals.spikes)
    totals[1] = 2**62
    with pytest.raises(OverflowError, match="spikes and errors are too many to be counted"):
        show(engine, 0)
