"""Samples learned again: the same integers in whatever parts they come, and nothing out of step."""

import copy
import pickle
from itertools import count, pairwise

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from spikebp_plugins import (
    EVENT_DTYPE,
    Checkpoint,
    Conv2D,
    Dense,
    EventEncoder,
    ReplayBuffer,
    Simulator,
    SpikingNetwork,
)
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.network import replay
from spikebp_plugins.network.draws import draw_key, numbers_of
from spikebp_plugins.simulation import replay_training
from tests.core.small_nets import (
    ENGINES,
    arrays_in,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
)
from tests.interrupts import interrupted_in_python

NET = small_net()
N = 30
EVERY_ENGINE = pytest.mark.parametrize("engine", ENGINES)


def literal(net, x, y, capacity, n_replayed=1, seed=0):
    """Learn by the letter: one sample, some of before, and the reservoir. Return what is left."""
    key, each = draw_key(seed), 1 + n_replayed
    kept, sim, scores = [], lively_simulator(net), []
    for i in range(len(x)):
        numbers = numbers_of(key, each, i * each).tolist()
        scores.append(sim.train(x[i : i + 1], y[i : i + 1])[0])
        for number in numbers[1:] if kept else ():
            old_x, old_y = kept[number % len(kept)]
            sim.train([old_x], [old_y])
        place = i if i < capacity else numbers[0] % (i + 1)
        if place < capacity:
            kept[place : place + 1] = [(x[i], y[i])]
    return sim, np.array(scores), kept


def assert_holds(buffer, kept, n_seen):
    assert (len(buffer), buffer.n_seen) == (len(kept), n_seen)
    assert np.array_equal(buffer.x, [x for x, _ in kept])
    assert np.array_equal(buffer.y, [y for _, y in kept])


@EVERY_ENGINE
@pytest.mark.parametrize("cuts", [(0, N), (0, 1, 8, N), range(N + 1)], ids=["one", "some", "each"])
def test_the_parts_in_which_samples_come_change_nothing(engine, cuts):
    x, y = samples(NET, N)
    expected, scores, kept = literal(NET, x, y, 5, 2, seed=7)
    buffer, found = ReplayBuffer(5, n_replayed=2, seed=7), []
    with lively_simulator(NET, engine) as sim:
        for start, stop in pairwise(cuts):
            found.append(sim.train(x[start:stop], y[start:stop], replay=buffer))
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
        assert sim.samples_seen == N + 2 * (N - 1)
        assert sim.operations == expected.operations
    assert np.array_equal(np.concatenate(found), scores)
    assert_holds(buffer, kept, N)


@pytest.mark.parametrize("with_targets", [False, True], ids=["labels", "targets"])
def test_learning_goes_on_from_a_file(with_targets, tmp_path):
    x, y = samples(NET, N)
    y = np.random.RandomState(1).uniform(0, 2, (N, NET.n_outputs)) if with_targets else y
    whole, buffer = lively_simulator(NET), ReplayBuffer(6, seed=2)
    whole.train(x, y, replay=buffer)
    first, part = lively_simulator(NET, "compiled"), ReplayBuffer(6, seed=2)
    first.train(x[:11], y[:11], replay=part)
    first.save(tmp_path / "net.npz", replay=part)
    first.train(x[11:], y[11:], replay=part)  # the file is a copy of its own
    checkpoint = Checkpoint.load(tmp_path / "net.npz")
    checkpoint.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "net.npz").read_bytes()
    with checkpoint.simulate() as sim:
        sim.train(x[11:], y[11:], replay=checkpoint.replay)
        assert checkpoint_bytes(sim) == checkpoint_bytes(whole)
    assert np.array_equal(checkpoint.replay.x, buffer.x)
    assert checkpoint.replay.x.dtype == x.dtype


def test_a_file_may_hold_a_buffer_that_has_seen_nothing(tmp_path):
    sim = lively_simulator(NET)
    sim.save(tmp_path / "net.npz", replay=ReplayBuffer(4, n_replayed=3, seed=9))
    found = Checkpoint.load(tmp_path / "net.npz").replay
    assert (found.capacity, found.n_replayed, found.seed, found.n_seen) == (4, 3, 9, 0)
    assert found.x is None
    assert found.nbytes == 0
    sim.save(tmp_path / "plain.npz")
    assert Checkpoint.load(tmp_path / "plain.npz").replay is None


SETTINGS = [6, 1, 0, 11]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"replay": np.array(SETTINGS, np.int32)}, "replay must be int64 of shape"),
        ({"replay": np.array([0, 1, 0, 11])}, "capacity must be an integer from 1"),
        ({"replay": np.array([6, 2**40, 0, 11])}, "n_replayed must be an integer from 1"),
        ({"replay": np.array([6, 1, -1, 11])}, "seed must be an integer from 0"),
        ({"replay": np.array([6, 1, 0, -1])}, "n_seen must be an integer from 0"),
        ({"replay": np.array([6, 1, 0, 5])}, r"replay_x must be real numbers of shape \(5, 3\)"),
        ({"replay_x": None}, "replay_x must be real numbers of shape .*; got nothing"),
        ({"replay_x": np.zeros((6, 4))}, r"replay_x must .*; got float64 of shape \(6, 4\)"),
        ({"replay_x": np.zeros((6, 3), complex)}, "replay_x does not hold complex128"),
        ({"replay_x": np.full((6, 3), np.nan)}, "x must be finite"),
        ({"replay_y": np.full(6, 2)}, "y must be labels from 0 to 1, or -1 where .*; got 2"),
        ({"replay_y": np.zeros(6)}, "y must be integers"),
        ({"replay_y": np.zeros(5, int)}, "replay_y must be real numbers"),
    ],
)
def test_a_damaged_buffer_is_refused(changes, reason, tmp_path):
    path = tmp_path / "net.npz"
    sim, buffer = lively_simulator(NET), ReplayBuffer(6)
    sim.train(*samples(NET, 11), replay=buffer)
    sim.save(path, replay=buffer)
    found = arrays_in(path)
    assert found["replay"].tolist() == SETTINGS
    found |= changes
    write_archive(path, {name: array for name, array in found.items() if array is not None})
    with pytest.raises(ValueError, match=f"net.npz is not a readable checkpoint: .*{reason}"):
        Checkpoint.load(path)


def test_pixels_stay_bytes():
    net = SpikingNetwork.paper((4, 4), [Conv2D(2, 3), Dense(3)], n_steps=4, input_scale=1 / 255)
    x = np.random.RandomState(0).randint(0, 256, (9, 4, 4)).astype(np.uint8)
    buffer = ReplayBuffer(4)
    with Simulator(net, "reference") as sim:
        sim.train(x, np.arange(9) % 3, replay=buffer)
    assert (buffer.x.dtype, buffer.x.shape) == (np.uint8, (4, 16))
    assert buffer.nbytes == 4 * (16 + 8)
    rows = {row.tobytes() for row in x.reshape(9, 16)}
    assert all(row.tobytes() in rows for row in buffer.x)


def test_a_trace_is_of_the_new_samples():
    x, y = samples(NET, 9)
    with lively_simulator(NET) as sim, lively_simulator(NET) as other:
        trace = sim.train(x, y, replay=ReplayBuffer(3), record=True)
        assert trace.spikes[0].shape == (9, NET.n_steps, NET.n_inputs)
        assert np.array_equal(trace.scores, other.train(x, y, replay=ReplayBuffer(3)))


def test_progress_is_that_of_new_samples(capsys):
    with lively_simulator(NET, "compiled") as sim:
        sim.train(*samples(NET, 9), replay=ReplayBuffer(3), progress=True)
    assert "9/9" in capsys.readouterr().err


def test_samples_take_the_form_that_all_fit():
    """Input that changes after input that does not, and targets after labels."""
    x, y = samples(NET, 12)
    changing = np.repeat(x[:, np.newaxis], NET.n_steps, axis=1)
    targets = np.eye(NET.n_outputs)[y]
    files = set()
    for inputs, asked in [(x, y), (changing, targets)]:
        sim, buffer = lively_simulator(NET), ReplayBuffer(5)
        sim.train(x[:6], y[:6], replay=buffer)
        sim.train(inputs[6:9], asked[6:9], replay=buffer)
        sim.train(x[9:], y[9:], replay=buffer)
        files.add(checkpoint_bytes(sim))
        shapes = (buffer.x.shape[1:], buffer.y.shape[1:])
        assert shapes == (inputs.shape[1:], asked.shape[1:])
    assert len(files) == 1


def test_what_does_not_fit_is_refused_before_anything_changes():
    x, y = samples(NET, 8)
    sim, buffer = lively_simulator(NET), ReplayBuffer(4)
    sim.train((x * 50).clip(0, 255).astype(np.uint8), y, replay=buffer)
    before, kept = checkpoint_bytes(sim), buffer.x
    with pytest.raises(ValueError, match=r"x must be of uint8 and shape .*; got an array of float"):
        sim.train(x, y, replay=buffer)
    changing = np.repeat(x[:, np.newaxis], NET.n_steps, axis=1)
    with pytest.raises(ValueError, match=r"x must be of uint8 and shape .*; got an array of float"):
        sim.train(changing, y, replay=buffer)
    with pytest.raises(ValueError, match="replay must be a ReplayBuffer or None; got 5"):
        sim.train(x, y, replay=5)
    with pytest.raises(ValueError, match=r"y must be labels from 0 to 1, or -1 where .*; got 7"):
        sim.train(kept, np.full(4, 7), replay=buffer)
    assert checkpoint_bytes(sim) == before
    assert (buffer.n_seen, len(buffer)) == (8, 4)
    assert np.array_equal(buffer.x, kept)


def test_booleans_take_a_byte():
    assert ReplayBuffer(2).mix([[True, False, True]], [0]).x.dtype == np.uint8


def test_a_buffer_of_another_network_is_refused():
    larger = small_net((3, 5, 4))
    buffer = ReplayBuffer(4)
    with Simulator(larger, "reference") as sim:
        sim.train(np.ones((4, 3)), [0, 1, 2, 3], replay=buffer)
    x, y = samples(NET, 1)
    with lively_simulator(NET) as sim:
        before = checkpoint_bytes(sim)
        with pytest.raises(ValueError, match="replay must be a buffer of samples that the network"):
            sim.train(x, y, replay=buffer)
        assert checkpoint_bytes(sim) == before
    assert buffer.n_seen == 4


@pytest.mark.parametrize("name", ["capacity", "n_replayed", "seed"])
@pytest.mark.parametrize("value", [-1, 1.5, 2**60])
def test_wrong_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be an integer from"):
        ReplayBuffer(**({"capacity": 3} | {name: value}))


@EVERY_ENGINE
def test_after_an_overflow_both_have_the_samples_before_it(engine):
    x, y = samples(NET, 12)
    bad = x.copy()
    bad[7] = 2.0**50
    expected, seen = lively_simulator(NET), ReplayBuffer(4)
    with lively_simulator(NET, engine) as sim:
        buffer = ReplayBuffer(4)
        with pytest.raises(OverflowError):
            sim.train(bad, y, replay=buffer)
        expected.train(x[: buffer.n_seen], y[: buffer.n_seen], replay=seen)
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
        assert buffer.n_seen == 7
    assert np.array_equal(buffer.x, seen.x)


@pytest.mark.parametrize(("how", "pace"), [("train", 41), ("lists", 67), ("stream", 127)])
def test_an_interrupt_leaves_both_in_step(how, pace):
    """Whenever it comes, the buffer has seen those new samples that the network has."""
    x, y = samples(NET, 3)
    files = (replay.__file__, replay_training.__file__)
    states = {}
    for n in range(4):
        sim, buffer = lively_simulator(NET), ReplayBuffer(2, n_replayed=2)
        sim.train(x[:n], y[:n], replay=buffer)
        states[sim.samples_seen] = n, checkpoint_bytes(sim)
        missing = lively_simulator(NET)  # what was to be learned again after the last may be
        missing.train(x[: max(0, n - 1)], y[: max(0, n - 1)], replay=ReplayBuffer(2, n_replayed=2))
        if n > 1:
            missing.train(x[n - 1 : n], y[n - 1 : n])
            states[missing.samples_seen] = n, checkpoint_bytes(missing)
    found = set()
    for after in count(0, pace):
        sim, buffer, is_over = lively_simulator(NET), ReplayBuffer(2, n_replayed=2), False
        try:
            with interrupted_in_python(after, files):
                if how != "stream":
                    sim.train(x if how == "train" else csr_matrix(x), y, replay=buffer)
                else:
                    stream = sim.stream(n_steps=NET.n_steps, replay=buffer)
                    for row, label in zip(x, y, strict=True):
                        stream.show(row, target=label, n_steps=NET.n_steps)
                is_over = True
        except KeyboardInterrupt:
            pass
        n = buffer.n_seen
        found.add(n)
        if sim.samples_seen in states:
            assert (n, checkpoint_bytes(sim)) == states[sim.samples_seen]
        assert len(buffer) == min(n, 2)
        if n:
            clean = ReplayBuffer(2, n_replayed=2)
            clean.keep(clean.mix(x[:n], y[:n]))
            assert np.array_equal(csr_matrix(buffer.x).toarray(), clean.x)
        rest = [0 if n == 0 else 3 * (n - 1) + 1, 3 * n - 2]  # the new ones, or all of them
        assert min(rest) - 2 <= sim.samples_seen <= max(max(rest), 0)
        if is_over:
            break
    assert {0, 3} <= found


@pytest.mark.parametrize("others", ["train", "stream", "another stream", "another buffer"])
def test_what_is_learned_after_an_interrupt_is_not_kept(others):
    x, y = samples(NET, 4)
    for after in count(0, 7):
        sim, buffer, is_over = lively_simulator(NET), ReplayBuffer(4), False
        stream = sim.stream(n_steps=NET.n_steps, replay=buffer)
        try:
            with interrupted_in_python(after, (replay.__file__, replay_training.__file__)):
                if others == "another stream":
                    stream.show(x[0], target=y[0], n_steps=NET.n_steps)
                else:
                    sim.train(x[:2], y[:2], replay=buffer)
                is_over = True
        except KeyboardInterrupt:
            pass
        n = buffer.n_seen
        if others == "train":
            sim.train(x[2:], y[2:])
        elif others == "another buffer":
            sim.train(x[2:], y[2:], replay=ReplayBuffer(4))
        else:
            stream.drop_sample()
            sim.stream(n_steps=NET.n_steps).show(x[2], target=y[2], n_steps=NET.n_steps)
        assert buffer.n_seen == n
        if is_over:
            break


def test_samples_take_another_form_when_one_of_it_has_been_learned(monkeypatch):
    """What is interrupted before that leaves labels labels, and constant input constant."""
    x, y = samples(NET, 3)
    with lively_simulator(NET, "reference") as sim:
        buffer = ReplayBuffer(4)
        sim.train(x[:2], y[:2], replay=buffer)
        targets = np.zeros((1, NET.n_steps, NET.n_outputs))
        changing = np.repeat(x[2:, np.newaxis], NET.n_steps, axis=1)

        def interrupted(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(sim._engine, "train", interrupted)
            with pytest.raises(KeyboardInterrupt):
                sim.train(changing, targets, replay=buffer)
        assert np.array_equal(buffer.x, x[:2])
        assert np.array_equal(buffer.y, y[:2])
        sim.train(changing, targets, replay=buffer)
        assert buffer.x.shape == (3, *changing.shape[1:])
        assert buffer.y.shape == (3, *targets.shape[1:])


def test_copies_and_pickles_go_on_alone():
    x, y = samples(NET, 12)
    buffer = ReplayBuffer(4, seed=5)
    buffer.keep(buffer.mix(x[:6], y[:6]))
    others = [buffer.copy(), copy.deepcopy(buffer), pickle.loads(pickle.dumps(buffer))]
    mixture = buffer.mix(x[6:], y[6:])
    buffer.keep(mixture)
    for other in others:
        assert other.n_seen == 6
        found = other.mix(x[6:], y[6:])
        assert np.array_equal(found.x, mixture.x)
        other.keep(found)
        assert np.array_equal(other.x, buffer.x)


def test_a_mixture_is_learned_once():
    x, y = samples(NET, 6)
    buffer = ReplayBuffer(4)
    mixture = buffer.mix(x, y)
    assert mixture.is_new.tolist() == [True] + [True, False] * 5
    buffer.keep(mixture, n_learned=4)
    assert buffer.n_seen == 3  # the third new one is the fourth sample
    with pytest.raises(ValueError, match="mixture must be made after 3 samples"):
        buffer.keep(mixture)
    with pytest.raises(ValueError, match="x and y must be of the same number of samples"):
        buffer.mix(x, y[:2])


def test_each_sample_is_kept_with_the_same_probability():
    counts = np.zeros(20)
    for seed in range(600):
        buffer = ReplayBuffer(5, seed=seed)
        buffer.keep(buffer.mix(np.arange(20), np.zeros(20, int)))
        counts[buffer.x] += 1
    # Each count is binomial with the mean 150 and a deviation of 10.6.
    assert np.abs(counts - 150).max() < 45


STREAM_NETS = {
    "values": NET,
    "spikes": small_net(input_coding="spikes"),
    "normalized": small_net(update="normalized", label_targets=(0.5, 3), learning_rate=1.0),
}


@pytest.mark.parametrize("net", STREAM_NETS.values(), ids=STREAM_NETS)
def test_a_stream_learns_what_training_does(net):
    x, y = samples(net, N)
    expected, scores, kept = literal(net, x, y, 5)
    with lively_simulator(net, "compiled") as sim:
        buffer = ReplayBuffer(5)
        stream = sim.stream(replay=buffer)
        for i in range(N):
            for row in x[i] if x.ndim == 3 else [x[i]] * net.n_steps:
                stream.show(row, target=int(y[i]))
            assert np.array_equal(stream.close_sample(), scores[i])
            assert np.array_equal(stream.scores, scores[i])
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
    assert_holds(buffer, kept, N)


def test_a_stream_of_events_learns_what_training_does():
    encoder = EventEncoder(3, 1, step=10, polarity="ignored")
    net = small_net(input_coding="spikes")
    random = np.random.RandomState(3)
    sim, expected = lively_simulator(net, "compiled"), lively_simulator(net)
    buffer, other = ReplayBuffer(3), ReplayBuffer(3)
    stream = sim.stream(encoder, replay=buffer)
    for label in random.randint(0, 2, 8):
        events = np.zeros(9, EVENT_DTYPE)
        events["x"], events["t"] = random.randint(0, 3, 9), np.sort(random.randint(0, 40, 9))
        stream.feed(events[:4], target=int(label), start=0)
        stream.feed(events[4:])
        stream.advance_to(40)
        stream.close_sample()
        x = encoder.encode(events, net.n_steps, start=0)[np.newaxis]
        expected.train(x, [label], replay=other)
    assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
    assert np.array_equal(buffer.x.toarray().reshape(other.x.shape), other.x)
    sim.close()


def test_what_a_stream_keeps():
    net = small_net(n_steps=4)
    with lively_simulator(net) as sim:
        buffer = ReplayBuffer(8)
        stream = sim.stream(replay=buffer)
        stream.show([1, 0, 0], n_steps=2)  # nobody says what it was
        stream.close_sample()
        stream.show([1, 1, 0], target=1)
        stream.drop_sample()
        assert (buffer.n_seen, sim.samples_seen) == (0, 0)
        stream.show([1, 0, 1], n_steps=2)  # the label comes late
        stream.show([1, 0, 1], target=0, n_steps=2)
        stream.close_sample()
        assert buffer.x.tolist() == [[1, 0, 1]]
        stream.show([0, 1, 1], target=1)  # it ends early, and was silent before
        stream.show(None)
        stream.close_sample()
        assert buffer.x.tolist() == [[[1, 0, 1]] * 4, [[0, 1, 1]] + [[0, 0, 0]] * 3]
        stream.show([1, 1, 1], target=[0.5, 0.25], n_steps=9)  # longer, with real targets
        stream.close_sample()
        assert buffer.y.tolist() == [[1, 0], [0, 1], [0.5, 0.25]]
        assert (buffer.n_seen, sim.samples_seen) == (3, 5)


def test_a_sample_that_the_buffer_cannot_keep_is_dropped():
    x = np.ones((2, 3), np.uint8)
    sim, buffer = lively_simulator(NET), ReplayBuffer(4)
    sim.train(x, [0, 1], replay=buffer)
    before = checkpoint_bytes(sim)
    stream = sim.stream(replay=buffer)
    stream.show([0.5, 0.5, 0.5], target=1)
    with pytest.raises(ValueError, match="x must be of uint8"):
        stream.close_sample()
    assert not stream.is_open
    assert checkpoint_bytes(sim) == before
    assert buffer.n_seen == 2


def test_a_checkpoint_keeps_its_buffer():
    sim, buffer = lively_simulator(NET), ReplayBuffer(4)
    sim.train(*samples(NET, 5), replay=buffer)
    checkpoint = sim.checkpoint(replay=buffer)
    assert checkpoint.replay is not buffer
    assert checkpoint.at_rate(0.25).replay is checkpoint.replay
    assert sim.checkpoint().replay is None
    assert_all_equal(checkpoint.state.weights, sim.weights)
