"""What arrives at the ports of a network in one step of Lava."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_lava.memory import FIXED, SharedNetwork
from spikebp_plugins.backends.stepper import Moment, Schedule
from spikebp_plugins.errors import wrong_argument

Array = NDArray[Any]


class Message(NamedTuple):
    """Input and target of some steps, in real values, and what the steps are to their sample."""

    x: Array
    y: Array | None
    moment: Moment
    n_steps: int


class Incoming:
    """Reads the ports of a process model that receives samples.

    Parameters
    ----------
    shared : SharedNetwork
        The network.
    model : PyLoihiProcessModel
        The model, which has ports spikes_in, label_in, target_in and reset_in.
    tag : str
        Its tag.
    """

    def __init__(self, shared: SharedNetwork, model: Any, tag: str) -> None:
        self._shared, self._model = shared, model
        self._unit = 2.0 ** -(shared.net.fraction_bits or 0) if tag == FIXED else 1.0
        self._schedule = Schedule()

    def receive(self) -> Message:
        """Wait for a message at every port that is connected."""
        model, switches = self._model, self._shared.switches
        x = _finite("spikes_in", model.spikes_in.recv())
        y = self._target()
        n_steps = int(switches.steps_per_message[0])
        if model.reset_in.csp_ports:
            closes = bool(np.any(model.reset_in.recv()))
        else:
            shown = 0 if self._schedule.is_over else self._schedule.steps_shown
            closes = shown + n_steps >= switches.steps_per_sample[0]
        if self._shared.net.input_coding == "spikes":
            x = self._as_counts(x)
        return Message(x, y, self._schedule.advance(n_steps, y is not None, closes), n_steps)

    def _as_counts(self, x: Array) -> Array:
        counts = x.astype(np.int64)
        if not np.array_equal(counts, x):
            allowed = "whole numbers with input_coding='spikes'"
            raise wrong_argument("spikes_in", allowed, x[counts != x][0])
        if self._shared.net.spikes == "binary" and np.abs(counts).max() > 1:
            allowed = "spike counts -1, 0 or 1 with spikes='binary'"
            raise wrong_argument("spikes_in", allowed, counts[np.abs(counts) > 1][0])
        return counts

    def _target(self) -> Array | None:
        model, net = self._model, self._shared.net
        y: Array | None = None
        if model.label_in.csp_ports:
            label = int(model.label_in.recv()[0])
            if label >= net.n_outputs:
                raise ValueError(f"label_in must be below {net.n_outputs}; got {label}")
            if label >= 0:
                y = np.zeros(net.n_outputs)
                y[label] = 1
        if model.target_in.csp_ports:
            if model.label_in.csp_ports:
                raise ValueError("connect label_in or target_in, not both")
            y = _finite("target_in", model.target_in.recv()) * self._unit
        return y if self._shared.switches.learning[0] else None


def _finite(port: str, values: Array) -> Array:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise wrong_argument(port, "finite", values[~np.isfinite(values)][0])
    return values
