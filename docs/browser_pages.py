"""Make the pages in which networks learn digits: for the site, or into a folder that is named.

What the networks have learned is in ``docs/browser/``, as a page saves it. On the site a link to
such a file leads to its page.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
if find_spec("spikebp_plugins") is None:  # the site is built without installing it
    sys.path.insert(0, str(ROOT))

from spikebp_plugins import Checkpoint, SpikingMLP  # noqa: E402
from spikebp_plugins.embedded import from_state_bytes  # noqa: E402
from spikebp_plugins.network.state import initial_state  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

STATES = ROOT / "docs" / "browser"

#: The networks, as the commands of docs/browser.md train them: ``spikebp export-c --state`` writes
#: what they have learned. It has to be written anew when definitions have other fields.
DIGITS = SpikingMLP(
    (64, 60, 30, 10), input_scale=1 / 16, update="fractional", n_steps=8, spikes_per_unit=1,
    learning_rate=2.0**-7, label_targets=(0.25, 3), fraction_bits=14,
)  # fmt: skip
NETWORKS = {
    "digits": DIGITS,
    "mnist": DIGITS.replace(layer_sizes=(784, 100, 50, 10), input_scale=1 / 255),
}


def checkpoints() -> Iterator[tuple[str, Checkpoint]]:
    """Yield the name of each network, and what it has learned."""
    for name, net in NETWORKS.items():
        begin = Checkpoint(net, initial_state(net))
        yield name, from_state_bytes((STATES / f"{name}.bin").read_bytes(), begin)


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name of each page, and its text."""
    page_of = runpy.run_path(str(ROOT / "examples" / "browser" / "make_page.py"))["page_of"]
    for name, checkpoint in checkpoints():
        yield f"{name}.html", page_of(checkpoint, weight_bits=16)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to the site."""
    from mkdocs.structure.files import File

    for name, page in pages():
        files.append(File.generated(config, f"browser/{name}", content=page))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Lead links to what a network has learned to its page."""
    for name in NETWORKS:
        markdown = markdown.replace(f"](browser/{name}.bin)", f"](browser/{name}.html)")
    return markdown


def save(folder: Path) -> None:
    """Write the pages into a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in pages():
        (folder / name).write_text(page, "utf-8")


if __name__ == "__main__":
    save(Path(sys.argv[1]))
