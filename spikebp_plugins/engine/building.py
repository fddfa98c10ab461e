"""Builds the library of the engine from its sources, with a compiler of the machine or `ziglang`.

Sources lie in folders `c` of the packages. Those that share headers of the engine are compiled and
linked with it, whatever they compute.

The build hook of the package calls it, ``python -m spikebp_plugins.engine.building`` does so by
hand. It needs nothing but Python's own library.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

#: The folder of the package, and where the sources of the engine are in it.
PACKAGE: Final = Path(__file__).parents[1]
ENGINE: Final = "engine/c"
#: The one source that is compiled once, and not for each build.
CHOICE: Final = "choice.c"


def library_name(target: str | None = None) -> str:
    """Return the name of the library for this machine, or for a target of zig."""
    is_windows = os.name == "nt" if target is None else "-windows-" in target
    return "_engine.dll" if is_windows else "_engine.so"


#: Not in the folder of the modules: there Python would take a file with such a name for a module.
LIBRARY: Final = PACKAGE / ENGINE / library_name()

#: Sums may wrap on the way; no product and sum of floating point are joined into one.
FLAGS: Final = (
    "-std=gnu11",
    "-O2",
    "-fwrapv",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fPIC",
)

#: The processors of x86-64 that have builds of their own, by the number of their level.
LEVELS: Final = {1: "x86-64", 3: "x86-64-v3", 4: "x86-64-v4"}

#: Left to itself, it compiles for the very processor that it runs on, and for a debugger.
ZIG: Final = (sys.executable, "-m", "ziglang", "cc", "-mcpu=baseline", "-g0")

#: The machines for which releases have wheels: the target of zig for each tag of a platform.
TARGETS: Final = {
    "manylinux_2_17_x86_64.manylinux2014_x86_64": "x86_64-linux-gnu.2.17",
    "manylinux_2_17_aarch64.manylinux2014_aarch64": "aarch64-linux-gnu.2.17",
    "macosx_10_13_x86_64": "x86_64-macos.10.13",
    "macosx_11_0_arm64": "aarch64-macos.11.0",
    "win_amd64": "x86_64-windows-gnu",
}

#: The engine counts in integers of 128 bits, which C has on machines of 64 bits alone.
IS_64_BIT: Final = sys.maxsize > 2**32

#: What a job compiles: a source, the object that it makes, and flags.
Job = tuple[Path, str, Sequence[str]]


class BuildError(RuntimeError):
    """The library could not be built; the message says why."""


def sources(package: Path) -> list[Path]:
    """Return all sources and headers in the folder of a package."""
    return sorted(package.glob("*/c/*.[ch]"))


def digest() -> str:
    """Return a hash of the sources, and of how they are compiled."""
    found = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sources(PACKAGE):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def levels(zig: bool = False, machine: str | None = None) -> dict[int, tuple[str, ...]]:
    """Return the flags of each build for this or another machine, which zig writes its own way."""
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64"):
        return {1: ()}
    names = {level: name.replace("-", "_") if zig else name for level, name in LEVELS.items()}
    return {level: (f"-march={name}",) for level, name in names.items()}


def compilers(target: str | None = None) -> list[list[str]]:
    """Return the commands of the compilers to try: first ``$CC``, last `ziglang`.

    For another machine, which zig names as a target, that is `ziglang` alone.
    """
    zig = [list(ZIG)] if find_spec("ziglang") else []
    if target is not None:
        return [[*command, "-target", target] for command in zig]
    named = (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"])
    return [command for command in named if command and shutil.which(command[0])] + zig


def build(
    to: Path = LIBRARY,
    extra: Sequence[str] = (),
    package: Path | None = None,
    only: Collection[int] = tuple(LEVELS),
    target: str | None = None,
    command: Sequence[str] | None = None,
) -> Path:
    """Compile all builds, and link them into one library, by the first compiler that does so.

    Parameters
    ----------
    to : Path
        The library.
    extra : sequence of str
        Further flags, behind the others.
    package : Path or None, default=None
        The folder in which the folders of the sources are; None takes that of the package.
    only : collection of int
        The levels to build of those that this kind of processor has.
    target : str or None, default=None
        The machine that runs the library, as zig names it; None is this one.
    command : sequence of str or None, default=None
        The one compiler to try; None tries those of `compilers`.

    Raises
    ------
    BuildError
        If this machine has 32 bits, there is no compiler, all fail, or the library cannot be
        written.
    """
    if target is None and not IS_64_BIT:
        raise BuildError("the engine needs a machine of 64 bits, and this Python is one of 32")
    failures = []
    with tempfile.TemporaryDirectory(prefix="spikebp-") as folder:
        for tried in [list(command)] if command else compilers(target):
            try:
                _compile(tried, folder, to.name, extra, package or PACKAGE, only, target)
                break
            except BuildError as error:
                failures.append(str(error))
        else:
            none = "there is no C compiler, and ziglang is not installed"
            raise BuildError("; ".join(failures) or none)
        # In one step, so that no process loads half a library.
        fresh = to.with_name(f"{to.name}.{os.getpid()}")
        try:
            shutil.copyfile(Path(folder, to.name), fresh)
            fresh.replace(to)
        except OSError as error:
            raise BuildError(f"{to} cannot be written: {error}") from error
    return to


def is_built() -> bool:
    """Return whether there is a library of these sources, and this machine loads it."""
    try:
        if digest().encode() not in LIBRARY.read_bytes():
            return False
    except OSError:
        return False
    # In a process of its own: a library that another machine has built may crash it.
    load = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    command = [sys.executable, "-c", load, str(LIBRARY)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _jobs(package: Path, flags_of: Mapping[int, Sequence[str]]) -> list[Job]:
    """Return what is compiled, for builds with these flags."""
    choice = package / ENGINE / CHOICE
    jobs: list[Job] = [(choice, "choice.o", (f'-DSOURCES="{digest()}"',))]
    for source in sources(package):
        if source.suffix == ".h" or source == choice:
            continue
        for level, flags in flags_of.items():
            for bits, integers in ((32, ()), (64, ("-DBITS64",))):
                name = f"{level}_{bits}"
                made = f"{source.stem}_{name}.o"
                jobs.append((source, made, (*flags, *integers, f"-DBUILD={name}")))
    return jobs


def _compile(
    command: Sequence[str],
    folder: str,
    name: str,
    extra: Sequence[str],
    package: Path,
    only: Collection[int],
    target: str | None,
) -> None:
    """Compile the library by one compiler, into a folder; the parameters are those of `build`."""
    is_zig = command[: len(ZIG)] == list(ZIG)
    flags_of = levels(is_zig, target and target.partition("-")[0])
    jobs = _jobs(package, {level: flags for level, flags in flags_of.items() if level in only})

    def compile_one(job: Job) -> None:
        source, made, flags = job
        flags = (*FLAGS, *flags, *extra)
        _run([*command, *flags, "-c", str(source), "-o", made], folder)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(compile_one, jobs))
    objects = [made for _, made, _ in jobs]
    # The engine needs nothing of the runtime of zig, which takes as long to compile.
    is_bare = is_zig and not name.endswith(".dll")
    libraries = ["-nostdlib", "-lc", "-lm"] if is_bare else ["-lm"]
    _run([*command, *extra, "-shared", *objects, "-o", name, *libraries], folder)


def _run(command: list[str], folder: str) -> None:
    """Run a compiler in a folder, which also holds the cache of zig and is deleted with it."""
    name = "ziglang" if command[: len(ZIG)] == list(ZIG) else command[0]
    settings = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder, "LC_ALL": "C"}
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BuildError(f"{name} cannot be run: {error}") from error
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        told = next((line for line in lines if "error:" in line), lines[-1])
        raise BuildError(f"{name} has failed: {told}")


if __name__ == "__main__":
    try:
        print(build())
    except BuildError as error:
        sys.exit(str(error))
