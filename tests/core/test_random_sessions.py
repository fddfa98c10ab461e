"""Whatever a user does with a simulator, its streams and a replay buffer `==` the reference.

Two simulators are told the same: one on the back end ``compiled``, and one on ``reference``, which
shows silence step by step. After each call both have said the same, and are in the same state. A
call may be interrupted: the second simulator then stops after as many samples as the first has
shown.
"""

import copy
import pickle
import re
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from operator import methodcaller as do
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from scipy.sparse import csr_matrix

import spikebp_plugins
from spikebp_plugins import (
    EVENT_DTYPE,
    EventEncoder,
    ReplayBuffer,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
)
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.engine.network import EngineNetwork
from spikebp_plugins.engine.steps import EngineSteps
from spikebp_plugins.network import samples
from spikebp_plugins.network.checkpoint import to_arrays
from spikebp_plugins.simulation.stream import UNCHANGED
from spikebp_plugins.simulation.trace import Trace
from tests.core.strategies import chip_definitions, definitions, inputs, networks, targets
from tests.interrupts import interrupted_in_python
from tests.mutations import mutated
from tests.profiles import examples

LIMITS = {"max_depth": 3, "max_width": 17, "max_steps": 6}
NETS = (
    definitions(**LIMITS, timing="immediate")
    | definitions(**LIMITS | {"max_steps": 1}, timing="immediate")
    | definitions(**LIMITS)
    | networks(**LIMITS, timing="immediate")
    | chip_definitions(**LIMITS)
)
SEEDS = st.integers(0, 2**32 - 1)
#: Shares of the inputs that change from one sample to the next.
SHARES = (1.0, 0.3, 0.05, 0.0)
#: More samples than those after which bounds are measured again.
MANY = 320
#: The size of the last sample: rarely one that leaves 32 bits, what can be proven, or the range.
SIZES = st.sampled_from([*[1.0] * 12, 1e3, 1e6, *(2.0**n for n in (29, 31, 35, 41, 49)), 1e300])
TYPES = st.sampled_from([np.float64, np.float64, np.float32, np.uint8])
KINDS = st.sampled_from(["labels", "constant", "changing"])
#: After how many operations of Python an interrupt comes, counted from the begin of a call or from
#: the moment when it has shown a sample.
INTERRUPTS = (
    st.none()
    | st.none()
    | st.none()
    | st.tuples(st.integers(0, 800), st.just(False))
    | st.tuples(st.integers(0, 50), st.just(True))
)
#: A target of a stream: it stays what it is, or a label, any numbers, or none.
TARGETS = st.sampled_from(["unchanged", "unchanged", "label", "label", "real", "none"])
STREAMS = st.integers(0, 1)
SHORT = st.sampled_from([1, 1, 2, 3, 9])
#: Microseconds of a step of events.
STEP = 10
UNUSUAL_DTYPE = [("t", np.int64), ("x", np.int16), ("y", np.int32), ("p", np.int8)]

#: Where interrupts come: between any two operations of Python in these files.
PACKAGE = Path(spikebp_plugins.__file__).parent
INTERRUPTED = {
    str(path)
    for pattern in ("engine/*.py", "backends/*.py", "network/replay.py")
    for path in PACKAGE.glob(pattern)
}


class Side:
    """A simulator, its streams and its replay buffer."""

    def __init__(self, sim, buffer):
        self.sim, self.buffer, self.streams = sim, buffer, {}

    def state(self):
        """Return all that it has learned and counted."""
        arrays = to_arrays(self.sim.checkpoint(self.buffer))
        return arrays | {"operations": self.sim.operations.to_dict()}

    def stream_states(self):
        """Return what each stream says of itself."""
        return {
            i: (stream.target, stream.is_open and (stream.steps_shown, stream.scores))
            for i, stream in self.streams.items()
        }

    @contextmanager
    def stopping_after(self, n_samples):
        """Interrupt before anything is shown after so many samples."""
        engine = self.sim._engine
        end = engine.operations.samples + n_samples

        def show_part(method, *arguments):
            if engine.operations.samples >= end:
                raise KeyboardInterrupt
            return method(*arguments)

        def show_block(method, batch, *arguments):
            left = end - engine.operations.samples
            if left >= len(batch):
                return method(batch, *arguments)
            if left > 0:
                method(batch[:left], *arguments)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            for name in ("train", "predict", "show_until"):
                patch.setattr(engine, name, partial(show_block, getattr(engine, name)))
            for stream in self.streams.values():
                for name in ("show", "show_events", "close", "count_silent_samples"):
                    method = getattr(stream._steps, name)
                    patch.setattr(stream._steps, name, partial(show_part, method))
            yield


def outcome(call, side):
    """Return what a call returns, or the name and the message of its error.

    The index of a sample is that in a call, and the sides may show samples in other calls.
    """
    try:
        return call(side)
    except (OverflowError, RuntimeError, ValueError) as error:
        return type(error).__name__, re.sub(", in sample .*", "", str(error))


def assert_same(found, expected):
    if isinstance(found, Trace) and isinstance(expected, Trace):
        assert found.diff(expected) is None
    else:
        np.testing.assert_equal(found, expected)


def each(n):
    """Return what cuts n samples into single ones."""
    return [slice(i, i + 1) for i in range(n)]


def in_another_order(x, seed):
    """Return equal samples, perhaps in another order in memory."""
    return (x, x, np.asfortranarray(x), x[::-1].copy()[::-1])[seed % 4]


has_streams = precondition(lambda self: self.has_streams)
has_a_stream = precondition(lambda self: self.has_streams and self.one.streams)


class Sessions(RuleBasedStateMachine):
    """The two simulators."""

    @initialize(
        net=NETS,
        seed=SEEDS,
        scale=st.sampled_from((0.05, 0.5, 1.5)),
        engine=st.sampled_from(["compiled"] * 7 + ["reference"]),
        n_jobs=st.integers(1, 2),
    )
    def begin(self, net, seed=0, scale=0.5, engine="compiled", n_jobs=1):
        self.net, random = net, np.random.RandomState(seed)
        weights = [random.standard_normal(shape) * scale for shape in net.weight_shapes]
        options = {"n_jobs": n_jobs} if engine == "compiled" else {}
        self.one = Side(Simulator(net, engine, weights, **options), ReplayBuffer(4))
        self.two = Side(Simulator(net, "reference", weights), ReplayBuffer(4))
        is_known = engine == "reference" or net.arithmetic == "fixed"
        self.has_streams = net.timing == "immediate" and is_known
        self.may_train_many, self.left_behind = True, []
        self.sample_before = np.zeros(0)

    def both(self, call, after=None, i=None):
        """Do the same on both sides; a call of stream i that is interrupted drops its sample."""
        sim = self.one.sim
        shown, (n, is_late) = sim.operations.samples, after or (0, False)
        counts = lambda: not is_late or sim.operations.samples > shown  # noqa: E731
        interrupt = interrupted_in_python(n, INTERRUPTED, counts=counts) if after else nullcontext()
        try:
            with interrupt:
                found = outcome(call, self.one)
        except KeyboardInterrupt:
            n_samples = sim.operations.samples - shown
            with self.two.stopping_after(n_samples), suppress(KeyboardInterrupt):
                outcome(call, self.two)
            for side in (self.one, self.two) if i is not None else ():
                side.streams[i].drop_sample()
        else:
            assert_same(found, outcome(call, self.two))
        assert_same(self.one.state(), self.two.state())
        assert_same(self.one.stream_states(), self.two.stream_states())

    def samples(self, seed, n, n_steps, size, type_, *, changing=False):
        """Return samples of any type and order in memory, the last of them of a given size."""
        net, random = self.net, np.random.RandomState(seed)
        parts = [inputs(net, random, k, s, changing) for k, s in ((n - 1, 1.0), (1, size))]
        x = np.concatenate(parts)
        changes = random.uniform(size=x.shape) < SHARES[seed % 4]
        before = self.sample_before if x[0].shape == self.sample_before.shape else x[0]
        for i in range(n if size == 1.0 else n - 1):
            x[i] = before = np.where(changes[i], x[i], before)
        self.sample_before = before
        if x.ndim == 3:
            x = np.resize(x, (n, n_steps, net.n_inputs))
        if type_ == np.uint8:
            x = x.clip(-1 if net.input_coding == "spikes" else 0, 255)
            type_ = np.int8 if net.input_coding == "spikes" else type_
            x = x.clip(-128, 127) if type_ == np.int8 else x
        if type_ == np.float32:
            x = x.clip(-1e38, 1e38)
        return in_another_order(x.astype(type_), seed)

    @rule(
        seed=SEEDS,
        n=st.sampled_from([1, 1, 2, 3, 5]),
        size=SIZES,
        type_=TYPES,
        changing=st.booleans(),
        kind=KINDS,
        how=st.sampled_from(["block", "singly", "singly", "record", "replay", "lists", "margin"]),
        after=INTERRUPTS,
    )
    def train(
        self,
        seed=0,
        n=1,
        size=1.0,
        type_=np.float64,
        changing=False,
        kind="labels",
        how="block",
        after=None,
    ):
        x = self.samples(seed, n, self.net.n_steps, size, type_, changing=changing)
        random = np.random.RandomState(seed)
        parts = [targets(self.net, random, k, kind, s) for k, s in ((n - 1, 1.0), (1, size))]
        y = np.concatenate(parts)

        def call(side):
            if how == "singly" and side is self.one:
                return np.concatenate([side.sim.train(x[i], y[i]) for i in each(n)])
            if how == "margin" and kind == "labels" and self.has_streams and self.net.n_outputs > 1:
                return side.sim.train(x, y, margin=1.0)
            replay = side.buffer if how in ("replay", "lists") else None
            given = csr_matrix(x) if how == "lists" and x.ndim == 2 else x
            return side.sim.train(given, y, record=how == "record", replay=replay)

        self.both(call, after)

    @precondition(lambda self: self.net.n_steps * self.net.n_layers <= 6 and self.may_train_many)
    @rule(seed=SEEDS, after=INTERRUPTS)
    def train_many(self, seed, after):
        self.may_train_many = False  # again: to the reference this takes long
        x = self.samples(seed, MANY, self.net.n_steps, 1.0, np.float64)
        y = np.arange(MANY) % self.net.n_outputs
        self.both(lambda side: side.sim.train(x, y), after)

    @rule(
        seed=SEEDS,
        n=st.sampled_from([0, 1, 1, 1, 3, 70]),
        n_steps=st.none() | st.sampled_from([1, 7]),
        size=SIZES,
        type_=TYPES,
        changing=st.booleans(),
        how=st.sampled_from(["block", "singly", "record", "margin"]),
        margin=st.sampled_from([0.0, 0.5, 3.0]),
        after=INTERRUPTS,
    )
    def predict(
        self,
        seed=0,
        n=1,
        n_steps=None,
        size=1.0,
        type_=np.float64,
        changing=False,
        how="block",
        margin=0.0,
        after=None,
    ):
        n_steps = n_steps or self.net.n_steps
        x = self.samples(seed, max(n, 1), n_steps, size, type_, changing=changing)[:n]
        options = {"n_steps": n_steps, "record": how == "record"}
        if how == "margin" and self.has_streams and self.net.n_outputs > 1:
            options["margin"] = margin

        def call(side):
            if how == "singly" and side is self.one and n:
                return np.concatenate([side.sim.predict(x[i], **options) for i in each(n)])
            return side.sim.predict(x, **options)

        self.both(call, after)

    @precondition(lambda self: len(self.left_behind) < 2)
    @rule(how=st.sampled_from(["deepcopy", "pickle", "checkpoint"]))
    def go_on_with_a_copy(self, how):
        self.left_behind.append((self.one, self.one.state()))
        sides = []
        for side in (self.one, self.two):
            if how == "checkpoint":
                copied = side.sim.checkpoint().simulate(side.sim.backend)
                copied._earlier = side.sim.operations
            else:
                copied = copy.deepcopy(side.sim) if how == "deepcopy" else pickled(side.sim)
            sides.append(Side(copied, side.buffer.copy()))
        self.one, self.two = sides

    @rule(seed=SEEDS, which=st.integers(0, 6))
    def be_wrong(self, which, seed=0):
        net = self.net
        x = self.samples(seed, 1, net.n_steps, 1.0, np.float64)
        y, nan = np.zeros(1, np.int64), x * np.nan
        calls = [
            lambda side: side.sim.train(x, y[:0]),
            lambda side: side.sim.train(np.repeat(x, 2, -1), y),
            lambda side: side.sim.train(nan, y),
            lambda side: side.sim.train(x, y + net.n_outputs),
            lambda side: side.sim.train(x, np.full((1, net.n_outputs), np.inf)),
            lambda side: side.sim.predict(nan, n_steps=net.n_steps),
            lambda side: side.streams[0].show(None, target=net.n_outputs),
        ]
        before = self.one.state()
        self.both(calls[which if self.one.streams.keys() >= {0} else which % 6])
        assert_same(self.one.state(), before)

    @has_streams
    @rule(
        i=STREAMS,
        n_steps=st.sampled_from([None, None, 0, 0, 1, 2, 3]),
        polarity=st.sampled_from(["signs", "ignored", "planes"]),
        is_replayed=st.sampled_from([False, False, True]),
    )
    def open_stream(self, i=0, n_steps=None, polarity="signs", is_replayed=False):
        n_steps = self.net.n_steps if n_steps == 0 else n_steps
        encoder = self.encoder(polarity)

        def call(side):
            replay = side.buffer if is_replayed else None
            side.streams[i] = side.sim.stream(encoder, n_steps=n_steps, replay=replay)

        self.both(call)

    def encoder(self, polarity):
        """Return an encoder, or None if the definition takes no events from such a sensor."""
        net = self.net
        if net.spikes == "binary" and net.input_coding == "spikes":
            return None
        width, height, planes = net.n_inputs, 1, 1
        if isinstance(net, SpikingNetwork) and len(net.input_shape) > 1:
            height, width, planes = (*net.input_shape, 1)[:3]
            if planes > 1 and (planes != 2 or net.input_layout != "channels_first"):
                return None
            polarity = "planes" if planes == 2 else polarity.replace("planes", "signs")
        elif polarity == "planes" and width % 2 == 0:
            width //= 2
        else:
            polarity = polarity.replace("planes", "signs")
        return EventEncoder(width, height, step=STEP, polarity=polarity)

    def a_stream(self, i):
        """Return the number of a stream that exists: most often that whose sample is open."""
        is_open = [j for j, stream in self.one.streams.items() if stream.is_open]
        return i if i in self.one.streams and not is_open else (is_open or [*self.one.streams])[0]

    def target(self, kind, seed):
        random = np.random.RandomState(seed)
        kinds = {
            "label": int(random.randint(self.net.n_outputs)),
            "real": random.uniform(-1, 2, self.net.n_outputs),
            "none": None,
        }
        return kinds.get(kind, UNCHANGED)

    @has_a_stream
    @rule(
        i=STREAMS,
        seed=SEEDS,
        size=SIZES,
        type_=TYPES,
        kind=TARGETS,
        n_steps=SHORT,
        is_whole=st.booleans(),
        is_silent=st.sampled_from([False, False, False, True]),
        after=INTERRUPTS,
    )
    def show(
        self,
        i=0,
        seed=0,
        size=1.0,
        type_=np.float64,
        kind="label",
        n_steps=1,
        is_whole=False,
        is_silent=False,
        after=None,
    ):
        i, target = self.a_stream(i), self.target(kind, seed)
        n_steps *= (self.one.streams[i]._n_steps or 2) if is_whole else 1
        x = self.samples(seed, 1, 1, size, type_).reshape(self.net.n_inputs)

        def call(side):
            stream = side.streams[i]
            if not is_silent:
                return stream.show(x, target=target, n_steps=n_steps)
            if side is self.one or stream._replay is not None:  # which keeps zeros as they came
                return stream.show(None, target=target, n_steps=n_steps)
            stream.target = stream.target if target is UNCHANGED else target
            silence = np.zeros(self.net.n_inputs, np.int64)
            return np.concatenate([stream.show(silence) for _ in range(n_steps)])

        self.both(call, after, i)

    @has_a_stream
    @rule(
        i=STREAMS,
        seed=SEEDS,
        n=st.sampled_from([0, 1, 1, 2, 5, 30]),
        gap=st.sampled_from([1, 4, 15, 60]),
        kind=TARGETS,
        has_start=st.booleans(),
        is_unusual=st.sampled_from([False, False, False, True]),
        after=INTERRUPTS,
    )
    def feed(self, i, seed, n, gap, kind, has_start, is_unusual, after):
        i, target, random = self.a_stream(i), self.target(kind, seed), np.random.RandomState(seed)
        encoder, clock = self.one.streams[i]._encoder, self.one.streams[i]._clock
        begin = clock.now if clock is not None else int(random.randint(1000))
        events = np.zeros(n, UNUSUAL_DTYPE if is_unusual else EVENT_DTYPE)
        if encoder is not None:
            events["x"] = random.randint(0, encoder.width, n)
            events["y"] = random.randint(0, encoder.height, n)
        events["t"] = begin + np.cumsum(random.randint(0, gap, n))
        events["p"] = random.randint(0, 2, n)
        start = begin if clock is None and has_start else None
        call = lambda side: side.streams[i].feed(events, target=target, start=start)  # noqa: E731
        self.both(call, after, i)

    @has_a_stream
    @rule(i=STREAMS, n=st.integers(0, 100), after=INTERRUPTS)
    def advance(self, i, n, after):
        i = self.a_stream(i)
        clock = self.one.streams[i]._clock
        time = n if clock is None else clock.now + n
        self.both(lambda side: side.streams[i].advance_to(time), after, i)

    @has_a_stream
    @rule(i=STREAMS, after=INTERRUPTS)
    def close(self, i=0, after=None):
        i = self.a_stream(i)
        self.both(lambda side: side.streams[i].close_sample(), after, i)

    @has_a_stream
    @rule(i=STREAMS)
    def drop(self, i=0):
        if i in self.one.streams:
            self.both(lambda side: side.streams[i].drop_sample())

    def teardown(self):
        for side, state in getattr(self, "left_behind", ()):
            assert_same(side.state(), state)


def pickled(sim):
    return pickle.loads(pickle.dumps(sim))


def run_sessions(number):
    limits = settings(max_examples=number, stateful_step_count=25, deadline=None)
    run_state_machine_as_test(Sessions, settings=limits)


@pytest.mark.hypothesis
def test_random_sessions_equal_the_reference():
    run_sessions(examples(60))


def edited(owner, name, *edits):
    """Return a fault: the source of a method with edits."""

    def put(monkeypatch):
        monkeypatch.setattr(owner, name, mutated(getattr(owner, name), *edits))

    return put


#: Of a method that stands alone, `super` has to be told the class.
NAMED_CLASS = ("super()", "super(EngineSteps, self)")


NET = SpikingMLP.paper((3, 4, 2), n_steps=4, learning_rate=0.5)
#: A size of samples that leave the 32 bits of this network.
OF_INT64 = 2.0**12
BEGIN, OPEN = do("begin", NET), do("open_stream")

#: A network whose numbers saturate: no bound refuses infinity there.
CHIP = SpikingMLP.paper((3, 4, 2), arithmetic="loihi2")

#: Faults, and for each a session that notices it.
FAULTS = {
    "samples of two types share a row": (
        edited(EngineNetwork, "_rows_of", ('x.dtype.char == "B"', "True")),
        [BEGIN, do("train", type_=np.uint8), do("train", seed=1)],
    ),
    "a sample has the label of the one before": (
        edited(EngineNetwork, "_rows_of_targets", ("kept.of(y)", "kept.of(kept.values)")),
        [BEGIN, *(do("train", seed=seed) for seed in range(4))],
    ),
    "nobody checks the labels of single samples": (
        edited(samples, "check_targets", ("if ends and", "if n_samples > 1 and ends and")),
        [BEGIN, do("train"), do("be_wrong", which=3)],
    ),
    "nobody checks the input of single samples": (
        edited(samples, "_check_finite", ('!= "f" or', '!= "f" or len(array) == 1 or')),
        [do("begin", CHIP), do("train"), do("be_wrong", which=2)],
    ),
    "a prediction uses the state of an open sample": (
        edited(EngineBackend, "predict", ("if self._is_open:", "if False:")),
        [BEGIN, OPEN, do("show"), do("predict"), do("close")],
    ),
    "a stream drops the open sample of another": (
        edited(EngineSteps, "drop", NAMED_CLASS, ("self._owner.open_steps is self", "True")),
        [BEGIN, OPEN, do("open_stream", i=1), do("show"), do("drop", i=1), do("close")],
    ),
    "what 32 bits have learned does not reach 64 bits": (
        edited(EngineBackend, "_adapted", ("made.take(network)", "True")),
        [BEGIN, do("train"), do("train", size=OF_INT64)],
    ),
    "a sample begins anew when it goes on in 64 bits": (
        edited(EngineBackend, "widen", ("int64.go_on_from(self.network)", "pass")),
        [BEGIN, OPEN, do("show"), do("show", size=OF_INT64)],
    ),
}


def replay(session):
    """Make the calls of a session: what hypothesis would draw otherwise."""
    sessions = Sessions()
    for call in session:
        call(sessions)
    sessions.teardown()


@pytest.mark.parametrize("fault", FAULTS)
def test_sessions_find_deliberate_faults(fault, monkeypatch):
    put, session = FAULTS[fault]
    replay(session)
    put(monkeypatch)
    with pytest.raises(AssertionError):
        replay(session)
