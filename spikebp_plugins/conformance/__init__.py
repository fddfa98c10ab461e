"""The tests that every back end must pass: the same integers as the reference, for every option.

A back-end author runs the suite from a shell, and gets a table of features by back ends::

    python -m spikebp_plugins.conformance NAME [NAME ...]

or in pytest, with one test for each case::

    from spikebp_plugins.conformance import parametrize

    @parametrize("NAME")
    def test_conformance(conformance_test):
        conformance_test.run()

A definition that the back end declares as unsupported must raise `UnsupportedError` with the
declared reason; such a test ends as unsupported, with that reason.
"""

from spikebp_plugins.conformance.case import Case
from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.protocol import TracesDifferError
from spikebp_plugins.conformance.suite import (
    ConformanceTest,
    Result,
    conformance_tests,
    parametrize,
    run_conformance,
)
from spikebp_plugins.conformance.table import Cell, Table

__all__ = [
    "CASES",
    "Case",
    "Cell",
    "ConformanceTest",
    "Result",
    "Table",
    "TracesDifferError",
    "conformance_tests",
    "parametrize",
    "run_conformance",
]
