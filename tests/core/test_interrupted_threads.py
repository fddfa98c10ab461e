"""Ctrl-C in a prediction by several threads: those left behind share nothing with later calls."""

import threading
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP
from spikebp_plugins.engine import backend
from spikebp_plugins.engine.network import EngineNetwork
from tests.core.engine_copies import skip_without_engine

skip_without_engine()

NETS = {
    "immediate": SpikingMLP.paper((20, 30, 5), n_steps=6, learning_rate=0.3, seed=2),
    "pipelined": SpikingMLP.paper((20, 30, 5), n_steps=6, seed=2, timing="pipelined"),
}
N_THREADS = 4
RANDOM = np.random.RandomState(0)
X = RANDOM.uniform(0, 2, (N_THREADS * backend.SAMPLES_PER_THREAD, 20))
Y = RANDOM.randint(0, 5, len(X))
#: The same input at all steps, and input that changes.
INPUTS = {"constant": X, "changing": X[:, np.newaxis] * np.array([[1], [0], [2], [1], [0], [1]])}
#: Far longer than anything here takes.
SECONDS = 20


class Work(NamedTuple):
    """What a thread was given to work with."""

    thread: Thread
    network: EngineNetwork
    learned: np.ndarray
    learned_at_first: bytes


class Workers:
    """The threads of a prediction that Ctrl-C interrupts, and those of the calls that follow.

    Ctrl-C comes inside the start of one thread, when it and those before it have begun to work. It
    is left behind; with `twice` Ctrl-C comes again while the pool waits for the others, and they
    are left behind too.
    """

    def __init__(self, monkeypatch, interrupted, twice):
        self._monkeypatch, self._interrupted, self._twice = monkeypatch, interrupted, twice
        self._threads, self._left = [], []
        self._all_have_begun, self._has_come, self._may_end = Event(), Event(), Event()
        self.works = []
        monkeypatch.setattr(EngineNetwork, "show", self._waiting(EngineNetwork.show))

    def _waiting(self, show_on):
        def show(network, *arguments):
            thread, learned = threading.current_thread(), network.learned
            self.works.append(Work(thread, network, learned, learned.tobytes()))
            if thread in self._threads:
                if len(self.works) == self._interrupted:
                    self._all_have_begun.set()
                event = self._may_end if thread in self._left else self._has_come
                assert event.wait(SECONDS)
            return show_on(network, *arguments)

        return show

    def interrupt(self, sim, x):
        """Interrupt a prediction; return what the threads that are left behind work with."""
        start = Thread.start

        def interrupted_start(thread):
            if not thread.name.startswith("ThreadPoolExecutor"):  # timers, and those of tqdm
                start(thread)
                return
            self._threads.append(thread)
            is_last = len(self._threads) == self._interrupted
            if is_last or self._twice:
                self._left.append(thread)
            start(thread)
            if is_last:
                assert self._all_have_begun.wait(SECONDS)
                self._has_come.set()
                raise KeyboardInterrupt

        def interrupted_join(thread, timeout=None):
            raise KeyboardInterrupt

        with self._monkeypatch.context() as patch:
            patch.setattr(Thread, "start", interrupted_start)
            if self._twice:
                patch.setattr(Thread, "join", interrupted_join)
            with pytest.raises(KeyboardInterrupt):
                sim.predict(x)
        assert all(thread.is_alive() for thread in self._left)
        left = [work for work in self.works if work.thread in self._left]
        assert len(left) == len(self._left)
        self.works.clear()
        return left

    def end(self):
        """Let the threads that are left behind go on, and wait until they have ended."""
        self._may_end.set()
        for thread in self._left:
            thread.join(SECONDS)
            assert not thread.is_alive()


def next_calls(sim, x):
    """Return the results of all kinds of calls, twice each."""
    results = []
    for _ in range(2):
        results.append(sim.predict(x))
        results.append(sim.predict(x[:3]))
        results.append(sim.train(x[:5], Y[:5]))
        if sim.net.timing == "immediate":
            results.extend(sim.predict(x[:4], margin=1.0))
            stream = sim.stream(n_steps=NETS["immediate"].n_steps)
            results.append(stream.show(X[0], target=Y[0], n_steps=6))
        results.extend(sim.weights)
    return results


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize(
    ("timing", "kind", "interrupted"),
    [("immediate", "constant", 1), ("immediate", "changing", 2), ("pipelined", "constant", 4)],
)
def test_threads_left_behind_share_nothing_with_later_calls(
    timing, kind, interrupted, twice, monkeypatch
):
    net, x = NETS[timing], INPUTS[kind]
    with Simulator(net, n_jobs=N_THREADS) as sim, Simulator(net, n_jobs=1) as undisturbed:
        for each in (sim, undisturbed):
            each.train(x[:20], Y[:20])
        expected = next_calls(undisturbed, x)
        sim.predict(x)
        workers = Workers(monkeypatch, interrupted, twice)
        left = workers.interrupt(sim, x)
        found = next_calls(sim, x)
        for work in left:
            assert work.learned.tobytes() == work.learned_at_first
            assert not any(later.learned is work.learned for later in workers.works)
        workers.end()
        assert all(map(np.array_equal, found, expected))
        assert np.array_equal(sim.predict(x), undisturbed.predict(x))


FIRST_CALLS = {
    "predict": lambda sim: sim.predict(X[:2]),
    "train": lambda sim: sim.train(X[:2], Y[:2]),
    "one sample": lambda sim: sim.train(X[:1], Y[:1]),
    "margin": lambda sim: sim.predict(X[:2], margin=1.0),
    "stream": lambda sim: sim.stream(n_steps=6).show(X[0], target=Y[0], n_steps=6),
}


@pytest.mark.parametrize("first", FIRST_CALLS)
def test_every_kind_of_call_may_be_the_first_after_an_interrupt(first, monkeypatch):
    with Simulator(NETS["immediate"], n_jobs=2) as sim, Simulator(NETS["immediate"]) as undisturbed:
        for each in (sim, undisturbed) * 3:
            FIRST_CALLS["one sample"](each)
        workers = Workers(monkeypatch, interrupted=2, twice=True)
        left = workers.interrupt(sim, X)
        results = [FIRST_CALLS[first](each) for each in (sim, undisturbed)]
        assert all(map(np.array_equal, *results))
        assert all(work.learned.tobytes() == work.learned_at_first for work in left)
        workers.end()
        assert np.array_equal(sim.predict(X), undisturbed.predict(X))


def test_a_sample_of_a_stream_that_is_open_during_the_interrupt(monkeypatch):
    net = NETS["immediate"].replace(fraction_bits=30)  # predicts in the numbers of single steps
    with Simulator(net, n_jobs=2) as sim, Simulator(net) as undisturbed:
        streams = [each.stream() for each in (sim, undisturbed)]
        for stream in streams:
            stream.show(X[0], target=Y[0], n_steps=3)
        workers = Workers(monkeypatch, interrupted=2, twice=True)
        left = workers.interrupt(sim, X)
        for stream in streams:
            for x, y in zip(X[:3], Y[:3], strict=True):
                stream.show(x, target=y, n_steps=3)
                stream.close_sample()
        for work in left:
            assert work.learned.tobytes() == work.learned_at_first
        workers.end()
        assert all(map(np.array_equal, sim.weights, undisturbed.weights))
        assert np.array_equal(sim.predict(X), undisturbed.predict(X))
