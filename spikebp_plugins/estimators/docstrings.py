"""Docstrings of classes that take the parameters of their bases, each described once.

Without imports: docs/site_docstrings.py, which imports nothing of the package, runs this file.
"""

HEADING = "Parameters\n----------\n"
ATTRIBUTES = "Attributes\n----------\n"


def with_parameters(docstring: str, *others: str) -> str:
    """Return a docstring whose list of parameters goes on with those that end others.

    Without such a list it has attributes, before which one begins.
    """
    if HEADING not in docstring:
        docstring = docstring.replace(ATTRIBUTES, f"{HEADING}\n\n{ATTRIBUTES}", 1)
    before, heading, after = docstring.partition(HEADING)
    own, gap, rest = after.partition("\n\n")
    lists = (own, *(other.partition(HEADING)[2] for other in others))
    parameters = "\n".join(filter(None, lists))
    return before + heading + parameters + gap + rest
