"""The back end `lava`: equality for both tags and both implementations."""

import os
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from hypothesis import HealthCheck, given, settings

from spikebp_lava import backend
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError, compare, load_dataset
from spikebp_plugins.compiled import fallback as backed
from spikebp_plugins.conformance import conformance_tests
from tests import golden, shares
from tests.core.experiment import MAGNITUDES, Experiment, assert_equals_reference
from tests.core.small_nets import assert_copies_go_on, lively_simulator, samples, small_net
from tests.core.strategies import experiments, networks
from tests.profiles import examples
from tests.with_lava.conftest import children
from tests.with_lava.graphs import NET, Samples

BACKENDS = [
    "lava:tag=fixed_pt",
    "lava:tag=floating_pt",
    "lava:tag=fixed_pt,implementation=hierarchical",
    "lava:tag=floating_pt,implementation=hierarchical",
    "lava:tag=fixed_pt,granularity=sample",
    "lava:tag=floating_pt,granularity=sample",
]

#: The same, of which a short run takes two: between them both tags and both implementations.
SHARED_OUT = [
    pytest.param(name, marks=() if turn in (0, 3) else pytest.mark.thorough)
    for turn, name in enumerate(BACKENDS)
]

#: Starting a graph takes up to a second, and a check starts several: each back end is asked for
#: its share of the suite, so that every test is done by one. SPIKEBP_WHOLE_SUITE takes all.
WHOLE = "SPIKEBP_WHOLE_SUITE" in os.environ


def suite():
    for index, name in enumerate(BACKENDS):
        tests = list(conformance_tests(name))
        chosen = tests if WHOLE else tests[index :: len(BACKENDS)]
        for test in chosen:
            yield pytest.param(test, id=str(test), marks=shares.marks(test))


def test_an_interrupt_before_results_are_taken_over_leaves_the_state_before(monkeypatch):
    samples = Samples()
    with (
        Simulator(NET, "lava", samples.weights) as sim,
        Simulator(NET, "compiled", samples.weights) as expected,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(backend.Graph, "operations", Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                sim.train(samples.x, samples.y)
        assert sim.samples_seen == 0
        for each in (sim, expected):
            each.train(samples.x, samples.y)
        assert all(map(np.array_equal, sim.weights, expected.weights))
        assert sim.operations == expected.operations


@pytest.mark.parametrize("conformance_test", list(suite()))
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.parametrize(
    ("backend", "name"),
    [
        *(("lava:floating_pt", name) for name in golden.names_of("fixed", "float64", "float32")),
        # fixed_pt computes with integers alone.
        *(("lava:fixed_pt", name) for name in golden.names_of("fixed")),
    ],
)
def test_golden_runs_are_repeated(backend, name):
    golden.assert_repeated(name, backend)


@pytest.mark.parametrize("name", BACKENDS)
@settings(max_examples=examples(3), suppress_health_check=list(HealthCheck))
@given(experiment=experiments(magnitudes=MAGNITUDES, max_depth=4, max_steps=6))
def test_random_experiments_equal_the_reference(name, experiment):
    if "hierarchical" in name:  # a layer knows the spikes of the layer below, not its drive
        experiment = experiment._replace(net=experiment.net.replace(presynaptic="counts"))
    assert_equals_reference(experiment, name)


@pytest.mark.parametrize("name", SHARED_OUT)
@settings(max_examples=examples(3), suppress_health_check=list(HealthCheck))
@given(experiment=experiments(nets=networks, magnitudes=MAGNITUDES, max_depth=3, max_steps=5))
def test_random_networks_equal_the_reference(name, experiment):
    if "hierarchical" in name:
        experiment = experiment._replace(net=experiment.net.replace(presynaptic="counts"))
    assert_equals_reference(experiment, name)


@pytest.mark.parametrize("name", SHARED_OUT)
def test_digits_are_learned_as_by_the_reference(name):
    data = load_dataset("digits", raw=True)
    net = SpikingMLP((64, 50, 40, 10), learning_rate=0.05, input_scale=data.input_scale)
    x, y = data.x_train[:100], data.y_train[:100]
    with Simulator(net, name) as sim, Simulator(net, "reference") as ref:
        assert compare(sim.train(x, y, record=True), ref.train(x, y, record=True)) is None
        shown = sim.predict(data.x_test[:50], record=True)
        assert compare(shown, ref.predict(data.x_test[:50], record=True)) is None
        assert sim.operations == ref.operations


@pytest.mark.thorough
@pytest.mark.parametrize("name", BACKENDS)
def test_mnist_is_learned_as_by_the_reference(name):
    if "SPIKEBP_DATA" not in os.environ:
        pytest.skip("SPIKEBP_DATA names no folder with MNIST")
    data = load_dataset("mnist", raw=True)
    net = SpikingMLP((784, 200, 200, 10), input_scale=data.input_scale)
    n_samples = 200 if WHOLE else 60
    x, y = data.x_train[:n_samples], data.y_train[:n_samples]
    with Simulator(net, name) as sim, Simulator(net, "reference") as ref:
        assert compare(sim.train(x, y, record=True), ref.train(x, y, record=True)) is None


@pytest.mark.parametrize("name", BACKENDS)
def test_one_graph_serves_all_calls(name):
    samples = Samples()
    with Simulator(NET, name, samples.weights) as sim:
        assert not children()
        sim.train(samples.x, samples.y)
        started = set(children())
        sim.predict(samples.x)
        sim.predict(samples.x, n_steps=3)
        sim.train(samples.x, samples.y)
        assert started
        assert set(children()) == started
    assert not children()


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
@pytest.mark.parametrize("name", SHARED_OUT)
def test_samples_may_be_longer_than_a_run(name, timing, monkeypatch):
    monkeypatch.setattr(backend, "STEPS_PER_RUN", 5)
    net = NET.replace(timing=timing)
    weights, random = Samples().weights, np.random.RandomState(1)
    x, y = random.uniform(-1, 2, (3, NET.n_steps, 9)), random.uniform(-1, 2, (3, NET.n_steps, 3))
    for experiment in (
        Experiment(net, weights, x[:, 0], y[:, 0], x[:, 0]),
        Experiment(net, weights, x, y, x),
    ):
        assert_equals_reference(experiment, name)


def test_a_layer_alone_has_the_lowest_rate_that_the_network_gives_it():
    net = NET.replace(update="normalized", fraction_bits=17, learning_rate=4 * 2.0**-17)
    samples = Samples()
    experiment = Experiment(net, samples.weights, samples.x, samples.y, samples.x)
    assert_equals_reference(experiment, "lava:tag=fixed_pt,implementation=hierarchical")


def test_what_cannot_be_proved_is_computed_by_the_core(monkeypatch):
    """A layer alone reports sums that doubles may not hold, and the block is done anew."""
    samples = Samples()
    samples.weights[1][0] *= 2.0**35
    computed = Mock(wraps=backed._core)
    monkeypatch.setattr(backed, "_core", computed)
    name = "lava:tag=floating_pt,implementation=hierarchical"
    with Simulator(NET, name, samples.weights) as sim:
        shown = sim.predict(samples.x, record=True)
        assert computed.call_count == 1
        operations = sim.operations
    with Simulator(NET, "reference", samples.weights) as ref:
        assert compare(shown, ref.predict(samples.x, record=True)) is None
        assert operations == ref.operations


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"tag": "fixed_pt"}, "fixed_pt computes with integers, not with arithmetic='float64'"),
        (
            {"tag": "floating_pt", "implementation": "hierarchical", "granularity": "sample"},
            "layers exchange spikes at every step",
        ),
    ],
)
def test_what_is_not_supported_says_why(options, reason):
    net = SpikingMLP((3, 2), arithmetic="float64")
    with pytest.raises(UnsupportedError, match=reason):
        Simulator(net, "lava", **options)


def test_a_missing_lava_gives_one_sentence():
    program = (
        "import sys; sys.modules['lava'] = None\n"
        "from spikebp_plugins import Simulator, SpikingMLP\n"
        "Simulator(SpikingMLP((2, 2)), 'lava')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    last = result.stderr.strip().splitlines()[-1]
    assert last == (
        "ImportError: spikebp_lava needs Lava, which exists for Python 3.10 alone; there, install "
        "it with: pip install 'spikebp-plugins[lava]'"
    )


def test_another_start_method_gives_one_sentence():
    program = (
        "import multiprocessing; multiprocessing.set_start_method('spawn')\nimport spikebp_lava"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert result.stderr.strip().splitlines()[-1] == (
        "RuntimeError: Lava needs the start method 'fork' of multiprocessing, which it sets "
        "itself; got 'spawn'"
    )


def test_lava_can_follow_what_has_made_locks(tmp_path):
    program = (
        "import multiprocessing; lock = multiprocessing.RLock()\n"
        "from spikebp_plugins import Simulator, SpikingMLP\n"
        "with Simulator(SpikingMLP((2, 2)), 'lava') as sim:\n"
        "    print(sim.predict([[1.0, 2.0]]).shape)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "(1, 2)\n", result.stderr


@pytest.mark.parametrize("name", SHARED_OUT)
def test_copies_go_on(name):
    net = small_net(backward_init="carry")
    x, y = samples(net, 3)
    with lively_simulator(net, name) as sim:
        sim.train(x, y)
        assert_copies_go_on(sim, x, y)
