"""Compiling kernels, or finding them in the cache, before Lava forks its processes.

Otherwise each process of a graph would compile them for itself, without saying so.
"""

from __future__ import annotations

import numpy as np

from spikebp_lava.dense_network import dense_network
from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.compiled.kernels import arrays, layers
from spikebp_plugins.compiled.notice import announced
from spikebp_plugins.compiled.stepper import Moment, Stepper
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state


def prepare_steps(net: Definition, tag: str) -> None:
    """Compile the kernels that compute whole steps of networks of dense connections."""
    shared = _smallest(net, tag)
    bounds = [np.zeros(shared.net.n_layers + 1) for _ in range(3)]
    learning = arrays.Learning(*shared.arrays(), *bounds)
    totals = arrays.Totals(shared.spikes, shared.errors, shared.updates[:1], shared.samples)
    stepper = Stepper(shared.layout, learning, totals)
    moment = Moment(opens=True, closes=True, restarts=True, learns=True, updates=True)
    with announced(("steps", shared.layout.dtype, net.update)):
        stepper.show(np.zeros(1, np.int64), np.zeros(1), moment, 0, shared.record(False))


def prepare_layers(net: Definition, tag: str) -> None:
    """Compile the kernels that compute single layers."""
    shared = _smallest(net, tag)
    layout = shared.layout
    nothing = np.zeros(1, layout.dtype)
    weight, back, potential = shared.of_layer(1)
    learning = arrays.Learning(weight, weight[:0], potential, *(np.zeros(2) for _ in range(3)))
    run = layout.run(learning)
    with announced(("layers", layout.dtype)):
        layers.input_layer(run, nothing, True)
        layers.begin_step(run, layout.drawn_for(0), True, True)
        layers.receive_spikes(run, nothing)
        layers.fire_arrived(run, True)
        layers.output_layer_error(run, nothing)
        layers.hidden_layer_error(run, nothing)
        layers.errors_down(run, weight, 0.0, nothing)
        layers.layer_learns(run, back, True)


def _smallest(net: Definition, tag: str) -> SharedNetwork:
    smallest = dense_network(net, 1, 1)
    shared = SharedNetwork(smallest, initial_state(smallest))
    shared.adopt(tag)
    return shared
