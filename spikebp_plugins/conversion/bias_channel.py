r"""Biases for images: weights of a channel that is always on.

Units of an image share their weights, so one more unit does not fit. Instead the input, and each
image before a layer with a bias, gets one more channel, the last one, that is always on. Its units
send the input that stands for 1. At the kernel offset [p, p], where p is the padding, every output
pixel has a unit below: unit (y, x, b) reads unit (y s, x s, a). The weight of the channel that is
always on at this offset is the bias; to the next such channel it is 1. A pool keeps the channel by
itself, and a layer of vectors reads the bias from one of its units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.conversion.bias import has_bias_unit
from spikebp_plugins.conversion.layers import AffineLayer, Array
from spikebp_plugins.network import connections
from spikebp_plugins.network.channels_first import is_image
from spikebp_plugins.network.connections import Conv2D, Dense, Shape
from spikebp_plugins.network.definition import SpikingNetwork


def with_bias_channels(structure: SpikingNetwork, layers: Sequence[AffineLayer]) -> SpikingNetwork:
    """Return the definition of the network that has a channel or a unit more for biases."""
    has_unit = has_bias_unit(layers)
    if not has_unit[0]:
        return structure
    height, width, channels = structure.shapes[0].pixels("").shape
    wider = [_wider(layer, has) for layer, has in zip(structure.layers, has_unit[1:], strict=True)]
    return structure.replace(input_shape=(height, width, channels + 1), layers=wider)


def weights_with_bias_channels(
    structure: SpikingNetwork, layers: Sequence[AffineLayer]
) -> list[NDArray[np.float64]]:
    """Return weights of that network, which compute what the layers do.

    Raises
    ------
    ValueError
        If the padding of a convolution is so large that no weight lies on the image everywhere.
    """
    has_unit = has_bias_unit(layers)
    shapes = structure.shapes, with_bias_channels(structure, layers).shapes
    found = []
    for l, (kind, layer) in enumerate(zip(structure.layers, layers, strict=True)):
        carries = has_unit[l + 1]
        if isinstance(kind, Conv2D):
            if layer.bias is not None or carries:
                _check_padding(kind, shapes[0][l], l + 1)
            found.append(_kernel(kind, layer, has_unit[l], carries))
        elif isinstance(kind, Dense):
            found.append(_matrix(layer, shapes[0][l], shapes[1][l], carries))
        else:
            found.append(layer.weights)
    return found


def _wider(layer: connections.Layer, has_unit: bool) -> connections.Layer:
    if isinstance(layer, Conv2D):
        return replace(layer, channels=layer.channels + has_unit)
    if isinstance(layer, Dense):
        return replace(layer, n=layer.n + has_unit)
    return layer


def _check_padding(kind: Conv2D, below: Shape, l: int) -> None:
    pixels = zip(kind.above(below).sizes[:2], below.sizes, strict=False)
    reaches = all((places - 1) * kind.stride < n for places, n in pixels)
    if kind.padding >= kind.kernel_size or not reaches:
        allowed = "one for which some weight of the kernel lies on a pixel everywhere, for a bias"
        raise wrong_argument(f"padding of layer {l}", allowed, kind.padding)


def _kernel(kind: Conv2D, layer: AffineLayer, has_unit: bool, carries: bool) -> Array:
    W, b = layer
    k, _, n_in, n_out = W.shape
    kernel = np.zeros((k, k, n_in + has_unit, n_out + carries))
    kernel[:, :, :n_in, :n_out] = W
    p = kind.padding
    if b is not None:
        kernel[p, p, n_in, :n_out] = b
    if carries:
        kernel[p, p, n_in, n_out] = 1
    return kernel


def _matrix(layer: AffineLayer, before: Shape, after: Shape, carries: bool) -> Array:
    """Return the weights of a dense layer whose layer below has got more units."""
    W, b = layer
    n_out = W.shape[1]
    if is_image(before):
        old, new = before.pixels(""), after.pixels("")
        kept, on = new[:, :, : old.shape[2]], new[0, 0, -1]
    else:
        old = kept = np.arange(before.size)
        on = after.size - 1
    matrix = np.zeros((after.size, n_out + carries))
    matrix[kept.ravel(), :n_out] = W[old.ravel()]
    if b is not None:
        matrix[on, :n_out] = b
    if carries:
        matrix[on, n_out] = 1
    return matrix
