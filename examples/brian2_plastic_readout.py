"""Plastic synapses of the user's own listen to a network that learns: it names, they act.

The network learns to name handwritten digits. Ten leaky integrate-and-fire neurons, one for each
action, hear all of its outputs through synapses of Hebb's kind: when a neuron that is urged fires,
its synapses from outputs that sent many spikes in the last step grow, and all others shrink. While
digits have labels, a current urges the neuron of the right action. The last digits have no label,
-1, and nothing urges: what acts then are the synapses, and the neuron that fires first silences the
others.

A label asks an output for 36 spikes in a step. They come in one event, and `spike_count` says how
many they are. A synapse takes them as a share of 36: fully grown, with all of them, it brings its
neuron to 8/e = 2.9 thresholds, and with the six of an output that is wrong to half of one. A weight
that is meant for one spike would bring 36 times as much, and any event would make a neuron fire.

Prints how often name and action are right, 91.7 and 87.8 %, and writes no file. Takes 20 s, and
with Cython longer the first time::

    python examples/brian2_plastic_readout.py
"""
# ruff: noqa: F403, F405 (names come from brian2, as in most Brian2 scripts)

import argparse

from brian2 import *

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import SpikingMLP, load_dataset

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=1437, help="digits to learn from, at most 1437")
parser.add_argument("--test-samples", type=int, default=360, help="digits to act on, at most 360")
parser.add_argument("--target", default="auto", help="cython, numpy or auto")
options = parser.parse_args()
prefs.codegen.target = options.target
defaultclock.dt = 1 * ms

data = load_dataset("digits")
taught, tested = slice(options.samples), slice(options.test_samples)
digits = concatenate([data.x_train[taught], data.x_test[tested]])
names = concatenate([data.y_train[taught], data.y_test[tested]])
labels = where(arange(len(names)) < options.samples, names, -1)
action_of = np.random.RandomState(1).permutation(10)  # each name asks for the action of another
actions = action_of[names]

net = SpikingMLP((64, 60, 10))
step = 10 * ms
sample = net.n_steps * step
mlp = SpikingMLPGroup(net, step=step)
most = net.label_targets[1]  # spikes in a step: 36

urged = zeros((len(names), 10))
urged[arange(options.samples), actions[: options.samples]] = 2  # thresholds
urge = TimedArray(urged, dt=sample)
actors = NeuronGroup(
    10,
    """
    dv/dt = (urge(t, i) + heard_now - v)/(5*ms) : 1
    dheard_now/dt = -heard_now/(5*ms) : 1
    """,
    threshold="v > 1",
    reset="v = 0",
    method="euler",
)
rivals = Synapses(actors, actors, on_pre="v_post -= 2")  # the first to act silences the others
rivals.connect(condition="i != j")
hear = Synapses(
    mlp.output_layer,
    actors,
    """
    strength : 1
    heard : 1  # the last event, as a share of the spikes of an output that is right
    """,
    on_pre="""
    heard = spike_count_pre/most
    heard_now_post += 8*strength*heard
    """,
    on_post="strength = clip(strength + 0.05*int(urge(t, j) > 0)*(heard - 0.4), 0, 1)",
)
hear.connect()
hear.strength = 0.1
acted = SpikeMonitor(actors)
network = Network(mlp, actors, rivals, hear, acted)
network.run(mlp.present(digits, labels), report="text")

named = mlp.accuracy(data.x_test[tested], data.y_test[tested])
print(f"{100 * named:.1f} % of {options.test_samples} unseen digits are named rightly")
# The most active neuron of a sample is its action; of a tie none.
spikes = zeros((len(names), 10))
np.add.at(spikes, (floor(acted.t / sample + 1e-6).astype(int), acted.i), 1)
best = spikes.max(axis=1, keepdims=True)
is_right = (spikes.argmax(axis=1) == actions) & ((spikes == best).sum(axis=1) == 1)
print(f"{100 * mean(is_right[options.samples :]):.1f} % of them are followed by the right action")
strength = hear.strength[:].reshape(10, 10)
of_names = strength[arange(10), action_of]
print(f"synapses from names to their actions: {of_names.mean():.2f}, all: {strength.mean():.2f}")
