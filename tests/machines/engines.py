"""The engine as other machines compile and run it is equal to the reference on this one."""

import pytest
from hypothesis import settings

from tests.machines.emulation import WITH_ENGINE, Engine

#: Random networks whole and in single steps, event order, the conformance suite, and golden runs.
TESTS = (
    "test_engine.py",
    "test_step_engine.py",
    "test_engine_backend.py",
    "test_event.py",
    "test_equal_back_ends.py",
    "test_golden.py",
)
USUAL = ("ARM64 by gcc-14", "ARM64 by zig", "Windows")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in USUAL else pytest.mark.thorough)
        for name in WITH_ENGINE
    ],
)
def test_tests_of_the_engine_pass(name, tmp_path):
    assert "skipped" not in run_tests(name, tmp_path, TESTS)


@pytest.mark.thorough
def test_products_and_sums_that_are_joined_into_one_would_be_noticed(tmp_path):
    with pytest.raises(AssertionError, match=r"FAILED .*test_the_network_follows_the_order"):
        run_tests("ARM64 by gcc-14", tmp_path, ["test_event.py"], "-ffp-contract=fast")


def run_tests(name, folder, tests, *flags):
    """Run tests of the core on the engine of a machine, compiled with further flags in a folder."""
    machine = WITH_ENGINE[name]
    if reason := machine.why_missing():
        pytest.skip(reason)
    profile = settings.get_current_profile_name()
    given = ["-p", "tests.machines.emulation", "--hypothesis-profile", profile, "-p", "no:xdist"]
    files = [f"tests/core/{file}" for file in tests]
    return Engine(machine, folder, flags).run("pytest", *given, *files)
