"""Running scripts in tests as a user would."""

import importlib.util
import os
import re
import subprocess
import sys


def completed(script, folder, *arguments):
    """Run a script in a folder to its end, and return the process; no error is allowed."""
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
    return result


def printed_by(script, folder, *arguments):
    """Run a script in a folder, and return what it prints; no error and no warning is allowed."""
    result = completed(script, folder, *arguments)
    # Lava warns of files in the folder of a process that it cannot execute.
    assert not re.search("Traceback|Warning", result.stderr), result.stderr
    return result.stdout


def loaded(script):
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
