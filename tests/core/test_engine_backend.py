"""The back end around the engine in C: which networks it takes, and in which numbers."""

import threading
import tracemalloc
import weakref
from threading import Event, Thread

import numpy as np
import pytest

from spikebp_plugins import (
    EVENT_DTYPE,
    Conv2D,
    Dense,
    EventEncoder,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    UnsupportedError,
)
from spikebp_plugins.engine import backend
from spikebp_plugins.engine.backend import EngineBackend
from spikebp_plugins.engine.events import Feeder
from spikebp_plugins.engine.network import EngineNetwork
from spikebp_plugins.engine.step_network import StepNetwork
from spikebp_plugins.engine.wiring import padded
from spikebp_plugins.simulation.silence_monitor import SilenceMonitor
from tests.core.engine_copies import skip_without_engine
from tests.core.small_nets import checkpoint_bytes

skip_without_engine()

NET = SpikingMLP.paper((20, 15, 12, 4), seed=2)
RANDOM = np.random.RandomState(0)
X, Y = RANDOM.uniform(0, 2, (200, 20)), RANDOM.randint(0, 4, 200)
#: Input that this network's 32 bits do not hold.
LARGE = 1e6 * X[:1]


@pytest.fixture
def shown(monkeypatch):
    """The bits, and how many samples at once, of each call of the engine."""
    calls, show = [], EngineNetwork.show

    def spy(self, batch, *arguments):
        result = show(self, batch, *arguments)
        calls.append((32 if self.is_int32 else 64, len(result.scores)))
        return result

    monkeypatch.setattr(EngineNetwork, "show", spy)
    return calls


CONVOLUTION = SpikingNetwork.paper((4, 4, 1), [Conv2D(2, 3), Dense(2)])


@pytest.mark.parametrize(
    "net",
    [
        NET,
        NET.replace(timing="pipelined"),
        NET.replace(n_steps=backend.MOST_STEPS + 1),
        SpikingMLP.paper((3, 4, 2), arithmetic="loihi2"),
        CONVOLUTION,
    ],
)
def test_the_engine_is_the_default(net):
    with Simulator(net) as sim:
        assert type(sim._engine) is EngineBackend


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"presynaptic": "drive"}, "it knows presynaptic='counts', not presynaptic='drive'"),
        ({"backward_init": "uniform"}, "one of 'carry', 'zero', not backward_init='uniform'"),
    ],
)
def test_ablations_of_the_paper_are_refused(changes, reason):
    with pytest.raises(UnsupportedError, match=reason):
        Simulator(NET.replace(**changes))


#: The samples that are shown in 64 bits after one that 32 bits do not hold.
FIRST = backend.FIRST_WAIT
#: One that 32 bits do not hold among many.
MANY = np.concatenate([X[:5], LARGE, X[5:], X[:50]])
MANY_Y = np.resize(Y, len(MANY))


def test_one_large_sample_takes_64_bits_and_the_rest_returns_to_32(shown, monkeypatch):
    monkeypatch.setattr(SilenceMonitor, "observe", lambda *_: None)  # it shows samples to copies
    with Simulator(NET) as sim, Simulator(NET, "reference") as ref:
        assert np.array_equal(sim.train(MANY, MANY_Y), ref.train(MANY, MANY_Y))
        assert shown == [(32, 5), (32, 0), (64, FIRST), (32, len(MANY) - 5 - FIRST)]
        assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
        assert sim.operations == ref.operations


def test_samples_one_by_one_and_single_steps_return_to_32_bits(monkeypatch):
    monkeypatch.setattr(backend, "FIRST_WAIT", 20)
    with Simulator(NET) as sim, Simulator(NET, "reference") as ref:
        streams, bits = [each.stream(n_steps=3) for each in (sim, ref)], []
        for i, x in enumerate(MANY[:30, np.newaxis]):
            for each, stream in zip((sim, ref), streams, strict=True):
                each.train(x, MANY_Y[i : i + 1])
                stream.show(x[0], target=MANY_Y[i], n_steps=3)
            assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
            bits.append(32 if sim._engine.network.is_int32 else 64)
        # One sample of the stream has been shown in part when it moves: it counts when it ends.
        assert bits == [32] * 5 + [64] * 10 + [32] * 15
        assert sim.operations == ref.operations


def test_predictions_in_threads_return_to_32_bits(shown):
    with Simulator(NET, n_jobs=2) as sim, Simulator(NET, "reference") as ref:
        for x in (np.concatenate([X, LARGE]), X, X):
            assert np.array_equal(sim.predict(x), ref.predict(x))
        assert sim.operations == ref.operations
    in_64_bits = [n for bits, n in shown if bits == 64]
    assert sum(in_64_bits) == FIRST
    assert len(in_64_bits) > 2  # the rest of the first call, and two threads of the next
    assert [bits for bits, n in shown if n][-2:] == [32, 32]


def test_64_bits_stay_twice_as_long_where_32_bits_fail_again_soon(monkeypatch):
    monkeypatch.setattr(backend, "FIRST_WAIT", 10)
    with Simulator(NET) as sim, Simulator(NET, "reference") as ref:
        waits = []
        for n_good in (0, 10, 20, (backend.GOOD_RUN + 1) * 40, 10):
            for each in (sim, ref):
                each.predict(np.resize(X, (n_good, 20)))
                each.predict(LARGE)
            waits.append(sim._engine._engine.wait)
        assert waits == [10, 20, 40, 10, 20]
        assert sim.operations == ref.operations


def test_weights_that_32_bits_do_not_hold_wait_longer_each_time(monkeypatch):
    monkeypatch.setattr(backend, "FIRST_WAIT", 10)
    weights = [np.full(shape, 0.01) for shape in NET.weight_shapes]
    weights[0][:] = 2.0**30 / 2**NET.fraction_bits
    with Simulator(NET, weights=weights) as sim, Simulator(NET, "reference", weights) as ref:
        waits = set()
        for x in X[:40, np.newaxis] / 1000:
            assert np.array_equal(sim.predict(x), ref.predict(x))
            waits.add(sim._engine._engine.wait)
        assert waits == {10, 20, 40}


def test_there_is_memory_for_one_network(monkeypatch):
    monkeypatch.setattr(SilenceMonitor, "observe", lambda *_: None)  # it makes copies
    made, start = [], StepNetwork.__init__
    monkeypatch.setattr(
        StepNetwork,
        "__init__",
        lambda self, *a, **k: (made.append(weakref.ref(self)), start(self, *a, **k))[1],
    )
    with Simulator(NET) as sim:
        stream = sim.stream(EventEncoder(5, 4, step=10, polarity="ignored"))
        events = np.zeros(3, EVENT_DTYPE)
        events["t"] = 0, 15, 30
        stream.feed(events, target=1)
        stream.close_sample()
        for n in (1, 2, 3):
            stream.show(X[0], target=1)
            stream.show(LARGE[0])
            stream.close_sample()
            assert [network() for network in made if network()] == [sim._engine.network]
            assert not sim._engine.network.is_int32
            sim.train(np.resize(X, (2**n * FIRST, 20)), np.resize(Y, 2**n * FIRST))
            assert [network() for network in made if network()] == [sim._engine.network]
            assert sim._engine.network.is_int32
    assert len(made) == 7


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_rates_that_32_bits_hold_or_not_take_turns(n_jobs, shown):
    with Simulator(NET, n_jobs=n_jobs) as sim, Simulator(NET, "reference") as ref:
        for rate in (1e9, NET.learning_rate, 2e9, 1e-2):
            for each in (sim, ref):
                each.learning_rate = rate
                each.train(X[:3] / 1e6, Y[:3])
            assert sim._engine.network.is_int32 == (rate < 1)
            assert np.array_equal(sim.predict(X), ref.predict(X))
            assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
            assert sim.operations == ref.operations


def test_many_fraction_bits_and_large_rates_take_64_bits(shown):
    for fields in ({"fraction_bits": 33}, {"learning_rate": 1e9}):
        with Simulator(NET.replace(**fields)) as sim:
            sim.predict(X[:5])
    assert shown == [(64, 5)] * 2


def test_samples_that_no_bound_proves_equal_the_reference(monkeypatch):
    """Larger and larger: bounds prove the first, the reference shows others or refuses them."""
    exact, show = [], EngineBackend._by_reference

    def spy(*arguments):
        exact.append(False)
        result = show(*arguments)
        exact[-1] = True
        return result

    monkeypatch.setattr(EngineBackend, "_by_reference", spy)
    for size in 2.0 ** np.arange(8, 40, 0.5):
        results = []
        for name in ("compiled", "reference"):
            with Simulator(NET, name) as sim:
                shown = []
                for call in (sim.predict, lambda x, s=sim: s.train(x, Y[:1])):
                    try:
                        shown.append(call(size * X[:1]))
                    except OverflowError as error:
                        shown.append(str(error))
                results.append([*shown, *sim.weights, sim.operations])
        np.testing.assert_equal(*results)
    assert set(exact) == {False, True}


@pytest.mark.parametrize("bits", [50.6, 51.0, 52.0, 52.9])
def test_weights_near_the_limit_are_held(bits):
    weight = np.rint(2.0**bits) / 2**NET.fraction_bits
    weights = [np.full(shape, 0.01) for shape in NET.weight_shapes]
    weights[0][:] = weight
    silence, results = np.zeros((1, 20)), []
    for name in ("compiled", "reference"):
        with Simulator(NET, name, weights) as sim:
            results.append([sim.predict(silence), sim.train(silence, Y[:1]), *sim.weights])
            try:
                results[-1].append(sim.train(X[:1], Y[:1]))
            except OverflowError as error:
                results[-1].append(str(error))
            results[-1] += sim.weights
    np.testing.assert_equal(*results)
    assert results[0][2].max() == weight


def test_counts_may_leave_64_bits():
    net = SpikingMLP.paper(
        (40, 2), input_coding="spikes", n_steps=4, fraction_bits=10, learning_rate=1.0
    )
    x = np.full((600, 4, 40), 2**48)
    counted = []
    for name in ("compiled", "reference"):
        with Simulator(net, name, [np.zeros((40, 2))]) as sim:
            sim.predict(x)
            counted.append(sim.operations)
    assert counted[0] == counted[1]
    assert counted[0].spikes > 2**63


@pytest.mark.parametrize("given", [X[:2], np.repeat(X[:2, np.newaxis], 5000, axis=1)])
def test_predictions_of_many_steps_equal_the_reference(given, monkeypatch):
    monkeypatch.setattr(backend, "MOST_STEPS", 999)
    given = given[:, :1000] if given.ndim == 3 else given
    results = []
    for name in ("compiled", "reference"):
        with Simulator(NET, name) as sim:
            scores = sim.predict(given, n_steps=1000)
            trace = sim.predict(given[:1], n_steps=1000, record=True)
            results.append([scores, *trace.spikes, *sim.predict(given, n_steps=1000, margin=5.0)])
            results[-1].append(sim.operations)
    np.testing.assert_equal(*results)


@pytest.mark.parametrize("type_", [np.uint8, np.float32, np.float64, np.int16, bool])
def test_single_samples_are_checked_like_others(type_):
    """Before anything has changed; the memory of arguments is kept from call to call."""
    x, many = X.astype(type_), np.repeat(X[:2], 2, axis=0)
    with Simulator(NET) as sim, Simulator(NET, "reference") as ref:
        for i in range(4):
            for each in (
                x[i : i + 1],
                X[i : i + 1],
                np.repeat(x[i][np.newaxis, np.newaxis], 10, 1),
            ):
                for y in (Y[i : i + 1], np.eye(4)[Y[i : i + 1]]):
                    assert np.array_equal(sim.train(each, y), ref.train(each, y))
                assert np.array_equal(sim.predict(each), ref.predict(each))
            for wrong in (np.nan, np.inf):
                for given in (np.full((1, 20), wrong), np.where(many == many[3, 7], wrong, many)):
                    with pytest.raises(ValueError, match=r"x must be finite; got (nan|inf) at"):
                        sim.predict(given)
                    with pytest.raises(ValueError, match=r"x must be finite; got (nan|inf) at"):
                        sim.train(given, Y[: len(given)])
                with pytest.raises(ValueError, match=r"y must be finite; got (nan|inf) at"):
                    sim.train(x[:1], np.full((1, 4), wrong))
            for wrong in (-2, 4):
                with pytest.raises(ValueError, match="y must be labels from 0 to 3, or -1 where"):
                    sim.train(x[:1], np.array([wrong]))
            assert checkpoint_bytes(sim) == checkpoint_bytes(ref)


class Stray:
    """Threads of a prediction that Ctrl-C has left behind: they wait until they may go on."""

    def __init__(self, monkeypatch, net=NET):
        self.sim = Simulator(net, n_jobs=2)
        self.threads, self.learned = [], []
        self._may_go_on, self._begun = Event(), threading.Semaphore(0)
        show = EngineNetwork.show

        def waiting(network, *arguments):
            self.threads.append(threading.current_thread())
            self.learned.append((network.learned, network.learned.tobytes()))
            self._begun.release()
            assert self._may_go_on.wait(20)
            return show(network, *arguments)

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        def interrupted_map(pool, function, parts):
            for part in parts:
                pool.submit(function, part)
            for _ in parts:
                assert self._begun.acquire(timeout=20)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(EngineNetwork, "show", waiting)
            patch.setattr(backend.ThreadPoolExecutor, "map", interrupted_map)
            patch.setattr(Thread, "join", interrupted)
            with pytest.raises(KeyboardInterrupt):
                self.sim.predict(X)

    def end(self):
        self._may_go_on.set()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize("first", ["train", "one sample", "predict", "stream", "margin"])
def test_threads_left_behind_share_nothing_with_later_calls(first, monkeypatch):
    stray = Stray(monkeypatch)
    sim, ref = stray.sim, Simulator(NET, "reference")
    calls = {
        "train": lambda s: s.train(X[:9], Y[:9]),
        "one sample": lambda s: s.train(X[:1], Y[:1]),
        "predict": lambda s: s.predict(X[:100]),
        "stream": lambda s: s.stream(n_steps=9).show(X[0], target=1, n_steps=9),
        "margin": lambda s: s.predict(X[:9], margin=1.0).scores,
    }
    calls = {first: calls[first], **calls}
    for call in calls.values():
        assert np.array_equal(call(sim), call(ref))
    assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
    for learned, before in stray.learned:
        assert learned is not sim._engine.network.learned
        assert learned.tobytes() == before
    stray.end()
    assert checkpoint_bytes(sim) == checkpoint_bytes(ref)


def test_memory_of_single_steps_is_given_when_it_is_needed(monkeypatch):
    given = []
    monkeypatch.setattr(
        StepNetwork,
        "make_room_before",
        lambda self, give=StepNetwork.make_room_before: (given.append(self), give(self)),
    )
    with Simulator(NET) as sim:
        sim.train(X, Y)
        sim.predict(X)
        assert not given
        sim.stream().show(X[0], target=1)
        assert given


def test_ctrl_c_is_heard_soon_however_small_a_network_is():
    """Between two blocks, and two calls of single steps, each of which takes its time."""
    with Simulator(SpikingMLP.paper((2, 2), n_steps=1)) as sim:
        assert sim._engine.block_size(1) <= 200_000
        assert sim.stream()._steps._steps_per_call <= 10_000


def test_events_are_copied_once_however_many_samples_they_are_for(monkeypatch):
    """To copy for each sample those that are left would take the square of their number."""
    copied, copy = [], Feeder._copy
    monkeypatch.setattr(
        Feeder, "_copy", lambda self, events: (copied.append(len(events)), copy(self, events))
    )
    net = SpikingMLP.paper((16, 3, 2), n_steps=2, input_coding="spikes")
    events = np.zeros(200, EVENT_DTYPE)
    events["t"], events["x"] = 5 * np.arange(200), np.arange(200) % 4
    encoder = EventEncoder(4, 4, step=10, polarity="ignored")
    with Simulator(net) as sim, Simulator(net, "reference") as ref:
        streams = [s.stream(encoder, n_steps=net.n_steps) for s in (sim, ref)]
        for stream in streams:
            stream.feed(events[:1], start=0, target=1)
        at_once, expected = (stream.feed(events) for stream in streams)
        assert len(at_once) == 49
        assert np.array_equal(at_once, expected)
        assert checkpoint_bytes(sim) == checkpoint_bytes(ref)
    assert copied == [1, 200]


def test_an_open_sample_of_many_inputs_takes_no_matrices_of_reals():
    """To predict in it, or to go on in 64 bits, takes a second network and a few rows."""
    n = 100_000
    sim = Simulator(
        SpikingMLP.paper((n, 50, 2), n_steps=4, input_coding="spikes", fraction_bits=22)
    )
    stream, x = sim.stream(), np.zeros(n, np.int64)
    x[3] = 1
    stream.show(x, target=1)
    of_weights = n * padded(50) * 4
    tracemalloc.start()
    sim.predict(np.zeros((1, 4, n), np.uint8))
    _, of_predicting = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    stream.show(10**6 * x, target=1)
    _, of_widening = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not sim._engine.network.is_int32
    # Each network has room for more than weights, of which most is never used.
    assert of_predicting < 2.4 * of_weights
    assert of_widening < 7 * of_weights
    stream.close_sample()
