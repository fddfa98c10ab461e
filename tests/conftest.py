"""Hooks that make a session of tests short."""

import gc

from hypothesis import settings

from tests import profiles  # noqa: F401 (registers them)

settings.load_profile("default")


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
