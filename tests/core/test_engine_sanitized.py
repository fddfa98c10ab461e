"""The engine touches nothing but its arrays, does nothing undefined, and compiles unwarned."""

import re
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from spikebp_plugins.engine.building import CHOICE, FLAGS, PACKAGE, build, levels, sources
from spikebp_plugins.engine.library import best_level
from tests.core.engine_copies import Edit, run_event_networks, run_networks, skip_without_compiler

skip_without_compiler()

SANITIZERS = (
    "-O0",  # the unrolled loops would compile for minutes
    "-g",
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
)


def runtime(name):
    """Return the path of a library of gcc, or None."""
    if shutil.which("gcc") is None:
        return None
    command = ["gcc", f"-print-file-name={name}"]
    path = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    return str(path) if path.is_absolute() else None


RUNTIMES = [runtime(name) for name in ("libasan.so", "libubsan.so")]
needs_sanitizers = pytest.mark.skipif(None in RUNTIMES, reason="no gcc with its sanitizers found")


def run_sanitized(run, path, *arguments):
    options = {
        "LD_PRELOAD": " ".join(RUNTIMES),
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    return run(path, *arguments, **options)


@needs_sanitizers
@pytest.mark.parametrize(
    ("chosen", "n"),
    [
        pytest.param([best_level()], 16, id="few"),
        pytest.param(
            [level for level in levels() if level <= best_level()],
            100,
            id="many",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_sanitizers_report_nothing(chosen, n, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "gcc")
    library = build(tmp_path / "engine.so", SANITIZERS, only=chosen)
    for level in chosen:
        runs = [(run_networks, bits, n) for bits in (32, 64)]
        for run, *arguments in (*runs, (run_event_networks, n)):
            done = run_sanitized(run, library, level, *arguments)
            assert (done.returncode, done.stderr) == (0, "")


BEHIND_WEIGHTS = "((num *)net->layer[1].w)[net->layer[1].n_w * LANES]"
BEHIND_COUNTS = "((num *)net->layer[0].c)[net->layer[0].width * LANES]"
OPENED = "net->input_bound = 0;"

#: What no comparison with the reference sees.
UNSEEN = {
    "write": (Edit("sample.h", OPENED, f"{OPENED} {BEHIND_COUNTS} = 0;"), "use-after-poison"),
    "read": (Edit("sample.h", OPENED, f"net->input_bound = {BEHIND_WEIGHTS};"), "use-after-poison"),
    "shift": (Edit("engine.c", "(num)1 <<", "(num)1 << 64 <<"), "shift exponent"),
    "event": (
        Edit("event_sample.h", "net->sample_updates = 0;", "((real *)net->phi_y)[16] = 0;"),
        "use-after-poison",
    ),
}


@needs_sanitizers
@pytest.mark.parametrize(
    "name", [*UNSEEN][:1] + [pytest.param(n, marks=pytest.mark.thorough) for n in [*UNSEEN][1:]]
)
def test_sanitizers_would_report(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "gcc")
    edit, report = UNSEEN[name]
    library = build(tmp_path / "engine.so", SANITIZERS, edit.sources(tmp_path), only=[1])
    run = (run_event_networks, 12) if name == "event" else (run_networks, 32, 12)
    done = run_sanitized(run[0], library, 1, *run[1:])
    assert done.returncode != 0
    assert re.search(report, done.stderr)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_do_not_warn(compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} not found")
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only")
    compiled = [path for path in sources(PACKAGE) if path.suffix == ".c" and path.name != CHOICE]
    assert len(compiled) == 3
    for flags, source, bits in product(levels().values(), compiled, ([], ["-DBITS64"])):
        command = [compiler, *FLAGS, *warnings, *flags, "-DBUILD=1", *bits, source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
