"""A ReLU network as a list of affine layers, into which scalings can be folded.

A layer is a matrix, or the weights of a connection of another kind: a kernel for all pixels of an
image, or none at all where all synapses have the same constant weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.network.connections import Connection, DenseConnection

Array = NDArray[np.float64]


class AffineLayer(NamedTuple):
    r"""One layer :math:`s = a W + b` of a ReLU network.

    Attributes
    ----------
    weights : ndarray of shape (n_in, n_out), or that of the connection
        :math:`W`.
    bias : ndarray of shape (n_out,) or None
        :math:`b`; None where the layer has none. A kernel has one for each of its channels.
    """

    weights: Array
    bias: Array | None


class UnitScaling(NamedTuple):
    r"""A scaling of each unit by its own factor and shift: :math:`a' = a \odot g + h`.

    Attributes
    ----------
    factor : ndarray of shape (n,)
        :math:`g`.
    shift : ndarray of shape (n,)
        :math:`h`.
    """

    factor: Array
    shift: Array

    def before(self, layer: AffineLayer) -> AffineLayer:
        r"""Return one layer that scales and then computes what `layer` does.

        .. math:: (a \odot g + h) W + b = a (g \odot W) + (h W + b)
        """
        W, b = layer
        shift = self.shift @ W
        return AffineLayer(self.factor[:, np.newaxis] * W, _bias(shift if b is None else shift + b))

    def behind(self, layer: AffineLayer) -> AffineLayer:
        r"""Return one layer that computes what `layer` does and then scales.

        .. math:: (a W + b) \odot g + h = a (W \odot g) + (b \odot g + h)
        """
        W, b = layer
        return AffineLayer(
            W * self.factor, _bias(self.shift if b is None else b * self.factor + self.shift)
        )


def _bias(values: Array) -> Array | None:
    return values if values.any() else None


def given_layer(W: Any, b: Any, l: int) -> AffineLayer:
    """Return layer l, from 1, as it was given; raise ValueError if it is not real numbers."""
    weights = _reals(f"weights of layer {l}", W, 2)
    return AffineLayer(weights, None if b is None else _reals(f"bias of layer {l}", b, 1))


def given_kernel(kernel: Any, b: Any, l: int) -> AffineLayer:
    """Return layer l, as `given_layer` does, with the kernel of a convolution."""
    weights = _reals(f"weights of layer {l}", kernel, 4)
    return AffineLayer(weights, None if b is None else _reals(f"bias of layer {l}", b, 1))


def without_weights() -> AffineLayer:
    """Return a layer of pools, whose synapses have a constant weight."""
    return AffineLayer(np.zeros(0), None)


def drive(layer: AffineLayer, connection: Connection, a: Array) -> Array:
    """Return the drive of a layer for activations below, of shape (n_samples, n_below)."""
    W, b = layer
    if isinstance(connection, DenseConnection):
        s: Array = a @ W
        if b is not None:
            s += b
        return s
    if (constant := connection.constant_weight) is not None:
        W = np.array([constant])
    arriving = [connection.forward(a_i, W) for a_i in a]
    s = np.array([one.product(one.counts, one.weights) for one in arriving])
    # Units are numbered channel by channel within each pixel, so that a bias of channels repeats.
    return s if b is None else s + np.resize(b, connection.n_above)


def checked(layers: Sequence[AffineLayer]) -> list[AffineLayer]:
    """Return layers; raise ValueError unless they are finite, and each fits the one before."""
    if not layers:
        raise wrong_argument("source", "a network of at least one layer of weights", "none")
    for l, (W, b) in enumerate(layers, 1):
        if 0 in W.shape:
            raise wrong_argument(f"weights of layer {l}", "of at least one unit", W.shape)
        before = layers[l - 2].weights.shape[1] if l > 1 else W.shape[0]
        if W.shape[0] != before:
            allowed = f"a matrix of {before} rows, one for each unit before"
            raise wrong_argument(f"weights of layer {l}", allowed, f"shape {W.shape}")
        if b is not None and b.shape != W.shape[1:]:
            allowed = f"of shape ({W.shape[1]},), one for each unit"
            raise wrong_argument(f"bias of layer {l}", allowed, f"shape {b.shape}")
    return all_finite(layers)


def all_finite(layers: Sequence[AffineLayer]) -> list[AffineLayer]:
    """Return layers; raise ValueError unless all their numbers are finite."""
    for l, (W, b) in enumerate(layers, 1):
        for name, values in (("weights", W), ("bias", b)):
            if values is not None:
                finite(f"{name} of layer {l}", values, "finite real numbers")
    return list(layers)


def _reals(name: str, values: Any, n_dimensions: int) -> Array:
    allowed = f"real numbers of {n_dimensions} dimension{'s' if n_dimensions > 1 else ''}"
    array = array_of(name, values, REALS, allowed)
    if array.ndim != n_dimensions:
        raise wrong_argument(name, allowed, f"shape {array.shape}")
    return array.astype(np.float64)
