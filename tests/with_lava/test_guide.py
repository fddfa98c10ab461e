"""Every piece of code of docs/lava.md and of the README's part on Lava runs as it stands."""

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from tests.documentation import sections
from tests.scripts import printed_by

pytestmark = pytest.mark.xdist_group("lava")  # each test looks for shared memory that is left

#: What the guide says that a section prints.
PRINTED = {
    "A first script": ["0.88"],
    "Variables and attributes": ["int64 float64"],
    "The two implementations": ["True"],
    "Input, labels, targets": ["20"],
    "Where a sample ends, and scores": ["3"],
    "Pipelined timing": ["0.885", "True"],
    "With other processes": ["[24. 46.]"],
    "Runs that cannot hang": ["index 150 is out of bounds for axis 0 with size 150", "10"],
}


GUIDE = sections("docs/lava.md")
README = {"In a Lava graph": sections("README.md")["In a Lava graph"]}
#: The first script as far as its first run: what the others are parts of.
BEGINNING = GUIDE["A first script"].partition("mlp.run(")[0]


@pytest.mark.parametrize(("title", "code"), (GUIDE | README).items(), ids=[*GUIDE, *README])
def test_code_runs_as_it_stands(title, code, tmp_path):
    """In a script of its own, as Lava forks it and looks after the end of it."""
    script = tmp_path / "script.py"
    whole = title in ("A first script", *README)
    script.write_text(code if whole else BEGINNING + code, encoding="utf-8")
    printed = printed_by(script, tmp_path)
    if title in PRINTED:
        assert printed.splitlines() == PRINTED[title]


def test_what_the_guide_prints_belongs_to_sections_that_it_has():
    assert PRINTED.keys() <= GUIDE.keys()
