"""The room that event timing needs, and the error for what has left its range."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spikebp_plugins.compiled.kernels.arrays import Learning
from spikebp_plugins.compiled.kernels.event import Launched, Sample, run_block
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
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.samples import check_batch


class Order(NamedTuple):
    """In which order spikes are handled."""

    depth: bool  # each is followed through all layers at once
    hold: bool  # errors wait for the end of the step


def make_sample(layout: Layout) -> Sample:
    """Return room for what lasts for a sample."""
    net, units = layout.net, sum(layout.net.layer_sizes)
    fault = np.zeros(3)

    def reals(size: int) -> Any:
        return np.zeros(size, layout.dtype)

    def integers(size: int) -> Any:
        return np.zeros(size, np.int64)

    return Sample(
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


def show_block(
    layout: Layout,
    learning: Learning,
    sample: Sample,
    arguments: tuple[Any, ...],
    launched: Launched | None = None,
) -> int:
    """Show samples as `run_block` does; `arguments` are those from `x` on."""
    net = layout.net
    order = Order(depth=net.event_order == "depth", hold=bool(net.hold_error))
    room = make_launched(net, 0) if launched is None else launched
    done: int = run_block(layout.network, order, learning, sample, room, *arguments)
    return done


def make_launched(net: SpikingMLP, n_samples: int) -> Launched:
    """Return room for the error spikes of some samples."""
    shape = (n_samples, sum(net.layer_sizes))
    return Launched(net=np.zeros(shape, np.int64), gross=np.zeros(shape, np.int64))


def backward_spikes(start: Checkpoint, x: Any, y: Any) -> Launched:
    """Return the backward spikes of training samples before the gate.

    Parameters
    ----------
    start : Checkpoint
        Where training starts from; it stays as it is.
    x, y : array-like
        Samples and targets, as for `Simulator.train`.

    Returns
    -------
    Launched of two ndarray of shape (n_samples, n_1 + .. + n_L), int64
        Net spikes, and spikes of either sign counted; those of layer L are the output's errors.
    """
    layout = Layout(start.net, start.net.arithmetic)
    batch = check_batch(start.net, x, y)
    sample, launched = make_sample(layout), make_launched(start.net, len(batch))
    arguments = (
        layout.inputs(batch),
        layout.targets(batch),
        layout.drawn(batch, start.state.samples_seen),
        batch.n_steps,
        True,
        layout.totals(),
        layout.record(0, batch.n_steps),
        np.empty((len(batch), start.net.n_outputs), layout.dtype),
    )
    if show_block(layout, layout.learning(start.state), sample, arguments, launched) < len(batch):
        raise overflow(layout, sample)
    return Launched(*(spikes[:, start.net.n_inputs :] for spikes in launched))


def overflow(layout: Layout, sample: Sample) -> OverflowError:
    """Return the error for the sample that a kernel has refused."""
    quantity, layer, value = int(sample.fault[0]), int(sample.fault[1]), float(sample.fault[2])
    if quantity == SPIKES:
        return OverflowError(
            f"{FAULTS[quantity]} of layer {layer} must be fewer than {MOST_FIRED} with "
            "timing='event'; there were more"
        )
    limit = layout.arithmetic.limit if quantity in (DRIVE, WEIGHT) else LARGEST_POTENTIAL
    return OverflowError(
        f"{FAULTS[quantity]} of layer {layer} must stay below {limit:.6g} in magnitude; "
        f"it reached {abs(value):.6g}"
    )
