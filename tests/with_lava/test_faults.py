"""A run cannot hang: whatever goes wrong ends it with one error, and nothing is left."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunContinuous, RunSteps

from spikebp_lava import SpikingMLPProcess
from spikebp_plugins import Simulator
from tests.interrupts import interrupts_get_through
from tests.with_lava.around import Faulty
from tests.with_lava.conftest import children, running
from tests.with_lava.graphs import (
    IMPLEMENTATIONS,
    N_STEPS,
    NET,
    Line,
    Samples,
    assert_same_state,
    configuration,
)

#: Steps that take minutes.
FOR_LONG = 1_000_000

#: Seconds within which a fault ends everything, on a busy machine too; what hangs takes for ever.
SOON = 30


@pytest.fixture(scope="module")
def samples():
    return Samples()


def seconds_of(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_model_that_raises_ends_the_run_with_its_traceback(samples, implementation):
    mlp, faulty = SpikingMLPProcess(NET, weights=samples.weights), Faulty(9, 17, 1.0)
    faulty.s_out.connect(mlp.spikes_in)
    mlp.run(condition=RunSteps(num_steps=10), run_cfg=configuration("floating_pt", implementation))
    before = mlp.checkpoint()
    shown = mlp.operations

    def run_on():
        with pytest.raises(ZeroDivisionError, match="nothing can be divided") as raised:
            mlp.run(condition=RunSteps(num_steps=1000))
        assert 'raise ZeroDivisionError("nothing' in str(raised.value.__cause__)

    assert seconds_of(run_on) < SOON
    assert_same_state(mlp.checkpoint(), before.state)
    assert mlp.operations == shown
    with pytest.raises(RuntimeError, match=r"has ended .*ZeroDivisionError.*make it anew"):
        mlp.run(condition=RunSteps(num_steps=1))
    mlp.stop()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_an_error_in_the_network_keeps_what_was_learned(samples, implementation):
    """Sums out of range, in the second run."""
    line = Line(samples)
    line.run(N_STEPS, configuration("floating_pt", implementation))
    _, state, _ = samples.by_reference()
    huge = line.mlp.weights[1]
    huge[...] = 2.0 ** (52 - NET.fraction_bits)
    line.mlp.weight_2.set(huge)
    with pytest.raises(OverflowError, match="of layer 2"):
        line.run(N_STEPS)
    assert np.array_equal(line.mlp.weights[0], state.weights[0])
    assert np.array_equal(line.mlp.weights[1], huge)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_a_killed_process_ends_the_run(samples, implementation):
    line = Line(samples)
    line.run(N_STEPS, configuration("fixed_pt", implementation))
    _, state, _ = samples.by_reference()
    killed = []

    def kill():
        os.kill(max(children()), signal.SIGKILL)
        killed.append(time.monotonic())

    threading.Timer(0.5, kill).start()
    with pytest.raises(RuntimeError, match="killed by signal 9 in the middle of a run"):
        line.run(FOR_LONG)
    assert time.monotonic() - killed[0] < SOON
    assert_same_state(line.mlp.checkpoint(), state)


@pytest.fixture
def interrupt_soon():
    """Press Ctrl-C half a second after a call, which returns when that will be."""
    # Whoever starts the tests may ignore SIGINT, and Brian2 has a handler of its own.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        return time.monotonic() + 0.5

    with interrupts_get_through():
        yield interrupt
    signal.signal(signal.SIGINT, previous)


def test_an_interrupt_ends_the_run(samples, interrupt_soon):
    line = Line(samples)
    line.run(N_STEPS, configuration("floating_pt", "leaf"))
    _, state, _ = samples.by_reference()
    interrupted = interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        line.run(FOR_LONG)
    assert time.monotonic() - interrupted < SOON
    assert_same_state(line.mlp.checkpoint(), state)


def test_a_fault_while_nobody_waits_is_found_by_the_next_call(samples):
    mlp, faulty = SpikingMLPProcess(NET, weights=samples.weights), Faulty(9, 7, 1.0)
    faulty.s_out.connect(mlp.spikes_in)
    mlp.run(condition=RunContinuous(), run_cfg=configuration("floating_pt", "leaf"))
    time.sleep(1)
    with pytest.raises(ZeroDivisionError):
        mlp.pause()
    mlp.stop()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_back_end_goes_on_after_an_interrupt(samples, implementation, interrupt_soon):
    x, y = np.tile(samples.x, (20_000, 1)), np.tile(samples.y, 20_000)
    backend = f"lava:tag=floating_pt,implementation={implementation}"
    with Simulator(NET, backend, samples.weights) as sim:
        sim.train(samples.x, samples.y)
        interrupt_soon()
        with pytest.raises(KeyboardInterrupt):
            sim.train(x, y)
        seen = sim.samples_seen
        assert 6 <= seen < len(x)
        sim.train(samples.x, samples.y)
        with Simulator(NET, "compiled", samples.weights) as expected:
            expected.train(samples.x, samples.y)
            expected.train(x[: seen - 6], y[: seen - 6])
            expected.train(samples.x, samples.y)
            assert_same_state(sim.checkpoint(), expected.checkpoint().state)


# It runs in the source tree, which must not hide the wheel that tox has installed.
SCRIPT = """
import os, sys
tree = sys.path.pop(0)
import spikebp_lava, spikebp_plugins
sys.path.insert(0, tree)
from tests.with_lava.graphs import *
line = Line(Samples())
line.run(N_STEPS, configuration("floating_pt", "leaf"))
print("ran", flush=True)
"""


def script(end):
    command = [sys.executable, "-c", SCRIPT + textwrap.dedent(end)]
    return subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("", 0, ""),
        ("raise KeyError('of the user')", 1, "KeyError: 'of the user'"),
        ("line.run(1_000_000, None)", None, "KeyboardInterrupt"),
    ],
    ids=["forgets to stop", "fails between runs", "is interrupted"],
)
def test_a_script_ends(end, code, message):
    with script(end) as process:
        assert process.stdout.readline() == "ran\n"
        if code is None:
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=SOON)
    assert message in errors
    assert errors.count("Traceback") <= 1
    assert code is None or process.returncode == code
    assert_all_end(process.pid)


def test_nothing_outlives_a_killed_script():
    with script("line.run(1_000_000, None)") as process:
        assert process.stdout.readline() == "ran\n"
        assert len(in_session(process.pid)) > 3
        process.kill()
    assert_all_end(process.pid)


def assert_all_end(leader):
    """Assert that a session is soon over; the fixture looks for its memory."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and in_session(leader):
        time.sleep(0.05)
    assert not in_session(leader)


def in_session(leader):
    """The processes of a session that run."""
    return [process.pid for process in running() if process.session == leader]
