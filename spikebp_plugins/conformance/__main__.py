"""Run the suite from a shell: ``python -m spikebp_plugins.conformance NAME [NAME ...]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from spikebp_plugins.cli.output import EXPECTED_ERRORS, one_line, print_table
from spikebp_plugins.common.progress import progress_bar
from spikebp_plugins.conformance.case import Case
from spikebp_plugins.conformance.cases import CASES
from spikebp_plugins.conformance.suite import conformance_tests, run_conformance, unsupported_reason
from spikebp_plugins.conformance.table import Table


def run_table(backends: Sequence[str], cases: Sequence[Case] | None = None) -> Table:
    """Run the suite against some back ends, with a bar on a terminal.

    Raises
    ------
    ValueError, ImportError
        If a back end is not installed or cannot run; raised before any test runs.
    """
    for name in backends:
        unsupported_reason(name, CASES[0].net)
    table = Table()
    total = sum(1 for _ in conformance_tests(*backends, cases=cases))
    with progress_bar(total, "conformance", "tests") as bar:
        for name in backends:
            for result in run_conformance(name, cases):
                table.add(result)
                bar.update()
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m spikebp_plugins.conformance",
        description="Hold back ends against the reference, feature by feature.",
    )
    about_name = "an installed back end, with options behind a colon if any"
    parser.add_argument("backends", nargs="+", metavar="NAME", help=about_name)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args(arguments)
    try:
        table = run_table(list(dict.fromkeys(options.backends)))
    except EXPECTED_ERRORS as error:
        parser.error(one_line(error))
    if options.json:
        print(json.dumps({"equal": not table.failed, "backends": table.to_dict()}, indent=2))
    elif options.markdown:
        print(table.to_markdown(), end="")
    else:
        print_table("Equal to the reference", ("feature", *table.columns), table.rows())
        for number, reason in enumerate(table.reasons(), 1):
            print(f"({number}) {reason}")
    return int(table.failed)


if __name__ == "__main__":
    sys.exit(main())
