"""A layer above a connection of any kind, computed by the rules of the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.incoming import of_one_spike
from spikebp_lava.memory import SharedNetwork
from spikebp_plugins.network.arithmetic import check_counts, grid_of
from spikebp_plugins.rules.step import (
    backward,
    descend,
    forward,
    output_error,
    summed_errors,
    weights_through,
)

Array = NDArray[Any]


class LayerByRules:
    """The `LayerSteps` of a layer l >= 1 above a connection of any kind.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    l : int
        The index of the layer.
    """

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        net, dtype = shared.net, shared.dtype
        n_below, n = net.layer_sizes[l - 1 : l + 1]
        self._shared, self._net, self._l = shared, net, l
        self._connection, self._number = net.connections[l - 1], grid_of(net)
        self._learned = shared.matrix(l)
        self._psi = shared.of_layer(l)[2][n_below:]
        has_own = l > 1 and net.feedback == "random" and shared.has_weights(l)
        self._feedback = shared.read().feedback[l - 2] if has_own else None
        self.spike, self.error, self.potential, self.count = (np.zeros(n, dtype) for _ in range(4))
        self.updates = 0
        self._open()

    def _open(self) -> None:
        """Reset everything that lasts for one sample."""
        n_below, n = self._net.layer_sizes[self._l - 1 : self._l + 1]
        self._phi, self._s, self._phi_y = (np.zeros(n) for _ in range(3))
        self._c_below: NDArray[np.int64] = np.zeros(n_below, np.int64)
        counts: list[NDArray[np.int64]] = [np.zeros(n, np.int64) for _ in range(3)]
        self._k, self._e, self._E = counts
        self._arriving = self._connection.forward(self._c_below, self._weights)
        for shown in (self.spike, self.potential, self.count):
            shown[:] = 0

    @property
    def _weights(self) -> Array:
        """What spikes pass through, as real numbers."""
        W = self._shared.decoded(self._learned)
        return weights_through(self._net, self._connection, W)

    @property
    def summed_drive(self) -> Array:
        """The drive summed over the sample so far."""
        return self._shared.encoded(self._s)

    def begin(self, opens: bool, restarts: bool) -> None:
        """Begin a step, which may open its sample, and may be the first with a target."""
        if opens:
            self._open()
        if restarts and self._net.backward_init == "zero":
            self._psi[:] = 0
        self._send_errors(np.zeros_like(self._e))

    def receive(self, k: Array) -> None:
        """Count spikes of the layer below, and send them through the weights."""
        self._c_below = check_counts(self._c_below + k, self._l - 1)
        self._arriving = self._connection.forward(k, self._weights)

    def fire(self, is_busy: bool) -> None:
        """Make rule 2 with the spikes received last, or send nothing if the layer is idle."""
        if is_busy:
            self._k, self._phi, self._s = forward(
                self._net, self._arriving, self._phi, self._s, self._l
            )
            self.potential[:] = self._shared.encoded(self._phi)
        else:
            self._k = np.zeros_like(self._k)
        self.spike[:] = self._k
        self.count += self.spike
        check_counts(self.count, self._l)

    def compare(self, y: Array) -> None:
        """Make rule 3, for the output."""
        target = self._shared.decoded(y)
        e, self._phi_y = output_error(self._net, self._k, target, self._phi_y, self._s)
        self._send_errors(e)

    def take_errors(self, arrived: Array) -> None:
        """Make rule 4, for a layer below the output, with what comes from the layer above."""
        drive = of_one_spike(self._shared.decoded(arrived))
        psi = self._shared.decoded(self._psi)
        e, psi = backward(self._net, drive, psi, self._s, self._l)
        self._psi[:] = self._shared.encoded(psi)
        self._send_errors(e)

    def _send_errors(self, e: Array) -> None:
        self._e = e
        self.error[:] = e

    def errors_down(self) -> Array:
        """Return what the errors of this step bring to the layer below."""
        B = self._feedback
        if B is None:
            B = self._connection.backward_weights(self._weights)
        arriving, l = self._connection.backward(self._e, B), self._l - 1
        nothing = np.zeros(self._net.layer_sizes[l])
        sums = self._number.add_arriving(nothing, arriving, "backward potential", l)
        return self._shared.encoded(sums)

    def learn(self, closes: bool) -> None:
        """Make rule 5, at the end of a sample if it `closes`."""
        e = self._e
        if self._net.learns_once:
            self._E = e = summed_errors(self._E, e, self._l)
            if not closes:
                return
        c = self._c_below
        self.updates += self._connection.synapses_with(c, e)
        W = self._shared.decoded(self._learned)
        changed = descend(self._net, self._number, W, c, c, e, self._l)
        self._learned[...] = self._shared.encoded(changed)
