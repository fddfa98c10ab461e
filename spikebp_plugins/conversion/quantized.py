r"""Weights of few bits, for hardware: integers, and a power of two for each layer or unit.

:func:`quantized_weights` finds integers :math:`Q_l` of b bits with :math:`W_l \approx 2^{e_l} Q_l`.
If potentials are counted in units of :math:`2^{e_l}`, a step of layer l needs the integers alone;
with the threshold :math:`\theta_l = 2^{-e_l - 1}` (half a spike) it is

.. math::

    v \leftarrow v + k_{l-1} Q_l; \qquad
    \text{while } v > \theta_l: \text{ fire, } v \leftarrow v - 2 \theta_l

A connection that is not dense has the sum over its synapses in place of the product. A pool has no
weights to round: all its integers are 1, its :math:`2^{e_l}` is the weight of a pixel, and so the
side of its squares must be a power of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import boolean, choice, integer, wrong_argument
from spikebp_plugins.conversion.sources import checkpoint_of
from spikebp_plugins.network.arithmetic import constant_in
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import Connection, SparseConnection
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state

BITS: Final = (2, 32)

Array = NDArray[np.float64]
Integers = NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, eq=False)
class QuantizedWeights:
    r"""Weights as integers of a few bits.

    Attributes
    ----------
    net : Definition
        The definition of the network.
    bits : int
        b, the sign included.
    weights : tuple of ndarray of shape (n_in, n_out), or that of the connection
        The integers :math:`Q_1` to :math:`Q_L`, int8, int16 or int32. Pools have none: (0,).
    exponents : tuple of ndarray of shape () or (n_out,)
        :math:`e_1` to :math:`e_L`: one for a layer, or one for each of its units, or for each
        channel of a convolution, whose units share a kernel.
    """

    net: Definition
    bits: int
    weights: tuple[Integers, ...]
    exponents: tuple[NDArray[np.int64], ...]

    @property
    def thresholds(self) -> tuple[Array, ...]:
        r""":math:`\theta_l = 2^{-e_l - 1}`, of the shapes of `exponents`, in units of :math:`Q_l`.

        A threshold is a whole number where :math:`e_l < 0`. A potential fires above its threshold,
        not at it, and a spike subtracts twice the threshold.
        """
        return tuple(np.asarray(np.ldexp(0.5, -e)) for e in self.exponents)

    def checkpoint(self) -> Checkpoint:
        """Return the network with the weights 2**e_l times Q_l, to measure what rounding costs.

        The rest of its state is that of a network before its first training sample.
        """
        layers = zip(self.net.connections, self.weights, self.exponents, strict=True)
        weights = [np.ldexp(Q.astype(np.float64), _of_weights(c, e)) for c, Q, e in layers]
        return Checkpoint(self.net, initial_state(self.net, weights))


def quantized_weights(
    source: Any, bits: int = 8, *, shared_by: str = "layer", clip: bool = False
) -> QuantizedWeights:
    r"""Return a network's weights as integers of a few bits.

    .. math::

        W_l \approx 2^{e_l} Q_l, \qquad
        Q_l = \mathrm{rint}(2^{-e_l} W_l), \qquad -2^{b-1} \le Q_l \le 2^{b-1} - 1

    with ties to even. :math:`e_l` is the smallest exponent with which all weights fit. On a grid of
    f fraction bits it is at least :math:`-f`, so that :math:`2^{e_l} Q_l` is on the grid. If all
    weights are zero, it is -1. That of a pool is given by its size.

    Parameters
    ----------
    source : Checkpoint, Simulator or estimator
        The network.
    bits : int, default=8
        b, the sign included: 2 to 32.
    shared_by : {"layer", "unit"}, default="layer"
        Whether all units of a layer share an exponent (and a threshold), or each has its own. The
        units of a channel of a convolution share one in any case.
    clip : bool, default=False
        Take the exponent with the least squared error, even if larger weights are then clipped to
        the ends of the range. This also clips the weights of 1 that keep the always-on units of
        :func:`from_relu` firing, unless each unit has its own exponent.

    Returns
    -------
    QuantizedWeights

    Raises
    ------
    ValueError
        If an argument is not allowed, or the weight of a pool is no power of two, or rounded.
    """
    checkpoint = checkpoint_of(source)
    b = integer("bits", bits, *BITS)
    shared_by = choice("shared_by", shared_by, ("layer", "unit"))
    clip = boolean("clip", clip)
    net = checkpoint.net
    floor = -net.fraction_bits
    weights, exponents = [], []
    for l, (connection, W) in enumerate(
        zip(net.connections, checkpoint.state.weights, strict=True), 1
    ):
        if connection.constant_weight is not None:
            e = _of_pool(net, connection, l)
        elif shared_by == "unit":
            groups = _by_unit(connection, W)
            e = np.array([_exponent(group, b, floor, clip) for group in groups], np.int64)
        else:
            e = np.array(_exponent(W, b, floor, clip), np.int64)
        exponents.append(e)
        weights.append(_integers(W, _of_weights(connection, e), b).astype(_dtype(b)))
    return QuantizedWeights(net, b, tuple(weights), tuple(exponents))


def _by_unit(connection: Connection, W: Array) -> list[Array]:
    """Return the weights of each unit, or of each channel of a convolution."""
    if isinstance(connection, SparseConnection):
        j = connection.synapses.j
        return [W[j == unit] for unit in range(connection.n_above)]
    return list(W.reshape(-1, W.shape[-1]).T)


def _of_weights(connection: Connection, e: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return exponents so that they broadcast with the weights of a connection."""
    if isinstance(connection, SparseConnection) and e.shape:
        return e[connection.synapses.j]
    return e


def _of_pool(net: Definition, connection: Connection, l: int) -> NDArray[np.int64]:
    """Return the exponent of the weight that all synapses of layer l have."""
    weight = constant_in(net, connection).item()
    fraction, exponent = np.frexp(weight)
    if fraction != 0.5 or weight != connection.constant_weight:
        allowed = f"a power of two in layer {l}, which the grid holds"
        raise wrong_argument("the weight of a pixel", allowed, f"{weight:.6g} for a pool")
    return np.array(exponent - 1, np.int64)


def ends(bits: int) -> tuple[int, int]:
    """Return the smallest and the largest signed integer of `bits` bits."""
    return -(1 << bits - 1), (1 << bits - 1) - 1


def _exponent(W: Array, bits: int, floor: int, clip: bool) -> int:
    """Return the exponent for weights that share one."""
    if not W.any():
        return -1
    # If the largest |W| is from 2**(k - 1) up to 2**k, e = k - bits scales it to 2**(bits - 1) or
    # more, the end of the range: no smaller exponent fits.
    e = max(floor, int(np.frexp(np.abs(W).max())[1]) - bits)
    while not _fits(W, e, bits):
        e += 1
    if not clip:
        return e
    # At e - bits the whole range of the integers is one step of e: with smaller exponents even
    # weights that round to zero at e would be clipped.
    candidates = range(e, max(floor, e - bits) - 1, -1)
    return min(candidates, key=lambda e: _squared_error(W, e, bits))


def _fits(W: Array, e: int, bits: int) -> bool:
    return np.array_equal(np.rint(np.ldexp(W, -e)), _integers(W, e, bits))


def _integers(W: Array, e: Any, bits: int) -> Array:
    integers: Array = np.clip(np.rint(np.ldexp(W, -e)), *ends(bits))
    return integers


def _squared_error(W: Array, e: int, bits: int) -> float:
    return float(np.sum((W - np.ldexp(_integers(W, e, bits), e)) ** 2))


def _dtype(bits: int) -> np.dtype[Any]:
    return np.dtype(np.int8 if bits <= 8 else np.int16 if bits <= 16 else np.int32)
