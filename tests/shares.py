"""Which conformance tests a short run does, of back ends that take long for each."""

import pytest

from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.checks import CHECKS


def marks(test):
    """Return the marks of a conformance test: a short run does training and, in turn, one more."""
    turn = CASES.index(test.case) % len(CHECKS)
    return [] if test.check in (CHECKS[0], CHECKS[turn]) else [pytest.mark.thorough]
