"""A network in which nothing fires is told so once, with what would make it fire."""

import copy
import re
import warnings

import numpy as np
import pytest

from spikebp_plugins import (
    ReplayBuffer,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    WindowEncoder,
)
from spikebp_plugins.network.connections import Dense
from spikebp_plugins.simulation.silence_monitor import (
    SILENT_AT_FIRST,
    SILENT_LATER,
    SilenceMonitor,
)
from tests.core.small_nets import ENGINES

N_INPUTS = 400
NET = SpikingMLP((N_INPUTS, 20, 3), seed=3)
Y = np.arange(120) % 3
WARNING = "no output of the network has fired in"


def words(n_samples=120, of=1.0):
    """Return samples of a few inputs each, as texts have words."""
    return of * (np.random.RandomState(0).rand(n_samples, N_INPUTS) < 0.01)


FAINT = words(of=1 / 64)


def one_by_one(call, *arrays):
    for i in range(arrays[0].shape[0]):
        call(*(array[i : i + 1] for array in arrays))


def told(call, *arguments, **options):
    """Return the one warning that a call gives, whose line must be in this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments, **options)
    assert [warning.filename for warning in caught] == [__file__]
    assert caught[0].category is RuntimeWarning
    assert str(caught[0].message).startswith(WARNING)
    return str(caught[0].message)


def scale_in(message):
    return float(re.search(r": input_scale=(\S+), ", message)[1])


def share_that_reaches_the_output(net, x):
    with Simulator(net) as sim:
        spikes = sim.predict(x[x.any(axis=1)], record=True).spikes
    return np.all([counts.any(axis=(1, 2)) for counts in spikes[:-1]], axis=0).mean()


def sparse(x):
    return pytest.importorskip("scipy.sparse").csr_matrix(x)


def by_step(x):
    return np.repeat(x[:, np.newaxis], NET.n_steps, axis=1)


# --- what would make it fire ---------------------------------------------------------------------


@pytest.mark.parametrize("backend", ENGINES)
def test_the_scale_that_is_named_makes_it_fire_and_learn(backend):
    with Simulator(NET, backend) as sim:
        message = told(sim.train, FAINT, Y)
    assert message.startswith(f"{WARNING} 120 samples: layer 0 is the first in which nothing fires")
    scale = scale_in(message)
    assert scale > 64
    last = FAINT[-32:]
    for times, is_enough in ((1, True), (1 / 2, False)):
        net = NET.replace(input_scale=scale * times)
        assert (share_that_reaches_the_output(net, last) >= 0.5) == is_enough
    with Simulator(NET.replace(input_scale=scale), backend) as sim:
        for _ in range(5):
            sim.train(FAINT, Y)
        assert np.mean(sim.predict(FAINT).argmax(axis=1) == Y) > 0.9


def test_every_form_of_a_sample_is_told_the_same():
    messages = set()
    for form in (np.asarray, by_step, sparse):
        with Simulator(NET) as sim:
            messages.add(told(sim.train, form(FAINT), Y))
        with Simulator(NET) as sim:
            messages.add(told(sim.predict, form(FAINT)))
        with Simulator(NET) as sim:
            message = told(one_by_one, sim.train, *(part[:110] for part in (form(FAINT), Y)))
        assert f"{WARNING} {SILENT_AT_FIRST} samples" in message
        assert scale_in(message) == 128
    with Simulator(NET) as sim:
        messages.add(told(sim.train, FAINT, Y, margin=5))
    with Simulator(NET) as sim:
        messages.add(told(sim.train, FAINT, Y, replay=ReplayBuffer(10)))
    with Simulator(NET) as sim:
        messages.add(told(sim.train, FAINT, np.eye(3)[Y] * 30))
    assert len(messages) == 1


def test_the_first_layer_in_which_nothing_fires_is_named():
    with Simulator(NET.replace(weight_init="he")) as sim:
        weights = sim.weights
    weights[0] *= 1 / 512
    with Simulator(NET, weights=weights) as sim:
        message = told(sim.predict, words())
    assert "layer 1 is the first" in message
    scaled = NET.replace(input_scale=scale_in(message))
    with Simulator(scaled, weights=weights) as sim:
        assert np.mean(sim.predict(words()).max(axis=1) > 0.5 / NET.n_steps) > 0.25


def test_it_is_said_once_for_each_simulator():
    with Simulator(NET) as sim:
        told(sim.train, FAINT, Y)
        for _ in range(20):
            sim.train(FAINT, Y)
            sim.predict(FAINT)
        again = copy.copy(sim)
        told(again.train, FAINT, Y)


def test_arrays_that_the_user_reuses_are_shown_as_they_were():
    row, label = np.empty((1, N_INPUTS)), np.empty((1, 3))

    def learn(sim):
        for x, y in zip(FAINT[:100], Y, strict=False):
            row[0], label[0] = x, 30 * np.eye(3)[y]
            sim.train(row, label)
            row[:] = label[:] = 0

    with Simulator(NET) as sim:
        assert scale_in(told(learn, sim)) == 128


def test_windows_and_whole_samples_of_a_stream_count():
    window = WindowEncoder(2, 4, levels=4, low=0, high=1)
    net = SpikingMLP((window.n_inputs, 6, 2), input_scale=1e-4)
    readings = np.random.RandomState(0).rand(150, 2)
    with Simulator(net) as sim:
        of_windows = told(sim.stream(window).feed, readings, target=1)
    with Simulator(net) as sim:
        stream = sim.stream(n_steps=net.n_steps)

        def show():
            for reading in readings:
                stream.show(np.resize(reading, net.n_inputs), target=1, n_steps=net.n_steps)

        of_samples = told(show)
    for message in (of_windows, of_samples):
        assert "layer 0 is the first in which nothing fires" in message
        assert scale_in(message) > net.input_scale


# --- what else is wrong --------------------------------------------------------------------------


def test_input_of_zero_is_named_where_it_is_to_be_learned():
    with Simulator(NET) as sim:
        assert "their input is zero" in told(sim.train, np.zeros((100, N_INPUTS)), Y[:100])


def test_spikes_that_are_given_have_no_scale():
    net = NET.replace(input_coding="spikes")
    with Simulator(net) as sim:
        assert "layer 1 is the first in which nothing fires: show more spikes" in told(
            sim.train, np.eye(N_INPUTS, dtype=int)[np.arange(240).reshape(120, 2)], Y
        )


def test_labels_that_ask_for_no_spike_are_named():
    net = NET.replace(label_targets=(0, 0.2), input_scale=8)
    with Simulator(net) as sim:
        assert "label_targets ask for less than half a spike" in told(sim.train, words(), Y)


def test_outputs_that_have_fallen_silent_are_named():
    with Simulator(NET.replace(weight_init="he", input_scale=8)) as sim:
        weights = [*sim.weights[:-1], -1 - np.abs(sim.weights[-1])]
    with Simulator(NET.replace(input_scale=8), weights=weights) as sim:
        assert "outputs with a drive below zero have no error" in told(sim.train, words(), Y)


def test_layers_that_no_scale_helps_are_named():
    weights = [np.zeros(shape) for shape in NET.weight_shapes]
    with Simulator(NET, weights=weights) as sim:
        assert "layer 1 is the first in which nothing fires, at any input_scale" in told(
            sim.train, words(), Y
        )


def test_updates_that_are_never_made_are_named():
    net = SpikingMLP.graded((N_INPUTS, 20, 3), input_scale=1e5)
    with Simulator(net) as sim:
        assert "each update is too large to be made" in told(sim.train, words(), Y)


def test_learning_that_is_too_slow_is_told_later():
    net = SpikingMLP.graded((N_INPUTS, 20, 3), learning_rate=1e-12, input_scale=8, fraction_bits=40)
    with Simulator(net) as sim:
        for _ in range(8):
            sim.train(words(), Y)
        assert "it learns too slowly" in told(sim.train, words(), Y)


# --- what is as it should be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "net",
    [
        SpikingMLP((N_INPUTS, 3)),
        NET.replace(input_scale=8),
        NET.replace(input_scale=8, weight_init="growing"),
        SpikingMLP.graded((N_INPUTS, 20, 3), input_scale=8, learning_rate=1e-9, fraction_bits=40),
        SpikingMLP.paper((N_INPUTS, 20, 3)),
        SpikingNetwork((N_INPUTS,), [Dense(20), Dense(3)], input_scale=8),
    ],
)
def test_a_network_that_begins_in_silence_is_told_nothing(net):
    with Simulator(net) as sim:
        assert sim.predict(words()).max() < 0.5 / net.n_steps
        sim.predict(words(1200))
        one_by_one(sim.predict, words())
        one_by_one(sim.train, words(), Y)
        sim.train(words(), Y)


def test_targets_of_zero_ask_for_silence():
    with Simulator(NET.replace(input_scale=8)) as sim:
        for _ in range(20):
            sim.train(words(), np.zeros((120, 3)))


def test_input_of_zero_is_predicted_to_be_nothing():
    with Simulator(NET) as sim:
        sim.predict(np.zeros((1200, N_INPUTS)))


def test_once_an_output_has_fired_silence_is_told_later():
    with Simulator(NET.replace(input_scale=8)) as sim:
        sim.train(words(), Y)
        for _ in range(8):  # 960 samples
            sim.train(FAINT / 64, Y)
        message = told(sim.train, FAINT / 64, Y)
        assert f"{WARNING} 1080 samples" in message
        assert scale_in(message) > 8
    assert SILENT_LATER == 1000


def test_less_than_a_hundred_samples_are_told_nothing():
    with Simulator(NET) as sim:
        sim.train(FAINT[:99], Y[:99])


def test_nothing_is_examined_while_outputs_fire(monkeypatch):
    with Simulator(NET.replace(input_scale=8)) as sim:
        sim.train(words(), Y)
        monkeypatch.delattr("spikebp_plugins.simulation.silence_monitor.reason_of_silence")
        for _ in range(3):
            one_by_one(sim.train, words(), Y)
            one_by_one(sim.predict, words())


# --- estimators ----------------------------------------------------------------------------------


def test_an_estimator_names_the_scale_and_leaves_its_constant_input_alone():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from spikebp_plugins import SpikingMLPClassifier

    x, y = sparse(words(1200)), np.arange(1200) % 3

    def model(scale):
        settings = {"random_state": 0, "max_iter": 2, "shuffle": False}
        return SpikingMLPClassifier((20,), input_scale=scale, **settings)

    faint = model(1 / 64)
    scale = scale_in(told(faint.fit, x, y))
    for times, is_enough in ((1, True), (1 / 2, False)):
        fitted = model(scale * times)
        fitted.partial_fit(x[:1], y[:1], classes=[0, 1, 2])
        net, shown = fitted.checkpoint_.net, fitted.network_inputs(x[-32:])
        assert (share_that_reaches_the_output(net, shown) >= 0.5) == is_enough


def test_copies_and_calls_of_an_estimator_are_told_once():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from spikebp_plugins import SpikingMLPClassifier

    settings = {"input_scale": 1 / 64, "random_state": 0, "max_iter": 5}
    model = SpikingMLPClassifier((20,), **settings, early_stopping=True, n_iter_no_change=9)
    told(model.fit, words(), Y)
    model.predict(words())
    model.set_params(warm_start=True).fit(words(), Y)
    stream = SpikingMLPClassifier((20,), **settings)

    def learn():
        for i in range(300):
            row = slice(i % 120, i % 120 + 1)
            stream.partial_fit(words()[row], Y[row], classes=[0, 1, 2])

    told(learn)


def test_scaled_features_have_no_number_to_name():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from spikebp_plugins import SpikingMLPClassifier

    model = SpikingMLPClassifier((20,), random_state=0, max_iter=1)
    message = told(model.fit, np.ones((120, N_INPUTS)), Y)
    assert message.endswith(
        "layer 1 is the first in which nothing fires: the features may hardly vary"
    )


def test_samples_from_before_a_network_has_grown_are_not_shown():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from spikebp_plugins.estimators.lazy_simulator import LazySimulator
    from spikebp_plugins.estimators.learning_rate import LearningRate

    net = NET.replace(weight_init="growing")
    small = LazySimulator.untrained(net, LearningRate(net.learning_rate, True), SilenceMonitor())
    grown = small.grown(2 * N_INPUTS, 3)
    one_by_one(lambda x, y: small.train(None, x, y, lambda rate, *_: rate), FAINT[:90], Y[:90])
    x = np.hstack([FAINT, FAINT])
    message = told(grown.train, None, x[:20], Y[:20], lambda rate, *_: rate)
    assert message.startswith(f"{WARNING} 110 samples: layer 0 is the first")
    with grown.open(None) as sim:
        sim.train(x, Y)
