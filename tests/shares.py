"""Which conformance tests a short run includes, for back ends that are slow."""

import pytest

from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.checks import CHECKS


def marks(test):
    """Return the marks of a test: a short run does training and one further check of each case."""
    turn = CASES.index(test.case) % len(CHECKS)
    return [] if test.check in (CHECKS[0], CHECKS[turn]) else [pytest.mark.thorough]
