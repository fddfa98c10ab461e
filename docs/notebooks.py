"""Execute the notebooks of the examples anew, and store them with what they print and draw.

``python docs/notebooks.py`` executes all of them, in half a minute; paths execute some. nbclient
and ipykernel are needed, which the dependency group ``notebooks`` has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "examples" / "notebooks"

#: What is the same wherever a notebook was executed.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def executed(path: Path) -> str:
    """Execute a notebook in a kernel of its own, and return it as it is to be stored."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # else it depends on the moment how what is printed is divided
    )
    # Otherwise the kernel says that what it sends to this process is not encrypted.
    client.extra_arguments = ["--log-level=ERROR"]
    client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return nbformat.writes(notebook) + "\n"


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of the examples if none")
    parser.add_argument("--folder", type=Path, help="where to store them; in their place if none")
    options = parser.parse_args()
    for path in options.notebooks or sorted(FOLDER.glob("*.ipynb")):
        target = path if options.folder is None else options.folder / path.name
        target.write_text(executed(path), "utf-8")


if __name__ == "__main__":
    main()
