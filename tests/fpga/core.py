"""The core in Verilator: equal to the reference in every number, refused or not, and its clocks."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from spikebp_fpga import backend, verilated
from spikebp_fpga.layout import Layout
from spikebp_fpga.tokens import CLOSE, SPIKE, STEP, TARGET
from spikebp_fpga.verilated import NETWORK, SOURCES, VerilatedCore
from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError, load_dataset
from spikebp_plugins.conformance import parametrize
from spikebp_plugins.embedded import from_state_bytes, to_c
from tests.documentation import ROOT
from tests.fpga.networks import (
    AT_THE_LIMIT,
    TOO_LARGE,
    Device,
    clock_differences,
    difference_after,
    first_difference,
    stream_difference,
    tools,
)
from tests.scripts import loaded

board = loaded(ROOT / "examples" / "board" / "emulated.py")
MNIST = Path(os.environ.get("SPIKEBP_DATA", "")) / "mnist"

pytestmark = tools("verilator", "g++")

#: Random networks in one test, so that few tests wait for the same simulation.
IN_A_TEST = 10


@parametrize("fpga")
def test_conformance(conformance_test):
    conformance_test.run()


@pytest.mark.parametrize("first", range(0, 300, IN_A_TEST))
def test_random_networks_equal_the_engine(first):
    for number in range(first, first + IN_A_TEST):
        assert first_difference(number) is None, number


@pytest.fixture
def refusals(monkeypatch):
    """How many samples the core has refused, and shown."""
    counted, show = {"refused": 0, "shown": 0}, VerilatedCore.show

    def counting(self, *arguments, **options):
        show(self, *arguments, **options)
        counted["shown" if arguments[1].has_fitted else "refused"] += 1

    monkeypatch.setattr(VerilatedCore, "show", counting)
    return counted


def test_tokens_may_stall(monkeypatch, refusals):
    show = VerilatedCore.show

    def stalling(self, tokens, shown):
        show(self, tokens, shown, stalls=len(tokens) + 1)

    monkeypatch.setattr(VerilatedCore, "show", stalling)
    for number in range(300, 330):
        assert first_difference(number) is None, number
    assert refusals["refused"] > 5
    assert refusals["shown"] > 100


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_sample_that_does_not_fit_changes_nothing(name, refusals):
    assert difference_after(name) is None
    assert refusals["refused"] > 0


@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_a_sample_at_a_limit_is_learned(name, refusals):
    assert difference_after(name) is None
    assert refusals["refused"] == 0


@pytest.mark.parametrize("seed", range(24))
def test_a_stream_has_steps_without_a_target_and_is_closed_or_dropped(seed):
    assert stream_difference(seed) is None


@pytest.mark.parametrize(
    "tokens",
    [
        [(SPIKE, 9, 1), (STEP, 0, 1)],
        [(TARGET, 3, 1), (STEP, 0, 1)],
        [(SPIKE, 0, 3)],
        [(STEP, 0, 1)] * 7,
    ],
    ids=["an input", "a target", "spikes without a step", "too many updates"],
)
def test_tokens_that_mean_nothing_are_refused(tokens):
    net = SpikingMLP((9, 7, 3), n_steps=6, update="fractional", learning_rate=0.05)
    with Simulator(net) as simulator:
        state = simulator.checkpoint().state
    device = Device(net, state)
    device.give((TARGET, 1, 9), (SPIKE, 2, 5), (STEP, 0, 1), *tokens)
    assert not device.core.show_tokens(np.array([(CLOSE, 0, 0)], np.int64))
    assert device.state.weights == state.weights
    assert device.core.show_tokens(np.array([(CLOSE, 0, 0)], np.int64))  # the next is a new sample


def test_clocks_are_those_of_the_formula():
    differences = [each for number in range(400, 460) for each in clock_differences(number)]
    assert len(differences) > 300
    assert set(differences) == {None}


def test_the_same_spikes_take_the_same_clocks_whatever_the_number_of_inputs():
    digits = load_digits()
    x, y = digits.data[:20] / 16, digits.target[:20]
    clocks = []
    for n_inputs in (64, 4096):
        net = SpikingMLP((n_inputs, 32, 10))
        wide = np.zeros((20, n_inputs))
        wide[:, :: n_inputs // 64] = x
        start = SpikingMLP((64, 32, 10)).init_weights()
        weights = [np.zeros(shape) for shape in net.weight_shapes]
        weights[0][:: n_inputs // 64] = start[0]
        with Simulator(net, "fpga", weights) as core:
            core.train(wide, y)
            clocks.append(core.work.clocks)
    assert clocks[0] == clocks[1]


def on_a_board(before, x, y, folder):
    """Return the checkpoint of an emulated microcontroller that has gone on from another."""
    to_c(before).save(folder)
    program = board.build(folder, next(iter(board.CORES.values())), folder / "learn.elf")
    return from_state_bytes(board.learn(program, folder, x, y).state, before)


def relayed(net, x, y, runners, folder):
    """Return the checkpoint after runners, each of which has learned a part of the samples."""
    with Simulator(net) as start:
        checkpoint = start.checkpoint()
    n = len(x) // len(runners)
    for i, name in enumerate(runners):
        here = slice(n * i, n * i + n)
        if name == "board":
            checkpoint = on_a_board(checkpoint, x[here], y[here], folder)
            continue
        with Simulator.from_checkpoint(checkpoint, name) as simulator:
            simulator.train(x[here], y[here])
            checkpoint = simulator.checkpoint()
    return checkpoint


@pytest.mark.skipif(board.why_no_board() is not None, reason=str(board.why_no_board()))
@pytest.mark.parametrize(("name", "n_hidden", "n"), [("digits", 32, 500), ("mnist", 50, 200)])
def test_it_is_relayed_to_a_board_and_back(name, n_hidden, n, tmp_path):
    if name == "mnist" and not MNIST.is_dir():
        pytest.skip("SPIKEBP_DATA does not name a folder with mnist/")
    data = load_dataset(name, raw=True)
    x, y = data.x_train[:n], data.y_train[:n]
    net = SpikingMLP((x.shape[1], n_hidden, 10), input_scale=data.input_scale)
    with Simulator(net) as alone:
        alone.train(x, y)
        expected = alone.checkpoint()
    runners = ["compiled", "fpga:4", "board", "fpga:16", "reference"]
    assert relayed(net, x, y, runners, tmp_path).state == expected.state


@pytest.mark.parametrize("moment", ["after the core has learned", "while it is counted"])
def test_an_interrupt_leaves_the_state_of_a_sample_boundary(moment, monkeypatch):
    digits = load_digits()
    x, y = digits.data[:6] / 16, digits.target[:6]
    net = SpikingMLP((64, 8, 10))
    owner, name = (VerilatedCore, "show") if moment.startswith("after") else (backend, "_recording")
    function, calls = getattr(owner, name), []

    def interrupted(*arguments):
        result = function(*arguments)
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(owner, name, interrupted)
    with Simulator(net, "fpga", lanes=2) as core, Simulator(net) as engine:
        with pytest.raises(KeyboardInterrupt):
            core.train(x, y)
        engine.train(x[:4], y[:4])
        assert core.checkpoint().state == engine.checkpoint().state
        assert core.operations == engine.operations
        core.train(x[4:], y[4:])
        engine.train(x[4:], y[4:])
        assert core.checkpoint().state == engine.checkpoint().state
        assert core.operations == engine.operations


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"feedback": "random"}, "feedback='transpose'"),
        ({"spikes": "binary"}, "spikes='graded'"),
        ({"timing": "pipelined"}, "timing='immediate'"),
        ({"fraction_bits": 30, "update": "outer"}, "fraction_bits up to 28"),
        ({"update": "outer", "learning_rate": 3.0, "fraction_bits": 24}, "17 bits"),
        ({"label_targets": (0.0, 1e9)}, "label_targets"),
        ({"n_steps": 5000, "spikes_per_unit": 1}, "n_steps times spikes_per_unit"),
    ],
)
def test_what_the_core_does_not_know_is_refused_by_name(fields, reason):
    with pytest.raises(UnsupportedError, match=reason):
        Simulator(SpikingMLP((4, 3, 2), **fields), "fpga")


def test_options_that_the_core_does_not_have_are_refused():
    net = SpikingMLP((4, 3, 2), update="outer", fraction_bits=29)
    with pytest.raises(UnsupportedError, match="with weight_bits=16 it has less than 29 fraction"):
        Simulator(net, "fpga", weight_bits=16)
    with pytest.raises(ValueError, match="lanes of back end 'fpga' must be one of 1, 2, 4, 8, 16"):
        Simulator(net, "fpga", lanes=3)


def test_without_verilator_a_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(verilated.shutil, "which", lambda _: None)
    assert "apt install verilator" in backend.FPGABackend.lack()
    with pytest.raises(UnsupportedError, match="no verilator is on the PATH"):
        Simulator(SpikingMLP((4, 3, 2)), "fpga")


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("weight_bits", [16, 18, 19, 24, 32])
def test_verilator_has_no_warning(lanes, weight_bits, tmp_path):
    layout = Layout.of(SpikingMLP((20, 9, 3)), lanes, weight_bits)
    network = tmp_path / "network.svh"
    network.write_text(layout.written(NETWORK, image="", network=0))
    # Bits that one of two widths does not need are no fault, and a chip does not use all outputs.
    unused = ["-Wno-UNUSEDSIGNAL", "-Wno-UNUSEDPARAM", "-Wno-PINCONNECTEMPTY"]
    done = subprocess.run(
        [*("verilator", "--lint-only", "-Wall", "--top-module", "spikebp_device", *unused)]
        + [str(path) for path in (network, *SOURCES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
