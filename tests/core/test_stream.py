"""Streams: what they are shown is what `train` is, and a sample whole or not at all."""

import gc
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP
from spikebp_plugins.network.operations import Operations
from tests.core.literal import asked_by
from tests.core.small_nets import (
    ENGINES,
    assert_all_equal,
    checkpoint_bytes,
    lively_simulator,
    lively_weights,
    samples,
    small_net,
)
from tests.documentation import ROOT
from tests.scripts import loaded

ENGINE = pytest.mark.parametrize("engine", ENGINES)
UPDATE = pytest.mark.parametrize("update", ["fractional", "outer"])
CODING = pytest.mark.parametrize("input_coding", ["values", "spikes"])
ENCODER = EventEncoder(3, 1, step=10, polarity="signs")


def events(*rows):
    return np.array(list(rows), EVENT_DTYPE)


def rows_of(net, x):
    return np.broadcast_to(x, (net.n_steps, net.n_inputs)) if x.ndim == 1 else x


@ENGINE
@UPDATE
@CODING
def test_samples_shown_step_by_step_are_those_of_train(engine, update, input_coding):
    net = small_net(backward_init="zero", update=update, input_coding=input_coding)
    x, y = samples(net, 6)
    with lively_simulator(net, engine) as whole, lively_simulator(net, engine) as parts:
        expected = whole.train(x, y)
        stream = parts.stream()
        for n in range(len(x)):
            for row in rows_of(net, x[n]):
                assert stream.show(row, target=y[n]).shape == (0, 2)
            assert (stream.scores == expected[n]).all()
            assert stream.close_sample().tolist() == expected[n].tolist()
        assert checkpoint_bytes(parts) == checkpoint_bytes(whole)
        assert parts.operations == whole.operations


@ENGINE
@CODING
def test_samples_that_close_themselves(engine, input_coding):
    net = small_net(input_coding=input_coding)
    x, y = samples(net, 5)
    x = np.array([rows_of(net, sample)[0] for sample in x])
    with lively_simulator(net, engine) as whole, lively_simulator(net, engine) as parts:
        shown = x if input_coding == "values" else np.repeat(x[:, np.newaxis], 4, axis=1)
        expected = whole.train(shown, y)
        stream = parts.stream(n_steps=4)
        closed = [stream.show(x[n], target=y[n], n_steps=4) for n in range(len(x))]
        assert (np.concatenate(closed) == expected).all()
        assert not stream.is_open
        assert checkpoint_bytes(parts) == checkpoint_bytes(whole)
        # Two and a half samples at once: the target holds until it is changed.
        once = parts.stream(n_steps=4)
        more = whole.train(np.repeat(shown[:1], 2, axis=0), [1, 1])
        assert (once.show(x[0], target=1, n_steps=10) == more).all()
        assert once.steps_shown == 2
        assert once.target.tolist() == [0, 1]


def test_a_label_of_a_stream_asks_for_what_the_definition_says():
    net = small_net(input_coding="spikes", label_targets=(-0.3, 2.7))
    given = events((0, 0, 3, 1), (2, 0, 14, 0), (1, 0, 15, 1), (0, 0, 38, 1), (1, 0, 52, 1))
    targets, files = asked_by(net, [1])[0], set()
    for target in (1, targets):
        sim = lively_simulator(net)
        stream = sim.stream(ENCODER)
        stream.feed(given[:2], target=target)
        assert stream.target.tolist() == targets
        stream.feed(given[2:])
        stream.close_sample()
        stream.show([2, 0, 1], target=target, n_steps=2)
        stream.close_sample()
        files.add(checkpoint_bytes(sim))
    assert len(files) == 1
    assert sim.samples_seen == 2


@ENGINE
def test_what_another_stream_drops_leaves_the_open_sample(engine):
    net = small_net()
    x, y = samples(net, 2)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as expected:
        sim.train(x, y)
        expected.train(x, y)
        stream, other = sim.stream(), sim.stream()
        for each in (other, stream):
            each.show(x[0], target=y[0], n_steps=4)
            each.close_sample()
        for _ in range(2):
            expected.train(x[:1], y[:1])
        stream.show(x[1], target=y[1], n_steps=2)
        with pytest.raises(RuntimeError, match="a sample of a stream is open"):
            other.show(x[0])
        other.drop_sample()
        stream.show(x[1], n_steps=2)
        stream.close_sample()
        expected.train(x[1:], y[1:])
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)


@ENGINE
@pytest.mark.parametrize("n_shown", [0, 1])
def test_a_sample_that_an_error_drops_has_no_scores(engine, n_shown):
    net = small_net()
    x, y = samples(net, 1)
    with lively_simulator(net, engine) as sim:
        stream = sim.stream(n_steps=net.n_steps)
        x = 6 * np.abs(x[0])
        for sign in (1, -1):
            stream.show(sign * x, target=y[0], n_steps=net.n_steps)
        assert stream.scores.any()
        for _ in range(n_shown):
            stream.show(x)
        with pytest.raises(OverflowError):
            stream.show(1e300 * x, n_steps=net.n_steps)
        assert stream.steps_shown == 0
        assert not stream.scores.any()


@ENGINE
def test_without_targets_a_stream_predicts(engine):
    net = small_net()
    x, _ = samples(net, 3)
    with lively_simulator(net, engine) as whole, lively_simulator(net, engine) as parts:
        before = checkpoint_bytes(parts)
        stream = parts.stream()
        for n_steps in (1, 3, 9):
            scores = whole.predict(x, n_steps=n_steps)
            for n in range(len(x)):
                stream.show(x[n], n_steps=n_steps)
                assert (stream.close_sample() == scores[n]).all()
        assert checkpoint_bytes(parts) == before
        assert parts.operations == whole.operations


@ENGINE
@pytest.mark.parametrize("changes", [{}, {"spikes": "binary"}], ids=["graded", "binary"])
def test_a_long_silence_takes_no_longer_than_a_short_one(engine, changes):
    net = small_net(**changes)
    x, _ = samples(net, 1)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as same:
        for one, gap in ((sim, 10**12), (same, 10**4)):
            stream = one.stream()
            stream.show(None, n_steps=gap)  # before anything came
            stream.show(6 * x[0], n_steps=2)
            stream.show(None, n_steps=gap)
            stream.show(x[0], target=1, n_steps=2)
            assert stream.steps_shown == 2 * gap + 4
            stream.close_sample()
        assert sim.operations == same.operations
        assert checkpoint_bytes(sim) == checkpoint_bytes(same)


@ENGINE
def test_silent_samples_are_counted_together(engine):
    net = small_net()
    x, y = samples(net, 1)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as same:
        stream, one_by_one = sim.stream(n_steps=4), same.stream(n_steps=4)
        for one in (stream, one_by_one):
            one.show(x[0], target=y[0], n_steps=2)
            one.target = None
        closed = stream.show(None, n_steps=4_000_003)
        expected = np.concatenate([one_by_one.show(None) for _ in range(403)])
        assert closed.shape == (1_000_001, 2)
        assert (closed[: len(expected)] == expected).all()
        assert not closed[1:].any()
        assert (stream.steps_shown, one_by_one.steps_shown) == (1, 1)
        assert sim.samples_seen == same.samples_seen == 1
        assert sim.operations.samples == 1_000_001
        more = 1_000_001 - 101
        dense = sum(n * m for n, m in net.weight_shapes)
        counted = sim.operations - same.operations
        assert counted == Operations(samples=more, dense=more * dense)
        assert checkpoint_bytes(sim) == checkpoint_bytes(same)


@ENGINE
@UPDATE
def test_late_targets_teach_from_then_on(engine, update):
    net = small_net(update=update, backward_init="zero")
    x, _ = samples(net, 1)
    with lively_simulator(net, engine) as sim:
        stream = sim.stream()
        stream.show(x[0], n_steps=3)
        stream.target = 1
        stream.show(x[0], n_steps=2)
        stream.target = None
        stream.show(x[0])
        stream.close_sample()
        late = sim.weights
        assert sim.samples_seen == 1
        assert stream.target is None
    # The same by hand: targets that differ from step to step cannot be absent in `train`.
    from spikebp_plugins.network.arithmetic import arithmetic_of
    from spikebp_plugins.network.state import initial_state
    from spikebp_plugins.rules import step as reference

    number = arithmetic_of(net)
    learning = initial_state(net, lively_weights(net))
    sample = reference.open_sample(net)
    shown = number.round(x[0])
    for t, target in enumerate([None] * 3 + [np.array([0.0, 1.0])] * 2 + [None]):
        if t == 3:
            learning = reference.open_training(net, learning)
        learning, sample, _ = reference.step(net, learning, sample, shown, target)
    learning = reference.close_training(net, learning, sample)
    assert_all_equal(late, list(learning.weights))


def test_events_of_an_unfinished_step_leave_the_scores_of_the_last_sample():
    net = small_net(input_coding="spikes")
    x = np.array([0, 5, 0])
    for shown in (2, 5):  # a part of a sample, and a whole one
        answers = []
        for backend in ("compiled", "reference"):
            with lively_simulator(net, backend) as sim:
                encoder = EventEncoder(net.n_inputs, 1, step=10, polarity="ignored")
                stream = sim.stream(encoder, n_steps=5)
                stream.show(x, target=1, n_steps=shown)
                if stream.is_open:
                    stream.close_sample()
                scores = stream.scores
                sim.train(np.tile(x, (1, net.n_steps, 1)), [1])  # in other numbers
                for time in (0, 1, 2):
                    stream.feed(events((0, 0, time, 1)))
                    assert (stream.scores == scores).all()
                answers.append(scores)
        assert answers[0].any()
        assert (answers[0] == answers[1]).all()


class TestEvents:
    NET = SpikingMLP.paper((3, 5, 2), n_steps=4, learning_rate=0.5, input_coding="spikes", seed=3)
    RECORDING = events((0, 0, 3, 1), (1, 0, 9, 0), (1, 0, 10, 1), (2, 0, 31, 1), (2, 0, 31, 1))

    def stream(self, engine="reference", **options):
        self.sim = Simulator(self.NET, engine, lively_weights(self.NET))
        return self.sim.stream(ENCODER, **options)

    def trained(self, *recordings, starts=None):
        sim = Simulator(self.NET, "reference", lively_weights(self.NET))
        x = [ENCODER.encode(recording, 4, start=0) for recording in recordings]
        return sim.train(np.array(x), [1] * len(x)), sim

    @ENGINE
    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_events_may_come_one_by_one_or_together(self, engine, size):
        expected, sim = self.trained(self.RECORDING, self.RECORDING)
        stream = self.stream(engine)
        for n in range(2):
            for start in range(0, 5, size):
                part = self.RECORDING[start : start + size]
                stream.feed(part, target=1, **({"start": 0} if start == 0 else {}))
            assert (stream.close_sample() == expected[n]).all()
        assert checkpoint_bytes(self.sim) == checkpoint_bytes(sim)
        assert self.sim.operations == sim.operations

    @ENGINE
    @pytest.mark.parametrize("start", [None, 7])
    def test_a_recording_that_is_encoded_has_the_steps_of_one_that_is_fed(self, engine, start):
        later = self.RECORDING.copy()
        later["t"] += 8
        expected = Simulator(self.NET, "reference", lively_weights(self.NET))
        x = ENCODER.encode(later, 4, start=start)
        scores = expected.train(x[np.newaxis], [1])
        stream = self.stream(engine)
        stream.feed(later, target=1, start=start)
        stream.advance_to((later["t"][0] if start is None else start) + 40)
        assert (stream.close_sample() == scores[0]).all()
        assert checkpoint_bytes(self.sim) == checkpoint_bytes(expected)

    @ENGINE
    def test_samples_end_with_their_time(self, engine):
        later = self.RECORDING.copy()
        later["t"] += 40
        expected, sim = self.trained(self.RECORDING, self.RECORDING)
        stream = self.stream(engine, n_steps=4)
        assert stream.feed(self.RECORDING, target=1, start=0).shape == (0, 2)
        closed = stream.feed(later)
        assert (closed == expected[:1]).all()
        assert stream.advance_to(79).shape == (0, 2)
        assert (stream.advance_to(80) == expected[1:]).all()
        assert checkpoint_bytes(self.sim) == checkpoint_bytes(sim)

    @ENGINE
    def test_silent_samples_between_events_are_samples_too(self, engine):
        silence = events()
        expected, sim = self.trained(self.RECORDING, silence, silence, self.RECORDING)
        stream = self.stream(engine, n_steps=4)
        later = self.RECORDING.copy()
        later["t"] += 120
        closed = stream.feed(np.concatenate([self.RECORDING, later]), target=1, start=0)
        assert (closed == expected[:3]).all()
        assert (stream.close_sample() == expected[3:]).all()
        assert checkpoint_bytes(self.sim) == checkpoint_bytes(sim)

    def test_the_clock_starts_with_the_first_event(self):
        early, late = self.stream(), self.stream()
        moved = self.RECORDING.copy()
        moved["t"] += 1_000_000
        for stream, recording in ((early, self.RECORDING), (late, moved)):
            stream.feed(events(), target=1)
            stream.feed(recording)
        assert early.steps_shown == 2
        assert (early.close_sample() == late.close_sample()).all()

    def test_the_clock_stops_when_a_sample_is_closed_by_hand(self):
        stream = self.stream()
        stream.feed(self.RECORDING, target=1)
        stream.close_sample()
        stream.feed(self.RECORDING[:1], target=0)  # earlier than the last
        with pytest.raises(ValueError, match="start must be None while the clock runs; got 0"):
            stream.feed(self.RECORDING[1:], start=0)

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ((0, 0, 30, 1), "events must be in the order of time; got t = 30 in event 2, after 31"),
            ((3, 0, 32, 1), "x of events must be from 0 to 2; got 3 in event 2"),
            ((0, 1, 32, 1), "y of events must be from 0 to 0; got 1 in event 2"),
            ((0, 0, 32, 2), "p of events must be 0 or 1; got 2 in event 2"),
        ],
    )
    def test_bad_events_change_nothing(self, wrong, message):
        stream, good = self.stream(), self.stream()
        for one in (stream, good):
            one.feed(self.RECORDING, target=1)
        with pytest.raises(ValueError, match="must be") as error:
            stream.feed(events((0, 0, 31, 1), (0, 0, 31, 1), wrong), target=0)
        assert str(error.value) == message
        assert stream.target.tolist() == [0, 1]
        assert (stream.close_sample() == good.close_sample()).all()

    @pytest.mark.parametrize("target", [None, 1])
    @pytest.mark.parametrize(
        ("time", "allowed"),
        [(2**40, 31), (2**63 - 1, 31), (31 + 10_000_001, 31)],
    )
    def test_a_corrupt_time_stamp_changes_nothing(self, target, time, allowed):
        stream, good = self.stream(), self.stream()
        for one in (stream, good):
            one.feed(self.RECORDING, target=1)
        message = (
            "t of events must be at most longest_gap=1000000 steps of 10 microseconds after the "
            f"time before, {allowed}; got {time} in event 1"
        )
        with pytest.raises(ValueError, match="longest_gap") as error:
            stream.feed(events((0, 0, 31, 1), (0, 0, time, 1), (0, 0, 2**63 - 1, 1)), target=target)
        assert str(error.value) == message
        with pytest.raises(ValueError, match="time must be at most longest_gap=1000000 steps"):
            stream.advance_to(time)
        with pytest.raises(ValueError, match="time must be an integer of 64 bits; got 9223372036"):
            stream.advance_to(2**63)
        assert stream.target.tolist() == [0, 1]
        assert (stream.close_sample() == good.close_sample()).all()

    @ENGINE
    def test_times_that_wrap_are_refused_and_a_gap_may_be_allowed(self, engine):
        far = events((0, 0, -(2**63) + 5, 1), (0, 0, 2**62, 1))
        with pytest.raises(ValueError, match="got 4611686018427387904 in event 1"):
            self.stream(engine).feed(far)
        patient = EventEncoder(3, 1, step=10, polarity="signs", longest_gap=2**64)
        sim = Simulator(self.NET, engine, lively_weights(self.NET))
        stream = sim.stream(patient)
        stream.feed(far)
        assert stream.steps_shown == (2**62 + 2**63 - 5) // 10
        stream.close_sample()
        assert sim.operations.samples == 1

    def test_the_longest_gap_is_allowed(self):
        stream = self.stream(n_steps=4)
        assert stream.feed(events((0, 0, 0, 1), (0, 0, 10_000_000, 1))).shape == (250_000, 2)
        assert stream.advance_to(20_000_000).shape == (250_000, 2)
        assert self.sim.operations.samples == 500_000

    def test_events_need_an_encoder_and_time_a_clock(self):
        stream = lively_simulator(self.NET).stream()
        with pytest.raises(RuntimeError, match="events need an encoder"):
            stream.feed(self.RECORDING)
        with pytest.raises(RuntimeError, match="the clock of the stream starts with the first"):
            self.stream().advance_to(5)
        stream = self.stream()
        stream.feed(self.RECORDING)
        with pytest.raises(ValueError, match="time must be an integer of at least 31, the l"):
            stream.advance_to(30)

    def test_an_encoder_fits_the_network(self):
        sim = lively_simulator(self.NET)
        with pytest.raises(ValueError, match="encoder must be an encoder of 3 inputs, as many as"):
            sim.stream(EventEncoder(3, 1, step=10))
        with pytest.raises(ValueError, match="encoder must be an EventEncoder, a Wind"):
            sim.stream("dvs")
        binary = lively_simulator(self.NET.replace(spikes="binary"))
        with pytest.raises(ValueError, match="encoder must be None with spikes='binary'"):
            binary.stream(ENCODER)


@ENGINE
def test_an_overflow_drops_the_sample_and_nothing_else(engine):
    net = small_net()
    x, y = samples(net, 3)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as expected:
        expected.train(x, y)
        stream = sim.stream()
        for n in range(2):
            stream.show(x[n], target=y[n], n_steps=4)
            stream.close_sample()
        stream.show(x[2], target=0, n_steps=3)
        with pytest.raises(OverflowError, match="layer 0"):
            stream.show(np.full(3, 2.0**60))
        assert not stream.is_open
        assert stream.target is None
        stream.show(x[2], target=y[2], n_steps=4)
        stream.close_sample()
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
        assert sim.operations == expected.operations


@ENGINE
def test_an_interrupt_drops_the_sample_and_nothing_else(engine, monkeypatch):
    net = small_net()
    x, y = samples(net, 2)
    with lively_simulator(net, engine) as sim, lively_simulator(net, engine) as expected:
        expected.train(x, y)
        stream = sim.stream()
        steps = stream._steps
        stream.show(x[0], target=y[0], n_steps=4)
        stream.close_sample()
        stream.show(x[1], target=0, n_steps=2)
        with monkeypatch.context() as patch:
            patch.setattr(type(steps), "scores", property(interrupted))
            with pytest.raises(KeyboardInterrupt):
                stream.close_sample()
        stream.show(x[1], target=y[1], n_steps=4)
        stream.close_sample()
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)


def interrupted(*arguments):
    raise KeyboardInterrupt


TARGETS = "a label, 2 real numbers, or None"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"x": [1.0, 2.0]}, "x must be of shape (3,); got shape (2,)"),
        ({"x": [1.0, 2.0, 3.0, 4.0]}, "x must be of shape (3,); got shape (4,)"),
        ({"x": [1.0, np.nan, 0.0]}, "x must be finite; got nan at index 1"),
        ({"x": None, "n_steps": 0}, f"n_steps must be an integer from 1 to {2**53}; got 0"),
        (
            {"x": None, "target": [[1.0, 2.0]]},
            "target must be a label, 2 real numbers, or None; got [[1.0, 2.0]]",
        ),
        ({"x": None, "target": 2}, "target must be a label from 0 to 1; got 2"),
        ({"x": None, "target": -1}, "target must be a label from 0 to 1; got -1"),
        ({"x": None, "target": [0.0, np.inf]}, "target must be finite; got [0.0, inf]"),
        (
            {"x": None, "target": [1.0]},
            "target must be a label, 2 real numbers, or None; got [1.0]",
        ),
        (
            {"x": None, "target": np.zeros(0)},
            f"target must be {TARGETS}; got array([], dtype=float64)",
        ),
        ({"x": None, "target": 1.0}, "target must be a label, 2 real numbers, or None; got 1.0"),
        ({"x": None, "target": True}, "target must be a label, 2 real numbers, or None; got True"),
    ],
    ids=str,
)
def test_wrong_arguments_change_nothing(call, message):
    net = small_net()
    x, _ = samples(net, 1)
    stream, good = (lively_simulator(net).stream() for _ in range(2))
    for one in (stream, good):
        one.show(x[0], target=1)
    with pytest.raises(ValueError, match="must be") as error:
        stream.show(**call)
    assert str(error.value) == message
    assert stream.target.tolist() == [0, 1]
    assert stream.steps_shown == 1
    assert (stream.close_sample() == good.close_sample()).all()


def test_one_sample_is_open_at_a_time():
    net = small_net()
    x, y = samples(net, 2)
    sim = lively_simulator(net)
    stream = sim.stream()
    with pytest.raises(RuntimeError, match="no sample is open: show or feed something first"):
        stream.close_sample()
    stream.show(x[0], target=1)
    for call in (lambda: sim.train(x, y), sim.stream):
        with pytest.raises(RuntimeError, match="a sample of a stream is open"):
            call()
    sim.predict(x)
    stream.drop_sample()
    sim.train(x, y)
    stream.show(x[0], target=1)
    before = sim.samples_seen
    sim.close()
    assert sim.samples_seen == before
    with pytest.raises(RuntimeError, match="closed"):
        sim.stream()


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="n_steps must be an integer of at least 1; got 0"):
        lively_simulator(small_net()).stream(n_steps=0)


def test_scores_are_zero_before_anything_came():
    assert lively_simulator(small_net()).stream().scores.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("engine", "n_samples", "bytes_a_sample"),
    [("compiled", 4000, 3), pytest.param("reference", 400, 100, marks=pytest.mark.thorough)],
)
def test_a_day_of_a_million_samples_takes_no_more_memory(
    engine, n_samples, bytes_a_sample, monkeypatch
):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    day = loaded(ROOT / "benchmarks" / "day_of_stream.py")
    assert day.PLACES == 1_000_000

    def allocated():
        gc.collect()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.13 has another name for it
            sys._clear_type_cache()  # holds some thousand names of attributes
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        result = day.measure(n_samples, engine, allocated, points=2)
    finally:
        tracemalloc.stop()
    assert result["samples_of_the_day"] == 1_000_000
    assert n_samples / 4 < result["with_target"] < n_samples / 2
    assert result["same_scores"]
    assert result["same_state"]
    at_noon, at_midnight = result["memory"]
    assert at_midnight - at_noon < bytes_a_sample * n_samples / 2
