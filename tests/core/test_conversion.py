"""From and to ReLU networks: what is converted computes the same, and what cannot be is refused."""

import subprocess
import sys
import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import SVC

from spikebp_plugins import (
    Checkpoint,
    Simulator,
    SpikingMLP,
    SpikingMLPClassifier,
    load_dataset,
    to_relu,
    with_bias_input,
)
from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.conversion.quantized import quantized_weights
from spikebp_plugins.conversion.relu import relu_scores
from tests.core.one_for_one import from_relu
from tests.core.small_nets import assert_all_equal, lively_simulator
from tests.core.test_benchmarks import run
from tests.documentation import sections

SIZES = (4, 7, 6, 3)
#: With these fields weights are nearly what is given.
FINE = {"fraction_bits": 40}


def pairs(sizes=SIZES, seed=0, bias=0.5):
    """Layers with biases, of a scale at which units fire about once a step."""
    random = np.random.RandomState(seed)
    return [
        (random.standard_normal((n, m)) * 0.6, random.standard_normal(m) * bias)
        for n, m in pairwise(sizes)
    ]


def scores_of(layers, x):
    """Return the scores of a ReLU network with biases."""
    a = np.asarray(x, float)
    for W, b in layers:
        s = a @ W + (0 if b is None else b)
        a = np.maximum(s, 0)
    return s


def inputs(n_samples=6, n_inputs=SIZES[0]):
    return np.random.RandomState(5).uniform(-1, 1, (n_samples, n_inputs))


def refusal(error, function, *arguments, **named):
    with pytest.raises(ValueError, match=error):
        function(*arguments, **named)


# --- weights, biases and the units that carry them -----------------------------------------------


def test_weights_without_biases_are_taken_as_they_are():
    W = [matrix for matrix, _ in pairs()]
    checkpoint = from_relu(W, n_steps=20, input_scale=0.5, learning_rate=0.02, fraction_bits=40)
    fields = {"input_scale": 0.5, "learning_rate": 0.02, "fraction_bits": 40}
    net = SpikingMLP(SIZES, n_steps=20, spikes_per_unit=1, **fields)
    assert checkpoint.net == net
    assert_all_equal(checkpoint.state.weights, Simulator(net, weights=W).checkpoint().state.weights)
    assert checkpoint.state.samples_seen == 0
    assert_all_equal(from_relu([(m, None) for m in W]).state.weights, from_relu(W).state.weights)


def test_biases_are_weights_of_units_that_are_always_on():
    (W1, b1), (W2, b2) = layers = pairs((2, 3, 1))
    found = from_relu(layers, **FINE).state.weights
    expected = np.vstack([np.hstack([W1, np.zeros((2, 1))]), [*b1, 1.0]]), np.vstack([W2, b2])
    for matrix, exact in zip(found, expected, strict=True):
        np.testing.assert_array_equal(matrix, np.rint(exact * 2.0**40) * 2.0**-40)


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ((0, 0, 0), (4, 7, 6, 3)),
        ((1, 0, 0), (5, 7, 6, 3)),
        ((0, 1, 0), (5, 8, 6, 3)),
        ((0, 0, 1), (5, 8, 7, 3)),
        ((1, 1, 1), (5, 8, 7, 3)),
    ],
)
def test_there_are_such_units_only_where_a_later_layer_has_a_bias(given, sizes):
    layers = [(W, b if has else None) for (W, b), has in zip(pairs(), given, strict=True)]
    checkpoint = from_relu(layers, fraction_bits=40)
    assert checkpoint.net.layer_sizes == sizes
    extended = to_relu(checkpoint)
    x = inputs()
    shown = with_bias_input(x) if sum(given) else x
    np.testing.assert_allclose(relu_scores(extended, shown), scores_of(layers, x), atol=1e-10)


@pytest.mark.parametrize("spikes", ["graded", "binary"])
@pytest.mark.parametrize("scale", [1.0, 1 / 255, 1 / 49, 0.3, 3.0])
def test_they_fire_exactly_one_spike_a_step(spikes, scale):
    checkpoint = from_relu(pairs(), n_steps=50, input_scale=scale, spikes=spikes)
    x = with_bias_input(inputs(3) / scale, input_scale=scale)
    with checkpoint.simulate("reference") as sim:
        trace = sim.predict(x, record=True)
    for layer in range(3):
        np.testing.assert_array_equal(trace.spikes[layer][:, :, -1], 1)
        assert np.unique(trace.spikes[layer][:, :, :-1]).size > 1


@pytest.mark.parametrize("balance", [None, inputs(50)], ids=["as it is", "balanced"])
def test_with_many_steps_it_is_the_relu_network(balance):
    layers, x = pairs(), inputs()
    expected = scores_of(layers, x)
    checkpoint = from_relu(layers, balance=balance, fraction_bits=30)
    with checkpoint.simulate() as sim:
        shown = with_bias_input(x)
        differences = {
            T: np.abs(sim.predict(shown, n_steps=T) - expected).max() for T in (100, 1000, 10000)
        }
    # As 1/T: each tenfold T has a tenth of the difference, give or take where the last spikes fall.
    for T, difference in differences.items():
        assert 0 < difference * T < 20
    assert differences[10000] < 0.2 * differences[1000] < 0.04 * differences[100] * 2


def test_binary_spikes_need_balancing_where_units_would_fire_more_than_once_a_step():
    layers, x = [(4 * W, 4 * b) for W, b in pairs()], inputs(40)
    expected = scores_of(layers, x)

    def difference(**balancing):
        with from_relu(layers, spikes="binary", **balancing).simulate() as sim:
            found = sim.predict(with_bias_input(x), n_steps=3000)
        return np.abs(found - expected).max() / np.abs(expected).max()

    assert difference() > 0.3
    assert difference(balance=x, percentile=100) < 0.01


def test_scores_may_have_another_scale():
    layers, x = pairs(), inputs(31)
    expected = scores_of(layers, x)
    for balance in (None, x):
        checkpoint = from_relu(layers, output_scale=0.25, balance=balance, **FINE)
        np.testing.assert_allclose(
            scores_of(to_relu(checkpoint, "input"), x), 0.25 * expected, atol=1e-10
        )
    for g in (1, 8):
        fields = FINE | {"spikes_per_unit": g, "label_targets": (1, 20)}
        checkpoint = from_relu(layers, output_scale="winner", balance=x, **fields)
        found = scores_of(to_relu(checkpoint, "input"), x)
        assert np.median(found.max(axis=1)) == pytest.approx(20)
        shares = expected / np.median(expected.max(axis=1))
        np.testing.assert_allclose(found / 20, shares, atol=1e-9)


@pytest.mark.parametrize("g", [1, 4, 32])
def test_scores_are_those_of_the_relu_network_with_any_spikes_for_1(g):
    layers, x = pairs(), inputs(9)
    checkpoint = from_relu(layers, spikes_per_unit=g, fraction_bits=30)
    with checkpoint.simulate("reference") as sim:
        scores = sim.predict(with_bias_input(x), n_steps=200)
    np.testing.assert_allclose(scores, scores_of(layers, x), atol=0.2 / g)
    back = to_relu(checkpoint, "input")
    np.testing.assert_allclose(scores_of(back, x), scores_of(layers, x), atol=1e-6)


def test_where_no_output_wins_the_scale_stays():
    layers = [-np.ones((2, 2))]
    targets = {"label_targets": (0, 1)}
    found = from_relu(layers, output_scale="winner", balance=[[1.0, 1.0]], **targets)
    assert_all_equal(found.state.weights, from_relu(layers).state.weights)


def test_it_goes_on_learning_with_spikes():
    data = load_dataset("digits")
    x, y = data.x_train[:300], data.y_train[:300]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three epochs do not converge
        model = MLPClassifier((20,), max_iter=3, random_state=0).fit(x, y)
    checkpoint = from_relu(model, n_steps=5, learning_rate=0.05)
    shown = with_bias_input(x)
    with checkpoint.simulate() as sim:
        before = np.mean(sim.predict(shown).argmax(axis=1) == y)
        for _ in range(3):
            sim.train(shown, y)
        after = np.mean(sim.predict(shown).argmax(axis=1) == y)
        assert after > before + 0.1
        assert sim.samples_seen == 900


def test_biases_can_be_refused():
    layers = pairs()
    refusal(
        r"bias must be 'input' where a bias is not zero .*; got 'refuse', and -0.289425 in layer 2",
        from_relu,
        [layers[0][0], *layers[1:]],
        bias="refuse",
    )
    zero = [(W, 0 * b) for W, b in layers]
    assert from_relu(zero, bias="refuse").net.layer_sizes == SIZES
    assert from_relu([W for W, _ in layers], bias="refuse").net.layer_sizes == SIZES


# --- the input for biases ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 3), (0, 3)])
def test_the_input_for_biases_is_one_after_scaling(shape):
    x = np.random.RandomState(0).uniform(size=shape)
    found = with_bias_input(x, input_scale=0.25)
    np.testing.assert_array_equal(found[..., :-1], x)
    np.testing.assert_array_equal(found[..., -1], 4.0)


@pytest.mark.parametrize(
    ("dtype", "scale", "kept", "one"),
    [
        ("uint8", 1 / 255, "uint8", 255),
        ("uint8", 1.0, "uint8", 1),
        ("uint8", 1 / 256, "float64", 256),
        ("uint8", 0.3, "float64", 1 / 0.3),
        ("int64", 1 / 1000, "int64", 1000),
        ("float32", 1.0, "float32", 1),
        ("float32", 1 / 255, "float32", 255),
        ("float32", 0.3, "float64", 1 / 0.3),
        ("float16", 1e-6, "float64", 1e6),
        ("bool", 1.0, "uint8", 1),
    ],
)
def test_the_type_stays_where_it_can_hold_the_new_input(dtype, scale, kept, one):
    found = with_bias_input(np.ones((1, 2), dtype), input_scale=scale)
    assert found.dtype == kept
    assert found[0, -1] == one
    assert found[0, 0] == 1


@pytest.mark.parametrize("x", [[1.0], 1.0, [["a"]], [[1.0], [1.0, 2.0]], [[[[1.0]]]]])
def test_other_input_is_refused(x):
    refusal("x must be ", with_bias_input, x)


# --- balancing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("percentile", "peak"), [(100, 1.0), (99.0, 1.0), (90, 2.5)])
def test_balancing_brings_the_percentile_to_the_peak(percentile, peak):
    layers, x = pairs(), inputs(200)
    checkpoint = from_relu(
        layers, balance=x, percentile=percentile, peak=peak, input_scale=0.5, **FINE
    )
    found = to_relu(checkpoint, "input")
    a, b = x * 0.5, x * 0.5
    for (W, bias), (V, c) in zip(layers[:-1], found[:-1], strict=True):
        a, b = np.maximum(a @ W + bias, 0), np.maximum(b @ V + c, 0)
        assert np.percentile(b, percentile) == pytest.approx(peak)
        np.testing.assert_allclose(b * np.percentile(a, percentile) / peak, a, atol=1e-10)
    np.testing.assert_allclose(scores_of(found, x * 0.5), scores_of(layers, x * 0.5), atol=1e-10)


def test_a_silent_layer_keeps_its_scale():
    layers = [(np.full((2, 3), -1.0), None), (np.ones((3, 1)), None)]
    balanced = from_relu(layers, balance=[[1.0, 1.0]])
    assert_all_equal(balanced.state.weights, from_relu(layers).state.weights)


def test_what_balances_may_be_of_any_real_type():
    layers, x = pairs(), np.arange(8, dtype=np.uint8).reshape(2, 4)
    assert_all_equal(
        from_relu(layers, balance=x).state.weights,
        from_relu(layers, balance=x.astype(float)).state.weights,
    )


@pytest.mark.parametrize(
    "balance",
    [[], [[]], [1.0, 2, 3, 4], np.zeros((2, 5)), np.zeros((0, 4)), [[1.0], [2, 3]], [["a"] * 4]],
)
def test_other_data_for_balancing_are_refused(balance):
    refusal(
        r"balance must be finite real numbers of shape \(n_samples, 4\)",
        from_relu,
        pairs(),
        balance=balance,
    )


def test_numbers_for_balancing_are_checked():
    x = inputs()
    refusal("balance must be finite .*; got nan", from_relu, pairs(), balance=x * np.nan)
    for percentile in (0, -1, 100.1, np.nan, "99", True):
        refusal("percentile must be", from_relu, pairs(), balance=x, percentile=percentile)
    for peak in (0, -1.0, np.inf, None):
        refusal("peak must be a positive", from_relu, pairs(), balance=x, peak=peak)


# --- back ----------------------------------------------------------------------------------------


def test_a_spiking_network_is_a_relu_network():
    sim = lively_simulator(SpikingMLP.paper(SIZES))
    for source in (sim, sim.checkpoint(), quantized_weights(sim, 32)):
        assert_all_equal(to_relu(source), sim.weights)
    found = to_relu(sim)
    found[0][:] = 0
    assert sim.weights[0].any()


@pytest.mark.parametrize("sizes", [SIZES, (3, 2), (2, 1, 1)])
def test_there_and_back_is_the_same(sizes):
    layers = [(np.round(W * 2**12) / 2**12, np.round(b * 2**12) / 2**12) for W, b in pairs(sizes)]
    found = to_relu(from_relu(layers), "input")
    for (W, b), (V, c) in zip(layers, found, strict=True):
        np.testing.assert_array_equal(W, V, strict=True)
        np.testing.assert_array_equal(b, c, strict=True)
    assert_all_equal(from_relu(found).state.weights, from_relu(layers).state.weights)


def test_after_learning_it_is_still_the_relu_network_of_the_spiking_one():
    data = load_dataset("digits")
    checkpoint = from_relu(pairs((64, 10, 9, 10)), learning_rate=0.1)
    x = with_bias_input(data.x_train[:60])
    with checkpoint.simulate() as sim:
        sim.train(x, data.y_train[:60])
        layers = to_relu(sim, "input")
        # What carried biases has learned: an ordinary unit now, with weights of its own.
        assert [W.shape for W, _ in layers] == [(64, 11), (11, 10), (10, 10)]
        assert [b is None for _, b in layers] == [False, True, True]
        np.testing.assert_allclose(
            scores_of(layers, data.x_train[:60]), relu_scores(sim.weights, x), atol=1e-10
        )


def test_a_layer_of_one_such_unit_stays():
    weights = [np.array([[0.0], [1.0]]), np.array([[0.5]])]
    (W, b), (V, c) = to_relu(from_relu(weights), "input")
    assert (W.tolist(), b.tolist(), V.tolist(), c) == ([[0.0]], [1.0], [[0.5]], None)


@pytest.mark.parametrize("source", [None, [np.eye(2)], SpikingMLP.paper((2, 2)), np.eye(2)])
def test_what_is_no_spiking_network_is_refused(source):
    refusal(
        "source must be a Checkpoint, a Simulator, or an estimator that .*; got", to_relu, source
    )


def test_how_biases_come_back_is_a_choice():
    sim = lively_simulator(SpikingMLP.paper((1, 2)))
    refusal("bias must be one of None, 'input'; got 'refuse'", to_relu, sim, "refuse")
    refusal("bias must be None for a network with one input", to_relu, sim, "input")


# --- scikit-learn --------------------------------------------------------------------------------


def fitted(cls=MLPClassifier, y=None, **parameters):
    random = np.random.RandomState(0)
    x = random.standard_normal((30, 4))
    targets = np.arange(30) % 3 if y is None else y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ten epochs do not converge
        model = cls(**{"hidden_layer_sizes": (6, 5), "max_iter": 10, **parameters})
        return model.set_params(random_state=0).fit(x, targets), x


def relu_of(model):
    """Return the scores of the ReLU network that a fitted model becomes, in the limit."""
    checkpoint = from_relu(model, fraction_bits=40)
    return lambda x: relu_scores(to_relu(checkpoint), with_bias_input(x))


def test_the_relu_network_of_a_classifier_predicts_its_probabilities():
    model, x = fitted()
    scores = relu_of(model)(x)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), model.predict_proba(x), atol=1e-8
    )
    with from_relu(model, n_steps=500).simulate() as sim:
        assert np.abs(sim.predict(with_bias_input(x)) - scores).max() < 0.03


def test_a_classifier_of_two_classes_gets_two_outputs():
    model, x = fitted(y=np.arange(30) % 2)
    scores = relu_of(model)(x)
    assert scores.shape == (30, 2)
    np.testing.assert_allclose(
        1 / (1 + np.exp(scores[:, 0] - scores[:, 1])), model.predict_proba(x)[:, 1], atol=1e-8
    )
    np.testing.assert_array_equal(scores.argmax(axis=1), model.predict(x))


def test_a_classifier_of_many_labels_has_a_score_above_zero_for_each():
    y = np.random.RandomState(1).randint(0, 2, (30, 2))
    model, x = fitted(y=y)
    np.testing.assert_array_equal(relu_of(model)(x) > 0, model.predict(x))


@pytest.mark.parametrize("y", [np.linspace(0, 1, 30), np.linspace(0, 1, 60).reshape(30, 2)])
def test_the_relu_network_of_a_regressor_predicts_the_same(y):
    model, x = fitted(MLPRegressor, y=y)
    np.testing.assert_allclose(relu_of(model)(x), model.predict(x).reshape(30, -1), atol=1e-8)


def test_without_hidden_layers_any_activation_will_do():
    model, x = fitted(hidden_layer_sizes=(), activation="tanh")
    np.testing.assert_array_equal(relu_of(model)(x).argmax(axis=1), model.predict(x))


def test_a_class_derived_from_scikit_learn_s_is_one():
    class DerivedClass(MLPClassifier):
        pass

    model, x = fitted(DerivedClass)
    np.testing.assert_array_equal(relu_of(model)(x).argmax(axis=1), model.predict(x))


def test_what_scikit_learn_has_besides_is_refused():
    for activation in ("tanh", "logistic", "identity"):
        model, _ = fitted(activation=activation)
        refusal(f"activation of source must be 'relu'; got '{activation}'", from_relu, model)
    refusal("a fitted network; got a MLPClassifier that has not", from_relu, MLPClassifier())
    refusal("source must be a list .*; got LogisticRegression", from_relu, LogisticRegression())
    model, _ = fitted(MLPRegressor, y=np.linspace(0, 1, 30))
    model.out_activation_ = "exp"
    refusal("output activation of source must be .*; got 'exp'", from_relu, model)
    model, _ = fitted()
    model.coefs_[1][2, 3] = np.nan
    refusal("weights of layer 2 must be finite real numbers; got nan", from_relu, model)


SCALERS = {
    "standard": StandardScaler(),
    "not centred": StandardScaler(with_mean=False),
    "not scaled": StandardScaler(with_std=False),
    "robust": RobustScaler(),
    "robust, not centred": RobustScaler(with_centering=False),
    "robust, not scaled": RobustScaler(with_scaling=False),
    "largest": MaxAbsScaler(),
    "range": MinMaxScaler((-1, 2)),
}


def behind(*steps, y=None, **parameters):
    """Return a fitted pipeline that ends in a network, and what it was fitted on."""
    model, x = fitted(y=y, **parameters)
    x = x * [1.0, 3.0, 0.5, 1.0] + [0.0, 2.0, 0.0, -1.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(*steps, model).fit(x, np.arange(30) % 3 if y is None else y), x


@pytest.mark.parametrize("scaler", SCALERS.values(), ids=SCALERS)
def test_scalers_of_a_pipeline_become_weights_and_a_bias(scaler):
    pipeline, x = behind(clone(scaler), "passthrough", StandardScaler(), None)
    scaled = pipeline[:-1].transform(x)
    np.testing.assert_allclose(
        relu_of(pipeline)(x), relu_of(pipeline[-1])(scaled), atol=1e-8, rtol=1e-8
    )
    np.testing.assert_array_equal(relu_of(pipeline)(x).argmax(axis=1), pipeline.predict(x))


def test_a_pipeline_may_end_in_a_pipeline_or_in_an_estimator_of_this_project():
    inner, x = behind(StandardScaler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(MinMaxScaler(), inner).fit(x, np.arange(30) % 3)
    np.testing.assert_array_equal(relu_of(pipeline)(x).argmax(axis=1), pipeline.predict(x))

    network = SpikingMLPClassifier(
        max_iter=3, random_state=0, input_scale=0.5, label_targets=(0, 2)
    )
    pipeline = make_pipeline(StandardScaler(), network).fit(x, np.arange(30) % 3)
    checkpoint = from_relu(pipeline, fraction_bits=30, n_steps=3000)
    assert checkpoint.net.input_scale == 0.5
    with checkpoint.simulate() as sim:
        found = sim.predict(with_bias_input(x, input_scale=0.5))
    with from_relu(network, fraction_bits=30, n_steps=3000).simulate() as sim:
        expected = sim.predict(with_bias_input(pipeline[:-1].transform(x), input_scale=0.5))
    np.testing.assert_allclose(found, expected, atol=0.01)


class DerivedClass(StandardScaler):
    pass


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (PCA(), "step 'pca' of source must be one of StandardScaler, .*'passthrough'; got PCA"),
        (DerivedClass(), "step 'derivedclass' of source must be one of .*; got DerivedClass"),
        (MinMaxScaler(clip=True), "clip of step 'minmaxscaler' of source must be False; got True"),
    ],
)
def test_other_steps_of_a_pipeline_are_refused_by_name(step, error):
    pipeline, _ = behind(step)
    refusal(error, from_relu, pipeline)


def test_a_pipeline_must_be_fitted_and_fit():
    model, _ = fitted()
    refusal(
        "step 'standardscaler' of source must be a fitted scaler; got a StandardScaler",
        from_relu,
        make_pipeline(StandardScaler(), model),
    )
    other = StandardScaler().fit(np.ones((3, 5)))
    refusal(
        "step 'standardscaler' of source must be one of 4 features, as the network has; got 5",
        from_relu,
        make_pipeline(other, model),
    )
    refusal("source must be a list .*; got SVC", from_relu, make_pipeline(StandardScaler(), SVC()))


def test_input_that_only_a_scaler_makes_large_is_warned_of():
    random = np.random.RandomState(0)
    x = random.standard_normal((40, 3)) * [1e-4, 1.0, 1e9]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipeline = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=5, random_state=0))
        pipeline.fit(x, np.arange(40) % 2)
    with pytest.warns(ApproximationWarning) as caught:
        from_relu(pipeline)
    small, large = (str(warning.message) for warning in caught)
    assert "input 0 is too small to be told apart in 10 steps (and 0 more)" in small
    assert "input 2 is so large that its weights need more than 20 fraction bits" in large
    assert all(warning.filename == __file__ for warning in caught)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_relu(pipeline[-1])


def test_an_estimator_of_this_project_is_a_source():
    x = np.random.RandomState(0).standard_normal((30, 4))
    settings = {"max_iter": 3, "random_state": 0, "input_scale": 1.0}
    model = SpikingMLPClassifier((6, 5), **settings).fit(x, np.arange(30) % 3)
    weights = model.checkpoint_.state.weights
    layers = to_relu(from_relu(model, **FINE), "input")
    rows = [W if isinstance(W, np.ndarray) else np.vstack([W[0], *W[1:]]) for W in layers[:1]]
    np.testing.assert_array_equal(rows[0], weights[0])
    for source in (model.checkpoint_, model.checkpoint_.simulate("reference")):
        found = from_relu(source, spikes_per_unit=4, fraction_bits=24)
        assert_all_equal(found.state.weights, weights)
        assert from_relu(source, n_steps=20).net.n_steps == 20
    # Four spikes stand for 1 in layers 0 and 1, and scores are in spikes.
    assert_all_equal(to_relu(model), [*weights[:-1], 4 * weights[-1]])
    assert_all_equal(quantized_weights(model, 32).checkpoint().state.weights, weights)
    with pytest.raises(NotFittedError):
        from_relu(SpikingMLPClassifier())


def test_what_scales_the_features_of_an_estimator_becomes_weights_too():
    x = np.random.RandomState(0).standard_normal((60, 4)) * [1.0, 3.0, 0.6, 2.0] + [0, 2, 0, -1]
    model = SpikingMLPClassifier((6,), max_iter=5, random_state=0).fit(x, np.arange(60) % 3)
    assert model.input_scaling_.centre.any()
    layers = to_relu(from_relu(model, fraction_bits=36), "input")
    plain = to_relu(from_relu(to_relu(model), fraction_bits=36))
    scaling = model.input_scaling_
    inputs = scaling.spread * (x * scaling.factor - scaling.centre)  # not rounded
    expected = scores_of([(W, None) for W in plain], np.column_stack([inputs, np.ones(60)]))
    np.testing.assert_allclose(scores_of(layers, x), expected, atol=1e-6)


# --- what is wrong -------------------------------------------------------------------------------

EYE = np.eye(2)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ([], "source must be a network of at least one layer"),
        (None, "source must be a list of weight matrices .*; got NoneType"),
        (EYE, "source must be a list of weight matrices .*; got ndarray"),
        ("weights", "source must be a list of weight matrices .*; got str"),
        ([1.0], "weights of layer 1 must be real numbers of 2 dimensions; got shape"),
        ([EYE, [1.0, 2.0]], "weights of layer 2 must be real numbers of 2 dimensions"),
        ([[["a"]]], "weights of layer 1 must be real numbers"),
        ([[[1.0], [1.0, 2.0]]], "weights of layer 1 must be .*; got a ragged array"),
        ([EYE * 1j], "weights of layer 1 must be real numbers .*; got an array of complex128"),
        ([EYE, np.ones((3, 2))], "weights of layer 2 must be a matrix of 2 rows.*; got shape"),
        ([np.ones((0, 2))], r"weights of layer 1 must be of at least one unit; got \(0, 2\)"),
        ([EYE, EYE * np.nan], "weights of layer 2 must be finite real numbers; got nan"),
        ([(EYE, [1.0, np.inf])], "bias of layer 1 must be finite real numbers; got inf"),
        ([(EYE, [1.0])], r"bias of layer 1 must be of shape \(2,\).*; got shape \(1,\)"),
        ([(EYE, EYE)], "bias of layer 1 must be real numbers of 1 dimension; got"),
        ((EYE, np.ones(2)), "weights of layer 2 must be real numbers of 2 dimensions"),
    ],
)
def test_a_source_that_is_no_relu_network_is_refused(source, error):
    refusal(error, from_relu, source)


def test_a_matrix_may_be_a_tuple_of_two_rows():
    assert from_relu([((1.0, 0.0), (0.0, 1.0))]).net.layer_sizes == (2, 2)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"bias": "output"}, "bias must be one of 'input', 'refuse'; got 'output'"),
        ({"bias": None}, "bias must be one of"),
        ({"layer_sizes": (2, 2)}, "layer_sizes must be left to the source"),
        ({"momentum": 0.9}, "a field of SpikingMLP must be one of .*; got 'momentum'"),
        ({"spikes": "many"}, "spikes must be one of"),
        ({"output_scale": 0}, "output_scale must be 'winner' or a positive finite number; got 0"),
        ({"output_scale": "loser"}, "output_scale must be 'winner' or a .*; got 'loser'"),
        ({"output_scale": "winner"}, "balance must be samples with output_scale='winner'"),
    ],
)
def test_other_arguments_are_refused(fields, error):
    refusal(error, from_relu, [EYE], **fields)


def test_weights_beyond_the_grid_are_an_overflow():
    with pytest.raises(OverflowError, match="weight of layer 1 must stay below"):
        from_relu([EYE * 1e300])


def test_no_other_library_is_loaded_for_a_list():
    code = (
        "import sys; from spikebp_plugins import from_relu; from_relu([[[1.0]]]);"
        "assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# --- the guide and the benchmark -----------------------------------------------------------------


def test_the_code_of_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    code = sections("docs/conversion.md")
    del code["PyTorch"], code["Images"]  # tested where PyTorch is
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few epochs do not converge
        for block in code.values():
            exec(block, names)
    assert names["spiking_error"] < 10
    assert np.mean(names["same"]) > 0.98
    assert abs(names["spiking_error"] - names["relu_error"]) < 1
    assert Checkpoint.load("converted.npz").net.layer_sizes == (65, 51, 51, 10)
    assert names["W"].dtype == np.int8


@pytest.mark.thorough
def test_the_benchmark_runs():
    size = ("--layers", "12", "--epochs", "2", "--steps", "5", "--samples", "3")
    found = run("conversion.py", "--sources", "scikit-learn", "--backends", "reference", *size)
    (result,) = found["results"]
    assert [row["network"] for row in result["rows"]] == [
        "as it is",
        "balanced",
        "binary spikes",
        "binary spikes, balanced",
    ]
    assert all(row["equal"] == {"reference": True} for row in result["rows"])
    assert {row["bits"] for row in result["bits"]} == {4, 6, 8}
    assert len(result["learning"]) == 3
