"""Bring the examples into the site: MkDocs refuses links that leave the folder of its pages.

On the repository a page links to ``../examples``. Here the same link leads to a page that lists
them, and a link to one of them to a copy of it. Any other link that leaves docs/ is still refused.
"""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[1] / "examples"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples, and a page that lists them."""
    lines = ["# Examples", ""]
    for path in sorted(EXAMPLES.rglob("*.py")):
        name = path.relative_to(EXAMPLES).as_posix()
        if path.name != "__init__.py":
            summary = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
            lines.append(f"- [`{name}`]({name}): {' '.join(summary.split())}")
            files.append(File.generated(config, f"examples/{name}", abs_src_path=str(path)))
    files.append(File.generated(config, "examples/index.md", content="\n".join(lines)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links to the examples to what `on_files` has added."""
    return markdown.replace("](../examples)", "](examples/index.md)").replace(
        "](../examples/", "](examples/"
    )
