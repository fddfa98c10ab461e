"""The last table of `spikebp demo`: back ends of all kinds are equal."""

import json
import subprocess
import sys

import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")
pytest.importorskip("lava", reason="Lava is not installed")

from spikebp_plugins.simulation import comparison

pytestmark = pytest.mark.thorough


def test_the_demo_goes_on_on_every_back_end(tmp_path):
    program = "from spikebp_plugins.cli import main; main()"
    command = [sys.executable, "-c", program, "demo", "--epochs", "2", "--json"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    compared = json.loads(result.stdout)["comparison"]
    assert compared["equal"]
    assert tuple(compared["backends"]) == comparison.QUICK_BACKENDS
