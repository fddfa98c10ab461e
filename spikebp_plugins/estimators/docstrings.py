"""Docstrings of classes that take the parameters of their bases, each described once.

Without imports: docs/site_docstrings.py, which imports nothing of the package, runs this file.
"""

HEADING = "Parameters\n----------\n"


def with_parameters(docstring: str, *others: str) -> str:
    """Return a docstring whose list of parameters goes on with those that end others."""
    before, heading, after = docstring.partition(HEADING)
    own, gap, rest = after.partition("\n\n")
    parameters = "\n".join([own, *(other.partition(HEADING)[2] for other in others)])
    return before + heading + parameters + gap + rest
