"""A spiking source teaches the network on line, and the network drives a group of the user's.

A retina of 8 x 8 Poisson units sees bars of four directions at changing places, each for 100 ms.
The network learns to tell the directions while it runs; its output drives four leaky
integrate-and-fire neurons. Every second bar comes without a label, so that nothing is learned
from it: it tests what has been learned so far. Prints how accuracy grows; writes no file. Takes
half a minute with Cython, longer the first time::

    python examples/brian2_online_source.py
"""
# ruff: noqa: F403, F405 (names come from brian2, as in most Brian2 scripts)

import argparse

from brian2 import *

from spikebp_brian2 import SpikingMLPGroup
from spikebp_plugins import SpikingMLP

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=2000, help="bars to show, at least 8")
parser.add_argument("--target", default="auto", help="cython, numpy or auto")
options = parser.parse_args()
n_bars = options.samples

prefs.codegen.target = options.target
defaultclock.dt = 1 * ms
seed(1)

# Bars two pixels wide: horizontal, vertical and along both diagonals, at shifting places.
row, column = divmod(arange(64), 8)
places = [row - 3.5, column - 3.5, (row - column) / sqrt(2), (row + column - 7) / sqrt(2)]
choice = np.random.RandomState(1)
directions, shifts = choice.randint(4, size=n_bars), choice.uniform(-2, 2, size=n_bars)
bars = [abs(places[k] - shift) < 1 for k, shift in zip(directions, shifts, strict=True)]

# input_coding="spikes": layer 0 fires the spikes that the retina has fired in a step. With "values"
# they would be multiplied by input_scale and quantized first.
net = SpikingMLP.paper((64, 80, 4), learning_rate=0.1, input_coding="spikes")
step = 10 * ms
bar_lasts = net.n_steps * step

shown_rates = TimedArray(where(bars, 60, 3) * Hz, dt=bar_lasts)
retina = PoissonGroup(64, rates="shown_rates(t, i)")
mlp = SpikingMLPGroup(net, input=retina, step=step)


@network_operation(dt=bar_lasts)
def teacher(t):
    k = round(t / bar_lasts)
    mlp.schedule.label = directions[k] if k % 2 == 0 else -1  # below 0: no label is given


# One event of an output unit can be several spikes; spike_count says how many.
readout = NeuronGroup(4, "dv/dt = -v/(50*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
to_readout = Synapses(mlp.output_layer, readout, on_pre="v_post += 0.3*spike_count_pre")
to_readout.connect(j="i")

ends = EventMonitor(mlp.output_layer, "sample_end", variables=["summed_drive"])
spikes = SpikeMonitor(readout)

run(n_bars * bar_lasts, report="text")

# Every output unit has the event, so each bar has left a row of four.
scores = array(ends.summed_drive).reshape(n_bars, 4) / net.n_steps
right = scores.argmax(axis=1) == directions
bar_of_spike = (spikes.t / bar_lasts).astype(int)
spike_is_right = spikes.i == directions[bar_of_spike]
for k in range(4):
    first, last = k * n_bars // 4, (k + 1) * n_bars // 4
    tested = [bar for bar in range(first, last) if bar % 2 == 1]
    in_tested = isin(bar_of_spike, tested)
    print(
        f"bars {first} to {last - 1}: {100 * mean(right[tested]):.1f} % of those without a label "
        f"recognized; readout: {sum(spike_is_right & in_tested)} of {sum(in_tested)} spikes right"
    )
print(f"learned from {mlp.checkpoint().state.samples_seen} of {n_bars} bars")
