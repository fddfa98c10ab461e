"""Running scripts in tests as a user would."""

import os
import re
import subprocess
import sys


def printed_by(script, folder, *arguments):
    """Run a script in a folder, and return what it prints; no error and no warning is allowed."""
    result = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    # Lava warns of files beside a process that it cannot execute.
    assert not re.search("Traceback|Warning", result.stderr), result.stderr
    return result.stdout
