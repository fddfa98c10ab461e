"""What makes a session of tests short."""

import gc

import numpy as np
from hypothesis import settings

from spikebp_plugins import Simulator, SpikingMLP

# For environments that repeat what another one does at length: --hypothesis-profile few.
settings.register_profile("few", max_examples=25)

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
    """Compile the kernels once for all test processes.

    Each of several test processes compiles its share, and finds the others' in the cache.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    index, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for arithmetic, fraction_bits, changing in KERNELS[index::count]:
        net = SpikingMLP((2, 2, 2), arithmetic=arithmetic, fraction_bits=fraction_bits)
        x = np.zeros((1, net.n_steps, 2) if changing else (1, 2))
        Simulator(net).predict(x)


def pytest_collection_finish(session):
    """Take what has been imported out of the sight of the collector.

    Brian2 collects garbage before each run, and Lava forks processes that would copy the pages
    in which objects are looked at: both take long where a session has imported everything.
    """
    gc.collect()
    gc.freeze()
