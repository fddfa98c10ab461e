"""Input by lists of units: a sparse matrix computes what the array does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="SciPy is not installed")

from scipy import sparse

from spikebp_plugins import EVENT_DTYPE, EventEncoder, ReplayBuffer, Simulator, SpikingMLP
from tests.core.small_nets import ENGINES, checkpoint_bytes
from tests.core.strategies import any_network, definitions, networks, random_weights, targets
from tests.profiles import examples

EVERY_ENGINE = pytest.mark.parametrize("backend", ENGINES)
N = 7


def shuffled(array, random, with_duplicates):
    """Return a matrix of an array with entries in any order, some in parts, and some of zero."""
    row, column = np.nonzero(array)
    more_row, more_column = (random.randint(0, n, 9) for n in array.shape)
    row, column = np.append(row, more_row), np.append(column, more_column)
    number = np.append(array[row[:-9], column[:-9]], np.zeros(9, array.dtype))
    if with_duplicates and array.dtype.kind == "f":  # halves, whose sum is exact
        row, column = (np.append(index, index) for index in (row, column))
        number = np.append(number / 2, number / 2)
    order = random.permutation(len(row))
    order = order[np.argsort(row[order], kind="stable")]
    begin = np.searchsorted(row[order], np.arange(len(array) + 1))
    return sparse.csr_matrix((number[order], column[order], begin), array.shape)


@st.composite
def cases(draw):
    limits = {"max_steps": 4, "timing": "immediate"}
    net = draw(any_network((definitions, networks), **limits))
    if net.input_coding == "spikes":
        net = net.replace(n_steps=1)
    return net, draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])), draw(st.integers(0, 2**32 - 1))


@settings(max_examples=examples(80))
@given(cases())
def test_a_sparse_matrix_is_its_array(drawn):
    net, share, seed = drawn
    random = np.random.RandomState(seed)
    type_ = np.int64 if net.input_coding == "spikes" else random.choice([np.uint8, np.float64])
    x = random.randint(0, 3, (N, net.n_inputs)).astype(type_)
    if net.spikes == "binary" and net.input_coding == "spikes":
        x = np.minimum(x, 1)
    x[random.uniform(size=x.shape) > share] = 0
    if type_ == np.float64:
        x *= random.choice([0.7, -1.3, 1e9])
    y = targets(net, random, N, "labels", 1.0)
    matrix = shuffled(x, random, with_duplicates=random.rand() < 0.5)
    before = [part.copy() for part in (matrix.data, matrix.indices, matrix.indptr)]
    dense = x if net.input_coding == "values" else x[:, np.newaxis]
    weights = random_weights(net, random, 0.5)
    sims = [Simulator(net, "compiled", weights), Simulator(net, "reference", weights)]

    def assert_equal(show):
        results = []
        for sim, given_x in zip(sims, (matrix, dense), strict=True):
            try:
                results.append(show(sim, given_x))
            except OverflowError as error:
                results.append(str(error))
        np.testing.assert_equal(results[0], results[1])
        assert checkpoint_bytes(sims[0]) == checkpoint_bytes(sims[1])
        return not isinstance(results[0], str)

    may_go_on = assert_equal(lambda sim, x: sim.train(x, y))
    may_go_on &= assert_equal(lambda sim, x: sim.predict(x))
    may_go_on &= assert_equal(lambda sim, x: sim.train(x[:1], y[:1]))
    if net.n_outputs > 1 and may_go_on:
        assert_equal(lambda sim, x: sim.predict(x, margin=0.5).scores)
    streams = [sim.stream() for sim in sims]
    for i in random.randint(0, N, 4) if may_go_on else ():
        target = int(y[i]) if random.rand() < 0.7 else None
        n_steps = random.randint(1, 4)
        for stream, row in zip(streams, (matrix[i], x[i]), strict=True):
            stream.show(row, target=target, n_steps=n_steps)
        assert np.array_equal(streams[0].scores, streams[1].scores)
    if may_go_on:
        assert np.array_equal(*(stream.close_sample() for stream in streams))
        assert checkpoint_bytes(sims[0]) == checkpoint_bytes(sims[1])
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        assert np.array_equal(part, kept)


@EVERY_ENGINE
@pytest.mark.parametrize("make", ["csr_matrix", "coo_matrix", "csc_matrix", "csr_array"])
def test_every_back_end_takes_every_form(backend, make):
    net = SpikingMLP((6, 5, 3), seed=2)
    x = np.round(np.random.RandomState(0).uniform(size=(N, 6)), 1) * (np.arange(6) % 2)
    results = []
    for given_x in (getattr(sparse, make)(x), x):
        with Simulator(net, backend) as sim:
            results.append((sim.train(given_x, np.arange(N) % 3), sim.predict(given_x)))
            results[-1] += (checkpoint_bytes(sim),)
    np.testing.assert_equal(*results)


NET = SpikingMLP((4, 3, 2))
WRONG = {
    "NaN": (
        sparse.csr_matrix([[0, 1.0, 0, 0], [2.0, 0, np.nan, np.inf]]),
        r"finite; got nan at .*\(1, 2\)",
    ),
    "columns": (
        sparse.csr_matrix(np.ones((2, 5))),
        r"of shape \(n_samples, 4\) where it is sparse",
    ),
    "complex": (sparse.csr_matrix(np.ones((2, 4)) * 1j), "a sparse matrix of real numbers"),
    "outside": (
        sparse.csr_matrix((np.ones(2), np.array([0, 3]), np.array([0, 1, 2])), (2, 4)),
        "columns from 0 to 3; got 0 to 7",
    ),
}


@EVERY_ENGINE
@pytest.mark.parametrize("case", WRONG)
def test_wrong_matrices_are_refused(backend, case):
    matrix, message = WRONG[case]
    if case == "outside":
        matrix.indices[1] = 7
    with Simulator(NET, backend) as sim:
        for call in (lambda: sim.train(matrix, [0, 1]), lambda: sim.predict(matrix)):
            with pytest.raises(ValueError, match=rf"^x must be .*{message}"):
                call()


def test_what_takes_no_sparse_matrix_says_so():
    matrix = sparse.csr_matrix(np.eye(4))
    with Simulator(NET) as sim:
        with pytest.raises(ValueError, match=r"^x must be an array where a replay buffer is given"):
            sim.train(matrix, [0, 1, 0, 1], replay=ReplayBuffer(3, seed=1))
        with pytest.raises(ValueError, match=r"^x must be a sparse matrix of one row"):
            sim.stream().show(matrix)
    sim, shape = Simulator(NET.replace(input_coding="spikes", n_steps=2)), r"\(n_samples, 2, 4\)"
    with pytest.raises(ValueError, match=rf"^x must be an array of shape {shape}"):
        sim.predict(matrix)


def test_room_behind_the_entries_is_not_read():
    matrix = sparse.csr_matrix(np.eye(4))
    matrix.data, matrix.indices = np.append(matrix.data, np.nan), np.append(matrix.indices, 99)
    with Simulator(NET) as sim:
        assert np.array_equal(sim.predict(matrix), sim.predict(np.eye(4)))


@pytest.mark.parametrize("input_scale", [1.0, "auto"])
def test_estimators_learn_the_same_from_sparse_features(input_scale):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from spikebp_plugins import SpikingMLPClassifier

    x = np.round(np.random.RandomState(0).uniform(size=(60, 30)), 2)
    x[x < 0.8] = 0
    models = []
    for given_x in (x, sparse.csr_matrix(x)):
        model = SpikingMLPClassifier((12,), input_scale=input_scale, random_state=0, max_iter=2)
        model.partial_fit(given_x[:40], np.arange(40) % 3, classes=[0, 1, 2])
        model.partial_fit(given_x[40:41], [1])
        models.append((model, model.predict_proba(given_x), model.network_inputs(given_x)))
    (one, *arrays), (other, *others) = models
    assert one.checkpoint_ == other.checkpoint_
    np.testing.assert_equal(arrays, others)


@pytest.mark.parametrize("between", ["nothing", "reals", "events"])
def test_bytes_that_follow_each_other(between):
    """Vectors of bytes become zero, also the last, not a whole one; other input lies between."""
    net = SpikingMLP((35, 6, 3), input_scale=1 / 64, n_steps=1)
    rows = np.random.RandomState(0).randint(0, 255, (12, 35)).astype(np.uint8)
    rows[1::3, 32:], rows[2::3, :32], y = 0, 0, np.arange(12) % 3
    encoder = EventEncoder(7, 5, step=10, polarity="ignored")
    events = np.array([(2, 1, 1, 1), (0, 0, 14, 0)], EVENT_DTYPE)
    scores = []
    for backend in ("reference", "compiled"):
        sim = Simulator(net, backend=backend)
        for i in range(12):
            scores.append(sim.train(rows[i : i + 1], y[i : i + 1]))
            if between == "reals":
                sim.predict(rows[i - 1 : i] / 2 if i else rows[:1] / 2)
            elif between == "events":
                stream = sim.stream(encoder)
                stream.feed(events)
                stream.close_sample()
            scores.append(sim.predict(rows[[i, i - 1]]))
    half = len(scores) // 2
    for one, other in zip(scores[:half], scores[half:], strict=True):
        np.testing.assert_array_equal(one, other)
