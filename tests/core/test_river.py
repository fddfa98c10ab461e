"""The estimators for river: their conventions, and the same integers as the simulator's."""

import copy
import doctest
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.preprocessing import scale

from spikebp_plugins import Simulator, SpikingMLP, WindowEncoder

pytest.importorskip("river", reason="river is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd
from river import checks, datasets, evaluate, metrics, preprocessing

from spikebp_plugins.estimators.class_counts import ClassCounts
from spikebp_plugins.estimators.repetition import WeightRemainders
from spikebp_plugins.estimators.temperature import Temperature
from spikebp_plugins.river import (
    SpikingMLPClassifier,
    SpikingMLPRegressor,
    stream_classifier,
    stream_regressor,
)

#: A network that no test waits for.
TINY = {"n_features": 4, "n_classes": 3, "hidden_layer_sizes": (6,), "seed": 5}
TINY |= {"update": "fractional", "learning_rate": 0.001, "input_scale": 1.0}
NAMES = ("length", "width", 3, "area")


SMALL = {"hidden_layer_sizes": (20,)}
CHECKED = [
    SpikingMLPClassifier(**SMALL),
    SpikingMLPClassifier(n_features=20, n_classes=10, **SMALL),
    SpikingMLPRegressor(**SMALL),
    SpikingMLPClassifier(**SMALL, class_weight="balanced"),
    SpikingMLPClassifier(**SMALL, window=WindowEncoder(64, 3, levels=4, calibration=10)),
    SpikingMLPRegressor(**SMALL, window=WindowEncoder(64, 2, coding="graded", hop=2)),
]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    return scale(X)[order], y[order]


def rows(X):
    return [dict(zip(NAMES, row.tolist(), strict=True)) for row in X]


def learned(model, X, y):
    for x, label in zip(rows(X), y.tolist(), strict=True):
        model.learn_one(x, label)
    return model


# In river a feature that is not there counts as 0, which may be far from all that came before.
@pytest.mark.filterwarnings("ignore:feature '.*' has a reading of")
@pytest.mark.parametrize(
    ("model", "check"),
    [
        pytest.param(model, check, id=f"{i}-{j}-{check.__name__}")
        for i, model in enumerate(CHECKED)
        for j, check in enumerate(checks.yield_checks(model))
    ],
)
def test_river_has_no_objections(model, check):
    check(model.clone())


def test_it_learns_what_the_simulator_learns(iris):
    X, y = iris
    model = learned(SpikingMLPClassifier(**TINY, label_targets=(0, 1.5), n_steps=7), X, y)
    assert model.features == sorted(NAMES, key=repr)
    assert model.classes == list(dict.fromkeys(y.tolist()))
    columns = [NAMES.index(name) for name in model.features]
    inputs = np.column_stack([np.ones(len(X)), X[:, columns]])
    outputs = np.array([model.classes.index(label) for label in y])
    fields = {"n_steps": 7, "learning_rate": 0.001, "seed": 5, "label_targets": (0.0, 1.5)}
    net = SpikingMLP((5, 6, 3), update="fractional", weight_init="growing", **fields)
    with Simulator(net) as sim:
        reached = sim.train(inputs, 1.5 * np.eye(3)[outputs])
        scores = sim.predict(inputs)
        assert model.checkpoint.net == net
        assert all(map(np.array_equal, model.checkpoint.state.weights, sim.weights))
    predicted = [model.predict_one(x) for x in rows(X)]
    assert predicted == [model.classes[place] for place in scores.argmax(axis=1)]
    temperature = Temperature()
    temperature.observe(reached, outputs)
    expected = temperature.probabilities(scores)
    for x, shares in zip(rows(X), expected, strict=True):
        found = list(model.predict_proba_one(x).values())
        np.testing.assert_allclose(found, shares, rtol=1e-12)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_exactly(iris, copied):
    X, y = iris
    model = learned(SpikingMLPClassifier(**TINY), X[:80], y[:80])
    other = copied(model)
    ends = [learned(m, X[80:], y[80:]).checkpoint.state for m in (model, other)]
    assert all(map(np.array_equal, ends[0].weights, ends[1].weights))
    assert ends[0].samples_seen == 150
    assert model.clone().checkpoint.state.samples_seen == 0


def test_features_and_labels_may_come_later():
    model = SpikingMLPClassifier(**TINY)
    assert model.predict_one({"a": 1.0}) is None
    assert model.predict_proba_one({"a": 1.0}) == {}
    model.learn_one({"b": 1.0}, "first")
    model.learn_one({"c": 1.0, "a": True}, "second")
    assert model.features == ["b", "a", "c"]
    assert list(model.predict_proba_one({"b": 1})) == ["first", "second"]
    # What is missing is 0, and so is what has never been learned from.
    assert model.predict_proba_one({"b": 1}) == model.predict_proba_one(
        {"a": 0, "b": 1.0, "c": 0.0, "d": 5}
    )
    assert model.features == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ({"b": 1.0, "c": float("nan")}, 0, "x['c'] must be a finite real number; got nan"),
        ({"new": "red"}, 0, "x['new'] must be a finite real number; got 'red'"),
        ({3: None}, 0, "x[3] must be a finite real number; got None"),
        (
            dict.fromkeys("bcdef", 1.0),
            0,
            "n_features must be at least 6, so that there is room for 'e'; got 4",
        ),
        ({"a": 1.0}, None, "y must be a label; got None"),
        ({"a": 1.0}, float("nan"), "y must be a label; got nan"),
        ({"a": 1.0}, np.float32("nan"), "y must be a label; got"),
        ({"a": 1.0}, pd.NA, "y must be a label; got <NA>"),
        ({"a": 1.0}, pd.NaT, "y must be a label; got NaT"),
        ({"a": 1.0}, 4, "n_classes must be at least 4, so that there is room for 4; got 3"),
    ],
)
def test_what_is_not_allowed_changes_nothing(x, y, message):
    model = SpikingMLPClassifier(**TINY)
    for label in range(3):
        model.learn_one({"a": 1.0}, label)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.learn_one(x, y)
    assert pickle.dumps(model) == before


def test_a_batch_with_a_label_that_is_none_is_refused_as_a_whole():
    model = SpikingMLPClassifier(**TINY)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match="y must be a label; got"):
        model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}), pd.Series(["red", None]))
    assert pickle.dumps(model) == before


@pytest.mark.parametrize("cls", [SpikingMLPClassifier, SpikingMLPRegressor])
def test_the_memory_of_a_model_is_that_of_what_it_has_learned(cls):
    narrow, wide = (cls(hidden_layer_sizes=(n,)) for n in (10, 1010))
    for model in (narrow, wide):
        model.learn_one({"a": 1.0, "b": 2.0}, 1)
        model.predict_one({"a": 1.0})
    assert 1000 < narrow._raw_memory_usage < 10_000
    # A weight has 2 bytes here: of two features and the constant one, and of the outputs.
    assert wide._raw_memory_usage - narrow._raw_memory_usage > 1000 * 2 * 4
    assert narrow._memory_usage.endswith("KiB")


def test_labels_ask_of_wrong_outputs_too(iris):
    X, y = iris
    model = learned(SpikingMLPClassifier(**TINY, label_targets=(1, 5)), X, y)
    net = model.checkpoint.net
    assert net.label_targets == (1.0, 5.0)
    columns = [NAMES.index(name) for name in model.features]
    outputs = np.array([model.classes.index(label) for label in y])
    with Simulator(net.replace(label_targets=(0, 1))) as sim:
        inputs = np.column_stack([np.ones(len(X)), X[:, columns]])
        asked = np.where(np.eye(3, dtype=bool)[outputs], 5.0, 1.0)
        known = np.maximum.accumulate(outputs) + 1  # nothing is asked of labels to come
        sim.train(inputs, np.where(np.arange(3) < known[:, np.newaxis], asked, 0.0))
        found = model.checkpoint.state.weights
        assert all(map(np.array_equal, found, sim.weights))


def test_a_sample_out_of_range_changes_nothing():
    model = SpikingMLPClassifier(**TINY)
    with pytest.raises(OverflowError, match="layer"):
        model.learn_one({"a": 1e30}, 0)
    assert (model.features, model.classes) == ([], [])
    assert model.checkpoint.state.samples_seen == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            {"label_targets": 5},
            "label_targets must be two finite numbers, the second one larger; got 5",
        ),
        (
            {"label_targets": (5, 1)},
            "label_targets must be two finite numbers, the second one larger; got (5, 1)",
        ),
        (
            {"input_scale": "off"},
            "input_scale must be 'auto' or a positive finite number; got 'off'",
        ),
        ({"spikes": "many"}, "spikes must be one of 'graded', 'binary'; got 'many'"),
    ],
)
def test_wrong_parameters_are_refused(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SpikingMLPClassifier(**TINY | wrong)


# The scaler moves what stays the same a little with each sample, until it is another.
@pytest.mark.filterwarnings("ignore:feature 'ip_in_url' has a reading of")
def test_a_stream_is_learned():
    model = preprocessing.StandardScaler() | SpikingMLPClassifier()
    accuracy = evaluate.progressive_val_score(datasets.Phishing(), model, metrics.Accuracy())
    assert accuracy.get() > 0.85
    for module in (stream_classifier, stream_regressor):
        assert doctest.testmod(module).failed == 0


def test_without_river_the_message_says_what_to_install():
    code = "import sys; sys.modules['river'] = None; import spikebp_plugins.river"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        'ImportError: the estimators for river need river: pip install "spikebp-plugins[river]"'
    )


def wandering(n, seed=4):
    """Return readings of two sensors, one of which is missing now and then, and their labels."""
    random = np.random.RandomState(seed)
    values = np.cumsum(random.normal(size=(n, 2)), axis=0)
    labels = (np.diff(values[:, 0], prepend=0) > 0).astype(int)
    values[random.uniform(size=n) < 0.2, 1] = np.nan
    return values, labels


def readings_by_name(values):
    return [
        {name: x for name, x in zip("ab", row, strict=True) if not np.isnan(x)}
        for row in values.tolist()
    ]


WINDOW = WindowEncoder(2, 3, levels=5, hop=2, calibration=6)
WITH_WINDOW = {"hidden_layer_sizes": (6,), "seed": 5, "learning_rate": 2**-9, "window": WINDOW}


def test_windows_are_learned_as_the_simulator_learns_them():
    values, labels = wandering(50)
    before = pickle.dumps(WINDOW)
    model = SpikingMLPClassifier(n_classes=2, update="fractional", **WITH_WINDOW)
    for x, label in zip(readings_by_name(values[:47]), labels.tolist(), strict=False):
        model.predict_one(x)  # does not take the reading
        model.predict_proba_one(x)
        model.learn_one(x, label)
    assert pickle.dumps(WINDOW) == before
    windows = copy.deepcopy(WINDOW).encode(values[:47])
    outputs = np.array([model.classes.index(label) for label in labels])
    with Simulator(model.checkpoint.net) as sim:
        sim.train(np.column_stack([np.ones(len(windows)), windows]), outputs[8:47:2])
        assert model.checkpoint.state.samples_seen == len(windows) == 20
        assert all(map(np.array_equal, model.checkpoint.state.weights, sim.weights))
        # A prediction sees the window that its reading would end, whatever the hop is.
        for x, row in zip(readings_by_name(values[47:]), values[47:], strict=True):
            every = WindowEncoder(2, 3, levels=5, calibration=6)
            shown = every.encode(np.vstack([values[:47], row]))[-1:]
            assert model.network_inputs(x)[:, 1:].tolist() == shown.tolist()
            answer = sim.predict(model.network_inputs(x)).argmax()
            assert model.predict_one(x) == model.classes[answer]


@pytest.mark.parametrize(("scale", "shown"), [("auto", [0.5, 1]), (0.25, [4, 8])])
def test_the_largest_byte_counts_one_unless_a_scale_is_given(scale, shown):
    window = WindowEncoder(1, 2, levels=8, coding="graded", low=0, high=9)
    model = SpikingMLPRegressor(**(WITH_WINDOW | {"window": window, "input_scale": scale}))
    model.learn_one({"a": 5}, 1)
    assert model.network_inputs({"a": 10})[0, 1:].tolist() == shown


@pytest.mark.parametrize("cls", [SpikingMLPClassifier, SpikingMLPRegressor])
def test_a_model_with_windows_is_cloned_and_copied(cls):
    values, labels = wandering(40)
    model = cls(**WITH_WINDOW)
    stream = list(zip(readings_by_name(values), labels.tolist(), strict=True))
    for x, y in stream[:5]:
        model.learn_one(x, y)
    # Nothing is learned before a window is complete; of a label is known that it is there.
    assert model.checkpoint.state.samples_seen == 0
    assert model.predict_one(stream[5][0]) == (model.classes[0] if "Class" in cls.__name__ else 0)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for x, y in stream[5:]:
        for each in (model, *copies):
            each.learn_one(x, y)
    clone = model.clone()
    for x, y in stream:
        clone.learn_one(x, y)
    for each in (*copies, clone):
        assert pickle.dumps(each.checkpoint) == pickle.dumps(model.checkpoint)
        assert each.predict_one(stream[0][0]) == model.predict_one(stream[0][0])


def test_a_window_has_its_channels_and_no_more():
    model = SpikingMLPClassifier(**WITH_WINDOW)
    model.learn_one({"b": 1.0, "a": 2.0}, "first")
    assert model.features == ["a", "b"]
    before = pickle.dumps(model)
    message = "n_channels of the window must be at least 3, so that there is room for 'c'; got 2"
    with pytest.raises(ValueError, match=message):
        model.learn_one({"a": 1.0, "c": 2.0}, "second")
    assert pickle.dumps(model) == before
    message = "n_features must be None with a window, which has n_channels; got 2"
    with pytest.raises(ValueError, match=message):
        SpikingMLPClassifier(2, **WITH_WINDOW)
    with pytest.raises(ValueError, match="window must be a WindowEncoder or None; got 3"):
        SpikingMLPRegressor(window=3)


@pytest.mark.parametrize("class_weight", ["balanced", {"rare": 2.5, "often": 0.25}])
def test_class_weights_say_how_often_a_label_is_shown(iris, class_weight):
    X, y = iris
    is_kept = (y == 0) | ((y == 1) & (np.arange(len(y)) % 8 == 0))
    X, labels = X[is_kept], np.where(y[is_kept] == 1, "rare", "often")
    one, many, plain = (
        SpikingMLPClassifier(**TINY | {"learning_rate": 0.01}, class_weight=weight)
        for weight in (class_weight, class_weight, None)
    )
    counts, shown = ClassCounts(), []
    for x, label in zip(rows(X), labels.tolist(), strict=True):
        one.learn_one(x, label)
        one = pickle.loads(pickle.dumps(one))
        balanced = counts.weights([label])[0]
        shown.append(class_weight[label] if isinstance(class_weight, dict) else balanced)
    frame = pd.DataFrame(rows(X))
    for a in range(0, len(X), 7):
        many.learn_many(frame[a : a + 7], pd.Series(labels[a : a + 7]))
    _, codes = np.unique(labels, return_inverse=True)
    order = WeightRemainders().shown(np.array(shown), codes)
    assert np.bincount(order).max() > 1
    assert len(set(order.tolist())) < len(labels)
    for i in order.tolist():
        plain.learn_one(rows(X)[i], labels[i].item())
    for model in (one, many):
        assert model.checkpoint.state.samples_seen == len(order)
        assert model.classes == plain.classes
        for a, b in zip(
            model.checkpoint.state.weights, plain.checkpoint.state.weights, strict=True
        ):
            np.testing.assert_array_equal(a, b)
    assert one.predict_proba_one(rows(X)[0]) == many.predict_proba_one(rows(X)[0])


@pytest.mark.parametrize("wrong", ["some", 2.0, {"a": -1.0}, {"a": "b"}, {"a": 1e9}])
def test_wrong_class_weights_are_refused(wrong):
    with pytest.raises(ValueError, match="class_weight"):
        SpikingMLPClassifier(class_weight=wrong)
