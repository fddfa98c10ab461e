"""An event camera drives the network, which learns what a stream in the core learns from it.

The camera is a process of this example's own, in the folder ``lava_processes``: in each step it
sends how often each pixel has grown brighter and darker. It sees bars that move right, down, left
or up or, with a folder of N-MNIST, handwritten digits. The last recordings have no label, so that
nothing is learned from them: they test what has been learned. Then the compiled back end takes the
same events as a stream, and ends with the same weights. Prints accuracy and whether both are equal;
writes no file. Takes half a minute or less::

    python examples/lava_events.py
    python examples/lava_events.py --folder N-MNIST
"""

import numpy as np
from event_recordings import (
    equal,
    in_turn,
    learned_by_a_stream,
    option_parser,
    recordings_and_network,
)
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_processes.event_camera import EventCamera

from spikebp_lava import ScoreSink, SpikingMLPProcess

parser = option_parser(__doc__)
parser.add_argument("--tag", default="fixed_pt", help="fixed_pt or floating_pt")
options = parser.parse_args()
n_recordings = options.samples + options.test_samples

recordings, encoder, net = recordings_and_network(n_recordings, options.folder)
events, labels = in_turn(recordings, net.n_steps * encoder.step)
known = labels.copy()
known[-options.test_samples :] = -1  # below 0: no label is given

camera = EventCamera(encoder, events, known, net.n_steps)
mlp = SpikingMLPProcess(net)
sink = ScoreSink(net, n_samples=len(labels))
camera.counts_out.connect(mlp.spikes_in)
camera.label_out.connect(mlp.label_in)
mlp.summed_drive_out.connect(sink.summed_drive_in)

configuration = Loihi2SimCfg(select_tag=options.tag)
mlp.run(condition=RunSteps(num_steps=len(labels) * net.n_steps), run_cfg=configuration)
mlp.stop()
right = (sink.scores.argmax(axis=1) == labels)[-options.test_samples :]
print(f"{100 * np.mean(right):.1f} % of {len(right)} unseen recordings recognized")

scores, weights = learned_by_a_stream(net, encoder, events, known)
print(f"scores equal to those of a stream: {np.array_equal(sink.scores, scores)}")
print(f"weights equal to those of a stream: {equal(mlp.weights, weights)}")
