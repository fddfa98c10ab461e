"""Builds the engine in C into a wheel, and in place where the installation is editable.

The compilers of the machine are tried by building it, before `ziglang`, which brings one, is asked
for. Where all fail the wheel is pure Python: there the same integers come from the reference.

``python hatch_build.py dist`` builds the wheels of a release, for all platforms on this machine; it
needs `hatchling` and `ziglang`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

#: Those of its releases that the engine was compiled with, on the machines that it is made for.
ZIGLANG = (
    "ziglang>=0.13,<0.18; sys_platform in 'linux darwin win32'"
    " and platform_machine in 'x86_64 AMD64 aarch64 arm64 ARM64'"
)


def load_building() -> Any:
    """Return the module that compiles, without the package, whose dependencies are not here."""
    path = Path(__file__).parent / "spikebp_plugins" / "engine" / "building.py"
    spec = spec_from_file_location("building", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


building = load_building()

#: Set to one of the tags in `building.TARGETS`, it asks for the wheel of another machine.
PLATFORM = "SPIKEBP_PLATFORM"


def platform_tag() -> str:
    """Return the tag of this machine, among those that do not promise a C library of Linux."""
    return next(tag for tag in platform_tags() if not tag.startswith(("manylinux", "musllinux")))


def why_not_built() -> str | None:
    """Compile the library unless that of these sources is there; return why it cannot be."""
    try:
        if not building.is_built():
            building.build(building.LIBRARY)
    except building.BuildError as error:
        return str(error)
    return None if building.is_built() else "what was compiled cannot be loaded here"


class EngineBuildHook(BuildHookInterface):
    """Gives the wheel the library and the tag of the machine, or leaves it pure."""

    _folder: TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        """Return what brings a compiler, unless one of this machine builds the library, or has."""
        if PLATFORM in os.environ:
            return [ZIGLANG]
        return [ZIGLANG] if why_not_built() and building.IS_64_BIT else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the library unless that of these sources is there."""
        if PLATFORM in os.environ:
            self._initialize_for(os.environ[PLATFORM], build_data)
            return
        if reason := why_not_built():
            self.app.display_warning(
                f"The engine in C is left out, and the slow reference learns: {reason}."
            )
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag()}"
        build_data["artifacts"].append(f"/spikebp_plugins/engine/c/{building.LIBRARY.name}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for another machine."""
        if self._folder:
            self._folder.cleanup()

    def _initialize_for(self, platform: str, build_data: dict[str, Any]) -> None:
        """Compile the library for another machine, outside of the sources, which keep their own."""
        if platform not in building.TARGETS:
            raise ValueError(f"{PLATFORM} must be one of {[*building.TARGETS]}; got {platform!r}")
        target = building.TARGETS[platform]
        name = building.library_name(target)
        self._folder = TemporaryDirectory(prefix="spikebp-")
        library = building.build(Path(self._folder.name, name), target=target)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(library)] = f"spikebp_plugins/engine/c/{name}"


def build_wheels(folder: str) -> None:
    """Build the wheel of each platform into a folder."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    for platform in building.TARGETS:
        subprocess.run(command, env=os.environ | {PLATFORM: platform}, check=True)


if __name__ == "__main__":
    build_wheels(*sys.argv[1:])
