"""Interrupts and kills at random moments, each followed by a comparison.

``python benchmarks/faults/stops.py HOW OPERATION BACKEND SEED FIRST LAST`` prints a line of JSON
for each case; there may be several of the first three, separated by commas.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import command
import numpy as np
from experiment import (
    ENCODER,
    NET,
    SAMPLE_TIME,
    SAMPLES,
    Course,
    check_folder,
    events,
    judged,
    samples,
    saved,
    simulator,
)
from numpy.random import RandomState

from spikebp_plugins import Checkpoint

#: Seconds within which a process that is killed may leave others behind.
SOON = 10

#: Seconds from its start within which a child is killed, by back end.
LIFE = {"compiled": 0.3, "reference": 0.3, "brian2:numpy": 3.0, "lava": 3.0}


class DifferenceError(AssertionError):
    """What is left is not what an undisturbed run has."""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise DifferenceError(what)


class Interrupts:
    """Ctrl-C at a random moment of a call."""

    def __init__(self) -> None:
        self.inside, self.came_inside = False, False
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        self.came_inside = self.inside
        raise KeyboardInterrupt

    def during(self, call: Callable[[], Any], delay: float) -> tuple[bool, Any]:
        """Return whether a call came to its end, and what it returned then."""
        self.came_inside = False
        ended, result = False, None
        timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            self.inside = True
            result = call()
            ended, self.inside = True, False
            timer.join()
            time.sleep(0.001)  # the handler is called at the latest here
        except KeyboardInterrupt:
            self.inside = False
        return ended, result


class InterruptedSimulator:
    """A simulator that is interrupted again and again, compared with one that never is."""

    def __init__(self, backend: str, folder: Path, interrupts: Interrupts) -> None:
        self.backend, self.path, self._interrupts = backend, folder / "net.npz", interrupts
        self.sim, self.undisturbed = simulator(backend), simulator("compiled")
        self.n = SAMPLES[backend]
        self._seconds = math.inf

    def case(self, operation: str, random: RandomState) -> None:
        """Interrupt an operation, go on, and compare."""
        getattr(self, operation)(random)
        check(saved(self.sim) == saved(self.undisturbed), "another state")

    def warm_up(self, operation: str) -> None:
        """Compile, and find out how long the operation takes."""
        for _ in range(3):
            getattr(self, operation)(None)

    def _during(self, call: Callable[[], Any], random: RandomState | None) -> tuple[bool, Any]:
        if random is not None:
            return self._interrupts.during(call, random.uniform(0, self._seconds))
        begin = time.monotonic()
        result = call()
        self._seconds = min(self._seconds, time.monotonic() - begin)
        return True, result

    def train(self, random: RandomState | None) -> None:
        x, y = samples(random or RandomState(0), self.n)
        before = self.sim.samples_seen
        ended, _ = self._during(lambda: self.sim.train(x, y), random)
        done = self.sim.samples_seen - before
        check(0 <= done <= self.n, f"{done} samples of {self.n}")
        check(done == self.n or not ended, f"no interrupt, and {done} samples of {self.n}")
        self.undisturbed.train(x[:done], y[:done])
        check(saved(self.sim) == saved(self.undisturbed), "not the state of a sample boundary")
        self.sim.train(x[done:], y[done:])
        self.undisturbed.train(x[done:], y[done:])
        check(self.sim.operations == self.undisturbed.operations, "other operations")

    def predict(self, random: RandomState | None) -> None:
        x, y = samples(random or RandomState(0), self.n)
        expected = self.undisturbed.predict(x)
        ended, found = self._during(lambda: self.sim.predict(x), random)
        check(not ended or np.array_equal(found, expected), "other scores")
        check(saved(self.sim) == saved(self.undisturbed), "a prediction that changed the state")
        check(np.array_equal(self.sim.predict(x), expected), "other scores afterwards")
        for each in (self.sim, self.undisturbed):
            each.train(x[:5], y[:5])

    def feed(self, random: RandomState | None) -> None:
        n, drawn = max(5, self.n // 20), random or RandomState(0)
        shown, target = events(drawn, n), int(drawn.randint(NET.n_outputs))
        cuts = np.sort(drawn.randint(0, len(shown), drawn.randint(1, 5)))
        before = self.sim.samples_seen
        stream = self.sim.stream(ENCODER, n_steps=NET.n_steps)

        def feed_all() -> None:
            for i, part in enumerate(np.split(shown, cuts)):
                stream.feed(part, target=target, start=None if i else 0)
            stream.advance_to(n * SAMPLE_TIME)

        ended, _ = self._during(feed_all, random)
        done = self.sim.samples_seen - before
        check(done == n or (0 <= done < n and not ended), f"{done} samples of {n}")
        stream.drop_sample()
        if done < n:
            start = done * SAMPLE_TIME
            stream.feed(shown[shown["t"] >= start], target=target, start=start)
            stream.advance_to(n * SAMPLE_TIME)
            stream.drop_sample()
        other = self.undisturbed.stream(ENCODER, n_steps=NET.n_steps)
        other.feed(shown, target=target, start=0)
        other.advance_to(n * SAMPLE_TIME)
        other.drop_sample()

    def save(self, random: RandomState | None) -> None:
        x, y = samples(random or RandomState(0), 1)
        self.sim.save(self.path)
        earlier = self.path.read_bytes()
        for each in (self.sim, self.undisturbed):
            each.train(x, y)
        later = saved(self.undisturbed)
        ended, _ = self._during(lambda: [self.sim.save(self.path) for _ in range(3)], random)
        check(self.path.read_bytes() in (earlier, later), "neither the earlier file nor the later")
        check(not ended or self.path.read_bytes() == later, "no interrupt, and the earlier file")
        self.sim.save(self.path)
        check(self.path.read_bytes() == later, "another file afterwards")
        check_folder(self.path, "interrupt")

    def close(self) -> None:
        self.sim.close()
        self.undisturbed.close()


def interrupted_cases(operation: str, backend: str, seed: int, numbers: range) -> Iterator[dict]:
    """Yield the verdict on each of some interrupts."""
    interrupts = Interrupts()  # first: Brian2 calls the handler that it finds
    played: InterruptedSimulator | None = None

    def play(random: RandomState) -> dict:
        nonlocal played
        if played is None:
            folder = folders.enter_context(tempfile.TemporaryDirectory())
            played = InterruptedSimulator(backend, Path(folder), interrupts)
            played.warm_up(operation)
        played.case(operation, random)
        return {"inside": interrupts.came_inside}

    with ExitStack() as folders:
        for number in numbers:
            result = judged(number, play, "interrupt", operation, backend, seed)
            if result["verdict"] == "failed":
                played = None  # the next case begins anew
            yield result
        if played is not None:
            played.close()


def victim(operation: str, backend: str, course: Course, path: Path, ready: int) -> None:
    """Work until somebody kills this process."""
    os.setsid()
    sim = simulator(backend)
    if operation == "predict":
        for number in range(5):
            course.learn(sim, number)
    sim.save(path)
    stream = course.stream(sim)
    os.write(ready, b"!")
    while True:
        if operation == "predict":
            sim.predict(course.x)
            continue
        for _ in range(1 if operation in ("save", "feed") else 5):
            course.learn(sim, sim.samples_seen, stream)
        for _ in range(20 if operation == "save" else 1):
            sim.save(path)


def in_session(leader: int) -> list[int]:
    """Return the processes of a session that run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = status.read_text("utf-8").rpartition(")")[2].split()[:4]
        except (OSError, ValueError):  # it has just ended
            continue
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found


def seconds_to_end(leader: int) -> float:
    """Return how long processes of a session go on, at most `SOON` and a bit."""
    begin = time.monotonic()
    while in_session(leader) and time.monotonic() - begin < SOON:
        time.sleep(0.02)
    return time.monotonic() - begin


def killed_case(operation: str, backend: str, course: Course, random: RandomState) -> dict:
    """Kill a process, and go on from what it has left."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.npz"
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                victim(operation, backend, course, path, writer)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        os.close(writer)
        is_ready = os.read(reader, 1) == b"!"
        os.close(reader)
        time.sleep(random.uniform(0, LIFE[backend]))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seconds = seconds_to_end(child)
        check(is_ready and os.WTERMSIG(status) == signal.SIGKILL, "it ended by itself")
        check(seconds < SOON, f"processes {in_session(child)} stay behind")
        n_seen = Checkpoint.load(path).state.samples_seen
        check(path.read_bytes() == course.after(n_seen), "not the checkpoint of a sample boundary")
        with Checkpoint.load(path).simulate("compiled" if backend == "lava" else backend) as sim:
            stream = course.stream(sim)
            for number in range(n_seen, n_seen + 5):
                course.learn(sim, number, stream)
            sim.save(path)
        check(path.read_bytes() == course.after(n_seen + 5), "it does not go on as it was")
        check_folder(path, "kill")
        return {"inside": True, "seconds": seconds, "samples": n_seen}


def killed_cases(operation: str, backend: str, seed: int, numbers: range) -> Iterator[dict]:
    """Yield the verdict on each of some kills."""
    course = Course(by_events=operation == "feed")
    course.after(5)  # compiles, so that children need not
    sim = simulator(backend)  # imports
    if backend != "lava":  # whose graph has threads, which do not get through a fork
        course.learn(sim, 0, course.stream(sim))
        sim.predict(course.x)
    sim.close()
    play = partial(killed_case, operation, backend, course)
    for number in numbers:
        yield judged(number, play, "kill", operation, backend, seed)


def judged_stops(
    how: str, operation: str, backend: str, seed: int, numbers: range
) -> Iterator[dict]:
    """Yield the verdict on each of some interrupts or kills."""
    if operation == "command":
        yield from command.cases(how, backend, seed, numbers)
    elif how == "interrupt":
        yield from interrupted_cases(operation, backend, seed, numbers)
    else:
        yield from killed_cases(operation, backend, seed, numbers)


def main() -> None:
    seed, first, last = map(int, sys.argv[4:7])
    for case in product(*(names.split(",") for names in sys.argv[1:4])):
        for result in judged_stops(*case, seed, range(first, last)):
            name = ":".join((*case, str(result["number"])))
            print(json.dumps({"case": name, **result}), flush=True)


if __name__ == "__main__":
    main()
