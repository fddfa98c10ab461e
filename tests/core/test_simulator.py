"""What a user holds: training, prediction, and what is left after anything goes wrong."""

import copy
import pickle
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from spikebp_plugins import Checkpoint, Operations, ReplayBuffer, Simulator, SpikingMLP
from spikebp_plugins.backends import get_backend
from tests.core.small_nets import (
    ENGINES,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
)

NET = small_net()
EVERY_ENGINE = pytest.mark.parametrize("backend", ENGINES)
X, Y = samples(NET, 6)


def trained(n_samples, backend="reference", net=NET):
    sim = lively_simulator(net, backend)
    sim.train(*(array[:n_samples] for array in samples(net, max(n_samples, 6))))
    return sim


@pytest.mark.parametrize("net", [None, (3, 2), {"layer_sizes": (3, 2)}, SpikingMLP], ids=repr)
def test_a_simulator_takes_a_definition(net):
    with pytest.raises(ValueError, match=r"^net must be a SpikingMLP or a SpikingNetwork; got "):
        Simulator(net)


def test_a_simulator_shows_its_definition_and_back_end():
    sim = Simulator(NET, backend="reference")
    assert (sim.net, sim.backend, sim.samples_seen) == (NET, "reference", 0)
    assert repr(sim) == f"Simulator({NET!r}, backend='reference')"


@EVERY_ENGINE
def test_weights_and_feedback_can_be_given(backend):
    net = small_net(feedback="random")
    weights = [np.full(shape, 0.25) for shape in net.weight_shapes]
    feedback = [np.full(shape, -0.5) for shape in net.feedback_shapes]
    sim = Simulator(net, backend, weights, feedback=feedback)
    assert_all_equal(sim.weights, weights)
    assert_all_equal(sim.checkpoint().state.feedback, feedback)
    sim.train(X, Y)
    assert_all_equal(sim.checkpoint().state.feedback, feedback)


@EVERY_ENGINE
def test_weights_are_copies(backend):
    sim = trained(3, backend)
    before = checkpoint_bytes(sim)
    trace = sim.predict(X, record=True)
    for matrix in sim.weights + trace.weights:
        matrix[...] = 9
    assert checkpoint_bytes(sim) == before
    sim.close()
    for matrix in sim.weights:
        matrix[...] = 9
    assert checkpoint_bytes(sim) == before


@EVERY_ENGINE
def test_a_closed_simulator_can_be_read_but_not_run(backend, tmp_path):
    with lively_simulator(NET, backend) as sim:
        sim.train(X, Y)
        expected = checkpoint_bytes(sim)
        operations, weights = sim.operations, sim.weights
    assert_all_equal(sim.weights, weights)
    assert (sim.samples_seen, sim.operations) == (6, operations)
    assert checkpoint_bytes(sim) == expected
    sim.save(tmp_path / "net.npz")
    assert (tmp_path / "net.npz").read_bytes() == expected

    advice = r"closed; go on with simulator\.checkpoint\(\)\.simulate\(\)"
    with pytest.raises(RuntimeError, match=advice):
        sim.train(X, Y)
    with pytest.raises(RuntimeError, match=advice):
        sim.predict(X)
    with sim.checkpoint().simulate(backend) as again:
        again.train(X, Y)
        assert again.samples_seen == 12
    assert checkpoint_bytes(sim) == expected


COPIED = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda sim: pickle.loads(pickle.dumps(sim))],
    ids=["copy", "deepcopy", "pickle"],
)


@EVERY_ENGINE
@COPIED
@pytest.mark.parametrize("shown", [False, True], ids=["at first", "later"])
def test_a_copy_is_a_simulator_of_its_own(backend, copied, shown):
    net = small_net(feedback="random", backward_init="carry")
    with lively_simulator(net, backend) as sim:
        if shown:
            sim.train(X, Y)
            sim.predict(X)
        with copied(sim) as other, copied(other) as third:
            for one in (other, third):
                assert one.backend == backend
                assert one.operations == sim.operations
                assert checkpoint_bytes(one) == checkpoint_bytes(sim)
            before, operations = checkpoint_bytes(sim), sim.operations
            trace = third.train(X, Y, record=True)
            assert (checkpoint_bytes(sim), sim.operations) == (before, operations)
            assert (checkpoint_bytes(other), other.operations) == (before, operations)
            assert sim.train(X, Y, record=True).diff(trace) is None
            assert sim.operations == third.operations
            assert checkpoint_bytes(sim) == checkpoint_bytes(third)


@COPIED
def test_options_of_the_back_end_are_copied(copied):
    with Simulator(NET, n_jobs=3) as sim, copied(sim) as other:
        assert other._engine._n_jobs == 3


@EVERY_ENGINE
@COPIED
def test_a_copy_of_a_closed_simulator_is_closed(backend, copied):
    sim = trained(4, backend)
    sim.close()
    other = copied(sim)
    assert other.operations == sim.operations
    assert checkpoint_bytes(other) == checkpoint_bytes(sim)
    with pytest.raises(RuntimeError, match="closed"):
        other.train(X, Y)


@EVERY_ENGINE
@COPIED
def test_a_copy_has_no_part_in_an_open_sample(backend, copied):
    with trained(4, backend) as sim:
        before = checkpoint_bytes(sim)
        stream = sim.stream()
        stream.show(X[0], target=1)
        with copied(sim) as other:
            assert checkpoint_bytes(other) == before
            other.train(X, Y)
        with pytest.raises(TypeError, match="a Stream cannot be copied or pickled: copy its sim"):
            copied(stream)
        stream.close_sample()
        assert sim.samples_seen == 5


def test_a_simulator_closes_once_and_after_an_error_too(monkeypatch):
    closed = []
    monkeypatch.setattr(get_backend("reference"), "close", lambda engine: closed.append(engine))
    with lively_simulator(NET) as sim:
        sim.train(X, Y)
    assert len(closed) == 1
    with pytest.raises(ValueError, match="y must be"), lively_simulator(NET) as failed:
        failed.train(X, None)
    assert len(closed) == 2
    sim.close()
    sim.close()
    assert len(closed) == 2
    assert sim.samples_seen == 6


def work_of(net, trace, training):
    """Count the operations of a trace by the letter of docs/semantics.md, "Work"."""
    sizes, L = net.layer_sizes, net.n_layers
    n_samples, T = trace.spikes[0].shape[:2]
    dense = sum(sizes[l - 1] * sizes[l] for l in range(1, L + 1))
    forward = backward = update = met = 0
    for i in range(n_samples):
        counts = [np.zeros(size, int) for size in sizes]
        summed = [np.zeros(size, int) for size in sizes]
        for t in range(T):
            k = [spikes[i, t] for spikes in trace.spikes]
            for l in range(L + 1):
                counts[l] = counts[l] + k[l]
            forward += sum(sum(abs(int(v)) for v in k[l - 1]) * sizes[l] for l in range(1, L + 1))
            met += sum(np.count_nonzero(k[l - 1]) * sizes[l] for l in range(1, L + 1))
            if not training:
                continue
            e = [None, *(errors[i, t] for errors in trace.errors[1:])]
            backward += sum(sum(abs(int(v)) for v in e[l]) * sizes[l - 1] for l in range(2, L + 1))
            met += sum(np.count_nonzero(e[l]) * sizes[l - 1] for l in range(2, L + 1))
            for l in range(1, L + 1):
                summed[l] = summed[l] + e[l]
                if net.update == "fractional":
                    update += len(np.flatnonzero(counts[l - 1])) * len(np.flatnonzero(e[l]))
        if training and net.update == "outer":
            for l in range(1, L + 1):
                update += len(np.flatnonzero(counts[l - 1])) * len(np.flatnonzero(summed[l]))
    return Operations(
        forward=forward,
        backward=backward,
        update=update,
        dense=dense * n_samples * (3 if training else 1),
        samples=n_samples,
        spikes=sum(int(np.abs(spikes).sum()) for spikes in trace.spikes),
        errors=sum(int(np.abs(errors).sum()) for errors in trace.errors[1:]) if training else 0,
        messages=sum(
            map(np.count_nonzero, (*trace.spikes, *(trace.errors[1:] if training else ())))
        ),
        multiply_adds=update + met,
    )


@pytest.mark.parametrize("update", ["fractional", "outer"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"spikes": "binary"},
        {"feedback": "random"},
        {"input_coding": "spikes"},
        {"layer_sizes": (3, 2)},
    ],
    ids=repr,
)
def test_operations_are_counted_exactly(update, changes):
    net = small_net(**({"update": update} | changes))
    x, y = samples(net, 6)
    sim = lively_simulator(net)
    assert sim.operations == Operations()
    trained = work_of(net, sim.train(x, y, record=True), training=True)
    assert sim.operations == trained
    assert min(trained.forward, trained.update, trained.errors) > 0
    assert (trained.backward > 0) == (net.n_layers > 1)

    predicted = work_of(net, sim.predict(x, record=True), training=False)
    assert sim.operations == trained + predicted
    assert sim.operations.total == trained.total + predicted.forward
    sim.predict(x)
    assert sim.operations - trained == predicted + predicted
    sim.close()
    assert sim.operations == trained + predicted + predicted


def test_operations_of_longer_samples_are_counted():
    sim = lively_simulator(NET)
    trace = sim.predict(X, n_steps=9, record=True)
    assert sim.operations == work_of(NET, trace, training=False)


@EVERY_ENGINE
def test_labels_are_one_hot_targets_however_they_are_written(backend):
    one_hot = np.eye(2)[Y]
    in_time = np.repeat(one_hot[:, np.newaxis], 4, axis=1)
    traces = [
        lively_simulator(NET, backend).train(X, y, record=True)
        for y in (Y, Y.tolist(), Y.astype(np.uint8), one_hot, one_hot.astype(int), in_time)
    ]
    assert [traces[0].diff(trace) for trace in traces] == [None] * len(traces)


@EVERY_ENGINE
def test_what_labels_ask_for_has_the_range_of_targets(backend):
    net = small_net(label_targets=(0, 1e300))
    sim = lively_simulator(net, backend)
    with pytest.raises(OverflowError, match="target potential of layer 3"):
        sim.train(X, Y)
    assert sim.samples_seen == 0
    expected = lively_simulator(NET, backend).predict(X, record=True)
    assert sim.predict(X, record=True).diff(expected) is None


def test_a_longer_look_begins_as_the_shorter_one():
    sim = trained(6)
    short, usual, long = (sim.predict(X, n_steps=n, record=True) for n in (2, None, 9))
    for trace, steps in ((short, 2), (usual, 4)):
        beginning = replace(
            long,
            spikes=[counts[:, :steps] for counts in long.spikes],
            step_scores=long.step_scores[:, :steps],
            scores=long.step_scores[:, steps - 1],
        )
        assert trace.diff(beginning) is None
    in_time = np.repeat(X[:, np.newaxis], 9, axis=1)
    assert sim.predict(in_time, n_steps=9, record=True).diff(long) is None
    np.testing.assert_array_equal(sim.predict(X, n_steps=np.int64(9)), long.scores)


@EVERY_ENGINE
def test_blocks_of_any_size_give_the_same(backend, monkeypatch):
    expected = lively_simulator(NET, backend).train(X, Y, record=True)
    whole = checkpoint_bytes(trained(6, backend))
    for size in (1, 4, 1000):
        monkeypatch.setattr(get_backend(backend), "block_size", lambda *_, size=size: size)
        sim = lively_simulator(NET, backend)
        assert sim.train(X, Y, record=True).diff(expected) is None
        assert checkpoint_bytes(sim) == whole


def test_arrays_of_any_memory_layout_are_equal():
    values, targets = np.repeat(X[:, np.newaxis], 4, axis=1), np.eye(2)[Y]
    expected = lively_simulator(NET, "compiled").train(values, targets, record=True)
    reversed_in_memory = values[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1]
    by_columns = np.asfortranarray(values)
    steps_first = values.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    layouts = [np.asfortranarray(X), by_columns, steps_first, reversed_in_memory]
    for x in layouts:
        for y in (np.asfortranarray(targets), targets[::-1].copy()[::-1]):
            trace = lively_simulator(NET, "compiled").train(x, y, record=True)
            assert trace.diff(expected) is None


@EVERY_ENGINE
def test_an_interrupt_between_blocks_leaves_a_sample_boundary(backend, monkeypatch, tmp_path):
    cls = get_backend(backend)
    train, blocks = cls.train, []

    def train_twice(self, batch, record):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        blocks.append(len(batch))
        return train(self, batch, record)

    sim = lively_simulator(NET, backend)
    with monkeypatch.context() as patch:
        patch.setattr(cls, "block_size", lambda *_: 2)
        patch.setattr(cls, "train", train_twice)
        with pytest.raises(KeyboardInterrupt):
            sim.train(X, Y)
    assert blocks == [2, 2]
    assert (sim.samples_seen, sim.operations.samples) == (4, 4)
    assert checkpoint_bytes(sim) == checkpoint_bytes(trained(4))
    sim.save(tmp_path / "net.npz")
    with Checkpoint.load(tmp_path / "net.npz").simulate(backend) as again:
        again.train(X[4:], Y[4:])
        assert checkpoint_bytes(again) == checkpoint_bytes(trained(6))
    sim.train(X[4:], Y[4:])
    assert checkpoint_bytes(sim) == checkpoint_bytes(trained(6))


TOO_LARGE = 2.0**52
WITH_ONE_TOO_LARGE = np.concatenate([X[:1], np.full((1, 3), TOO_LARGE)])


def interrupt_after(assignment):
    """Return a __setattr__ that interrupts after that many assignments to the object."""
    left = [assignment]

    def assign(self, name, value):
        object.__setattr__(self, name, value)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    return assign


@EVERY_ENGINE
def test_an_interrupt_at_any_moment_leaves_a_sample_boundary(backend, monkeypatch):
    """Interrupts after every change of the engine, one by one, until none is left."""
    cls = get_backend(backend)
    boundaries = {checkpoint_bytes(trained(n)): n for n in range(4)}
    moment, interrupted = 1, True
    while interrupted:
        sim = lively_simulator(NET, backend)
        with monkeypatch.context() as patch:
            patch.setattr(cls, "__setattr__", interrupt_after(moment))
            try:
                sim.train(X[:3], Y[:3])
                interrupted = False
            except KeyboardInterrupt:
                moment += 1
        state = checkpoint_bytes(sim)
        assert state in boundaries
        # It goes on from there, a refused sample included, as if it had begun there.
        begun = trained(boundaries[state])
        for each in (sim, begun):
            with pytest.raises(OverflowError):
                each.train(WITH_ONE_TOO_LARGE, Y[:2])
        assert checkpoint_bytes(sim) == checkpoint_bytes(begun)
    assert boundaries[state] == 3
    assert moment > 1


def with_sample(array, index, value):
    array = array.astype(np.result_type(array, type(value)))
    array[index] = value
    return array


def overflows():
    """Return what is too large, where it shows, and the samples."""
    spikes = small_net(input_coding="spikes")
    k, labels = samples(spikes, 5)
    k = k.astype(np.int64)  # which not every machine has by default
    one_hot = np.eye(2)[Y[:5]]
    return {
        "input": (NET, with_sample(X[:5], 2, TOO_LARGE), Y[:5], "potential of layer 0"),
        "infinite": (NET, with_sample(X[:5], 2, 1.7e308), Y[:5], "potential of layer 0"),
        "target": (NET, X[:5], with_sample(one_hot, 2, TOO_LARGE), "target potential of layer 3"),
        "drive": (NET, with_sample(X[:5], 2, 2.0**39), Y[:5], "layer [123]"),
        "spikes": (spikes, with_sample(k, 2, 2**53), labels, "spike count of layer 0"),
        "most negative": (spikes, with_sample(k, 2, -(2**63)), labels, "spike count of layer 0"),
        "most positive": (spikes, with_sample(k, 2, 2**63 - 1), labels, "spike count of layer 0"),
        "uint64": (
            spikes,
            with_sample(np.abs(k).astype(np.uint64), 2, np.uint64(2**64 - 1)),
            labels,
            "spike count of layer 0",
        ),
    }


@EVERY_ENGINE
@pytest.mark.parametrize("case", overflows())
def test_an_overflow_leaves_the_state_before_the_sample(backend, case):
    net, x, y, place = overflows()[case]
    with lively_simulator(net, backend) as sim, lively_simulator(net) as expected:
        with pytest.raises(OverflowError, match=f"{place}.* must stay below") as caught:
            sim.train(x, y)
        with pytest.raises(OverflowError) as said:
            expected.train(x, y)
        assert str(caught.value) == str(said.value)
        assert str(said.value).endswith(", in sample 2")
        begun = lively_simulator(net)
        begun.train(x[:2], y[:2])
        assert checkpoint_bytes(begun) == checkpoint_bytes(sim) == checkpoint_bytes(expected)
        assert (sim.samples_seen, sim.operations) == (2, begun.operations)
        if case != "target":
            with pytest.raises(OverflowError, match=r"layer .*, in sample 2$"):
                sim.predict(x)
            assert checkpoint_bytes(sim) == checkpoint_bytes(begun)
        for each in (sim, expected):
            each.train(x[3:], y[3:])
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)


@EVERY_ENGINE
@pytest.mark.parametrize(
    "count", [np.uint64(2**63 + 5), np.uint64(2**62), np.int64(-(2**63)), 1e300], ids=repr
)
def test_counts_beyond_what_is_counted_are_said_to_be(backend, count):
    net = small_net(input_coding="spikes", n_steps=1)
    x = np.array([[[0, count, 0]]])
    with lively_simulator(net, backend) as sim:
        stream = sim.stream()
        for call in (lambda: sim.predict(x), lambda: stream.show(x[0, 0])):
            with pytest.raises(OverflowError, match="spike count of layer 0") as caught:
                call()
            said = str(caught.value).removesuffix(", in sample 0")
            assert said.endswith("; it reached 4.61169e+18 or more")


@EVERY_ENGINE
def test_an_overflow_is_in_the_sample_that_it_names(backend):
    """Also amid the blocks of a back end, in threads, and where samples end early or come again."""
    net = small_net((3, 4, 2))
    x, y = np.tile(np.eye(3), (20, 1)), np.arange(60) % 2
    x[47, 1] = 1e15
    buffer = ReplayBuffer(5, n_replayed=2)
    with Simulator(net, backend) as sim:
        sim.train(x[:3], y[:3], replay=buffer)
        options = {"n_jobs": 2} if backend == "compiled" else {}
        with Simulator(net, backend, **options) as other:
            for call in (
                lambda: other.predict(x),
                lambda: other.predict(x, margin=99),
                lambda: sim.train(x, y),
                lambda: sim.train(x, y, margin=99),
                lambda: sim.train(x, y, record=True),
            ):
                with pytest.raises(OverflowError, match=r"layer .*, in sample 47$"):
                    call()
        named = "in sample 47, or in one that was learned again before it$"
        with pytest.raises(OverflowError, match=named):
            sim.train(x, y, replay=buffer)
        assert buffer.n_seen == 50


@pytest.mark.parametrize("is_list", [True, False])
def test_rows_of_one_hot_labels_are_warned_of_once(is_list):
    net = SpikingMLP((3, 4, 3))
    rows = np.eye(3).tolist() if is_list else np.eye(3, dtype=int)
    with Simulator(net, "reference") as sim:
        sim.train(np.eye(3), [0, 1, 2])
        with pytest.raises(RuntimeWarning, match=r"1 spike .* for 36 and 6 \(label_targets\)"):
            sim.train(np.eye(3), rows)
        sim.train(np.eye(3), rows)
    for others in (6 * np.eye(3), np.ones((3, 3)), np.zeros((3, 3)), np.zeros((0, 3))):
        Simulator(net, "reference").train(np.eye(3)[: len(others)], others)
    Simulator(net.replace(label_targets=(0, 1)), "reference").train(np.eye(3), rows)
    Simulator(SpikingMLP((3, 1)), "reference").train(np.eye(3), [[1], [1], [1]])


def one_by_one(backend, x, y, **how):
    """Return a simulator that has predicted the samples without a label, and learned the others."""
    sim = lively_simulator(NET, backend)
    shown = [
        sim.predict(row[np.newaxis], **how) if label < 0 else sim.train([row], [label], **how)
        for row, label in zip(x, y, strict=True)
    ]
    return sim, shown


@pytest.mark.parametrize("backend", ["reference", "compiled"])
def test_a_sample_without_a_label_is_shown_and_teaches_nothing(backend):
    x, y = samples(NET, 12)
    y[[0, 3, 4, 5, 8, 11]] = -1
    sim, (other, scores) = lively_simulator(NET, backend), one_by_one("reference", x, y)
    trace = sim.train(x, y, record=True)
    assert np.array_equal(trace.scores, np.concatenate(scores))
    for errors in trace.errors[1:]:
        assert not errors[y < 0].any()
        assert errors[y >= 0].any()
    assert checkpoint_bytes(sim) == checkpoint_bytes(other)
    assert (sim.samples_seen, sim.operations) == (6, other.operations)
    other, shown = one_by_one("reference", x, y, margin=1.0)
    sim = lively_simulator(NET, backend)
    for found, *wanted in zip(sim.train(x, y, margin=1.0), *shown, strict=True):
        assert np.array_equal(found, np.concatenate(wanted))
    assert checkpoint_bytes(sim) == checkpoint_bytes(other)
    # Of nothing but such samples there are no errors.
    assert sim.train(x[:2], [-1, -1], record=True).errors is None
    assert np.array_equal(sim.train(x[:1], [-1]), sim.predict(x[:1]))
    assert checkpoint_bytes(sim) == checkpoint_bytes(other)


def test_a_replay_buffer_keeps_no_sample_without_a_label():
    x, y = samples(NET, 12)
    y[[0, 3, 4, 5, 8, 11]] = -1
    (sim, buffer), (other, of_other) = (
        (lively_simulator(NET), ReplayBuffer(4, seed=1)) for _ in range(2)
    )
    scores = sim.train(x, y, replay=buffer)
    expected = other.train(x[y >= 0], y[y >= 0], replay=of_other)
    assert np.array_equal(scores[y >= 0], expected)
    assert (buffer.n_seen, buffer.y.tolist()) == (6, of_other.y.tolist())
    assert checkpoint_bytes(sim) == checkpoint_bytes(other)
    buffer.keep(buffer.mix(x[:1], [-1]))
    with pytest.raises(ValueError, match=r"network could learn; got .*: some have no label"):
        sim.train(x[1:2], y[1:2], replay=buffer)


def test_two_classes_that_are_minus_one_and_one_are_warned_of():
    with Simulator(NET) as sim:
        with pytest.warns(RuntimeWarning, match="two classes are 0 and 1"):
            sim.train(X[:2], [-1, 1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            sim.train(X[:2], [-1, 1])


def test_a_weight_that_overflows_names_its_layer():
    net = SpikingMLP.paper((1, 1), n_steps=1, learning_rate=1.0, fraction_bits=30)
    messages = []
    for backend in ENGINES:
        sim = Simulator(net, backend, [[[1.0]]])
        with pytest.raises(OverflowError, match=r"^weight of layer 1 must stay below") as caught:
            # c = 2**12 spikes, and an error of 2**12 - 2**21: the product exceeds 2**23.
            sim.train([[2.0**12], [2.0**12]], [[2.0**12], [2.0**21]])
        assert (sim.samples_seen, sim.weights) == (1, [[[1.0]]])
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


@EVERY_ENGINE
def test_large_numbers_within_the_range_are_exact(backend):
    net = SpikingMLP.paper((2, 1), n_steps=2, learning_rate=1.0, fraction_bits=12)
    big = 2.0**39
    sim = Simulator(net, backend, [[[1.0 + 2.0**-12], [-1.0]]])
    # The two huge terms of 2**51 units and more cancel to 2**39 units.
    scores = sim.predict([[big, big]])
    np.testing.assert_array_equal(scores, [[big * 2.0**-12]])


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_written_where_there_is_no_terminal(capfd, monkeypatch, progress):
    monkeypatch.setattr("spikebp_plugins.common.progress.DELAY", 0.0)
    sim = lively_simulator(NET)
    sim.train(X, Y, progress=progress)
    sim.predict(X, progress=progress)
    assert capfd.readouterr() == ("", "")


def test_the_start_method_of_multiprocessing_is_left_to_the_script():
    program = (
        "import multiprocessing\n"
        "from spikebp_plugins import Simulator, SpikingMLP\n"
        "Simulator(SpikingMLP.paper((2, 2)), 'reference').train([[1.0, 0.0]], [1], progress=True)\n"
        "print(multiprocessing.get_start_method(allow_none=True))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout == "None\n"


def test_a_progress_bar_can_be_asked_for(capfd):
    sim = lively_simulator(NET)
    sim.train(X, Y, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "training" in err
    assert "6/6" in err
    sim.predict(X, progress=True)
    assert "predicting" in capfd.readouterr().err


@EVERY_ENGINE
@pytest.mark.parametrize("rate", [0.4, 40000.0])  # 32 bits do not hold the second
def test_a_new_learning_rate_is_that_of_a_checkpoint(backend, rate):
    net = small_net(fraction_bits=20)
    with trained(3, backend, net) as sim:
        expected = sim.checkpoint()
        for changed in (rate, 0.02):
            sim.learning_rate = changed
            assert sim.learning_rate == changed
            scores = sim.train(X[:3], Y[:3])
            with expected.at_rate(changed).simulate() as other:
                np.testing.assert_array_equal(scores, other.train(X[:3], Y[:3]))
                expected = other.checkpoint()
            assert sim.checkpoint() == expected
        assert sim.operations.samples == 9
    assert sim.net == expected.net


@pytest.mark.parametrize("backend", ["compiled", "reference"])
def test_a_new_learning_rate_holds_for_streams_between_two_samples(backend):
    sim, x = lively_simulator(NET, backend), X[0].ravel()[: NET.n_inputs] * 1.0
    stream = sim.stream(n_steps=NET.n_steps)
    sim.learning_rate = 2 * NET.learning_rate
    expected = sim.checkpoint().simulate("reference")
    stream.show(x, target=1, n_steps=2)
    with pytest.raises(RuntimeError, match="a sample of a stream is open"):
        sim.learning_rate = NET.learning_rate
    stream.show(x, n_steps=NET.n_steps - 2)
    expected.train(x[np.newaxis], [1])
    assert sim.checkpoint() == expected.checkpoint()
    assert stream.net.learning_rate == 2 * NET.learning_rate
    with pytest.raises(ValueError, match="learning_rate must be above"):
        sim.learning_rate = 1e-12
    assert sim.learning_rate == 2 * NET.learning_rate
