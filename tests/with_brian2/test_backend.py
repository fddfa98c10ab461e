"""The back end `brian2`: equality on every target, and what it leaves as it was."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest.mock import Mock

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

import brian2
import numpy as np
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikebp_brian2 import backend
from spikebp_brian2.build import STRUCTURE, structure_of
from spikebp_plugins import (
    Checkpoint,
    Conv2D,
    Dense,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    load_dataset,
)
from spikebp_plugins.conformance import CASES, conformance_tests
from tests import golden
from tests.core import small_nets
from tests.core.experiment import MAGNITUDES, Experiment, assert_equals_reference
from tests.core.single_steps import NETS, assert_streams_equal_reference
from tests.core.strategies import any_network, definitions, experiments, networks
from tests.interrupts import interrupts_get_through
from tests.profiles import examples
from tests.with_brian2.experiment import NET, assert_equal_states

HAS_COMPILER = shutil.which("g++") is not None and shutil.which("make") is not None
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="needs g++ and make")
#: Compiling takes some ten seconds for each structure of a network; `NET` has a program anyway.
PROGRAM = pytest.param("cpp_standalone", marks=needs_compiler)
COMPILED = [
    pytest.param(target, marks=[needs_compiler, pytest.mark.thorough])
    for target in ("cython", "cpp_standalone")
]
TARGETS = ["numpy", COMPILED[0], PROGRAM]

#: Features that stand for all on compiled targets. C++ is compiled for the structures of the second
#: ones alone, which have every connection, timing, update, feedback and coding between them.
OF_CYTHON = ("8-bit pixels", "random feedback, outer update", "pipelined timing")
OF_PROGRAMS = (
    "spike counts as input",
    "samples without a label, pipelined timing, random feedback, outer update, binary spikes",
    "connections of all kinds",
    "convolution, pooling, normalized update",
)
FEATURES = {"cython": OF_CYTHON + OF_PROGRAMS, "cpp_standalone": OF_PROGRAMS}


def suite():
    """The conformance tests: all cases on one target, one and among what takes long some more."""
    yield from conformance_tests("brian2:numpy")
    for target, features in FEATURES.items():
        cases = [case for case in CASES if case.feature in features]
        for test in conformance_tests(f"brian2:{target}", cases=cases):
            is_quick = test.case.feature == OF_CYTHON[0]
            takes_long = [] if is_quick else [pytest.mark.thorough]
            yield pytest.param(test, marks=[needs_compiler, *takes_long])


@pytest.mark.parametrize("conformance_test", list(suite()), ids=str)
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.parametrize(
    ("target", "net"),
    [
        ("numpy", NETS["normalized"]),
        pytest.param("numpy", NETS["fractional"], marks=pytest.mark.thorough),
        pytest.param("numpy", NETS["outer"], marks=pytest.mark.thorough),
        pytest.param("cython", NETS["normalized"], marks=[needs_compiler, pytest.mark.thorough]),
    ],
    ids=[*NETS, "cython"],
)
def test_streams_and_margins_equal_the_reference(target, net):
    assert_streams_equal_reference(f"brian2:{target}", net)


@pytest.mark.thorough
@pytest.mark.parametrize("name", golden.names_for("brian2:numpy"))
def test_golden_runs_are_repeated(name):
    golden.assert_repeated(name, "brian2:numpy")


@pytest.mark.smoke
@settings(max_examples=examples(28), suppress_health_check=[HealthCheck.too_slow])
@given(
    experiments(
        nets=partial(any_network, kinds=(definitions, networks)),
        magnitudes=MAGNITUDES,
        max_depth=4,
        max_steps=6,
        max_width=8,
    )
)
def test_numpy_equals_reference_on_random_experiments(experiment):
    assert_equals_reference(experiment, "brian2:numpy")


@st.composite
def nets_of_one_structure(draw, net):
    """Definitions of the same programs as `net`: only what changes no compiled code is drawn."""
    kept = {name: getattr(net, name) for name in STRUCTURE if name != "connections"}
    drawn = draw(definitions(sizes=net.layer_sizes, **kept))
    names = ["n_steps", "learning_rate", "fraction_bits", "input_scale"]
    names += ["spikes", "label_targets", "backward_init"]
    other = net.replace(**{name: getattr(drawn, name) for name in names})
    # Sparse connections may be drawn with the seed.
    of_other_seed = other.replace(seed=drawn.seed)
    return of_other_seed if structure_of(of_other_seed) == structure_of(net) else other


@pytest.mark.parametrize("target", COMPILED)
@pytest.mark.parametrize("case", [c for c in CASES if c.feature in OF_PROGRAMS[:3]], ids=str)
def test_compiled_targets_equal_reference_on_random_experiments(target, case):
    @settings(max_examples=examples(20), suppress_health_check=list(HealthCheck))
    @given(experiments(magnitudes=MAGNITUDES, nets=partial(nets_of_one_structure, case.net)))
    def search(experiment):
        assert_equals_reference(experiment, f"brian2:{target}")

    search()


@pytest.mark.parametrize("update", ["fractional", "normalized"])
def test_a_kernel_may_lie_on_padding_alone(update):
    layers = [Conv2D(2, 1, stride=3, padding=2), Dense(2)]
    net = SpikingNetwork.paper((1, 1), layers, n_steps=3, learning_rate=0.5, update=update)
    assert net.connections[0].n_synapses == 0
    x, y = np.ones((3, 1)), np.zeros(3, int)
    weights = [np.ones(shape) for shape in net.weight_shapes]
    assert_equals_reference(Experiment(net, weights, x, y, x), "brian2:numpy")


@pytest.mark.thorough
@pytest.mark.parametrize("target", ["numpy", COMPILED[0]])
def test_mnist_is_learned_as_by_the_reference(target):
    if "SPIKEBP_DATA" not in os.environ:
        pytest.skip("SPIKEBP_DATA names no folder with MNIST")
    data = load_dataset("mnist", raw=True)
    net = SpikingMLP.paper((784, 200, 200, 10), input_scale=data.input_scale)
    x, y = data.x_train[:200], data.y_train[:200]
    with Simulator(net, "brian2", target=target) as sim, Simulator(net, "reference") as ref:
        assert sim.train(x, y, record=True).diff(ref.train(x, y, record=True)) is None
        assert np.array_equal(sim.predict(data.x_test[:50]), ref.predict(data.x_test[:50]))


def samples(n=12):
    random = np.random.RandomState(3)
    weights = [random.standard_normal(shape) * 0.6 for shape in NET.weight_shapes]
    return weights, random.uniform(-1, 2, (n, 9)), random.randint(0, 3, n)


@pytest.mark.parametrize(
    ("target", "standalone"),
    [
        ("numpy", False),
        ("numpy", True),
        pytest.param("cpp_standalone", False, marks=needs_compiler),
        pytest.param("cpp_standalone", True, marks=needs_compiler),
    ],
)
def test_device_preferences_and_objects_of_the_user_stay_as_they_were(
    target, standalone, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    if standalone:
        brian2.set_device("cpp_standalone", build_on_run=False, directory="mine")
    brian2.defaultclock.dt = 0.3 * brian2.ms
    group = brian2.NeuronGroup(2, "dv/dt = 1/ms : 1")
    device = brian2.get_device()
    before = dict(brian2.prefs.items()), device.build_on_run, device.build_options
    weights, x, y = samples()
    with Simulator(NET, "brian2", weights, target=target) as sim:
        sim.train(x, y)
        sim.predict(x)
    assert brian2.get_device() is device
    assert (dict(brian2.prefs.items()), device.build_on_run, device.build_options) == before
    assert float(brian2.defaultclock.dt) == 0.3e-3
    assert list(tmp_path.iterdir()) == []
    network = brian2.Network(group)
    network.run(3 * brian2.ms)
    if not standalone:
        assert np.allclose(group.v[:], 3)
    else:
        assert not [name for name in device.code_objects if "spikebp" in name]


@needs_compiler
def test_a_compiled_program_is_used_again_and_leaves_nothing_behind(monkeypatch, tmp_path):
    weights, x, y = samples()
    with Simulator(NET, "brian2", weights, target="cpp_standalone") as sim:
        sim.train(x, y)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    def refuse(*arguments, **options):
        raise AssertionError("compiled anew")

    monkeypatch.setattr(CPPStandaloneDevice, "build", refuse)
    other = NET.replace(learning_rate=0.1, n_steps=3, spikes="binary", seed=9, input_scale=0.5)
    with Simulator(other, "brian2", weights, target="cpp_standalone") as sim:
        sim.train(x, y)
        sim.predict(x, n_steps=20)
        with Simulator(other, "reference", weights) as ref:
            ref.train(x, y)
            assert np.array_equal(sim.predict(x[:5]), ref.predict(x[:5]))
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_silence_is_told_by_the_simulator_alone(caplog):
    net = SpikingMLP((4, 5, 2), input_scale=1e-3)
    with Simulator(net, "brian2:numpy") as sim, warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", category=RuntimeWarning)
        sim.train(np.ones((120, 4)), np.arange(120) % 2)
    assert len(caught) == 1
    assert "layer 0 is the first in which nothing fires" in str(caught[0].message)
    assert not [record for record in caplog.records if "has fired no spike" in record.message]


def test_progress_of_a_single_run_is_shown(capsys):
    weights, x, y = samples(1200)
    with Simulator(NET, "brian2", weights, target="cpp_standalone") as sim:
        sim.train(x, y)
        assert capsys.readouterr().err == ""
        sim.train(x, y, progress=True)
    assert "1200/1200" in capsys.readouterr().err


@needs_compiler
def test_a_program_that_fails_says_why(monkeypatch, capfd):
    weights, x, y = samples()
    with Simulator(NET, "brian2", weights, target="cpp_standalone") as sim:
        monkeypatch.setattr("spikebp_brian2.presented_samples.file_name", lambda *_: "elsewhere")
        with pytest.raises(RuntimeError, match="Project run failed"):
            sim.train(x, y)
        assert "cannot read static_arrays/spikebp_presented_" in capfd.readouterr().err
        monkeypatch.undo()
        sim.train(x, y)
        assert sim.samples_seen == len(x)


# On a busy machine Python forgets an interrupted program a moment before it has ended, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# Labels have nothing to do with the samples: after thousands of them nothing fires.
@pytest.mark.filterwarnings("ignore:no output of the network has fired")
@pytest.mark.parametrize("target", TARGETS)
def test_an_interrupt_leaves_the_state_before_the_run(target, monkeypatch):
    # Whoever starts the tests may ignore SIGINT, which Brian2's handler takes for a function.
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(handler, "previous_handler", signal.default_int_handler)
    weights, x, y = samples(400_000 if target == "cpp_standalone" else 6_000)
    with Simulator(NET, "brian2", weights, target=target) as sim:
        sim.train(x[:5], y[:5])  # compiles
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with interrupts_get_through(), pytest.raises(KeyboardInterrupt):
            sim.train(x[5:], y[5:])
        timer.join()
        seen = sim.samples_seen
        assert 5 <= seen < len(x)
        sim.train(x[seen : seen + 5], y[seen : seen + 5])
        with Simulator(NET, "compiled", weights) as expected:
            expected.train(x[: seen + 5], y[: seen + 5])
            assert_equal_states(sim.checkpoint().state, expected.checkpoint().state)


@needs_compiler
def test_an_interrupt_that_numpy_loses_is_found(monkeypatch):
    weights, x, y = samples()
    with Simulator(NET, "brian2", weights, target="cpp_standalone") as sim:
        sim.train(x, y)
        before = sim.checkpoint().state
        for message, error in (
            ("PathLike object, not BufferedReader", KeyboardInterrupt),
            ("", TypeError),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(np, "fromfile", Mock(side_effect=TypeError(message)))
                with pytest.raises(error):
                    sim.train(x, y)
            assert_equal_states(sim.checkpoint().state, before)


@pytest.mark.parametrize("target", ["numpy", PROGRAM])
def test_what_cannot_be_proved_is_computed_by_the_core(target):
    weights, x, y = samples()
    weights[0][0] *= 2.0**36
    x[3, 0] = 2.0**9  # sums of some 2**45 or more, beyond the limit of 2**41
    x[:3, 0] = x[4:, 0] = 0
    with (
        Simulator(NET, "brian2", weights, target=target) as sim,
        Simulator(NET, "reference", weights) as ref,
    ):
        messages = []
        for simulator in (sim, ref):
            with pytest.raises(OverflowError, match="of layer 1 must stay below") as error:
                simulator.train(x, y)
            messages.append(str(error.value))
        assert messages[0] == messages[1]
        assert sim.samples_seen == 3
        assert sim.operations == ref.operations
        assert_equal_states(sim.checkpoint().state, ref.checkpoint().state)


@pytest.mark.parametrize("timing", ["immediate", "pipelined"])
def test_errors_are_added_exactly_to_a_large_backward_potential(timing):
    # In doubles the potential plus the first of two errors is not a multiple of a unit any more,
    # and their sum is: so the errors have to be added up before they are added to it.
    net = SpikingMLP.paper((1, 1, 2), n_steps=1, spikes="binary", learning_rate=0.5, timing=timing)
    unit = 2.0**-net.fraction_bits
    potential = np.array([2.0**53 * unit - 0.75 - 3 * unit])
    with Simulator(net, "reference", [np.array([[1.0]]), np.array([[1.0, 0.25]])]) as sim:
        state = sim.checkpoint().state.with_reals(backward_potentials=[potential])
    ends = []
    for name in ("reference", "brian2:numpy"):
        with Checkpoint(net, state).simulate(name) as sim:
            trace = sim.train(np.array([[1.0]]), np.array([1]), record=True)
            assert trace.errors[2].tolist() == [[[1, -1]]]
            ends.append(sim.checkpoint().state)
    assert_equal_states(*ends)
    assert ends[0].backward_potentials[0] > 2.0**52 * unit


class TestTargets:
    @pytest.fixture
    def no_compiler(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("CXX", raising=False)

    @pytest.mark.parametrize("target", ["cython", "cpp_standalone"])
    def test_a_missing_compiler_is_an_error(self, target, no_compiler):
        with pytest.raises(RuntimeError, match=f"target {target!r} of back end 'brian2' needs the"):
            Simulator(NET, "brian2", target=target)

    def test_auto_falls_back_and_says_so(self, no_compiler, caplog):
        with caplog.at_level(logging.WARNING):
            assert backend.settled_target("auto") == "numpy"
        assert "target='auto' takes numpy, which is slower: no 'c++' on the PATH" in caplog.text

    @needs_compiler
    def test_auto_takes_cython_where_there_is_a_compiler(self, caplog):
        assert backend.settled_target("auto") == "cython"
        assert caplog.text == ""

    def test_unknown_targets_are_refused(self):
        with pytest.raises(ValueError, match="target of back end 'brian2' must be one of 'cython'"):
            Simulator(NET, "brian2", target="cuda")


def test_a_missing_brian2_says_what_to_install(tmp_path):
    # A module of that name that cannot be imported stands for one that is not there.
    (tmp_path / "brian2.py").write_text("raise ImportError('no module')")
    code = (
        "from spikebp_plugins import Simulator, SpikingMLP\n"
        "Simulator(SpikingMLP.paper((2, 2)), 'brian2')\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: spikebp_brian2 needs Brian2; install it with: pip install")


@pytest.mark.parametrize("target", TARGETS)
def test_copies_go_on(target):
    x, y = small_nets.samples(NET, 3)
    with small_nets.lively_simulator(NET, f"brian2:{target}") as sim:
        sim.train(x, y)
        small_nets.assert_copies_go_on(sim, x, y)


@needs_compiler
def test_simulators_of_several_threads_run_one_after_the_other():
    weights, x, y = samples(5)
    with Simulator(NET, "reference", weights) as ref:
        ref.train(x, y)
        expected = ref.checkpoint().state

    def learned(target):
        with Simulator(NET, f"brian2:{target}", weights) as sim:
            for one in range(len(x)):
                sim.train(x[one : one + 1], y[one : one + 1])
            return sim.checkpoint().state

    with ThreadPoolExecutor(2) as pool:  # whose devices are not the same
        for state in pool.map(learned, ["numpy", "cpp_standalone"]):
            assert_equal_states(state, expected)
