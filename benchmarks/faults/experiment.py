"""What is interrupted and killed: a small network, its samples, and the same run undisturbed."""

from __future__ import annotations

import faulthandler
import hashlib
import importlib
import tempfile
import traceback
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import RandomState

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP

NET = SpikingMLP.paper((12, 10, 4), n_steps=5, learning_rate=0.3, seed=3)
ENCODER = EventEncoder(4, 3, step=1000, polarity="ignored")

#: Seconds after which a case hangs.
TIME_LIMIT = 100

#: Microseconds of a sample.
SAMPLE_TIME = NET.n_steps * ENCODER.step

#: Samples in a call, so that a call takes some hundredths of a second or a run of a simulator.
SAMPLES = {"compiled": 4000, "reference": 60, "brian2:numpy": 20, "lava": 40}

#: Where each back end says how much it shows between two looks at signals. It is set to so little
#: that a call of these few samples has several such blocks.
BLOCKS = {
    "compiled": ("spikebp_plugins.engine.backend", "BLOCK_WORK", 400 * NET.n_steps * 160),
    "brian2:numpy": ("spikebp_brian2.backend", "STEPS_PER_RUN", {"numpy": 50, "cython": 50}),
    "lava": ("spikebp_lava.backend", "STEPS_PER_RUN", 50),
}

WEIGHTS = [0.6 * RandomState(1).standard_normal(shape) for shape in NET.weight_shapes]


def simulator(backend: str) -> Simulator:
    """Return the network at its start, in short blocks."""
    if backend in BLOCKS:
        module, name, value = BLOCKS[backend]
        setattr(importlib.import_module(module), name, value)
    return Simulator(NET, backend, WEIGHTS)


def samples(random: RandomState, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return values for layer 0, and labels."""
    return random.uniform(-0.5, 2, (n, NET.n_inputs)), random.randint(0, NET.n_outputs, n)


def events(random: RandomState, n_samples: int) -> np.ndarray:
    """Return events of some samples, the first of which begins at 0."""
    time = np.sort(random.randint(0, n_samples * SAMPLE_TIME, 40 * n_samples))
    found = np.zeros(len(time), EVENT_DTYPE)
    found["t"] = time
    found["x"], found["y"] = random.randint(4, size=len(time)), random.randint(3, size=len(time))
    return found


def random_of(*case: object) -> RandomState:
    """Return the random numbers of a case."""
    digest = hashlib.sha256(repr(case).encode()).digest()
    return RandomState(np.frombuffer(digest, np.uint32))


def judged(number: int, play: Callable[[RandomState], dict], *case: object) -> dict:
    """Play a case with random numbers of its own, and return the verdict on it."""
    result = {"number": number, "verdict": "survived", "reason": ""}
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    try:
        result |= play(random_of(*case, number))
    except BaseException as error:
        reason = "".join(traceback.format_exception(error))[-1500:]
        result |= {"verdict": "failed", "reason": reason}
    faulthandler.cancel_dump_traceback_later()
    return result


def check_folder(path: Path, how: str) -> None:
    """Raise an error if there is more than a file, and what a kill left of it unfinished."""
    left = [file.name for file in path.parent.iterdir() if file != path]
    is_kill = how == "kill" and len(left) == 1 and left[0].startswith(".spikebp-")
    assert not left or is_kill, f"unfinished files {left}"


def saved(holder: Any) -> bytes:
    """Return the bytes of a checkpoint: equal states have equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.npz"
        holder.save(path)
        return path.read_bytes()


class Course:
    """Samples that a network learns again and again, and the undisturbed states after each."""

    LENGTH = 50

    def __init__(self, by_events: bool) -> None:
        random = RandomState(7)
        self.x, self.y = samples(random, self.LENGTH)
        self.events = [events(random, 1) for _ in range(self.LENGTH)] if by_events else None
        self._states = [saved(simulator("reference"))]

    @cached_property
    def _undisturbed(self) -> Simulator:
        return Simulator(NET, "compiled", WEIGHTS, n_jobs=1)

    def learn(self, sim: Simulator, number: int, stream: Any = None) -> None:
        """Learn one sample."""
        i = number % self.LENGTH
        if self.events is None:
            sim.train(self.x[i : i + 1], self.y[i : i + 1])
            return
        stream.feed(self.events[i], target=self.y[i], start=0)
        stream.advance_to(SAMPLE_TIME)
        stream.drop_sample()  # it is closed already; this stops the clock

    def stream(self, sim: Simulator) -> Any:
        """Return what learns from events, or None."""
        return None if self.events is None else sim.stream(ENCODER, n_steps=NET.n_steps)

    def after(self, n_samples: int) -> bytes:
        """Return the checkpoint of an undisturbed run after some samples."""
        stream = self.stream(self._undisturbed)
        while len(self._states) <= n_samples:
            self.learn(self._undisturbed, len(self._states) - 1, stream)
            self._states.append(saved(self._undisturbed))
        return self._states[n_samples]
