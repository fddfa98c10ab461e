"""Turn what docstrings borrow from reStructuredText into what Markdown can show.

Formulas become MathML, which browsers draw by themselves; roles become code; and the colons that
announce a literal block, which Markdown knows by its indentation, go. Estimators name the
parameters of their bases, as they do where they are imported.
"""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path
from typing import Any

from griffe import Class, Extension, Object
from latex2mathml.converter import convert

SHARED = Path(__file__).parents[1] / "spikebp_plugins" / "common" / "docstrings.py"
with_parameters = runpy.run_path(str(SHARED))["with_parameters"]


class Docstrings(Extension):
    """Rewrites each docstring before it is parsed."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[str, str] = {}

    def on_class_instance(self, *, cls: Class, **_: Any) -> None:
        """Keep the docstring of a class as it was written."""
        if cls.docstring is not None:
            self._written[cls.path] = cls.docstring.value

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Rewrite the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the parameters of its bases to the docstring of an estimator."""
        if any(str(decorator.value) == "with_shared_parameters" for decorator in cls.decorators):
            written = (self._written[base.path] for base in (cls, *cls.mro()))
            cls.docstring.value = markdown_of(with_parameters(*written))


def markdown_of(text: str) -> str:
    """Return a docstring as Markdown."""
    # Outside code, <name> and *.bin are parts of file names, not markup.
    text = re.sub(r"(`+).*?\1|<(?=\w)|\*(?=\.)", _plain, text, flags=re.S)
    text = re.sub(r"^( *)\.\. math::(.*\n?(?:\n|\1 +.*(?:\n|$))*)", _display, text, flags=re.M)
    text = re.sub(r":math:`([^`]+)`", _inline, text)
    text = re.sub(r":(?:attr|class|func|meth|mod):`([^`]+)`", r"`\1`", text)
    text = re.sub(r"^ *::\n", "", text, flags=re.M)
    return re.sub(r"::$", ":", text, flags=re.M)


def _plain(found: re.Match[str]) -> str:
    return {"<": "&lt;", "*": r"\*"}.get(found[0], found[0])


def _inline(found: re.Match[str]) -> str:
    # A formula that begins a paragraph must not become a block: Markdown knows a span better.
    return f"<span>{convert(' '.join(found[1].split()))}</span>"


def _display(found: re.Match[str]) -> str:
    lines = textwrap.dedent(found[2]).strip().removesuffix(r"\\").split(r"\\")
    # One formula a line; the marks that align them in columns mean nothing here.
    formulas = (" ".join(line.replace("&", "").split()) for line in lines)
    return "\n".join(
        f"{found[1]}{convert(formula, display='block')}\n" for formula in formulas if formula
    )
