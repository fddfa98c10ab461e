"""The back end `compiled`: any width, any number of threads, and machines without its engine."""

import logging
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from spikebp_plugins import Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork, UnsupportedError
from spikebp_plugins.backends.registry import GROUP
from spikebp_plugins.common.notice import say_once
from spikebp_plugins.estimators import SpikingMLPClassifier
from spikebp_plugins.simulation import comparison
from tests.core.engine_copies import needs_engine
from tests.core.small_nets import checkpoint_bytes
from tests.core.test_cli import install, run_json

NET = SpikingMLP.paper((20, 15, 12, 4), seed=2)


def experiment(net, n):
    random = np.random.RandomState(8)
    weights = [random.standard_normal(shape) * 0.4 for shape in net.weight_shapes]
    x = random.uniform(-0.5, 1.0, (n, net.n_inputs))
    return weights, x, random.randint(0, net.n_outputs, n)


@pytest.mark.parametrize("sizes", [(5, 1), (20, 16, 4), (37, 130, 4), (16, 33, 257, 300, 17, 3)])
@pytest.mark.parametrize(("n_steps", "levels"), [(1, True), (17, False)])
def test_layers_of_any_width_equal_the_reference(sizes, n_steps, levels):
    # Widths and steps that fill vectors, and such that do not.
    net = SpikingMLP.paper(sizes, seed=2, n_steps=n_steps, learning_rate=0.01)
    random = np.random.default_rng(0)
    weights = [random.standard_normal(s) * 1.6 / s[0] ** 0.5 for s in net.weight_shapes]
    x = random.uniform(-0.5, 1.2, (10, sizes[0])) * (random.random((10, sizes[0])) < 0.7)
    if levels:
        net, x = net.replace(input_scale=1 / 200), random.integers(0, 256, x.shape, np.uint8)
    y = random.integers(0, sizes[-1], 10)
    with Simulator(net, weights=weights) as sim, Simulator(net, "reference", weights) as expected:
        trace, wanted = (s.train(x, y, record=True) for s in (sim, expected))
        assert any(errors.any() for errors in wanted.errors[1:])
        assert trace.diff(wanted) is None
        assert sim.predict(x, record=True).diff(expected.predict(x, record=True)) is None
        assert sim.operations == expected.operations


@pytest.mark.parametrize(("n_jobs", "n_steps"), [(1, None), (2, 65), ("3", None)])
def test_prediction_is_the_same_for_any_number_of_threads(n_jobs, n_steps):
    weights, x, _ = experiment(NET, n=120)
    with (
        Simulator(NET, weights=weights, n_jobs=n_jobs) as sim,
        Simulator(NET, "reference", weights) as expected,
    ):
        trace = sim.predict(x, n_steps=n_steps, record=True)
        assert trace.diff(expected.predict(x, n_steps=n_steps, record=True)) is None
        assert sim.operations == expected.operations


@needs_engine
def test_an_overflow_in_one_thread_is_that_of_the_first_sample():
    weights, x, _ = experiment(NET, n=200)
    x[150, 3], x[60, 7] = 1e300, 1e20
    outcomes = []
    for backend, options in (("compiled", {"n_jobs": 3}), ("reference", {})):
        with Simulator(NET, backend, weights, **options) as sim:
            with pytest.raises(OverflowError) as error:
                sim.predict(x)
            outcomes.append((str(error.value), sim.operations))
    assert outcomes[0] == outcomes[1]


@needs_engine
def test_a_chip_has_dense_connections_alone():
    net = SpikingNetwork.paper((4, 4, 1), [Conv2D(2, 3), Dense(2)], arithmetic="loihi2")
    with pytest.raises(UnsupportedError, match="'loihi2' it knows dense connections alone"):
        Simulator(net)


WHY = "nobody has built it; build it"
MISSING = f"the engine in C is missing: {WHY}"


@pytest.fixture
def engine_is_missing(monkeypatch):
    monkeypatch.setattr("spikebp_plugins.engine.backend.why_missing", lambda: WHY)
    say_once.cache_clear()


@pytest.mark.usefixtures("engine_is_missing")
def test_without_the_engine_the_reference_runs_and_that_is_said_once(caplog):
    weights, x, y = experiment(NET, n=3)
    with (
        caplog.at_level(logging.WARNING, "spikebp_plugins"),
        Simulator(NET, weights=weights, n_jobs=2) as sim,
        Simulator(NET, "reference", weights) as expected,
        sim.checkpoint().simulate() as another,
    ):
        assert [each.backend for each in (sim, another)] == ["reference"] * 2
        for each in (sim, expected):
            each.train(x, y)
        assert checkpoint_bytes(sim) == checkpoint_bytes(expected)
        SpikingMLPClassifier().partial_fit(x, y, classes=range(4)).predict(x)
    said = f"{MISSING}; back end 'reference' runs instead, some hundred times slower"
    assert [record.getMessage() for record in caplog.records] == [said]


@pytest.mark.usefixtures("engine_is_missing")
def test_without_the_engine_those_who_name_it_are_refused(monkeypatch, caplog):
    for name in ("compiled", "compiled:n_jobs=1"):
        with pytest.raises(UnsupportedError) as refused:
            Simulator(NET, name)
        assert str(refused.value) == f"back end 'compiled' cannot run this network: {MISSING}"
    place = "spikebp_plugins.engine.backend:EngineBackend"
    install(monkeypatch, EntryPoint("compiled", place, GROUP))
    assert run_json("backends")["compiled"]["state"] == MISSING
    assert comparison.all_backends() == ["reference"]
    assert not caplog.records


def test_nothing_compiles_as_it_runs():
    code = (
        "import sys, spikebp_plugins as s\n"
        "s.Simulator(s.SpikingMLP.paper((1, 1))).train([[1]], [0])\n"
        "print(*{'numba', 'llvmlite', 'concurrent.futures.process'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def shown_singly(sim, x, y):
    for row, label in zip(x, y, strict=True):
        sim.predict(row[np.newaxis])
        sim.train(row[np.newaxis], [label])


def shown_to_a_stream(sim, x, y):
    stream = sim.stream(n_steps=1)
    for row, label in zip(x, y, strict=True):
        stream.show(row, target=int(label))


WAYS = {
    "block": lambda sim, x, y: sim.train(x, y),
    "floats": lambda sim, x, y: sim.train(x.astype(np.float64), y),
    "record": lambda sim, x, y: sim.train(x, y, record=True),
    "prediction": lambda sim, x, _: sim.predict(x),
    "margin": lambda sim, x, _: sim.predict(x, margin=1),
    "singly": shown_singly,
    "stream": shown_to_a_stream,
}


@needs_engine
@pytest.mark.parametrize("way", WAYS)
def test_samples_of_one_step_cost_what_has_changed_in_their_input(way):
    random = np.random.RandomState(0)
    rows = [(random.uniform(size=200) < 0.4).astype(np.uint8)]
    for _ in range(99):
        rows.append(rows[-1].copy())
        rows[-1][random.randint(200, size=2)] ^= 1
    x, y = np.array(rows), random.randint(0, 3, 100)
    net = SpikingMLP.graded((200, 60, 3))
    with Simulator(net) as sim, Simulator(net, "reference") as ref:
        for each in (sim, ref):
            WAYS[way](each, x, y)
        assert sim.operations == ref.operations
        assert sim.work.multiply_adds < sim.operations.multiply_adds / 4
        assert ref.work is None
        assert all(map(np.array_equal, sim.weights, ref.weights))
    assert sim.work.rows_read > 0  # after it was closed, too
