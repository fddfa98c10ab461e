"""What tox finds on this machine: all its Pythons, which of them is the newest, and the time.

tox reads this file since it lies in the folder of tox.ini.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import time
from pathlib import Path

from tox.plugin import impl
from tox.tox_env.api import ToxEnv
from tox.tox_env.errors import Skip
from uv import find_uv_bin

#: Python 3.10 is tested in any case, and one of these, the first that is found.
NEWER = ("3.13", "3.12", "3.11")

#: When all has to be over, in seconds since the epoch; what would take longer is left out.
DEADLINE = os.environ.get("SPIKEBP_DEADLINE")

#: The minutes that an environment takes at most on a slow machine with two cores.
MINUTES = {"py310-thorough": 20, "newest-all": 5, "machines": 5, "fpga": 5}
OTHER_MINUTES = 3


def add_pythons_of_pyenv() -> None:
    """Put them at the end of the PATH: pyenv itself shows only the one that is active there."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = sorted(root.glob("versions/3.*/bin"))
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])


def is_found(version: str) -> bool:
    """Return whether a Python of this version is on this machine."""
    command = [find_uv_bin(), "python", "find", "--no-python-downloads", version]
    return (
        subprocess.run(command, capture_output=True, check=False, cwd=Path.home()).returncode == 0
    )


add_pythons_of_pyenv()
missing = [version for version in NEWER if not is_found(version)]
newest = next((version for version in NEWER if version not in missing), NEWER[0])
others = [version for version in NEWER if version != newest]
os.environ["SPIKEBP_NEWEST_PYTHON"] = newest
os.environ["SPIKEBP_OTHER_PYTHONS"] = ", ".join(
    f"py{version.replace('.', '')}-smoke" for version in others if version not in missing
)
if untested := [version for version in others if version in missing]:
    atexit.register(print, f"Not on this machine, and so not tested: Python {', '.join(untested)}.")


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Leave out what there is no time for."""
    end = time.time() + 60 * MINUTES.get(tox_env.name, OTHER_MINUTES)
    if DEADLINE is not None and end > float(DEADLINE):
        raise Skip("there is no time left for it")
