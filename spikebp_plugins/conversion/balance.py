r"""Threshold balancing: hidden layers are scaled so that their units fire as often as wanted.

Let :math:`\lambda_l` be the spikes a step that stand for an activation of 1 in hidden layer l, and
:math:`\lambda_0 = \lambda_L = 1`. Then

.. math::

    \lambda_l = \frac{\text{peak}}{\text{percentile of } a_l(X)}, \qquad
    W_l \leftarrow W_l \, \lambda_l / \lambda_{l-1}, \qquad b_l \leftarrow b_l \, \lambda_l

A rectified unit computes :math:`\max(0, \lambda s) = \lambda \max(0, s)`, so hidden layers compute
:math:`\lambda_l a_l`, and the output is unchanged; `output_scaled` scales it.

A layer of pools has no weights that could be scaled: its factor is that of the layer below.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer, Array, drive
from spikebp_plugins.network.connections import Connection


def balanced(
    layers: Sequence[AffineLayer],
    connections: Sequence[Connection],
    x: NDArray[np.float64],
    percentile: float,
    peak: float,
) -> list[AffineLayer]:
    """Return layers with the same scores, whose hidden activations have another scale.

    Parameters
    ----------
    layers : sequence of AffineLayer
        The ReLU network.
    connections : sequence of Connection
        The connections of its layers.
    x : ndarray of shape (n_samples, n_inputs)
        Input of the ReLU network.
    percentile : float
        The percentile of the activations of a hidden layer, over all units and samples, is
        scaled to `peak`. A layer in which this percentile is 0 keeps its scale.
    peak : float
        Spikes a step that stand for this percentile.
    """
    last = _last_with_weights(layers)
    factors = [1.0]
    a = x
    for layer, connection in zip(layers[: max(last, 0)], connections, strict=False):
        a = _rectified(layer, connection, a)
        if layer.weights.size:
            reached = float(np.percentile(a, percentile))
            factors.append(peak / reached if reached > 0 else 1.0)
        else:
            factors.append(factors[-1])
    factors += [1.0] * (len(layers) + 1 - len(factors))
    return [
        AffineLayer(W * (factor / before), None if b is None else b * factor)
        for (W, b), before, factor in zip(layers, factors[:-1], factors[1:], strict=True)
    ]


def output_scaled(
    layers: Sequence[AffineLayer], scale: float, name: str = "output_scale"
) -> list[AffineLayer]:
    """Return layers whose scores are `scale` times what they were.

    Raises
    ------
    ValueError
        If there are no weights, and the scale is not 1; the message names the argument.
    """
    last = _last_with_weights(layers)
    if last < 0:
        if scale != 1:
            raise wrong_argument(name, "1 for a network without weights", scale)
        return list(layers)
    W, b = layers[last]
    scaled = AffineLayer(W * scale, None if b is None else b * scale)
    return [*layers[:last], scaled, *layers[last + 1 :]]


def _last_with_weights(layers: Sequence[AffineLayer]) -> int:
    """Return the place of the last layer that has weights, which decide the scale of the scores.

    That is -1 if none has.
    """
    return max((place for place, (W, _) in enumerate(layers) if W.size), default=-1)


def winner_scale(
    layers: Sequence[AffineLayer], connections: Sequence[Connection], x: NDArray[np.float64]
) -> float:
    """Return the scale with which the median, over samples, of the largest score is 1.

    If this median is not above zero there is no such scale, and 1.0 is returned.
    """
    a = x
    for layer, connection in zip(layers[:-1], connections, strict=False):
        a = _rectified(layer, connection, a)
    largest = float(np.median(drive(layers[-1], connections[-1], a).max(axis=1)))
    return 1 / largest if largest > 0 else 1.0


def _rectified(layer: AffineLayer, connection: Connection, a: Array) -> Array:
    s = drive(layer, connection, a)
    return np.maximum(s, 0.0, out=s)
