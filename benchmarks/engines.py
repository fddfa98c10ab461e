"""The engine in C beside the kernels of Numba that show other networks: time over time.

Both learn the same MNIST images (digits without them) in one process, in turns; what counts is the
time of the thread, and of each pair of turns its ratio. In the end all weights must be equal::

    python benchmarks/engines.py
    python benchmarks/engines.py --avx2     # both without AVX-512
"""

import argparse
import os
import sys
import time

# Before Numba is imported, which reads it then.
if "--avx2" in sys.argv:
    os.environ |= {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2"}

import numpy as np
from measuring import data_for_benchmark

from spikebp_plugins import SpikingMLP
from spikebp_plugins.compiled.backend import CompiledBackend
from spikebp_plugins.engine import backend, event_backend, library
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.network.state import initial_state

EVENT = {"timing": "event", "arithmetic": "float32"}
#: Hidden layers, steps, and further fields.
CASES = (
    ((200, 200), 10, {}),
    ((200, 200), 20, {}),
    ((200, 200), 1, {}),
    ((100, 50), 5, {}),
    ((200, 200), 10, EVENT),
    ((200, 200), 10, EVENT | {"event_order": "depth"}),
)
BLOCK = 500


def seconds(show, engine, i):
    begin = time.thread_time()
    show(engine, i)
    return time.thread_time() - begin


def ratios(engines, show, turns):
    """Return the medians of microseconds a sample on Numba, and of C over Numba."""
    taken = [[seconds(show, engine, i) for engine in engines] for i in range(turns)]
    numba, c = np.array(taken).T / BLOCK * 1e6
    return float(np.median(numba)), float(np.median(c / numba))


def compare(net, data, turns):
    """Yield what is timed, and what `ratios` returns."""
    classes = (CompiledBackend, CompiledBackend.engine_for(net))
    engines = [cls(net, initial_state(net), 1) for cls in classes]
    x, y = data.x_train, data.y_train
    blocks = [np.arange(i * BLOCK, (i + 1) * BLOCK) % len(x) for i in range(turns)]
    known = [check_batch(net, x[block], y[block]) for block in blocks]
    unknown = [check_batch(net, x[block]) for block in blocks]
    singles = [[(x[j : j + 1], y[j : j + 1]) for j in block] for block in blocks]

    def learn_singly(engine, i):
        for sample in singles[i]:
            if engine.show_one(*sample, net.n_steps) is None:
                engine.train(check_batch(net, *sample), False)

    def predict_singly(engine, i):
        for image, _ in singles[i]:
            if engine.show_one(image, None, net.n_steps) is None:
                engine.predict(check_batch(net, image), False)

    for engine in engines:  # learned a little, as networks are in use, and compiled
        for batch in known:
            engine.train(batch, False)
        learn_singly(engine, 0), predict_singly(engine, 0), engine.predict(unknown[0], False)
    yield "learning", ratios(engines, lambda engine, i: engine.train(known[i], False), turns)
    yield "predicting", ratios(engines, lambda engine, i: engine.predict(unknown[i], False), turns)
    yield "learning, one a call", ratios(engines, learn_singly, turns)
    yield "predicting, one a call", ratios(engines, predict_singly, turns)
    weights = [engine.state.weights for engine in engines]
    assert all(map(np.array_equal, *weights)), "weights differ"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=21, help=f"blocks of {BLOCK} samples")
    parser.add_argument("--avx2", action="store_true", help="leave AVX-512 alone")
    asked = parser.parse_args()
    level = min(3, library.best_level()) if asked.avx2 else library.best_level()
    backend.build_of = lambda bits: library.build_of(bits, level)
    event_backend.event_build_of = lambda bits: library.event_build_of(bits, level)
    data = data_for_benchmark()
    print(f"level {level} of x86-64\n\n| network | | µs on Numba | C / Numba |\n|---|---|---|---|")
    for hidden, n_steps, fields in CASES:
        sizes = (data.x_train.shape[1], *hidden, data.n_classes)
        net = SpikingMLP(sizes, n_steps=n_steps, input_scale=data.input_scale, **fields)
        words = f"{'-'.join(map(str, sizes))}, T = {n_steps}", net.event_order
        name = ", ".join(word for word in words if word)
        for what, (numba, ratio) in compare(net, data, asked.turns):
            print(f"| {name} | {what} | {numba:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
