"""A layer above a dense connection, computed by the kernels of the compiled core."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.dense_network import dense_network
from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.compiled.kernels import arrays, layers
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.rates import learning_rate_into, summed_error_limit

Array = NDArray[Any]


def require_certain(certain: bool, what: str) -> None:
    """Raise OverflowError about a quantity for which a kernel could not prove its range."""
    if not certain:
        raise OverflowError(f"{what} may leave the range in which all sums are exact")


class LayerByKernels:
    """The `LayerSteps` of a layer l >= 1 above a dense connection.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    l : int
        The index of the layer.
    """

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        layout = _pair(shared, l)
        weight, self._back, potential = shared.of_layer(l)
        bounds = [np.zeros(2) for _ in range(3)]
        self._run = layout.run(arrays.Learning(weight, weight[:0], potential, *bounds))
        self._back_bound = float(np.abs(self._back).max(initial=0))
        self._layout, self._l = layout, l
        self._has_random_feedback = shared.net.feedback == "random"
        self._nothing_drawn = layout.drawn_for(0)
        n, sample = layout.net.n_inputs, self._run.sample
        self._down = np.zeros(n, layout.dtype)
        self.spike, self.error = sample.spike[n:], sample.error[n:]
        self.potential, self.count = sample.potential[n:], sample.count[n:]

    @property
    def updates(self) -> int:
        """How many synapses updates have changed since the start."""
        return int(self._run.totals.updates[0])

    @property
    def summed_drive(self) -> Array:
        """The drive summed over the sample so far."""
        drive: Array = self.potential + self.count * self._layout.network.one
        return drive

    def begin(self, opens: bool, restarts: bool) -> None:
        """Begin a step, which may open its sample, and may be the first with a target."""
        layers.begin_step(self._run, self._nothing_drawn, opens, restarts)

    def receive(self, k: Array) -> None:
        """Count spikes of the layer below, and send them through the weights."""
        certain = layers.receive_spikes(self._run, self._layout.counts(k))
        require_certain(certain, f"potential of layer {self._l}")

    def fire(self, is_busy: bool) -> None:
        """Make rule 2 with the spikes received last, or send nothing if the layer is idle."""
        certain = layers.fire_arrived(self._run, is_busy)
        require_certain(certain, f"potential of layer {self._l}")

    def compare(self, y: Array) -> None:
        """Make rule 3, for the output."""
        certain = layers.output_layer_error(self._run, y)
        require_certain(certain, f"target potential of layer {self._l}")

    def take_errors(self, arrived: Array) -> None:
        """Make rule 4, for a layer below the output, with what comes from the layer above."""
        certain = layers.hidden_layer_error(self._run, arrived)
        require_certain(certain, f"backward potential of layer {self._l}")

    def errors_down(self) -> Array:
        """Return what the errors of this step bring to the layer below."""
        learned_bound = self._run.learning.weight_bound[1]
        bound = self._back_bound if self._has_random_feedback else learned_bound
        certain = layers.errors_down(self._run, self._back, bound, self._down)
        require_certain(certain, f"backward potential of layer {self._l - 1}")
        return self._down

    def learn(self, closes: bool) -> None:
        """Make rule 5, at the end of a sample if it `closes`."""
        certain = layers.layer_learns(self._run, self._back, closes)
        require_certain(certain, f"weight of layer {self._l}")


def _pair(shared: SharedNetwork, l: int) -> Layout:
    """Return the layout of the network that consists of layers l - 1 and l alone."""
    net = shared.net
    pair = dense_network(
        net,
        *net.layer_sizes[l - 1 : l + 1],
        input_coding="spikes",
        learning_rate=learning_rate_into(net, l),
    )
    layout = Layout(pair, shared.dtype)
    for network in (layout.network, layout.undelayed):  # in which layer l is the output
        network.error_limit[1] = summed_error_limit(net, l)
    return layout
