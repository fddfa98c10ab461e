"""Conversion of ReLU networks to spiking ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.common.errors import (
    REALS_AND_BOOLEANS,
    array_of,
    choice,
    finite,
    positive,
    real,
    sizes,
    wrong_argument,
)
from spikebp_plugins.conversion.balance import balanced, output_scaled, winner_scale
from spikebp_plugins.conversion.bias import has_bias_unit, with_bias_units
from spikebp_plugins.conversion.bias_channel import weights_with_bias_channels, with_bias_channels
from spikebp_plugins.conversion.layers import AffineLayer, Array
from spikebp_plugins.conversion.sources import ReluNetwork, read_source
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import Shape
from spikebp_plugins.network.definition import INPUT_LAYOUTS, SpikingMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state

#: An input is coarse if steps resolve less than this part of the value that a scaler turns into 1,
#: or if the grid resolves less than this part of its largest weight.
COARSE: Final = 4


def from_relu(
    source: Any,
    *,
    input_shape: Sequence[int] | None = None,
    input_layout: str | None = None,
    n_steps: int | None = None,
    input_scale: float | None = None,
    bias: str = "input",
    balance: ArrayLike | None = None,
    percentile: float = 99.9,
    peak: float = 1.0,
    output_scale: float | str = 1.0,
    **fields: Any,
) -> Checkpoint:
    r"""Turn a ReLU network into a spiking one, ready to run and to go on learning.

    The ReLU network is

    .. math::

        a_0 = x \cdot \mathrm{input\_scale}, \qquad s_l = a_{l-1} W_l + b_l, \qquad
        a_l = \max(0, s_l)

    with scores :math:`s_L`. The spiking network has the same weights, rounded to its grid, but for
    those of the output: an activation of 1 is :math:`g` spikes a step (`spikes_per_unit`), and the
    last weights are divided by g, so that its scores approach :math:`s_L` as 1/T. An output
    activation that leaves the order of the scores as it is (softmax, the logistic function, a last
    ReLU) is left out. What `fields` do not name is in the table of defaults, but for a learning
    rate that is twice as large: a network that goes on learning in a changed world has much to
    unlearn.

    **A network with biases has one more input**, the last one, which must be shown a constant 1:
    ``with_bias_input(x, input_scale=...)`` appends it. Its weights are :math:`b_1`. For the biases
    of later layers each hidden layer before them has one more unit, the last one, which sends
    exactly g spikes a step. Images have one more channel instead, and
    ``with_bias_input(x, net=checkpoint.net)`` appends it to the input.

    Parameters
    ----------
    source : list, MLPClassifier, MLPRegressor, Pipeline, torch.nn.Sequential or Checkpoint
        - A list of weight matrices of shape (n_in, n_out), or of pairs of such a matrix and a bias
          of shape (n_out,) or None.
        - A fitted network of scikit-learn with ``activation="relu"`` (or with no hidden layer). A
          classifier for two classes, which has one output z, gets two: -z/2 and z/2.
        - A Sequential of Linear and ReLU; with an `input_shape` also of Conv2d and AvgPool2d, which
          become Conv2D and AveragePool2D. BatchNorm1d in evaluation mode becomes part of the Linear
          next to it. Flatten, Identity, Dropout in evaluation mode, and a last Softmax or
          LogSoftmax are left out.
        - A spiking network: a Checkpoint, a Simulator, or an estimator of this project, whose
          constant input becomes a bias. A SpikingNetwork keeps its connections.
        - A fitted Pipeline of scikit-learn that ends in one of these, behind StandardScaler,
          MinMaxScaler, MaxAbsScaler or RobustScaler: the scalers become weights and a bias of the
          first layer, so that the network is shown what the pipeline is shown.
    input_shape : sequence of int or None, default=None
        For a Sequential that is shown images: (height, width) or (height, width, channels). What
        comes is a SpikingNetwork then, and otherwise a SpikingMLP.
    input_layout : {"channels_last", "channels_first"} or None, default=None
        The order of the numbers of an image with channels. None takes "channels_first": the
        spiking network is shown what the Sequential is shown. Only with `input_shape`.
    n_steps : int or None, default=None
        T of the spiking network; None takes the table's.
    input_scale : float or None, default=None
        The ReLU network's input is ``x * input_scale``: ``1/255`` for one that has learned pixels
        in [0, 1] and is to be shown 8-bit ones. None takes that of a spiking network, and 1 for
        all others.
    bias : {"input", "refuse"}, default="input"
        The treatment of biases: weights of units that are always on, or, with "refuse", an error
        if one is not zero.
    balance : array-like of shape (n_samples, n_inputs) or None, default=None
        Samples on which to scale hidden layers (threshold balancing): the percentile of a layer's
        activations becomes `peak`, and the next layer's weights undo the factor, so that the scores
        stay what they are. The samples have no input for biases, and are not yet multiplied by
        `input_scale`. Images may have the shape in which the source takes them. None leaves the
        scale as it is.
    percentile : float, default=99.9
        For `balance`: above 0, and at most 100.
    peak : float, default=1.0
        For `balance`: a larger one is more exact, and costs more operations.
    output_scale : float or "winner", default=1.0
        The factor of the scores. "winner" brings the median over `balance` of a sample's
        largest score to what a label asks of the right output.
    **fields
        Fields of the :class:`SpikingMLP` or :class:`SpikingNetwork`, such as ``learning_rate`` or
        ``spikes``.

    Returns
    -------
    Checkpoint
        The network, with no training sample seen.

    Raises
    ------
    ValueError
        If an argument is not allowed, or the source computes something that a spiking network
        cannot; the message names it.
    OverflowError
        If a weight is out of the range of the grid.

    Warns
    -----
    ApproximationWarning
        If a scaler of a pipeline has brought inputs to a size that the spiking network does not
        resolve without it: steps or fraction bits are too few. If the weight of a pool is
        rounded by more than 1 %.

    Examples
    --------
    >>> from spikebp_plugins import from_relu, with_bias_input
    >>> checkpoint = from_relu([([[1.0], [-1.0]], [0.5])], n_steps=20)
    >>> with checkpoint.simulate("reference") as sim:
    ...     sim.predict(with_bias_input([[3.0, 1.0]]))
    array([[2.5]])
    """
    read = read_source(source, _image(input_shape, input_layout))
    layers, connections, scaler = read.layers, read.connections, read.factor
    if choice("bias", bias, ("input", "refuse")) == "refuse":
        layers = _without_biases(layers)
    for name in ("layer_sizes", "layers"):
        if name in fields:
            raise wrong_argument(name, "left to the source", repr(fields[name]))
    scale = read.input_scale if input_scale is None else input_scale
    net = _definition(read, layers, {"n_steps": n_steps, "input_scale": scale} | fields)
    if balance is not None:
        x = _balance_input(balance, read) * net.input_scale
        allowed = "above 0 and at most 100"
        share = real("percentile", percentile, allowed, lambda number: 0 < number <= 100)
        layers = balanced(layers, connections, x, share, positive("peak", peak))
        if output_scale == "winner":
            output_scale = net.label_targets[1] * winner_scale(layers, connections, x)
    elif output_scale == "winner":
        raise wrong_argument("balance", "samples with output_scale='winner'", "None")
    factor = positive("output_scale", output_scale, "'winner' or a positive finite number")
    layers = output_scaled(layers, factor)
    layers = output_scaled(layers, 1 / net.spikes_per_unit, "spikes_per_unit")
    if read.structure is None:
        weights = with_bias_units(layers)
    else:
        weights = weights_with_bias_channels(read.structure, layers)
    state = initial_state(net, weights)
    if scaler is not None:
        _warn_of_coarse_inputs(net, scaler, weights[0][: len(scaler)], state.weights[0])
    return Checkpoint(net, state)


def _warn_of_coarse_inputs(
    net: Definition, scaler: Array, weights: Array, rounded: NDArray[Any]
) -> None:
    """Warn of inputs with a known scale that the steps or the grid are too coarse to resolve."""
    spread = np.abs(scaler)  # the size of an input is the inverse of its factor
    size = np.abs(weights).max(axis=1) / np.maximum(spread, np.finfo(float).tiny)
    error = np.abs(weights - rounded[: len(weights)]).max(axis=1)
    told_apart = net.n_steps * net.spikes_per_unit
    for is_coarse, reason in (
        (spread * COARSE > told_apart, f"is too small to be told apart in {net.n_steps} steps"),
        (
            error * COARSE > size.max() * spread,
            f"is so large that its weights need more than {net.fraction_bits} fraction bits",
        ),
    ):
        if is_coarse.any():
            warnings.warn(
                f"without the scalers, input {is_coarse.argmax()} {reason} (and "
                f"{is_coarse.sum() - 1} more): convert pipeline[-1] and show it "
                "pipeline[:-1].transform(x)",
                ApproximationWarning,
                stacklevel=3,
            )


def _without_biases(layers: Sequence[AffineLayer]) -> list[AffineLayer]:
    for l, (_, b) in enumerate(layers, 1):
        if b is not None and b.any():
            allowed = "'input' where a bias is not zero (units of the spiking network have none)"
            raise wrong_argument("bias", allowed, f"'refuse', and {b[b != 0][0]:.6g} in layer {l}")
    return [AffineLayer(W, None) for W, _ in layers]


def _image(input_shape: Sequence[int] | None, input_layout: str | None) -> Shape | None:
    """Return the shape of the input that was given."""
    if input_shape is None:
        if input_layout is not None:
            raise wrong_argument("input_layout", "None without an input_shape", repr(input_layout))
        return None
    allowed = "None, (height, width) or (height, width, channels)"
    shape = sizes("input_shape", input_shape, allowed, fewest=2)
    if len(shape) > 3:
        raise wrong_argument("input_shape", allowed, repr(input_shape))
    layouts = (None, *INPUT_LAYOUTS)
    layout = choice("input_layout", input_layout, layouts) or "channels_first"
    return Shape(shape, channels_first=layout == "channels_first")


def _definition(
    read: ReluNetwork, layers: Sequence[AffineLayer], fields: dict[str, Any]
) -> Definition:
    """Return the definition of the spiking network."""
    if read.structure is None:
        return SpikingMLP.from_dict({"layer_sizes": _layer_sizes(layers)} | fields)
    return with_bias_channels(read.structure, layers).replace(**fields)


def _layer_sizes(layers: Sequence[AffineLayer]) -> tuple[int, ...]:
    units = [layers[0].weights.shape[0], *(W.shape[1] for W, _ in layers)]
    return tuple(n + more for n, more in zip(units, has_bias_unit(layers), strict=True))


def _balance_input(balance: ArrayLike, read: ReluNetwork) -> Array:
    n_inputs = read.connections[0].n_below
    allowed = f"finite real numbers of shape (n_samples, {n_inputs}), at least one sample"
    x = array_of("balance", balance, REALS_AND_BOOLEANS, allowed)
    shapes = () if read.structure is None else read.structure.shapes[0].of_arrays
    if x.shape[1:] in shapes or (read.is_flattened and math.prod(x.shape[1:]) == n_inputs):
        x = x.reshape(len(x), n_inputs)
    if x.ndim != 2 or x.shape[1] != n_inputs or not len(x):
        raise wrong_argument("balance", allowed, f"shape {x.shape}")
    return finite("balance", x, allowed).astype(np.float64)
