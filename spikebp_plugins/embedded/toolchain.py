"""Finds the compiler of the machine, and compiles a network in C to a library."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: The names of C compilers to try if the environment variable ``CC`` names none.
USUAL_NAMES: Final = ("cc", "gcc", "clang")

#: The flags of libraries. Those of the environment variable ``CFLAGS`` follow.
FLAGS: Final = ("-std=c99", "-O3", "-fPIC", "-shared")

#: Libraries are for this processor, since they are not kept for others, unless the compiler refuses
#: that, as GCC does for some processors.
PROCESSORS: Final = (("-march=native",), ())

#: The name of a library, with the suffix that Windows asks for.
LIBRARY_NAME: Final = "library.dll" if sys.platform == "win32" else "library.so"

#: How to install a compiler, by the name of the system.
PACKAGES: Final = {
    "linux": "on Debian and Ubuntu `apt install gcc`, on Fedora `dnf install gcc`",
    "darwin": "`xcode-select --install`",
}


def find_compiler() -> list[str] | None:
    """Return the command of a compiler, or None if there is none.

    It is that of the environment variable ``CC``, or the first of the usual names that is found.
    """
    named = os.environ.get("CC")
    commands = [shlex.split(named)] if named else [[name] for name in USUAL_NAMES]
    for command in commands:
        if command and shutil.which(command[0]):
            return command
    return None


def why_no_compiler() -> str:
    """Return why there is no compiler, and how to install one."""
    named = os.environ.get("CC")
    missing = f"CC={named!r}" if named else f"none of {', '.join(USUAL_NAMES)}"
    brings = PACKAGES.get(sys.platform, "a compiler of C, named by the environment variable CC,")
    return f"it needs a compiler of C, and {missing} is found: {brings} brings one"


def compiled_library(sources: Mapping[str, str], main: str) -> bytes:
    """Return the shared library that sources compile to.

    Parameters
    ----------
    sources : mapping of str
        The texts of the files, by their names.
    main : str
        The name of the file that includes the others.

    Raises
    ------
    RuntimeError
        If there is no compiler, or it refuses the sources; the message has what it printed.
    """
    compiler = find_compiler()
    if compiler is None:
        raise RuntimeError(why_no_compiler())
    with tempfile.TemporaryDirectory(prefix="spikebp-") as folder:
        for name, text in sources.items():
            Path(folder, name).write_text(text, "utf-8")
        flags = shlex.split(os.environ.get("CFLAGS", ""))
        for processor in PROCESSORS:
            command = [*compiler, *FLAGS, *processor, *flags, main, "-o", LIBRARY_NAME]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return Path(folder, LIBRARY_NAME).read_bytes()
        raise RuntimeError(f"{shlex.join(command)} failed: {done.stderr.strip()}")
