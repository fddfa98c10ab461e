"""An event camera drives the network, which learns what a stream in the core learns from it.

The camera is a SpikeGeneratorGroup with two units for each pixel: one fires where it grows
brighter, one where it grows darker. It sees bars that move right, down, left or up or, with a
folder of N-MNIST, handwritten digits. The last recordings have no label, so that nothing is learned
from them: they test what has been learned. Then the compiled back end takes the same events as a
stream, and ends with the same weights. Prints accuracy and whether both are equal; writes no file.
Takes a minute or less, longer the first time::

    python examples/brian2_events.py
    python examples/brian2_events.py --folder N-MNIST
"""

import numpy as np
from brian2 import EventMonitor, SpikeGeneratorGroup, TimedArray, defaultclock, prefs, run, us
from event_recordings import (
    equal,
    in_turn,
    learned_by_a_stream,
    option_parser,
    recordings_and_network,
)

from spikebp_brian2 import SpikingMLPGroup

parser = option_parser(__doc__)
parser.add_argument("--target", default="auto", help="cython, numpy or auto")
options = parser.parse_args()
n_recordings = options.samples + options.test_samples

recordings, encoder, net = recordings_and_network(n_recordings, options.folder)
events, labels = in_turn(recordings, net.n_steps * encoder.step)
known = labels.copy()
known[-options.test_samples :] = -1  # below 0: no label is given

# A unit of a SpikeGeneratorGroup fires once in a dt at most. Of several events the first is kept,
# here and for the stream: with a dt of 1 ms that leaves out 0.1 % of the events of N-MNIST.
dt = 1000
units, dts = encoder.locate(events).unit, events["t"] // dt
kept = np.sort(np.unique(dts * encoder.n_inputs + units, return_index=True)[1])
print(f"{len(labels)} recordings: {len(kept)} of {len(events)} events become spikes")

# Times of spikes are whole dt, computed in integers. Brian2 adds a thousandth of dt before it cuts
# times to dt, and so would move some times between two dt into the later one.
prefs.codegen.target = options.target
defaultclock.dt = dt * us
step = encoder.step // dt * defaultclock.dt
camera = SpikeGeneratorGroup(encoder.n_inputs, units[kept], dts[kept] * defaultclock.dt)
teacher = TimedArray(known, dt=net.n_steps * step)
mlp = SpikingMLPGroup(net, input=camera, label=teacher, step=step)
ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])

run(len(labels) * net.n_steps * step, report="text")

# Every output unit has the event sample_end, so each recording has left a row of all outputs.
scores = np.array(ends.summed_drive).reshape(len(labels), net.n_outputs) / net.n_steps
right = (scores.argmax(axis=1) == labels)[-options.test_samples :]
print(f"{100 * np.mean(right):.1f} % of {len(right)} unseen recordings recognized")

stream_scores, stream_weights = learned_by_a_stream(net, encoder, events[kept], known)
print(f"scores equal to those of a stream: {np.array_equal(scores, stream_scores)}")
weights = mlp.checkpoint().state.weights
print(f"weights equal to those of a stream: {equal(weights, stream_weights)}")
