"""The estimators of scikit-learn: its conventions, and the same integers as the simulator's."""

import copy
import doctest
import pickle
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from spikebp_plugins import Checkpoint, Simulator, SpikingMLP, load_dataset
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.estimators import (
    SpikingMLPClassifier,
    SpikingMLPRegressor,
    classifier,
    regressor,
)
from spikebp_plugins.estimators.classifier import probabilities
from spikebp_plugins.estimators.lazy_simulator import LazySimulator
from spikebp_plugins.estimators.parameters import ParametersInUse
from spikebp_plugins.estimators.regressor import automatic_scale
from tests.core.test_registry import HEAVY
from tests.documentation import sections

#: A network that no test waits for.
TINY = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 5}
ESTIMATORS = [SpikingMLPClassifier, SpikingMLPRegressor]


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(y))
    return (X[order] - X.mean(0)) / X.std(0), y[order]


def equal_weights(a, b):
    return all(map(np.array_equal, weights_of(a), weights_of(b)))


def weights_of(model):
    return model.checkpoint_.state.weights if hasattr(model, "checkpoint_") else model.weights


def with_one(X):
    return np.column_stack([X, np.ones(len(X))])


CHECKS = parametrize_with_checks(
    [
        SpikingMLPClassifier(),
        SpikingMLPRegressor(),
        SpikingMLPClassifier((), intercept=False, max_iter=30),
        SpikingMLPRegressor(20, presynaptic="drive", early_stopping=True, validation_fraction=0.4),
    ]
)


# Some releases of scikit-learn give an iterator, which some of pytest refuse.
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)
def test_scikit_learn_has_no_objections(estimator, check):
    check(estimator)


def test_a_classifier_learns_what_the_simulator_learns(iris):
    X, y = iris
    order = np.random.RandomState(1).permutation(len(y))
    model = SpikingMLPClassifier((6, 5), random_state=5, target=1.5, n_steps=7)
    for rows in (order[:1], order[1:2], order[2:70], order[70:]):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    fields = {"n_steps": 7, "learning_rate": 0.02, "seed": 5, "label_targets": (0.0, 1.5)}
    net = SpikingMLP((5, 6, 5, 3), **fields)
    with Simulator(net) as sim:
        sim.train(with_one(X)[order], 1.5 * np.eye(3)[y[order]])
        assert model.checkpoint_.net == net
        assert equal_weights(model, sim)
        assert model.checkpoint_.state.samples_seen == 150
        np.testing.assert_array_equal(model.predict(X), sim.predict(with_one(X)).argmax(axis=1))


def test_a_classifier_asks_of_wrong_outputs_too(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY, label_targets=(1, 5), weight_init="he", shuffle=False)
    model.fit(X, y)
    net = SpikingMLP((5, 6, 3), learning_rate=0.02, seed=5, weight_init="he")
    targets = np.where(np.eye(3, dtype=bool)[y], 5.0, 1.0)
    with Simulator(net) as sim:
        for epoch in range(3):
            scores = sim.train(with_one(X), targets)
            loss = np.mean(np.sum((np.maximum(scores, 0) - targets) ** 2, axis=1)) / 2
            assert model.loss_curve_[epoch] == loss
        assert equal_weights(model, sim)
    assert model.checkpoint_.net == net.replace(label_targets=(1, 5))


def test_no_target_is_one_of_two(iris):
    X, y = iris
    models = [
        SpikingMLPClassifier(**TINY, **given).fit(X, y)
        for given in ({}, {"target": 2.0}, {"label_targets": [0, 2]})
    ]
    assert len({pickle.dumps(model.checkpoint_) for model in models}) == 1


def test_a_regressor_takes_other_initial_weights(iris):
    X, y = iris[0], iris[0][:, 0]
    model = SpikingMLPRegressor(**TINY, weight_init="he").partial_fit(X[:1], y[:1])
    net = SpikingMLP((5, 6, 2), seed=5, weight_init="he")
    assert model.checkpoint_.net == net
    with pytest.raises(TypeError, match="label_targets"):
        SpikingMLPRegressor(label_targets=(0, 1))


def test_what_labels_ask_for_may_change(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY, target=1.0).partial_fit(X, y, classes=[0, 1, 2])
    with Simulator(SpikingMLP((5, 6, 3), learning_rate=0.02, seed=5)) as sim:
        sim.train(with_one(X), y)
        sim.train(with_one(X), np.where(np.eye(3, dtype=bool)[y], 5.0, 1.0))
        model.set_params(target=None, label_targets=(1, 5)).partial_fit(X, y)
        assert equal_weights(model, sim)
    assert model.checkpoint_.net.label_targets == (1.0, 5.0)


def test_pickles_from_before_the_network_knew_what_labels_ask_for_go_on(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY, target=1.5)
    model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    checkpoint = model.checkpoint_
    former = Checkpoint(checkpoint.net.replace(label_targets=(0, 1)), checkpoint.state)
    before = copy.deepcopy(model)
    before._learned = before._resumed = LazySimulator(former)
    before._in_use = ParametersInUse(before)
    read = pickle.loads(pickle.dumps(before)).partial_fit(X, y)
    assert equal_weights(read, model.partial_fit(X, y))
    assert read.checkpoint_.net == checkpoint.net


def test_fit_shows_the_epochs_that_its_seed_orders(iris):
    X, y = iris
    model = SpikingMLPClassifier(target=1.0, **TINY).fit(X, y)
    with Simulator(SpikingMLP((5, 6, 3), learning_rate=0.02, seed=5)) as sim:
        for epoch in range(3):
            order = shuffled(150, 5, epoch)
            scores = sim.train(with_one(X)[order], y[order])
            loss = np.mean(np.sum((np.maximum(scores, 0) - np.eye(3)[y[order]]) ** 2, axis=1)) / 2
            assert model.loss_curve_[epoch] == loss
        assert equal_weights(model, sim)
    assert (model.n_iter_, len(model.loss_curve_), model.validation_scores_) == (3, 3, [])


@pytest.mark.parametrize("signed", [True, False])
def test_a_regressor_learns_what_the_simulator_learns(iris, signed):
    X, y = iris[0], iris[0][:, :2] if signed else np.abs(iris[0][:, :2])
    model = SpikingMLPRegressor(6, random_state=5, target_scale=3, signed_output=signed)
    model.partial_fit(X, y).partial_fit(X[:9], y[:9])
    targets = 3 * np.column_stack([np.maximum(y, 0), np.maximum(-y, 0)] if signed else [y])
    with Simulator(SpikingMLP((5, 6, targets.shape[1]), seed=5)) as sim:
        sim.train(with_one(X), targets)
        sim.train(with_one(X)[:9], targets[:9])
        assert equal_weights(model, sim)
        scores = np.maximum(sim.predict(with_one(X)), 0)
    predicted = scores[:, :2] - scores[:, 2:] if signed else scores
    np.testing.assert_array_equal(model.predict(X), predicted / 3)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_an_integer_seed_decides_all(iris, cls):
    a, b, c = (cls(**TINY | {"random_state": seed}).fit(*iris) for seed in (5, np.int64(5), 6))
    assert equal_weights(a, b)
    assert not equal_weights(a, c)
    assert equal_weights(a.fit(*iris), b)


def test_a_random_state_is_drawn_from(iris):
    state = np.random.RandomState(3)
    a, b = (SpikingMLPClassifier(**TINY | {"random_state": state}).fit(*iris) for _ in range(2))
    again = SpikingMLPClassifier(**TINY | {"random_state": np.random.RandomState(3)}).fit(*iris)
    assert equal_weights(a, again)
    assert not equal_weights(a, b)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_warm_start_goes_on_as_if_there_had_been_no_break(iris, cls):
    whole = cls(**TINY | {"max_iter": 5}).fit(*iris)
    model = cls(**TINY, warm_start=True).fit(*iris)
    model.set_params(max_iter=2).fit(*iris)
    assert equal_weights(model, whole)
    assert (model.n_iter_, model.loss_curve_) == (5, whole.loss_curve_)
    assert not equal_weights(model.set_params(warm_start=False, max_iter=3).fit(*iris), whole)


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_exactly(iris, cls, copied):
    X, y = iris
    model = cls(**TINY, backward_init="uniform", feedback="random").fit(X, y)
    other = copied(model)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    model.partial_fit(X[:20], y[:20])
    assert not equal_weights(model, other)
    assert equal_weights(other.partial_fit(X[:20], y[:20]), model)
    ends = [m.checkpoint_.state for m in (model, other)]
    assert ends[0].samples_seen == ends[1].samples_seen == 470
    assert all(map(np.array_equal, *(end.backward_potentials for end in ends)))


def test_a_pickle_holds_no_simulator(iris):
    model = SpikingMLPClassifier(**TINY).fit(*iris)
    assert b"backends" not in pickle.dumps(model)
    assert not hasattr(clone(model), "checkpoint_")


@pytest.mark.parametrize("backend", ["reference", "compiled:n_jobs=1", "brian2:numpy"])
def test_every_back_end_learns_the_same_and_can_take_over(iris, backend):
    if backend.startswith("brian2"):
        pytest.importorskip("brian2", reason="Brian2 is not installed")
    X, y = iris[0][:30], iris[1][:30]
    model = SpikingMLPClassifier(**TINY).fit(X, y)
    other = SpikingMLPClassifier(**TINY, backend=backend).fit(X, y)
    assert equal_weights(model, other)
    np.testing.assert_array_equal(model.predict_proba(X), other.predict_proba(X))
    taken_over = clone(model).fit(X, y).set_params(backend=backend).partial_fit(X, y)
    assert equal_weights(taken_over, model.partial_fit(X, y))


def test_early_stopping_keeps_the_best_network(iris):
    X, y = iris
    settings = TINY | {"max_iter": 60}
    model = SpikingMLPClassifier(
        **settings, early_stopping=True, validation_fraction=0.3, n_iter_no_change=4
    ).fit(X, y)
    best = int(np.argmax(model.validation_scores_))
    assert model.n_iter_ == len(model.validation_scores_) == best + 5 < 60
    rows, others = train_test_split(np.arange(150), test_size=0.3, random_state=5, stratify=y)
    assert model.score(X[others], y[others]) == model.validation_scores_[best]
    without = SpikingMLPClassifier(**settings | {"max_iter": best + 1}).fit(X[rows], y[rows])
    assert equal_weights(model, without)
    assert model.checkpoint_.state.samples_seen == (best + 1) * 105


def test_a_warm_start_with_early_stopping_never_ends_worse(iris):
    X = iris[0]
    model = SpikingMLPRegressor(
        **TINY | {"max_iter": 40}, early_stopping=True, warm_start=True, validation_fraction=0.3
    ).fit(X, X[:, 0])
    before, weights = max(model.validation_scores_), model.checkpoint_.state.weights
    model.set_params(learning_rate=5.0, max_iter=2).fit(X, X[:, 0])
    assert all(score < before for score in model.validation_scores_[-2:])
    assert all(map(np.array_equal, model.checkpoint_.state.weights, weights))


def test_probabilities_are_shares_of_the_positive_scores():
    scores = np.array([[1.0, -4.0, 3.0], [-1.0, -2.0, -1.5], [0.0, 0.0, 0.0]])
    shares = probabilities(scores)
    np.testing.assert_array_equal(shares[0], [0.25, 0.0, 0.75])
    np.testing.assert_array_equal(shares[2], np.full(3, 1 / 3))
    softmax = np.exp(scores[1]) / np.exp(scores[1]).sum()
    np.testing.assert_allclose(shares[1], softmax, rtol=4 * np.finfo(float).eps)
    np.testing.assert_array_equal(shares.argmax(axis=1), scores.argmax(axis=1))
    far = probabilities(np.array([[-1e9, -1.0], [1e300, 1.0]]))
    np.testing.assert_array_equal(far, [[0.0, 1.0], [1.0, 1e-300]])


def test_labels_may_be_text_and_columns_named(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    a = SpikingMLPClassifier(**TINY).fit(X, names[y])
    b = SpikingMLPClassifier(**TINY).partial_fit(X, names[y], classes=names[::-1])
    assert list(a.classes_) == list(b.classes_) == list(names)
    assert set(a.predict(X)) <= set(names)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert list(SpikingMLPClassifier(**TINY).fit(frame, y).feature_names_in_) == list("abcd")


def test_raw_pixels_are_scaled_by_the_network():
    data = load_dataset("digits", raw=True)
    X, y = data.x_train[:200], data.y_train[:200]
    a = SpikingMLPClassifier(**TINY, input_scale=1 / 16).fit(X, y)
    b = SpikingMLPClassifier(**TINY).fit(X / 16, y)
    assert equal_weights(a, b)


def test_digits_are_learned():
    data = load_dataset("digits")
    model = SpikingMLPClassifier(max_iter=20, random_state=0).fit(data.x_train, data.y_train)
    assert model.score(data.x_test, data.y_test) >= 0.95
    predicted = model.predict(data.x_test)
    np.testing.assert_array_equal(model.predict_proba(data.x_test).argmax(axis=1), predicted)
    assert model.score(data.x_test, data.y_test) == accuracy_score(data.y_test, predicted)


@pytest.mark.parametrize("size", [0.01, 1.0, 1e4])
def test_a_sine_is_learned_in_any_size(size):
    x = np.random.RandomState(0).uniform(-3, 3, (400, 1))
    y = size * np.sin(x[:, 0])
    model = SpikingMLPRegressor(max_iter=60, random_state=0).fit(x[:300], y[:300])
    assert model.score(x[300:], y[300:]) > 0.95
    assert np.log2(model.target_scale_) % 1 == 0


def test_the_automatic_scale_is_a_power_of_two():
    y = np.array([[3.0, 0.0, 1e-300, -1e300], [-3.0, 0.0, 1e-300, 1e300]])
    scale = automatic_scale(y, 2.0)
    assert scale[:2].tolist() == [0.5, 1.0]
    assert np.all(np.log2(scale) % 1 == 0)
    assert 2**0.5 <= scale[2] * 1e-300 <= 2**1.5
    assert 2**0.5 <= scale[3] * 1e300 <= 2**1.5
    assert automatic_scale(y, 0.5)[:2].tolist() == [2**-3, 1.0]
    assert automatic_scale(y[:, 0], 2.0).tolist() == [0.5]
    assert np.isfinite(automatic_scale(np.full((1, 1), 5e-324), 2.0)).all()


def test_targets_keep_their_shape(iris):
    X = iris[0]
    for y in (X[:, 0], X[:, :1], X[:, :3]):
        assert SpikingMLPRegressor(**TINY).fit(X, y).predict(X[:7]).shape == (7, *y.shape[1:])
    model = SpikingMLPRegressor(**TINY | {"max_iter": 100}).fit(X, X[:, :2])
    assert model.score(X, X[:, :2]) == r2_score(X[:, :2], model.predict(X)) > 0.8


WRONG = [
    ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be a sequence of positive integers"),
    ({"hidden_layer_sizes": "10"}, "hidden_layer_sizes must be"),
    ({"max_iter": 0}, "max_iter must be an integer of at least 1; got 0"),
    ({"max_iter": True}, "max_iter must be an integer of at least 1; got True"),
    ({"learning_rate": "adaptive"}, "learning_rate must be a positive finite number"),
    ({"n_steps": 2.5}, "n_steps must be an integer"),
    ({"update": "batch"}, "update must be one of 'fractional', 'outer'; got 'batch'"),
    ({"validation_fraction": 1.0}, "validation_fraction must be between 0 and 1; got 1.0"),
    ({"n_iter_no_change": 0.5}, "n_iter_no_change must be an integer of at least 1; got 0.5"),
    ({"tol": -1}, "tol must be a finite number of at least 0; got -1"),
    ({"shuffle": "yes"}, "shuffle must be True or False; got 'yes'"),
    ({"random_state": -1}, "random_state must be None, a RandomState or an integer from 0"),
    ({"backend": "fpga"}, "backend must be one of"),
    ({"backend": "compiled:n_jobs=0"}, "n_jobs of back end 'compiled' must be"),
]


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=[str(wrong) for wrong, _ in WRONG])
def test_wrong_parameters_are_refused_before_anything_has_changed(iris, cls, wrong, message):
    X, y = iris
    model = cls(**TINY).fit(X, y)
    before = pickle.dumps(model.checkpoint_)
    model.set_params(**wrong)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(X, y)
    assert pickle.dumps(model.checkpoint_) == before


@pytest.mark.parametrize(
    ("cls", "wrong", "message"),
    [
        (SpikingMLPClassifier, {"target": 0}, "target must be a positive finite number; got 0"),
        (SpikingMLPClassifier, {"target": np.inf}, "target must be a positive finite number"),
        (
            SpikingMLPClassifier,
            {"target": 2.0, "label_targets": (0, 2)},
            "target must be None beside label_targets; got 2.0",
        ),
        (
            SpikingMLPClassifier,
            {"label_targets": (0, np.nan)},
            "label_targets must be a sequence of two finite numbers; got (0, nan)",
        ),
        (SpikingMLPRegressor, {"target_scale": "big"}, "target_scale must be 'auto' or a positive"),
        (SpikingMLPRegressor, {"target_scale": -1.0}, "target_scale must be 'auto' or a positive"),
        (SpikingMLPRegressor, {"signed_output": 1}, "signed_output must be True or False; got 1"),
    ],
)
def test_wrong_parameters_of_one_estimator_are_refused(iris, cls, wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cls(**TINY, **wrong).partial_fit(*iris)


def test_negative_targets_need_two_units(iris):
    X = np.abs(iris[0])
    y = X[:, 0].copy()
    model = SpikingMLPRegressor(**TINY, signed_output=False).fit(X, y)
    assert model.predict(X).min() >= 0
    y[[7, 9]] = -0.25, -3
    for learn in (model.fit, model.partial_fit, clone(model).fit):
        with pytest.raises(ValueError, match=r"y must be not negative .*; got -0\.25"):
            learn(X, y)


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize(
    "change",
    [
        {"hidden_layer_sizes": (7,)},
        {"intercept": False},
        {"n_steps": 5},
        {"input_scale": 0.5},
        {"fraction_bits": 30},
        {"feedback": "random"},
        {"weight_init": "he"},
    ],
    ids=str,
)
def test_a_network_cannot_go_on_as_another(iris, cls, change):
    X, y = iris
    model = cls(**TINY, warm_start=True).fit(X, y)
    expected = model.predict(X)
    model.set_params(**change)
    (name,) = change
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"{name} must be what it was"):
            learn(X, y)
    np.testing.assert_array_equal(model.predict(X), expected)


def test_targets_cannot_change_their_code(iris):
    X, y = iris[0], iris[0][:, 0]
    model = SpikingMLPRegressor(**TINY, target_scale=2.0).partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y must be of shape \('n_samples',\), as before"):
        model.partial_fit(X, X)
    for change in ({"target_scale": 1.0}, {"signed_output": False}):
        with pytest.raises(ValueError, match="must be what it was"):
            clone(model).partial_fit(X, y).set_params(**change).partial_fit(X, np.abs(y))
    model.set_params(target_scale="auto").partial_fit(X, y)
    assert model.target_scale_.tolist() == [2.0]


def test_the_rate_may_change_on_the_grid_that_there_is(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY).fit(X, y)
    with model.checkpoint_.at_rate(0.01).simulate() as sim:
        sim.train(with_one(X), 2 * np.eye(3)[y])
        sim.train(with_one(X), 2 * np.eye(3)[y])
        model.set_params(learning_rate=0.01).partial_fit(X, y).partial_fit(X, y)
        assert equal_weights(model, sim)


def test_labels_are_those_of_the_first_call(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY)
    with pytest.raises(ValueError, match="classes must be all labels in the first call"):
        model.partial_fit(X, y)
    with pytest.raises(ValueError, match=r"y must be labels among the classes \[0 1\]; got .*2"):
        model.partial_fit(X, y, classes=[0, 1])
    assert not hasattr(model, "classes_")
    model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y, classes=[2, 1, 0])
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"y must be labels among the classes \[0 1 2\]; got .*3"):
        model.set_params(warm_start=True).fit(X, y + 1)
    assert model.n_iter_ == 2


def test_what_leaves_the_range_leaves_what_was_learned(iris):
    X, y = iris[0].copy(), iris[1]
    X[-1] = 1e30
    model = SpikingMLPClassifier(**TINY, shuffle=False)
    with pytest.raises(OverflowError, match="layer"):
        model.fit(X, y)
    assert model.checkpoint_.state.samples_seen == 149


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_nothing_is_predicted_before_anything_is_learned(cls):
    for ask in (lambda m: m.predict([[1.0]]), lambda m: m.checkpoint_):
        with pytest.raises(NotFittedError):
            ask(cls())


def test_threads_may_share_an_estimator(iris):
    X = np.tile(iris[0], (8, 1))
    model = SpikingMLPClassifier(**TINY).fit(*iris)
    expected, answers = model.predict_proba(X), []

    def ask():
        for _ in range(20):
            answers.append(model.predict_proba(X))  # noqa: PERF401

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_a_search_runs_in_processes(iris):
    grid = {"learning_rate": [0.005, 0.02], "hidden_layer_sizes": [(4,), (6,)]}
    model = SpikingMLPClassifier(**TINY, backend="compiled:n_jobs=1")
    searches = [GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(*iris) for n_jobs in (None, 2)]
    results = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*results)
    assert equal_weights(*(search.best_estimator_ for search in searches))


def test_the_package_offers_them_without_loading_scikit_learn():
    code = (
        "import spikebp_plugins as s, sys;"
        "assert 'SpikingMLPClassifier' in dir(s) and 'SpikingMLPRegressor' in dir(s);"
        f"print(*(m for m in {HEAVY} if m in sys.modules));"
        "from spikebp_plugins import SpikingMLPClassifier, SpikingMLPRegressor;"
        "print('sklearn' in sys.modules, hasattr(s, 'SpikingMLP2'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["", "True False"], "")


@pytest.mark.parametrize("module", [classifier, regressor])
def test_the_examples_of_the_documentation_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("title", ["Classify", "Regress", "Learn from a stream with river"])
def test_the_code_of_the_guide_runs(title, capsys):
    if "river" in title:
        pytest.importorskip("river", reason="river is not installed")
    code = sections("docs/scikit_learn.md")[title]
    for whole, short in (
        ("load_breast_cancer, load_digits):", "):"),
        ("1000", "60"),
        ("750", "50"),
    ):
        code = code.replace(whole, short)
    code = code.replace("MLPClassifier(random_state=0)):", "MLPClassifier(tol=9.0)):")
    exec(code, {})
    assert re.search(r"\d\.\d|\d %", capsys.readouterr().out)


# Rows that scikit-learn's checks need not see

AS_GIVEN = {
    "array": lambda rows: rows,
    "list": lambda rows: rows.tolist(),
    "single precision": lambda rows: rows.astype(np.float32).astype(object),
    "columns first": np.asfortranarray,
}


@pytest.mark.parametrize("given", AS_GIVEN.values(), ids=AS_GIVEN)
@pytest.mark.parametrize("cls", ESTIMATORS)
def test_rows_of_any_kind_are_learned_alike(cls, given, iris):
    X, y = iris[0].astype(np.float32).astype(np.float64), iris[1]
    model, expected = cls(random_state=0), cls(random_state=0)
    options = {"classes": [0, 1, 2]} if cls is SpikingMLPClassifier else {}
    for rows in (slice(20), *(slice(i, i + 1) for i in range(20, 30))):
        model.partial_fit(given(X[rows]), y[rows].tolist(), **options)
        expected.partial_fit(X[rows], y[rows], **options)
    assert equal_weights(model, expected)
    assert np.array_equal(model.predict(given(X)), expected.predict(X))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_row_that_is_not_allowed_is_refused_as_ever(cls, iris):
    X, y = iris
    model = cls(random_state=0).partial_fit(
        X, y, **({"classes": [0, 1, 2]} if cls is SpikingMLPClassifier else {})
    )
    before = [weights.copy() for weights in weights_of(model)]
    wrong = X[:1].copy()
    wrong[0, 2] = np.nan
    for row, message in (
        (wrong, "Input X contains NaN"),
        (X[:1, :3], "X has 3 features, but .* is expecting 4 features"),
        (X[0], "Expected 2D array, got 1D array"),
        (X[:0], "Found array with 0 sample"),
    ):
        with pytest.raises(ValueError, match=message):
            model.predict(row)
        with pytest.raises(ValueError, match=message):
            model.partial_fit(row, y[:1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.partial_fit(X[:1], y[:2])
    assert all(map(np.array_equal, weights_of(model), before))


def test_names_of_features_are_asked_for_where_they_were_given(iris):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = iris
    model = SpikingMLPClassifier(random_state=0)
    model.partial_fit(pandas.DataFrame(X, columns=list("abcd")), y, classes=[0, 1, 2])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X[:1])


@pytest.mark.parametrize("wrong", [{"n_steps": True}, {"hidden_layer_sizes": [6]}])
def test_parameters_are_checked_again_when_they_have_changed(wrong, iris):
    X, y = iris
    model = SpikingMLPClassifier(6, n_steps=1, random_state=0)
    for rows in (slice(20), slice(20, 21), slice(21, 22)):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    seen = model.checkpoint_.state.samples_seen
    sizes = wrong.get("hidden_layer_sizes")
    model.set_params(**wrong)
    if sizes is None:  # equal to 1, but not allowed
        with pytest.raises(ValueError, match="n_steps must be"):
            model.partial_fit(X[22:23], y[22:23])
        assert model.checkpoint_.state.samples_seen == seen
    else:  # a list may change while it stays the same object
        model.partial_fit(X[22:23], y[22:23])
        sizes[0] = 7
        with pytest.raises(ValueError, match="hidden_layer_sizes must be what it was"):
            model.partial_fit(X[23:24], y[23:24])
