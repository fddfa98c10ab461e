"""Costs of predictions in the definitions of NeuroBench, by which networks are compared.

Definitions are those of the package ``neurobench`` 2.3. A step of a batch of samples is a forward
pass, connections are modules of PyTorch, and operations are weights times inputs. So a pair of
units without a synapse is a weight of zero, and pools, which learn nothing, are no connections.
Input is what layer 0 sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.network.arithmetic import arithmetic_of
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.samples import check_batch
from spikebp_plugins.simulation.hardware_report import bits_of
from spikebp_plugins.simulation.simulator import Simulator

Array = NDArray[Any]

#: Spike counts that are recorded at a time.
COUNTS_OF_BLOCK: Final = 2**21

#: The most bits of weights, and of a fraction, with which 32 bits hold potentials, as in `to_c`.
MOST_WEIGHT_BITS: Final = 16
MOST_FRACTION_BITS: Final = 24


class NeuroBenchMetrics(NamedTuple):
    """Figures of a network that predicts; operations are means over samples, of all their steps.

    Attributes
    ----------
    footprint : int
        Bytes of weights, in the smallest type of 8, 16, 32 or 64 bits that holds them, of the
        potential of each unit and of the summed drive of each output: 32 bits each with weights of
        at most 16 bits and 24 fraction bits, otherwise 64.
    connection_sparsity : float
        Weights of zero / weights.
    activation_sparsity : float
        Units of layers 1 to L that send nothing in a step / units, of all samples and steps.
    effective_macs, effective_acs : float
        Nonzero weights that nonzero spike counts meet. They are accumulates if in a step everything
        that the layer below sends, in all samples of a batch, is -1, 0 or 1, and else
        multiply-accumulates.
    dense : float
        Weights that all counts meet, zeros included.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float


class _WeightedConnection(NamedTuple):
    """A connection whose weights learn, with the counts that the metrics need."""

    below: int  # the layer below
    n_weights: int
    n_synapses: int  # uses of weights if all units below send
    fan_out: Array  # uses of nonzero weights, for each unit below


def neurobench_metrics(
    checkpoint: Checkpoint,
    x: Any,
    *,
    n_steps: int | None = None,
    margin: float | None = None,
    batch_size: int | None = None,
) -> NeuroBenchMetrics:
    """Return the costs of predicting samples, in the definitions of NeuroBench.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Input, as for ``Simulator.predict``.
    n_steps : int or None, default=None
        Steps for which to show each sample; None takes those of the definition.
    margin : float or None, default=None
        End a sample as ``Simulator.predict`` does, once its output leads by this many spikes.
    batch_size : int or None, default=None
        Samples of a batch; None takes all. The smaller it is, the more operations are accumulates.

    Returns
    -------
    NeuroBenchMetrics

    Raises
    ------
    ValueError
        If an argument is not allowed.
    UnsupportedError
        If `margin` is given and the network cannot end samples early.

    References
    ----------
    J. Yik and others, "The NeuroBench framework for benchmarking neuromorphic computing algorithms
    and systems", Nature Communications 16:1545, 2025, arXiv:2304.04640.
    """
    if not isinstance(checkpoint, Checkpoint):
        raise wrong_argument("checkpoint", "a Checkpoint", repr(checkpoint))
    net = checkpoint.net
    batch = check_batch(net, x, n_steps=n_steps).as_arrays()
    if not len(batch):
        raise wrong_argument("x", "at least one sample", f"shape {batch.x.shape}")
    size = len(batch) if batch_size is None else integer("batch_size", batch_size, 1)
    connected = list(_weighted_connections(checkpoint))
    if not connected:
        raise wrong_argument("checkpoint", "a network with weights", "pools alone")
    n_weights = sum(each.n_weights for each in connected)
    n_zeros = n_weights - sum(np.count_nonzero(W) for W in checkpoint.state.weights)
    blocks = batch.blocks(max(1, COUNTS_OF_BLOCK // (batch.n_steps * sum(net.layer_sizes))))
    with checkpoint.simulate() as sim:
        counts = [_counted(sim, block.x, batch.n_steps, margin, connected) for block in blocks]
    parts = zip(*counts, strict=True)
    shown, active, met, single = (np.concatenate(arrays, axis=-2) for arrays in parts)
    starts = np.arange(0, len(batch), size)
    of_batches = np.add.reduceat(met, starts, axis=1)
    n_met, n_steps_shown = int(of_batches.sum()), int(shown.sum())
    n_added = int(of_batches[np.logical_and.reduceat(single, starts, axis=1)].sum())
    n_units = n_steps_shown * sum(net.layer_sizes[1:])
    return NeuroBenchMetrics(
        footprint=_footprint(checkpoint, n_weights),
        connection_sparsity=n_zeros / n_weights,
        activation_sparsity=(n_units - int(active.sum())) / n_units,
        effective_macs=(n_met - n_added) / len(batch),
        effective_acs=n_added / len(batch),
        dense=n_steps_shown * sum(each.n_synapses for each in connected) / len(batch),
    )


def _weighted_connections(checkpoint: Checkpoint) -> Iterator[_WeightedConnection]:
    pairs = zip(checkpoint.net.connections, checkpoint.state.weights, strict=True)
    for below, (connection, W) in enumerate(pairs):
        if connection.constant_weight is not None:
            continue
        # Errors of 1 that travel back through weights of 1 count the nonzero weights.
        ones = connection.backward_weights((W != 0).astype(np.float64))
        errors, weights, product = connection.backward(np.ones(connection.n_above), ones)
        n_synapses = n_weights = connection.n_below * connection.n_above
        if connection.shares_weights:
            n_synapses, n_weights = connection.n_synapses, W.size
        yield _WeightedConnection(below, n_weights, n_synapses, product(errors, weights))


def _footprint(checkpoint: Checkpoint, n_weights: int) -> int:
    net, number = checkpoint.net, arithmetic_of(checkpoint.net)
    units = [W for W in checkpoint.state.weights.units if W.size]
    needed = max(bits_of(int(W.min()), int(W.max())) for W in units)
    of_weight = next(bits for bits in (8, 16, 32, 64) if needed <= bits)
    is_short = of_weight <= MOST_WEIGHT_BITS and number.fraction_bits <= MOST_FRACTION_BITS
    n_states = sum(net.layer_sizes) + net.n_outputs
    return (of_weight * n_weights + (32 if is_short else 64) * n_states) // 8


def _counted(
    sim: Simulator,
    x: Any,
    n_steps: int,
    margin: float | None,
    connected: list[_WeightedConnection],
) -> tuple[Array, ...]:
    """Return counts of each step, arrays of shape (.., n_samples, n_steps).

    They are whether the step is shown; the number of units of layers 1 to L that send; and for each
    connection, the number of nonzero weights that spikes meet, and whether each unit sends at most
    one spike.
    """
    ends: Array = np.full(len(x), n_steps)
    if margin is not None:
        ends = sim.predict(x, n_steps=n_steps, margin=margin).n_steps
    shown = np.arange(n_steps) < ends[:, np.newaxis]
    spikes = sim.predict(x, n_steps=n_steps, record=True).spikes
    active = sum(np.count_nonzero(k, axis=2) for k in spikes[1:]) * shown
    met = [((spikes[each.below] != 0) @ each.fan_out).astype(np.int64) for each in connected]
    single = [(np.abs(spikes[each.below]) <= 1).all(axis=2) | ~shown for each in connected]
    return shown, active, np.stack(met) * shown, np.stack(single)
