"""Every piece of code of docs/lava.md, docs/hardware.md and the README's part on Lava runs.

The pieces of a page are run one after the other, each after the beginning of the first one: they
are parts of such a script.
"""

import re

import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from tests.documentation import ROOT, sections
from tests.scripts import printed_by

#: What docs/lava.md says that a section prints.
GUIDE_PRINTED = {
    "A first script": ["0.88"],
    "Look at potentials": [
        "[ 0.1   0.15  0.23  0.32  0.41  0.46 -0.44 -0.41 -0.31 -0.25]",
        "[0. 0. 0. 0. 0. 0. 1. 0. 0. 0.]",
    ],
    "Variables and attributes": ["int64 float64"],
    "Where a sample ends": ["3"],
    "With other processes": ["[35. 47.]"],
    "Several networks": ["0.92", "0.78", "0.97"],
    "Checkpoints": ["2"],
}
#: What the page on hardware says that a section prints: these words, line by line.
HARDWARE_PRINTED = {
    "What a network needs of a chip": [
        "784-200-200-10",
        "                     layer 0  layer 1  layer 2  layer 3   a core holds",
        "neurons                  784      200      200       10          8,192",
        "synapses                   0  196,800   42,000    2,000              -",
        "fan-in of a neuron         0      984      210      200              -",
        "fan-out of a neuron      200      200      210      200              -",
        "axons that arrive          0      984      210      200              -",
        "axons that leave       1,568      200      600       10              -",
        "largest message          127      127      127      127  2,147,483,647",
        "bytes of states        2,352    1,800    1,800       90              -",
        "bytes of synapses          0  196,800   42,000    2,000              -",
        "bytes for learning         0    2,368      610      210              -",
        "bytes in all           2,352  200,968   44,410    2,300        196,608",
        "cores                      1        2        1        1              -",
    ],
    "In NeuroBench's definitions": [
        "footprint           15,536.000",
        "connection_sparsity      0.001",
        "activation_sparsity      0.861",
        "effective_macs       1,417.833",
        "effective_acs       19,294.150",
        "dense               74,000.000",
    ],
    "A graph of standard parts": ["True", "True"],
    "As a back end": ["True"],
    "Process models of your own": ["True"],
    "Comparing a recording": ["None", "spikes differ at sample 2, step 4, layer 1, unit 7"],
}


def printed_by_sections(pieces, beginning, folder):
    """Run the pieces in one script, and return what each of them prints, by its title."""
    (first, code), *others = pieces.items()
    codes = {first: code} | {title: beginning + code for title, code in others}
    script = folder / "script.py"
    script.write_text(
        "\n".join(f"print('##', {title!r})\n{code}" for title, code in codes.items()),
        encoding="utf-8",
    )
    _, *parts = re.split(r"^## (.+)\n", printed_by(script, folder), flags=re.MULTILINE)
    return {title: text.splitlines() for title, text in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.thorough
def test_code_of_the_guide_prints_what_it_says(tmp_path):
    pieces = sections("docs/lava.md")
    beginning = pieces["A first script"].partition("mlp.run(")[0]
    printed = printed_by_sections(pieces, beginning, tmp_path)
    guide = (ROOT / "docs" / "lava.md").read_text("utf-8")
    for title, expected in GUIDE_PRINTED.items():
        assert printed[title] == expected
        assert all(line in guide for line in expected)


@pytest.mark.thorough
def test_code_of_the_page_on_hardware_prints_what_it_says(tmp_path):
    pieces = sections("docs/hardware.md")
    title = "A graph of standard parts"
    beginning = pieces[title].partition("mlp = StandardMLP(")[0]
    pieces = {title: pieces.pop(title)} | pieces
    page = (ROOT / "docs" / "hardware.md").read_text("utf-8")
    for title, lines in printed_by_sections(pieces, beginning, tmp_path).items():
        expected = HARDWARE_PRINTED.get(title, [])
        assert [line.partition(": ")[0] for line in lines] == expected
        assert all(line in page for line in expected)


def test_code_of_the_readme_runs(tmp_path):
    (code,) = (code for code in sections("README.md").values() if "spikebp_lava" in code)
    script = tmp_path / "script.py"
    script.write_text(code, encoding="utf-8")
    printed_by(script, tmp_path)
