"""Samples that a network is shown one after the other, and where they lie in time."""

from __future__ import annotations

from typing import Any

import numpy as np
from brian2 import Clock, get_device
from brian2.devices.device import RuntimeDevice
from numpy.typing import NDArray

from spikebp_brian2.rules import Shown
from spikebp_brian2.sources import refuse_unit
from spikebp_brian2.tables import table
from spikebp_brian2.wave import Wave
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.samples import Batch, check_batch

#: What the units of each layer have sent, by name of the variable.
Sent = dict[str, list[NDArray[Any]]]


class PresentedSamples:
    """The samples that a network is shown since the last call of `present`, or since the start.

    Parameters
    ----------
    net : Definition
        The definition.
    wave : Wave
        The parts of the network.
    clock : Clock
        Their clock.
    name : str
        The name of the network.

    Attributes
    ----------
    number : int
        How often samples have been presented.
    first_tick : int or None
        The tick of the network's clock with which the first step begins; None before its run.
    dt : float
        The duration of a tick in seconds.
    sent_before : dict of str to list of ndarray, or None
        The values of "spikes_sent" and "errors_sent" of layers 0..L before the first sample; None
        if no Python has seen them.
    seen_before : int or None
        `samples_seen` before the first sample.
    shown_before : int or None
        `samples_shown` before the first sample.
    """

    def __init__(self, net: Definition, wave: Wave, clock: Clock, name: str) -> None:
        self._net, self._wave, self._clock, self._name = net, wave, clock, name
        self._is_runtime = isinstance(get_device(), RuntimeDevice)
        self._has_run = False
        self.number = 0
        self._begin(knows_past=True)

    def _begin(self, knows_past: bool) -> None:
        self.first_tick: int | None = None
        self.dt = 0.0
        self.sent_before: Sent | None = None
        self.seen_before: int | None = None
        self.shown_before: int | None = None
        if knows_past:
            self.sent_before = {
                name: [_sent(layer, name) for layer in self._wave.layers]
                for name in ("spikes_sent", "errors_sent")
            }
            self.seen_before = int(self._of_schedule("samples_seen"))
            self.shown_before = int(self._of_schedule("samples_shown"))

    def _of_schedule(self, name: str) -> Any:
        return self._wave.schedule.variables[name].get_value()[0]

    def present(self, x: Any, y: Any) -> int:
        """Do what `SpikingMLPGroup.present` says, and return how many samples there are."""
        refuse_unit("x", x)
        refuse_unit("y", y)
        batch = check_batch(self._net, x, y)
        knows_past = self._is_runtime or not self._has_run
        if knows_past and not self._of_schedule("sample_over"):
            raise RuntimeError(
                f"samples are presented to {self._name!r} between samples, and the present one has "
                f"been shown for {self._of_schedule('steps_shown')} steps: run it to its end first"
            )
        self.number += 1
        self._show(batch, suffix="" if self._is_runtime else f"_{self.number}")
        schedule = self._wave.schedule
        schedule.presentation, schedule.n_presented = self.number, len(batch)
        if knows_past:
            schedule.first_presented = self._of_schedule("samples_shown")
        else:
            # The program that will run them knows.
            schedule.interrupted = "interrupted + int(not sample_over)"
            schedule.first_presented = "samples_shown"
        self._begin(knows_past)
        return len(batch)

    def _show(self, batch: Batch, suffix: str) -> None:
        """Make the code of the network read the samples."""
        layers, schedule = self._wave.layers, self._wave.schedule

        def add(owner: Any, what: str, samples: NDArray[Any], nothing: float) -> None:
            rows = _with_nothing_behind(samples, nothing)
            owner.namespace[f"presented_{what}"] = table(f"{self._name}_{what}{suffix}", rows)

        inputs = batch.rows()
        targets: NDArray[Any] = np.zeros((len(batch), 1, 1))
        label, target = "-1", None
        if batch.y is not None:
            # Real targets are known, whatever the label, for as long as there are samples.
            labels = batch.y if batch.y.ndim == 1 else np.zeros(len(batch))
            add(schedule, "label", labels.reshape(-1, 1, 1), -1)
            label = "presented_label(presented, 0)"
        if batch.y is not None and batch.y.ndim > 1:
            targets = batch.y if batch.y.ndim == 3 else batch.y[:, np.newaxis]
            add(layers[-1], "target", targets, 0)
            target = "presented_target(target_row, i)"
        add(layers[0], "input", inputs, 0)
        self._wave.show(
            Shown(
                input="presented_input(input_row, i)",
                label=label,
                target=target,
                by_label=target is None,
                rows=(inputs.shape[1], targets.shape[1]),
            )
        )

    def before_run(self) -> None:
        """Note when the first sample begins."""
        self._has_run = True
        if self.first_tick is None:
            self.first_tick = int(self._clock.variables["timestep"].get_value()[0])
            self.dt = float(self._clock.dt)


def _sent(layer: Any, name: str) -> NDArray[Any]:
    found = name in layer.variables
    return np.array(layer.variables[name].get_value()) if found else np.zeros(len(layer))


def _with_nothing_behind(samples: NDArray[Any], nothing: float) -> NDArray[np.float64]:
    """Return the rows of samples, with a sample of nothing for the time when they are over."""
    n_samples, n_rows, n_units = samples.shape
    rows = np.full(((n_samples + 1) * n_rows, n_units), nothing, np.float64)
    rows[: n_samples * n_rows] = samples.reshape(-1, n_units)
    return rows
