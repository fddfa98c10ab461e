"""A run cannot hang: what goes wrong in the network, in the back end, and in a script.

What goes wrong around a network, and who runs the graph then, is in `test_who_runs`.
"""

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

from spikebp_plugins import Simulator
from tests.interrupts import interrupts_get_through
from tests.with_lava.conftest import running
from tests.with_lava.graphs import N_STEPS, NET, Line, Samples, assert_same_state, configuration

#: Seconds within which a fault ends everything, on a busy machine too; what hangs takes for ever.
SOON = 30


def test_an_error_in_the_network_keeps_what_was_learned():
    """Sums out of range, in the second run."""
    samples = Samples()
    line = Line(samples)
    line.run(N_STEPS, configuration("floating_pt"))
    _, state, _ = samples.by_reference()
    huge = line.mlp.weights[1]
    huge[...] = 2.0 ** (52 - NET.fraction_bits)
    line.mlp.weight_2.set(huge)
    with pytest.raises(OverflowError, match="of layer 2"):
        line.run(N_STEPS)
    assert np.array_equal(line.mlp.weights[0], state.weights[0])
    assert np.array_equal(line.mlp.weights[1], huge)


def test_the_back_end_goes_on_after_an_interrupt():
    samples = Samples()
    x, y = np.tile(samples.x, (20_000, 1)), np.tile(samples.y, 20_000)
    # Whoever starts the tests may ignore SIGINT, and Brian2 has a handler of its own.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    with interrupts_get_through(), Simulator(NET, "lava:floating_pt", samples.weights) as sim:
        sim.train(samples.x, samples.y)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
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
    signal.signal(signal.SIGINT, previous)


# It runs in the source tree, which must not hide the wheel that tox has installed.
SCRIPT = """
import os, sys
tree = sys.path.pop(0)
import spikebp_lava, spikebp_plugins
sys.path.insert(0, tree)
from tests.with_lava.graphs import *
line = Line(Samples())
line.run(N_STEPS, configuration("floating_pt"))
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
    ("end", "stop", "code", "message"),
    [
        ("raise KeyError('of the user')", None, 1, "KeyError: 'of the user'"),
        pytest.param("", None, 0, "", marks=pytest.mark.thorough),
        pytest.param(
            "line.run(1_000_000, None)",
            lambda pid: os.killpg(pid, signal.SIGINT),  # as a terminal does
            None,
            "KeyboardInterrupt",
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["fails between runs", "forgets to stop", "is interrupted"],
)
def test_no_process_outlives_a_script(end, stop, code, message):
    with script(end) as process:
        assert process.stdout.readline() == "ran\n"
        if stop is not None:
            time.sleep(0.5)
            assert len(in_session(process.pid)) > 3
            stop(process.pid)
        _, errors = process.communicate(timeout=SOON)
    assert message in errors
    assert errors.count("Traceback") <= 1
    assert code is None or process.returncode == code
    assert_gone(process.pid)


#: A graph that never ends its first step, started in the main thread or in another one.
SPINS = """
import threading
from spikebp_lava.processes.network import PySpikingMLPModel
def spin(model):
    while True:
        pass
PySpikingMLPModel.run_spk = spin
def run():
    Line(Samples()).run(1, configuration("floating_pt"))
thread = threading.Thread(target=run)
thread.{method}()
"""


@pytest.mark.parametrize(
    ("thread", "number"),
    [
        pytest.param(
            thread,
            number,
            marks=() if (thread, number) == ("another", signal.SIGTERM) else pytest.mark.thorough,
        )
        for thread in ("this", "another")
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)
    ],
)
def test_no_process_outlives_a_script_that_is_killed(thread, number):
    """It has graphs between runs, and in a step that never ends."""
    with script(SPINS.format(method="run" if thread == "this" else "start")) as process:
        try:
            wait_until(lambda: len(in_session(process.pid)) >= 9)
        finally:
            # A terminal that closes sends its signal to all at once.
            (os.killpg if number == signal.SIGHUP else os.kill)(process.pid, number)
    assert process.returncode == -number
    assert_gone(process.pid)


def wait_until(holds):
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and not holds():
        time.sleep(0.05)
    assert holds()


def assert_gone(leader):
    """Assert that no process of a session is left; the fixture looks for its memory."""
    wait_until(lambda: not in_session(leader))


def in_session(leader):
    """The processes of a session that run."""
    return [process.pid for process in running() if process.session == leader]
