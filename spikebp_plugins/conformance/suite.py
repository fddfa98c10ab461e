"""Running the cases: by hand, from a shell, or as tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from spikebp_plugins.backends import registry
from spikebp_plugins.backends.base import UnsupportedError
from spikebp_plugins.conformance.case import Case
from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.protocol import run_case
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.simulation.simulator import Simulator


class Result(NamedTuple):
    """The result of a test: "passed", "failed" or "unsupported", and why."""

    test: ConformanceTest
    outcome: str
    reason: str


@dataclass(frozen=True)
class ConformanceTest:
    """One case on one back end.

    Attributes
    ----------
    backend : str
        The back end, with options behind a colon if any.
    case : Case
        Definition and data.
    """

    backend: str
    case: Case

    def __str__(self) -> str:
        return f"{self.backend}-{self.case}"

    def run(self) -> str | None:
        """Run the test.

        Returns
        -------
        str or None
            None if everything was equal, or why the back end does not support the case.

        Raises
        ------
        AssertionError
            If the back end failed, or does not refuse what it declares as unsupported.
        """
        reason = unsupported_reason(self.backend, self.case.net)
        if reason is None:
            try:
                run_case(self.backend, self.case)
            except UnsupportedError as error:
                if self.case.margin is None:
                    raise
                return str(error)
            return None
        if not reason.strip():
            raise AssertionError("a back end must say why it does not support a definition")
        try:
            Simulator(self.case.net, self.backend).close()
        except UnsupportedError as error:
            if reason in str(error):
                return reason
            raise AssertionError(f"the error hides the reason {reason!r}: {error}") from error
        raise AssertionError(f"declared as unsupported ({reason}), but it was accepted")


def unsupported_reason(backend: str, net: Definition) -> str | None:
    """Return why a back end does not support a definition, or None if it does."""
    name, options = registry.parse_backend(backend)
    cls = registry.get_backend(name)
    return registry.refused_definition(cls, net, registry.check_options(cls, name, options))


def conformance_tests(
    *backends: str, cases: Sequence[Case] | None = None
) -> Iterator[ConformanceTest]:
    """Yield every test of the suite, or of some of its cases, for some back ends."""
    chosen = CASES if cases is None else cases
    for backend, case in itertools.product(backends, chosen):
        yield ConformanceTest(backend, case)


def run_conformance(backend: str, cases: Sequence[Case] | None = None) -> Iterator[Result]:
    """Run the suite against an installed back end and yield each result."""
    for test in conformance_tests(backend, cases=cases):
        try:
            reason = test.run()
        except Exception as error:
            yield Result(test, "failed", f"{type(error).__name__}: {error}")
        else:
            yield Result(test, "passed" if reason is None else "unsupported", reason or "")


def parametrize(*backends: str) -> Any:
    """Return a pytest decorator for a test function with the argument `conformance_test`."""
    import pytest

    tests = list(conformance_tests(*backends))
    return pytest.mark.parametrize("conformance_test", tests, ids=str)
