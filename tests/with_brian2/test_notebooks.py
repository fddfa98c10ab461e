"""The notebooks run in a fresh kernel, and print what is stored in them."""

import json
from importlib.util import find_spec

import pytest

from tests.documentation import ROOT
from tests.scripts import printed_by

NEEDED = ("brian2", "matplotlib", "nbclient", "ipykernel")
MISSING = [name for name in NEEDED if find_spec(name) is None]

pytestmark = [
    pytest.mark.once,
    pytest.mark.thorough,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

NOTEBOOKS = sorted((ROOT / "examples").rglob("*.ipynb"))


def without_pictures(path):
    """Return a notebook with a word in the place of each picture, and how long the pictures are."""
    notebook, lengths = json.loads(path.read_text("utf-8")), []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                lengths.append(len("".join(output["data"]["image/png"])))
                output["data"]["image/png"] = "a picture"
    return notebook, lengths


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_prints_what_is_stored_in_it(path, tmp_path):
    printed_by(ROOT / "docs" / "notebooks.py", tmp_path, str(path), "--folder", str(tmp_path))
    (made,) = tmp_path.iterdir()
    assert made.name == path.name
    (found, drawn), (stored, pictures) = without_pictures(made), without_pictures(path)
    outputs = [output for cell in found["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert found == stored, "to store it anew: python docs/notebooks.py"
    assert len(drawn) == len(pictures) > 1
    assert min(drawn) > 10_000


def test_there_are_two_and_they_are_small():
    assert len(NOTEBOOKS) == 2
    assert sum(path.stat().st_size for path in NOTEBOOKS) < 400_000
