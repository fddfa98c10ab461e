"""What is tested is what a user installs, and all of it can be imported."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PACKAGES = ("spikebp_plugins", "spikebp_brian2", "spikebp_lava")
#: What modules need besides the dependencies of the core.
NEEDS = {
    "spikebp_brian2": "brian2",
    "spikebp_lava": "lava",
    "spikebp_plugins.nir": "nir",
    "spikebp_plugins.lava_dl": "h5py",
    "spikebp_plugins.common.hdf5": "h5py",
    "spikebp_plugins.river": "river",
}
#: Imports each module below the packages that it is given, and prints how many there are.
IMPORTS = f"""
import sys
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages

def is_there(name):
    return all(find_spec(need) for start, need in {NEEDS}.items() if name.startswith(start))

for package in filter(is_there, sys.argv[1:]):
    for _, name, _ in walk_packages(import_module(package).__path__, package + "."):
        if is_there(name) and not name.endswith("__main__"):
            import_module(name)
print(sum(name.partition(".")[0] in sys.argv for name in sys.modules))
"""


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="for the wheel, which tox installs")
@pytest.mark.parametrize("name", PACKAGES)
def test_tests_run_against_the_wheel(name):
    assert Path(find_spec(name).origin).is_relative_to(sys.prefix)


@pytest.mark.smoke
def test_every_module_is_imported():
    # In a process of its own, since forks of this one copy what it has imported.
    command = [sys.executable, "-c", IMPORTS, *PACKAGES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert int(done.stdout) > 100
