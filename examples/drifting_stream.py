"""A spiking network follows a stream whose classes change half way.

Handwritten digits of 8 x 8 pixels come one at a time, drawn at random from 1437. The network first
predicts the digit, then is told, and learns. Half way through every class takes the name of
the next: what was a 3 is a 4 from now on, and what was a 9 is a 0. Nobody tells the network that
this has happened; it learns on, and recovers. Writes nothing, and takes a few seconds::

    python examples/drifting_stream.py
"""

import argparse

import numpy as np

from spikebp_plugins import Simulator, SpikingMLP, load_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=4000, help="digits in the stream")
options = parser.parse_args()
if options.samples < 2:
    parser.error(f"--samples must be at least 2, got {options.samples}")

data = load_dataset("digits", raw=True)  # whole numbers, which input_scale maps to 0 to 1
drawn = np.random.RandomState(0).randint(len(data.x_train), size=options.samples)
pixels, digits = data.x_train[drawn], data.y_train[drawn]
half = options.samples // 2
digits[half:] = (digits[half:] + 1) % data.n_classes

# The defaults ask some spikes of wrong classes too. A unit that has learned to be silent for a
# digit would get no error there, and could not take over its new name.
net = SpikingMLP((64, 60, 10), input_scale=data.input_scale)
right = np.zeros(options.samples, bool)
with Simulator(net) as sim:
    for i in range(options.samples):
        now = slice(i, i + 1)
        right[i] = sim.predict(pixels[now]).argmax() == digits[i]
        sim.train(pixels[now], digits[now])

print(f"{options.samples} digits, each predicted before it was learned; classes change at {half}")
window = max(1, options.samples // 16)
for start in range(0, options.samples, window):
    part = right[start : start + window]
    end = start + len(part)
    changed = " <- classes change" if start <= half < end else ""
    bar = "#" * round(50 * part.mean())
    print(f"{start:5} to {end - 1:5}: {100 * part.mean():5.1f} % {bar}{changed}")
