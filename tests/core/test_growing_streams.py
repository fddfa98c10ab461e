"""Estimators for river grow with their stream: it does not matter when memory is made."""

import pickle
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("river", reason="river is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd

from spikebp_plugins import SpikingMLP, to_relu
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.learning_rate import LearningRate
from spikebp_plugins.estimators.scaling import scaling_after
from spikebp_plugins.river import SpikingMLPClassifier, SpikingMLPRegressor
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor
from tests.core.literal import LiteralNetwork, asked_by
from tests.core.streams import (
    FEATURES,
    LABELS,
    assert_equal_checkpoints,
    chunks,
    parameters,
    samples,
)
from tests.profiles import examples


def learned(model, stream):
    for x, y in samples(stream):
        model.learn_one(x, y)
    return model


def frame(chunk):
    names = pd.Index(chunk.names, dtype=object, tupleize_cols=False)
    return pd.DataFrame(chunk.rows, columns=names)


def learned_many(model, stream):
    for chunk in stream:
        model.learn_many(frame(chunk), pd.Series(chunk.labels, dtype=object))
    return model


def assert_same_model(one, other):
    assert (one.features, one.classes) == (other.features, other.classes)
    x = dict.fromkeys(FEATURES, 1.5)
    assert one.predict_one(x) == other.predict_one(x)
    assert one.predict_proba_one(x) == other.predict_proba_one(x)


def literal_weights(model, stream):
    """Return what the rules make of a stream in a network that is told all names at once."""
    net = model.checkpoint.net
    literal = LiteralNetwork(net, net.init_weights(), net.init_feedback())
    scaling = model.input_scaling
    scaling = None if scaling is None else type(scaling).unknown(net.n_inputs - 1, scaling.spread)
    features = {name: i for i, name in enumerate(model.features)}
    known = []
    for x, label in samples(stream):
        known += [label] if label not in known else []
        row = np.zeros(net.n_inputs - 1)
        for name, value in x.items():
            row[features[name]] = value
        if scaling is not None:
            scaling = scaling_after(scaling, row[np.newaxis])
            row = scaling.scaled(row)
        shown = [1.0, *row.tolist()]
        literal.known = range(len(known))
        [asked] = asked_by(net, [known.index(label)])
        literal.show([shown] * net.n_steps, [asked] * net.n_steps)
    return [np.reshape(W, s) for W, s in zip(literal.W[1:], net.weight_shapes, strict=True)]


@settings(max_examples=examples(100))
@given(chunks(), parameters())
def test_when_memory_is_made_has_no_effect(stream, fields):
    grown = learned(SpikingMLPClassifier(**fields), stream)
    told = SpikingMLPClassifier(len(FEATURES), len(LABELS), **fields)
    in_chunks = learned_many(pickle.loads(pickle.dumps(told)), stream)
    learned(told, stream)
    checkpoint = grown.checkpoint
    assert checkpoint.net.n_inputs == len(grown.features) + 1
    assert checkpoint.net.n_outputs == len(grown.classes)
    everything = checkpoint.grown(told.checkpoint.net.n_inputs, len(LABELS))
    assert_equal_checkpoints(everything, told.checkpoint)
    assert_equal_checkpoints(in_chunks.checkpoint, told.checkpoint)
    grown_in_chunks = learned_many(SpikingMLPClassifier(**fields), stream)
    assert_equal_checkpoints(grown_in_chunks.checkpoint, checkpoint)
    for model in (told, in_chunks, grown_in_chunks):
        assert_same_model(grown, model)
    weights = zip(told.checkpoint.state.weights, literal_weights(told, stream), strict=True)
    for W, units in weights:
        assert (np.ldexp(W, checkpoint.net.fraction_bits) == units).all()


@settings(max_examples=examples(30))
@given(chunks(), parameters(), st.sampled_from(["auto", 0.5]))
def test_a_regressor_grows_too(stream, fields, scale):
    stream = [chunk._replace(labels=chunk.rows.sum(axis=1).tolist()) for chunk in stream]
    fields["target_scale"] = scale
    grown = learned(SpikingMLPRegressor(**fields), stream)
    told = learned(SpikingMLPRegressor(len(FEATURES), **fields), stream)
    many = learned_many(SpikingMLPRegressor(**fields), stream)
    assert_equal_checkpoints(grown.checkpoint.grown(told.checkpoint.net.n_inputs), told.checkpoint)
    assert_equal_checkpoints(many.checkpoint, grown.checkpoint)
    x = dict.fromkeys(FEATURES, 1.5)
    assert grown.predict_one(x) == told.predict_one(x) == many.predict_one(x)
    rows = pd.DataFrame([x.values(), x.values()], columns=pd.Index(FEATURES, tupleize_cols=False))
    assert many.predict_many(rows).tolist() == [grown.predict_one(x)] * 2


@pytest.mark.parametrize("backend", ["reference", "brian2:numpy", "lava"])
def test_every_back_end_grows(backend):
    if ":" in backend or backend == "lava":
        pytest.importorskip(backend.partition(":")[0], reason=f"{backend} is not installed")
    stream = [({"a": 2.0}, "x"), ({"a": 1.0, "b": 3.0}, "y"), ({"c": 1.0, "a": 0.5}, "x")] * 2
    fields = {"hidden_layer_sizes": (5,), "input_scale": 1.0}
    grown = SpikingMLPClassifier(**fields, backend=backend)
    told = SpikingMLPClassifier(3, 2, **fields)
    for x, y in stream:
        for model in (grown, told):
            model.learn_one(x, y)
    assert_equal_checkpoints(grown.checkpoint, told.checkpoint)
    assert grown.checkpoint.state.weights[1].any()


def test_memory_follows_what_was_seen():
    model = SpikingMLPClassifier(hidden_layer_sizes=(5,))
    sizes = set()
    for i in range(100):
        model.learn_one({i: 1.0}, i // 20)
        sizes.add(model._learned.net.layer_sizes)
        assert model.checkpoint.net.layer_sizes == (i + 2, 5, i // 20 + 1)
        assert model._learned.net.n_inputs <= 2 * (i + 2)
    # Memory for inputs doubles, so that a long stream of new features does not always copy all.
    assert len({n_inputs for n_inputs, _, _ in sizes}) == 8
    assert len(model.input_scaling.factor) == 100


def stream_model(**fields):
    model = SpikingMLPClassifier(hidden_layer_sizes=(5,), input_scale=1.0, **fields)
    for i in range(5):
        model.learn_one({"a": 1.0, "b": float(i)}, i % 2)
    return model


FRAME = pd.DataFrame({"a": [1.0, 2.0, 1e30], "c": [0.0, 1.0, 1.0]})


@pytest.mark.parametrize("is_told", [False, True])
def test_a_mini_batch_is_learned_as_a_whole_or_not_at_all(is_told, monkeypatch):
    model = stream_model(**({"n_features": 3, "n_classes": 3} if is_told else {}))
    before = pickle.dumps(model)
    with pytest.raises(OverflowError, match="layer"):
        model.learn_many(FRAME, pd.Series([0, 1, 2]))
    assert pickle.dumps(model) == before
    with monkeypatch.context() as patch:
        train = LazySimulator.train

        def interrupted(self, backend, x, y, after):
            train(self, backend, x[:1], y[:1], after)
            raise KeyboardInterrupt

        patch.setattr(LazySimulator, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.learn_many(FRAME[:2], pd.Series([0, 1]))
    assert pickle.dumps(model) == before
    other = pickle.loads(before)
    model.learn_many(FRAME[:2], pd.Series([0, 2]))
    for x, y in ({"a": 1.0, "c": 0.0}, 0), ({"a": 2.0, "c": 1.0}, 2):
        other.learn_one(x, y)
    assert_equal_checkpoints(model.checkpoint, other.checkpoint)


def test_what_an_interrupt_leaves_learned_has_its_names(monkeypatch):
    model, other = stream_model(), stream_model()
    regressor = SpikingMLPRegressor(hidden_layer_sizes=(5,))
    with monkeypatch.context() as patch:
        train = LazySimulator.train

        def interrupted(*arguments):
            train(*arguments)
            raise KeyboardInterrupt

        patch.setattr(LazySimulator, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.learn_one({"new": 2.0}, "new")
        with pytest.raises(KeyboardInterrupt):
            regressor.learn_one({"new": 2.0}, 3.0)
    other.learn_one({"new": 2.0}, "new")
    assert (model.features, model.classes) == (["a", "b", "new"], [0, 1, "new"])
    assert_equal_checkpoints(model.checkpoint, other.checkpoint)
    assert (regressor.features, regressor.target_scaling.n_seen) == (["new"], 1)


def test_a_mini_batch_is_predicted_row_by_row():
    model = SpikingMLPClassifier(hidden_layer_sizes=(5,))
    rows = pd.DataFrame({"b": [1, 2, 3], "a": [True, False, True]}, index=[7, 5, 6])
    assert model.predict_many(rows).empty
    assert model.predict_proba_many(rows).shape == (3, 0)
    model.learn_many(rows, pd.Series(["x", "y", "x"]))
    expected = [model.predict_one(row) for row in rows.to_dict("records")]
    predicted = model.predict_many(rows.assign(unknown=5.0))
    assert predicted.tolist() == expected
    assert predicted.index.tolist() == [7, 5, 6]
    shares = model.predict_proba_many(rows)
    assert shares.columns.tolist() == ["x", "y"]
    assert shares.loc[5].to_dict() == model.predict_proba_one({"a": 0, "b": 2})
    model.learn_many(rows[:0], pd.Series([], dtype=object))
    assert model.checkpoint.state.samples_seen == 3


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[1.0]], [0], "X must be a DataFrame of pandas; got list"),
        (FRAME, [0, 1], "y must be of length 3, as X has rows; got 2"),
        (FRAME.assign(d=["x", 1, 2]), [0, 1, 0], "X['d'] must be finite real numbers; got 'x'"),
        (FRAME.assign(d=[1, np.nan, 2]), [0, 1, 0], "X['d'] must be finite real numbers; got nan"),
        (FRAME.assign(d=[1, None, 2]), [0, 1, 0], "X['d'] must be finite real numbers; got nan"),
        (
            pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
            [0],
            "X must be a frame whose columns have different names; got ['a', 'a']",
        ),
        (FRAME.assign(d=1, e=1), [0, 1, 0], "n_features must be at least 5, so that there is"),
        (FRAME[:2], [0, "other"], "n_classes must be at least 3, so that there is room for"),
    ],
)
def test_mini_batches_that_are_not_allowed_change_nothing(X, y, message):
    model = stream_model(n_features=4, n_classes=2)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.learn_many(X, y)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("name", ["n_features", "n_classes"])
def test_what_depends_on_the_size_must_be_told_the_size(name):
    told = {"n_features": 3, "n_classes": 2, "hidden_layer_sizes": 5, "arithmetic": "loihi2"}
    assert SpikingMLPClassifier(**told).checkpoint.net.layer_sizes == (4, 5, 2)
    message = f"{name} must be an integer of at least 1 with arithmetic='loihi2'; got None"
    with pytest.raises(ValueError, match=re.escape(message)):
        SpikingMLPClassifier(**{**told, name: None})


def test_the_regressor_learns_numbers_of_any_size():
    random = np.random.RandomState(0)
    for size, offset in ((0.01, 0.0), (1.0, 30.0), (1e4, -1e6)):
        model, errors = SpikingMLPRegressor(), []
        for x in random.uniform(-3, 3, (1500, 1)):
            y = offset + size * np.sin(x[0])
            errors.append(abs(model.predict_one({"x": x[0]}) - y))
            model.learn_one({"x": x[0]}, y)
        assert np.mean(errors[-500:]) < 0.35 * size
        assert model.target_scaling.n_seen == 1500


@pytest.mark.parametrize("y", [None, "red", float("nan"), float("inf"), 10**400])
def test_targets_are_finite_real_numbers(y):
    model = SpikingMLPRegressor(hidden_layer_sizes=(5,))
    assert model.predict_one({"a": 1.0}) == 0
    with pytest.raises(ValueError, match="y must be a finite real number; got"):
        model.learn_one({"a": 1.0}, y)
    assert model.features == []
    with pytest.raises(ValueError, match="y must be finite real numbers; got"):
        model.learn_many(FRAME[:1], pd.Series([y], dtype=object))
    with pytest.raises(ValueError, match="target_scale must be 'auto' or a positive finite"):
        SpikingMLPRegressor(target_scale=-1)


def test_the_constant_input_becomes_a_bias():
    model = stream_model()
    W1 = model.checkpoint.state.weights[0]
    (weights, bias), _ = to_relu(model, bias="input")
    assert np.array_equal(weights, W1[1:])
    assert np.array_equal(bias, W1[0])
    assert np.array_equal(to_relu(model)[0], W1)
    assert model.network_inputs({"b": 3, "z": 1, "a": 2}).tolist() == [[1, 2, 3]]


def test_probabilities_do_not_depend_on_when_they_are_asked_for():
    asked, other = stream_model(), stream_model()
    for i in range(130):
        label = i % 2 if i < 115 else 2
        for model in (asked, other):
            model.learn_one({"a": i % 3, "b": label}, label)
        asked.predict_proba_one({"a": 1.0})
    x = {"a": 2.0, "b": 1.0}
    assert asked.predict_proba_one(x) == other.predict_proba_one(x)


def test_the_number_of_samples_counts_those_before_an_interrupt():
    net = SpikingMLP.paper((3, 2), learning_rate=0.1)
    learner = LazySimulator.untrained(net, LearningRate(0.1, True), SilenceMonitor())
    x = np.ones((3, 3))
    x[2] = 1e30
    with pytest.raises(OverflowError):
        learner.train("compiled", x, np.array([0, 1, 0]), lambda rate, *_: rate)
    assert learner.n_seen == learner.checkpoint.state.samples_seen == 2


def test_many_labels_ask_for_the_same_whenever_memory_is_made():
    random = np.random.RandomState(0)
    told, grown = (
        SpikingMLPClassifier(hidden_layer_sizes=(8,), n_features=3, n_classes=n) for n in (20, None)
    )
    labels = np.concatenate([np.arange(14), random.randint(14, size=60)]).tolist()
    for label in labels:
        x = dict(enumerate(random.standard_normal(3).tolist()))
        told.learn_one(x, label)
        grown.learn_one(x, label)
    weights = [model.checkpoint.state.weights for model in (told, grown)]
    assert np.array_equal(weights[0][0], weights[1][0])
    assert np.array_equal(weights[0][1][:, :14], weights[1][1])
    assert not weights[0][1][:, 14:].any()
    assert grown.checkpoint.net.label_targets == SpikingMLP((4, 8, 14)).label_targets
    assert grown.checkpoint.net.label_targets[0] < 6
