"""The timings that Brian2 runs: how many steps after the input each layer acts."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from spikebp_plugins import SpikingMLP

TIMINGS: Final = ("immediate", "pipelined")


class Delays(NamedTuple):
    """How many steps after a step of input each layer sends the spikes and errors of that step.

    Attributes
    ----------
    spikes : tuple of int
        Delays of the spikes of layers 0..L.
    errors : tuple of int
        Delays of the errors of layers 0..L; layer 0 sends no errors and has the delay of layer 1.
    """

    spikes: tuple[int, ...]
    errors: tuple[int, ...]

    def duration(self, n_steps: int) -> int:
        """Return how many steps a sample takes until its last errors have reached layer 1."""
        return n_steps + self.errors[1]


def delays_of(net: SpikingMLP) -> Delays:
    """Return the delays of a definition, which are all zero with ``timing="immediate"``."""
    layers = range(net.n_layers + 1)
    if net.timing == "immediate":
        return Delays(tuple(0 for l in layers), tuple(0 for l in layers))
    return Delays(tuple(layers), tuple(2 * net.n_layers - max(l, 1) for l in layers))


def belonging(record: NDArray[Any], delay: int, n_steps: int) -> NDArray[Any]:
    """Return `n_steps` steps after `delay`, of a record of shape (n_samples, duration, n_units)."""
    return record[:, delay : delay + n_steps]
