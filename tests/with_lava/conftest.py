"""The check that each test with Lava leaves no process and no shared memory behind."""

import multiprocessing.resource_tracker
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

#: Processes that earlier tests have left running for later ones, for example a pool of workers.
_of_others = set()


@pytest.fixture(autouse=True)
def no_process_remains():
    """Every test ends its processes and leaves no segment of shared memory."""
    _of_others.clear()
    _of_others.update(children())
    before = segments()
    yield
    deadline = time.monotonic() + 30
    left = segments() - before
    while time.monotonic() < deadline and (children() or left):
        time.sleep(0.05)
        # Other tests may run at the same time: their segments disappear, and those left here stay.
        left &= segments()
    assert not children()
    assert not left


@pytest.fixture
def make_line():
    """Return a maker of graphs of standard parts that end with their test, however that ends."""
    from tests.with_lava.graphs import StandardLine

    lines = []

    def make(*arguments, **options):
        lines.append(StandardLine(*arguments, **options))
        return lines[-1].connect()

    yield make
    for line in lines:
        line.mlp.stop()


def children():
    """The running processes that this test has started, in order, except the resource tracker."""
    tracker = multiprocessing.resource_tracker._resource_tracker._pid
    # Not in the order of their ids alone, which begin again at the smallest.
    started = sorted((p.start, p.pid) for p in running() if p.parent == os.getpid())
    return [pid for _, pid in started if pid not in {*_of_others, tracker}]


class Process(NamedTuple):
    pid: int
    parent: int
    session: int
    start: int


def running():
    """The processes of this machine that have not ended."""
    for pid, text in of_processes("stat"):
        state, parent, _, session, *more = text.rpartition(")")[2].split()
        if state != "Z":
            yield Process(pid, int(parent), int(session), int(more[15]))


def of_processes(name):
    """Yield the id of each process and what its file of this name says, unless it has just ended.

    A pattern for the files themselves would not do: it fails where a process ends meanwhile.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield int(folder.name), (folder / name).read_text()


def segments():
    """The names of shared memory that no other process uses."""
    found = names_of_segments()
    if found:
        for pid, text in of_processes("maps"):
            if pid != os.getpid():
                found -= set(re.findall(r"/dev/shm/(psm_\w+)", text))
    # While users were looked for, the user of a segment may have ended and removed the segment.
    return found & names_of_segments()


def names_of_segments():
    return {path.name for path in Path("/dev/shm").glob("psm_*")}
