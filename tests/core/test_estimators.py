"""The estimators of scikit-learn: its conventions, and the same integers as the simulator's."""

import copy
import doctest
import pickle
import re
import threading
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_classification
from sklearn.ensemble import AdaBoostClassifier
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, train_test_split
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    from_relu,
    load_dataset,
)
from spikebp_plugins.data.images import shuffled
from spikebp_plugins.estimators import (
    SpikingMLPClassifier,
    SpikingMLPRegressor,
    classifier,
    regressor,
    samples,
)
from spikebp_plugins.estimators.class_counts import ClassCounts
from spikebp_plugins.estimators.learning_rate import MARKS, LearningRate
from spikebp_plugins.estimators.repetition import WeightRemainders
from spikebp_plugins.estimators.samples import Samples
from spikebp_plugins.estimators.scaling import InputScaling, scaling_after
from spikebp_plugins.estimators.temperature import Temperature, softmax
from spikebp_plugins.network.state import initial_state
from tests.core.equal_scalings import assert_same_scalings
from tests.documentation import ROOT, sections

#: Updates at every step and at one rate, of features as they are.
PLAIN = {"update": "fractional", "input_scale": 1.0, "learning_rate": 0.001}
#: A network that no test waits for.
TINY = {
    "hidden_layer_sizes": (6,),
    "max_iter": 3,
    "random_state": 5,
    **PLAIN,
}
fractional = partial(SpikingMLP, update="fractional")
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


def with_mark(given):
    """Return an estimator and a check, of which those of the first estimator are a smoke test."""
    values = getattr(given, "values", given)
    marks = [*getattr(given, "marks", ())]
    if repr(values[0]) == "SpikingMLPClassifier()":
        marks.append(pytest.mark.smoke)
    return pytest.param(*values, marks=marks)


CHECKS = parametrize_with_checks(
    [
        SpikingMLPClassifier(),
        SpikingMLPRegressor(
            20,
            early_stopping=True,
            validation_fraction=0.4,
            replay_capacity=20,
        ),
        SpikingMLPClassifier(connections=[Dense(20)], max_iter=30, replay_capacity=50),
    ]
)


def test_one_grid_holds_all_rates(iris):
    X, y = iris
    model = SpikingMLPClassifier(max_iter=2).fit(X, y)
    bits = model.checkpoint_.net.fraction_bits
    assert bits == SpikingMLP((2, 2), learning_rate=0.5 / 16).fraction_bits > 20
    before = model.checkpoint_
    with pytest.raises(ValueError, match=r"learning_rate must be at least .* fraction_bits=24"):
        model.set_params(learning_rate=1e-9).partial_fit(X, y)
    assert all(map(np.array_equal, weights_of(model), before.state.weights))


def test_a_network_without_hidden_layers_learns_classes_on_all_sides():
    X = np.array([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]])[np.arange(30) % 3]
    X += np.random.RandomState(0).standard_normal(X.shape) / 10
    for seed in range(5):
        model = SpikingMLPClassifier((), max_iter=5, random_state=seed)
        assert model.fit(X, np.arange(30) % 3).score(X, np.arange(30) % 3) == 1


# Some releases of scikit-learn give an iterator, which some of pytest refuse.
@pytest.mark.parametrize(CHECKS.args[0], [*map(with_mark, CHECKS.args[1])], **CHECKS.kwargs)
def test_scikit_learn_has_no_objections(estimator, check):
    check(estimator)


def test_a_classifier_learns_what_the_simulator_learns(iris):
    X, y = iris
    order = np.random.RandomState(1).permutation(len(y))
    model = SpikingMLPClassifier((6, 5), random_state=5, label_targets=(0, 1.5), n_steps=7, **PLAIN)
    for rows in (order[:1], order[1:2], order[2:70], order[70:]):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    fields = {"n_steps": 7, "learning_rate": 0.001, "seed": 5, "label_targets": (0.0, 1.5)}
    net = fractional((5, 6, 5, 3), **fields)
    with Simulator(net) as sim:
        sim.train(with_one(X)[order], 1.5 * np.eye(3)[y[order]])
        assert model.checkpoint_.net == net
        assert equal_weights(model, sim)
        assert model.checkpoint_.state.samples_seen == 150
        np.testing.assert_array_equal(model.predict(X), sim.predict(with_one(X)).argmax(axis=1))


def test_a_classifier_asks_of_wrong_outputs_too(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY, label_targets=(1, 5), shuffle=False)
    model.fit(X, y)
    net = fractional((5, 6, 3), learning_rate=0.001, seed=5)
    targets = np.where(np.eye(3, dtype=bool)[y], 5.0, 1.0)
    with Simulator(net) as sim:
        for epoch in range(3):
            scores = sim.train(with_one(X), targets)
            loss = np.mean(np.sum((np.maximum(scores, 0) - targets) ** 2, axis=1)) / 2
            assert model.loss_curve_[epoch] == loss
        assert equal_weights(model, sim)
    assert model.checkpoint_.net == net.replace(label_targets=(1, 5))


IMAGES = TINY | {"max_iter": 2, "image_shape": (4, 8, 2)}
del IMAGES["hidden_layer_sizes"]


@pytest.fixture(scope="module")
def images():
    data = load_dataset("digits")
    return data.x_train[:40], data.y_train[:40]


@pytest.mark.parametrize(("cls", "words"), [(ESTIMATORS[0], True), (ESTIMATORS[1], False)])
def test_an_estimator_of_images_learns_what_the_simulator_learns(images, cls, words):
    X, y = images
    layers = [Conv2D(3, 3, stride=2), Sparse(6, density=0.5)]
    connections = "conv3k3s2,sparse6d0.5" if words else layers
    settings = {"connections": connections} | (
        {"target_scale": 1.5} if cls is ESTIMATORS[1] else {}
    )
    model = cls(**IMAGES, **settings)
    model = clone(model)
    if cls is SpikingMLPClassifier:
        targets = y
        model.partial_fit(X, y, classes=np.arange(10))
    else:
        targets = np.column_stack([1.5 * y, 0 * y])
        model.partial_fit(X, y)
    fields = {"update": "fractional", "learning_rate": 0.001, "seed": 5}
    n = 10 if cls is SpikingMLPClassifier else 2
    net = SpikingNetwork((4, 8, 2), [*layers, Dense(n)], **fields)
    with Simulator(net, "reference") as sim:
        sim.train(X.reshape(-1, 4, 8, 2), targets)
        assert equal_weights(model, sim)
    # An image has no constant input: that would take the index of a pixel.
    assert model.network_inputs(X).shape == (40, 64)
    copied = pickle.loads(pickle.dumps(model))
    assert equal_weights(copied.partial_fit(X, y), model.partial_fit(X, y))
    assert model.checkpoint_.state.samples_seen == 80


def test_connections_without_an_image_keep_the_constant_input(iris):
    X, y = iris[0][:30], iris[1][:30]
    settings = {name: value for name, value in IMAGES.items() if name != "image_shape"}
    model = SpikingMLPClassifier(**settings, connections="sparse6d0.5", shuffle=False).fit(X, y)
    fields = {"update": "fractional", "learning_rate": 0.001, "seed": 5}
    layers = [Sparse(6, density=0.5), Dense(3)]
    with Simulator(SpikingNetwork((5,), layers, **fields), "reference") as sim:
        sim.train(with_one(X), y)
        sim.train(with_one(X), y)
        assert model.checkpoint_.net == sim.net
        assert equal_weights(model, sim)
    # Dense connections are those of hidden layers of these sizes.
    dense = [
        SpikingMLPClassifier(**TINY | {"hidden_layer_sizes": sizes}, connections=layers).fit(X, y)
        for sizes, layers in (((6, 5), None), ((200, 100), "dense6,dense5"))
    ]
    assert dense[0].checkpoint_.net == dense[1].checkpoint_.net
    assert equal_weights(*dense)


def test_the_last_pixel_of_an_image_is_no_bias(images):
    X, y = images
    model = SpikingMLPClassifier(**IMAGES, connections="dense6").fit(X, y)
    assert from_relu(model).net.layer_sizes == (64, 6, 10)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"connections": "conv3"}, "connections must be words such as conv16k5"),
        ({"connections": [16]}, "connections must be a sequence of layers"),
        (
            {"connections": "dense9", "hidden_layer_sizes": (9,)},
            "hidden_layer_sizes must be its default, (200, 100), if connections are given",
        ),
        (
            {"connections": "conv3k3", "image_shape": None},
            "image_shape must be (height, width) or (height, width, channels) below Conv2D(",
        ),
        ({"image_shape": (64,)}, "image_shape must be None, (height, width) or (height, width, ch"),
        (
            {"image_shape": (8, 4, 2, 1)},
            "image_shape must be None, (height, width) or (height, wid",
        ),
        ({"image_shape": (8, 9)}, "image_shape must be the shape of an image of 64 features, as X"),
        ({"image_shape": (7, 9)}, "image_shape must be the shape of an image of 64 features, as X"),
        (
            {"connections": "conv3k5"},
            "layer 1: kernel_size must be at most 4, the pixels below",
        ),
        (
            {"connections": [Sparse(6, pairs=[(65, 0)])], "image_shape": None},
            "pairs must be of units below 65 in layer 0; got 65",
        ),
    ],
    ids=str,
)
def test_wrong_structures_are_refused_before_anything_has_changed(images, wrong, message):
    model = SpikingMLPClassifier(**IMAGES).fit(*images)
    before = pickle.dumps(model.checkpoint_)
    model.set_params(**wrong)
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(*images)
    assert pickle.dumps(model.checkpoint_) == before


@pytest.mark.parametrize(
    "change",
    [
        {"connections": "conv4k3"},
        {"connections": None},
        {"image_shape": (8, 8)},
        {"connections": None, "hidden_layer_sizes": 7},
    ],
    ids=str,
)
def test_a_network_of_images_cannot_go_on_as_another(images, change):
    model = SpikingMLPClassifier(**IMAGES, connections="conv3k3", warm_start=True).fit(*images)
    seen = model.checkpoint_.state.samples_seen
    model.set_params(**change)
    name = min(change)
    for learn in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"{name} must be what it was when the network was"):
            learn(*images)
    assert model.checkpoint_.state.samples_seen == seen


def test_a_refused_image_leaves_the_features_that_were_learned(images):
    X, y = images
    model = SpikingMLPClassifier(**IMAGES, connections="conv3k3").fit(X, y)
    expected = model.predict(X)
    with pytest.raises(ValueError, match="image_shape must be the shape of an image of 63"):
        model.fit(X[:, 1:], y)
    with pytest.raises(ValueError, match="Expected 2D array"):
        model.fit(X[0], y[:1])
    np.testing.assert_array_equal(model.predict(X), expected)


def test_what_labels_ask_for_may_change(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY, label_targets=(0, 1)).partial_fit(X, y, classes=[0, 1, 2])
    net = fractional((5, 6, 3), learning_rate=0.001, seed=5, label_targets=(0, 1))
    with Simulator(net) as sim:
        sim.train(with_one(X), y)
        sim.train(with_one(X), np.where(np.eye(3, dtype=bool)[y], 5.0, 1.0))
        model.set_params(label_targets=(1, 5)).partial_fit(X, y)
        assert equal_weights(model, sim)
    assert model.checkpoint_.net.label_targets == (1.0, 5.0)


def test_fit_shows_the_epochs_that_its_seed_orders(iris):
    model = SpikingMLPClassifier(label_targets=(0, 1), **TINY).fit(*iris)
    X, y, weights, _ = Samples(*iris, None).sorted()
    assert sorted(weights) == [1] * 148 + [2]  # two flowers of iris are equal
    rows = np.repeat(np.arange(149), weights.astype(int))
    net = fractional((5, 6, 3), learning_rate=0.001, seed=5, label_targets=(0, 1))
    with Simulator(net) as sim:
        for epoch in range(3):
            order = rows[shuffled(150, 5, epoch)]
            scores = sim.train(with_one(X)[order], y[order])
            loss = np.mean(np.sum((np.maximum(scores, 0) - np.eye(3)[y[order]]) ** 2, axis=1)) / 2
            assert model.loss_curve_[epoch] == loss
        assert equal_weights(model, sim)
    assert (model.n_iter_, len(model.loss_curve_), model.validation_scores_) == (3, 3, [])


@pytest.mark.parametrize("signed", [True, False])
def test_a_regressor_learns_what_the_simulator_learns(iris, signed):
    X, y = iris[0], iris[0][:, :2] if signed else np.abs(iris[0][:, :2])
    model = SpikingMLPRegressor(6, random_state=5, target_scale=3, signed_output=signed, **PLAIN)
    model.partial_fit(X, y).partial_fit(X[:9], y[:9])
    targets = 3 * np.column_stack([np.maximum(y, 0), np.maximum(-y, 0)] if signed else [y])
    with Simulator(fractional((5, 6, targets.shape[1]), learning_rate=0.001, seed=5)) as sim:
        sim.train(with_one(X), targets)
        sim.train(with_one(X)[:9], targets[:9])
        assert equal_weights(model, sim)
        scores = np.maximum(sim.predict(with_one(X)), 0)
    predicted = scores[:, :2] - scores[:, 2:] if signed else scores
    np.testing.assert_array_equal(model.predict(X), predicted / 3)


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
    model = cls(**TINY, feedback="random").fit(X, y)
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


@pytest.mark.parametrize("early", [True, "auto"])
def test_early_stopping_keeps_the_network_with_the_least_loss(iris, early):
    X, y = iris
    found = Samples(X, y, None).sorted()
    rows, others = train_test_split(np.arange(149), test_size=0.3, random_state=5, stratify=found.y)
    kept, held_out = found.take(rows), found.take(others)
    settings, losses = TINY | {"max_iter": 60}, []

    def look(model):
        probabilities = model.predict_proba(held_out.X)
        weights = held_out.weights
        losses.append(log_loss(held_out.y, probabilities, sample_weight=weights))

    model = SpikingMLPClassifier(
        **settings,
        early_stopping=early,
        validation_fraction=0.3,
        n_iter_no_change=4,
        tol=0,
        callback=look,
    ).fit(X, y)
    best = int(np.argmin(losses))
    assert model.n_iter_ == len(model.validation_scores_) == best + 5 < 60
    assert model.score(*held_out[:3]) == model.validation_scores_[best]
    temperature = Temperature()
    temperature.observe(model.decision_function(held_out.X), held_out.y)
    assert model._temperature.inverse == temperature.inverse
    without = SpikingMLPClassifier(**settings | {"max_iter": best + 1}).fit(*kept[:3])
    assert equal_weights(model, without)
    assert model.checkpoint_.state.samples_seen == (best + 1) * kept.weights.sum()


def test_a_warm_start_with_early_stopping_never_ends_worse(iris):
    X = iris[0]
    model = SpikingMLPRegressor(
        **TINY | {"max_iter": 40}, early_stopping=True, warm_start=True, validation_fraction=0.3
    ).fit(X, X[:, 0])
    before, weights = max(model.validation_scores_), model.checkpoint_.state.weights
    model.set_params(learning_rate=0.02, max_iter=2).fit(X, X[:, 0])
    assert all(score < before for score in model.validation_scores_[-2:])
    assert all(map(np.array_equal, model.checkpoint_.state.weights, weights))


# --- weights of samples and classes --------------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("early", [False, True])
def test_with_shuffling_the_order_of_samples_does_not_matter(iris, cls, early):
    X, y = iris
    settings = TINY | {"early_stopping": early}
    order = np.random.RandomState(3).permutation(150)
    a, b = cls(**settings).fit(X, y), cls(**settings).fit(X[order], y[order])
    assert equal_weights(a, b)
    assert not equal_weights(a, cls(**settings, shuffle=False).fit(X, y))
    assert not equal_weights(
        *(cls(**settings, shuffle=False).fit(X[rows], y[rows]) for rows in (order, order[::-1]))
    )


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_weight_is_a_number_of_copies(iris, cls):
    X, y = iris
    weights = np.random.RandomState(3).randint(0, 4, 150)
    weighted = cls(**TINY).fit(X, y, sample_weight=weights)
    copied = cls(**TINY).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert equal_weights(weighted, copied)
    assert weighted.checkpoint_.state.samples_seen == 3 * weights.sum()


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("settings", [{}, {"replay_capacity": 30}])
def test_in_a_stream_a_weight_is_a_number_of_copies_that_are_scaled_too(iris, cls, settings):
    X, y = 30 * iris[0] + 4, iris[1]
    weights = np.random.RandomState(3).randint(0, 4, 150).astype(float)
    settings |= {"hidden_layer_sizes": (6,), "random_state": 5}
    settings |= {"target_scale": 1.0} if cls is SpikingMLPRegressor else {}
    weighted, copied, one_by_one = (cls(**settings) for _ in range(3))
    known = {"classes": [0, 1, 2]} if cls is SpikingMLPClassifier else {}
    rows = np.repeat(np.arange(150), weights.astype(int))
    for chosen in np.array_split(np.arange(150), 3):
        weighted.partial_fit(X[chosen], y[chosen], **known, sample_weight=weights[chosen])
        kept = rows[np.isin(rows, chosen)]
        copied.partial_fit(X[kept], y[kept], **known)
    for i in range(150):
        row = slice(i, i + 1)
        one_by_one.partial_fit(X[row], y[row], **known, sample_weight=weights[row])
    for model in (weighted, one_by_one):
        assert equal_weights(model, copied)
        assert model.input_scaling_.n_seen == weights.sum()
        assert_same_scalings(model.input_scaling_, copied.input_scaling_)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_call_whose_weights_are_all_zero_changes_nothing(iris, cls):
    X, y = iris
    known = {"classes": [0, 1, 2]} if cls is SpikingMLPClassifier else {}
    model = cls((6,), random_state=5)
    model.partial_fit(X, 9 * y if not known else y, **known, sample_weight=0.0)
    assert not model.__sklearn_is_fitted__()
    model.partial_fit(X, y, **known).partial_fit(X, y)
    before = pickle.dumps(model)
    model.partial_fit(X + 7, y, sample_weight=np.zeros(150))
    assert pickle.dumps(model) == before
    other = cls((6,), random_state=5).partial_fit(X, y, **known)
    assert equal_weights(model, other.partial_fit(X, y))
    with pytest.raises(ValueError, match=r"at most 1,000 on average, .* shown; got 1e\+08"):
        model.partial_fit(X[:1], y[:1], sample_weight=[1e8])
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X * np.nan, y, sample_weight=np.zeros(150))
    assert pickle.dumps(model) == before


def test_a_class_of_weight_zero_may_come_alone(iris):
    X, y = iris
    model, other = (SpikingMLPClassifier(**TINY, class_weight=w) for w in ({0: 0.0}, None))
    for i in range(150):
        model.partial_fit(X[i : i + 1], y[i : i + 1], [0, 1, 2])
    assert equal_weights(model, other.partial_fit(X[y > 0], y[y > 0], [0, 1, 2]))
    with pytest.raises(ValueError, match="class_weight times sample_weight must be at most 1,000"):
        SpikingMLPClassifier(**TINY, class_weight={0: 1e8}).partial_fit(X, y, [0, 1, 2])


def test_copies_of_samples_are_made_a_few_at_a_time():
    order = np.arange(5000) % 3
    parts = list(samples.parts_of(np.zeros((3, 2)), order))
    assert max(map(len, parts)) == samples.ROWS_AT_ONCE
    assert np.array_equal(np.concatenate(parts), order)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_weights_whose_mean_is_below_one_show_as_many_samples_as_there_are(iris, cls):
    X, y = iris
    weights = np.random.RandomState(3).randint(1, 4, 150) * 1.0
    weights[:50] = 0
    shown = [
        cls(**TINY).fit(X, y, sample_weight=w)
        for w in (weights / 100 / weights.sum(), weights / weights[50:].mean())
    ]
    assert equal_weights(*shown)
    for even in (1 / 150, 5e-324):
        assert equal_weights(
            cls(**TINY).fit(X, y, sample_weight=np.full(150, even)), cls(**TINY).fit(X, y)
        )


@pytest.mark.filterwarnings("ignore:The SAMME.R algorithm:FutureWarning")
def test_boosting_learns_no_less_than_one_network():
    X, y = load_digits(return_X_y=True)
    network = SpikingMLPClassifier((20,), max_iter=2, random_state=0)
    boosted = AdaBoostClassifier(network, n_estimators=3, random_state=0)
    alone = network.fit(X[:600], y[:600]).score(X[600:], y[600:])
    assert boosted.fit(X[:600], y[:600]).score(X[600:], y[600:]) > alone


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_call_whose_weights_are_all_small_is_warned_of(iris, cls):
    X, y = iris
    known = {"classes": [0, 1, 2]} if cls is SpikingMLPClassifier else {}
    weights = np.r_[0.5, np.full(149, 1e-3)]
    model, other = (cls(**TINY).partial_fit(X, y, **known, sample_weight=weights) for _ in "ab")
    with pytest.raises(RuntimeWarning, match=r"all weights of this call are below 0\.5, and"):
        model.partial_fit(X, y, sample_weight=np.full(150, 1 / 150))
    assert equal_weights(model.partial_fit(X, y), other.partial_fit(X, y))


def test_fractions_of_a_weight_are_shown_in_some_epochs(iris):
    X, y = iris
    weights = np.array([0.3, 2.5, 1.0])[y]
    model = SpikingMLPClassifier(**TINY | {"max_iter": 10}).fit(X, y, sample_weight=weights)
    given = Samples(X, y, weights)
    shown = [given.shown_in_epoch(epoch) for epoch in range(10)]
    times = np.bincount(np.concatenate(shown), minlength=150)
    np.testing.assert_array_equal(times, np.array([3, 25, 10])[y])
    assert all(abs(len(rows) - weights.sum()) < 15 for rows in shown)
    assert model.checkpoint_.state.samples_seen == times.sum()


@pytest.mark.filterwarnings("ignore:all weights of this call")
@pytest.mark.parametrize("rows_at_once", [7, 1])
def test_a_stream_carries_fractions_on_for_each_class(iris, rows_at_once):
    X, y = iris
    weights = np.rint(np.array([0.3, 2.5, 1.0]) * 2**20)[y] / 2**20
    model = SpikingMLPClassifier(**TINY)
    for a in range(0, 150, rows_at_once):
        rows = slice(a, a + rows_at_once)
        model.partial_fit(X[rows], y[rows], [0, 1, 2], sample_weight=weights[rows])
    expected = []
    totals = np.full(3, 0.5)
    for i, label in enumerate(y):
        before = np.floor(totals[label])
        totals[label] += weights[i]
        expected += [i] * int(np.floor(totals[label]) - before)
    assert len(expected) == 15 + 125 + 50
    with Simulator(model.checkpoint_.net) as sim:
        sim.train(with_one(X)[expected], y[expected])
        assert equal_weights(model, sim)


def test_class_weights_say_how_often_a_class_is_shown(iris):
    X, y = iris[0][iris[1] > 0], iris[1][iris[1] > 0] * 10
    X, y = X[20:], y[20:]
    balanced = compute_class_weight("balanced", classes=np.array([10, 20]), y=y)
    of_samples = balanced[y // 10 - 1]
    a = SpikingMLPClassifier(**TINY, class_weight="balanced").fit(X, y)
    relative = np.rint(of_samples / of_samples.mean() * 2**20) / 2**20
    assert equal_weights(a, SpikingMLPClassifier(**TINY).fit(X, y, sample_weight=relative))
    twice = SpikingMLPClassifier(**TINY, class_weight={10: 2.0}).partial_fit(X, y, [10, 20])
    weights = np.where(y == 10, 2.0, 1.0)
    expected = SpikingMLPClassifier(**TINY).partial_fit(X, y, [10, 20], sample_weight=weights)
    assert equal_weights(twice, expected)
    both = SpikingMLPClassifier(**TINY, class_weight={10: 2.0})
    both.partial_fit(X, y, [10, 20], sample_weight=np.full(80, 0.5))
    halved = SpikingMLPClassifier(**TINY).partial_fit(X, y, [10, 20], sample_weight=weights / 2)
    assert equal_weights(both, halved)


@pytest.mark.parametrize(
    ("settings", "weights", "error"),
    [
        ({}, np.r_[-1.0, np.ones(149)], "sample_weight must be not negative; got -1"),
        ({}, np.zeros(150), "sample_weight must be above zero for some sample; got zeros alone"),
        ({}, np.full(150, np.nan), "sample_weight contains NaN"),
        (
            {},
            np.ones(149),
            r"sample_weight must be a number, or of shape \(150,\); got shape \(149,",
        ),
        ({}, 1e8, "sample_weight must be at most 1,000 on average, for it is how often .* 1e\\+08"),
        ({"class_weight": {0: -1.0}}, None, "class_weight must be not negative"),
        ({"class_weight": dict.fromkeys(range(3), 0.0)}, 2.0, "class_weight times sample_weight"),
        ({"class_weight": "some"}, None, "class_weight"),
        ({"callback": 3}, None, "callback must be None or callable; got 3"),
        ({"verbose": 2}, None, "verbose must be"),
    ],
)
def test_wrong_weights_are_refused_before_anything_has_changed(iris, settings, weights, error):
    model = SpikingMLPClassifier(**TINY, **settings)
    with pytest.raises(ValueError, match=error):
        model.fit(*iris, sample_weight=weights)
    assert not hasattr(model, "n_iter_")


def literal_balanced(labels):
    """Return how often a stream shows each sample with balanced weights, before fractions."""
    found, counts = [], {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        if sum(counts.values()) >= 1024 * len(counts):
            counts = {name: (n + 1) // 2 for name, n in counts.items()}
        mean = sum(counts.values()) / len(counts)
        r = max(min(counts.values()), mean / 64)
        found.append(min(4, mean / r) * min(1, r / counts[label]))
    return found


def test_balanced_weights_of_a_stream_show_classes_equally_often():
    labels = (np.random.RandomState(0).rand(6000) < 0.03).tolist()
    counts, found = ClassCounts(), []
    for a in range(0, 6000, 70):
        counts, before = counts.copy(), counts
        found += counts.weights(labels[a : a + 70]).tolist()
        before.weights(labels[:9])  # which changes no copy
    assert found == literal_balanced(labels)
    shown = WeightRemainders().shown(np.array(found), np.array(labels))
    is_rare = np.array(labels)[shown]
    assert 0.4 < is_rare[len(is_rare) // 4 :].mean() < 0.6
    assert np.bincount(shown).max() == 4


def test_one_wrong_label_does_not_end_the_learning_of_others():
    labels = [i % 2 for i in range(5000)]
    labels[2500] = 2
    assert min(ClassCounts().weights(labels)) > 1 / 100


@pytest.mark.parametrize("chunk", [1, 50])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_stream_is_balanced_as_it_comes(iris, chunk, weighted):
    is_kept = (iris[1] < 2) & ((iris[1] == 0) | (np.arange(150) % 10 == 0))
    order = np.random.RandomState(1).permutation(np.flatnonzero(is_kept))
    X, y = iris[0][order], iris[1][order]
    weights = np.random.RandomState(2).randint(0, 3, len(y)).astype(float) if weighted else None
    model = SpikingMLPClassifier(**TINY, class_weight="balanced")
    other = SpikingMLPClassifier(**TINY)
    for a in range(0, len(y), chunk):
        rows = slice(a, a + chunk)
        of_rows = {} if weights is None else {"sample_weight": weights[rows]}
        model.partial_fit(X[rows], y[rows], [0, 1], **of_rows)
        model = pickle.loads(pickle.dumps(model))
    expected = np.zeros(len(y)) if weighted else np.array(literal_balanced(y.tolist()))
    if weighted:
        expected[weights > 0] = literal_balanced(y[weights > 0].tolist())
        expected *= weights
    other.partial_fit(X, y, [0, 1], sample_weight=expected)
    assert equal_weights(model, other)
    assert model.predict_proba(X).tobytes() == other.predict_proba(X).tobytes()


def test_epochs_in_which_nothing_is_shown_change_nothing(iris):
    model = SpikingMLPClassifier(
        **TINY | {"max_iter": 8}, shuffle=False, early_stopping=True, validation_fraction=0.5
    )
    kept, held_out = train_test_split(
        np.arange(150), test_size=0.5, random_state=TINY["random_state"], stratify=iris[1]
    )
    weights = np.zeros(150)
    weights[held_out], weights[kept[0]] = 2, 0.25
    model.fit(*iris, sample_weight=weights)
    assert model.checkpoint_.state.samples_seen <= 2
    assert np.isnan(model.loss_curve_).sum() == 6


# --- sparse features, epochs observed ------------------------------------------------------------


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("container", [csr_matrix, coo_matrix])
def test_sparse_features_are_the_same_as_dense_ones(iris, cls, container, monkeypatch):
    monkeypatch.setattr(samples, "ROWS_AT_ONCE", 40)
    X, y = np.maximum(iris[0], 0), iris[1]
    dense, sparse = (cls(**TINY, shuffle=False).fit(features, y) for features in (X, container(X)))
    assert equal_weights(dense, sparse)
    np.testing.assert_array_equal(dense.predict(X), sparse.predict(container(X)))
    for model, features in ((dense, X), (sparse, container(X))):
        model.partial_fit(features, y)
    assert equal_weights(dense, sparse)
    shuffled = [
        cls(**TINY).fit(container(X[rows]), y[rows])
        for rows in (slice(None), slice(None, None, -1))
    ]
    assert equal_weights(*shuffled)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_entries_of_a_sparse_matrix_that_are_given_twice_are_summed(iris, cls):
    X, y = np.maximum(iris[0], 0), iris[1]
    halves = X / 4
    places = np.repeat(np.indices(X.shape).reshape(2, -1), 2, axis=1)
    values = np.stack([halves, X - halves], axis=2).ravel()
    indptr = np.arange(0, len(values) + 1, 2 * X.shape[1])
    twice = csr_matrix((values, places[1][::-1].copy(), indptr), shape=X.shape)
    summed, before = twice.toarray(), twice.copy()
    models = [cls(**TINY).fit(features, y) for features in (csr_matrix(summed), twice)]
    for model, features in zip(models, (csr_matrix(summed), twice), strict=True):
        model.partial_fit(features, y)
    assert equal_weights(*models)
    np.testing.assert_array_equal(models[0].predict(summed), models[1].predict(twice))
    np.testing.assert_array_equal(twice.data, before.data)
    np.testing.assert_array_equal(twice.indices, before.indices)
    twice.data[:] = 1e308
    with pytest.raises(ValueError, match="X must be finite, also where the entries of a sparse"):
        models[0].predict(twice)


def test_epochs_are_printed(iris, capsys):
    model = SpikingMLPClassifier(**TINY, verbose=True, early_stopping=True).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for epoch, line in enumerate(lines):
        found = re.fullmatch(
            r"Iteration (\d), loss = (.*), spikes per sample = (.*), validation score = (.*)", line
        )
        assert int(found[1]) == epoch + 1
        assert found[2] == f"{model.loss_curve_[epoch]:.6f}"
        assert float(found[3]) > 0
        assert found[4] == f"{model.validation_scores_[epoch]:.6f}"
    SpikingMLPClassifier(**TINY).fit(*iris)
    assert not capsys.readouterr().out


def test_a_callback_sees_each_epoch_and_may_end_the_fit(iris):
    X, y = iris
    seen = []

    def observe(model):
        seen.append((model.n_iter_, model.loss_curve_[-1], model.score(X, y)))
        return len(seen) == 2

    model = SpikingMLPClassifier(**TINY, callback=observe).fit(X, y)
    assert [n for n, _, _ in seen] == [1, 2] == list(range(1, model.n_iter_ + 1))
    assert [loss for _, loss, _ in seen] == model.loss_curve_
    assert equal_weights(model, SpikingMLPClassifier(**TINY | {"max_iter": 2}).fit(X, y))
    assert seen[-1][2] == model.score(X, y)


# --- defaults: features of any size, a rate that is halved ---------------------------------------


def shown(scaling, X):
    return with_one(scaling.scaled(X))


@pytest.mark.parametrize("rows_at_once", [7, 1])
def test_a_stream_scales_each_sample_by_what_came_so_far(iris, rows_at_once):
    X, y = iris[0] * [1e-3, 1.0, 40.0, 5e4] + [0, 3, -100, 1e6], iris[1]
    model = SpikingMLPClassifier((6,), random_state=5, learning_rate=0.5)
    for a in range(0, 150, rows_at_once):
        rows = slice(a, a + rows_at_once)
        model.partial_fit(X[rows], y[rows], [0, 1, 2])
    scaling, inputs = InputScaling.unknown(4, 2.0), []
    for x in X:
        scaling = scaling_after(scaling, x[np.newaxis])
        inputs.append(scaling.scaled(x))
    net = SpikingMLP((5, 6, 3), learning_rate=0.5, seed=5)
    with Simulator(net) as sim:
        sim.train(with_one(inputs), y)
        assert equal_weights(model, sim)
        scores = sim.predict(shown(scaling, X))
    np.testing.assert_array_equal(model.predict(X), scores.argmax(axis=1))
    assert model.checkpoint_.net == net
    assert_same_scalings(model.input_scaling_, scaling)
    np.testing.assert_array_equal(model.network_inputs(X), shown(scaling, X))


@pytest.mark.filterwarnings("ignore:feature 0 has a reading of")
def test_weights_count_for_the_scaling(iris):
    X, y = iris
    weights = np.random.RandomState(1).randint(0, 3, 150)
    settings = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 5}
    weighted = SpikingMLPClassifier(**settings).fit(10 * X + 3, y, sample_weight=weights)
    copied = SpikingMLPClassifier(**settings).fit(
        np.repeat(10 * X + 3, weights, axis=0), np.repeat(y, weights)
    )
    assert equal_weights(weighted, copied)
    sparse = SpikingMLPClassifier(**settings).fit(csr_matrix(10 * X + 3), y, sample_weight=weights)
    assert equal_weights(weighted, sparse)
    # What comes later is scaled as if the copies had been there.
    for model in (weighted, copied):
        model.partial_fit(1e4 * X, y)
        assert model.input_scaling_.n_seen == weights.sum() + 150
    assert equal_weights(weighted, copied)


def test_an_input_scale_leaves_features_as_they_are(iris):
    X, y = iris
    for given in ({"input_scale": 1.0}, {"input_scale": 0.5}):
        model = SpikingMLPClassifier((6,), max_iter=1, random_state=5, **given).fit(X, y)
        assert model.input_scaling_ is None
        np.testing.assert_array_equal(
            model.network_inputs(X), np.column_stack([X, np.full(150, 1 / model.input_scale)])
        )
    for wrong in (None, "off", -1.0):
        message = f"input_scale must be 'auto' or a positive finite number; got {wrong!r}"
        with pytest.raises(ValueError, match=re.escape(message)):
            SpikingMLPClassifier(input_scale=wrong).fit(X, y)
    for changed in ("auto", 1.0):
        with pytest.raises(ValueError, match=r"input_scale must be what it was .*, 0\.5, to go on"):
            model.set_params(input_scale=changed).partial_fit(X, y)


def test_what_no_parameter_says_is_in_the_table_of_defaults():
    X, y = np.eye(3), np.arange(3)

    def net(**given):
        model = SpikingMLPClassifier((4,), max_iter=1, random_state=0, **given).fit(X, y)
        return model.checkpoint_.net

    bits = SpikingMLP((4, 4, 3), learning_rate=0.5 / 16).fraction_bits
    assert net() == SpikingMLP((4, 4, 3), learning_rate=0.5, fraction_bits=bits)
    assert net(label_targets=(0, 3)).label_targets == (0, 3)
    assert net(learning_rate=0.1, n_steps=5) == SpikingMLP((4, 4, 3), learning_rate=0.1, n_steps=5)
    for fields in ({"update": "outer"}, {"spikes": "binary"}, {"feedback": "random"}):
        usual = SpikingMLP((4, 4, 3), **fields)
        assert net(**fields, learning_rate=usual.learning_rate) == usual
        assert net(**fields).learning_rate == 2 * usual.learning_rate
    # A chip has no rates that are halved four times.
    assert net(arithmetic="loihi2") == SpikingMLP((4, 4, 3), arithmetic="loihi2")
    fitted = SpikingMLPRegressor((4,), max_iter=1, random_state=0, learning_rate=0.001).fit(X, y)
    assert fitted.checkpoint_.net == fractional((4, 4, 2), learning_rate=0.001)


def rates(errors, labels, first):
    """Return the learning rate of each sample of a stream, by the errors, which are 0 or 1."""
    found, begin, is_due = [], 0, False
    for i in range(len(errors)):
        found.append(first / 2 ** sum(i - begin >= mark for mark in (128, 384, 1152, 3456)))
        n = np.arange(1, i - begin + 2)
        mean = np.cumsum(errors[begin : i + 1]) / n
        deviation = np.sqrt(mean * (1 - mean) / n)
        if len(n) >= 30:
            at_least = 29 + (mean + deviation)[29:].argmin()
            limit = mean[at_least] + 2.5 * deviation[at_least]
            is_due |= mean[-1] + deviation[-1] > limit + 1e-12
        is_due |= labels[i] not in labels[:i]
        if is_due and (i + 1) % 8 == 0:
            begin, is_due = i + 1, False
    return np.array(found)


def test_the_learning_rate_follows_the_errors_of_a_stream():
    random = np.random.RandomState(0)
    chance = np.repeat([0.5, 0.1, 0.1, 0.45], 200)
    errors, labels = random.rand(800) < chance, np.minimum(np.arange(800) // 7, 4)
    rate, found = LearningRate(0.5, False), []
    while len(found) < 800:
        n = rate.lasts(random.randint(1, 90))
        assert n <= 8
        rows = slice(len(found), len(found) + n)
        found += len(errors[rows]) * [rate.now]
        rate = rate.after(errors[rows], labels[rows])
    expected = rates(errors, labels, 0.5)
    np.testing.assert_array_equal(found, expected)
    assert set(expected[:600]) == {0.5, 0.25, 0.125}
    # It rises again where errors do, within some dozens of samples.
    assert expected[599] < 0.5
    assert 0.5 in expected[600:680]


def test_with_many_classes_the_rate_is_lower_and_falls_later():
    for n_classes, lower, doubled in ((2, 0, 0), (39, 0, 0), (40, 0, 1), (100, 1, 2), (1000, 2, 5)):
        rate = LearningRate(0.5, False, n_classes, in_stream=False)
        found = [rate.now]
        for mark in MARKS:
            rate = rate._replace(n_samples=(mark << doubled) - 1)
            assert rate.now == found[-1]
            assert rate.lasts(9**9) == 1
            rate = rate.after(np.zeros(1), np.zeros(1, int))
            found.append(rate.now)
        assert found == [0.5 / 2 ** (lower + i) for i in range(5)]
        assert rate.halved().halved().now == rate.lowest == found[-1] / 4


def test_a_rate_knows_labels_as_they_come_and_not_by_calls():
    random = np.random.RandomState(0)
    errors, labels = random.rand(3000), random.permutation(3000) // 10
    found = {}
    for chunk in (1, 3, 500):
        rate, found[chunk] = LearningRate(0.5, False), []
        start = 0
        while start < 3000:
            stop = start + rate.lasts(min(chunk, 3000 - start))
            found[chunk] += (stop - start) * [rate.now]
            rate = rate.after(errors[start:stop], labels[start:stop])
            start = stop
    assert found[1] == found[3] == found[500]
    assert found[1][0] == 0.5
    assert found[1][-1] == 0.125  # after 1,024 samples without a new label


def noisy(seed):
    X, y = make_classification(1000, 20, n_informative=5, flip_y=0.4, random_state=seed)
    return train_test_split(X, y, test_size=0.3, random_state=seed)


def test_noise_is_not_learned_by_heart():
    found = {True: [], False: []}
    for seed in range(3):
        X, X_test, y, y_test = noisy(seed)
        for early in (True, False):
            stopping = {} if early else {"early_stopping": False}
            model = SpikingMLPClassifier(random_state=seed, **stopping).fit(X, y)
            assert (model.n_iter_ < 60) == early
            loss = log_loss(y_test, model.predict_proba(X_test))
            found[early].append((model.score(X_test, y_test), -loss))
    (accuracy, likelihood), (all_epochs, unlikely) = (np.mean(found[i], axis=0) for i in found)
    assert likelihood > -np.log(2) > unlikely
    assert accuracy > all_epochs


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_rate_is_halved_twice_without_gain(cls):
    X, _, y, _ = noisy(0)
    rates = []
    model = cls((20,), random_state=0, callback=lambda model: rates.append(rate_of(model)))
    model.fit(X, y)
    falls = [i for i, (a, b) in enumerate(pairwise(rates), 1) if b < a]
    # The marks come in the first epochs: 3,456 samples.
    assert falls[-1] - falls[-2] >= 5
    assert len(rates) == model.n_iter_ == falls[-1] + 5 < 100
    last = rates[-1]
    assert last == rates[falls[-3]] / 4
    model.partial_fit(X[:8], y[:8])
    assert rate_of(model) >= 4 * last  # a stream knows only the marks


def rate_of(model):
    return model.checkpoint_.net.learning_rate


def test_few_samples_are_all_learned(iris):
    X, y = iris
    for settings in ({}, {"validation_fraction": 0.5, "max_iter": 15}):
        model = SpikingMLPClassifier(random_state=0, **{"max_iter": 40} | settings).fit(X, y)
        assert model.validation_scores_ == []
        assert model.checkpoint_.state.samples_seen == 150 * model.n_iter_
    # Those of a class would be too few: two of 75.
    many = np.arange(150) % 75
    model = SpikingMLPClassifier((6,), random_state=0, validation_fraction=0.5, max_iter=16)
    assert model.fit(X, many).validation_scores_ == []


@pytest.mark.parametrize(("n_classes", "n_samples", "kept_out"), [(100, 600, 60), (2, 4000, 300)])
def test_of_many_classes_or_samples_few_are_kept_out(n_classes, n_samples, kept_out):
    X = np.random.RandomState(0).standard_normal((n_samples, 3))
    y = np.arange(n_samples) % n_classes
    model = SpikingMLPClassifier((6,), random_state=0, max_iter=16).fit(X, y)
    assert len(model.validation_scores_) == model.n_iter_ <= 16
    best = model.checkpoint_.state.samples_seen
    assert best % (n_samples - kept_out) == 0
    assert best > 0


def test_a_learning_rate_that_was_given_stays():
    rate = LearningRate(0.5, True).after(np.ones(500), np.arange(500))
    assert (rate.now, rate.lowest, rate.lasts(10**6)) == (0.5, 0.5, 10**6)


@pytest.mark.parametrize("chunk", [1, 100])
def test_a_stream_is_learned_at_the_rate_that_follows_its_errors(iris, chunk):
    X, y = np.tile(iris[0], (5, 1))[:700], np.tile(iris[1], 5)[:700]
    y[500:] = (y[500:] + 1) % 3
    model = SpikingMLPClassifier((6,), random_state=5, input_scale=1.0)
    for a in range(0, 700, chunk):
        model.partial_fit(X[a : a + chunk], y[a : a + chunk], classes=[0, 1, 2])
        model = pickle.loads(pickle.dumps(model)) if a % 3 == 0 and chunk > 1 else model
    net = SpikingMLP((5, 6, 3), learning_rate=0.5 / 16, seed=5)
    checkpoint, rate, found = Checkpoint(net, initial_state(net)), LearningRate(0.5, False), []
    for i in range(700):
        with checkpoint.at_rate(rate.now).simulate("reference") as sim:
            scores = sim.train(with_one(X)[i : i + 1], y[i : i + 1])
            checkpoint = sim.checkpoint()
        found.append(rate.now)
        rate = rate.after(scores.argmax(axis=1) != y[i], y[i : i + 1])
    assert found[450] < 0.5
    assert 0.5 in found[500:]
    assert equal_weights(model, sim)
    assert model.checkpoint_.net == checkpoint.net


def test_epochs_halve_the_rate_and_what_comes_after_them_may_raise_it(iris):
    X, y = iris
    model = SpikingMLPClassifier((6,), max_iter=10, random_state=5).fit(X, y)
    net, done = model.checkpoint_.net, 1500
    assert net.learning_rate == 0.5 / 2 ** sum(mark < done for mark in MARKS) == 0.5 / 8
    model.partial_fit(X, y)
    assert model.checkpoint_.net.learning_rate == 0.5 / 8
    model.partial_fit(X, (y + 1) % 3)
    assert model.checkpoint_.net.learning_rate > 0.5 / 8


def test_a_network_that_learns_too_slowly_to_fire_is_warned_of_once(iris):
    X, y = iris
    settings = {"max_iter": 8, "random_state": 0, "update": "fractional", "early_stopping": False}
    model = SpikingMLPClassifier((6,), **settings, learning_rate=1e-9)
    with pytest.warns(RuntimeWarning, match="in 1050 samples: it learns too slowly") as caught:
        model.set_params(input_scale=1.0).fit(X * 1e-6, y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpikingMLPClassifier((6,), **settings).fit(X * 1e-6, y)
        model.set_params(max_iter=6).fit(X * 1e-6, y)  # 900 samples


def test_input_that_sends_many_spikes_is_warned_of_once(iris):
    X, y = iris
    settings = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0}
    with pytest.warns(RuntimeWarning, match="an input sends .* spikes a step on average") as found:
        SpikingMLPClassifier(**settings, input_scale=1.0).fit(np.abs(X) * 30, y)
    assert len(found) == 1
    model = SpikingMLPClassifier((6,), random_state=0, input_scale=1.0)

    def stream():
        for i in range(1200):
            rows = slice(i % 150, i % 150 + 1)
            model.partial_fit(np.abs(X[rows]) * 30, y[rows], classes=[0, 1, 2])

    with pytest.warns(RuntimeWarning, match="spikes a step on average") as found:
        stream()
    assert len(found) == 1


# --- probabilities -------------------------------------------------------------------------------


def test_the_decision_function_is_the_scores(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY).fit(X, y)
    with model.checkpoint_.simulate() as sim:
        np.testing.assert_array_equal(model.decision_function(X), sim.predict(with_one(X)))
    model = SpikingMLPClassifier(**TINY | {"max_iter": 30}).fit(X[y > 0], y[y > 0])
    margin = model.decision_function(X)
    with model.checkpoint_.simulate() as sim:
        scores = sim.predict(with_one(X))
    np.testing.assert_array_equal(margin, scores[:, 1] - scores[:, 0])
    np.testing.assert_array_equal(model.predict(X), np.where(margin > 0, 2, 1))


def test_logarithms_of_probabilities_are_finite(iris):
    model = SpikingMLPClassifier(**TINY).fit(*iris)
    X = iris[0] * 4
    np.testing.assert_allclose(
        model.predict_log_proba(X), np.log(model.predict_proba(X)), rtol=1e-12, atol=1e-15
    )
    temperature = Temperature()
    scores = np.array([[0.0, 2000.0]])
    assert temperature.probabilities(scores)[0, 0] == 0
    assert temperature.log_probabilities(scores).tolist() == [[-2000.0, 0.0]]


def test_probabilities_are_a_softmax_with_the_least_loss(iris):
    X, y = iris
    model = SpikingMLPClassifier(**TINY | {"max_iter": 20}).fit(X, y)
    p, scores = model.predict_proba(X), model.decision_function(X)
    beta = np.log(p[0, 0] / p[0, 1]) / (scores[0, 0] - scores[0, 1])
    powers = np.exp(beta * (scores - scores.max(axis=1, keepdims=True)))
    np.testing.assert_allclose(p, powers / powers.sum(axis=1, keepdims=True), rtol=1e-9)
    assert np.rint(32 * np.log2(beta)) / 32 == pytest.approx(np.log2(beta), abs=1e-9)
    np.testing.assert_array_equal(p.argmax(axis=1), model.predict(X).astype(int))


def brute_force(scores, labels):
    """Return the beta of least loss on the grid, or the next above it, by trying all."""
    n, k = scores.shape
    asked = np.full((n, k), 1 / 200 / (k - 1))
    asked[np.arange(n), labels] = 199 / 200
    candidates = 2.0 ** (np.arange(-256, 257) / 32)
    losses = [-np.sum(asked * np.log(softmax(beta * scores) + 1e-300)) for beta in candidates]
    return candidates[int(np.argmin(losses))]


@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_the_temperature_is_that_of_the_last_thousand(noise):
    random = np.random.RandomState(0)
    labels = random.randint(0, 3, 2345)
    scores = 2 * np.eye(3)[labels] + noise * random.standard_normal((2345, 3))
    scores[:1300] *= 5  # of the beginning nothing is left
    found = Temperature()
    for a in range(0, 2345, 17):
        found.observe(scores[a : a + 17], labels[a : a + 17])
    expected = brute_force(scores[1300:2300], labels[1300:2300])
    assert found.inverse / expected == pytest.approx(1, abs=0.03)


def test_the_temperature_does_not_depend_on_calls():
    random = np.random.RandomState(0)
    labels = random.randint(0, 2, 1777)
    scores = np.eye(2)[labels] + random.standard_normal((1777, 2))
    whole, single, asked = Temperature(), Temperature(), Temperature()
    whole.observe(scores, labels)
    for i in range(1777):
        single.observe(scores[i : i + 1], labels[i : i + 1])
        asked.observe(scores[i : i + 1], labels[i : i + 1])
        assert asked.inverse > 0
        if i == 1000:
            asked = pickle.loads(pickle.dumps(asked.copy()))
    assert whole.inverse == single.inverse == asked.inverse != 1


def test_scores_that_never_fail_have_a_probability_of_199_in_200():
    labels = np.arange(100) % 2
    sure = Temperature()
    sure.observe(2.0 * np.eye(2)[labels], labels)
    assert sure.probabilities(np.array([[2.0, 0.0]]))[0, 0] == pytest.approx(199 / 200, rel=1e-3)
    empty = Temperature()
    assert empty.inverse == 1
    empty.observe(np.zeros((5, 2)), labels[:5])
    np.testing.assert_array_equal(empty.probabilities(np.zeros((1, 2))), [[0.5, 0.5]])


def test_raw_features_are_learned_with_calibrated_probabilities():
    X, y = load_breast_cancer(return_X_y=True)
    model = SpikingMLPClassifier(max_iter=30, random_state=0)
    found = cross_val_predict(model, X, y, cv=3, method="predict_proba")
    assert np.mean(found.argmax(axis=1) == y) > 0.95
    assert log_loss(y, found) < 0.11


def test_labels_may_be_text(iris):
    X, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])
    a = SpikingMLPClassifier(**TINY).fit(X, names[y])
    b = SpikingMLPClassifier(**TINY).partial_fit(X, names[y], classes=names[::-1])
    assert list(a.classes_) == list(b.classes_) == list(names)
    assert set(a.predict(X)) <= set(names)


def test_digits_are_learned():
    data = load_dataset("digits")
    model = SpikingMLPClassifier(max_iter=20, random_state=0).fit(data.x_train, data.y_train)
    assert model.score(data.x_test, data.y_test) >= 0.95
    predicted = model.predict(data.x_test)
    np.testing.assert_array_equal(model.predict_proba(data.x_test).argmax(axis=1), predicted)
    assert model.score(data.x_test, data.y_test) == accuracy_score(data.y_test, predicted)


@pytest.mark.parametrize("size", [0.01, 1e4])
def test_a_sine_is_learned_in_any_size(size):
    x = np.random.RandomState(0).uniform(-3, 3, (400, 1))
    y = size * np.sin(x[:, 0])
    model = SpikingMLPRegressor(max_iter=60, random_state=0).fit(x[:300], y[:300])
    assert model.score(x[300:], y[300:]) > 0.93
    assert np.log2(model.target_scale_) % 1 == 0


def test_targets_of_a_regressor_are_not_taken_for_labels():
    X, y = np.array([[0.0], [1.0]]), np.array([-1.0, 1.0])
    SpikingMLPRegressor(**TINY, target_scale=1.0).fit(X, y).partial_fit(X, y)


def test_targets_keep_their_shape(iris):
    X = iris[0]
    for y in (X[:, 0], X[:, :1], X[:, :3]):
        assert SpikingMLPRegressor(**TINY).fit(X, y).predict(X[:7]).shape == (7, *y.shape[1:])
    model = SpikingMLPRegressor(**TINY | {"max_iter": 100}).fit(X, X[:, :2])
    assert model.score(X, X[:, :2]) == r2_score(X[:, :2], model.predict(X)) > 0.8


#: Numbers are in test_errors.py.
WRONG = [
    ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes must be a sequence of positive integers"),
    ({"update": "batch"}, "update must be one of 'fractional', 'outer', 'normalized'; got 'batch'"),
    ({"validation_fraction": 1.0}, "validation_fraction must be between 0 and 1; got 1.0"),
    ({"shuffle": "yes"}, "shuffle must be True or False; got 'yes'"),
    ({"backend": "abacus"}, "backend must be one of"),
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
        (
            SpikingMLPClassifier,
            {"label_targets": (0, np.nan)},
            "label_targets must be two finite numbers, the second one larger; got (0, nan)",
        ),
        (
            SpikingMLPClassifier,
            {"label_targets": (5, 1)},
            "label_targets must be two finite numbers, the second one larger; got (5, 1)",
        ),
        (SpikingMLPRegressor, {"target_scale": "big"}, "target_scale must be 'auto' or a positive"),
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
        {"n_steps": 5},
        {"input_scale": 0.5},
        {"feedback": "random"},
        {"update": "outer"},
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
    with model.checkpoint_.at_rate(0.0005).simulate() as sim:
        sim.train(with_one(X), y)
        sim.train(with_one(X), y)
        model.set_params(learning_rate=0.0005).partial_fit(X, y).partial_fit(X, y)
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
    with pytest.raises(
        OverflowError, match=r"of layer 0 must stay below \S+ in magnitude; it reached \S+$"
    ):
        model.fit(X, y)
    assert model.checkpoint_.state.samples_seen == 149


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
    grid = {"learning_rate": [0.0005, 0.001], "hidden_layer_sizes": [(4,), (6,)]}
    model = SpikingMLPClassifier(**TINY, backend="compiled:n_jobs=1")
    searches = [GridSearchCV(model, grid, cv=2, n_jobs=n_jobs).fit(*iris) for n_jobs in (None, 2)]
    results = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*results)
    assert equal_weights(*(search.best_estimator_ for search in searches))


@pytest.mark.parametrize("module", [classifier, regressor])
def test_the_examples_of_the_documentation_hold(module):
    assert doctest.testmod(module).failed == 0


GUIDE = (
    "Classify",
    pytest.param("Weights, sparse features, and a look at the epochs", marks=pytest.mark.thorough),
    pytest.param("Compared with scikit-learn's network", marks=pytest.mark.thorough),
    pytest.param("Regress", marks=pytest.mark.thorough),
    "Learn from a stream with river",
    "Numbers from a stream",
)


@pytest.mark.parametrize("title", GUIDE)
def test_the_code_of_the_guide_runs(title, capsys):
    if "stream" in title:
        pytest.importorskip("river", reason="river is not installed")
    page = sections("docs/scikit_learn.md")
    code = page[title] if "Weights" not in title else page["Classify"] + page[title]
    for whole, short in (
        ("load_breast_cancer, load_digits):", "):"),
        ("1000", "60"),
        ("750", "50"),
        ("cv=5", "cv=2"),
        ("SpikingMLPClassifier(random_state=0)", "SpikingMLPClassifier(max_iter=3)"),
    ):
        code = code.replace(whole, short)
    code = code.replace(" MLPClassifier(random_state=0)", " MLPClassifier(tol=9.0)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of targets too small for any spike
        exec(code, {})
    printed = capsys.readouterr().out
    assert re.search(r"\d\.\d|\d %", printed)
    if "Weights" in title:
        first, *others, epochs = printed.splitlines()[1:]
        assert int(epochs) == 1 + len(others)
        guide = " ".join((ROOT / "docs" / "scikit_learn.md").read_text("utf-8").split())
        assert f"It prints {epochs} lines like `{first}`, and {epochs}." in guide


def test_the_code_of_the_guide_on_images_runs(capsys):
    code = sections("docs/scikit_learn.md")["Images, and connections other than dense ones"]
    assert "random_state=0" in code
    code = code.replace("random_state=0", "random_state=0, max_iter=1, backend='reference'")
    data = load_dataset("digits")
    names = {"X_train": data.x_train[:20], "y_train": np.arange(20) % 10}
    exec(code, names | {"SpikingMLPClassifier": SpikingMLPClassifier})
    assert capsys.readouterr().out == "((8, 8), (6, 6, 8), (2, 2, 16), (10,))\n"


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
