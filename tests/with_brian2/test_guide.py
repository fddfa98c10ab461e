"""Every piece of code of docs/brian2.md and of the README's part on Brian2 runs as it stands."""

import shutil

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from tests.documentation import sections

#: What the guide says that a section prints.
PRINTED = {
    "A first script": "0.88",
    "Where a sample ends": "3",
    "Samples from Python": "None",
    "Several networks": "0.78",
    "cpp_standalone": "2437",
}
#: Three learn from more than a thousand digits, and one compiles a program.
THOROUGH = ("A first script", "Driven by your groups", "Several networks", "cpp_standalone")

GUIDE = sections("docs/brian2.md")
README = {title: code for title, code in sections("README.md").items() if "spikebp_brian2" in code}
#: The first script as far as its network: what the others are parts of.
BEGINNING = GUIDE["A first script"].partition("ends =")[0]


def pieces():
    for title, code in (GUIDE | README).items():
        marks = [pytest.mark.smoke] * (title in README)
        marks += [pytest.mark.thorough] * (title in THOROUGH)
        yield pytest.param(title, code, marks=marks, id=title)


@pytest.mark.parametrize(("title", "code"), list(pieces()))
def test_code_runs_as_it_stands(title, code, tmp_path, monkeypatch, capsys):
    if "cpp_standalone" in code and shutil.which("g++") is None:
        pytest.skip("cpp_standalone needs g++")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "guide"}
    if title == "Driven by your groups":  # it says which lines of the first script it replaces
        first = GUIDE["A first script"]
        rest = first[first.index("ends =") :]
        code = first[: first.index("net =")] + code + rest
    elif "import *" not in code:
        exec(BEGINNING, names)
    exec(code, names)
    printed = capsys.readouterr().out.splitlines()
    if title in PRINTED:
        assert PRINTED[title] in printed
    if title == "Driven by your groups":  # by spikes that are drawn
        assert float(printed[0]) > 0.8
