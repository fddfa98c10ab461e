"""Run the suite from a shell: ``python -m spikebp_plugins.conformance NAME``."""

import argparse
import sys
from collections import defaultdict

from spikebp_plugins.conformance.suite import Result, run_conformance


def main() -> int:
    """Run the suite, print a line a feature, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spikebp_plugins.conformance")
    parser.add_argument("backend", help="name of an installed back end, with options if any")
    arguments = parser.parse_args()

    by_feature: dict[str, list[Result]] = defaultdict(list)
    for result in run_conformance(arguments.backend):
        by_feature[result.test.case.feature].append(result)
    failed = 0
    for feature, results in by_feature.items():
        failures = [result for result in results if result.outcome == "failed"]
        failed += len(failures)
        outcome = results[0].outcome if not failures else "failed"
        print(f"{feature:56}  {outcome}  {results[0].reason if not failures else ''}".rstrip())
        for failure in failures:
            print(f"    {failure.test.check.__name__}: {failure.reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
