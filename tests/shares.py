"""Which conformance tests a short run includes, for back ends that are slow."""

import pytest

from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.checks import CHECKS

#: Of the cases with connections that are not all dense, those of a short run: on every engine it
#: has all kinds, strides, padding, several channels, both timings and random feedback, with the
#: golden runs that the engine repeats.
OF_CONNECTIONS = (
    "convolution, strides, padding, several channels",
    "convolution, random feedback",
    "connections of all kinds, backward potentials drawn, initial weights of he",
    "convolution, pipelined timing",
)


def marks(test):
    """Return the marks of a test: a short run does training and one further check of each case."""
    case, turn = test.case, CASES.index(test.case) % len(CHECKS)
    is_asked = case.net.is_dense or case.feature in OF_CONNECTIONS
    is_short = is_asked and test.check in (CHECKS[0], CHECKS[turn])
    return [] if is_short else [pytest.mark.thorough]
