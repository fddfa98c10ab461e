"""Samples that are shown until the output is sure, to predict and to learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebp_plugins import Operations, ReplayBuffer, Simulator, UnsupportedError
from spikebp_plugins.backends.base import Backend
from tests.core.experiment import MAGNITUDES
from tests.core.literal import LiteralNetwork, asked_by
from tests.core.small_nets import ENGINES, checkpoint_bytes, lively_simulator, samples, small_net
from tests.core.strategies import any_network, chip_definitions, definitions, experiments, networks
from tests.core.test_step_rules import SMALL, assert_weights, learned_literally
from tests.profiles import examples

ENGINE = pytest.mark.parametrize("engine", ENGINES)
MARGINS = (0.0, 0.5, 1.0, 4.0, 100.0)


def stops(trace, margin):
    """Return after how many steps each sample of a trace is sure."""
    n_steps = trace.step_scores.shape[1]
    drive = trace.step_scores * np.arange(1, n_steps + 1)[:, np.newaxis]
    first, second = np.moveaxis(np.sort(drive, axis=2)[:, :, :-3:-1], 2, 0)
    sure = first - second >= margin
    return np.where(sure.any(axis=1), sure.argmax(axis=1) + 1, n_steps)


@ENGINE
@pytest.mark.parametrize("input_coding", ["values", "spikes"])
@pytest.mark.parametrize("margin", MARGINS)
def test_a_sample_stops_as_soon_as_it_is_sure(engine, input_coding, margin):
    net = small_net((3, 8, 6, 4), n_steps=8, input_coding=input_coding)
    x, _ = samples(net, 40)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as whole:
        before = checkpoint_bytes(sim)
        found = sim.predict(x, margin=margin)
        trace = whole.predict(x, record=True)
        expected = stops(trace, margin)
        assert found.n_steps.tolist() == expected.tolist()
        operations = []
        for n, stop in enumerate(expected):
            assert (found.scores[n] == trace.step_scores[n, stop - 1]).all()
            sent = [np.abs(k[n, :stop]).sum() for k in trace.spikes[:-1]]
            operations.append(int(np.dot(sent, net.layer_sizes[1:])))
        assert found.operations.tolist() == operations
        assert checkpoint_bytes(sim) == before
        assert sim.operations.forward == sum(operations)
        assert sim.operations.samples == 40
        assert sim.operations.dense == whole.operations.dense
    if margin == 0:
        assert (found.n_steps == 1).all()
    if margin == 1:
        assert 1 < found.n_steps.mean() < 8  # both ways to end are there


@settings(deadline=None)
@given(experiments(magnitudes=(1.0, *MAGNITUDES), timing="immediate"), st.sampled_from(MARGINS))
def test_back_ends_agree(experiment, margin):
    if experiment.net.n_outputs < 2:
        return
    said = []
    for backend in ENGINES:
        with Simulator(experiment.net, backend, experiment.weights) as sim:
            try:
                found = sim.predict(experiment.x, margin=margin)
                said.append([values.tolist() for values in found])
            except OverflowError as error:
                said.append(str(error))
            said.append(sim.operations)
    assert said[:2] == said[2:]


def immediate_chips(timing, **limits):
    return chip_definitions((timing,), **limits)


def learned_by(sim, x, y, margin):
    """Return what a simulator says, and has, after it has learned some samples."""
    said = []
    for _ in range(2):
        try:
            said += [values.tolist() for values in sim.train(x, y, margin=margin)]
        except OverflowError as error:
            said.append(str(error))
    return [*said, sim.operations, [W.tolist() for W in sim.weights], checkpoint_bytes(sim)]


@settings(deadline=None, max_examples=examples(100))
@given(
    experiments(
        nets=any_network,
        kinds=(definitions, networks, immediate_chips),
        magnitudes=(1.0, *MAGNITUDES),
        timing="immediate",
    ),
    st.sampled_from(MARGINS),
)
def test_back_ends_learn_the_same(experiment, margin):
    net, weights, x, _, _ = experiment
    if net.n_outputs < 2:
        return
    y = np.arange(len(x)) % net.n_outputs
    said = []
    for backend in ENGINES:
        with Simulator(net, backend, weights) as sim:
            said.append(learned_by(sim, x, y, margin))
    assert said[0] == said[1]


@settings(deadline=None, max_examples=examples(100))
@given(
    experiments(
        nets=any_network,
        kinds=(definitions, networks),
        scales=(0.1, 0.7),
        rates=(0.01, 0.1),
        timing="immediate",
        **SMALL,
    ),
    st.sampled_from((0.0, 0.25, 1.0)),
)
def test_what_is_learned_early_follows_the_rules(experiment, margin):
    net, weights, x, _, _ = experiment
    if net.n_outputs < 2:
        return
    y = np.arange(len(x)) % net.n_outputs
    literal = LiteralNetwork(net, weights, net.init_feedback())
    with Simulator(net, "compiled", weights) as sim:
        shown = sim.train(x, y, margin=margin)
        for n, asked in enumerate(asked_by(net, y)):
            until = y[n], margin
            _, _, drives = learned_literally(literal, n, x[n], np.array(asked), until)
            assert shown.n_steps[n] == len(drives)
            scores = [s / 2**net.fraction_bits / len(drives) for s in drives[-1]]
            assert shown.scores[n].tolist() == scores
        assert_weights(net, sim.weights, literal)


@ENGINE
@pytest.mark.parametrize("update", ["fractional", "outer", "normalized"])
def test_a_sample_teaches_until_its_label_leads(engine, update):
    net = small_net((3, 8, 6, 4), n_steps=8, update=update)
    x, y = samples(net, 40)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as by_hand:
        found = sim.train(x, y, margin=1)
        before = 0
        for n, label in enumerate(y):
            stream = by_hand.stream()
            while stream.steps_shown < net.n_steps or not stream.is_open:
                stream.show(x[n], target=int(label))
                drive = stream.scores * stream.steps_shown
                if drive[label] - np.delete(drive, label).max() >= 1:
                    break
            assert found.n_steps[n] == stream.steps_shown
            assert found.scores[n].tolist() == stream.close_sample().tolist()
            assert found.operations[n] == by_hand.operations.total - before
            before = by_hand.operations.total
        assert checkpoint_bytes(sim) == checkpoint_bytes(by_hand)
        assert sim.operations == by_hand.operations
        assert len(set(found.n_steps)) > 1
        assert sim.train(x[:0], y[:0], margin=1).scores.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": np.zeros((4, 4))}, "y must be labels where a margin is given; got real targets"),
        ({"replay": ReplayBuffer(3)}, "replay must be None where a margin is given; got Replay"),
        ({"record": True}, "record must be False where a margin is given; got True"),
        ({"margin": -1}, "margin must be a finite number, not negative, or None; got -1"),
    ],
)
def test_what_does_not_go_with_a_margin_changes_nothing(changes, message):
    net = small_net((3, 8, 4))
    x, y = samples(net, 4)
    with lively_simulator(net) as sim:
        before = checkpoint_bytes(sim)
        with pytest.raises(ValueError, match=message):
            sim.train(**{"x": x, "y": y, "margin": 1} | changes)
        assert checkpoint_bytes(sim) == before


def test_longer_samples_may_stop_later():
    net = small_net(n_steps=2)
    x, _ = samples(net, 20)
    with lively_simulator(net) as sim:
        assert sim.predict(x, margin=3.0, n_steps=50).n_steps.max() > 2
        assert sim.predict(x[:0], margin=3.0).scores.shape == (0, 2)


def test_nothing_is_recorded_with_a_margin():
    net = small_net()
    with pytest.raises(ValueError, match="record must be False where a margin is given; got True"):
        lively_simulator(net).predict(samples(net, 1)[0], margin=1.0, record=True)


def test_one_output_has_no_lead():
    with pytest.raises(ValueError, match="margin must be None for a network with one output"):
        lively_simulator(small_net((3, 1))).predict([[1.0, 1.0, 1.0]], margin=1.0)


class WholeSamples(Backend):
    """Shows whole samples."""

    state = predict = train = None
    operations = Operations()

    def __init__(self, net, state):
        super().__init__(net, state)


def test_what_shows_whole_samples_does_not_stop_early(monkeypatch):
    monkeypatch.setattr("spikebp_plugins.backends.registry.get_backend", lambda _: WholeSamples)
    sim = Simulator(small_net(), "whole")
    x = [[1.0, 1.0, 1.0]]
    learn = lambda: sim.train(x, [0], margin=1.0)  # noqa: E731
    for call in (lambda: sim.predict(x, margin=1.0), learn, sim.stream):
        with pytest.raises(UnsupportedError, match="it shows whole samples: single steps"):
            call()


@pytest.mark.parametrize("engine", ENGINES)
def test_operations_may_need_more_than_64_bits(engine):
    net = small_net((2, 9000, 2), input_coding="spikes", n_steps=1)
    weights = [np.zeros(shape) for shape in net.weight_shapes]
    x = np.array([[[2**52, 0]], [[3, 0]]])
    with Simulator(net, engine, weights) as sim:
        sim.predict(x)
        whole = sim.operations.forward
        assert whole == (2**52 + 3) * 9000
        shown = sim.predict(x, margin=1.0)
        assert shown.operations.tolist() == [2**52 * 9000, 27000]
        assert sim.operations.forward == 2 * whole
        assert sim.predict(x[1:], margin=1.0).operations.dtype == np.int64
