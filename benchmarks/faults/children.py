"""Cases in processes of their own, so that a crash or a hang is one verdict and not the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def results(arguments: tuple[object, ...], numbers: range) -> Iterator[dict]:
    """Yield the results that `stops.py` prints, and a failure for each case that ends it."""
    first = numbers.start
    while first < numbers.stop:
        command = [sys.executable, str(Path(__file__).with_name("stops.py"))]
        command += map(str, (*arguments, first, numbers.stop))
        # A pipe that nobody reads would stop the child.
        with tempfile.TemporaryFile("w+") as errors:
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True
            ) as process:
                for line in process.stdout:
                    result = json.loads(line)
                    first = result["number"] + 1
                    yield result
            errors.seek(0)
            if first < numbers.stop:
                reason = f"ended with code {process.returncode}: {errors.read()[-1500:]}"
                yield {"number": first, "verdict": "failed", "reason": reason}
                first += 1
