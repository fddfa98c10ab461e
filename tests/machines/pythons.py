"""Pythons of other machines install the source archive, and run what they have installed."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.documentation import ROOT
from tests.machines.emulation import BOARDS, WITH_ENGINE, run

PACKAGES = (
    "libc6 python3 python3-numpy python3-lazy-loader python3-pooch python3-tqdm python3-typer"
    " python3-pytest python3-hypothesis python3-hatchling"
)
NO_ENGINE = "is left out, and the slow reference learns: the engine needs a machine of 64 bits"


def unpacked(arch, folder):
    """Download the packages of an architecture, and unpack them; nothing of them is installed."""
    root, state = folder / "root", folder / "apt"
    for part in ("lists/partial", "archives/partial"):
        (state / part).mkdir(parents=True)
    (state / "status").touch()
    options = {
        "APT::Architecture": arch,
        "APT::Architectures": arch,
        "APT::Install-Recommends": "false",
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    try:
        run(["sh", "-c", '"$@" update || true', "sh", *apt])  # some lists may be enough
        run([*apt, "--download-only", "-y", "install", *PACKAGES.split()])
    except AssertionError as error:
        pytest.skip(f"packages for {arch} cannot be had: {str(error).splitlines()[-1]}")
    for name in ("bin", "lib", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in (state / "archives").glob("*.deb"):
        unpack = f"dpkg-deb --fsys-tarfile {package} | tar x -C {root} --keep-directory-symlink"
        run(["sh", "-c", unpack])
    return root


class Python:
    """A Python of another machine, which has built and installed the source archive in a folder.

    Attributes
    ----------
    said : str
        What was printed when it was installed.
    """

    def __init__(self, machine, arch, folder):
        root, triple = unpacked(arch, folder), Path(machine.runner[-1]).name
        libraries = ":".join(f"{root}/usr/lib/{triple}/{name}" for name in ("blas", "lapack"))
        (program,) = (root / "usr" / "bin").glob("python3.*[0-9]")
        # What it takes for itself, and starts again, is this script.
        self.path, self.folder = folder / "python", folder / "installed"
        self.path.write_text(
            f"#!/bin/sh\nexport PYTHONHOME={root}/usr\n"
            f"exec {machine.runner[0]} -0 {self.path} -L {root} -E LD_LIBRARY_PATH={libraries}"
            f' {program} "$@"\n'
        )
        self.path.chmod(0o755)
        build = ["-m", "hatchling", "build", "-d", str(folder), "-t"]
        run([sys.executable, *build, "sdist"], cwd=ROOT)
        (archive,) = folder.glob("*.tar.gz")
        shutil.unpack_archive(archive, folder)
        sources = folder / archive.name.removesuffix(".tar.gz")
        self.said = self.run(*build, "wheel", cwd=sources, CC=" ".join(machine.compiler))
        (wheel,) = folder.glob("*.whl")
        shutil.unpack_archive(wheel, self.folder, "zip")
        shutil.copytree(ROOT / "tests", self.folder / "tests")

    def run(self, *words, **environment):
        """Run it, and return what it prints."""
        return run([str(self.path), *words], PYTHONDONTWRITEBYTECODE="1", **environment)

    def test(self, *given):
        """Run pytest, given these arguments, on what it has installed; return what it prints."""
        return self.run("-m", "pytest", "-c", "/dev/null", "-rs", *given, cwd=self.folder)


@pytest.fixture
def python(request, tmp_path):
    machine, arch = request.param
    reason = machine.why_missing()
    tools = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    if reason or tools:
        pytest.skip(reason or f"{tools[0]} is not installed")
    return Python(machine, arch, tmp_path)


@pytest.mark.parametrize(
    "python",
    [
        pytest.param((WITH_ENGINE[name], "arm64"), marks=marks, id=name)
        for name, marks in (
            ("ARM64 by gcc-14", ()),
            ("ARM64 by gcc-12", pytest.mark.thorough),
        )
    ],
    indirect=True,
)
def test_arm64_compiles_the_engine_and_repeats_golden_runs(python):
    assert "left out" not in python.said
    printed = python.test("-k", "repeated", "tests/core/test_golden.py")
    assert "skipped" not in printed


@pytest.mark.thorough
@pytest.mark.parametrize("python", [(BOARDS["ARM"], "armhf")], indirect=True)
def test_arm_of_32_bits_says_why_there_is_no_engine_and_skips_what_needs_it(python):
    assert NO_ENGINE in " ".join(python.said.split())
    needing = ("test_engine", "test_event", "test_step_engine", "test_engine_backend")
    tests = [f"tests/core/{name}.py" for name in ("test_golden", *needing)]
    printed = python.test("-k", "repeated and reference", *tests)
    assert re.search(r"SKIPPED \[4\] .*: the engine needs a machine of 64 bits", printed)
