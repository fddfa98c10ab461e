"""Input by lists of units: a sparse matrix computes what the array does."""

import pickle
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="SciPy is not installed")

from scipy import sparse

from spikebp_plugins import (
    EVENT_DTYPE,
    Checkpoint,
    EventEncoder,
    ReplayBuffer,
    Simulator,
    SpikingMLP,
)
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.engine.network import LARGEST_LIST
from tests.core.small_nets import ENGINES, arrays_in, checkpoint_bytes
from tests.core.strategies import any_network, definitions, networks, random_weights, targets
from tests.profiles import examples

EVERY_ENGINE = pytest.mark.parametrize("backend", ENGINES)
N = 7
EVENTS = np.array([(1, 0, 1, 1), (0, 0, 14, 0)], EVENT_DTYPE)


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
    is_by_step = net.input_coding == "spikes" or draw(st.booleans())
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    return net, is_by_step, share, draw(st.integers(0, 2**32 - 1))


def test_lists_of_any_length_come_one_by_one():
    """Short ones are copied to where the engine finds them, and long ones stay where they are."""
    net, random = SpikingMLP((LARGEST_LIST + 300, 5, 3)), np.random.RandomState(0)
    one_by_one, at_once = Simulator(net), Simulator(net)
    sizes = [3, LARGEST_LIST, 0, LARGEST_LIST + 1, 1, LARGEST_LIST + 300, 0, 7]
    x = np.zeros((len(sizes), net.n_inputs))
    for row, size in zip(x, sizes, strict=True):
        row[random.permutation(net.n_inputs)[:size]] = random.uniform(-1, 1, size)
    y = random.randint(0, 3, len(sizes))
    scores = []
    for i in range(len(sizes)):
        # Arrays between lists have another place.
        row = x[i : i + 1] if i == 5 else sparse.csr_matrix(x[i : i + 1])
        scores.append(one_by_one.train(row, y[i : i + 1]))
    assert np.array_equal(np.concatenate(scores), at_once.train(x, y))
    assert checkpoint_bytes(one_by_one) == checkpoint_bytes(at_once)


@settings(max_examples=examples(80))
@given(cases())
def test_a_sparse_matrix_is_its_array(drawn):
    net, is_by_step, share, seed = drawn
    random = np.random.RandomState(seed)
    type_ = np.int64 if net.input_coding == "spikes" else random.choice([np.uint8, np.float64])
    n_rows = net.n_steps if is_by_step else 1
    x = random.randint(0, 3, (N, n_rows * net.n_inputs)).astype(type_)
    if net.spikes == "binary" and net.input_coding == "spikes":
        x = np.minimum(x, 1)
    x[random.uniform(size=x.shape) > share] = 0
    if type_ == np.float64:
        x *= random.choice([0.7, -1.3, 1e9])
    y = targets(net, random, N, "labels", 1.0)
    matrix = shuffled(x, random, with_duplicates=random.rand() < 0.5)
    before = [part.copy() for part in (matrix.data, matrix.indices, matrix.indptr)]
    by_step = x.reshape(N, n_rows, net.n_inputs)
    dense = by_step if is_by_step else x
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
        row = by_step[i, random.randint(n_rows)]
        for stream, shown in zip(streams, (sparse.csr_matrix(row), row), strict=True):
            stream.show(shown, target=target, n_steps=n_steps)
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
        r"of shape \(n_samples, 4\) or \(n_samples, 8\) where it is sparse",
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
    with pytest.raises(ValueError, match=r"^x must be a sparse matrix of one row"):
        Simulator(NET).stream().show(matrix)
    sim = Simulator(NET.replace(input_coding="spikes", n_steps=2))
    with pytest.raises(ValueError, match=r"^x must be of shape \(n_samples, 8\) where it is"):
        sim.predict(matrix)
    with pytest.raises(ValueError, match=r"^x must be of at most 2147483647 columns; got"):
        sim.predict(sparse.csr_matrix((1, 2**31)))
    with pytest.raises(ValueError, match=r"^n_steps must be at most 1073741823 where batches of 2"):
        next(
            EventEncoder(2, 1, step=1, polarity="signs").batches([(EVENTS, 1)], 2**30, sparse=True)
        )


def few_active(n=30, n_units=6, dtype=np.float64):
    """Return samples most of whose units are zero, two of them all of them, and labels."""
    random = np.random.RandomState(3)
    x = random.uniform(-1, 3, (n, n_units)) * (random.uniform(size=(n, n_units)) < 0.3)
    x[[0, 9]] = 0
    return (x * 4).clip(0).astype(dtype) if dtype == np.uint8 else x, np.arange(n) % 3


def dense(x):
    return x.toarray() if sparse.issparse(x) else x


@EVERY_ENGINE
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("cuts", [(0, 30), (0, 1, 8, 30)], ids=["one", "some"])
def test_a_buffer_of_lists_is_that_of_arrays(backend, dtype, cuts, tmp_path):
    net = SpikingMLP((6, 5, 3), seed=2)
    x, y = few_active(dtype=dtype)
    found = []
    for given_x in (x, sparse.csr_matrix(x)):
        buffer, scores = ReplayBuffer(4, n_replayed=2, seed=1), []
        with Simulator(net, backend) as sim:
            for start, stop in pairwise(cuts):
                scores.append(sim.train(given_x[start:stop], y[start:stop], replay=buffer))
            sim.save(tmp_path / "net.npz", replay=buffer)
            learned, operations = checkpoint_bytes(sim), sim.operations.to_dict()
        checkpoint = Checkpoint.load(tmp_path / "net.npz")
        checkpoint.save(tmp_path / "again.npz")
        assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "net.npz").read_bytes()
        for kept in (buffer, checkpoint.replay, buffer.copy(), pickle.loads(pickle.dumps(buffer))):
            assert sparse.issparse(kept.x) == sparse.issparse(given_x)
            assert kept.x.dtype == dtype
            with checkpoint.simulate(backend) as sim:
                goes_on = sim.train(given_x[:7], y[:7], replay=kept), checkpoint_bytes(sim)
            found.append((np.concatenate(scores), learned, operations, goes_on, dense(kept.x)))
            found[-1] += (kept.y, kept.n_seen)
    for one in found[1:]:
        np.testing.assert_equal(one, found[0])


@pytest.mark.parametrize("first", ["array", "lists"])
def test_the_first_samples_of_a_buffer_decide_on_the_form_of_all(first):
    x, y = few_active()
    forms = [x[:10], sparse.csr_matrix(x[10:])]
    if first == "lists":
        forms = [sparse.csr_matrix(x[:10]), x[10:]]
    buffer, expected = ReplayBuffer(5), ReplayBuffer(5)
    for part, given_x in zip((slice(10), slice(10, 30)), forms, strict=True):
        mixture, wanted = buffer.mix(given_x, y[part]), expected.mix(x[part], y[part])
        assert sparse.issparse(mixture.x) == (first == "lists")
        assert np.array_equal(dense(mixture.x), wanted.x)
        buffer.keep(mixture)
        expected.keep(wanted)
    assert sparse.issparse(buffer.x) == (first == "lists")
    assert np.array_equal(dense(buffer.x), expected.x)


@pytest.mark.parametrize("changes", ["an array", "lists"])
def test_where_input_changes_a_buffer_keeps_all_steps_of_all(changes):
    net = SpikingMLP((6, 5, 3), seed=2, n_steps=2)
    x, y = few_active()
    changing = np.repeat(x[10:20, np.newaxis], 2, axis=1)
    found = []
    for form in (np.asarray, sparse.csr_matrix):
        buffer = ReplayBuffer(5)
        with Simulator(net) as sim:
            sim.train(form(x[:10]), y[:10], replay=buffer)
            among = sparse.csr_matrix(changing.reshape(10, -1)) if changes == "lists" else changing
            sim.train(among, y[10:20], replay=buffer)
            sim.train(form(x[20:]), y[20:], replay=buffer)
            assert sparse.issparse(buffer.x) == (form is not np.asarray)
            found.append((checkpoint_bytes(sim), dense(buffer.x).reshape(5, 2, 6)))
    np.testing.assert_equal(*found)


@pytest.mark.parametrize("shown", ["whole", "by step", "by turns", "silence"])
@pytest.mark.parametrize("coding", ["values", "spikes"])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_a_stream_keeps_lists(shown, coding, n_steps):
    net = SpikingMLP((6, 5, 3), seed=2, n_steps=n_steps, input_coding=coding)
    x, y = few_active()
    x = np.rint(x) if coding == "spikes" else x
    found = []
    for form in (np.asarray, sparse.csr_matrix):
        rows, buffer = form(x), ReplayBuffer(4)
        with Simulator(net) as sim:
            stream = sim.stream(replay=buffer)
            for i in range(20):
                if shown == "whole":
                    stream.show(rows[i], target=y[i], n_steps=n_steps)
                for t in range(0 if shown == "whole" else n_steps - (shown == "silence") or 1):
                    stream.show(rows[i + t * (shown == "by turns")], target=y[i])
                stream.close_sample()
            kept = dense(buffer.x)
            found.append((checkpoint_bytes(sim), kept.reshape(4, -1, 6)))
            assert sparse.issparse(buffer.x) == (form is not np.asarray)
    np.testing.assert_equal(*found)


def test_what_a_buffer_keeps_of_a_list_is_its_entries():
    n, n_units, n_active, capacity = 300, 2**18, 50, 100
    random, buffer = np.random.RandomState(0), ReplayBuffer(capacity)
    for start in range(0, n, 75):
        unit = np.concatenate([np.sort(random.choice(n_units, n_active, False)) for _ in range(75)])
        begin = np.arange(76) * n_active
        x = sparse.csr_matrix((random.uniform(size=len(unit)), unit, begin), (75, n_units))
        buffer.keep(buffer.mix(x, np.arange(start, start + 75)))
    assert buffer.x.shape == (capacity, n_units)
    assert buffer.nbytes == capacity * (n_active * (4 + 8) + 8)
    # Each list is one of its own: a part of a block would keep the block.
    lists = buffer._kept.x.lists
    assert all(entries.base is None for entries in lists[:capacity])
    assert len(lists) <= 2 * capacity


def test_types_beyond_those_of_the_lists_are_refused():
    x, y = few_active(dtype=np.uint8)
    buffer = ReplayBuffer(4)
    buffer.keep(buffer.mix(sparse.csr_matrix(x), y))
    for other in (sparse.csr_matrix(x / 2), x / 2):
        with pytest.raises(
            ValueError, match=r"^x must be of uint8 and shape \('n_samples', 6\), as"
        ):
            buffer.mix(other, y)
    with pytest.raises(ValueError, match=r"^x must be of uint8 and shape .*; got .* \(30, 5\)"):
        buffer.mix(sparse.csr_matrix(x[:, :5]), y)
    with pytest.raises(ValueError, match="x and y must be of the same number of samples"):
        buffer.mix(sparse.csr_matrix(x), y[:5])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"replay_begin": np.array([0, 2, 1, 4])}, "replay_x must be .* whose rows lie in order"),
        ({"replay_begin": np.array([1, 2, 3, 4])}, "replay_begin must be int64 of shape .* to 4"),
        ({"replay_begin": np.array([0, 2, 3])}, r"replay_begin must be int64 of shape \(4,\)"),
        ({"replay_begin": np.array([0.0, 2, 3, 4])}, r"replay_begin must .*; got float64"),
        ({"replay_unit": np.array([0, 1, 2, 4], np.int32)}, "columns from 0 to 3; got 0 to 4"),
        ({"replay_unit": np.array([-1, 1, 2, 3], np.int32)}, "columns from 0 to 3; got -1 to 3"),
        ({"replay_unit": np.array([0, 1, 2], np.int32)}, "replay_unit must be int32 of one dim"),
        ({"replay_unit": np.array([0.0, 1, 2, 3])}, "replay_unit must .*; got float64"),
        ({"replay_unit": None}, "replay_unit must be int32 of one dimension"),
        ({"replay_x": None}, "replay_unit must be int32 of one dimension"),
        ({"replay_x": np.array([1, 2, 3, 4j])}, "replay_x does not hold complex128|real numbers"),
        ({"replay_x": np.array([1, 2, np.nan, 4])}, "x must be finite; got nan at index"),
        ({"replay_y": np.array([0, 1, 2])}, "y must be labels from 0 to 1, or -1 where .*; got 2"),
    ],
)
def test_damaged_lists_are_refused(changes, reason, tmp_path):
    path, buffer = tmp_path / "net.npz", ReplayBuffer(3)
    buffer.keep(
        buffer.mix(sparse.csr_matrix(np.eye(4)[[0, 1, 2]] + np.eye(4)[[1, 1, 2]]), [0, 1, 0])
    )
    with Simulator(NET) as sim:
        sim.save(path, replay=buffer)
    arrays = arrays_in(path)
    assert arrays["replay_begin"].tolist() == [0, 2, 3, 4]
    arrays |= changes
    write_archive(path, {name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=f"net.npz is not a readable checkpoint: .*({reason})"):
        Checkpoint.load(path)


def test_an_order_that_scipy_only_notes_is_not_trusted():
    matrix = sparse.csr_matrix(np.array([[1.0, 2.0, 0, 0]]))
    assert matrix.has_canonical_format
    matrix.indices[:] = 3, 1
    with Simulator(NET) as sim:
        assert np.array_equal(sim.predict(matrix), sim.predict([[0, 2.0, 0, 1.0]]))


def test_samples_of_many_steps_are_shown_step_by_step():
    net = SpikingMLP((3, 4, 2), n_steps=5000, input_coding="spikes", seed=1)
    x = np.random.RandomState(0).randint(0, 2, (2, 5000, 3))
    found = []
    for form in (x, sparse.csr_matrix(x.reshape(2, -1))):
        with Simulator(net) as sim:
            found.append((sim.train(form, [0, 1]), sim.predict(form), checkpoint_bytes(sim)))
    np.testing.assert_equal(*found)


def recording(encoder, n_steps, random, n=300):
    events = np.zeros(n, EVENT_DTYPE)
    events["x"], events["y"] = (random.randint(0, m, n) for m in (encoder.width, encoder.height))
    events["p"] = random.randint(0, 2, n)
    events["t"] = np.sort(random.randint(0, n_steps * encoder.step, n))
    return events


@pytest.mark.parametrize("polarity", ["planes", "signs", "ignored"])
def test_sparse_batches_are_those_of_arrays(polarity):
    encoder, random = EventEncoder(4, 3, step=10, polarity=polarity), np.random.RandomState(1)
    recordings = [(recording(encoder, 6, random, n), n % 3) for n in (0, 1, 50, 120, 30)]
    for start in (None, 0):
        arrays, matrices = (
            list(encoder.batches(recordings, 5, size=2, start=start, sparse=form))
            for form in (False, True)
        )
        for (x, y), (matrix, labels) in zip(arrays, matrices, strict=True):
            assert matrix.dtype == np.int32
            assert np.array_equal(matrix.toarray().reshape(x.shape), x)
            assert np.array_equal(labels, y)


def test_recordings_of_a_large_sensor_stay_lists(tmp_path):
    encoder, random = EventEncoder(346, 260, step=1000), np.random.RandomState(1)
    net = SpikingMLP((encoder.n_inputs, 4, 3), n_steps=10, input_coding="spikes")
    recordings = [(recording(encoder, 10, random), i % 3) for i in range(20)]
    sim, streaming = Simulator(net), Simulator(net)
    buffers = [ReplayBuffer(10, seed=seed) for seed in (1, 1)]
    stream = streaming.stream(encoder, replay=buffers[1])
    stream.feed(recordings[0][0])  # the engine makes room for what a step may need
    stream.drop_sample()
    tracemalloc.start()
    for x, y in encoder.batches(recordings, net.n_steps, size=7, start=0, sparse=True):
        scores = sim.train(x, y, replay=buffers[0])
        assert sim.predict(x).shape == scores.shape
    for events, label in recordings:
        stream.feed(events, start=0, target=label)
        stream.advance_to(10_000)
        stream.close_sample()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * net.n_steps * encoder.n_inputs, "an array of a sample in 32 bits"
    assert sim.checkpoint() == streaming.checkpoint()
    assert (buffers[0].x != buffers[1].x).nnz == 0
    sim.save(tmp_path / "net.npz", replay=buffers[0])
    found = Checkpoint.load(tmp_path / "net.npz")
    assert (found.replay.x != buffers[0].x).nnz == 0
    with found.simulate() as other:
        for one, buffer in ((sim, buffers[0]), (other, found.replay)):
            one.train(x, y, replay=buffer)
        assert sim.checkpoint(buffers[0]) == other.checkpoint(found.replay)


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
