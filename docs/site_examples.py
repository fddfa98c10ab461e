"""Bring the examples into the site: MkDocs refuses links that leave the folder of its pages.

On the repository a page links to ``../examples``. Here the same link leads to a page that lists
them, and a link to one of them to a copy of it. A notebook becomes a page, with the pictures that
are stored in it. Any other link that leaves docs/ is still refused.
"""

from __future__ import annotations

import ast
import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

EXAMPLES = Path(__file__).parents[1] / "examples"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples, and a page that lists them."""
    lines = ["# Examples", ""]
    for path in sorted(EXAMPLES.rglob("*.ipynb")):
        name = path.relative_to(EXAMPLES).with_suffix("").as_posix()
        page, pictures = as_page(path)
        title, summary = page.split("\n\n")[:2]
        title, summary = title.removeprefix("# "), " ".join(summary.split())
        lines.append(f"- [{title}]({name}.md), a notebook: {summary}")
        files.append(File.generated(config, f"examples/{name}.md", content=page))
        files.append(File.generated(config, f"examples/{name}.ipynb", abs_src_path=str(path)))
        for picture, content in pictures.items():
            where = f"examples/{Path(name).with_name(picture).as_posix()}"
            files.append(File.generated(config, where, content=content))
    for path in sorted(EXAMPLES.rglob("*.py")):
        name = path.relative_to(EXAMPLES).as_posix()
        if path.name != "__init__.py":
            summary = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
            lines.append(f"- [`{name}`]({name}): {' '.join(summary.split())}")
            files.append(File.generated(config, f"examples/{name}", abs_src_path=str(path)))
    files.append(File.generated(config, "examples/index.md", content="\n".join(lines)))
    return files


def as_page(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """Return the Markdown of a notebook, and its pictures by the names that the page gives them."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    heading = ""
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            heading = [heading, *re.findall(r"^#+ (.+)$", source, re.MULTILINE)][-1]
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for kind, content in outputs(cell):
            if kind == "text":
                parts.append(f"```text\n{content.rstrip()}\n```")
            else:
                name = f"{notebook.stem}_{len(pictures) + 1}.png"
                pictures[name] = b64decode(content)
                parts.append(f"![{heading}]({name})")
    # On the site examples are beside the pages, and notebooks are pages.
    page = re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", "\n\n".join(parts))
    page = page.replace("](../../docs/", "](../../")
    return f"{page}\n\n[This page as a notebook]({notebook.name})\n", pictures


def outputs(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return what a cell has printed, as "text", and drawn, as "picture" in base 64."""
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "image/png" in data:
            yield "picture", "".join(data["image/png"])
        else:
            yield "text", "".join(output["text"] if "text" in output else data["text/plain"])


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links to the examples to what `on_files` has added."""
    return (
        re.sub(r"\]\(\.\./examples/([\w/]+)\.ipynb\)", r"](examples/\1.md)", markdown)
        .replace("](../examples)", "](examples/index.md)")
        .replace("](../examples/", "](examples/")
    )
