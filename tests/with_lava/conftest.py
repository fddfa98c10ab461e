"""Lava sets the start method of multiprocessing when it is imported, once for a process."""

import multiprocessing.resource_tracker
import os
import re
import time
from pathlib import Path
from typing import NamedTuple

import pytest


@pytest.fixture(autouse=True)
def nothing_remains():
    """Every test ends its processes and leaves no segment of shared memory."""
    # What other tests have started in this process, a pool of workers say, is none of these.
    before, others = segments(), set(children())
    yield
    deadline = time.monotonic() + 30
    left = segments() - before
    while time.monotonic() < deadline and (set(children()) - others or left):
        time.sleep(0.05)
        # Other tests may run beside this one: what they use comes and goes, what was left stays.
        left &= segments()
    assert set(children()) <= others
    assert not left


def children():
    """The processes that this one has started and that run, the tracker of memory apart."""
    tracker = multiprocessing.resource_tracker._resource_tracker._pid
    return [p.pid for p in running() if p.parent == os.getpid() and p.pid != tracker]


class Process(NamedTuple):
    pid: int
    parent: int
    session: int


def running():
    """The processes of this machine that have not ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if state != "Z":
            yield Process(int(path.parent.name), int(parent), int(session))


def segments():
    """The names of shared memory that no other process uses."""
    found = names_of_segments()
    if found:
        for path in Path("/proc").glob("[0-9]*/maps"):
            if path.parent.name != str(os.getpid()):
                try:
                    found -= set(re.findall(r"/dev/shm/(psm_\w+)", path.read_text()))
                except OSError:
                    continue
    # Its user may have ended, and taken it along, while we looked for users.
    return found & names_of_segments()


def names_of_segments():
    return {path.name for path in Path("/dev/shm").glob("psm_*")}
