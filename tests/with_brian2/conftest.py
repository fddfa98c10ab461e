"""Fixtures for the tests with Brian2."""

import os
import sys

import pytest

from tests.with_brian2.experiment import NET, Experiment


@pytest.fixture(scope="session")
def experiment():
    return Experiment(NET)


@pytest.fixture(scope="session")
def experiment_with_counts():
    return Experiment(NET, counts=True)


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
