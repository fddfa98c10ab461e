"""The back end `lava` in all its forms: equal to the reference, and what is its own."""

import os
import subprocess
import sys
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikebp_lava import backend
from spikebp_plugins import Conv2D, Simulator, SpikingMLP, UnsupportedError, load_dataset
from spikebp_plugins.conformance import CASES, conformance_tests
from spikebp_plugins.conformance.suite import unsupported_reason
from spikebp_plugins.engine import fallback
from spikebp_plugins.network.connections import DenseConnection
from tests.core.experiment import MAGNITUDES, Experiment, assert_equals_reference
from tests.core.single_steps import NETS, assert_streams_equal_reference
from tests.core.small_nets import assert_copies_go_on, lively_simulator, samples, small_net
from tests.core.strategies import experiments
from tests.profiles import examples
from tests.with_lava.conftest import children
from tests.with_lava.graphs import IMAGES, NET, Samples, of_layers
from tests.with_lava.random_graphs import nets

STANDARD = "lava:tag=floating_pt,implementation=standard"

#: All forms, of which a short run takes the first.
BACKENDS = (
    "lava:fixed_pt",
    STANDARD,
    "lava:tag=floating_pt,granularity=sample",
    "lava:floating_pt",
    "lava:tag=fixed_pt,granularity=sample",
)
N_SHORT = 3
SHORT = [
    pytest.param(name, marks=[pytest.mark.thorough] if i >= N_SHORT else [], id=name)
    for i, name in enumerate(BACKENDS)
]


def suite():
    """Every case in every form; a short run has each second one in the first, others in another."""
    for turn, case in enumerate(CASES):
        able = [b for b in BACKENDS[:N_SHORT] if unsupported_reason(b, case.net) is None]
        others = able[1:] if turn % 2 else []
        short = others[turn // 2 % len(others)] if others else BACKENDS[0]
        for test in conformance_tests(*BACKENDS, cases=[case]):
            marks = [pytest.mark.thorough] if test.backend != short else []
            yield pytest.param(test, id=str(test), marks=marks)


@pytest.mark.parametrize("conformance_test", list(suite()))
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.parametrize(
    "net",
    [pytest.param(n, marks=() if k == "outer" else pytest.mark.thorough) for k, n in NETS.items()],
    ids=NETS,
)
@pytest.mark.parametrize(
    "name",
    [BACKENDS[0], *(pytest.param(b, marks=pytest.mark.thorough) for b in BACKENDS[2:])],
)
def test_streams_and_margins_equal_the_reference(name, net):
    assert_streams_equal_reference(name, net)


@pytest.mark.parametrize("name", SHORT)
@settings(max_examples=examples(6), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_experiments_equal_the_reference(name, data):
    form = "standard" if name == STANDARD else "other"
    drawn = experiments(nets=partial(nets, form), magnitudes=MAGNITUDES, max_steps=6)
    assert_equals_reference(data.draw(drawn), name)


@pytest.mark.thorough
@pytest.mark.parametrize("name", BACKENDS)
def test_mnist_is_learned_as_by_the_reference(name):
    if "SPIKEBP_DATA" not in os.environ:
        pytest.skip("SPIKEBP_DATA names no folder with MNIST")
    data = load_dataset("mnist", raw=True)
    timing = "pipelined" if name == STANDARD else "immediate"
    net = SpikingMLP.paper((784, 200, 200, 10), timing=timing, input_scale=data.input_scale)
    x, y = data.x_train[:20], data.y_train[:20]
    with Simulator(net, name) as sim, Simulator(net, "reference") as ref:
        assert sim.train(x, y, record=True).diff(ref.train(x, y, record=True)) is None


def test_an_interrupt_before_results_are_taken_over_leaves_the_state_before(monkeypatch):
    samples = Samples()
    with (
        Simulator(NET, "lava", samples.weights) as sim,
        Simulator(NET, "compiled", samples.weights) as expected,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(backend.SampleGraph, "operations", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                sim.train(samples.x, samples.y)
        assert sim.samples_seen == 0
        for each in (sim, expected):
            each.train(samples.x, samples.y)
        assert all(map(np.array_equal, sim.weights, expected.weights))
        assert sim.operations == expected.operations


def test_one_graph_serves_all_calls_and_is_left_to_nobody(monkeypatch):
    monkeypatch.setattr(fallback, "_core", Mock(side_effect=AssertionError))
    samples = Samples(IMAGES)
    with Simulator(IMAGES, "lava", samples.weights) as sim:
        assert not children()
        sim.train(samples.x, samples.y)
        started = set(children())
        sim.predict(samples.x)
        sim.predict(samples.x, n_steps=3)
        sim.train(samples.x, samples.y)
        assert started
        assert set(children()) == started
    assert not children()


@pytest.mark.parametrize(
    ("name", "timing"),
    [
        ("lava:fixed_pt", "immediate"),
        pytest.param("lava:fixed_pt", "pipelined", marks=pytest.mark.thorough),
        (STANDARD, "pipelined"),
    ],
)
def test_samples_may_be_longer_than_a_run(name, timing, monkeypatch):
    monkeypatch.setattr(backend, "STEPS_PER_RUN", 5)
    net, weights, random = NET.replace(timing=timing), Samples().weights, np.random.RandomState(1)
    x, y = random.uniform(-1, 2, (3, NET.n_steps, 9)), random.uniform(-1, 2, (3, NET.n_steps, 3))
    for experiment in (
        Experiment(net, weights, x[:, 0], y[:, 0], x[:, 0]),
        Experiment(net, weights, x, y, x),
    ):
        assert_equals_reference(experiment, name)


def test_what_cannot_be_proved_of_standard_parts_is_computed_by_the_core(monkeypatch):
    """Sums that two inputs cancel in every step, and that might not have been exact on the way."""
    net = NET.replace(timing="pipelined")
    samples = Samples(net)
    samples.weights[0][0] = 2.0 ** (51 - net.fraction_bits)
    samples.weights[0][1] = -samples.weights[0][0]
    samples.x[:, :2] = 4  # one spike in every step
    computed = Mock(wraps=fallback._core)
    monkeypatch.setattr(fallback, "_core", computed)
    with Simulator(net, STANDARD, samples.weights) as sim:
        shown = sim.predict(samples.x, record=True)
        assert computed.call_count == 1
        operations = sim.operations
    with Simulator(net, "reference", samples.weights) as ref:
        assert shown.diff(ref.predict(samples.x, record=True)) is None
        assert operations == ref.operations


class PrivateConnection(DenseConnection):
    """Another kind, which no engine knows."""

    kind = "Alone"


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"presynaptic": "drive"}, {}, "it knows presynaptic='counts', not presynaptic='drive'"),
        ({"backward_init": "uniform"}, {}, "'zero', not backward_init='uniform'"),
        ({"arithmetic": "loihi2"}, {}, "it knows arithmetic='fixed', not arithmetic='loihi2'"),
        (
            {"timing": "immediate"},
            {"tag": "floating_pt", "implementation": "standard"},
            "a spike takes a step through synapses of Lava's own",
        ),
        (
            {"update": "normalized"},
            {"tag": "floating_pt", "implementation": "standard"},
            "a learning rule of Lava's has one rate for all samples",
        ),
        (
            {"bounded": True},
            {"tag": "floating_pt", "implementation": "standard"},
            "learn from every update, also where bounded=True leaves it out",
        ),
        (
            {},
            {"tag": "floating_pt", "implementation": "standard", "granularity": "sample"},
            "take a step of Lava for each step",
        ),
        (
            {},
            {"implementation": "standard"},
            "fixed_pt rounds weights at random, .*; use tag='floating_pt'",
        ),
        (
            {"timing": "immediate"},
            {"implementation": "standard"},
            "fixed_pt rounds weights at random, .*, not timing='immediate'$",
        ),
    ],
)
def test_what_is_not_supported_says_why(changes, options, reason):
    net = SpikingMLP.paper((9, 8, 3), timing="pipelined").replace(**changes)
    with pytest.raises(UnsupportedError, match=reason):
        Simulator(net, "lava", **options)


def test_a_kind_that_is_not_known_is_refused():
    net = of_layers(Conv2D(2, 2), learning_rate=0.1)
    net.__dict__["connections"] = (PrivateConnection(9, 8), *net.connections[1:])
    known = "it knows Dense, Conv2D, Sparse, AveragePool2D connections, not Alone"
    with pytest.raises(UnsupportedError, match=known):
        Simulator(net, "lava")


MISSING = """
import sys; sys.modules["lava"] = None
from spikebp_plugins import Simulator, SpikingMLP
Simulator(SpikingMLP.paper((2, 2)), "lava")
"""
SPAWNING = """
import multiprocessing; multiprocessing.set_start_method("spawn")
import spikebp_lava
"""
AFTER_LOCKS = """
import multiprocessing; lock = multiprocessing.RLock()
from spikebp_plugins import Simulator, SpikingMLP
with Simulator(SpikingMLP.paper((2, 2)), "lava") as sim:
    print(sim.predict([[1.0, 2.0]]).shape)
"""


@pytest.mark.parametrize(
    ("program", "printed", "error"),
    [
        (
            MISSING,
            "",
            "ImportError: spikebp_lava needs Lava, which exists for Python 3.10 alone, and ",
        ),
        (
            SPAWNING,
            "",
            "RuntimeError: Lava needs the start method 'fork' of multiprocessing, which it sets ",
        ),
        pytest.param(AFTER_LOCKS, "(1, 2)\n", "", marks=pytest.mark.thorough),
    ],
    ids=["Lava is missing", "another start method", "a lock is made before"],
)
def test_where_lava_cannot_run_one_sentence_says_so(program, printed, error, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.stdout == printed, result.stderr
    assert result.stderr.strip().rpartition("\n")[2].startswith(error)


def test_copies_go_on():
    net = small_net(backward_init="carry")
    x, y = samples(net, 3)
    with lively_simulator(net, "lava") as sim:
        sim.train(x, y)
        assert_copies_go_on(sim, x, y)
