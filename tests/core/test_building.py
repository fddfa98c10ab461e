"""The engine is compiled with what a machine has; where it cannot be, nothing half done is left."""

import importlib.util
import os
import platform
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from spikebp_plugins.engine import building
from spikebp_plugins.engine.library import best_level
from tests.core.engine_copies import needs_engine
from tests.documentation import ROOT

COMPILER = next(iter(building.compilers()), None)
PATH = os.environ["PATH"]
needs_compiler = pytest.mark.skipif(
    COMPILER is None or not building.IS_64_BIT, reason="there is no C compiler for the engine"
)

#: Sources that compile at once, in place of those of the engine.
SMALL = {
    f"{building.ENGINE}/choice.c": "const char *sources(void) { return SOURCES; }\n",
    **{
        name: f"""
#define JOINED(a, b) a##b
#define NAMED(a, b) JOINED(a, b)
int NAMED({Path(name).stem}_, BUILD) = 1;
"""
        for name in (f"{building.ENGINE}/engine.c", "event_order/c/event.c")
    },
}


def script(path, *lines):
    """Write a program that runs with any PATH."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def working(*flags):
    """Return a line that runs the compiler of this machine."""
    program, *others = COMPILER
    return f'PATH={PATH} {shutil.which(program, path=PATH)} {" ".join([*others, *flags])} "$@"'


def small(module, folder, monkeypatch):
    """Let a module compile small sources in a folder; return what is told of it."""
    for name, text in SMALL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(module, "PACKAGE", folder)
    monkeypatch.setattr(module, "LIBRARY", folder / building.ENGINE / "_engine.so")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    small(building, tmp_path, monkeypatch)
    return tmp_path / building.ENGINE


ENGINE_C = f"{building.ENGINE}/engine.c"


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A machine with no other programs than those in this folder, and no ziglang."""
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(building, "find_spec", {}.get)
    return tmp_path / "bin"


# --- Sources and flags


def test_the_digest_is_that_of_the_sources(sources):
    before = building.digest()
    (sources / "notes.txt").write_text("nothing that is compiled")
    assert building.digest() == before
    (sources / "engine.c").write_text(SMALL[ENGINE_C] + "\n")
    changed = building.digest()
    (sources / "engine.c").rename(sources / "other.c")
    renamed = building.digest()
    (building.PACKAGE / "event_order/c/event.h").write_text("")
    assert len({before, changed, renamed, building.digest()}) == 4


def test_the_digest_is_that_of_the_flags(sources, monkeypatch):
    before = building.digest()
    monkeypatch.setattr(building, "FLAGS", (*building.FLAGS, "-O3"))
    assert building.digest() != before


@pytest.mark.parametrize(
    ("machine", "zig", "level_4"),
    [("x86_64", False, "-march=x86-64-v4"), ("AMD64", True, "-march=x86_64_v4")],
)
def test_processors_of_x86_64_have_builds_of_their_own(machine, zig, level_4, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert building.levels(zig).keys() == {1, 3, 4}
    assert building.levels(zig)[4] == (level_4,)


def test_other_processors_have_one_build(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert building.levels() == building.levels(zig=True) == {1: ()}


@pytest.mark.parametrize(
    ("tag", "target", "name"),
    [
        ("manylinux_2_17_x86_64.manylinux2014_x86_64", "x86_64-linux-gnu.2.17", "_engine.so"),
        ("manylinux_2_17_aarch64.manylinux2014_aarch64", "aarch64-linux-gnu.2.17", "_engine.so"),
        ("macosx_10_13_x86_64", "x86_64-macos.10.13", "_engine.so"),
        ("macosx_11_0_arm64", "aarch64-macos.11.0", "_engine.so"),
        ("win_amd64", "x86_64-windows-gnu", "_engine.dll"),
    ],
)
def test_a_library_for_another_machine_has_its_builds_and_its_name(
    tag, target, name, sources, monkeypatch
):
    jobs = []
    monkeypatch.setattr(building, "find_spec", lambda name: name)
    monkeypatch.setattr(building, "_run", lambda command, _: jobs.append(command))
    monkeypatch.setattr(building.shutil, "copyfile", lambda _, to: to.write_text(""))
    monkeypatch.setattr(platform, "machine", lambda: "other")
    assert building.TARGETS[tag] == target
    library = building.build(sources / building.library_name(target), target=target)
    assert library.name == name
    assert all(job[1:4] == ["-m", "ziglang", "cc"] for job in jobs)
    assert all(job[job.index("-target") + 1] == target for job in jobs)
    flags = {flag for job in jobs for flag in job if flag.startswith("-march=")}
    assert flags == (
        {f"-march=x86_64{v}" for v in ("", "_v3", "_v4")} if "x86_64-" in target else set()
    )
    assert ("-nostdlib" in jobs[-1]) == (name == "_engine.so")


def test_for_another_machine_there_must_be_ziglang(programs, sources):
    with pytest.raises(building.BuildError, match="ziglang is not installed"):
        building.build(building.LIBRARY, target="x86_64-windows-gnu")


@pytest.mark.thorough
@pytest.mark.skipif(building.find_spec("ziglang") is None, reason="ziglang is not installed")
def test_ziglang_builds_a_library_for_another_machine(tmp_path):
    library = building.build(tmp_path / "_engine.so", target="aarch64-linux-gnu.2.17").read_bytes()
    assert library[:4] == b"\x7fELF"
    assert library[18:20] == b"\xb7\0"  # AArch64
    for text in (building.digest(), "show_1_32", "show_1_64", "show_relu_1_32", "GLIBC_2.17"):
        assert text.encode() in library
    versions = set(re.findall(rb"GLIBC_2\.(\d+)", library))
    assert max(map(int, versions)) <= 17


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").exists() or platform.machine() != "x86_64",
    reason="only Linux on x86-64 says what its processor has",
)
def test_the_level_is_that_of_the_processor():
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].split("\n")[0].split())
    level_3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
    level_4 = level_3 | {f"avx512{part}" for part in ("f", "bw", "cd", "dq", "vl")}
    assert best_level() == (4 if level_4 <= flags else 3 if level_3 <= flags else 1)


# --- The compiler


@needs_compiler
def test_the_compiler_that_is_asked_for_comes_first(programs, monkeypatch):
    script(programs / "cc", working())
    script(programs / "own", working())
    monkeypatch.setenv("CC", "own -pipe")
    assert building.compilers() == [["own", "-pipe"], ["cc"]]
    monkeypatch.setenv("CC", "missing")
    assert building.compilers() == [["cc"]]


@needs_compiler
@pytest.mark.parametrize(
    "broken", ["exit 1", working("-nostdinc"), working("-march=none")] if COMPILER else []
)
def test_a_compiler_that_does_not_compile_the_engine_is_passed_over(broken, programs, sources):
    (sources / "engine.c").write_text("#include <stdint.h>\n" + SMALL[ENGINE_C])
    script(programs / "cc", broken)
    script(programs / "gcc", working())
    building.build(building.LIBRARY)
    assert building.is_built()


def test_ziglang_comes_last(programs, monkeypatch):
    monkeypatch.setattr(building, "find_spec", lambda name: name)
    script(programs / "clang", "exit 1")
    assert [command[:4] for command in building.compilers()] == [["clang"], list(building.ZIG[:4])]


@needs_compiler
def test_all_that_fail_are_named_with_their_first_error(programs, sources):
    (building.PACKAGE / "event_order/c/event.c").write_text(
        "int f_error(void) { return nothing + more; }\n"
    )
    script(programs / "cc", working("-Wall"))
    script(programs / "gcc", "echo 'x.c: some' >&2; echo 'x.c:1: fatal error: y' >&2; exit 1")
    with pytest.raises(building.BuildError) as raised:
        building.build(building.LIBRARY)
    first, second = str(raised.value).split("; ")
    assert re.fullmatch(r"cc has failed: .*event\.c:1:\d+: error: .*nothing.*", first)
    assert second == "gcc has failed: x.c:1: fatal error: y"
    assert not building.LIBRARY.exists()


@needs_engine
def test_without_any_nothing_is_built(programs, sources):
    with pytest.raises(building.BuildError, match="no C compiler, and ziglang is not installed"):
        building.build(building.LIBRARY)
    assert not building.LIBRARY.exists()


def test_on_a_machine_of_32_bits_nothing_is_built(sources, monkeypatch):
    monkeypatch.setattr(building, "IS_64_BIT", False)
    with pytest.raises(building.BuildError, match="the engine needs a machine of 64 bits"):
        building.build(building.LIBRARY)
    assert not building.LIBRARY.exists()


# --- The library


@needs_compiler
def test_a_library_is_that_of_its_sources(sources):
    assert not building.is_built()
    building.build(building.LIBRARY)
    assert building.is_built()
    (sources / "more.h").write_text("")
    assert not building.is_built()


def test_a_library_that_cannot_be_loaded_is_none(sources):
    building.LIBRARY.write_bytes(b"of another machine " + building.digest().encode())
    assert not building.is_built()


@needs_compiler
def test_what_fails_leaves_the_library_as_it_was(sources):
    building.LIBRARY.write_text("older")
    (sources / "engine.c").write_text("#error cannot be\nint a;\nsome more;\n")
    with pytest.raises(building.BuildError, match=r"has failed: .*engine\.c:1.*error.*cannot be"):
        building.build(building.LIBRARY)
    assert building.LIBRARY.read_text() == "older"
    kept = {str(path.relative_to(building.PACKAGE)) for path in building.PACKAGE.rglob("*.*")}
    assert kept == {f"{building.ENGINE}/_engine.so", *SMALL}


@needs_compiler
def test_where_nothing_can_be_written_is_said(sources, tmp_path):
    with pytest.raises(building.BuildError, match=r"missing/_engine\.so cannot be written"):
        building.build(tmp_path / "missing" / "_engine.so")


# --- The hook


@pytest.fixture
def hook(tmp_path, monkeypatch):
    """The build hook of this checkout, with small sources; it collects what it displays."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.building, "find_spec", {}.get)
    small(module.building, tmp_path, monkeypatch)
    displayed = []
    app = SimpleNamespace(display_warning=displayed.append)
    made = module.EngineBuildHook(str(ROOT), {}, None, None, str(tmp_path), "wheel", app)
    return SimpleNamespace(made=made, module=module, displayed=displayed)


def build_data(hook):
    data = {"pure_python": True, "artifacts": []}
    hook.made.initialize("standard", data)
    return data


def test_without_a_compiler_ziglang_is_asked_for_and_the_wheel_is_pure(hook, programs):
    (asked,) = hook.made.dependencies()
    assert asked.startswith("ziglang>=")
    assert build_data(hook) == {"pure_python": True, "artifacts": []}
    (sentence,) = hook.displayed
    assert sentence.startswith("The engine in C is left out")
    assert "there is no C compiler" in sentence


@needs_compiler
def test_with_a_compiler_the_wheel_is_of_this_machine(hook):
    assert hook.made.dependencies() == []
    data = build_data(hook)
    assert data["artifacts"] == ["/spikebp_plugins/engine/c/_engine.so"]
    assert not data["pure_python"]
    assert data["tag"].startswith("py3-none-")
    assert data["tag"].endswith(platform.machine().lower())
    assert hook.displayed == []


@needs_compiler
def test_where_compilers_fail_ziglang_is_asked_for_and_it_is_said_how(hook, programs):
    (hook.module.building.PACKAGE / ENGINE_C).write_text("#error of this compiler\n")
    script(programs / "cc", working())
    (asked,) = hook.made.dependencies()
    assert asked.startswith("ziglang>=")
    assert build_data(hook) == {"pure_python": True, "artifacts": []}
    assert re.search(r"cc has failed: .*error: .*of this compiler\.$", hook.displayed[0])


def test_on_a_machine_of_32_bits_no_compiler_is_asked_for(hook, monkeypatch):
    monkeypatch.setattr(hook.module.building, "IS_64_BIT", False)
    assert hook.made.dependencies() == []
    assert build_data(hook) == {"pure_python": True, "artifacts": []}
    assert "needs a machine of 64 bits" in hook.displayed[0]


@needs_compiler
def test_nothing_is_compiled_twice(hook, programs):
    script(programs / "cc", working())
    first = build_data(hook)
    script(programs / "cc", "exit 1")
    assert hook.made.dependencies() == []
    assert build_data(hook) == first


@needs_compiler
def test_what_this_machine_cannot_load_is_left_out(hook, programs):
    script(
        programs / "cc",
        f"({working()}) || exit",
        # Of the right sources, and yet no library.
        'case "$*" in *_engine.so*) read -r text < choice.o; echo "$text" > _engine.so;; esac',
    )
    assert build_data(hook) == {"pure_python": True, "artifacts": []}
    assert "cannot be loaded" in hook.displayed[0]


@pytest.mark.parametrize(
    ("tags", "chosen"),
    [
        (("manylinux_2_36_x86_64", "manylinux2014_x86_64", "linux_x86_64"), "linux_x86_64"),
        (("musllinux_1_2_aarch64", "linux_aarch64"), "linux_aarch64"),
        (("macosx_14_0_arm64", "macosx_14_0_universal2"), "macosx_14_0_arm64"),
        (("win_amd64",), "win_amd64"),
    ],
)
def test_the_tag_is_that_of_the_machine(hook, tags, chosen, monkeypatch):
    monkeypatch.setattr(hook.module, "platform_tags", lambda: iter(tags))
    assert hook.module.platform_tag() == chosen


def test_a_wheel_for_another_machine_leaves_the_sources_alone(hook, programs, monkeypatch):
    def build(to, target):
        to.write_text(target)
        return to

    monkeypatch.setattr(hook.module.building, "build", build)
    monkeypatch.setenv("SPIKEBP_PLATFORM", "win_amd64")
    (asked,) = hook.made.dependencies()
    assert asked.startswith("ziglang>=")
    data = {"pure_python": True, "artifacts": [], "force_include": {}}
    hook.made.initialize("standard", data)
    ((library, place),) = data.pop("force_include").items()
    assert data == {"pure_python": False, "artifacts": [], "tag": "py3-none-win_amd64"}
    assert place == "spikebp_plugins/engine/c/_engine.dll"
    assert Path(library).read_text() == "x86_64-windows-gnu"
    hook.made.finalize("standard", data, "a.whl")
    assert not Path(library).parent.exists()
    assert not hook.module.building.LIBRARY.exists()
    monkeypatch.setenv("SPIKEBP_PLATFORM", "win32")
    with pytest.raises(ValueError, match=r"SPIKEBP_PLATFORM must be one of .*; got 'win32'"):
        hook.made.initialize("standard", data)
