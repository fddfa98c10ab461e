"""A network that learns in a Lava graph, observed by Lava's monitors: potentials, spikes, weights.

Monitors record the potentials and the spikes of the hidden layer, and the weights that lead to it,
at every step, while the digits 0 to 3 are learned from 4 x 4 pixels. Writes a picture of all three,
``lava_potentials.png``, and compares what was learned with the reference. A monitor hands over its
numbers one by one, so the network is small. Takes half a minute or less::

    python examples/lava_potentials.py
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.monitor.process import Monitor

from spikebp_lava import SampleSource, SpikingMLPProcess
from spikebp_plugins import Simulator, SpikingMLP, load_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=300, help="digits to learn from, 1 to 582")
parser.add_argument("--tag", default="fixed_pt", help="fixed_pt or floating_pt")
parser.add_argument("--output", type=Path, default=Path(), help="folder for what is written")
options = parser.parse_args()

data = load_dataset("digits", raw=True)
chosen = np.flatnonzero(data.y_train < 4)[: options.samples]
# Pixels of 8 x 8 are added up in squares of four.
x = data.x_train[chosen].reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)).reshape(-1, 16)
y = data.y_train[chosen]

net = SpikingMLP.paper((16, 12, 4), learning_rate=0.5, input_scale=data.input_scale / 4)
random = np.random.RandomState(0)
initial_weights = [0.2 * random.standard_normal(shape) for shape in net.weight_shapes]
mlp = SpikingMLPProcess(net, weights=initial_weights)
source = SampleSource(net, x, y)
source.spikes_out.connect(mlp.spikes_in)
source.label_out.connect(mlp.label_in)
n_steps = len(x) * net.n_steps
# A monitor has room for n_steps steps, and raises IndexError beyond them.
monitors = {}
for name in ("potential_1", "spike_count_1", "weight_1"):
    monitors[name] = Monitor()
    monitors[name].probe(getattr(mlp, name), n_steps)
mlp.run(condition=RunSteps(n_steps), run_cfg=Loihi2SimCfg(select_tag=options.tag))
seen = {name: monitor.get_data()[mlp.name][name] for name, monitor in monitors.items()}
mlp.stop()
potentials, counts, matrices = seen.values()  # (steps, units), twice, and (steps, inputs, units)
if options.tag == "fixed_pt":  # whole numbers of units of 2^-f
    potentials, matrices = (values * 2.0**-net.fraction_bits for values in (potentials, matrices))

print(f"layer 1: {counts.sum():.0f} spikes in {n_steps} steps, at most {counts.max():.0f} in one")
with Simulator(net, backend="reference", weights=initial_weights) as sim:
    sim.train(x, y)
    same = all(map(np.array_equal, mlp.weights, sim.weights))
print(f"weights are the same numbers as those of the reference: {same}")

figure, axes = plt.subplots(3, 1, figsize=(9, 10), layout="constrained")
first = max(0, len(x) - 10) * net.n_steps  # the spikes of the last samples
steps, units = np.nonzero(counts[first:])
several = counts[first:][steps, units]
dots = axes[0].scatter(first + steps + 1, units, s=8 * several, c=several, vmin=1, vmax=4)
figure.colorbar(dots, ax=axes[0], ticks=range(1, 5), label="spikes in a step")
for begin in range(first, n_steps, net.n_steps):
    axes[0].axvline(begin + 0.5, color="grey", linewidth=0.5)
    axes[0].text(begin + 1, net.layer_sizes[1], f"a {y[begin // net.n_steps]}")
axes[0].set(ylabel="hidden unit", ylim=(-0.7, net.layer_sizes[1] - 0.3))
unit = np.abs(matrices[-1] - matrices[0]).sum(axis=0).argmax()
axes[1].axhline(0.5, color="grey", linewidth=0.5)  # the threshold: what reaches it has fired
axes[1].plot(np.arange(first, n_steps) + 1, potentials[first:, unit], marker=".")
axes[1].set(ylabel=f"potential of hidden unit {unit}")
for axis in axes[:2]:
    axis.set(xlabel="step", xlim=(first + 0.5, n_steps + 0.5))
axes[2].plot(np.arange(1, n_steps + 1), matrices[:, :, unit])
axes[2].set(ylabel=f"weights of hidden unit {unit}", xlabel="step", xlim=(1, n_steps))
figure.savefig(options.output / "lava_potentials.png")
