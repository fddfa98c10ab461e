"""Copies of the engine's sources, with an edit; and libraries in processes of their own."""

import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from spikebp_plugins.engine.building import IS_64_BIT, PACKAGE, compilers, sources
from spikebp_plugins.engine.library import why_missing

#: For a test of a module of which others do without the engine.
needs_engine = pytest.mark.skipif(not IS_64_BIT, reason="the engine needs a machine of 64 bits")


def skip_without_compiler():
    """Skip a module where the engine cannot be compiled."""
    if not IS_64_BIT:
        pytest.skip("the engine needs a machine of 64 bits", allow_module_level=True)
    if not compilers():
        pytest.skip("there is no C compiler", allow_module_level=True)


def skip_without_engine():
    """Skip a module where there is no engine, since nothing compiles it; otherwise it must be."""
    if why_missing():
        skip_without_compiler()


class Edit(NamedTuple):
    """A text of a file of the sources that stands there once, and what takes its place."""

    file: str
    before: str
    after: str

    def sources(self, folder):
        """Write the edited sources to the folders of a package, and return its folder."""
        package = folder / "package"
        for source in sources(PACKAGE):
            copy = package / source.relative_to(PACKAGE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        (path,) = package.rglob(self.file)
        text = path.read_text()
        assert text.count(self.before) == 1, f"{self.before!r} does not stand once in {self.file}"
        path.write_text(text.replace(self.before, self.after))
        return package


def run_networks(path, level, bits, n, near=(), **environment):
    """Compare n random networks on a library with the reference; return the process that ended."""
    return _run("engine_networks", path, level, bits, n, *near, **environment)


def run_event_networks(path, level, n, **environment):
    """The same in the order of events, and its literal transcription."""
    return _run("event_networks", path, level, n, **environment)


def _run(module, *arguments, **environment):
    command = [sys.executable, "-m", f"tests.core.{module}", *arguments]
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
