"""Pieces of code in the README and the guides, to be run as they stand."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def sections(name, language="python"):
    """Return the code of each section of a page that has some, by title; "" is its beginning."""
    text = (ROOT / name).read_text(encoding="utf-8")
    parts = re.split(r"^###? (.+)$", text, flags=re.MULTILINE)
    pairs = zip(["", *parts[1::2]], parts[::2], strict=True)
    fence = rf"```{language}\n(.*?)```"
    code = {title: re.findall(fence, text, re.DOTALL) for title, text in pairs}
    return {title: "\n".join(blocks) for title, blocks in code.items() if blocks}
