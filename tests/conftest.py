"""Compile the kernels once for all test processes."""

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP

#: One network for each kernel and type of number that the tests need.
KERNELS = [
    (arithmetic, fraction_bits, changing)
    for arithmetic, fraction_bits, changing in (
        ("fixed", None, False),
        ("fixed", 30, False),
        ("fixed", None, True),
        ("fixed", 30, True),
        ("float64", None, True),
        ("float32", None, True),
    )
]


def pytest_sessionstart(session):
    """Each of several test processes compiles its share, and finds the others' in the cache."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    index, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for arithmetic, fraction_bits, changing in KERNELS[index::count]:
        net = SpikingMLP((2, 2, 2), arithmetic=arithmetic, fraction_bits=fraction_bits)
        x = np.zeros((1, net.n_steps, 2) if changing else (1, 2))
        Simulator(net).predict(x)
