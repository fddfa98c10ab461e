"""Statements of docs/semantics.md that the literal transcription of its rules does not reach."""

from itertools import product

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError
from spikebp_plugins.rules.step import open_sample
from tests.core.small_nets import (
    ENGINES,
    checkpoint_bytes,
    lively_simulator,
    lively_weights,
    samples,
    small_net,
)

ENGINE = pytest.mark.parametrize("engine", ENGINES)
UPDATE = pytest.mark.parametrize("update", ["fractional", "outer"])
LEAVES_RANGE = np.array([[[5000.0], [5000.0], [-5000.0]]])  # with 40 bits, the second step


def summing_net(**changes):
    """Return a network on whose grid every potential stays below 2^13."""
    return SpikingMLP.paper((1, 1), n_steps=3, fraction_bits=40, **changes)


@ENGINE
@UPDATE
def test_summed_input_has_a_range_only_where_it_teaches(engine, update):
    silent = [[[0.0]]]
    for presynaptic in ("counts", "drive") if engine == "reference" else ("counts",):
        net = summing_net(update=update, presynaptic=presynaptic)
        with Simulator(net, engine, silent) as sim:
            assert sim.predict(LEAVES_RANGE).shape == (1, 1)
            stream = sim.stream()
            for x in LEAVES_RANGE[0]:
                stream.show(x)
            stream.show([0.0], target=[0.0])
            stream.close_sample()
            assert sim.samples_seen == 1
            if presynaptic == "drive" and update == "fractional":
                with pytest.raises(OverflowError, match="summed input of layer 0"):
                    sim.train(LEAVES_RANGE, [[0.0]])  # no error, and still checked
            else:
                sim.train(LEAVES_RANGE, [[0.0]])
            if presynaptic == "drive":
                with pytest.raises(OverflowError, match="summed input of layer 0"):
                    sim.train(np.abs(LEAVES_RANGE), [[0.0]])
            else:
                sim.train(np.abs(LEAVES_RANGE), [[0.0]])


@ENGINE
@pytest.mark.parametrize(
    ("weights", "margin", "n_steps"),
    [
        ([0.5, 0.0], 1.0, 2),
        ([0.5, 0.0], 1.0 + 2.0**-40, 3),
        ([0.5, 0.0], 0.0, 1),
        ([0.5, 0.5], 0.0, 1),
        ([0.5, 0.5], 2.0**-40, 6),
    ],
)
def test_a_margin_is_a_lead_of_at_least_so_much(engine, weights, margin, n_steps):
    with Simulator(SpikingMLP.paper((1, 2), n_steps=6), engine, [[weights]]) as sim:
        assert sim.predict([[1.0]], margin=margin).n_steps.tolist() == [n_steps]


@pytest.mark.parametrize(
    ("engine", "backward_init"),
    [*product(("reference", "compiled"), ("carry", "zero")), ("reference", "uniform")],
)
def test_only_closed_samples_with_a_target_are_seen(engine, backward_init):
    net = small_net(backward_init=backward_init)
    x, _ = samples(net, 2)
    with lively_simulator(net, engine) as sim:
        stream = sim.stream()
        stream.show(x[0], target=0, n_steps=2)
        stream.close_sample()
        before = checkpoint_bytes(sim)
        stream.show(x[1], target=None, n_steps=2)
        stream.close_sample()
        stream.show(x[1], target=1, n_steps=2)
        stream.drop_sample()
        assert sim.samples_seen == 1
        assert checkpoint_bytes(sim) == before
        assert sim.operations.samples == 2
        stream.show(x[1], target=None)
        stream.show(x[1], target=1)
        stream.show(x[1], target=None)
        assert sim.samples_seen == 1
        stream.close_sample()
        assert sim.samples_seen == 2
        assert sim.operations.samples == 3


@ENGINE
def test_pipelined_samples_are_shown_as_a_whole(engine):
    with lively_simulator(small_net(timing="pipelined"), engine) as sim:
        with pytest.raises(UnsupportedError):
            sim.stream()
        with pytest.raises(UnsupportedError):
            sim.predict([[1.0, 1.0, 1.0]], margin=1.0)


@pytest.mark.parametrize(("bits", "exponent"), [(1, -1), (8, -8), (9, -9), (10, -9), (16, -9)])
def test_the_default_weight_exponent_follows_from_the_fraction_bits(bits, exponent):
    net = SpikingMLP.paper((2, 2), arithmetic="loihi2", fraction_bits=bits)
    assert net.weight_exponent == exponent


@ENGINE
@pytest.mark.parametrize(
    ("k", "drive", "spikes"),
    [
        ([3, 2], 63.5, 63),  # 190.5 - 127: the first term alone would saturate
        ([3, 0], 2.0**7 - 2.0**-16, 127),
        ([0, 3], -(2.0**7) + 2.0**-16, 0),
    ],
)
def test_a_sum_on_a_chip_saturates_as_a_whole(engine, k, drive, spikes):
    net = SpikingMLP.paper(
        (2, 1),
        n_steps=2,
        arithmetic="loihi2",
        fraction_bits=16,
        weight_exponent=-1,
        input_coding="spikes",
    )
    with Simulator(net, engine, [[[63.5], [-63.5]]]) as sim:
        trace = sim.predict([[k, [0, 1]]], record=True)
    assert trace.spikes[1][0, 0].item() == spikes
    # What arrives next starts from the saturated sum.
    last = max(drive - 63.5, -(2.0**7) + 2.0**-16)
    assert trace.step_scores[0].ravel().tolist() == [drive, last / 2]


@ENGINE
@pytest.mark.parametrize("arithmetic", ["fixed", "loihi2"])
def test_binary_spikes_do_not_limit_the_difference_at_the_output(engine, arithmetic):
    net = SpikingMLP.paper((1, 1), n_steps=3, spikes="binary", arithmetic=arithmetic)
    with Simulator(net, engine, [[[0.24]]]) as sim:
        trace = sim.train([[4.0]], [[-5.0]], record=True)
        assert trace.spikes[1].ravel().tolist() == [0, 0, 1]
        assert trace.errors[1].ravel().tolist() == [1, 1, 2]
        assert sim.train([[0.0]], [[5.0]], record=True).errors[1].ravel().tolist() == [-1] * 3


def test_the_output_has_no_counts():
    net = small_net()
    assert [len(c) for c in open_sample(net).c] == list(net.layer_sizes[:-1])


@ENGINE
def test_feedback_has_the_range_of_weights(engine):
    net = small_net((2, 3, 2), feedback="random")
    with pytest.raises(OverflowError, match=r"^feedback weight of layer 2 must stay below"):
        Simulator(net, engine, feedback=[np.full((2, 3), 2.0**60)])


@ENGINE
def test_feedback_saturates_on_a_chip(engine):
    net = small_net((2, 3, 2), feedback="random", arithmetic="loihi2")
    with Simulator(net, engine, feedback=[np.full((2, 3), 2.0**60)]) as sim:
        assert np.unique(sim.checkpoint().state.feedback) == [127 * 2.0**-9]


@ENGINE
def test_summed_errors_may_exceed_the_range_of_counts(engine):
    net = SpikingMLP.paper((1, 1), n_steps=8, update="outer", fraction_bits=1, learning_rate=64.0)
    with Simulator(net, engine, [[[0.0]]]) as sim:
        trace = sim.train([[0.0]], [[2.0**51]], record=True)
        assert trace.errors[1].sum() == -(2**54)
        with pytest.raises(OverflowError, match="weight of layer 1"):
            sim.train([[1.0]], [[2.0**51]])


@ENGINE
def test_summed_errors_do_not_wrap(engine):
    net = SpikingMLP.paper((1, 1), n_steps=2100, update="outer", fraction_bits=1, learning_rate=4e6)
    with Simulator(net, engine, [[[0.0]]]) as sim:
        with pytest.raises(OverflowError, match="summed error of layer 1 must stay below 9"):
            sim.train([[0.0]], [[2.0**52 - 1]])
        assert (sim.samples_seen, sim.weights[0].item()) == (0, 0.0)


@ENGINE
def test_a_sample_that_overflowed_adds_no_operations(engine):
    net = small_net()
    x, y = samples(net, 100)
    x[50, 0] = 2.0**60
    calls = [
        lambda sim, n: sim.train(x[:n], y[:n]),
        lambda sim, n: sim.predict(x[:n]),
        lambda sim, n: sim.predict(x[:n], margin=1.0),
    ]
    for call in calls:
        # Several threads predict: what others have done after the sample does not count either.
        options = {"n_jobs": 3} if engine == "compiled" else {}
        with Simulator(net, engine, lively_weights(net), **options) as sim:
            with pytest.raises(OverflowError):
                call(sim, 100)
            before = lively_simulator(net)
            call(before, 50)
            assert sim.operations == before.operations


# --- a rate of its own for each sample -----------------------------------------------------------


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("update", ["normalized", "outer"])
def test_a_normalized_update_cuts_off_summed_errors_below_the_output(backend, update):
    net = SpikingMLP.paper((1, 1, 1), n_steps=4, update=update, learning_rate=3.0, fraction_bits=24)
    W = [np.array([[1.0]]), np.array([[16.0]])]
    with Simulator(net, backend=backend, weights=W) as sim:
        trace = sim.train([[1.0]], [[0.0]], record=True)
        found = sim.weights
    E_1, E_2 = (trace.errors[l].sum(axis=1)[0] for l in (1, 2))
    assert E_2.tolist() == [64]
    assert E_1.tolist() == [16 * 64]
    assert trace.spikes[0].sum() == trace.spikes[1].sum() == 4
    if update == "outer":
        rates, of_hidden = (3 / 16, 3 / 16), 16 * 64
    else:
        R = 3 * 2**24
        units = R // (4 * (4 * 4**2 + 4**2)), R // (24 * 4**2 + 4**2)
        rates, of_hidden = [r * 2.0**-24 for r in units], 8 * 4
    assert found[0] == 1 - rates[0] * 4 * of_hidden
    assert found[1] == 16 - rates[1] * 4 * 64


@pytest.mark.parametrize("backend", ENGINES)
def test_a_normalized_rate_is_one_grid_unit_at_least(backend):
    net = SpikingMLP.paper(
        (1, 1),
        n_steps=1,
        update="normalized",
        learning_rate=4 * 2.0**-12,
        fraction_bits=12,
        input_coding="spikes",
    )
    with Simulator(net, backend=backend, weights=[[[0.0]]]) as sim:
        sim.train([[[3]]], [[1.0]])
        assert sim.weights[0][0, 0] == 3 * 2.0**-12


@pytest.mark.parametrize("backend", ENGINES)
@pytest.mark.parametrize("whole", [True, False])
def test_squared_counts_have_a_range_where_they_teach(backend, whole):
    T = 2**12  # counts are cut off at 16 g T, and squares must stay below 2**53
    net = SpikingMLP.paper(
        (2, 1), n_steps=T, spikes_per_unit=1024, update="normalized", input_coding="spikes"
    )
    with Simulator(net, backend=backend, weights=[[[0.0], [0.0]]]) as sim:
        x = np.full((1, T, 2), 2**26 // T)
        sim.predict(x)
        stream = sim.stream()

        def show():
            stream.show(T * x[0, 0], target=[1.0])
            stream.close_sample()

        train = (lambda: sim.train(x, [[1.0]])) if whole else show
        with pytest.raises(OverflowError, match="sum of squared counts of layer 0 must stay below"):
            train()
        stream.drop_sample()
        sim.train(x - 2**10, [[0.0]])


@pytest.mark.parametrize(
    "fields",
    [
        {"arithmetic": "loihi2"},
        {"presynaptic": "drive"},
    ],
    ids=str,
)
def test_a_normalized_update_takes_no_other_numbers(fields):
    with pytest.raises(ValueError, match=r"with (update='normalized'|arithmetic='loihi2')"):
        SpikingMLP.paper((2, 2), update="normalized", **fields)
