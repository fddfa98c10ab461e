"""Fixtures for the tests with Brian2."""

import gc
import os
import sys

import pytest

#: With more of them, the collection of garbage before a run takes longer than the run itself.
MANY_OBJECTS = 50_000


@pytest.fixture(scope="session")
def experiment():
    return _experiment()


@pytest.fixture(scope="session")
def experiment_with_counts():
    return _experiment(counts=True)


def _experiment(**options):
    from tests.with_brian2.experiment import NET, Experiment  # which import Brian2

    return Experiment(NET, **options)


@pytest.fixture(autouse=True)
def fresh_brian2():
    """Give each test the runtime device, NumPy as its target, and nothing of the test before."""
    if (brian2 := sys.modules.get("brian2")) is None:
        yield
        return
    brian2.prefs.codegen.target = "numpy"
    # Without a number, make starts a compiler for each source at once.
    brian2.prefs.devices.cpp_standalone.extra_make_args_unix = [f"-j{os.cpu_count()}"]
    yield
    brian2.device.reinit()
    brian2.set_device("runtime")
    brian2.start_scope()
    brian2.defaultclock.dt = 0.1 * brian2.ms
    if len(gc.get_objects()) > MANY_OBJECTS:
        hide_from_collector()


def hide_from_collector():
    """Hide all objects from the collector of garbage, most of which Brian2 keeps for good.

    It remembers each line of code that it has ever parsed.
    """
    gc.collect()
    gc.freeze()
