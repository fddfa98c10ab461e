"""Building the program of `cpp_standalone`: once for each structure of a network, and kept.

Everything that a definition or a call can change without changing the generated code is an
argument of the program: weights and backward potentials, all numbers of the definition, whether to
record, and the samples. So one program serves any samples, training and prediction, and also other
processes: it lies in the user's cache.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import brian2
import pooch
from brian2.codegen.cpp_prefs import get_compiler_and_args
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.utils.filelock import FileLock

from spikebp_brian2.global_state import borrowed
from spikebp_plugins.common.cores import available_cores
from spikebp_plugins.network.fields import Definition

#: Fields of a definition that change the generated code. All others are values of variables.
STRUCTURE: Final = ("connections", "timing", "input_coding", "update", "bounded", "feedback")

#: The files that a program needs to run.
KEPT: Final = ("main", "main.exe", "static_arrays")

#: The headers that most sources include, compiled once for all sources. Most sources are so short
#: that the compiler would spend four times as long on these headers as on the rest.
COMMON_HEADER: Final = """\
#ifndef SPIKEBP_COMMON
#define SPIKEBP_COMMON
#include "objects.h"
#include "brianlib/common_math.h"
#include "brianlib/stdint_compat.h"
#include <climits>
#include <cmath>
#include <ctime>
#include <fstream>
#include <iostream>
#endif
"""
COMMON_RULES: Final = """
common.h.gch: common.h objects.h
\t$(CXX) $(CXXFLAGS) -x c++-header common.h -o common.h.gch

$(OBJS): CXXFLAGS += -include common.h
$(OBJS): common.h.gch
"""


class ProgramDevice(CPPStandaloneDevice):  # type: ignore[misc]
    """A device of one program, whose sources share one compiled header."""

    def generate_makefile(self, writer: Any, compiler: str, **options: Any) -> None:
        """Write the makefile."""
        super().generate_makefile(writer, compiler, **options)
        if compiler != "msvc":
            folder = Path(self.project_dir)
            (folder / "common.h").write_text(COMMON_HEADER, encoding="utf-8")
            with (folder / "makefile").open("a", encoding="utf-8") as makefile:
                makefile.write(COMMON_RULES)

    def get_value(self, var: Any, access_data: bool = True) -> Any:
        """Return the values of a variable, from a file of results if need be.

        NumPy turns a Ctrl-C that comes while it reads an open file, as Brian2 has it do, into a
        TypeError.
        """
        try:
            return super().get_value(var, access_data)
        except TypeError as error:
            if "not BufferedReader" not in str(error):
                raise
            raise KeyboardInterrupt from error


def structure_of(net: Definition) -> tuple[Any, ...]:
    """Return the structure of a definition: one program serves all definitions of one structure."""
    return tuple(getattr(net, name) for name in STRUCTURE)


def fetch_program(
    device: ProgramDevice, net: Definition, folder: Path, write_code: Callable[[], None]
) -> None:
    """Give a device a copy of the program of its objects, which is built unless it is kept.

    Parameters
    ----------
    device : ProgramDevice
        The device of the objects.
    net : Definition
        The definition of their network.
    folder : Path
        The folder of the copy.
    write_code : callable
        Runs the objects, so that Brian2 writes their code.

    Raises
    ------
    RuntimeError
        If the program cannot be compiled.
    """
    cache = Path(pooch.os_cache("spikebp-plugins")) / "brian2"
    kept = cache / _key(net)
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Another process that needs the same program waits here until it is built.
        with FileLock(str(kept.with_suffix(".lock"))):
            if not kept.exists():
                write_code()
                _build(device, kept)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    device.project_dir, device.results_dir = str(folder), os.path.join(folder, "results", "")
    # Only the program knows the values of variables, except for the dt of clocks.
    for variable in device.array_cache:
        if variable.name != "dt":
            device.array_cache[variable] = None


def _key(net: Definition) -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    parts = [
        repr(structure_of(net)),
        *(source.read_text(encoding="utf-8") for source in sources),
        brian2.__version__,
        repr(get_compiler_and_args()),
        # A program is compiled for the processor of its machine, and may not run on others.
        platform.node(),
        platform.machine(),
    ]
    return sha256("\0".join(parts).encode()).hexdigest()[:24]


def _build(device: ProgramDevice, kept: Path) -> None:
    """Build the program of a device, and move what it needs to a folder that is not there."""
    preferences = {
        "devices.cpp_standalone.openmp_threads": 0,
        # Brian2 would start as many compilers as there are sources.
        "devices.cpp_standalone.extra_make_args_unix": [f"-j{available_cores()}"],
    }
    with (
        tempfile.TemporaryDirectory(prefix="building-", dir=kept.parent) as name,
        borrowed(device, preferences),
    ):
        device.build(name, run=False, direct_call=False)
        program = Path(name) / "program"
        program.mkdir()
        for file in KEPT:
            if (Path(name) / file).exists():
                (Path(name) / file).rename(program / file)
        program.rename(kept)
