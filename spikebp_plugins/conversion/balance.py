r"""Threshold balancing: hidden layers are scaled so that their units fire as often as wanted.

Let :math:`\lambda_l` be the spikes a step that stand for an activation of 1 in hidden layer l, and
:math:`\lambda_0 = \lambda_L = 1`. Then

.. math::

    \lambda_l = \frac{\text{peak}}{\text{percentile of } a_l(X)}, \qquad
    W_l \leftarrow W_l \, \lambda_l / \lambda_{l-1}, \qquad b_l \leftarrow b_l \, \lambda_l

A rectified unit computes :math:`\max(0, \lambda s) = \lambda \max(0, s)`, so hidden layers compute
:math:`\lambda_l a_l`, and the output is unchanged; `output_scaled` scales it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.conversion.layers import Array, Layer


def balanced(
    layers: Sequence[Layer], x: NDArray[np.float64], percentile: float, peak: float
) -> list[Layer]:
    """Return layers with the same scores, whose hidden activations have another scale.

    Parameters
    ----------
    layers : sequence of Layer
        The ReLU network.
    x : ndarray of shape (n_samples, n_inputs)
        Input of the ReLU network.
    percentile : float
        Which percentile of the activations of a hidden layer, over all units and samples, is
        scaled to `peak`. A layer in which this percentile is 0 keeps its scale.
    peak : float
        Spikes a step that stand for this percentile.
    """
    factors = [1.0]
    a = x
    for layer in layers[:-1]:
        a = _rectified(layer, a)
        reached = float(np.percentile(a, percentile))
        factors.append(peak / reached if reached > 0 else 1.0)
    factors.append(1.0)
    return [
        Layer(W * (factor / before), None if b is None else b * factor)
        for (W, b), before, factor in zip(layers, factors[:-1], factors[1:], strict=True)
    ]


def output_scaled(layers: Sequence[Layer], scale: float) -> list[Layer]:
    """Return layers whose scores are `scale` times what they were."""
    W, b = layers[-1]
    return [*layers[:-1], Layer(W * scale, None if b is None else b * scale)]


def winner_scale(layers: Sequence[Layer], x: NDArray[np.float64]) -> float:
    """Return the scale with which the median, over samples, of the largest score is 1.

    If this median is not above zero there is no such scale, and 1.0 is returned.
    """
    a = x
    for layer in layers[:-1]:
        a = _rectified(layer, a)
    largest = float(np.median(_drive(layers[-1], a).max(axis=1)))
    return 1 / largest if largest > 0 else 1.0


def _rectified(layer: Layer, a: Array) -> Array:
    s = _drive(layer, a)
    return np.maximum(s, 0.0, out=s)


def _drive(layer: Layer, a: Array) -> Array:
    s: Array = a @ layer.weights
    if layer.bias is not None:
        s += layer.bias
    return s
