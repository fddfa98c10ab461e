"""The shell lines of the README and of the guides: short ones run, of others each name is known."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from spikebp_plugins.cli.program import app
from tests.core.engine_copies import needs_engine
from tests.core.test_cli import run
from tests.documentation import ROOT, sections

LINES = {
    path.name: [
        line
        for block in sections(path.relative_to(ROOT), "sh").values()
        for line in block.replace("\\\n", "").splitlines()
    ]
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}
PAGES = [name for name, lines in LINES.items() if lines]

#: Commands that take seconds, on digits. The others repeat studies, or install something.
SHORT = {
    *("train", "predict", "compare", "backends", "export-c", "import-c", "export-fpga"),
    *("hardware-report", "fpga-report"),
}

#: Programs of others, whose own options are not checked.
OTHERS = {"apt-get", "git", "lint-imports", "mypy", "pip", "ruff", "source", "uv", "uvx", "cd"}

#: What may be asked for, by the name of the option, and where each is defined.
NAMES_OF_OTHERS = {
    r"\[([\w,-]+)\]": ("pyproject.toml", r"^{} = \["),
    r"--group (\S+)": ("pyproject.toml", r"^{} = \["),
    r"tox -m (\S+)": ("tox.ini", r"^ +{} = "),
}


def simple_commands(line):
    """Yield the words of each command of a line, without settings of the environment."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&()")
    lexer.whitespace_split = True
    words = []
    for word in [*lexer, "&&"]:
        if word in ("&&", "(", ")"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", word):
            words.append(word)


COMMANDS = {
    name: [words for line in LINES[name] for words in simple_commands(line)] for name in PAGES
}


def of_spikebp(words):
    """Return the arguments of ``spikebp`` in a command, which ``uv run`` may start, or None."""
    is_run = words[0] == "spikebp" or (words[0] == "uv" and "spikebp" in words)
    return words[words.index("spikebp") + 1 :] if is_run else None


def check_python(words):
    """Assert that a script or a module is there, and that it has the options."""
    if words[1] == "-m":
        found = find_spec(words[2])
        assert found is not None, words
        path, options = Path(found.origin), words[3:]
        path = path.parent if path.name == "__init__.py" else path
    else:
        path, options = ROOT / words[1], words[2:]
    assert path.exists(), words
    sources = path.glob("*.py") if path.is_dir() else [path]
    text = "\n".join(source.read_text("utf-8") for source in sources)
    for option in options:
        assert not option.startswith("--") or f'"{option}"' in text, words


def check(words):
    """Assert that the names in a command are known."""
    if (arguments := of_spikebp(words)) is not None:
        name, *rest = arguments
        typer.main.get_command(app).commands[name].make_context(name, rest)
    elif words[0] == "python":
        check_python(words)
    elif words[0] == "pytest":
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/")), words
    else:
        assert words[0] in OTHERS, words
        for asked, (file, defined) in NAMES_OF_OTHERS.items():
            for names in re.findall(asked, " ".join(words)):
                for name in names.split(","):
                    text = (ROOT / file).read_text("utf-8")
                    assert re.search(defined.format(name), text, re.MULTILINE), words


def check_all(commands):
    for words in commands:
        check(words)


@pytest.mark.parametrize("page", PAGES)
def test_each_name_in_a_shell_line_is_known(page):
    check_all(COMMANDS[page])


@pytest.mark.parametrize(
    "line",
    [
        "spikebp train --laiers 3",
        "pip install uv && uv run --extra all spikebp demos",
        "python benchmarks/board.py --fan libfann",
        "python benchmarks/boards.py",
        "python -m tests.silver",
        "pytest tests/core/test_nothing.py",
        'pip install ".[plots]"',
        "tocs -m rest",
    ],
)
def test_a_wrong_name_would_be_noticed(line):
    # Generations of Typer have the base of its errors in different modules.
    with pytest.raises((AssertionError, KeyError, typer.BadParameter.__base__)):
        check_all(simple_commands(line))


def runs(page):
    """Return the arguments of the commands of a page that run here."""
    given = [of_spikebp(words) for words in COMMANDS[page] if words[0] == "spikebp"]
    return [arguments for arguments in given if arguments[0] in SHORT]


@needs_engine
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)])
def test_short_shell_lines_run(page, tmp_path, monkeypatch):
    """One after the other, in one folder; those on MNIST learn digits, and for one epoch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for arguments in runs(page):
        if arguments[0] == "import-c" and not Path(arguments[1]).exists():
            checkpoint = arguments[arguments.index("--checkpoint") + 1]
            run("export-c", checkpoint, "--state", arguments[1])  # as a board or a page writes it
        shorter = ["--epochs", "1"] if {"--epochs", "mnist"} & set(arguments) else []
        is_train = arguments[0] == "train"
        run(*(word.replace("mnist", "digits") for word in arguments), *shorter * is_train)


def error_after(epochs, *options):
    """Return the test error that the command prints for its last epoch."""
    printed = run("train", "--epochs", epochs, *options).output
    return re.findall(rf"epoch {epochs}/{epochs}: test error (\S+) %", printed)[0]


def page_on_commands():
    return " ".join((ROOT / "docs" / "command_line.md").read_text("utf-8").split())


def test_the_network_of_the_page_on_commands_learns_to_the_error_that_it_says():
    assert f"a test error of {error_after(5)} % after five epochs" in page_on_commands()


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:no output of the network has fired")  # as the page says
def test_the_settings_of_the_paper_take_the_epochs_that_the_page_says():
    page = page_on_commands()
    (options,) = re.findall(r"Those of the paper are `(.+?)`", page)
    after = [error_after(epochs, *options.split()) for epochs in (5, 20)]
    assert f"is {after[0]} % after five epochs, and {after[1]} after 20" in page


def test_the_commands_without_json_are_those_that_the_page_names():
    commands = typer.main.get_command(app).commands
    without = {
        name
        for name, command in commands.items()
        if "--json" not in {option for given in command.params for option in given.opts}
    }
    assert without == {"export-c", "import-c", "export-fpga", "import-fpga"}
    assert "all but those that export and import have `--json`" in page_on_commands()
