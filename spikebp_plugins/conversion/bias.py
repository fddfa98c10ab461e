r"""Biases for a network without bias terms: weights of units that are always on.

An input that is 1 at every step sends what stands for 1, :math:`g` spikes. Its weights to layer 1
are :math:`b_1`. Where a later layer has a bias too, every hidden layer before it has one unit more,
the last one, with a weight of 1 from the always-on unit of the layer before and of 0 from all
others:

.. math::

    \phi \leftarrow 0 + g, \qquad k = \mathrm{rectified}(\phi) = g, \qquad \phi \leftarrow 0

so that it sends exactly as much at every step, and its weights to the next layer are the bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import REALS_AND_BOOLEANS, array_of, positive, wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer, Array
from spikebp_plugins.network.channels_first import is_image
from spikebp_plugins.network.connections import Shape
from spikebp_plugins.network.definition import require_definition
from spikebp_plugins.network.fields import Definition


def with_bias_input(
    x: Any, *, input_scale: float | None = None, net: Definition | None = None
) -> NDArray[Any]:
    r"""Return input with one more unit, which is 1 after it has been scaled.

    .. math:: x' = (x, 1 / \mathrm{input\_scale})

    This is what a network with biases from :func:`from_relu` must be shown. An image gets one more
    channel of such units.

    Parameters
    ----------
    x : array-like of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)
        Input as the ReLU network takes it, before it is scaled. Images may have their shape.
    input_scale : float or None, default=None
        The scale of the converted network's input. None takes that of `net`, or else 1.
    net : Definition or None, default=None
        The definition of the converted network, ``checkpoint.net``: needed for images.

    Returns
    -------
    ndarray of shape (n_samples, n_inputs') or (n_samples, n_steps, n_inputs')
        With the units of the converted network. Images for a network of images have their shape.
        Of the type of `x` if that can hold the new values
        (8-bit pixels with ``input_scale=1/255`` stay 8-bit), otherwise float64.

    Raises
    ------
    ValueError
        If an argument is not allowed.

    Examples
    --------
    >>> with_bias_input(np.zeros((1, 2), np.uint8), input_scale=1 / 255)
    array([[  0,   0, 255]], dtype=uint8)
    """
    if net is not None:
        require_definition("net", net, "None")
    if input_scale is None:
        input_scale = 1.0 if net is None else net.input_scale
    scale = positive("input_scale", input_scale)
    allowed = "real numbers of shape (n_samples, n_inputs) or (n_samples, n_steps, n_inputs)"
    array = array_of("x", x, REALS_AND_BOOLEANS, allowed)
    if net is not None and is_image(image := net.shapes[0]):
        return _with_channel(array, image, _one(scale))
    if net is not None and array.ndim > 2 and math.prod(array.shape[1:]) == net.n_inputs - 1:
        array = array.reshape(len(array), -1)
    if array.ndim not in (2, 3):
        raise wrong_argument("x", allowed, f"shape {array.shape}")
    return _joined(array, (*array.shape[:-1], 1), _one(scale), axis=-1)


def _with_channel(array: NDArray[Any], image: Shape, one: float) -> NDArray[Any]:
    """Return images, of which each has one channel more, as vectors or as images, as they came."""
    height, width, channels = image.pixels("").shape
    if channels == 1:
        raise wrong_argument("net", "one whose input has a channel for biases", image.sizes)
    without = Shape((height, width, channels - 1), image.channels_first)
    known = [(without.size,), *without.of_arrays]
    for shape in known:
        before = array.shape[: array.ndim - len(shape)]
        if len(before) in (1, 2) and array.shape[len(before) :] == shape:
            shaped = array.reshape(*before, *without.of_array)
            axis = -3 if image.channels_first else -1
            added = list(shaped.shape)
            added[axis] = 1
            found = _joined(shaped, tuple(added), one, axis)
            return found.reshape(*before, -1) if len(shape) == 1 else found
    shapes = " or ".join(map(str, known))
    raise wrong_argument("x", f"samples, or steps of samples, of shape {shapes}", array.shape)


def _one(scale: float) -> float:
    """Return the input that the scale turns into 1."""
    one = 1 / scale
    # For a scale of 1/n the quotient should be n, but may miss it by a rounding error.
    if round(one) * scale == 1:
        return float(round(one))
    return one


def _joined(array: NDArray[Any], shape: tuple[int, ...], one: float, axis: int) -> NDArray[Any]:
    """Return an array, and behind it one of a shape that holds `one`, of a type for both."""
    dtype = np.dtype(np.uint8) if array.dtype.kind == "b" else array.dtype
    if not _holds(dtype, one):
        dtype = np.dtype(np.float64)
    added = np.full(shape, one).astype(dtype)
    return np.concatenate([array.astype(dtype, copy=False), added], axis=axis)


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    if dtype.kind in "iu":
        return value.is_integer() and value <= np.iinfo(dtype).max
    with np.errstate(over="ignore"):
        return float(np.array(value).astype(dtype)) == value


def has_bias_unit(layers: Sequence[AffineLayer]) -> list[bool]:
    """Return for layers 0..L whether they need an always-on unit for a bias of a layer above."""
    return [any(b is not None for _, b in layers[l:]) for l in range(len(layers) + 1)]


def with_bias_units(layers: Sequence[AffineLayer]) -> list[Array]:
    """Return weights that compute what the layers do; biases are weights of always-on units."""
    has_unit = has_bias_unit(layers)
    weights: list[Array] = []
    for l, (W, b) in enumerate(layers):
        n_in, n_out = W.shape
        extended = np.zeros((n_in + has_unit[l], n_out + has_unit[l + 1]))
        extended[:n_in, :n_out] = W
        if b is not None:
            extended[n_in, :n_out] = b
        if has_unit[l + 1]:
            extended[n_in, n_out] = 1
        weights.append(extended)
    return weights


def without_bias_units(weights: Sequence[Array]) -> list[AffineLayer]:
    """Return layers with biases that compute what the weights do if the last input is always 1.

    A last unit of a hidden layer that learning has changed stays an ordinary unit: the layers
    compute what the weights do in any case.
    """
    layers = []
    is_on = True
    for l, W in enumerate(weights):
        rows, b = (W[:-1], W[-1]) if is_on else (W, None)
        if is_on and l < len(weights) - 1 and _is_bias_unit(W[:, -1]) and W.shape[1] > 1:
            layers.append(AffineLayer(rows[:, :-1].copy(), W[-1, :-1].copy()))
        else:
            layers.append(AffineLayer(rows.copy(), None if b is None else b.copy()))
            is_on = False
    return layers


def _is_bias_unit(column: Array) -> bool:
    return bool(column[-1] == 1 and not column[:-1].any())
