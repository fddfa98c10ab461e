"""Compiles the kernels that many tests use; the script compiles the share `index::count` of them.

With the marks "smoke" it takes the first ones alone.

It runs in processes of its own: Numba and LLVM keep more than a gigabyte of memory for the compiled
code, and each process that Lava forks from a test process copies the page table of that memory.
"""

import sys

import numpy as np

from spikebp_plugins import (
    EVENT_DTYPE,
    Conv2D,
    Dense,
    EventEncoder,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
)
from spikebp_plugins.compiled.backend import CompiledBackend

DENSE = SpikingMLP((2, 2, 2))
DENSE_64 = DENSE.replace(fraction_bits=30)
IMAGES = SpikingNetwork((2, 1), [Conv2D(2, 1), Dense(2)])
EVENT = {"timing": "event"}

#: A network for each kernel and number type, and what it does. Kernels that take long come first;
#: neighbours take equally long, and are compiled by different processes.
KERNELS = [
    (DENSE, "constant"),
    (DENSE_64, "constant"),
    (IMAGES, "changing"),
    (IMAGES.replace(fraction_bits=30), "changing"),
    (DENSE, "changing"),
    (DENSE_64, "changing"),
    (DENSE.replace(arithmetic="float64", **EVENT), "changing"),
    (DENSE.replace(arithmetic="float32", **EVENT), "changing"),
    (DENSE, "stream"),
    (DENSE_64, "stream"),
    (DENSE, "events"),
    (DENSE_64, "events"),
    (DENSE, "early"),
    (DENSE_64, "early"),
]
#: How many of them a smoke test needs.
N_SMOKE = 6


def compile_kernel(net, doing):
    """Have a kernel compiled, or found in the cache."""
    sim, x, y = Simulator(net), np.zeros((1, 2)), np.zeros((1, 2))
    match doing:
        case "constant":
            sim.train(x, y)
        case "changing":
            sim.train(np.zeros((1, net.n_steps, 2)), y)
        case "events":
            stream = sim.stream(EventEncoder(2, 1, step=1, polarity="ignored"))
            for t in range(3):
                stream.feed(np.array([(0, 0, t, 1)], EVENT_DTYPE))
        case "stream":
            sim.stream().show(x[0])
        case "early":
            sim.predict(x, margin=1.0)


if __name__ == "__main__":
    index, count, marks = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    # Kernels of dense networks serve those with pipelined timing, and the tests of Numba's engine.
    CompiledBackend.engine_for = classmethod(lambda cls, _: cls)
    chosen = KERNELS[:N_SMOKE] if marks == "smoke" else KERNELS
    for kernel in chosen[index::count]:
        compile_kernel(*kernel)
