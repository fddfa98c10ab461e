"""What the process of a layer writes of each of its steps, for processes that see it later."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from spikebp_lava.memory import SharedNetwork

Array = NDArray[Any]


class LayerRecorder:
    """Records the spikes and errors of a layer, while recording is switched on.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    l : int
        The index of the layer.
    """

    def __init__(self, shared: SharedNetwork, l: int) -> None:
        self._shared, self._record = shared, shared.record()
        self._units = shared.units(l)

    def write(self, time_step: int, spikes: Array, errors: Array | None = None) -> None:
        """Record the spikes and errors of a step, of shape (n_units,)."""
        if self._shared.switches.recording[0]:
            row = self._shared.row(time_step)
            self._record.spikes[0, row, self._units] = spikes
            if errors is not None:
                self._record.errors[0, row, self._units] = errors

    def write_drive(self, time_step: int, drive: Array) -> None:
        """Record the summed drive of the output, of shape (n_outputs,)."""
        if self._shared.switches.recording[0]:
            self._record.drive[0, self._shared.row(time_step)] = drive
