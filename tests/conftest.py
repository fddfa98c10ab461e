"""Hooks that make a session of tests short."""

import gc

import pytest
from hypothesis import settings

from spikebp_plugins import UnsupportedError
from spikebp_plugins.engine.building import IS_64_BIT
from spikebp_plugins.engine.library import EngineMissingError, why_missing
from tests import profiles  # noqa: F401 (registers them)

settings.load_profile("default")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    """Skip a test whose fixtures need an engine that cannot be there."""
    return (yield from _skipping_without_engine())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Skip a test that needs an engine that cannot be there."""
    return (yield from _skipping_without_engine())


def _skipping_without_engine():
    """Skip what is refused for want of the engine on a machine of 32 bits, which cannot have it."""
    try:
        return (yield)
    except (EngineMissingError, UnsupportedError) as error:
        if IS_64_BIT or why_missing() not in str(error):
            raise
        pytest.skip("the engine needs a machine of 64 bits")


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
