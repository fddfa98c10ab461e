"""Estimators that learn again what was: in any parts, scaled and weighted, and from copies."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix, issparse
from sklearn.base import clone

from spikebp_plugins import ReplayBuffer, Simulator, SpikingMLP, load_dataset
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.estimators import SpikingMLPClassifier, SpikingMLPRegressor, estimator
from spikebp_plugins.estimators.scaling import InputScaling, scaling_after
from tests.core.small_nets import checkpoint_bytes

RANDOM = np.random.RandomState(0)
N = 40
X = RANDOM.uniform(0, 2, (N, 4)) * [1, 1e-3, 40, 5e4]
EVEN = 8 * X / X.max(axis=0)
LABELS = np.repeat([2, 0, 1], [15, 15, 10])  # one class after the other
REALS = RANDOM.standard_normal((N, 2))
REPLAY = {"replay_capacity": 6}
TINY = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 5} | REPLAY
FIELDS = {"update": "fractional", "learning_rate": 0.001, "input_scale": 2.0**-3}
#: An estimator, targets, and what `partial_fit` is told besides.
CASES = {
    "classifier": (SpikingMLPClassifier(**TINY), LABELS, {"classes": [0, 1, 2]}),
    "regressor": (SpikingMLPRegressor(**TINY, target_scale=1.0), REALS, {}),
}
EVERY_CASE = pytest.mark.parametrize(("model", "y", "known"), CASES.values(), ids=CASES)


def learned(model, y, known, rows_at_once=N, weights=None, features=X):
    for start in range(0, N, rows_at_once):
        rows = slice(start, start + rows_at_once)
        part = None if weights is None else weights[rows]
        model.partial_fit(features[rows], y[rows], sample_weight=part, **known)
    return model


def assert_same(first, second):
    assert checkpoint_bytes(first.checkpoint_) == checkpoint_bytes(second.checkpoint_)
    for name in ("x", "y", "n_seen"):
        found, expected = (getattr(model.replay_buffer_, name) for model in (first, second))
        assert np.array_equal(found.toarray() if issparse(found) else found, expected)


@EVERY_CASE
def test_an_estimator_learns_in_any_parts(model, y, known, monkeypatch):
    weights = np.arange(N) % 5 / 2
    expected = learned(clone(model), y, known, N, weights)
    assert expected.replay_buffer_.n_seen == int(np.floor(weights.sum())) + (weights.sum() % 1 > 0)
    assert_same(learned(clone(model), y, known, 7, weights), expected)
    monkeypatch.setattr(estimator, "ROWS_AT_ONCE", 3)
    assert_same(learned(clone(model), y, known, N, weights), expected)
    assert_same(learned(clone(model), y, known, N, weights, csr_matrix(X)), expected)


def test_an_estimator_learns_what_the_simulator_learns():
    known = {"classes": [0, 1, 2]}
    model = learned(SpikingMLPClassifier(**TINY | FIELDS), LABELS, known, features=EVEN)
    net = SpikingMLP((5, 6, 3), **FIELDS, seed=5)
    with Simulator(net) as sim:
        buffer = ReplayBuffer(6, seed=5)
        sim.train(np.column_stack([EVEN, np.full(N, 8.0)]), LABELS, replay=buffer)
        assert checkpoint_bytes(sim) == checkpoint_bytes(model.checkpoint_)
    assert np.array_equal(model.replay_buffer_.x, buffer.x[:, :-1])
    assert np.array_equal(model.replay_buffer_.y, buffer.y)


def test_fit_learns_what_the_simulator_learns():
    model = SpikingMLPClassifier(**TINY | FIELDS).fit(EVEN, LABELS)
    ranks = np.lexsort(EVEN.T[::-1])  # positive, so in the order of their bytes
    net = model.checkpoint_.net
    with Simulator(net) as sim:
        buffer = ReplayBuffer(6, seed=5)
        for epoch in range(2):
            order = ranks[shuffled(N, 5, epoch)]
            inputs = np.column_stack([EVEN, np.full(N, 8.0)])[order]
            sim.train(inputs, LABELS[order], replay=buffer)
        assert checkpoint_bytes(sim) == checkpoint_bytes(model.checkpoint_)
    assert len(model.loss_curve_) == 2


def test_samples_of_the_past_are_scaled_as_new_ones_are():
    model = SpikingMLPClassifier(**TINY, learning_rate=0.5)
    learned(model, LABELS, {"classes": [0, 1, 2]}, rows_at_once=9)
    buffer, scaling = ReplayBuffer(6, seed=5), InputScaling.unknown(4, 2.0)
    with Simulator(model.checkpoint_.net) as sim:
        for x, y in zip(X, LABELS, strict=True):
            mixture, scaling = buffer.mix([x], [y]), scaling_after(scaling, x[np.newaxis])
            inputs = scaling.scaled(mixture.x)
            sim.train(np.column_stack([inputs, np.ones(len(inputs))]), mixture.y)
            buffer.keep(mixture)
        assert sim.checkpoint() == replace(model.checkpoint_, input_is_scaled=False)


@EVERY_CASE
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_with_its_own_buffer(model, y, known, copied):
    model = learned(clone(model), y, known)
    other = copied(model)
    learned(model, y, known)
    assert other.replay_buffer_.n_seen == N
    assert_same(learned(other, y, known), model)


@EVERY_CASE
def test_early_stopping_goes_back_with_the_buffer(model, y, known):
    early = {"early_stopping": True, "n_iter_no_change": 2, "validation_fraction": 0.3}
    model = clone(model).set_params(**early, max_iter=6).fit(X, y)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert model.replay_buffer_.n_seen == best * 28
    # For each new sample another one, but after the first.
    assert model.checkpoint_.state.samples_seen == best * 28 * 2 - 1


def test_a_weight_of_two_is_a_second_copy():
    once = SpikingMLPClassifier(**TINY | {"max_iter": 1})
    twice = clone(once).fit(np.repeat(X, 2, axis=0), np.repeat(LABELS, 2))
    assert_same(once.fit(X, LABELS, np.full(N, 2.0)), twice)


def test_a_network_goes_on_with_the_buffer_that_it_has():
    model = SpikingMLPClassifier(**TINY, warm_start=True).fit(X, LABELS)
    for capacity in (0, 7):
        model.set_params(replay_capacity=capacity)
        for learn in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match="replay_capacity must be what it was when"):
                learn(X, LABELS)
    assert model.set_params(**REPLAY).fit(X, LABELS).replay_buffer_.n_seen == 4 * N
    assert SpikingMLPClassifier().set_params(max_iter=1).fit(X, LABELS).replay_buffer_ is None


@pytest.mark.parametrize("wrong", [-1, 1.5])
def test_a_wrong_capacity_is_refused(wrong):
    with pytest.raises(ValueError, match="replay_capacity must be an integer from"):
        SpikingMLPRegressor(replay_capacity=wrong).fit(X, REALS)


def test_classes_that_come_no_more_are_remembered():
    """Without a buffer little but the last digits is left."""
    data = load_dataset("digits")
    order = np.argsort(data.y_train, kind="stable")
    found = {}
    for capacity in (0, 100):
        model = SpikingMLPClassifier((50,), replay_capacity=capacity, random_state=0)
        model.partial_fit(data.x_train[order], data.y_train[order], classes=range(10))
        found[capacity] = model.score(data.x_test, data.y_test)
    assert found[100] > 0.7 > found[0] + 0.3
