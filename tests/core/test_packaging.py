"""What is tested is what a user installs."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.mark.skipif("TOX_ENV_NAME" not in os.environ, reason="for the wheel, which tox installs")
@pytest.mark.parametrize("name", ["spikebp_plugins", "spikebp_brian2", "spikebp_lava"])
def test_tests_run_against_the_wheel(name):
    assert Path(find_spec(name).origin).is_relative_to(sys.prefix)
