"""The back end `c`: equal to the reference in every number, and what it needs to run."""

import importlib.util
import pickle
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikebp_plugins import Conv2D, Dense, Simulator, SpikingMLP, SpikingNetwork, UnsupportedError
from spikebp_plugins.conformance import parametrize
from spikebp_plugins.embedded import host_library, toolchain
from spikebp_plugins.embedded.network_in_c import NetworkInC, why_not_in_c
from spikebp_plugins.embedded.number_types import WEIGHT_BITS
from spikebp_plugins.network.operations import Work
from tests.core.experiment import MAGNITUDES, assert_equals_reference
from tests.core.strategies import any_network, definitions, experiments, networks
from tests.profiles import examples

pytestmark = pytest.mark.skipif(toolchain.find_compiler() is None, reason="no compiler of C")


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O0")


@parametrize("c")
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.thorough
@parametrize("c:16", "c:32", "c:64")
def test_the_suite_passes_with_weights_of_each_size(conformance_test, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-O2")
    conformance_test.run()


@pytest.mark.smoke
@settings(max_examples=examples(180))
@given(
    experiments(nets=any_network, kinds=(definitions, networks), magnitudes=MAGNITUDES),
    st.sampled_from(WEIGHT_BITS),
)
def test_c_equals_reference(experiment, bits):
    assume(why_not_in_c(experiment.net, bits) is None)
    assert_equals_reference(experiment, f"c:{bits}")


def small(**changes):
    return SpikingMLP.paper((6, 5, 3), **({"n_steps": 4, "learning_rate": 0.1} | changes))


def trained(backend, net, x, y, weights=None):
    sim = Simulator(net, backend, weights)
    scores = sim.train(x, y)
    return scores, sim


def test_types_become_wider_when_a_number_outgrows_them():
    """The first images fit 16 bits, later ones need 32 and 64, and the last no type."""
    net = small(fraction_bits=12, learning_rate=0.5)
    random = np.random.RandomState(2)
    x = random.uniform(-1, 2, (50, 6)) * np.repeat([1, 1, 6, 12, 1], 10)[:, np.newaxis]
    y = random.randint(0, 3, 50)
    scores, sim = trained("c", net, x, y)
    expected, reference = trained("reference", net, x, y)
    assert np.array_equal(scores, expected)
    assert sim.operations == reference.operations
    for a, b in zip(sim.weights, reference.weights, strict=True):
        assert np.array_equal(a, b)
    assert sim._engine._networks[0].types.weight_bits > 16
    assert max(np.abs(w).max() for w in sim.weights) * 2**12 > 2**15


def test_a_sample_that_no_type_holds_is_shown_by_the_reference():
    """Others are shown in C all the same, with the fewest bits."""
    net = small(input_scale=2.0**-20)
    x = np.random.RandomState(0).uniform(0, 2**21, (20, 6))
    x[7] *= 2.0**12  # its potentials need more than 32 bits
    y = np.arange(20) % 3
    scores, sim = trained("c:16", net, x, y)
    expected, reference = trained("reference", net, x, y)
    assert np.array_equal(scores, expected)
    assert sim.operations == reference.operations
    assert sim._engine._current.library is not None


def test_counts_too_large_for_a_rate_are_left_to_the_reference():
    net = small(update="normalized", learning_rate=1.0, input_coding="spikes", fraction_bits=12)
    weights = [np.zeros(shape) for shape in net.weight_shapes]
    x = np.full((2, 4, 6), 2**27)
    outcomes = []
    for backend in ("c:32", "reference"):
        with Simulator(net, backend, weights) as sim:
            try:
                outcomes.append(sim.train(x, [0, 1]).tolist())
            except OverflowError as error:
                outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


def test_weights_that_do_not_fit_are_left_to_the_reference():
    net = small(fraction_bits=14)
    weights = [np.full(shape, 3.0) for shape in net.weight_shapes]
    x, y = np.ones((3, 6)) / 8, [0, 1, 2]
    scores, sim = trained("c:16", net, x, y, weights)
    assert np.array_equal(scores, trained("reference", net, x, y, weights)[0])
    assert sim._engine._current.library is None


PIXEL_NETS = {
    "fractional": {},
    "outer": {"update": "outer"},
    "normalized": {"update": "normalized", "learning_rate": 1.0, "fraction_bits": 14},
    "binary": {"spikes": "binary"},
    "random feedback": {"feedback": "random"},
    "zeroed": {"backward_init": "zero"},
    "several spikes a step": {"input_scale": 1 / 60},
    "dark": {"input_scale": 1 / 10_000},
    "one step": {"n_steps": 1},
    "one step of single spikes": {"n_steps": 1, "spikes": "binary", "input_scale": 1 / 60},
    "40 steps": {"n_steps": 40, "learning_rate": 2.0},
    "pipelined": {"timing": "pipelined"},
}


@pytest.mark.parametrize(
    ("kind", "bits"),
    [*((kind, 16) for kind in PIXEL_NETS), ("outer", 32), ("fractional", 64)],
)
def test_samples_of_pixels_equal_the_reference(kind, bits):
    fields = {"input_scale": 1 / 255, "label_targets": (0.5, 3.0), "learning_rate": 0.2}
    net = small(**(fields | PIXEL_NETS[kind]))
    random = np.random.RandomState(4)
    x = random.randint(0, 256, (40, 6)).astype(np.uint8) * (random.uniform(size=(40, 6)) < 0.7)
    x, y = x.astype(np.uint8), random.randint(0, 3, 40)
    with Simulator(net, f"c:{bits}") as sim, Simulator(net, "reference") as reference:
        for labels in (y, np.eye(3)[y] * 1.7):
            assert np.array_equal(sim.train(x, labels), reference.train(x, labels))
            assert np.array_equal(sim.predict(x), reference.predict(x))
        assert sim.operations == reference.operations
        assert sim._engine._current.library is not None
        for a, b in zip(sim.weights, reference.weights, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_samples_of_pixels_that_do_not_fit_are_undone(update):
    """Weights near the limit of 16 bits: a sample is learned in C, or undone and left."""
    net = small(input_scale=1 / 255, fraction_bits=8, learning_rate=1.0, update=update)
    random, left = np.random.RandomState(4), set()
    for _ in range(40):
        x = random.randint(0, 256, (1, 6)).astype(np.uint8)
        y = random.uniform(-2, 6, (1, 3))
        weights = [random.uniform(-127.9, 127.9, shape) for shape in net.weight_shapes]
        scores, sim = trained("c:16", net, x, y, weights)
        expected, reference = trained("reference", net, x, y, weights)
        assert np.array_equal(scores, expected)
        assert sim.operations == reference.operations
        for a, b in zip(sim.weights, reference.weights, strict=True):
            assert np.array_equal(a, b)
        left.add(sim._engine._current.library is None)
    assert left == {True, False}


@pytest.mark.parametrize("update", ["fractional", "outer", "normalized"])
def test_samples_of_one_step_that_follow_each_other(update):
    """Equal to the reference, with records too, in less work than the rules ask for."""
    rate = 1.0 if update == "normalized" else 0.002
    fields = {"n_steps": 1, "update": update, "input_scale": 1 / 60, "weight_init": "he"}
    net = SpikingMLP.paper((40, 5, 3), fraction_bits=12, learning_rate=rate, **fields)
    random = np.random.RandomState(3)
    x = np.repeat(random.randint(0, 256, (5, 40)), 12, axis=0)
    x[:, 7] = random.randint(0, 256, 60)
    y = random.randint(0, 3, 60)
    for kind in (np.uint8, np.float64):
        x = x.astype(kind)
        with Simulator(net, "c:32") as sim, Simulator(net, "reference") as reference:
            for record in (True, False):
                shown = sim.train(x, y, record=record)
                expected = reference.train(x, y, record=record)
                if record:
                    parts = ("spikes", "errors", "step_scores")
                    for a, b in ((getattr(shown, part), getattr(expected, part)) for part in parts):
                        assert all(map(np.array_equal, a, b))
                    shown, expected = shown.scores, expected.scores
                assert np.array_equal(shown, expected)
                assert np.array_equal(sim.predict(x), reference.predict(x))
            assert sim.operations == reference.operations
            assert all(map(np.array_equal, sim.weights, reference.weights))
            assert sim._engine._current.library is not None
            work = sim._engine.work
            assert 0 < work.rows_read < reference.operations.messages
            assert 0 < work.multiply_adds < reference.operations.multiply_adds


@pytest.mark.parametrize("update", ["fractional", "outer"])
def test_work_in_full_is_what_the_rules_ask_for(update):
    """Rows of spikes below the output, and of errors above the first layer; each product once."""
    net = SpikingMLP.paper((6, 5, 4, 3), n_steps=4, update=update, learning_rate=0.1)
    random = np.random.RandomState(3)
    x, y = random.uniform(-1, 2, (20, 6)), random.randint(0, 3, 20)
    weights = [random.uniform(-1, 1, shape) for shape in net.weight_shapes]
    sim = Simulator(net, "c:32", weights)
    trace = sim.train(x, y, record=True)
    sent = (*trace.spikes[:-1], *trace.errors[2:])
    assert sim._engine.work == Work(sum(map(np.count_nonzero, sent)), sim.operations.multiply_adds)


def test_work_of_samples_that_the_reference_shows_is_counted():
    net = small(fraction_bits=14)
    weights = [np.full(shape, 3.0) for shape in net.weight_shapes]  # do not fit
    with Simulator(net, "c:16", weights) as sim:
        trace = sim.train(np.ones((3, 6)) / 8, [0, 1, 2], record=True)
        assert sim._engine._current.library is None
        rows = sum(map(np.count_nonzero, (*trace.spikes[:-1], *trace.errors[2:])))
        assert sim._engine.work == Work(rows, sim.operations.multiply_adds)


def test_networks_have_numbers_of_their_own():
    """Two simulators of one definition, and a copy, do not share what is static in C."""
    net = small()
    x, y = np.random.RandomState(1).uniform(-1, 2, (9, 6)), np.arange(9) % 3
    one, other = Simulator(net, "c"), Simulator(net, "c")
    one.train(x, y)
    assert other.samples_seen == 0
    other.train(x[:4], y[:4])
    copy = pickle.loads(pickle.dumps(other))
    other.train(x[4:], y[4:])
    one.close()
    assert copy.samples_seen == 4
    copy.train(x[4:], y[4:])
    for matrices in zip(one.weights, other.weights, copy.weights, strict=True):
        assert np.array_equal(matrices[0], matrices[1])
        assert np.array_equal(matrices[0], matrices[2])
    assert one.operations == other.operations == copy.operations


def test_a_script_that_leaves_an_estimator_open_ends_as_it_should():
    code = """
from spikebp_plugins import SpikingMLPRegressor
model = SpikingMLPRegressor(hidden_layer_sizes=(2,), backend="c", max_iter=1)
model.fit([[0.0], [1.0]], [0.0, 1.0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupt_between_blocks_keeps_what_was_learned(monkeypatch):
    net = small()
    x, y = np.random.RandomState(1).uniform(-1, 2, (9, 6)), np.arange(9) % 3
    sim = Simulator(net, "c")
    monkeypatch.setattr(type(sim._engine), "block_size", lambda *_: 2)
    show, calls = host_library.HostLibrary.show, []

    def interrupted(self, samples, record):
        shown = show(self, samples, record)
        calls.append(shown.n)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return shown

    monkeypatch.setattr(host_library.HostLibrary, "show", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sim.train(x, y)
    monkeypatch.setattr(host_library.HostLibrary, "show", show)
    assert sim.samples_seen == sim.operations.samples == 6
    sim.train(x[6:], y[6:])
    _, expected = trained("reference", net, x, y)
    assert sim.operations == expected.operations
    for a, b in zip(sim.weights, expected.weights, strict=True):
        assert np.array_equal(a, b)


def test_counters_are_emptied_before_they_are_full(monkeypatch):
    from spikebp_plugins.embedded import host_backend

    monkeypatch.setattr(host_backend, "MOST_COUNTED", 100)
    net = small()
    x, y = np.random.RandomState(1).uniform(-1, 2, (30, 6)), np.arange(30) % 3
    with Simulator(net, "c") as sim, Simulator(net, "reference") as reference:
        for i in range(30):
            sim.train(x[i : i + 1], y[i : i + 1])
            reference.train(x[i : i + 1], y[i : i + 1])
        assert sim.operations == reference.operations
        assert sim._engine._current.library.work.sum() < sum(vars(sim.operations).values())


def test_without_a_compiler_the_error_says_what_brings_one(monkeypatch):
    monkeypatch.setenv("CC", "/nowhere/cc")
    with pytest.raises(UnsupportedError, match=r"a compiler of C, and CC='/nowhere/cc' is found"):
        Simulator(small(), "c")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnsupportedError, match=r"none of cc, gcc, clang is found: .* brings one"):
        Simulator(small(), "c")


def test_what_a_compiler_refuses_is_in_the_error(monkeypatch):
    monkeypatch.setenv("CFLAGS", "-fno-such-flag")
    net = small(seed=77)  # not compiled before
    with pytest.raises(RuntimeError, match=r"no-such-flag.* failed: .*"):
        Simulator(net, "c").train(np.ones((1, 6)), [0])


def test_the_compiler_may_have_arguments(monkeypatch):
    monkeypatch.setenv("CC", f"{toolchain.find_compiler()[0]} -DANYTHING=1")
    sim = Simulator(small(seed=78), "c")
    assert sim.predict(np.ones((1, 6))).shape == (1, 3)


@pytest.mark.parametrize("refused", ["-march=native", "never"])
def test_a_compiler_may_refuse_to_compile_for_this_processor(refused, tmp_path, monkeypatch):
    given, compiler = tmp_path / "given", tmp_path / "cc"
    compiler.write_text(
        f"""#!/bin/sh
echo "$*" >> {given}
case "$*" in *{refused}*) exit 1;; esac
exec {shutil.which(toolchain.find_compiler()[0])} "$@"
"""
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    sources = {"one.c": "int one(void) { return 1; }"}
    assert toolchain.compiled_library(sources, "one.c")
    calls = given.read_text().splitlines()
    expected = [True, False] if refused == "-march=native" else [True]
    assert ["-march=native" in call for call in calls] == expected


def test_on_windows_libraries_have_its_suffix_and_are_freed(monkeypatch):
    freed = []
    of_windows = SimpleNamespace(FreeLibrary=freed.append)  # and no dlclose
    monkeypatch.setitem(sys.modules, "_ctypes", of_windows)
    monkeypatch.setattr(sys, "platform", "win32")
    for module in (toolchain, host_library):
        spec = importlib.util.spec_from_file_location(module.__name__, module.__file__)
        copy = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, module.__name__, copy)
        spec.loader.exec_module(copy)
    monkeypatch.setattr(sys, "platform", "linux")  # which runs what is compiled
    loaded = copy.HostLibrary(NetworkInC(small(), 16))
    library = loaded._library
    assert library._name.endswith(".dll")
    del loaded
    assert freed == [library._handle]


@pytest.mark.parametrize("bits", [16, "32", 64, None])
def test_the_option_takes_the_bits_of_a_weight(bits):
    with Simulator(small(), "c", weight_bits=bits) as sim:
        sim.train(np.ones((1, 6)), [0])
        assert sim._engine._networks[0].types.weight_bits == int(bits or 16)


@pytest.mark.parametrize("bits", [8, "many", 1.5])
def test_other_bits_are_refused(bits):
    with pytest.raises(ValueError, match="weight_bits of back end 'c' must be one of 16, 32, 64"):
        Simulator(small(), "c", weight_bits=bits)


def test_single_steps_are_refused_with_the_reason():
    with Simulator(small(), "c") as sim, pytest.raises(UnsupportedError, match="whole samples"):
        sim.stream()


def test_a_kernel_may_lie_on_padding_alone():
    net = SpikingNetwork.paper((1, 1), [Conv2D(2, 1, stride=2, padding=1), Dense(2)], n_steps=3)
    x, y = np.ones((4, 1)), [0, 1, 0, 1]
    assert np.array_equal(trained("c", net, x, y)[0], trained("reference", net, x, y)[0])
