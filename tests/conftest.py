"""Hooks that make a session of tests short."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from tests import profiles  # noqa: F401 (registers them)

settings.load_profile("default")

# Otherwise the reference might be held against itself. Processes that tests start inherit this.
os.environ["SPIKEBP_WAIT"] = "1"


def pytest_sessionstart(session):
    """Compile the kernels before test processes start, so that these find them in the cache."""
    count = session.config.getoption("numprocesses", None)
    if not count:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reporter.write_line("compiling the kernels, where they are not in the cache ...")
    script = Path(__file__).with_name("kernels.py")
    shares = [
        subprocess.Popen(
            [sys.executable, str(script), str(index), str(count), session.config.option.markexpr]
        )
        for index in range(count)
    ]
    codes = [share.wait() for share in shares]
    if any(codes):
        pytest.exit("a kernel did not compile", returncode=1)


def pytest_collection_modifyitems(items):
    """Put Lava first, which forks from test processes while they are small, and the core last.

    Whatever a test process imports and compiles stays in memory, and a fork copies the page table
    of that memory. The tests of the core are short, so that at the end no process waits long for
    another.
    """
    order = ("with_lava", "with_all", "with_brian2")

    def place(item):
        folder = item.path.parent.name
        return order.index(folder) if folder in order else len(order)

    items.sort(key=place)


def pytest_collection_finish(session):
    """Hide all imported objects from the garbage collector.

    Brian2 collects garbage before each run, and in the processes that Lava forks a collection
    copies the pages of all objects: both take long where a session has imported everything.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def by_numba(monkeypatch):
    """Let Numba's kernels show those networks too that the engine in C covers."""
    from spikebp_plugins.compiled.backend import CompiledBackend

    monkeypatch.setattr(CompiledBackend, "engine_for", classmethod(lambda cls, _: cls))
