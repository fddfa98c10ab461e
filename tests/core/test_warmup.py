"""What is compiled ahead of time is all that a definition may need."""

import subprocess
import sys
import textwrap

import pytest
from numba.core import config

from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError, warmup
from tests.core.test_cli import run, run_json

#: Does what users do, in 32 bits and in 64, and prints what is compiled meanwhile.
USES = """
    import numpy as np
    from numba.core import event

    from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP, warmup

    class Listener(event.Listener):
        def on_start(self, event):
            if is_ready:
                print(event.data["dispatcher"])

        def on_end(self, event):
            pass

    is_ready = False
    event.register("numba:compile", Listener())
    net = SpikingMLP((4, 3, 2), n_steps=6, learning_rate=0.5)
    warmup(net)
    is_ready = True
    for size in (1.0, 1e4):
        sim = Simulator(net)
        x, y = size * np.ones((3, 4)), np.array([0, 1, 0])
        sim.train(x, y)
        sim.train(x, np.eye(2)[y], record=True)
        sim.predict(x)
        sim.train(np.repeat(x[:, np.newaxis], 6, axis=1), y)
        sim.predict(x, margin=0.5)
        for i in (0, 1, 2):
            sim.train(x[i : i + 1], y[i : i + 1])
            sim.predict(x[i : i + 1])
        stream = sim.stream(n_steps=6)
        for n_steps in (6, 3):
            stream.show(x[0], target=1, n_steps=n_steps)
        sim.predict(x)
        stream.drop_sample()
        stream = sim.stream(EventEncoder(4, 1, step=1, polarity="ignored"))
        for t in (0, 1, 2, 5):
            stream.feed(np.array([(0, 0, t, 1)] * int(size), EVENT_DTYPE), target=1)
        stream.advance_to(9)
        stream.close_sample()
        sim.checkpoint().simulate().train(x, y)
    print("done")
"""


@pytest.mark.thorough
def test_after_it_nothing_is_compiled():
    command = [sys.executable, "-c", textwrap.dedent(USES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["done"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fields", "backend"),
    [
        ({"timing": "event", "arithmetic": "float64"}, "compiled"),
        ({"input_coding": "spikes", "spikes": "binary"}, "compiled"),
        ({"timing": "pipelined"}, "compiled:n_jobs=1"),
        ({"input_coding": "spikes"}, "reference"),
    ],
)
def test_any_definition_can_be_warmed_up(fields, backend):
    warmup(SpikingMLP((2, 3, 2), **fields), backend)


def test_what_cannot_run_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="net must be a SpikingMLP or a SpikingNetwork; got 'net'"):
        warmup("net")
    with pytest.raises(ValueError, match="backend must be one of"):
        warmup(SpikingMLP((2, 2)), "nowhere")
    monkeypatch.setattr(config, "DISABLE_JIT", True)
    with pytest.raises(UnsupportedError, match="NUMBA_DISABLE_JIT"):
        warmup(SpikingMLP((2, 2)))


def test_the_command(tmp_path):
    done = run("warmup", "--backend", "reference")
    assert "compiling what is not compiled yet" in done.stderr
    assert done.stdout.endswith("reference: ready after 0 s\n")
    saved = tmp_path / "net.npz"
    Simulator(SpikingMLP((2, 2)), "reference").save(saved)
    assert run_json("warmup", saved, "--backend", "reference")["backend"] == "reference"
    refused = run("warmup", saved, "--rate", "0.1", "--spikes", "binary", exit_code=2)
    assert "left out with a checkpoint; got learning_rate, spikes" in refused.output
