"""Lava sets the start method of multiprocessing when it is imported, once for a process."""

import multiprocessing.resource_tracker
import os
import re
import time
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def nothing_remains():
    """Every test ends its processes and leaves no segment of shared memory."""
    before = segments()
    yield
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (children() or segments() - before):
        time.sleep(0.05)
    assert not children()
    assert not segments() - before


def children():
    """The processes that this one has started and that run, the tracker of memory apart."""
    tracker = multiprocessing.resource_tracker._resource_tracker._pid
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parent.name)
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and pid != tracker:
            found.append(pid)
    return found


def segments():
    """The names of shared memory that no other process uses: other tests may run beside this."""
    found = {path.name for path in Path("/dev/shm").glob("psm_*")}
    if found:
        for path in Path("/proc").glob("[0-9]*/maps"):
            if path.parent.name != str(os.getpid()):
                try:
                    found -= set(re.findall(r"/dev/shm/(psm_\w+)", path.read_text()))
                except OSError:
                    continue
    return found
