"""What is learned from sparse rows is what is learned from arrays."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

pytest.importorskip("pandas", reason="pandas is not installed")

import pandas as pd

from spikebp_plugins import SpikingMLPClassifier, SpikingMLPRegressor
from spikebp_plugins.estimators.samples import Samples
from spikebp_plugins.network.sparse_rows import rows_of_array
from tests.profiles import examples

RANDOM = np.random.RandomState(0)
WORDS = sparse.random(90, 60, density=0.1, random_state=0).toarray()
WORDS[[3, 40]] = 0
#: Words beside numbers, of which one is 0 at times.
MIXED = np.column_stack([WORDS, RANDOM.standard_normal((90, 2)) * [1, 50] + [0, 300]])
MIXED[::3, 60] = 0
LABELS = RANDOM.randint(3, size=90)
REALS = RANDOM.standard_normal((90, 2))
TINY = {"hidden_layer_sizes": (6,), "max_iter": 2, "random_state": 0}


def shuffled_entries(X):
    """Return a CSR matrix whose rows list their entries in any order, some twice, some of zero."""
    rows, columns = np.nonzero(X)
    values = X[rows, columns]
    empty = np.argwhere(X == 0)[:: X.shape[1] // 3]
    rows = np.concatenate([rows, rows, empty[:, 0]])
    columns = np.concatenate([columns, columns, empty[:, 1]])
    values = np.concatenate([values / 4, values - values / 4, np.zeros(len(empty))])
    order = np.random.RandomState(1).permutation(len(rows))
    order = order[np.argsort(rows[order], kind="stable")]
    indptr = np.searchsorted(rows[order], np.arange(len(X) + 1))
    return sparse.csr_matrix((values[order], columns[order], indptr), X.shape)


def with_long_indices(X):
    matrix = sparse.csr_matrix(X)
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)
    return matrix


def read_only(X):
    matrix = sparse.csr_matrix(X)
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def with_explicit_zeros(X):
    matrix = sparse.csr_matrix(np.where(X == 0, 7.0, X))
    matrix.data[matrix.data == 7.0] = 0
    return matrix


FORMS = {
    "csr": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "lil": sparse.lil_matrix,
    "frame": lambda X: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)),
    "any order, twice, zeros": shuffled_entries,
    "explicit zeros": with_explicit_zeros,
    "int64": with_long_indices,
    "read-only": read_only,
    "float32": lambda X: sparse.csr_matrix(X.astype(np.float32).astype(np.float64)),
}
KINDS = {
    "classifier": (SpikingMLPClassifier(**TINY), LABELS, {"classes": [0, 1, 2]}),
    "regressor": (SpikingMLPRegressor(**TINY), REALS, {}),
    "replay": (SpikingMLPClassifier(**TINY, replay_capacity=9), LABELS, {"classes": [0, 1, 2]}),
    "stops early": (
        SpikingMLPClassifier(**TINY, early_stopping=True, validation_fraction=0.3),
        LABELS,
        {"classes": [0, 1, 2]},
    ),
    "linear": (
        SpikingMLPClassifier((), max_iter=2, random_state=0),
        LABELS,
        {"classes": [0, 1, 2]},
    ),
    "a number": (
        SpikingMLPClassifier(**TINY, input_scale=2.0),
        LABELS,
        {"classes": [0, 1, 2]},
    ),
    "not shuffled": (SpikingMLPRegressor(**TINY, shuffle=False), REALS, {}),
}


def rows_of(X, rows):
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def assert_same(one, other, X, of_other):
    assert one.checkpoint_ == other.checkpoint_
    for name in ("predict", "predict_proba", "network_inputs"):
        if hasattr(one, name):
            np.testing.assert_array_equal(getattr(one, name)(X), getattr(other, name)(of_other))


@pytest.mark.filterwarnings("ignore:feature .* has a reading of")
@pytest.mark.filterwarnings("ignore:no output of the network has fired")
@pytest.mark.parametrize(("model", "y", "known"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("X", [WORDS, MIXED], ids=["words", "mixed"])
def test_what_lists_teach_is_what_arrays_teach(model, y, known, X):
    dense, listed, csr = clone(model), clone(model), sparse.csr_matrix(X)
    weights = np.arange(90) % 3 / 2
    for one, features in ((dense, X), (listed, csr)):
        one.fit(features, y, sample_weight=weights)
    assert_same(dense, listed, X, csr)
    for size in (1, 7, 90):
        for start in range(0, 90, size):
            rows = slice(start, start + size)
            # Now and then the other form: what came before is the same.
            swapped = start % 11 == 5
            dense.partial_fit(csr[rows] if swapped else X[rows], y[rows], **known)
            listed.partial_fit(X[rows] if swapped else csr[rows], y[rows], **known)
        assert_same(dense, listed, X, csr)
    listed = pickle.loads(pickle.dumps(listed))
    dense.partial_fit(X, y, sample_weight=weights, **known)
    listed.partial_fit(csr, y, sample_weight=weights, **known)
    assert_same(dense, listed, X, csr)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_sparse_matrix_is_its_array(form):
    X, model = MIXED.astype(np.float32).astype(np.float64), SpikingMLPClassifier(**TINY)
    matrix = form(X)
    dense, listed = clone(model).fit(X, LABELS), clone(model).fit(matrix, LABELS)
    assert dense.checkpoint_ == listed.checkpoint_
    sliced = matrix.tocsr() if form is sparse.coo_matrix else matrix
    for rows in (slice(0, 1), slice(1, 30), slice(30, 90)):
        dense.partial_fit(X[rows], LABELS[rows])
        listed.partial_fit(rows_of(sliced, rows), LABELS[rows])
    assert_same(dense, listed, X, matrix)


def test_samples_that_are_refused_leave_no_trace():
    model = SpikingMLPClassifier(**TINY, input_scale="auto")
    model.partial_fit(sparse.csr_matrix(WORDS[:20]), LABELS[:20], classes=[0, 1, 2])
    other = pickle.loads(pickle.dumps(model))
    learn, model._learned.train = model._learned.train, None  # what happens in learning goes wrong
    with pytest.raises(TypeError):
        model.partial_fit(sparse.csr_matrix(MIXED[20:70, :60] + 1), LABELS[20:70])
    model._learned.train = learn
    for one in (model, other):
        one.partial_fit(sparse.csr_matrix(WORDS[20:]), LABELS[20:])
    assert_same(model, other, WORDS, sparse.csr_matrix(WORDS))


def test_a_scaling_that_was_asked_for_stays_what_it_was():
    model = SpikingMLPClassifier(**TINY).partial_fit(WORDS[:20], LABELS[:20], classes=[0, 1, 2])
    scaling = model.input_scaling_
    before = scaling.scaled(scaling.without_unknown(WORDS))
    other = pickle.loads(pickle.dumps(model))
    for one in (model, other):
        one.partial_fit(WORDS[20:50], LABELS[20:50])
        np.testing.assert_array_equal(scaling.scaled(scaling.without_unknown(WORDS)), before)
        one.partial_fit(WORDS[50:], LABELS[50:])
    assert model.checkpoint_ == other.checkpoint_


def test_threads_share_an_estimator_that_learns_from_lists():
    csr = sparse.csr_matrix(MIXED)
    model = SpikingMLPClassifier(**TINY).fit(csr, LABELS)
    alone = pickle.loads(pickle.dumps(model))
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(model.predict, csr) for _ in range(40)]
        for i in range(90):
            model.partial_fit(csr[i], LABELS[i : i + 1])
            asked.append(threads.submit(pickle.dumps, model))
        for answer in asked:
            answer.result()
    for i in range(90):
        alone.partial_fit(csr[i], LABELS[i : i + 1])
    assert_same(model, alone, csr, csr)


def test_a_search_takes_sparse_rows():
    grid = {"learning_rate": [0.1, 0.5]}
    searches = [
        GridSearchCV(SpikingMLPClassifier(**TINY), grid, cv=2).fit(X, LABELS)
        for X in (WORDS, read_only(WORDS))
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)


# --- river ---------------------------------------------------------------------------------------


def messages():
    """Return texts of some words of many, with a word that tells their label."""
    random = np.random.RandomState(2)
    texts = []
    for i in range(120):
        words = [f"w{word}" for word in random.randint(400, size=random.randint(1, 12))]
        texts.append(" ".join([*words, "win" if i % 3 == 0 else "see"]))
    return texts, [i % 3 == 0 for i in range(120)]


@pytest.mark.parametrize("feature", ["BagOfWords", "FeatureHasher", "OneHotEncoder"])
def test_pipelines_of_river_teach_what_their_features_teach(feature):
    pytest.importorskip("river", reason="river is not installed")
    from river import feature_extraction, preprocessing

    from spikebp_plugins.river import SpikingMLPClassifier as StreamClassifier

    texts, labels = messages()
    if feature == "BagOfWords":
        before, samples = feature_extraction.BagOfWords(), texts
    elif feature == "FeatureHasher":
        before = preprocessing.FeatureHasher(n_features=512, seed=3)
        samples = [dict.fromkeys(text.split(), 1) for text in texts]
    else:
        before = preprocessing.OneHotEncoder()
        samples = [{"first": text.split()[0], "last": text.split()[-1]} for text in texts]
    pipeline = before.clone() | StreamClassifier(hidden_layer_sizes=(6,))
    listed, dense = (StreamClassifier(hidden_layer_sizes=(6,)) for _ in range(2))
    for sample, label in zip(samples, labels, strict=True):
        before.learn_one(sample)
        features = {name: float(value) for name, value in before.transform_one(sample).items()}
        filled = dict.fromkeys(dense.features, 0.0) | features
        assert listed.predict_one(features) == dense.predict_one(filled)
        assert pipeline.predict_one(sample) == listed.predict_one(features)
        np.testing.assert_array_equal(listed.network_inputs(features), dense.network_inputs(filled))
        pipeline.learn_one(sample, label)
        listed.learn_one(features, label)
        dense.learn_one(filled, label)
    assert len(listed.features) > 64
    assert pipeline[-1].checkpoint == listed.checkpoint == dense.checkpoint


def test_frames_of_sparse_columns_teach_river_what_their_rows_teach():
    pytest.importorskip("river", reason="river is not installed")
    from spikebp_plugins.river import SpikingMLPRegressor as StreamRegressor

    names = [f"w{i}" for i in range(62)]
    listed, frames, sparse_frames = (StreamRegressor(hidden_layer_sizes=(6,)) for _ in range(3))
    for start in range(0, 90, 9):
        rows, targets = MIXED[start : start + 9], pd.Series(REALS[start : start + 9, 0])
        frame = pd.DataFrame(rows, columns=names)
        of_lists = pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(rows), columns=names)
        predicted = frames.predict_many(frame)
        pd.testing.assert_series_equal(sparse_frames.predict_many(of_lists), predicted)
        frames.learn_many(frame, targets)
        sparse_frames.learn_many(of_lists, targets)
        for row, target in zip(frame.to_dict("records"), targets, strict=True):
            listed.learn_one(row, target)
    assert frames.checkpoint == sparse_frames.checkpoint == listed.checkpoint


@settings(max_examples=examples(100))
@given(st.integers(0, 2**32 - 1))
def test_lists_are_sorted_as_arrays_are(seed):
    random = np.random.RandomState(seed)
    n, width = random.randint(1, 60), random.randint(1, 200)
    X = np.round(random.standard_normal((n, width)), random.randint(0, 3))
    X *= (random.rand(n, width) < random.choice([0.02, 0.3])) & (random.rand(n, 1) < 0.9)
    y, weights = random.randint(2, size=n), random.rand(n) if random.rand() < 0.5 else None
    of_array = Samples(X, y, weights).sorted()
    of_lists = Samples(rows_of_array(X), y, weights).sorted()
    np.testing.assert_array_equal(of_lists.X.dense(), of_array.X)
    np.testing.assert_array_equal(of_lists.y, of_array.y)
    np.testing.assert_array_equal(of_lists.weights, of_array.weights)
