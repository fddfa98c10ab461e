"""Other machines, emulated: what compiles for them, and engines of theirs that tests here call.

As a plugin of pytest it puts such an engine in the place of that of this machine: see `shared.c`.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from spikebp_plugins.engine import library
from spikebp_plugins.engine.building import ZIG, build, library_name
from spikebp_plugins.event_order.library import SIGNATURES as OF_EVENTS

HERE = Path(__file__).parent

if "SPIKEBP_SHARED" in os.environ:
    library.LIBRARY = Path(os.environ["SPIKEBP_SHARED"])


class Machine(NamedTuple):
    """Another machine.

    Attributes
    ----------
    target : str
        Its name, as zig has it.
    compiler : tuple of str
        The command of a compiler for it.
    runner : tuple of str
        The command, to go on with the name of a program, that runs what is compiled.
    """

    target: str
    compiler: tuple[str, ...]
    runner: tuple[str, ...]

    def why_missing(self):
        """Return what this machine lacks to be another one, or None."""
        if self.compiler[: len(ZIG)] == ZIG and find_spec("ziglang") is None:
            return "ziglang is not installed"
        folders = [word for word in self.runner if word.startswith("/")]
        missing = [path for path in folders if not Path(path).is_dir()]
        missing += [word for word in (self.compiler[0], self.runner[0]) if not shutil.which(word)]
        return f"{missing[0]} is not installed" if missing else None

    def compile(self, program, *given):
        """Compile a program from sources and flags."""
        warnings = ["-Wall", "-Wextra", "-Werror"]
        run([*self.compiler, *warnings, *map(str, given), "-o", str(program)])

    def run(self, *words, given=""):
        """Run a program, which reads what it is given, to its end; return what it prints."""
        return run([*self.runner, *map(str, words)], given)


def run(command, given="", cwd=None, **environment):
    """Run a command, and return what it prints; where it fails, raise an error with all of that.

    It prints to a file: a pipe would wait for the processes of wine, which stay for the next one.
    """
    with TemporaryFile("w+", errors="replace") as output:
        ended = subprocess.run(
            command,
            cwd=cwd,
            input=given,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output.seek(0)
        printed = output.read()
    assert ended.returncode == 0, f"{' '.join(command)}\n{printed}"
    return printed


def by_gcc(triple, emulator, version=""):
    """Return a machine with Linux, for which Debian has GCC and a library of C."""
    runner = (f"qemu-{emulator}-static", "-L", f"/usr/{triple}")
    return Machine(f"{emulator}-linux", (f"{triple}-gcc{version}",), runner)


def by_zig(target, *runner):
    """Return a machine for which `ziglang` compiles."""
    return Machine(target, (*ZIG, "-target", target), runner)


ARM64 = "aarch64-linux-gnu"
#: Those with an engine, whose numbers have their bytes in the order of this machine.
WITH_ENGINE = {
    "Windows": by_zig("x86_64-windows-gnu", "wine"),
    "ARM64 by gcc-12": by_gcc(ARM64, "aarch64", "-12"),
    "ARM64 by gcc-14": by_gcc(ARM64, "aarch64", "-14"),
    "ARM64 by zig": by_zig(f"{ARM64}.2.17", "qemu-aarch64-static", "-L", f"/usr/{ARM64}"),
    "RISC-V": by_gcc("riscv64-linux-gnu", "riscv64"),
}
#: Boards: of 32 and of 64 bits, and of either order of bytes.
BOARDS = {
    "ARM": by_gcc("arm-linux-gnueabihf", "arm"),
    "ARM64": by_gcc(ARM64, "aarch64", "-14"),
    "PowerPC": by_gcc("powerpc-linux-gnu", "ppc"),
    "RISC-V": by_gcc("riscv64-linux-gnu", "riscv64"),
    "s390x": by_gcc("s390x-linux-gnu", "s390x"),
}


#: The build of the engine that every processor runs, and the names of its functions.
LEVEL = 1
FUNCTIONS = (
    "sources",
    *(f"{name}_{LEVEL}_{bits}" for name in library.SIGNATURES for bits in (32, 64)),
    *(f"event_{name}_{LEVEL}_{bits}" for name in OF_EVENTS for bits in (32, 64)),
)
#: So many arguments of a call reach another machine.
MOST_ARGUMENTS = 3
assert all(
    len(arguments) <= MOST_ARGUMENTS
    for _, arguments in [*library.SIGNATURES.values(), *OF_EVENTS.values()]
)


class Engine:
    """The engine of another machine, built into a folder, for processes of this machine."""

    def __init__(self, machine, folder, extra=()):
        self.folder, self.shared = folder, folder / "shared.so"
        is_windows = "windows" in machine.target
        engine = folder / library_name(machine.target)
        program = folder / ("serve.exe" if is_windows else "serve")
        build(engine, extra, only=(LEVEL,), target=machine.target, command=machine.compiler)
        machine.compile(program, HERE / "serve.c", *([] if is_windows else ["-ldl"]))
        self.server = " ".join(["exec", *machine.runner, str(program), str(engine)])
        given = "(int64_t a, int64_t b, int64_t c)"
        lines = [
            "#include <stdint.h>",
            "int64_t call(const char *name, int64_t a, int64_t b, int64_t c);",
            f"int32_t best_level(void) {{ return {LEVEL}; }}",
            *(f'int64_t {f}{given} {{ return call("{f}", a, b, c); }}' for f in FUNCTIONS),
        ]
        (folder / "functions.c").write_text("\n".join([*lines, ""]))
        flags = "-std=gnu11 -O2 -fPIC -shared -fno-builtin -Wall -Wextra -Wconversion -Werror"
        sources = (str(HERE / "shared.c"), str(folder / "functions.c"))
        run(["cc", *flags.split(), *sources, "-o", str(self.shared)])

    def run(self, module, *given):
        """Run a module of Python that calls this engine; return what it prints."""
        return run(
            [sys.executable, "-m", module, *map(str, given)],
            LD_PRELOAD=str(self.shared),
            PYTHONMALLOC="malloc",
            SPIKEBP_SHARED=str(self.shared),
            SPIKEBP_SERVER=self.server,
            WINEPREFIX=str(self.folder / "wine"),
            WINEDEBUG="-all",
            WINEDLLOVERRIDES="mscoree,mshtml=",
        )
