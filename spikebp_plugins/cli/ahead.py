"""Makes back ends ready in a second process, for a command that needs them later.

As a program, ``python -m spikebp_plugins.cli.ahead NAME ...``, this module trains the smallest
network on each back end. This fills the caches of imports and of compiled code.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from spikebp_plugins.backends.registry import alone
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.simulation.simulator import Simulator


@contextmanager
def making_ready(backends: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Make back ends ready for networks with default options while the ``with`` block runs.

    Parameters
    ----------
    backends : sequence of str
        Names of the back ends.

    Yields
    ------
    subprocess.Popen
        The second process. It hides errors: a back end raises its error again when it is used.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *backends],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main(backends: Sequence[str]) -> None:
    """Train the smallest network on each back end."""
    # The command draws a picture before it compares back ends, so matplotlib comes first here too.
    with suppress(ImportError):
        import matplotlib.backends.backend_agg
        import matplotlib.figure
        import matplotlib.font_manager  # noqa: F401 (makes a list of fonts, the first time)
    net = SpikingMLP((2, 2, 2, 2))
    for name in backends:
        with Simulator(net, alone(name)) as sim:
            sim.train(np.ones((1, 2)), np.zeros(1, int), record=True)


if __name__ == "__main__":
    main(sys.argv[1:])
