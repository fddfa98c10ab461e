"""Windows over readings: each byte, one reading at a time or many; in streams, and in C."""

import copy
import ctypes
import io
import math
import pickle
import re
import warnings
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Dense,
    ReplayBuffer,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    WindowEncoder,
)
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.data.windows import CODINGS
from spikebp_plugins.embedded import windows_to_c
from spikebp_plugins.embedded.toolchain import compiled_library, find_compiler, why_no_compiler
from spikebp_plugins.network.checkpoint import to_arrays
from tests.core.c_network import CNetwork, assert_same
from tests.core.small_nets import ENGINES, checkpoint_bytes, lively_simulator, small_net
from tests.profiles import examples

ENGINE = pytest.mark.parametrize("engine", ENGINES)


@st.composite
def encoders(draw, **changes):
    n_channels = draw(st.integers(1, 3))
    fields = {
        "levels": draw(st.integers(1, 6)),
        "coding": draw(st.sampled_from(CODINGS)),
        "hop": draw(st.integers(1, 4)),
        "dead_band": draw(st.sampled_from([0.0, 0.0, 0.25, 1.5])),
        "calibration": draw(st.integers(1, 7)),
    }
    bounds = st.lists(st.integers(-20, 20), min_size=n_channels, max_size=n_channels)
    if draw(st.booleans()):
        low, high = draw(bounds), draw(bounds)
        fields |= {"low": np.minimum(low, high), "high": np.maximum(low, high)}
    return WindowEncoder(n_channels, draw(st.integers(1, 4)), **(fields | changes))


def readings(encoder, n, seed):
    """Return integers that wander, some of which are missing, one channel longer than others."""
    random = np.random.RandomState(seed)
    values = np.cumsum(random.randint(-4, 5, (n, encoder.n_channels)), axis=0).astype(float)
    values[random.uniform(size=values.shape) < 0.1] = np.nan
    values[: random.randint(0, 12), 0] = np.nan
    return values


class LiteralEncoder:
    """What the docstring says, a number at a time."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.ranges = [None] * encoder.n_channels
        if encoder.is_calibrated:
            self.ranges = list(zip(encoder.low.tolist(), encoder.high.tolist(), strict=True))
        self.to_learn = []
        self.start()

    def start(self):
        self.levels = None
        self.window = deque(maxlen=self.encoder.length)
        self.n_until = self.encoder.length

    def push(self, reading):
        if any(self.ranges):
            levels = [self.level(c, x) for c, x in enumerate(reading)]
            self.levels = levels
            self.window.append([byte for level in levels for byte in self.code(level)])
            self.n_until -= 1
        if not all(self.ranges):
            self.learn(reading)
        if self.n_until:
            return None
        self.n_until = self.encoder.hop
        return [byte for code in self.window for byte in code]

    def learn(self, reading):
        self.to_learn.append(reading)
        if len(self.to_learn) < self.encoder.calibration:
            return
        for c, known in enumerate(self.ranges):
            values = sorted(row[c] for row in self.to_learn if not math.isnan(row[c]))
            if known is None and values:
                outliers = min(math.ceil(len(values) / 100), (len(values) - 1) // 2)
                self.ranges[c] = values[outliers], values[-1 - outliers]
        self.to_learn = []

    def level(self, channel, x):
        if self.ranges[channel] is None:
            return 0
        (low, high), n = self.ranges[channel], self.encoder.levels
        before = None if self.levels is None else self.levels[channel]
        if math.isnan(x):
            return before or 0
        thresholds = [low + (high - low) * k / (n + 1) for k in range(1, n + 1)]
        if before is not None:
            beyond = self.encoder.dead_band * (high - low) / (n + 1)
            above = before == 0 or x > thresholds[before - 1] - beyond
            if above and (before == n or x <= thresholds[before] + beyond):
                return before
        return sum(x > threshold for threshold in thresholds)

    def code(self, level):
        n = self.encoder.levels
        if self.encoder.coding == "thermometer":
            return [int(i < level) for i in range(n)]
        if self.encoder.coding == "graded":
            return [level]
        return [max(level - n // 2, 0), max(n // 2 - level, 0)]


def pushed(encoder, given):
    return [window.tolist() for x in given if (window := encoder.push(x)) is not None]


@settings(max_examples=examples(200))
@given(encoders(), st.integers(1, 50), st.integers(0, 2**31), st.booleans())
def test_every_byte_is_what_the_docstring_says(encoder, n, seed, is_copied):
    given, literal = readings(encoder, n, seed), LiteralEncoder(encoder)
    expected = [window for x in given.tolist() if (window := literal.push(x)) is not None]
    whole, parts = copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))
    if is_copied:  # what is kept of the readings is in copies
        found = pushed(parts, given[: n // 2])
        parts = pickle.loads(pickle.dumps(copy.deepcopy(parts)))
        found += pushed(parts, given[n // 2 :])
    else:
        found = pushed(parts, given)
    assert found == expected
    if parts.is_calibrated:
        encoded = whole.encode(given)
        assert encoded.tolist() == expected
        assert encoded.dtype == np.uint8
        assert encoded.shape[1] == encoder.n_inputs
        assert not encoded.flags.writeable


@given(encoders(), st.integers(0, 2**31))
def test_what_was_learned_goes_to_another_encoder(encoder, seed):
    given = readings(encoder, 60, seed)
    pushed(encoder, given[:30])
    fields = {name: getattr(encoder, name) for name in ("levels", "coding", "hop", "dead_band")}
    fields |= {"low": encoder.low, "high": encoder.high, "calibration": encoder.calibration}
    other = WindowEncoder(encoder.n_channels, encoder.length, **fields)
    encoder.reset()
    assert repr(other) == repr(encoder)
    before = encoder.low, encoder.high
    assert other.encode(given[30:]).tolist() == encoder.encode(given[30:]).tolist()
    assert pushed(other, given[30:]) == pushed(encoder, given[30:])
    if not np.isnan(before[0]).any():
        assert all(map(np.array_equal, before, (encoder.low, encoder.high)))


def test_overlapping_windows_share_their_memory():
    encoder = WindowEncoder(2, 100, levels=8, low=0, high=9)
    windows = encoder.encode(np.random.RandomState(0).uniform(0, 9, (1099, 2)))
    assert windows.shape == (1000, 1600)
    assert windows.strides == (16, 1)
    assert np.shares_memory(windows[0], windows[99])


def test_a_window_is_never_changed_by_what_comes_later():
    encoder = WindowEncoder(1, 3, coding="graded", low=0, high=17)
    windows = [encoder.push([x]) for x in range(1, 9)]
    assert windows[:2] == [None, None]
    assert [w.tolist() for w in windows[2:]] == [[x, x + 1, x + 2] for x in range(6)]
    with pytest.raises(ValueError, match="read-only"):
        windows[2][0] = 1


def test_one_outlier_does_not_stretch_the_range():
    encoder = WindowEncoder(1, 1, calibration=100)
    given = np.arange(100.0)[:, np.newaxis]
    given[40] = 1e9
    assert pushed(encoder, given) == []
    assert (encoder.low, encoder.high) == ([1.0], [99.0])


def test_levels_of_a_channel_that_was_constant_say_whether_it_is_above():
    encoder = WindowEncoder(1, 1, coding="graded", calibration=3)
    assert pushed(encoder, [[5], [5], [5], [5], [4.9], [5.1]]) == [[0], [0], [16]]


def test_a_recording_leaves_what_was_pushed():
    encoder = WindowEncoder(1, 2, coding="graded", low=0, high=17)
    encoder.push([3])
    assert encoder.encode([[9.0], [10.0]]).tolist() == [[8, 9]]
    assert encoder.push([4]).tolist() == [2, 3]
    # One that has still to learn does so from a recording.
    encoder = WindowEncoder(1, 1, coding="graded", calibration=4)
    encoder.push([7])
    assert encoder.encode([[0], [1], [18], [40], [5], [18]]).tolist() == [[3], [16]]
    assert encoder.low.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_channels": 0}, "n_channels must be an integer of at least 1; got 0"),
        ({"length": 1.5}, "length must be an integer of at least 1; got 1.5"),
        ({"levels": 256}, "levels must be an integer from 1 to 255; got 256"),
        ({"coding": "gray"}, "coding must be one of 'thermometer', 'graded', 'signed'; got 'gray'"),
        ({"hop": 0}, "hop must be an integer of at least 1; got 0"),
        ({"dead_band": -1}, "dead_band must be a number from 0 to 255; got -1"),
        ({"calibration": 0}, "calibration must be an integer of at least 1; got 0"),
        (
            {"low": [1, 2, 3], "high": 4},
            "low must be a number or 2 of them, of magnitude at most 1e+300 or NaN, or None; got [",
        ),
        (
            {"low": 1},
            "low and high must be in this order, or both to be learned; got 1.0 and nan for",
        ),
        (
            {"low": [0, 2], "high": 1},
            "or both to be learned; got 2.0 and 1.0 for channel 1",
        ),
    ],
)
def test_a_wrong_argument_is_named(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        WindowEncoder(**({"n_channels": 2, "length": 3} | changes))


@pytest.mark.parametrize(
    ("call", "given", "message"),
    [
        ("push", [1.0], "reading must be of shape (2,); got shape (1,)"),
        ("push", [[1, 2]], "reading must be of shape (2,); got shape (1, 2)"),
        ("encode", [1, 2], "readings must be of shape (n_readings, 2); got shape (2,)"),
        ("push", ["a", "b"], "reading must be an array of real numbers; got an array of <U1"),
        (
            "encode",
            [[1, 2], [3, np.inf]],
            "must be NaN or at most 1e+300 in magnitude; got inf for channel 1 in reading 1",
        ),
        ("encode", [[1, 2]], "readings must be at least calibration=3 readings, to learn low and"),
    ],
)
def test_a_reading_that_is_not_allowed_changes_nothing(call, given, message):
    encoder = WindowEncoder(2, 2, calibration=3)
    encoder.push([1, 2])
    before = pickle.dumps(encoder)
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(encoder, call)(given)
    assert pickle.dumps(encoder) == before


class TestStream:
    """What a stream of readings learns is what `train` learns from their windows."""

    NET = small_net((12, 5, 2), n_steps=1, input_scale=0.5)

    def encoder(self, **changes):
        fields = {"levels": 3, "hop": 2, "low": -3, "high": 3}
        return WindowEncoder(2, 2, **(fields | changes))

    @pytest.fixture
    def given(self):
        random = np.random.RandomState(3)
        return random.normal(size=(41, 2)), random.randint(0, 2, 41)

    @ENGINE
    @pytest.mark.parametrize("n_steps", [1, 3])
    @pytest.mark.parametrize("n_learned_from", [0, 9])
    @pytest.mark.parametrize("sizes", [[41], [1] * 41, [5, 0, 1, 20, 15]])
    def test_it_learns_what_train_learns(self, engine, n_steps, n_learned_from, sizes, given):
        net, (x, y) = self.NET.replace(n_steps=n_steps), given
        changes = {"low": None, "high": None, "calibration": 9} if n_learned_from else {}
        windows, labels = self.encoder(**changes).encode(x), y[n_learned_from + 1 :: 2]
        with lively_simulator(net, engine) as whole, lively_simulator(net, engine) as parts:
            expected = whole.train(windows, labels)
            stream = parts.stream(self.encoder(**changes))
            bounds = np.cumsum([0, *sizes])
            closed = [stream.feed(x[a:b], y=y[a:b]) for a, b in pairwise(bounds)]
            assert np.concatenate(closed).tolist() == expected.tolist()
            assert checkpoint_bytes(parts) == checkpoint_bytes(whole)
            assert parts.operations == whole.operations
            assert stream.scores.tolist() == expected[-1].tolist()
            assert stream.steps_shown == n_steps
            assert not stream.is_open

    @ENGINE
    def test_one_target_holds_for_all_windows_and_none_predicts(self, engine, given):
        x, _ = given
        windows = self.encoder().encode(x)
        with lively_simulator(self.NET, engine) as whole, lively_simulator(self.NET, engine) as sim:
            stream = sim.stream(self.encoder())
            expected = [
                whole.predict(windows[:5]),
                whole.train(windows[5:7], [1, 1]),
                whole.train(windows[7:10], np.tile([0.5, 2.0], (3, 1))),
                whole.train(windows[10:11], np.array([[0.5, 2.0]])),
                whole.predict(windows[11:12]),
            ]
            closed = [
                stream.feed(x[:10]),
                stream.feed(x[10:14], target=1),
                stream.feed(x[14:20], target=[0.5, 2]),
                stream.feed(x[20]),
                stream.feed(x[21]),
                stream.feed(x[22:24], target=None),
            ]
            assert closed.pop(3).shape == (0, 2)
            assert [c.tolist() for c in closed] == [e.tolist() for e in expected]
            assert checkpoint_bytes(sim) == checkpoint_bytes(whole)

    @ENGINE
    @pytest.mark.parametrize("is_label", [True, False])
    def test_a_replay_buffer_sees_the_windows(self, engine, is_label, given):
        x, y = given
        windows, labels = self.encoder().encode(x), y[1::2]
        buffers = [ReplayBuffer(4, seed=3) for _ in range(2)]
        with lively_simulator(self.NET, engine) as whole, lively_simulator(self.NET, engine) as sim:
            expected = whole.train(windows, labels, replay=buffers[0])
            stream = sim.stream(self.encoder(), replay=buffers[1])
            closed = [
                stream.feed(reading, target=int(label)) if is_label else stream.feed(row, y=[label])
                for reading, row, label in zip(x, x[:, np.newaxis], y, strict=True)
            ]
            assert np.concatenate(closed).tolist() == expected.tolist()
            assert pickle.dumps(buffers[0]) == pickle.dumps(buffers[1])
            assert checkpoint_bytes(sim) == checkpoint_bytes(whole)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"events": [1.0]},
                "readings must be of shape (2,) or (n_readings, 2); got shape (1,)",
            ),
            ({"y": [0, 2]}, "y must be labels from 0 to 1, or -1 where one is not known; got 2"),
            ({"y": [0]}, "y must be of shape (2,) or (2, 2) or (2, 1, 2); got shape (1,)"),
            ({"target": 2}, "target must be a label from 0 to 1; got 2"),
            ({"target": None, "y": [0, 1]}, "target must be left out where there is y; got None"),
            ({"start": 0}, "start must be None with a WindowEncoder; got 0"),
        ],
    )
    def test_an_error_changes_nothing(self, changes, message, given):
        sim, encoder = lively_simulator(self.NET), self.encoder()
        stream = sim.stream(encoder)
        stream.feed(given[0][:7], target=1)
        before = pickle.dumps((encoder, sim, stream.target))
        with pytest.raises(ValueError, match=re.escape(message)):
            stream.feed(**({"events": given[0][:2]} | changes))
        assert pickle.dumps((encoder, sim, stream.target)) == before

    def test_a_window_and_a_sample_of_steps_do_not_mix(self, given):
        sim, encoder = lively_simulator(self.NET.replace(n_steps=2)), self.encoder()
        stream = sim.stream(encoder)
        stream.show(np.ones(12), target=1)
        before = pickle.dumps(encoder)
        with pytest.raises(RuntimeError, match="a sample is open"):
            stream.feed(given[0])
        assert pickle.dumps(encoder) == before
        stream.close_sample()
        assert len(stream.feed(given[0])) == 20
        with pytest.raises(RuntimeError, match="no sample is open"):
            stream.close_sample()
        with pytest.raises(RuntimeError, match="events need an encoder"):
            stream.advance_to(3)

    @ENGINE
    def test_an_overflow_keeps_what_was_learned_before(self, engine, given):
        x, _ = given
        y = np.zeros((len(x), 2))
        y[9] = 1e300
        windows = self.encoder().encode(x)
        with lively_simulator(self.NET, engine) as whole, lively_simulator(self.NET, engine) as sim:
            with pytest.raises(OverflowError):
                whole.train(windows, y[1::2])
            encoder = self.encoder()
            stream = sim.stream(encoder)
            with pytest.raises(OverflowError):
                stream.feed(x, y=y)
            assert checkpoint_bytes(sim) == checkpoint_bytes(whole)
            assert stream.steps_shown == 0
            taken = self.encoder()
            pushed(taken, x)
            assert pickle.dumps(encoder) == pickle.dumps(taken)

    def test_an_encoder_fits_the_network(self):
        sim = lively_simulator(self.NET)
        with pytest.raises(ValueError, match="an encoder of 12 inputs, as many as the network has"):
            sim.stream(self.encoder(levels=4))
        with pytest.raises(ValueError, match="n_steps must be None or 1, as the network has"):
            sim.stream(self.encoder(), n_steps=2)
        with pytest.raises(ValueError, match="y must be None without a WindowEncoder; got 1"):
            sim.stream().feed([], y=1)
        counting = lively_simulator(self.NET.replace(input_coding="spikes", input_scale=1.0))
        with pytest.raises(ValueError, match="None or an EventEncoder with input_coding='spikes'"):
            counting.stream(self.encoder())

    def test_a_network_of_images_takes_readings_as_rows(self, given):
        encoder = self.encoder(coding="graded")
        assert encoder.input_shape == (2, 2)
        layers = [Conv2D(2, 1), Dense(2)]
        net = SpikingNetwork.paper(encoder.input_shape, layers, n_steps=1)
        with Simulator(net, "reference") as sim:
            assert len(sim.stream(encoder).feed(given[0])) == 20
            with pytest.raises(ValueError, match="encoder must be an encoder for input_shape="):
                sim.stream(WindowEncoder(1, 4, coding="graded"))


class CEncoder:
    """The functions of an encoder in C, compiled for this machine."""

    def __init__(self, encoder, folder, stem="window"):
        files = windows_to_c(encoder, stem)
        library = folder / "window.so"
        library.write_bytes(
            compiled_library({f"{stem}.c": files.source, f"{stem}.h": files.header}, f"{stem}.c")
        )
        library = ctypes.CDLL(str(library))
        self.n_inputs = encoder.n_inputs
        self._push, self.reset = getattr(library, f"{stem}_push"), getattr(library, f"{stem}_reset")
        self._push.restype = ctypes.POINTER(ctypes.c_uint8)

    def push(self, reading):
        numbers = np.where(np.isnan(reading), -(2**31), reading).astype(np.int32)
        window = self._push(numbers.ctypes.data_as(ctypes.c_void_p))
        return window[: self.n_inputs] if window else None


@pytest.mark.skipif(find_compiler() is None, reason=why_no_compiler())
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("dead_band", [0.0, 0.7])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 3)])
def test_c_returns_the_same_bytes(tmp_path, coding, dead_band, shape):
    n_channels, length, hop = shape
    fields = {"levels": 7, "coding": coding, "hop": hop, "dead_band": dead_band}
    encoder = WindowEncoder(n_channels, length, calibration=20, **fields)
    given = readings(encoder, 300, 5)
    pushed(encoder, given[:40])
    given[-1], given[0] = 1000, np.nan  # which has level 0 after a reset
    in_c = CEncoder(encoder, tmp_path, "accelerometer")
    for _ in range(2):
        encoder.reset()
        in_c.reset()
        found = [window for x in given if (window := in_c.push(x)) is not None]
        assert len(found) == 1 + (300 - length) // hop
        assert found == pushed(encoder, given)


@pytest.mark.skipif(find_compiler() is None, reason=why_no_compiler())
def test_a_program_learns_the_windows_that_a_stream_learns(tmp_path):
    encoder = WindowEncoder(2, 4, levels=5, low=-9, high=9)
    net = SpikingMLP.graded((encoder.n_inputs, 6, 2), input_scale=0.5)
    given = readings(encoder, 60, 3)
    with Simulator(net) as sim:
        program, in_c = CNetwork(sim.checkpoint()), CEncoder(encoder, tmp_path)
        stream = sim.stream(encoder)
        for n, reading in enumerate(given):
            stream.feed(reading, target=n % 2)
            window = in_c.push(reading)
            if window is not None:
                pixels = np.array(window, np.uint8)
                assert program.call("learn_pixels", pixels, n % 2) == "OK"
        assert sim.samples_seen == 57
        assert_same(program.learned, sim.checkpoint())


def test_an_encoder_that_c_cannot_have_is_refused():
    encoder = WindowEncoder(1, 2, calibration=3)
    with pytest.raises(ValueError, match="encoder must be one that knows its low and high; got"):
        windows_to_c(encoder)
    with pytest.raises(ValueError, match="encoder must be a WindowEncoder; got int"):
        windows_to_c(3)
    encoder = WindowEncoder(1, 2, low=0, high=2**33)
    with pytest.raises(ValueError, match="stem must be an identifier of C; got '1'"):
        windows_to_c(encoder, "1")
    with pytest.raises(OverflowError, match=re.escape("thresholds must fit 32 bits; got")):
        windows_to_c(encoder)


@st.composite
def calls(draw):
    """Calls of a stream, and of its simulator between them."""
    feeding = st.tuples(st.sampled_from(["none", "one", "each"]), st.integers(0, 15))
    return draw(st.lists(st.one_of(feeding, st.sampled_from(["train", "predict"])), max_size=12))


@settings(max_examples=examples(60))
@given(encoders(), calls(), st.sampled_from(ENGINES), st.booleans(), st.integers(0, 2**31))
def test_a_stream_is_what_its_windows_are_to_a_simulator(encoder, made, engine, replays, seed):
    net = small_net((encoder.n_inputs, 4, 2), n_steps=1, input_scale=0.25 / encoder.largest_byte)
    given, labels = readings(encoder, 180, seed), np.random.RandomState(seed).randint(0, 2, 180)
    other, taken = copy.deepcopy(encoder), 0
    buffers = [ReplayBuffer(3, seed=seed) if replays else None for _ in range(2)]
    with lively_simulator(net, engine) as streamed, lively_simulator(net, "reference") as expected:
        stream = streamed.stream(encoder, replay=buffers[0])
        for call in made:
            if isinstance(call, str):
                x = (np.eye(net.n_inputs)[:1], [1])[: 2 if call == "train" else 1]
                assert (getattr(streamed, call)(*x) == getattr(expected, call)(*x)).all()
                continue
            kind, n = call
            rows, y, taken = given[taken : taken + n], labels[taken : taken + n], taken + n
            targets = {"none": {"target": None}, "one": {"target": 1}, "each": {"y": y}}[kind]
            found, wanted = stream.feed(rows, **targets), []
            for row, label in zip(rows, y.tolist(), strict=True):
                window = other.push(row)
                if window is not None and kind == "none":
                    wanted += expected.predict(window[np.newaxis]).tolist()
                elif window is not None:
                    y_of = [1 if kind == "one" else label]
                    wanted += expected.train(window[np.newaxis], y_of, replay=buffers[1]).tolist()
            assert found.tolist() == wanted
        assert checkpoint_bytes(streamed) == checkpoint_bytes(expected)


# Some encoders have a single level, whose input is zero.
@pytest.mark.filterwarnings("ignore:no output of the network has fired")
@settings(max_examples=examples(60))
@given(encoders(), st.integers(0, 60), st.sampled_from(ENGINES), st.integers(0, 2**31))
def test_a_stream_that_is_resumed_from_a_file_goes_on(encoder, n, engine, seed):
    net = small_net((encoder.n_inputs, 4, 2), n_steps=1, input_scale=0.25 / encoder.largest_byte)
    given, labels = readings(encoder, 120, seed), np.random.RandomState(seed).randint(0, 2, 120)
    whole, file = copy.deepcopy(encoder), io.BytesIO()
    with lively_simulator(net, "reference") as sim:
        expected = sim.stream(whole).feed(given, y=labels)
        ended = sim.checkpoint(encoder=whole)
    with lively_simulator(net, engine) as sim:
        found = sim.stream(encoder).feed(given[:n], y=labels[:n]).tolist()
        sim.save(file, encoder=encoder)
        encoder.push(np.zeros(encoder.n_channels))  # a checkpoint has a copy
    file.seek(0)
    saved = Checkpoint.load(file)
    with saved.simulate(engine) as sim, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a range may be unknown even now
        found += sim.stream(saved.encoder).feed(given[n:], y=labels[n:]).tolist()
        assert found == expected.tolist()
        assert sim.checkpoint(encoder=saved.encoder) == ended
    assert (sim.checkpoint() == ended) is False


def test_an_encoder_that_would_learn_its_range_anew_is_warned_of():
    net, readings = SpikingMLP((6, 2)), np.arange(20.0)[:, np.newaxis]
    window = WindowEncoder(1, 2, levels=3, calibration=5)
    with Simulator(net, "reference") as sim:
        sim.stream(window).feed(readings, target=1)
        sim.stream(window)
        fresh = WindowEncoder(1, 2, levels=3, calibration=5)
        with pytest.raises(RuntimeWarning, match="has learned 14 samples, and the encoder is to"):
            sim.stream(fresh)
        sim.stream(WindowEncoder(1, 2, levels=3, low=0, high=9))
        with pytest.raises(ValueError, match="encoder must be a WindowEncoder or None; got 3"):
            sim.checkpoint(encoder=3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("settings", np.frombuffer(b"{}", np.uint8), "settings must be an object of n_channels, "),
        ("settings", np.frombuffer(b"{", np.uint8), "Expecting property name"),
        ("low", np.zeros(()), "low must be a number for each channel"),
        ("high", np.full(2, -5.0), "low and high must be in this order"),
        ("codes", np.zeros((2, 6), np.uint8), r"codes must be bytes up to 1 of shape \(1, 6\)"),
        ("codes", np.full((1, 6), 2, np.uint8), "codes must be bytes up to 1"),
        ("levels", np.zeros(2), r"levels must be bytes up to 3 of shape \(2,\)"),
        ("levels", np.full(2, 4, np.uint8), "levels must be bytes up to 3"),
        ("to_learn", np.zeros((5, 2)), "readings to learn from must be an integer from 0 to 4"),
        ("n_missing", np.array(0), "n_missing must be an integer from 1 to 8; got"),
        ("n_missing", None, r"encoder must be complete; got none of \['n_missing'\]"),
    ],
)
def test_an_encoder_that_never_was_is_refused(tmp_path, name, value, message):
    window = WindowEncoder(2, 2, levels=3, low=0, high=9, calibration=5)
    window.push([1.0, 2.0])
    checkpoint = Simulator(SpikingMLP((window.n_inputs, 2)), "reference").checkpoint(encoder=window)
    arrays = to_arrays(checkpoint) | {f"encoder_{name}": value}
    write_archive(tmp_path / "net.npz", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=f"net.npz is not a readable checkpoint: {message}"):
        Checkpoint.load(tmp_path / "net.npz")
    wide = Simulator(SpikingMLP((5, 2)), "reference").checkpoint(encoder=window)
    wide.save(tmp_path / "wide.npz")
    with pytest.raises(ValueError, match="encoder must be one of 5 inputs; got 12"):
        Checkpoint.load(tmp_path / "wide.npz")
