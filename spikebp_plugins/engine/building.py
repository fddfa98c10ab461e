"""Builds the library of the engine from its sources, with a compiler of the machine or `ziglang`.

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
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parent / "c"


def library_name(target: str | None = None) -> str:
    """Return the name of the library for this machine, or for a target of zig."""
    is_windows = os.name == "nt" if target is None else "-windows-" in target
    return "_engine.dll" if is_windows else "_engine.so"


#: Not in the folder of the modules: there Python would take a file with such a name for a module.
LIBRARY: Final = SOURCES / library_name()

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

#: A program that tests a compiler, which may be installed without headers and libraries.
TRIAL: Final = """
#include <math.h>
#include <stdint.h>
#include <string.h>
int64_t trial(double x) { return (int64_t)rint(x); }
"""


class BuildError(RuntimeError):
    """The library could not be built; the message says why."""


def digest() -> str:
    """Return a hash of the sources, and of how they are compiled."""
    found = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def levels(zig: bool = False, machine: str | None = None) -> dict[int, tuple[str, ...]]:
    """Return the flags of each build for this or another machine, which zig writes its own way."""
    if (machine or platform.machine()).lower() not in ("x86_64", "amd64"):
        return {1: ()}
    names = {level: name.replace("-", "_") if zig else name for level, name in LEVELS.items()}
    return {level: (f"-march={name}",) for level, name in names.items()}


def machine_compiler() -> list[str] | None:
    """Return the command of a compiler of this machine that works, first ``$CC``, or None."""
    commands = (os.environ.get("CC", "").split(), ["cc"], ["gcc"], ["clang"])
    return next((command for command in commands if command and _works(command)), None)


def compiler() -> list[str] | None:
    """Return the command of a compiler of this machine, else of `ziglang`, or None."""
    command = machine_compiler()
    return list(ZIG) if command is None and find_spec("ziglang") else command


def zig_for(target: str) -> list[str] | None:
    """Return the command of `ziglang` for another machine, or None."""
    return [*ZIG, "-target", target] if find_spec("ziglang") else None


def build(
    to: Path = LIBRARY,
    extra: Sequence[str] = (),
    sources: Path | None = None,
    only: Collection[int] = tuple(LEVELS),
    target: str | None = None,
) -> Path:
    """Compile all builds, and link them into one library.

    Parameters
    ----------
    to : Path
        The library.
    extra : sequence of str
        Further flags, behind the others.
    sources : Path or None, default=None
        The folder of the sources; None takes those of the package.
    only : collection of int
        The levels to build of those that this kind of processor has.
    target : str or None, default=None
        The machine that runs the library, as zig names it; None is this one.

    Raises
    ------
    BuildError
        If there is no compiler, it fails, or the library cannot be written.
    """
    command = compiler() if target is None else zig_for(target)
    if command is None:
        raise BuildError("there is no C compiler that works, and ziglang is not installed")
    zig, sources = command[: len(ZIG)] == list(ZIG), sources or SOURCES
    machine = target and target.partition("-")[0]
    with tempfile.TemporaryDirectory(prefix="spikebp-") as folder:
        jobs: list[tuple[str, str, Sequence[str]]] = [
            ("choice.c", "choice.o", (f'-DSOURCES="{digest()}"',))
        ]
        for level, flags in levels(zig, machine).items():
            if level not in only:
                continue
            for bits, integers in ((32, ()), (64, ("-DBITS64",))):
                name = f"{level}_{bits}"
                for source in ("engine", "event"):
                    made = f"{source}_{name}.o"
                    jobs.append((f"{source}.c", made, (*flags, *integers, f"-DBUILD={name}")))
            jobs.append(("relu.c", f"{level}_relu.o", (*flags, f"-DBUILD={level}")))

        def compile_one(job: tuple[str, str, Sequence[str]]) -> None:
            source, name, flags = job
            flags = (*FLAGS, *flags, *extra)
            _run([*command, *flags, "-c", str(sources / source), "-o", name], folder)

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(compile_one, jobs))
        objects = [name for _, name, _ in jobs]
        # The engine needs nothing of the runtime of zig, which takes as long to compile.
        is_bare = zig and not library_name(target).endswith(".dll")
        libraries = ["-nostdlib", "-lc", "-lm"] if is_bare else ["-lm"]
        _run([*command, *extra, "-shared", *objects, "-o", to.name, *libraries], folder)
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


def _works(command: list[str]) -> bool:
    flags = [*FLAGS, *list(levels().values())[-1]]
    with tempfile.TemporaryDirectory(prefix="spikebp-") as folder:
        Path(folder, "trial.c").write_text(TRIAL, encoding="utf-8")
        try:
            _run([*command, *flags, "-shared", "trial.c", "-o", "trial", "-lm"], folder)
        except BuildError:
            return False
    return True


def _run(command: list[str], folder: str) -> None:
    """Run a compiler in a folder, which also holds the cache of zig and is deleted with it."""
    caches = {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | caches,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BuildError(f"{command[0]} cannot be run: {error}") from error
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines() or ["no message"]
        told = next((line for line in lines if "error" in line), lines[-1])
        raise BuildError(f"{command[0]} has failed: {told}")


if __name__ == "__main__":
    try:
        print(build())
    except BuildError as error:
        sys.exit(str(error))
