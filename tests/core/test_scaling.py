"""The scaling of features and targets: its definition, and what wrong readings do to it."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("river", reason="river is not installed")
pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import SpikingMLPClassifier, SpikingMLPRegressor
from spikebp_plugins.estimators.all_rows import SAMPLED, RowsInMemory
from spikebp_plugins.estimators.running_scale import ONE
from spikebp_plugins.estimators.scaling import InputScaling, scaled_in_turn
from spikebp_plugins.estimators.target_scaling import TargetScaling
from spikebp_plugins.network.sparse_rows import SparseRows, rows_of_array, rows_of_matrix
from spikebp_plugins.river import SpikingMLPClassifier as StreamClassifier
from spikebp_plugins.river import SpikingMLPRegressor as StreamRegressor
from tests.core.equal_scalings import assert_same_scalings
from tests.core.literal_scaling import Features
from tests.profiles import examples

N = 2000
ROWS = np.arange(N)[:, np.newaxis]


def stream(seed=0):
    """Return readings of features of several kinds and sizes."""
    random = np.random.RandomState(seed)
    X = random.standard_normal((N, 8)) * [3e-4, 1.3, 900.0, 1e300, 2e-300, 1, 1, 1]
    X += [0, 20, -1e5, 0, 0, 0, 0, 0]
    X[:, 5] = random.randint(2, size=N)
    X[:, 6] = np.sin(np.arange(N) / 10)
    X[:, 7] *= random.rand(N) < 0.1
    return X


def shown(X, spread=1.0):
    return scaled_in_turn(InputScaling.unknown(X.shape[1], spread), X)


def size(inputs):
    """Return the mean magnitude of each input."""
    return np.abs(inputs).mean(axis=0)


# --- the definition ------------------------------------------------------------------------------


@st.composite
def streams(draw):
    """Return readings with all that happens to streams, from a seed that is drawn."""
    random = np.random.RandomState(draw(st.integers(0, 2**32 - 1)))
    n, width = random.randint(1, 500), random.randint(1, 5)
    X = random.standard_normal((n, width)) * 2.0 ** random.randint(-30, 30, width)
    X += random.standard_normal(width) * 2.0 ** random.randint(-30, 30, width)
    for column in X.T:
        share = random.choice([0, 0.1, 0.2, 0.3, 0.8])
        column[random.rand(n) < share] = random.choice([0.0, column[0]])
        for _ in range(random.randint(4)):
            a, b = np.sort(random.randint(n + 1, size=2))
            part = column[a:b]
            change = random.randint(6)
            if change == 0:
                part *= 2.0 ** random.randint(-40, 40)
            elif change == 1:
                part += random.standard_normal() * 2.0 ** random.randint(-10, 10)
            elif change == 2:
                part[:] = column[a - 1]
            elif change == 3:
                part[:] = 0
            elif change == 4:
                part[:] = np.cumsum(part) / 64
            elif b > a:
                column[a] = random.choice([1e9, -9999.0, 1e300, -1e-300])
    return X


@settings(max_examples=examples(150))
@given(streams(), st.booleans())
def test_a_scaling_is_that_of_integers(X, grows):
    literal = Features(X.shape[1], 2.0, grows)
    _, found = scaled_in_turn(InputScaling.unknown(X.shape[1], 2.0, grows=grows), X)
    for i, row in enumerate(X.tolist()):
        assert literal.show(row) == found[i].tolist(), i


@settings(max_examples=examples(30))
@given(streams(), st.integers(0, 2**32 - 1))
def test_how_samples_are_divided_has_no_effect(X, seed):
    random = np.random.RandomState(seed)
    scaling, inputs = shown(X)
    parts, start, found = InputScaling.unknown(X.shape[1], 1.0), 0, []
    while start < len(X):
        part = X[start : start + random.randint(1, 40)]
        parts, scaled = scaled_in_turn(parts, part)
        parts = pickle.loads(pickle.dumps(parts))
        found.append(scaled)
        start += len(part)
    np.testing.assert_array_equal(np.concatenate(found), inputs)
    assert_same_scalings(parts, scaling)


def test_what_is_not_new_is_scaled_as_what_came_before_it():
    X = stream()[:300]
    again = np.repeat(X, 2, axis=0)
    scaling, inputs = shown(X)
    found, both = scaled_in_turn(
        InputScaling.unknown(X.shape[1], 1.0), again, np.arange(len(again)) % 2 == 0
    )
    np.testing.assert_array_equal(both, np.repeat(inputs, 2, axis=0))
    assert_same_scalings(found, scaling)


def test_dense_features_have_about_one_deviation_and_no_mean():
    X = stream()
    scaling, inputs = shown(X)
    assert scaling.dense.tolist() == [0, 1, 2, 3, 4, 5, 6]
    for found in (inputs[1000:], InputScaling.unknown(8, 1.0).of_all(RowsInMemory.of(X)).scaled(X)):
        dense = found[:, :7]
        assert (np.abs(np.log2(dense.std(axis=0))) < 0.85).all()
        assert np.abs(dense.mean(axis=0)).max() < 0.25
        np.testing.assert_array_equal(np.rint(found * ONE), found * ONE)


def test_the_scale_of_all_is_the_nearest_power_of_two():
    random = np.random.RandomState(0)
    X = random.standard_normal((500, 5)) * [3e-4, 1.3, 1.5, 900.0, 0.0] + [0, 0, 20, -1e5, 7]
    found = InputScaling.unknown(5, 1.0).of_all(RowsInMemory.of(X))
    exponents = -np.rint(np.log2(X[:, :4].std(axis=0)))
    np.testing.assert_array_equal(found.factor, [*2.0**exponents, 0.0])
    centres = X.mean(axis=0) * found.factor
    assert np.abs(found.centre - centres).max() < 2 / ONE
    inputs = found.scaled(X)
    assert not inputs[:, 4].any()
    np.testing.assert_array_equal(found._replace(spread=2.0).scaled(X), 2 * inputs)
    assert np.abs(inputs - (X * found.factor - found.centre)).max() <= 0.5 / ONE


@pytest.mark.parametrize("seed", range(5))
def test_weights_count_as_copies(seed):
    X = stream(seed)
    times = np.random.RandomState(seed).randint(0, 4, N)
    unknown = InputScaling.unknown(8, 1.0)
    X = X[times > 0]
    times = times[times > 0]
    order = np.argsort(-times, kind="stable")  # any order
    weighted = unknown.of_all(RowsInMemory.of(X[order], times[order].astype(float)))
    copied = unknown.of_all(RowsInMemory.of(np.repeat(X, times, axis=0)))
    np.testing.assert_array_equal(weighted.dense, copied.dense)
    np.testing.assert_array_equal(weighted.factor, copied.factor)
    np.testing.assert_array_equal(weighted.centre, copied.centre)
    np.testing.assert_array_equal(weighted.scale.n, copied.scale.n)


# --- sparse features -----------------------------------------------------------------------------


def words(n=400, width=300, seed=0):
    return sparse.random(n, width, density=0.02, format="csr", random_state=seed)


def test_sparse_features_share_a_factor_and_are_not_centred():
    X = words()
    scaling = InputScaling.unknown(300, 2.0).of_all(RowsInMemory.of(rows_of_matrix("X", X)))
    assert not len(scaling.dense)
    assert len(set(scaling.factor)) == 1
    assert not scaling.centre.any()
    inputs = scaling.scaled(rows_of_matrix("X", X)).matrix()
    assert inputs.nnz == X.nnz
    lengths = np.sqrt(inputs.multiply(inputs).sum(axis=1))
    typical = float(np.sqrt(np.mean(np.square(lengths))))
    assert 2 * 2**2 / 2**0.85 < typical < 2 * 2**2 * 2**0.85  # 300 has nine bits


def test_a_row_as_long_as_the_last_begins_the_scale_of_lengths_anew():
    X = np.zeros((400, 40))
    X[np.arange(400), np.arange(400) % 40] = 1 + np.arange(400) % 3
    X[200:, 0] = 1000
    X[201::2, 1] = 1000  # two lengths that come in turn, far from all before
    scaling = InputScaling.unknown(40, 2.0)
    begun = []
    for row in X:
        if scaling.n_seen > 200 and not (scaling.waiting or scaling.length.n[0]):
            row = np.eye(1, 40, 3)[0] * scaling.length.last[0]
            begun.append(scaling.n_seen)
        scaling, inputs = scaled_in_turn(scaling, row[np.newaxis])
        assert np.isfinite(inputs).all()
    assert begun
    assert np.isfinite(scaling.length.last).all()


def test_readings_after_those_that_were_all_there_are_not_far():
    X = np.random.RandomState(0).standard_normal((300, 3))
    scaling = InputScaling.unknown(3, 2.0).of_all(RowsInMemory.of(X[:200]))
    scaling, _ = scaled_in_turn(scaling, X[200:216])
    assert scaling.scale.far.max() < 16


@pytest.mark.parametrize("mixed", [False, True])
def test_a_dense_array_and_its_sparse_matrix_are_scaled_alike(mixed):
    X = words()
    if mixed:
        numbers = np.random.RandomState(0).standard_normal((400, 3)) * [1, 50, 0.1] + 5
        X = sparse.hstack([X[:, :100], numbers, X[:, 100:]], format="csr")
    unknown = InputScaling.unknown(X.shape[1], 2.0)
    weights = np.random.RandomState(1).rand(400) + 0.1
    for given_weights in (None, weights):
        of_array = unknown.of_all(RowsInMemory.of(X.toarray(), given_weights))
        of_matrix = unknown.of_all(RowsInMemory.of(rows_of_matrix("X", X), given_weights))
        assert of_array.dense.tolist() == ([100, 101, 102] if mixed else [])
        assert_same_scalings(of_array, of_matrix)
    found = of_array.scaled(rows_of_matrix("X", X)).dense()
    np.testing.assert_array_equal(found, of_array.scaled(X.toarray()))


@pytest.mark.parametrize("has_sampled", [True, False])
def test_many_samples_are_scaled_alike_in_lists_and_by_their_copies(has_sampled):
    n, random = 3 * SAMPLED, np.random.RandomState(0)
    X = sparse.random(n, 60, density=0.05, format="lil", random_state=random)
    if not has_sampled:  # the rows that are looked at first have no entry
        X[::3] = 0
    X = sparse.hstack([X, random.standard_normal((n, 2)) * [1, 50] + 5], format="csr")
    unknown = InputScaling.unknown(62, 2.0)
    of_array = unknown.of_all(RowsInMemory.of(X.toarray()))
    of_lists = unknown.of_all(RowsInMemory.of(rows_of_matrix("X", X)))
    assert of_array.dense.tolist() == [60, 61]
    assert_same_scalings(of_array, of_lists)
    assert of_array.length.n[0] > 0
    twice = unknown.of_all(RowsInMemory.of(X.toarray(), np.full(n, 2.0)))
    np.testing.assert_array_equal(twice.factor, of_array.factor)
    np.testing.assert_array_equal(twice.centre, of_array.centre)


@settings(max_examples=examples(40))
@given(streams(), st.integers(0, 2**32 - 1))
def test_lists_are_scaled_as_arrays_are(X, seed):
    random = np.random.RandomState(seed)
    X = np.column_stack([X, sparse.random(len(X), 40, density=0.1, random_state=random).toarray()])
    X *= random.rand(X.shape[1]) < 0.9
    scaling, inputs = shown(X)
    parts, start, found = InputScaling.unknown(X.shape[1], 1.0), 0, []
    while start < len(X):
        part = X[start : start + random.randint(1, 40)]
        start += len(part)
        refused = part[::-1] * random.standard_normal(part.shape)
        # Samples that are refused leave no trace, whether they are lists or not.
        scaled_in_turn(parts, rows_of_array(refused) if random.rand() < 0.5 else refused)
        rows = rows_of_array(part) if random.rand() < 0.8 else part
        parts, scaled = scaled_in_turn(parts, rows)
        found.append(scaled.dense() if isinstance(scaled, SparseRows) else scaled)
        if random.rand() < 0.2:
            parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(np.concatenate(found), inputs)
    assert_same_scalings(parts, scaling)
    of_all = scaling.of_all(RowsInMemory.of(X))
    of_lists = scaling.of_all(RowsInMemory.of(rows_of_array(X)))
    assert_same_scalings(of_lists, of_all)
    asked = X[::-1] + (random.rand(*X.shape) < 0.1)
    for known in (scaling, of_all):
        answered = known.scaled(known.without_unknown(rows_of_array(asked))).dense()
        np.testing.assert_array_equal(answered, known.scaled(known.without_unknown(asked)))


def test_an_array_may_be_used_again_for_the_next_sample():
    X, one = stream()[:300], np.empty((1, 8))
    scaling = InputScaling.unknown(8, 1.0)
    for row in X:
        one[:] = row
        scaling, _ = scaled_in_turn(scaling, one)
    assert_same_scalings(scaling, shown(X)[0])


def test_a_feature_that_no_sample_had_is_silent():
    X = words().toarray()
    X[:, 7] = 0
    scaling, _ = shown(X)
    asked = np.zeros((1, 300))
    asked[0, [7, 8]] = 1
    assert scaling.scaled(scaling.without_unknown(asked)).nonzero()[1].tolist() == [8]


def test_a_word_of_little_weight_is_known():
    X = words()
    weights = np.where(np.arange(400) % 2, 1.0, 2.0**-12)
    scaling = InputScaling.unknown(300, 2.0).of_all(
        RowsInMemory.of(rows_of_matrix("X", X), weights)
    )
    X = X.toarray()
    X[1::2] = 0
    np.testing.assert_array_equal((scaling.factor > 0) & X.any(axis=0), X.any(axis=0))


def test_a_word_is_learned_when_it_comes_first():
    X = words().toarray()
    X[:200, 7] = 0
    X[200, 7] = 1
    assert shown(X)[1][200, 7] > 0


def test_a_stream_finds_both_kinds():
    X = words(2000).toarray()
    numbers = np.random.RandomState(0).standard_normal((2000, 2)) * [1, 1e4] + [0, 3e5]
    scaling, _ = shown(np.column_stack([X, numbers]))
    assert {300, 301} == set(scaling.dense)
    of_all = InputScaling.unknown(302, 1.0).of_all(RowsInMemory.of(np.column_stack([X, numbers])))
    assert abs(np.log2(scaling.factor[0] / of_all.factor[0])) <= 1


def test_kinds_follow_a_stream():
    random = np.random.RandomState(0)
    X = random.standard_normal((N, 2)) + 3
    X[:1000, 0] *= random.rand(1000) < 0.05  # becomes dense
    X[1000:, 1] *= random.rand(1000) < 0.05  # becomes sparse
    dense = [shown(X[:n])[0].dense.tolist() for n in (900, N)]
    assert dense == [[1], [0]]
    late = np.zeros((N, 1))
    late[1000:] = X[1000:, :1]
    scaling, inputs = shown(late)
    assert scaling.dense.tolist() == [0]
    assert 0.5 < inputs[1100:].std() < 2


# --- what is wrong, and what changes --------------------------------------------------------------


@pytest.mark.parametrize("value", [1e3, -9999.0, 1e6, 1e9, 1e300])
@pytest.mark.parametrize("place", [0, 2, 20, 1000])
def test_nothing_that_a_wrong_reading_does_lasts(value, place):
    X = stream()
    wrong = X.copy()
    wrong[place] = value
    right, found = shown(X)[1], shown(wrong)[1]
    later = slice(place + 300, None)
    assert (np.abs(np.log2(size(found[later, :7]) / size(right[later, :7]))) < 1.1).all()
    assert np.abs(found).max() < 20


@pytest.mark.parametrize("value", [-9999.0, 1e9])
def test_one_wrong_reading_of_a_thousand_costs_no_scale(value):
    X = stream()
    wrong = np.where(np.random.RandomState(5).rand(N, 1) < 1e-3, value, X)
    right, found = (np.median(np.abs(shown(rows)[1][500:, :7]), axis=0) for rows in (X, wrong))
    assert (np.abs(np.log2(found / right)) < 1).all()
    of_all = [InputScaling.unknown(8, 1.0).of_all(RowsInMemory.of(rows)) for rows in (X, wrong)]
    ratio = np.log2(of_all[1].factor[:7] / of_all[0].factor[:7])
    assert (np.abs(ratio) <= 1).all()


CHANGES = {
    "a thousandth": lambda X: X * 1e-3,
    "a thousand": lambda X: X * 1e3,
    "a shift": lambda X: X + 20 * X.std(axis=0),
    "another sensor": lambda X: -3 - X / 50,
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_scaling_follows_a_change(change):
    X = np.random.RandomState(0).standard_normal((N, 4)) * [1, 30, 1e-3, 1e5] + [0, 100, 0, 1e5]
    changed = np.where(ROWS < 1000, X, CHANGES[change](X))
    inputs = shown(changed)[1][1000 + 200 :]
    assert (np.abs(np.log2(inputs.std(axis=0))) < 0.85).all()
    assert np.abs(inputs.mean(axis=0)).max() < 0.3


@pytest.mark.parametrize("constant", [0.1, 0.0, 50.0])
def test_a_feature_that_was_constant_is_known_when_it_comes_back(constant):
    X = np.random.RandomState(0).standard_normal((N, 1))
    away = np.where((ROWS >= 500) & (ROWS < 1500), constant, X)
    right, found = shown(X)[1], shown(away)[1]
    assert abs(np.log2(size(found[1500:]) / size(right[1500:]))) < 0.5


def test_a_feature_that_begins_to_vary_is_learned():
    X = np.random.RandomState(0).standard_normal((N, 1)) / 100 + 7
    X[:1000] = 7
    _, inputs = shown(X)
    assert not inputs[:1000].any()
    assert 0.5 < inputs[1050:].std() < 2
    # One wrong reading does not make a constant feature known.
    X[:] = 7
    X[500] = 1e6
    scaling, inputs = shown(X)
    assert not scaling.factor.any()
    assert not inputs.any()


def test_slow_features_are_not_forgotten():
    X = np.sin(ROWS * [0.05, 0.01]) + 1e-3 * np.random.RandomState(0).standard_normal((N, 2))
    scaling, inputs = shown(X)
    assert (scaling.scale.n > N - 200).all()
    assert (np.abs(np.log2(inputs[1000:].std(axis=0))) < 0.85).all()
    days = np.repeat(np.random.RandomState(0).standard_normal((N // 50, 1)), 50, axis=0)
    scaling, _ = shown(days)
    assert scaling.scale.n[0] > 16 * (N // 50 - 10)


def test_features_that_rest_are_not_taken_for_changed_ones():
    random = np.random.RandomState(0)
    moves = random.rand(N, 1) < 0.1
    X = 1e-4 * random.standard_normal((N, 1)) + moves * random.standard_normal((N, 1))
    scaling, inputs = shown(X)
    assert scaling.scale.n[0] > N - 100
    assert 0.5 < inputs[500:].std() < 2


def test_the_first_outlier_is_remembered():
    X = stream()
    assert shown(X)[0].outlier is None
    assert InputScaling.unknown(8, 1.0).of_all(RowsInMemory.of(X)).outlier is None
    X[1200, 1] = -9999.0
    assert shown(X)[0].outlier == (1, -9999.0)
    assert InputScaling.unknown(8, 1.0).of_all(RowsInMemory.of(X)).outlier == (1, -9999.0)


def test_what_is_rare_in_a_constant_feature_is_no_outlier():
    X = np.random.default_rng(3).normal(size=(300, 2))
    X[:, 1] = -0.08
    X[[40, 200], 1] = 12.2, 1.1
    assert InputScaling.unknown(2, 1.0).of_all(RowsInMemory.of(X)).outlier is None
    X[7, 0] = 1e6
    assert InputScaling.unknown(2, 1.0).of_all(RowsInMemory.of(X)).outlier == (0, 1e6)


# --- targets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (273, 1.5), (1e300, 1e298), (2000, 1e-8)])
def test_targets_are_centred_and_can_be_restored(mean, deviation):
    y = mean + deviation * np.random.RandomState(0).standard_normal((500, 1))
    unknown = TargetScaling.unknown(1, 16.0)
    for scaling in (unknown.of_all(RowsInMemory.of(y)), scaled_in_turn(unknown, y)[0]):
        spikes = scaling.scaled(y)
        assert abs(spikes.mean()) < 3
        assert 9 < spikes.std() < 29
        assert np.abs(scaling.restored(spikes) - y).max() <= 2.0**-10 * deviation


def test_targets_without_centre_have_a_root_mean_square():
    y = np.array([[3.0, 0.0, 1e-300, 1e300]] * 20)
    unknown = TargetScaling.unknown(4, 2.0, is_centred=False)
    spikes = unknown.of_all(RowsInMemory.of(y)).scaled(y)[0]
    assert not spikes[1]
    assert (np.abs(np.log2(spikes[[0, 2, 3]] / 2)) <= 0.51).all()


def test_targets_that_stay_the_same_are_predicted():
    y = np.full((20, 1), 7.0)
    for scaling in (
        TargetScaling.unknown(1, 16.0).of_all(RowsInMemory.of(y)),
        scaled_in_turn(TargetScaling.unknown(1, 16.0), y)[0],
    ):
        assert not scaling.scaled(y).any()
        assert scaling.restored(np.zeros((1, 1))) == 7


# --- in estimators -------------------------------------------------------------------------------


def blobs(n, seed=0):
    """Return samples of three classes, whose features have several sizes."""
    random = np.random.RandomState(seed)
    y = random.randint(3, size=n)
    X = random.standard_normal((n, 5)) + 2.5 * np.eye(3, 5)[y]
    return X * [1, 1e3, 1e-3, 5, 1] + [0, 1e4, 0, 0, 2], y


X, Y = blobs(1500)
X_TEST, Y_TEST = blobs(500, seed=1)
WRONG = {
    "one feature": lambda rows: np.where(np.arange(5) == 1, -9999.0, rows),
    "all features": lambda rows: np.full_like(rows, 1e9),
}
LEARNERS = {
    "fit": lambda rows: SpikingMLPClassifier(random_state=0, max_iter=5).fit(rows, Y),
    "partial_fit": lambda rows: SpikingMLPClassifier(random_state=0).partial_fit(
        rows, Y, [0, 1, 2]
    ),
}


@pytest.mark.filterwarnings("ignore:feature . has a reading of")
@pytest.mark.parametrize("learned", LEARNERS.values(), ids=LEARNERS)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("places", [[700], [2], [100, 500, 900]])
def test_an_estimator_learns_in_spite_of_wrong_readings(learned, wrong, places):
    changed = X.copy()
    changed[places] = wrong(X[places])
    right, found = (learned(rows).score(X_TEST, Y_TEST) for rows in (X, changed))
    assert right > 0.9
    assert found > right - 0.02


@pytest.mark.filterwarnings("ignore:feature . has a reading of")
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_an_estimator_learns_on_in_another_unit(factor):
    model = SpikingMLPClassifier(random_state=0).partial_fit(X, Y, [0, 1, 2])
    before = model.score(X_TEST, Y_TEST)
    model.partial_fit(factor * X[:300], Y[:300])
    assert model.score(factor * X_TEST, Y_TEST) > before - 0.02


def test_a_warning_names_the_feature_once():
    frame = pd.DataFrame(X.copy(), columns=list("abcde"))
    frame.loc[1000, "b"] = -1e9
    message = "feature 'b' has a reading of -1e.09, more than 64 deviations away from its mean"
    for learned in LEARNERS.values():
        with pytest.warns(RuntimeWarning, match=message) as caught:
            learned(frame).partial_fit(frame, Y)
        assert len(caught) == 1
    model = StreamClassifier(hidden_layer_sizes=(5,))
    with pytest.warns(RuntimeWarning, match=message) as caught:
        model.learn_many(frame, pd.Series(Y))
    model.learn_one(frame.loc[1000].to_dict(), 0)
    assert len(caught) == 1
    wrong = X.copy()
    wrong[700, 3] = 1e9
    with pytest.warns(RuntimeWarning, match=r"feature 3 has a reading of 1e\+09"):
        SpikingMLPClassifier((5,), random_state=0, max_iter=1).fit(wrong, Y)


@pytest.mark.parametrize(("offset", "size"), [(273.15, 1.5), (2000, 10), (0, 1e-200), (-1e9, 1e4)])
def test_targets_far_from_zero_need_no_transformer(offset, size):
    x = np.random.RandomState(0).uniform(-3, 3, (400, 1))
    y = offset + size * np.sin(x[:, 0])
    model = SpikingMLPRegressor(max_iter=60, random_state=0)
    transformed = TransformedTargetRegressor(model, transformer=StandardScaler())
    expected = transformed.fit(x[:300], y[:300]).score(x[300:], y[300:])
    assert model.fit(x[:300], y[:300]).score(x[300:], y[300:]) > expected - 0.02 > 0.9
    streamed = SpikingMLPRegressor(random_state=0)
    for _ in range(20):
        streamed.partial_fit(x[:300], y[:300])
    assert streamed.score(x[300:], y[300:]) > 0.9
    assert streamed.target_scaling_.n_seen == 6000


def test_targets_of_a_stream_are_scaled_in_turn():
    y = 30 + X[:, :2] @ [[1, 0], [0, 2e-3]]
    settings = {"random_state": 0, "replay_capacity": 20}
    at_once = SpikingMLPRegressor((5,), **settings).partial_fit(X, y)
    one_by_one = SpikingMLPRegressor((5,), **settings)
    for start in range(0, len(X), 7):
        rows = slice(start, start + 7)
        one_by_one.partial_fit(X[rows], y[rows])
        if start == 700:
            one_by_one = pickle.loads(pickle.dumps(one_by_one))
    assert one_by_one.checkpoint_ == at_once.checkpoint_
    assert_same_scalings(one_by_one.target_scaling_, at_once.target_scaling_)
    expected, _ = scaled_in_turn(TargetScaling.unknown(2, 16.0), y)
    assert_same_scalings(at_once.target_scaling_, expected)


@pytest.mark.parametrize("value", [1e3, -9999.0, 1e6, 1e9])
def test_a_wrong_target_costs_a_stream_nothing(value):
    x = np.random.RandomState(0).uniform(-3, 3, 3000)
    found = []
    for wrong in (False, True):
        model, errors = StreamRegressor(), []
        for i, one in enumerate(x.tolist()):
            y = np.sin(one)
            errors.append((model.predict_one({"x": one}) - y) ** 2)
            model.learn_one({"x": one}, value if wrong and i == 1500 else y)
        found.append(1 - np.mean(errors[1800:]) / np.var(np.sin(x)))
    assert found[0] > 0.8
    assert found[1] > found[0] - 0.05


def test_targets_without_sign_are_not_centred():
    x = np.random.RandomState(0).uniform(0, 3, (400, 1))
    y = 100 * x[:, 0]
    model = SpikingMLPRegressor(max_iter=60, random_state=0, signed_output=False)
    model.fit(x[:300], y[:300])
    assert model.score(x[300:], y[300:]) > 0.95
    assert not model.target_scaling_.scale.centre.any()
    assert model.checkpoint_.net.n_outputs == 1


@pytest.mark.parametrize("mixed", [False, True])
def test_a_sparse_matrix_is_learned_as_its_array_is(mixed):
    rows, labels = words(), np.arange(400) % 3
    if mixed:
        numbers = np.random.RandomState(0).standard_normal((400, 3)) * [1, 50, 0.1] + 5
        rows = sparse.hstack([rows, numbers], format="csr")
    settings = {"hidden_layer_sizes": (5,), "random_state": 0, "max_iter": 2}
    fitted = [SpikingMLPClassifier(**settings).fit(x, labels) for x in (rows, rows.toarray())]
    for model, x in zip(fitted, (rows, rows.toarray()), strict=True):
        model.partial_fit(x, labels)
    assert fitted[0].checkpoint_ == fitted[1].checkpoint_
    np.testing.assert_array_equal(fitted[0].predict(rows), fitted[1].predict(rows.toarray()))
