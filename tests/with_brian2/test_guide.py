"""Every piece of code of docs/brian2.md and of the README's part on Brian2 runs as it stands."""

import shutil

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from tests.documentation import sections

pytestmark = pytest.mark.once

#: What the guide says that a section prints.
PRINTED = {
    "A first script": "0.88",
    "Where a sample ends": "3",
    "Pipelined timing": "100",
    "cpp_standalone": "2000",
}


GUIDE = sections("docs/brian2.md")
README = {"In a Brian2 script": sections("README.md")["In a Brian2 script"]}
#: The first script as far as its network: what the others are parts of.
BEGINNING = GUIDE["A first script"].partition("ends =")[0]


@pytest.mark.parametrize(("title", "code"), (GUIDE | README).items(), ids=[*GUIDE, *README])
def test_code_runs_as_it_stands(title, code, tmp_path, monkeypatch, capsys):
    if "cpp_standalone" in code and shutil.which("g++") is None:
        pytest.skip("cpp_standalone needs g++")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "guide"}
    if "import *" not in code:
        exec(BEGINNING, names)
    exec(code, names)
    if title in PRINTED:
        assert PRINTED[title] in capsys.readouterr().out.splitlines()
