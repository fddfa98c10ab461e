"""Threads that share a simulator, and threads with a simulator each, get what one thread gets."""

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread

import numpy as np
import pytest

from spikebp_plugins import Simulator, SpikingMLP

NET = SpikingMLP.paper((20, 30, 5), n_steps=6, learning_rate=0.3, seed=2)
N_THREADS = 4


def samples(n, seed):
    random = np.random.RandomState(seed)
    return random.uniform(0, 2, (n, 20)), random.randint(0, 5, n)


def together(*calls):
    """Run calls in a thread each, all from the same moment on."""
    start = Barrier(len(calls))

    def run(call):
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def listed(prediction):
    """Return scores, or the arrays of an early prediction, as lists."""
    return [np.asarray(array).tolist() for array in prediction]


@pytest.mark.parametrize(("backend", "turns"), [("compiled", 60), ("reference", 3)])
@pytest.mark.parametrize("margin", [None, 1.0])
def test_predictions_of_threads_that_share_a_simulator(backend, turns, margin):
    with Simulator(NET, backend) as sim:
        sim.train(*samples(40, 0))
        x = [samples(1, seed)[0] for seed in range(N_THREADS)]
        expected = [listed(sim.predict(each, margin=margin)) for each in x]

        def predict(each):
            return [listed(sim.predict(each, margin=margin)) for _ in range(turns)]

        found = together(*(lambda each=each: predict(each) for each in x))
        assert found == [[each] * turns for each in expected]


def test_threads_may_train_and_predict_at_the_same_time():
    (x, y), turns = samples(8, 1), 20
    with Simulator(NET) as expected, Simulator(NET) as sim:
        for _ in range(2 * turns):
            expected.train(x, y)

        def train():
            for _ in range(turns):
                sim.train(x, y)

        def predict():
            for _ in range(turns):
                sim.predict(x[:3])

        together(train, predict, train, predict)
        assert sim.samples_seen == expected.samples_seen
        assert all(map(np.array_equal, sim.weights, expected.weights))
        assert sim.operations.samples == 2 * turns * (8 + 3)


def test_a_stream_learns_while_other_threads_predict():
    x, y = samples(10, 1)

    def show(sim):
        stream = sim.stream(n_steps=NET.n_steps)
        return [
            stream.show(each, target=label, n_steps=6) for each, label in zip(x, y, strict=True)
        ]

    with Simulator(NET) as expected, Simulator(NET) as sim:
        scores = show(expected)
        found, *_ = together(
            lambda: show(sim), *[lambda: [sim.predict(x[:2]) for _ in range(30)]] * 3
        )
        assert np.array_equal(found, scores)
        assert all(map(np.array_equal, sim.weights, expected.weights))


def test_threads_with_a_simulator_each_learn_as_one_does():
    def learn(seed):
        with Simulator(NET) as sim:
            for _ in range(10):
                sim.train(*samples(5, seed))
            return sim.weights

    expected = [learn(seed) for seed in range(N_THREADS)]
    found = together(*(lambda seed=seed: learn(seed) for seed in range(N_THREADS)))
    for one, other in zip(found, expected, strict=True):
        assert all(map(np.array_equal, one, other))


def test_threads_with_a_simulator_each_run_at_once():
    x, _ = samples(1, 0)
    net = NET.replace(fraction_bits=30)  # int64 alone
    with Simulator(net, n_jobs=1) as one, Simulator(net, n_jobs=1) as other:
        for sim in (one, other):
            sim.predict(x, n_steps=10_000)  # compiles
        thread = Thread(target=one.predict, args=(x,), kwargs={"n_steps": 1_000_000})
        thread.start()
        n_calls = 0
        while thread.is_alive():
            other.predict(x)
            n_calls += 1
        thread.join()
    # Some two thousand; some forty if kernels kept the lock of the interpreter.
    assert n_calls > 200


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_does_not_wait_for_the_original(copied):
    with Simulator(NET) as sim, sim._lock, copied(sim) as other:
        assert together(lambda: other.samples_seen) == [0]
