"""What makes a session of tests short."""

import gc

import numpy as np
from hypothesis import settings

from spikebp_plugins import Simulator, SpikingMLP
from tests import profiles  # noqa: F401 (registers them)

settings.load_profile("default")

#: Fields of one network for each kernel and type of number that the tests need, and what it does.
KERNELS = [
    ({}, "constant"),
    ({"fraction_bits": 30}, "constant"),
    ({}, "changing"),
    ({"fraction_bits": 30}, "changing"),
    ({"arithmetic": "float64"}, "changing"),
    ({"arithmetic": "float32"}, "changing"),
    ({"arithmetic": "float64", "timing": "event"}, "changing"),
    ({"arithmetic": "float32", "timing": "event"}, "changing"),
    ({"timing": "pipelined"}, "constant"),
    ({"timing": "pipelined", "fraction_bits": 30}, "constant"),
    ({"timing": "pipelined", "arithmetic": "float64"}, "constant"),
    ({}, "stream"),
    ({}, "early"),
]


def pytest_sessionstart(session):
    """Compile the kernels once for all test processes.

    Each of several test processes compiles its share, and finds the others' in the cache.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    index, count = int(worker["workerid"].removeprefix("gw")), worker["workercount"]
    for fields, doing in KERNELS[index::count]:
        net = SpikingMLP((2, 2, 2), **fields)
        sim, x = Simulator(net), np.zeros((1, 2))
        if doing == "stream":
            sim.stream().show(x[0])
        else:
            x = np.zeros((1, net.n_steps, 2)) if doing == "changing" else x
            sim.predict(x, margin=1.0 if doing == "early" else None)


def pytest_collection_finish(session):
    """Take what has been imported out of the sight of the collector.

    Brian2 collects garbage before each run, and Lava forks processes that would copy the pages
    in which objects are looked at: both take long where a session has imported everything.
    """
    gc.collect()
    gc.freeze()
