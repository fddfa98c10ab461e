"""Building the program of `cpp_standalone`: once for each structure of a network, and kept.

Everything that a definition or a call can change without changing the generated code is an
argument of the program: weights and backward potentials, all numbers of the definition, how many
steps a sample takes, whether to learn, whether to record, and the file with the samples. So one
program serves any samples, training and prediction, and also other processes: it lies in the
user's cache.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import brian2
import numpy as np
import pooch
from brian2 import Clock, EventMonitor, Function, Network, ms
from brian2.codegen.cpp_prefs import get_compiler_and_args
from brian2.devices.cpp_standalone.device import CPPStandaloneDevice
from brian2.utils.filelock import FileLock

from spikebp_brian2.group import SpikingMLPGroup
from spikebp_brian2.program import structure_of
from spikebp_brian2.readings import monitors_for_trace
from spikebp_brian2.world import borrowed
from spikebp_plugins.network.fields import Definition

#: The name of the network's group in every program.
GROUP: Final = "spikebp"

#: The duration of a step in seconds.
STEP: Final = 1e-3

MANIFEST: Final = "manifest.json"

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
#include "samples.h"
#endif
"""
COMMON_RULES: Final = """
common.h.gch: common.h objects.h
\t$(CXX) $(CXXFLAGS) -x c++-header common.h -o common.h.gch

$(OBJS): CXXFLAGS += -include common.h
$(OBJS): common.h.gch
"""

#: The environment variable that makes the program record spikes, errors and drives.
RECORDING_VARIABLE: Final = "SPIKEBP_RECORDING"


def built_program(net: Definition) -> Path:
    """Return the folder of the program for a definition; build the program if need be.

    Raises
    ------
    RuntimeError
        If the program cannot be compiled.
    """
    cache = Path(pooch.os_cache("spikebp-plugins")) / "brian2"
    folder = cache / _key(net)
    if (folder / MANIFEST).exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    # Another process that needs the same program waits here until it is built.
    with FileLock(str(folder.with_suffix(".lock"))):
        if (folder / MANIFEST).exists():
            return folder
        workshop = Path(tempfile.mkdtemp(prefix="building-", dir=cache))
        try:
            _build(net, workshop)
            shutil.rmtree(folder, ignore_errors=True)  # a folder that was never completed
            workshop.rename(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return folder


def _key(net: Definition) -> str:
    sources = sorted(Path(__file__).parent.glob("*.[ph]*"))
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


class Workshop(CPPStandaloneDevice):  # type: ignore[misc]
    """A device whose sources share one compiled header."""

    def generate_makefile(self, writer: Any, compiler: str, **options: Any) -> None:
        """Write the makefile."""
        super().generate_makefile(writer, compiler, **options)
        if compiler != "msvc":
            folder = Path(self.project_dir)
            (folder / "common.h").write_text(COMMON_HEADER, encoding="utf-8")
            with (folder / "makefile").open("a", encoding="utf-8") as makefile:
                makefile.write(COMMON_RULES)


def _n_cores() -> int:
    has_affinity = hasattr(os, "sched_getaffinity")  # not on macOS
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _build(net: Definition, folder: Path) -> None:
    device = Workshop()
    preferences = {
        "devices.cpp_standalone.openmp_threads": 0,
        # Brian2 would start as many compilers as there are sources.
        "devices.cpp_standalone.extra_make_args_unix": [f"-j{_n_cores()}"],
    }
    with borrowed(device, preferences):
        device.headers.append('"samples.h"')
        device.include_dirs.append(str(Path(__file__).parent))
        clock = Clock(dt=STEP * 1000 * ms, name="spikebp_clock")
        group = SpikingMLPGroup(
            net,
            [np.zeros(shape) for shape in net.weight_shapes],
            input="shown_input(t_in_timesteps, i)",
            target="shown_target(t_in_timesteps, i)",
            clock=clock,
            name=GROUP,
        )
        group.constants.clear()  # since the program is started with those of other definitions
        for layer, name in ((group.input_layer, "input"), (group.output_layer, "target")):
            layer.namespace[f"shown_{name}"] = _shown(name)
        ends, recorders = _monitors(group)
        network = Network(group, ends, *recorders.values(), name="spikebp_network")
        device.apply_run_args()
        network.run(STEP * 1000 * ms, namespace={})
        _let_arguments_decide(device, list(recorders))
        device.build(str(folder), run=False, direct_call=False)
        manifest = {
            "group": _files(device, group.parts),
            "monitors": _files(device, {"ends": ends, **recorders}),
        }
    for name in ("code_objects", "brianlib", "results"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for leftover in (*folder.glob("*.o"), *folder.glob("common.h*")):
        leftover.unlink()
    # Written last: a folder with a manifest is complete.
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _shown(name: str) -> Function:
    def refuse(*arguments: Any) -> None:
        raise NotImplementedError("samples are shown by compiled programs alone")

    function = Function(
        refuse, arg_units=[1, 1], arg_types=["integer"] * 2, return_unit=1, stateless=False
    )
    function.implementations.add_implementation("cpp", "", name=f"spikebp_shown_{name}")
    return function


def _monitors(group: SpikingMLPGroup) -> tuple[EventMonitor, dict[str, Any]]:
    ends = EventMonitor(
        group.output_layer, "sample_end", variables=["summed_drive"], name="spikebp_ends"
    )
    recorders = monitors_for_trace(group)
    return ends, {monitor.name.removeprefix(f"{GROUP}_"): monitor for monitor in recorders}


def _let_arguments_decide(device: CPPStandaloneDevice, recorders: list[str]) -> None:
    """Make the program run for as long as its samples take, and record only if told to."""
    duration = f"(spikebp_inputs().n_steps() * {STEP})"
    optional = tuple(f"_run_{GROUP}_{name}_codeobject)" for name in recorders)
    for function, arguments in device.main_queue:
        if function == "run_network":
            _, lines = arguments
            for index, line in enumerate(lines):
                lines[index] = line.replace(f".run({STEP}", f".run({duration}")
                if any(name in line for name in optional):
                    lines[index] = f'if (std::getenv("{RECORDING_VARIABLE}")) {line}'


def _files(device: CPPStandaloneDevice, owners: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return, for every variable, the name and the number type of the file with its results."""
    return {
        f"{key}.{name}": {
            "file": device.get_array_filename(variable),
            "dtype": np.dtype(variable.dtype).str,
        }
        for key, owner in owners.items()
        for name, variable in owner.variables.items()
        if variable in device.arrays and variable.owner.name == owner.name
    }
