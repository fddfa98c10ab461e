"""The arrays that event timing needs, and the error for a value out of its range."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebp_plugins.compiled.kernels.event import EventRun, EventSample
from spikebp_plugins.compiled.kernels.event_queue import (
    DRIVE,
    FAULTS,
    LARGEST_POTENTIAL,
    MOST_FIRED,
    SPIKES,
    WEIGHT,
    make_queues,
)
from spikebp_plugins.compiled.layout import Layout
from spikebp_plugins.network.arithmetic import out_of_range


def make_sample(layout: Layout) -> EventSample:
    """Return the arrays for the state of a sample."""
    net, units = layout.net, sum(layout.net.layer_sizes)
    fault = np.zeros(3)

    def reals(size: int) -> Any:
        return np.zeros(size, layout.dtype)

    def integers(size: int) -> Any:
        return np.zeros(size, np.int64)

    return EventSample(
        input=reals(net.n_inputs),
        target=reals(net.n_outputs),
        potential=reals(units),
        target_potential=reals(net.n_outputs),
        drive=reals(units),
        count=reals(units),
        error_sum=reals(units),
        held=integers(net.n_outputs),
        current=np.zeros(net.n_layers + 1, np.int32),
        spike=integers(units),
        error=integers(units),
        net_error=integers(units),
        gross_error=integers(units),
        forward=make_queues(net.n_layers, fault),
        backward=make_queues(net.n_layers, fault),
        fault=fault,
    )


def make_run(layout: Layout, sample: EventSample, run: dict[str, Any]) -> EventRun:
    """Return a run; `run` holds the fields that runs of all timings have, except `sample`."""
    net = layout.net
    order = {"depth": net.event_order == "depth", "hold": bool(net.hold_error)}
    return EventRun(sample=sample, **order, **run)  # type: ignore[arg-type]


def overflow(layout: Layout, sample: EventSample) -> OverflowError:
    """Return the error for the sample that a kernel has refused."""
    quantity, layer, value = int(sample.fault[0]), int(sample.fault[1]), float(sample.fault[2])
    if quantity == SPIKES:
        return OverflowError(
            f"{FAULTS[quantity]} of layer {layer} must be fewer than {MOST_FIRED} with "
            "timing='event'; there were more"
        )
    limit = layout.arithmetic.limit if quantity in (DRIVE, WEIGHT) else LARGEST_POTENTIAL
    return out_of_range(FAULTS[quantity], layer, limit, abs(value))
