"""Notebooks run in a fresh kernel, and print what is stored in them."""

import json
from importlib.util import find_spec

import pytest

from tests.documentation import ROOT
from tests.scripts import completed


def notebooks_with(simulator):
    """Return the notebooks whose names begin with that of a simulator."""
    return sorted((ROOT / "examples" / "notebooks").glob(f"{simulator}_*.ipynb"))


def marks(simulator):
    """Return the marks of their tests."""
    needed = (simulator, "matplotlib", "nbclient", "ipykernel")
    missing = [name for name in needed if find_spec(name) is None]
    reason = f"not installed: {', '.join(missing)}"
    return [
        pytest.mark.thorough,
        pytest.mark.skipif(bool(missing), reason=reason),
    ]


def assert_prints_what_is_stored(path, folder):
    """Execute a notebook, and compare what it prints."""
    # What cells write to stderr is among their outputs. A kernel that shuts down may write there as
    # well, to the stderr of the process, when the event loop closes before its last task is done.
    completed(ROOT / "docs" / "notebooks.py", folder, str(path), "--folder", str(folder))
    (made,) = folder.iterdir()
    assert made.name == path.name
    (found, drawn), (stored, pictures) = without_pictures(made), without_pictures(path)
    outputs = [output for cell in found["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert found == stored, "to store it anew: python docs/notebooks.py"
    assert len(drawn) == len(pictures) > 1
    assert min(drawn) > 10_000


def without_pictures(path):
    """Return a notebook with a word in the place of each picture, and how long the pictures are."""
    notebook, lengths = json.loads(path.read_text("utf-8")), []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                lengths.append(len("".join(output["data"]["image/png"])))
                output["data"]["image/png"] = "a picture"
    return notebook, lengths
