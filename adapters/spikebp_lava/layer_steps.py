"""What the process of a layer asks of that which computes the layer."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]


class LayerSteps(Protocol):
    """Computes layer l >= 1 step by step, and learns the weights of the connection to it.

    All values are in the numbers of a tag. What has been learned lies in shared memory, where it
    may have changed between two steps.

    Attributes
    ----------
    spike, error : ndarray of shape (n_units,)
        What the layer sends in this step; changed in place.
    potential, count : ndarray of shape (n_units,)
        The potentials that are left, and the spikes of the sample so far; changed in place.
    """

    spike: Array
    error: Array
    potential: Array
    count: Array

    @property
    def updates(self) -> int:
        """How many synapses updates have changed since the start."""

    @property
    def summed_drive(self) -> Array:
        """The drive summed over the sample so far."""

    def begin(self, opens: bool, restarts: bool) -> None:
        """Begin a step, which may open its sample, and may be the first with a target."""

    def receive(self, k: Array) -> None:
        """Count spikes of the layer below, of type int64, and send them through the weights."""

    def fire(self, is_busy: bool) -> None:
        """Make rule 2 with the spikes received last, or send nothing if the layer is idle."""

    def compare(self, y: Array) -> None:
        """Make rule 3, for the output."""

    def take_errors(self, arrived: Array) -> None:
        """Make rule 4, for a layer below the output, with what comes from the layer above."""

    def errors_down(self) -> Array:
        """Return what the errors of this step bring to the layer below."""

    def learn(self, closes: bool) -> None:
        """Make rule 5, at the end of a sample if it `closes`."""
