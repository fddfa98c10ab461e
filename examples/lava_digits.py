"""Handwritten digits learned in a plain Lava graph.

A camera shows digits of 8 x 8 pixels to the network for 10 steps each, and the network's answers go
to a judge. The network learns from the first of them, is tested on unseen ones with learning
switched off, and then goes on learning in the compiled back end, from a checkpoint, which is also
written: ``lava_digits.npz``. Camera and judge are processes of this example's own, in the folder
``lava_processes``. Takes half a minute or less::

    python examples/lava_digits.py
"""

import argparse
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava_processes.camera import Camera
from lava_processes.judge import Judge

from spikebp_lava import SpikingMLPProcess
from spikebp_plugins import SpikingMLP, load_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=1000, help="digits to learn from, at most 1437")
parser.add_argument("--test-samples", type=int, default=200, help="digits to test on, at most 360")
parser.add_argument("--tag", default="fixed_pt", help="fixed_pt or floating_pt")
parser.add_argument("--output", type=Path, default=Path(), help="folder for what is written")
options = parser.parse_args()

data = load_dataset("digits", raw=True)  # whole numbers, which input_scale maps to 0 to 1
x_train, y_train = data.x_train[: options.samples], data.y_train[: options.samples]
x_test, y_test = data.x_test[: options.test_samples], data.y_test[: options.test_samples]

net = SpikingMLP.paper((64, 60, 10), learning_rate=0.1, input_scale=data.input_scale)
mlp = SpikingMLPProcess(net)
camera = Camera(
    np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test]), n_steps=net.n_steps
)
judge = Judge(net, n_kept=len(x_test))
camera.pixels_out.connect(mlp.spikes_in)
camera.label_out.connect(mlp.label_in)
camera.label_out.connect(judge.label_in)
mlp.summed_drive_out.connect(judge.drive_in)

configuration = Loihi2SimCfg(select_tag=options.tag)
mlp.run(condition=RunSteps(num_steps=len(x_train) * net.n_steps), run_cfg=configuration)
right = 100 * judge.right.get()[0] / len(x_train)
print(f"Lava: {right:.1f} % of {len(x_train)} digits right while they were learned")

# The labels are still shown, but nothing learns from them any more.
mlp.learning = False
judge.right.set(np.zeros(1))
judge.judged.set(np.zeros(1))
mlp.run(condition=RunSteps(num_steps=len(x_test) * net.n_steps))
scores, right = judge.scores.get(), 100 * judge.right.get()[0] / len(x_test)
print(f"Lava: {right:.1f} % of {len(x_test)} unseen digits after {len(x_train)} learned")
mlp.stop()

checkpoint = mlp.checkpoint()  # after stop() too
checkpoint.save(options.output / "lava_digits.npz")
with checkpoint.simulate() as sim:  # the compiled back end
    same = np.array_equal(sim.predict(x_test), scores)
    print(f"compiled back end: its scores of these digits are the same numbers: {same}")
    for _ in range(20):
        sim.train(data.x_train, data.y_train)
    accuracy = 100 * np.mean(sim.predict(x_test).argmax(axis=1) == y_test)
    print(f"compiled back end: {accuracy:.1f} % after {sim.samples_seen} samples learned")
