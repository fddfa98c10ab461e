"""Random sessions: whatever a user does with one simulator, in any order, `==` the reference.

A session is drawn from a seed: a definition, and operations that train, predict, stream, copy and
fail on one compiled simulator. A second simulator follows: on the back end ``reference`` or, where
sums depend on their order, on a second compiled one that is shown the same in other parts. After
each operation both have said the same, and are in the same state.

Some operations are interrupted. The second simulator then learns as many samples as the first has
learned, without a disturbance, and both must be equal again.

    python -m tests.core.random_sessions --sessions 500 --seed 0
"""

import _thread
import argparse
import copy
import pickle
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np

import spikebp_plugins
from spikebp_plugins import (
    EVENT_DTYPE,
    AveragePool2D,
    Conv2D,
    Dense,
    EventEncoder,
    Simulator,
    Sparse,
    SpikingMLP,
    SpikingNetwork,
    compare,
)
from spikebp_plugins.compiled import backend
from spikebp_plugins.compiled.feeder import Feeder
from spikebp_plugins.compiled.handle import Handle
from spikebp_plugins.compiled.kernels import blocks, steps
from spikebp_plugins.compiled.readiness import Readiness
from spikebp_plugins.compiled.stepper import Stepper
from spikebp_plugins.simulation.stream import UNCHANGED
from spikebp_plugins.simulation.trace import Trace
from tests.interrupts import interrupted_in_python, interrupts_get_through

#: Widths that fill vectors, and such that do not.
WIDTHS = (1, 2, 3, 5, 8, 9, 16, 17, 31, 32, 33, 64, 70)
#: The sizes of values that leave 32 bits, what kernels can prove, and the range.
WILD = (1e3, 1e6, 2.0**29, 2.0**31, 2.0**33, 2.0**35, 2.0**41, 2.0**49, 2.0**60, 1e300)
#: More samples than those after which bounds are measured again.
MANY = 320
#: Where interrupts come: between any two operations of Python in these files.
PACKAGE = Path(spikebp_plugins.__file__).parent
INTERRUPTED = {
    str(path)
    for folder in ("compiled", "backends")
    for path in PACKAGE.joinpath(folder).glob("*.py")
}
#: Microseconds of a step of events.
STEP = 10

#: How often each kind of operation comes, compared with others.
OFTEN = {"train": 6, "singly": 4, "predict": 4, "early": 1, "copy": 1, "wrong": 2, "nothing": 1}
OFTEN_IN_STREAMS = {
    "open": 2,
    "show": 9,
    "whole": 4,
    "silence": 2,
    "leap": 1,
    "feed": 5,
    "advance": 1,
    "close": 4,
    "drop": 1,
    "target": 1,
}


class SessionError(AssertionError):
    """The two simulators of a session differ."""


# Definitions and data


def one_of(rng, *choices):
    """Return one of some choices."""
    return choices[rng.integers(len(choices))]


def definition(rng):
    """Return any definition that the compiled back end runs."""
    timing = one_of(rng, *["immediate"] * 7, "pipelined", "pipelined", "event")
    arithmetic = one_of(rng, *["fixed"] * 7, "float64", "float32", "loihi2")
    if timing == "event":
        arithmetic = one_of(rng, "float64", "float32")
    is_small = timing == "event" or rng.random() < 0.4
    n_layers, widths = int(rng.integers(1, 5)), WIDTHS[:6] if is_small else WIDTHS
    fields = {
        "n_steps": int(one_of(rng, 1, 2, 3, 4, 4, 6) if is_small else rng.integers(1, 21)),
        "learning_rate": one_of(rng, 0.05, 0.5) if arithmetic == "loihi2" else rate(rng, timing),
        "timing": timing,
        "arithmetic": arithmetic,
        "input_coding": one_of(rng, "values", "values", "spikes"),
        "input_scale": one_of(rng, 1.0, 1 / 255, 3.7),
        "backward_init": one_of(rng, "carry", "carry", "zero", "uniform"),
        "feedback": one_of(rng, "transpose", "transpose", "random"),
        "update": one_of(rng, "fractional", "fractional", "outer"),
        "seed": int(rng.integers(2**20)),
    }
    if arithmetic == "loihi2":
        bits = one_of(rng, 4, 12, 16)
        fields |= {"fraction_bits": bits, "weight_exponent": max(one_of(rng, -8, -3, -1), -bits)}
        fields |= {"update": "fractional"}
    if timing == "event":
        fields |= {"event_order": one_of(rng, "breadth", "depth"), "hold_error": rng.random() < 0.5}
    else:
        fields |= {"spikes": one_of(rng, "graded", "graded", "binary")}
        if arithmetic != "loihi2":
            fields |= {"presynaptic": one_of(rng, "counts", "counts", "drive")}
    sizes = [int(one_of(rng, *widths)) for _ in range(n_layers + 1)]
    if arithmetic == "fixed" and rng.random() < 0.8:
        units = fields["learning_rate"] / fields["n_steps"] ** 2
        lowest = max(4, int(np.ceil(-np.log2(units))))  # a coarser grid has no such rate
        highest = one_of(rng, 22, 22, 40)  # 32 bits, or 64 bits alone
        fields["fraction_bits"] = int(rng.integers(min(lowest, highest), highest + 1))
    # Not drawn, so that what is drawn for a seed stays what it was; exact in floating point.
    asked = ((0, 1), (0, 1), (1, 5), (-0.5, 2.75))[fields["seed"] % 4]
    can_divide = fields.get("presynaptic", "counts") == "counts" and arithmetic == "fixed"
    if can_divide and timing != "event" and fields["seed"] % 5 == 0:
        fields |= {"update": "normalized", "learning_rate": max(fields["learning_rate"], 0.5)}
    fields["label_targets"] = asked
    if arithmetic == "fixed" and fields["seed"] % 3 == 0:
        return network(np.random.default_rng(fields["seed"]), fields)
    return SpikingMLP(sizes, **fields)


def network(rng, fields):
    """Return a network with connections of any kinds."""
    shape = one_of(rng, (6, 5), (5, 4, 2), (3, 9, 1), (12,), (1, 1, 5))
    image = [
        Conv2D(one_of(rng, 1, 3, 8, 17), one_of(rng, 1, 2, 3), one_of(rng, 1, 2), padding=1),
        Conv2D(one_of(rng, 2, 16), 2, padding=1),
        AveragePool2D(1),
    ]
    plain = [Dense(one_of(rng, 3, 16, 20)), Sparse(one_of(rng, 1, 7, 33), one_of(rng, 0.2, 0.7))]
    layers = [] if len(shape) == 1 else [one_of(rng, *image) for _ in range(rng.integers(1, 3))]
    layers += [one_of(rng, *plain) for _ in range(rng.integers(0 if layers else 1, 3))]
    return SpikingNetwork(
        shape, layers, input_layout=one_of(rng, "channels_last", "channels_first"), **fields
    )


def rate(rng, timing):
    """Return a learning rate; with event timing, one at which counts stay small."""
    return one_of(rng, 0.01, 0.05) if timing == "event" else one_of(rng, 0.01, 0.1, 0.5, 2.0, 1e-4)


def initial_weights(rng, net):
    """Return weights from such that hardly spike to such whose spikes soon leave 32 bits."""
    scales = (0.3, 0.6) if net.timing == "event" else (0.05, 0.3, 0.6, 1.5)
    scale = one_of(rng, *scales)
    large = rng.random() < 0.7
    return [
        rng.standard_normal(shape) * (scale / (max(1, shape[0] / 8) ** 0.5 if large else 1))
        for shape in net.weight_shapes
    ]


class Samples:
    """Draws samples for a definition."""

    def __init__(self, rng, net):
        self.rng, self.net = rng, net
        # In some sessions all goes well; in others values often leave a range.
        self.wild = 0.03 if net.timing == "event" else one_of(rng, 0.0, 0.05, 0.15, 0.4)
        # In floating point the reference may round what it computes in place of a kernel to other
        # last bits, and whole samples go to it where of single steps only one does. So there
        # values are such that kernels take all of them, or out of range.
        is_rounded = net.arithmetic in ("float32", "float64") and net.timing != "event"
        self.sizes = [one_of(rng, *((10.0, 1e300) if is_rounded else WILD)) for _ in range(2)]

    def magnitude(self):
        """Return how large values are."""
        return one_of(self.rng, *self.sizes) if self.rng.random() < self.wild else 1.0

    def inputs(self, n, n_steps, changing=None):
        """Return samples of any type and order in memory, one of them perhaps too large."""
        rng, net = self.rng, self.net
        timed = (n, n_steps, net.n_inputs)
        if net.input_coding == "spikes":
            return self._arranged(self._counts(timed))
        changing = rng.random() < 0.4 if changing is None else changing
        shape = timed if changing else (n, net.n_inputs)
        x = rng.uniform(-1.0, 1.5, shape) / net.input_scale
        x[rng.random(shape) < 0.3] = 0.0
        match one_of(rng, "float64", "float64", "uint8", "other"):
            case "uint8":
                most = 256 if net.input_scale < 0.1 else 3
                return self._arranged(rng.integers(0, most, shape, np.uint8))
            case "other":
                kinds = (np.float32, np.float16, np.bool_, np.int16, np.int64, np.longdouble)
                return self._arranged(x.astype(one_of(rng, *kinds)))
        if n:
            x[rng.integers(n)] *= self.magnitude()
        return self._arranged(x)

    def _counts(self, shape):
        rng, net = self.rng, self.net
        most = 1 if net.spikes == "binary" else 2
        x = rng.integers(-most, most + 1, shape)
        kind = one_of(rng, np.int64, np.int64, np.int8, np.float64, np.uint8, np.bool_)
        if kind in (np.uint8, np.bool_):
            x = np.abs(x)
        elif kind == np.int64 and most > 1 and shape[0] and net.arithmetic != "loihi2":
            x[rng.integers(shape[0])] *= int(min(self.magnitude(), 2.0**60))
        return x.astype(kind)

    def _arranged(self, x):
        """Return equal samples, perhaps in another order in memory."""
        match one_of(self.rng, "as they are", "as they are", "every other", "Fortran", "reversed"):
            case "every other":
                return np.repeat(x, 2, axis=-1)[..., ::2]
            case "Fortran":
                return np.asfortranarray(x)
            case "reversed":
                return x[::-1].copy()[::-1]
        return x

    def targets(self, n, n_steps):
        """Return labels, or targets that are the same at all steps or change."""
        rng, net = self.rng, self.net
        kind = one_of(rng, "labels", "constant", "changing")
        if kind == "labels":
            labels = rng.integers(0, net.n_outputs, n)
            return labels.astype(one_of(rng, np.int64, np.int64, np.uint8, np.int32))
        shape = (n, net.n_outputs) if kind == "constant" else (n, n_steps, net.n_outputs)
        y, kind = rng.uniform(-1.0, 2.0, shape), one_of(rng, "float64", "float64", "float32")
        if n:
            y[rng.integers(n)] *= min(self.magnitude(), 1e30 if kind == "float32" else 1e300)
        return self._arranged(y.astype(kind))

    def row(self):
        """Return what one step of a stream shows."""
        x = self.inputs(1, 1, changing=False)
        return x[0, 0] if x.ndim == 3 else x[0]

    def target(self):
        """Return a target of a stream: most often it stays what it is."""
        rng, net = self.rng, self.net
        match one_of(rng, "unchanged", "unchanged", "label", "label", "real", "none"):
            case "unchanged":
                return UNCHANGED
            case "label":
                return int(rng.integers(net.n_outputs))
            case "real":
                return rng.uniform(-1.0, 2.0, net.n_outputs) * self.magnitude()
        return None

    def encoder(self):
        """Return an encoder, or None if the definition takes no events."""
        rng, net = self.rng, self.net
        if net.spikes == "binary" and net.input_coding == "spikes":
            return None
        if isinstance(net, SpikingNetwork) and len(net.input_shape) > 1:
            return self._encoder_of_images()
        if net.n_inputs % 2 == 0 and rng.random() < 0.5:
            return EventEncoder(net.n_inputs // 2, 1, step=STEP, polarity="planes")
        return EventEncoder(net.n_inputs, 1, step=STEP, polarity=one_of(rng, "signs", "ignored"))

    def _encoder_of_images(self):
        height, width, channels = (*self.net.input_shape, 1)[:3]
        if channels == 1:
            polarity = one_of(self.rng, "signs", "ignored")
        elif channels == 2 and self.net.input_layout == "channels_first":
            polarity = "planes"
        else:  # no sensor numbers its pixels like that
            return None
        return EventEncoder(width, height, step=STEP, polarity=polarity)

    def events(self, encoder, start):
        """Return events after a time: many in a step, or with gaps between them."""
        rng = self.rng
        n = int(one_of(rng, 0, 1, 1, 2, 5, 30))
        gap = one_of(rng, 1, 4, 15, 60)
        events = np.zeros(n, EVENT_DTYPE)
        events["x"] = rng.integers(0, encoder.width, n)
        events["t"] = start + np.cumsum(rng.integers(0, gap, n))
        events["p"] = rng.integers(0, 2, n)
        return events


# The two simulators


class Follower:
    """A simulator, and the two streams that show it something."""

    def __init__(self, sim):
        self.sim, self.streams = sim, {}

    def train(self, x, y, record=False):
        """Learn from samples."""
        return self.sim.train(x, y, record=record)

    def predict(self, x, **options):
        """Predict samples."""
        return self.sim.predict(x, **options)

    def train_singly(self, x, y):
        """Learn from samples that the other simulator is given one in a call."""
        return self.train(x, y)

    def predict_singly(self, x, n_steps):
        """Predict samples that the other simulator is given one in a call."""
        return self.predict(x, n_steps=n_steps)

    def open_stream(self, i, *arguments, **options):
        """Replace a stream by another."""
        self.streams[i] = self.sim.stream(*arguments, **options)

    def show(self, i, x, target, n_steps):
        """Show steps."""
        return self.streams[i].show(x, target=target, n_steps=n_steps)

    def feed(self, i, events, target, start):
        """Show events."""
        return self.streams[i].feed(events, target=target, start=start)

    def go_on_with(self, sim):
        """Go on with another simulator."""
        self.sim, self.streams = sim, {}

    @contextmanager
    def stopping_after(self, n_samples):
        """Interrupt streams before anything is shown after so many samples."""
        shown = self.sim.operations.samples

        def stopping(method, *arguments):
            if self.sim.operations.samples - shown >= n_samples:
                raise KeyboardInterrupt
            return method(*arguments)

        names = ("show", "show_events", "show_one", "show_sample", "close", "count_silent_samples")
        for stream in self.streams.values():
            for name in names:
                setattr(stream._steps, name, partial(stopping, getattr(stream._steps, name)))
        try:
            yield
        finally:
            for stream in self.streams.values():
                for name in names:
                    delattr(stream._steps, name)


class Singly(Follower):
    """A follower that is given some samples one in a call."""

    def train_singly(self, x, y):
        """Learn from samples, one in a call."""
        return joined([self.sim.train(x[i : i + 1], y[i : i + 1]) for i in each(x)])

    def predict_singly(self, x, n_steps):
        """Predict samples, one in a call."""
        return joined([self.sim.predict(x[i : i + 1], n_steps=n_steps) for i in each(x)])


class InParts(Follower):
    """A follower that is shown the same in single samples, steps and events."""

    def train(self, x, y, record=False):
        """Learn from samples, one in a call."""
        return joined([self.sim.train(x[i : i + 1], y[i : i + 1], record=record) for i in each(x)])

    def predict(self, x, **options):
        """Predict samples, one in a call."""
        return joined([self.sim.predict(x[i : i + 1], **options) for i in each(x)])

    def show(self, i, x, target, n_steps):
        """Show steps, one in a call."""
        closed = []
        for t in range(n_steps):
            now = target if t == 0 else UNCHANGED
            closed.append(self.streams[i].show(x, target=now))
        return np.concatenate(closed)

    def feed(self, i, events, target, start):
        """Show events, one in a call."""
        closed = [self.streams[i].feed(events[:1], target=target, start=start)]
        closed += [self.streams[i].feed(events[n : n + 1]) for n in range(1, len(events))]
        return np.concatenate(closed)


def each(x):
    """Return the indices of samples; 0 for none, of which an empty slice is shown."""
    return range(max(1, len(x)))


def joined(parts):
    """Return the results of consecutive calls as that of one."""
    first = parts[0]
    if isinstance(first, Trace):
        layers = range(len(first.spikes))
        return Trace(
            [np.concatenate([part.spikes[l] for part in parts]) for l in layers],
            first.errors
            and [None, *(np.concatenate([p.errors[l] for p in parts]) for l in layers[1:])],
            *(
                np.concatenate([getattr(p, name) for p in parts])
                for name in ("step_scores", "scores")
            ),
            parts[-1].weights,
        )
    if isinstance(first, tuple):
        return type(first)(*map(np.concatenate, zip(*parts, strict=True)))
    return np.concatenate(parts)


# Interrupts


@contextmanager
def interrupted_by_kernels(calls):
    """Raise KeyboardInterrupt when kernels have returned for the so-manieth time."""
    left = calls

    def interrupted(kernel, *arguments):
        nonlocal left
        result = kernel(*arguments)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return result

    places = [(blocks, "run_until"), (blocks, "measure_bounds")]
    places += [
        (steps, n) for n in ("show_steps", "show_events", "close_sample", "end_sample", "keep_all")
    ]
    changed = {name: partial(interrupted, kernel) for name, kernel in backend.KERNELS.items()}
    for name, kernel in backend.KERNELS.items():
        changed[name].overloads = kernel.overloads
    show, take = Handle.show, Feeder.feed
    patches = [
        mock.patch.object(Handle, "show", lambda *given: interrupted(show, *given)),
        mock.patch.object(Feeder, "feed", lambda *given: interrupted(take, *given)),
    ]
    patches += [
        mock.patch.object(owner, name, partial(interrupted, getattr(owner, name)))
        for owner, name in places
    ]
    with mock.patch.dict(backend.KERNELS, changed):
        for patch in patches:
            patch.start()
        try:
            yield
        finally:
            for patch in patches:
                patch.stop()


@contextmanager
def interrupted_by_a_signal(seconds):
    """Have this process interrupted after some time, and wait until it is."""
    has_come = threading.Event()

    def interrupt():
        _thread.interrupt_main()
        has_come.set()

    timer = threading.Timer(seconds, interrupt)
    # Whoever starts the tests may ignore SIGINT, and Brian2 has a handler of its own.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    with interrupts_get_through():
        try:
            timer.start()
            try:
                yield
            finally:
                # Without a lock, of which an interrupt would be the end.
                while not has_come.is_set():
                    time.sleep(0.0005)
        finally:
            timer.join()
            signal.signal(signal.SIGINT, previous)


# Sessions


class IncomparableError(Exception):
    """NumPy has rounded other sums than the kernels."""


@contextmanager
def ended_by_the_reference():
    """Raise IncomparableError where the reference takes over from kernels in floating point.

    It adds in another order, and takes over for a whole sample or for some of its steps.
    """

    def ending(function):
        def ended(*arguments):
            function(*arguments)  # which may raise OverflowError, as for all ways to show a sample
            raise IncomparableError

        return ended

    places = (backend.CompiledBackend, "_by_reference"), (Stepper, "_show_by_reference")
    with ExitStack() as patches:
        for owner, name in places:
            patch = mock.patch.object(owner, name, ending(getattr(owner, name)))
            patches.enter_context(patch)
        yield


class LateReadiness(Readiness):
    """Kernels become ready at some time, those of each use at another.

    Parameters
    ----------
    chance : float
        How probable this is each time that somebody asks.
    counts : Counter
        Where what happened is counted.
    """

    def __init__(self, chance, counts):
        super().__init__(False)
        self._known = set()
        self._chance, self._counts = chance * chance, counts
        # Of its own: how often somebody asks is no part of what is drawn for a session.
        self._rng = np.random.default_rng(int(1e9 * chance))

    def of(self, use, kernels):
        self._known.add(use)
        if use not in self._ready and self._rng.random() < self._chance:
            self._ready.add(use)
            self._counts["kernels become ready"] += 1
        return use in self._ready

    def ask(self, use):
        assert use in self._known

    def done_without(self, use, synapse_steps):
        assert use in self._known
        self._counts["done without a kernel"] += 1
        return nullcontext()


class Session:
    """A random session.

    Parameters
    ----------
    seed : int
        All that is drawn depends on it alone.
    """

    def __init__(self, seed):
        self.seed, self.rng = seed, np.random.default_rng([seed, 2026])
        self.net = definition(self.rng)
        self.samples = Samples(self.rng, self.net)
        most = 60 if self.net.n_steps * self.net.n_layers <= 12 else 25
        self.n_operations = int(self.rng.integers(6, most))
        self.is_exact = self.net.arithmetic in ("fixed", "loihi2")
        self.has_streams = self.net.timing == "immediate" and self.net.arithmetic != "loihi2"
        self.kinds = self._drawn_kinds()
        self.n_jobs = int(self.rng.integers(1, 3))
        self.encoders, self.clocks, self.lengths, self.unknown = {}, {}, {}, set()
        self.history, self.counts, self.left_behind = [], Counter(), []
        self.said_what = ""

    def run(self):
        """Run the session; return what was counted."""
        weights = initial_weights(self.rng, self.net)
        other = "reference" if self.is_exact else "compiled"
        follower = Follower if self.is_exact else InParts
        self.one = Singly(Simulator(self.net, weights=weights, n_jobs=self.n_jobs))
        if self.is_exact and self.rng.random() < 0.3:
            self.one.sim._engine.readiness = LateReadiness(self.rng.random(), self.counts)
        self.two = follower(Simulator(self.net, other, weights))
        for _ in range(self.n_operations):
            try:
                with nullcontext() if self.is_exact else ended_by_the_reference():
                    self._operate()
            except SessionError:
                raise
            except IncomparableError:
                self.counts["rounded by NumPy"] += 1
                break
            except Exception as error:
                raise self._error(f"{type(error).__name__}: {error}") from error
        for simulator, state in self.left_behind:
            self._check_equal("a simulator that was copied", state_of(simulator), state)
        return self.counts

    def _error(self, what):
        done = "\n".join(f"  {n}. {line}" for n, line in enumerate(self.history))
        return SessionError(
            f"session {self.seed}, operation {len(self.history) - 1}: {what}\n"
            f"{self.net!r}\n{done}\n"
            f"To see it again: python -m tests.core.random_sessions --sessions 1 --seed {self.seed}"
        )

    def _drawn_kinds(self):
        """Return how often each kind of operation comes in this session, some of them never."""
        often = OFTEN | (OFTEN_IN_STREAMS if self.has_streams else {})
        kinds = [kind for kind, n in often.items() for _ in range(n * one_of(self.rng, 0, 1, 1, 3))]
        return kinds or ["train"]

    def _operate(self):
        getattr(self, f"_{one_of(self.rng, *self.kinds)}")()

    # What is done

    def _n_samples(self):
        rng, net = self.rng, self.net
        n = int(one_of(rng, 1, 1, 1, 1, 2, 3, 5))
        cost = net.n_steps * net.n_layers
        if rng.random() < 0.08 and (cost <= 12 or not self.is_exact):
            n = MANY + int(rng.integers(40))
        return n

    def _train(self):
        n, steps_ = self._n_samples(), self.net.n_steps
        x, y = self.samples.inputs(n, steps_), self.samples.targets(n, steps_)
        record = self.rng.random() < 0.2
        self._do(
            f"train {n} samples, x {said(x)}, y {said(y)}, record={record}",
            "train many" if n > 250 else "train",
            lambda sim: sim.train(x, y, record),
            up_to=lambda sim, k: sim.train(x[:k], y[:k]),
            by_signal=n > 250,
        )

    def _singly(self):
        n, n_steps = int(self.rng.integers(3, 9)), self.net.n_steps
        x, y = self.samples.inputs(n, n_steps), self.samples.targets(n, n_steps)
        if self.rng.random() < 0.3:
            self._do(
                f"predict {n} samples one in a call, x {said(x)}",
                "predict singly",
                lambda sim: sim.predict_singly(x, n_steps),
                up_to=lambda sim, k: sim.predict(x[:k], n_steps=n_steps),
            )
            return
        self._do(
            f"train {n} samples one in a call, x {said(x)}, y {said(y)}",
            "train singly",
            lambda sim: sim.train_singly(x, y),
            up_to=lambda sim, k: sim.train(x[:k], y[:k]),
        )

    def _predict(self):
        rng, net = self.rng, self.net
        n = int(one_of(rng, 0, 1, 1, 1, 3, 5, 70))
        n_steps = int(one_of(rng, net.n_steps, net.n_steps, 1, 7))
        if n == 70 and n_steps * net.n_layers > 30:
            n = 4
        x, record = self.samples.inputs(n, n_steps), rng.random() < 0.25
        options = {"n_steps": n_steps, "record": record}
        self._do(
            f"predict {n} samples, x {said(x)}, {options}",
            "predict many" if n > 64 else "predict",
            lambda sim: sim.predict(x, **options),
            up_to=lambda sim, k: sim.predict(x[:k], **options),
        )

    def _early(self):
        net = self.net
        if not self.has_streams or net.n_outputs < 2:
            return
        n_steps, margin = int(self.rng.integers(1, 8)), one_of(self.rng, 0.0, 0.5, 1.0, 3.0)
        x = self.samples.inputs(int(one_of(self.rng, 1, 1, 4)), n_steps)
        options = {"n_steps": n_steps, "margin": margin}
        self._do(
            f"predict early, x {said(x)}, {options}",
            "early",
            lambda sim: sim.predict(x, **options),
            up_to=lambda sim, k: sim.predict(x[:k], **options),
        )

    def _copy(self):
        kind = one_of(self.rng, "deepcopy", "pickle", "checkpoint")
        if kind == "pickle":
            copied = lambda sim: pickle.loads(pickle.dumps(sim))  # noqa: E731
        elif kind == "deepcopy":
            copied = copy.deepcopy
        else:
            copied = lambda sim: Simulator.from_checkpoint(sim.checkpoint(), sim.backend)  # noqa: E731
        self.history.append(f"go on with a copy: {kind}")
        self.counts["copy"] += 1
        self.left_behind.append((self.one.sim, state_of(self.one.sim)))
        for follower in (self.one, self.two):
            follower.go_on_with(copied(follower.sim))
        for kept in (self.encoders, self.clocks, self.lengths, self.unknown):
            kept.clear()
        self._check_states()

    def _nothing(self):
        self._do("train no samples", "nothing", self._train_nothing)

    def _train_nothing(self, follower):
        net = self.net
        timed = (0, net.n_steps, net.n_inputs)
        return follower.train(np.zeros(timed), np.zeros((0, net.n_outputs)), record=True)

    def _wrong(self):
        net, rng = self.net, self.rng
        n = int(rng.integers(1, 3))
        x, y = self.samples.inputs(n, net.n_steps), self.samples.targets(n, net.n_steps)
        labels, nan = np.full(n, net.n_outputs), x.astype(np.float64)
        infinite = np.full(y.shape, np.inf)
        nan.flat[rng.integers(nan.size)] = np.nan
        calls = [
            ("train: too few targets", lambda f: f.sim.train(x, y[: n - 1])),
            ("train: too many inputs", lambda f: f.sim.train(np.repeat(x, 2, -1), y)),
            ("train: not finite", lambda f: f.sim.train(nan, y)),
            ("train: no such label", lambda f: f.sim.train(x, labels)),
            ("train: a negative label", lambda f: f.sim.train(x, labels - net.n_outputs - 1)),
            ("train: a target that is not finite", lambda f: f.sim.train(x, infinite)),
            ("predict: not finite", lambda f: f.sim.predict(nan, n_steps=net.n_steps)),
            ("predict: no steps", lambda f: f.sim.predict(x, n_steps=0)),
            ("predict: a margin that is negative", lambda f: f.sim.predict(x, margin=-1.0)),
        ]
        if self.one.streams:
            i = one_of(rng, *self.one.streams)
            calls += [
                ("show: no such label", lambda f: f.streams[i].show(None, target=net.n_outputs)),
                ("show: no steps", lambda f: f.streams[i].show(None, n_steps=0)),
                ("show: too many", lambda f: f.streams[i].show(np.zeros(net.n_inputs + 1))),
            ]
            if self.encoders.get(i):
                far = np.zeros(2, EVENT_DTYPE)
                far["x"][1] = self.encoders[i].width
                calls.append(("feed: no such pixel", lambda f: f.streams[i].feed(far)))
        what, call = calls[rng.integers(len(calls))]
        before = state_of(self.one.sim)
        self._do(f"wrong: {what}", "wrong", call)
        assert self.said_what in ("ValueError", "ArgumentError", "RuntimeError"), self.said_what
        self._check_equal("what a wrong argument changes", state_of(self.one.sim), before)

    def _open(self):
        i = int(self.rng.integers(2))
        n_steps = one_of(self.rng, None, None, *[self.net.n_steps] * 3, 1, 2, 3)
        encoder = self.samples.encoder()
        self._do(
            f"stream {i} with n_steps={n_steps}, {encoder}",
            "stream",
            lambda f: f.open_stream(i, encoder, n_steps=n_steps),
        )
        if self.said_what == "":
            self.encoders[i], self.lengths[i] = encoder, n_steps
            self.clocks.pop(i, None)
            self.unknown.discard(i)

    def _a_stream(self):
        """Return a stream; most often the one whose sample is open."""
        streams = self.one.streams
        if not streams:
            self._open()
        are_open = [i for i in streams if streams[i].is_open]
        if are_open and self.rng.random() < 0.85:
            return are_open[0]
        return one_of(self.rng, *streams)

    def _show(self):
        i, target = self._a_stream(), self.samples.target()
        x, n_steps = self.samples.row(), int(one_of(self.rng, 1, 1, 2, 3, 9))
        self._show_steps(i, x, target, n_steps)

    def _whole(self):
        i = self._a_stream()
        n_steps = self.lengths[i] or 2
        n_steps *= int(one_of(self.rng, 1, 1, 2))
        self._show_steps(i, self.samples.row(), self.samples.target(), n_steps)

    def _leap(self):
        """Show a step with more spikes than kernels count, and ordinary steps after it."""
        is_binary = self.net.spikes == "binary" and self.net.input_coding == "spikes"
        if is_binary or not self.is_exact:
            return
        i, x = self._a_stream(), np.clip(self.samples.row().astype(np.float64), -1e3, 1e3)
        self._show_steps(i, np.rint(x * 2.0**31), int(self.rng.integers(self.net.n_outputs)), 1)
        self._show_steps(i, self.samples.row(), self.samples.target(), 2)

    def _silence(self):
        i, target = self._a_stream(), self.samples.target()
        self._show_steps(i, None, target, int(one_of(self.rng, 1, 2, 5, 40)))

    def _show_steps(self, i, x, target, n_steps):
        self._do_in_stream(
            f"stream {i} shows {said(x)} for {n_steps} steps, target {said(target)}",
            "show",
            i,
            lambda f: f.show(i, x, target, n_steps),
        )

    def _feed(self):
        i = self._a_stream()
        if self.encoders.get(i) is None:
            return
        clock = self.one.streams[i]._clock
        start = None
        if clock is None and self.rng.random() < 0.5:
            start = int(self.rng.integers(-50, 50))
        after = clock.now if clock else (start or 0)
        events = self.samples.events(self.encoders[i], after)
        target = self.samples.target()
        self._do_in_stream(
            f"stream {i} is fed {events.tolist()}, start={start}, target {said(target)}",
            "feed",
            i,
            lambda f: f.feed(i, events, target, start),
        )

    def _advance(self):
        i = self._a_stream()
        if self.encoders.get(i) is None:
            return
        clock = self.one.streams[i]._clock
        time_ = (clock.now if clock else 0) + int(one_of(self.rng, -3, 0, 7, 30, 300))
        self._do_in_stream(
            f"stream {i} advances to {time_}", "feed", i, lambda f: f.streams[i].advance_to(time_)
        )

    def _close(self):
        i = self._a_stream()
        self._do_in_stream(f"close {i}", "close", i, lambda f: f.streams[i].close_sample())

    def _drop(self):
        i = self._a_stream()
        self._do(f"drop {i}", "drop", lambda f: f.streams[i].drop_sample())

    def _target(self):
        i, target = self._a_stream(), self.samples.target()
        if target is UNCHANGED:
            target = None
        self._do(
            f"target of {i} is {said(target)}",
            "target",
            lambda f: setattr(f.streams[i], "target", target),
        )

    # How it is done, and compared

    def _do_in_stream(self, what, kind, i, call):
        is_open = any(stream.is_open for j, stream in self.one.streams.items() if j != i)

        def up_to(follower, k):
            with follower.stopping_after(k), suppress(KeyboardInterrupt):
                call(follower)
            follower.streams[i].drop_sample()

        before = state_of(self.one.sim)
        self._do(what, kind, call, up_to=up_to, stream=i)
        if is_open and self.said_what == "RuntimeError":
            self._check_equal("what a refused sample changes", state_of(self.one.sim), before)

    def _do(self, what, kind, call, up_to=None, by_signal=False, stream=None):
        """Do something with both simulators, which say the same and are in the same state then."""
        rng = self.rng
        self.history.append(what)
        self.counts[kind] += 1
        way, how = None, rng.random()
        if up_to is not None and how < 0.07:
            way = interrupted_in_python(int(rng.exponential(400)), INTERRUPTED)
        elif up_to is not None and how < 0.14:
            way = interrupted_by_kernels(int(one_of(rng, 1, 1, 2, 3)))
        elif by_signal and how < 0.34:
            way = interrupted_by_a_signal(rng.exponential(0.003))
        shown = self.one.sim.operations.samples
        if way is None:
            found = outcome(call, self.one)
        else:
            self.history[-1] += " (interrupted)"
            try:
                with way:
                    found = outcome(call, self.one)
                if by_signal and how >= 0.14:
                    raise self._error("the signal is lost")
            except KeyboardInterrupt:
                self._follow(up_to, self.one.sim.operations.samples - shown, stream)
                return
        expected = outcome(call, self.two)
        self._check_equal("what is said", found, expected)
        self.said_what = found[0] if isinstance(found, tuple) and is_error(found) else ""
        if self.said_what:
            self.counts[self.said_what] += 1
            self.history[-1] += f" -> {found}"
        elif stream is not None and (len(found) or self.one.streams[stream].is_open):
            self.unknown.discard(stream)
        self._check_states()

    def _follow(self, up_to, k, stream):
        """Let the second simulator learn from as many samples as the first before an interrupt."""
        self.counts["interrupted"] += 1
        self.history[-1] += f" after {k} samples"
        self.said_what = "KeyboardInterrupt"
        if stream is not None:
            self.unknown.add(stream)
            up_to(self.two, k)
        elif k:
            up_to(self.two, k)
        self._check_states()

    def _check_states(self):
        self._check_equal("the state", state_of(self.one.sim), state_of(self.two.sim))
        for i, stream in self.one.streams.items():
            other = self.two.streams[i]
            known = i not in self.unknown
            states = [stream_state(s, known) for s in (stream, other)]
            self._check_equal(f"stream {i}", *states)

    def _check_equal(self, what, found, expected):
        difference = differs(found, expected)
        if difference:
            raise self._error(f"{what} differs: {difference}")


def said(values):
    """Return what a history says of an argument."""
    if isinstance(values, np.ndarray):
        if values.size <= 3:
            return repr(values.tolist())
        extreme = np.abs(values.astype(np.float64)).max()
        return f"{values.dtype}{values.shape} up to {extreme:.3g}"
    return "unchanged" if values is UNCHANGED else repr(values)


def is_error(found):
    """Whether an outcome is an error."""
    return len(found) == 2 and all(isinstance(part, str) for part in found)


def outcome(call, follower):
    """Return what a call returns, or the name and the message of its error."""
    try:
        return call(follower)
    except (OverflowError, RuntimeError, ValueError) as error:
        return type(error).__name__, str(error)


def state_of(sim):
    """Return all that a simulator has learned and counted."""
    state = sim.checkpoint().state
    return {
        "samples_seen": (sim.samples_seen, state.samples_seen),
        "operations": sim.operations.to_dict(),
        "weights": list(state.weights),
        "read weights": sim.weights,
        "backward potentials": list(state.backward_potentials),
        "feedback": list(state.feedback),
    }


def stream_state(stream, is_known):
    """Return what a stream says of itself; after an interrupt it may say any scores."""
    state = {"is_open": stream.is_open, "target": stream.target}
    if is_known or stream.is_open:
        state |= {"steps_shown": stream.steps_shown, "scores": stream.scores}
    return state


def differs(a, b, place=""):
    """Return where two results first differ, or None."""
    if isinstance(a, Trace) and isinstance(b, Trace):
        return compare(a, b)
    if type(a) is not type(b):
        return f"{place}: {a!r} and {b!r}"
    if isinstance(a, dict):
        a, b = list(a.items()), list(b.items())
    if isinstance(a, (list, tuple)):
        if len(a) != len(b):
            return f"{place}: {a!r} and {b!r}"
        parts = (differs(*pair, f"{place}[{n}]") for n, pair in enumerate(zip(a, b, strict=True)))
        return next(filter(None, parts), None)
    if isinstance(a, np.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"{place}: {a.dtype}{a.shape} and {b.dtype}{b.shape}"
        if np.array_equal(a, b):
            return None
        index = tuple(int(i) for i in np.argwhere(a != b)[0])
        return f"{place} at {index}: {a[index]!r} and {b[index]!r}"
    return None if a == b else f"{place}: {a!r} and {b!r}"


@contextmanager
def counted_ways(counts):
    """Count the layouts and kernels that show samples, and the samples that the reference shows."""
    attempt, by_reference = backend.CompiledBackend._attempt, backend.CompiledBackend._by_reference
    show, take, widened = Handle.show, Feeder.feed, backend.CompiledBackend.widened

    def counted_attempt(self, way, *arguments):
        shown = attempt(self, way, *arguments)
        counts[f"{way.layout.dtype} {way.kernel}" + (" refused" if shown is None else "")] += 1
        return shown

    def counted_reference(self, *arguments):
        counts["reference"] += 1
        return by_reference(self, *arguments)

    def counted_show(self, x, y):
        scores = show(self, x, y)
        dtype = self.now.layout.dtype
        counts[f"{dtype} handle" + (" refused" if scores is None else "")] += 1
        return scores

    def counted_take(self, *arguments):
        taken = take(self, *arguments)
        counts[f"{self.run.learning.weight.dtype} feed" + (" refused" if taken[0] < 0 else "")] += 1
        return taken

    def counted_widened(self):
        counts["widened, sample open" if self._now.is_open else "widened"] += 1
        return widened(self)

    patch = partial(mock.patch.object, backend.CompiledBackend)
    with ExitStack() as patches:
        for one in (
            patch("_attempt", counted_attempt),
            patch("_by_reference", counted_reference),
            patch("widened", counted_widened),
            mock.patch.object(Handle, "show", counted_show),
            mock.patch.object(Feeder, "feed", counted_take),
        ):
            patches.enter_context(one)
        yield


def main():
    """Run sessions; print what was done, and each session that fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", action="store_true", help="stop at the first that fails")
    arguments = parser.parse_args()
    counts, ways, failed = Counter(), Counter(), []
    start = time.perf_counter()
    for seed in range(arguments.seed, arguments.seed + arguments.sessions):
        session = Session(seed)
        try:
            with counted_ways(ways):
                session.run()
        except SessionError as error:
            failed.append(seed)
            print(error, end="\n\n", flush=True)
            if arguments.first:
                break
        counts += session.counts
    seconds = time.perf_counter() - start
    print(f"{seed + 1 - arguments.seed} sessions in {seconds:.0f} s; failed: {failed or 'none'}")
    for counted in (counts, ways):
        print(", ".join(f"{name} {n}" for name, n in sorted(counted.items())))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
