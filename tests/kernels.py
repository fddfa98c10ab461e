"""Compiles the kernels that many tests use; the script compiles the share `index::count` of them.

It runs in processes of its own: Numba and LLVM keep more than a gigabyte of memory for the compiled
code, and each process that Lava forks from a test process copies the page table of that memory.
"""

import sys
from importlib.util import find_spec

import numpy as np

from spikebp_plugins import EVENT_DTYPE, EventEncoder, Simulator, SpikingMLP

#: For each kernel and number type, the fields of a network, and what the network does. Kernels that
#: take long come first; neighbours take equally long, and are compiled by different processes.
KERNELS = [
    ({}, "constant"),
    ({"fraction_bits": 30}, "constant"),
    ({"arithmetic": "float64", "timing": "event"}, "changing"),
    ({"arithmetic": "float32", "timing": "event"}, "changing"),
    ({}, "changing"),
    ({"fraction_bits": 30}, "changing"),
    ({}, "stream"),
    ({"fraction_bits": 30}, "stream"),
    ({}, "events"),
    ({"fraction_bits": 30}, "events"),
    ({}, "graph"),
    ({}, "early"),
    ({"fraction_bits": 30}, "early"),
]


def compile_kernel(fields, doing):
    """Have a kernel compiled, or found in the cache."""
    net = SpikingMLP((2, 2, 2), **fields)
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
        case "graph" if find_spec("lava"):
            from spikebp_lava.prepare import prepare_layers, prepare_steps

            for tag in ("fixed_pt", "floating_pt"):
                prepare_steps(net, tag)
                prepare_layers(net, tag)


if __name__ == "__main__":
    index, count = map(int, sys.argv[1:])
    for kernel in KERNELS[index::count]:
        compile_kernel(*kernel)
