"""Records of monitors as arrays by sample, step and unit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from brian2 import EventMonitor, StateMonitor
from numpy.typing import NDArray

from spikebp_brian2.parts import NetworkOfParts, whole_group
from spikebp_brian2.presented_samples import PresentedSamples
from spikebp_plugins import Trace
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.delays import delays_of, of_input_steps

#: For each event the variable that says how many it stands for, and that which sums these.
COUNTED: Final = {"spike": ("spike_count", "spikes_sent"), "error": ("error", "errors_sent")}


def recorded(
    mlp: NetworkOfParts, presented: PresentedSamples, monitor: Any, event: str
) -> NDArray[np.int64]:
    """Return the record of a monitor of each sample that has ended.

    Parameters
    ----------
    mlp : NetworkOfParts
        The network.
    presented : PresentedSamples
        The samples that it is shown.
    monitor : EventMonitor
        A monitor of one of its layers, or of some of its units.
    event : {"spike", "error"}
        The event that it has to record.

    Returns
    -------
    ndarray of shape (n_samples, n_steps, n_units)

    Raises
    ------
    ValueError
        If this is no such monitor, or has not recorded all of the samples.
    """
    variable, sent = COUNTED[event]
    l, units = _source(mlp, monitor, event, variable)
    n_samples, duration = _samples_in_time(mlp, presented)
    n_units, delays = len(monitor.source), delays_of(mlp.net)
    delay = delays.spikes[l] if event == "spike" else delays.errors[l]
    at, unit = _steps(mlp, presented, monitor), np.asarray(monitor.i[:])
    values = np.asarray(getattr(monitor, variable)[:])
    values, unit, at = values[at >= 0], unit[at >= 0], at[at >= 0]
    past = presented.sent_before or {}
    expected = (np.asarray(getattr(mlp.layers[l], sent)[:]) - past[sent][l])[units]
    if not np.array_equal(np.bincount(unit, np.abs(values), n_units), expected):
        raise wrong_argument(
            "monitor",
            "one that has recorded since the samples began",
            f"{monitor.name!r}, which has missed some of what layer {l} has sent",
        )
    found = np.zeros((n_samples * duration, n_units), np.int64)
    whole = at < len(found)
    found[at[whole], unit[whole]] = values[whole]
    by_sample = found.reshape(n_samples, duration, n_units)
    return of_input_steps(by_sample, delay, presented.n_steps)


def trace_of(mlp: NetworkOfParts, presented: PresentedSamples, monitors: list[Any]) -> Trace:
    """Return the trace of the samples that have ended, from monitors of all layers."""
    net = mlp.net
    n_samples, duration = _samples_in_time(mlp, presented)
    found = {(one.source.name, _recorded_by(one)): one for one in monitors}

    def of(layer: Any, what: str) -> Any:
        if (layer.name, what) in found:
            return found[layer.name, what]
        allowed = f"those that record() returns, one of {layer.name!r} and its {what}"
        raise wrong_argument("monitors", allowed, "none")

    spikes = [recorded(mlp, presented, of(layer, "spike"), "spike") for layer in mlp.layers]
    errors = [recorded(mlp, presented, of(layer, "error"), "error") for layer in mlp.layers[1:]]
    drive = of(mlp.layers[-1], "summed_drive")
    if drive.when != "end" or len(drive.record) != net.n_outputs:
        allowed = "StateMonitor(mlp.output_layer, 'summed_drive', record=True, when='end')"
        raise wrong_argument("monitors", f"such that {allowed} is one of them", repr(drive))
    trained = int(mlp.schedule.samples_seen[0]) - int(presented.seen_before or 0)
    at, rows = _steps(mlp, presented, drive), np.asarray(drive.summed_drive[:]).T
    steps = np.full((n_samples * duration, net.n_outputs), np.nan)
    inside = (at >= 0) & (at < len(steps))
    # Of the dt of a step the last counts.
    steps[at[inside]] = rows[inside]
    if np.isnan(steps).any():
        allowed = "such that have recorded since the samples began"
        raise wrong_argument("monitors", allowed, repr(drive.name))
    delay = delays_of(mlp.net).spikes[-1]
    by_sample = steps.reshape(n_samples, duration, net.n_outputs)
    drives = of_input_steps(by_sample, delay, presented.n_steps)
    step_scores = drives / np.arange(1, presented.n_steps + 1)[:, np.newaxis]
    return Trace(
        spikes=spikes,
        errors=[None, *errors] if trained else None,
        step_scores=step_scores,
        scores=step_scores[:, -1],
        weights=[np.array(matrix, np.float64) for matrix in mlp.weights],
    )


def _recorded_by(monitor: Any) -> str | None:
    """Return the event that a monitor records, or its variable if that is the summed drive."""
    has_drive = "summed_drive" in getattr(monitor, "record_variables", ())
    return getattr(monitor, "event", "summed_drive" if has_drive else None)


def monitors_for_trace(mlp: NetworkOfParts) -> list[Any]:
    """Return the monitors that `trace_of` needs."""
    name = mlp.name
    spikes = [
        EventMonitor(layer, "spike", variables=["spike_count"], name=f"{name}_spikes_{l}")
        for l, layer in enumerate(mlp.layers)
    ]
    errors = [
        EventMonitor(layer, "error", variables=["error"], name=f"{name}_errors_{l}")
        for l, layer in enumerate(mlp.layers[1:], 1)
    ]
    drive = StateMonitor(
        mlp.layers[-1], "summed_drive", record=True, when="end", name=f"{name}_drive"
    )
    return [*spikes, *errors, drive]


def _source(mlp: NetworkOfParts, monitor: Any, event: str, variable: str) -> tuple[int, slice]:
    """Return of which layer, and of which of its units, a monitor records an event."""
    is_fit = (
        isinstance(monitor, EventMonitor)
        and monitor.event == event
        and monitor.record is True
        and variable in monitor.record_variables
    )
    if is_fit:
        layer = whole_group(monitor.source)
        names = [one.name for one in mlp.layers]
        if layer.name in names:
            start = getattr(monitor.source, "start", 0)
            return names.index(layer.name), slice(start, start + len(monitor.source))
    kind = "SpikeMonitor(layer" if event == "spike" else "EventMonitor(layer, 'error'"
    allowed = f"{kind}, variables=[{variable!r}]) of a layer of {mlp.name!r}, or of some of it"
    raise wrong_argument("monitor", allowed, repr(monitor))


def _samples_in_time(mlp: NetworkOfParts, presented: PresentedSamples) -> tuple[int, int]:
    """Return the number of samples that have ended, and the steps that each took.

    A sample is found by its time. So no time may have passed without a step of a sample.
    """
    schedule = mlp.schedule
    duration = delays_of(mlp.net).duration(presented.n_steps)
    if presented.sent_before is None:
        raise RuntimeError(
            f"samples that were presented to {mlp.name!r} between the runs of one program cannot "
            "be told apart from those before"
        )
    if presented.first_tick is None:
        return 0, duration
    presented.require()
    ended = int(schedule.samples_shown[0]) - int(presented.shown_before or 0)
    counted = "steps_shown" if delays_of(mlp.net).are_zero else "steps_taken"
    open_steps = 0 if schedule.sample_over[0] else int(getattr(schedule, counted)[0])
    ticks = int(mlp.clock.variables["timestep"].get_value()[0]) - presented.first_tick
    in_step = int(schedule.dts_waited[0])
    per_step = int(schedule.dts_per_step[0])
    is_regular = int(schedule.steps_per_sample[0]) == presented.n_steps
    taken = (ended * duration + open_steps) * per_step + in_step
    if not is_regular or taken != ticks or float(mlp.clock.dt) != presented.dt:
        raise RuntimeError(
            f"the samples of {mlp.name!r} cannot be told apart by their times: not each has taken "
            f"{duration} steps, one directly after the other"
        )
    return ended, duration


def _steps(mlp: NetworkOfParts, presented: PresentedSamples, monitor: Any) -> NDArray[np.int64]:
    """Return in which step since the first presented one each entry of a monitor was recorded."""
    ticks = np.rint(np.asarray(monitor.t[:]) / float(mlp.clock.dt)).astype(np.int64)
    first = presented.first_tick or 0
    steps: NDArray[np.int64] = (ticks - first) // int(mlp.schedule.dts_per_step[0])
    return steps
