"""The reference engine against a literal transcription of the rules, one spike at a time."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings

from spikebp_plugins import Simulator
from spikebp_plugins.conformance import CASES
from spikebp_plugins.conformance.protocol import RECORDED, trained
from tests.core.literal import LiteralNetwork, asked_by
from tests.core.strategies import any_network, chip_definitions, definitions, experiments, networks
from tests.profiles import examples

#: Of networks that a literal transcription shows one spike at a time.
SMALL = {"max_depth": 4, "max_width": 6, "max_steps": 6}


def literal_steps(net, sample):
    return np.broadcast_to(sample, (net.n_steps, sample.shape[-1]))


def learned_literally(literal, n, x, asked, until=None):
    """Let the literal network learn the n-th sample; return what it has sent, and its drives."""
    net = literal.net
    if net.backward_init == "uniform":
        literal.psi = drawn_by_the_rule(net, n)
    return literal.show(literal_steps(net, x), literal_steps(net, asked), until)


def assert_weights(net, weights, literal):
    for l, W in enumerate(weights, 1):
        assert np.ldexp(W, net.fraction_bits).reshape(-1).tolist() == literal.weights(l)


def assert_follows_rules(net, weights, x, y, x_test):
    asked = np.array(asked_by(net, y)) if y.ndim == 1 else y
    with Simulator(net, "reference", weights) as sim:
        literal = LiteralNetwork(net, weights, net.init_feedback())
        trace = sim.train(x, y, record=True)
        for n in range(len(x)):
            if y.ndim == 1 and y[n] < 0:  # its label is not known
                k, _, s = literal.show(literal_steps(net, x[n]), None)
                assert not any(errors[n].any() for errors in trace.errors[1:])
                assert_sample(net, trace, n, k, None, s)
                continue
            k, e, s = learned_literally(literal, n, x[n], asked[n])
            assert_sample(net, trace, n, k, e, s)
        assert_weights(net, trace.weights, literal)
        predicted = sim.predict(x_test, record=True)
        for n in range(len(x_test)):
            k, _, s = literal.show(literal_steps(net, x_test[n]), None)
            assert_sample(net, predicted, n, k, None, s)


def assert_sample(net, trace, n, k, e, s):
    for t in range(net.n_steps):
        for l in range(net.n_layers + 1):
            assert trace.spikes[l][n, t].tolist() == k[t][l]
            if e is not None and l > 0:
                assert trace.errors[l][n, t].tolist() == e[t][l]
        scores = [float(units) / 2**net.fraction_bits / (t + 1) for units in s[t]]
        assert trace.step_scores[n, t].tolist() == scores
    assert trace.scores[n].tolist() == trace.step_scores[n, -1].tolist()


def drawn_by_the_rule(net, i):
    f = net.fraction_bits
    generator = np.random.Philox(key=net.seed, counter=[0, 0, i, 0])
    hidden = [
        [(int(raw) >> (64 - f)) - 2 ** (f - 1) for raw in generator.random_raw(size)]
        for size in net.layer_sizes[1:-1]
    ]
    return [[0] * net.n_inputs, *hidden, [0] * net.n_outputs]


# Small rates and weights: counts stay small enough to be fired one by one.
@pytest.mark.smoke
@settings(max_examples=examples(300))
@given(
    experiments(
        nets=any_network,
        kinds=(definitions, networks),
        ablations=True,
        scales=(0.1, 0.7),
        rates=(0.01, 0.1),
        **SMALL,
    )
)
def test_reference_follows_the_rules(experiment):
    assert_follows_rules(*experiment)


# Large inputs and small grids: states saturate, messages are full, traces stop counting.
@settings(max_examples=examples(200))
@given(
    experiments(
        nets=any_network,
        kinds=(chip_definitions, partial(networks, chip_definitions)),
        magnitudes=(1.0, 30.0, 3000.0),
        scales=(0.1, 1.0, 20.0),
        **SMALL,
    )
)
def test_reference_follows_the_rules_of_a_chip(experiment):
    assert_follows_rules(*experiment)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conformance_cases_follow_the_rules(case):
    data = case.data()
    assert_follows_rules(case.net, case.weights(), data.x, data.y, data.x_test)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_conformance_cases_bring_every_layer_to_work(case):
    trace = trained(case, RECORDED).trace
    with Simulator(case.net, "reference", case.weights()) as sim:
        initial = sim.weights
    for l in range(1, case.net.n_layers + 1):
        assert trace.spikes[l].any()
        assert trace.errors[l].any()
        learns = case.net.connections[l - 1].constant_weight is None
        assert (trace.weights[l - 1] != initial[l - 1]).any() == learns
