"""Conversion of spiking networks to ReLU networks."""

from __future__ import annotations

import warnings
from typing import Any

from numpy.typing import NDArray

from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.conversion.layers import AffineLayer
from spikebp_plugins.conversion.sources import checkpoint_of, layers_with_biases, scores_in_spikes
from spikebp_plugins.conversion.torch_export import module_of_layers, module_of_network
from spikebp_plugins.network.arithmetic import constant_in
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import DenseConnection
from spikebp_plugins.network.matrix import as_matrix, note_on_inexact_pools


def to_relu(source: Any, bias: str | None = None) -> list[Any]:
    r"""Return the ReLU network that a spiking network approximates.

    .. math::

        a_0 = x \cdot \mathrm{input\_scale}, \qquad s_l = a_{l-1} W_l \,(+\, b_l), \qquad
        a_l = \max(0, s_l)

    Its scores :math:`s_L` are the limit of the spiking network's scores for many steps: where
    :math:`g` spikes stand for 1 (`spikes_per_unit`), the last weights are multiplied by g. No
    weight is rounded. Connections of any kind become matrices: that of a large convolution takes
    much memory, and :func:`to_torch` keeps the kernel.

    Parameters
    ----------
    source : Checkpoint, Simulator or estimator
        The spiking network.
    bias : {"input"} or None, default=None
        With "input" the last input (of an estimator for river, the first) is taken for a constant
        1, as :func:`from_relu` makes it, and its weights become biases. So do the weights of the
        last unit of a hidden layer, if it still sends what stands for 1 in every step; if learning
        has changed it, it stays a unit. All connections are dense then.

    Returns
    -------
    list of ndarray of shape (n_in, n_out), or of tuple
        :math:`W_1` to :math:`W_L`; with ``bias="input"`` pairs of :math:`W_l` and :math:`b_l` of
        shape (n_out,), or None where there is none. :func:`from_relu` takes both.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    """
    bias = choice("bias", bias, (None, "input"))
    checkpoint = checkpoint_of(source)
    layers = [AffineLayer(W.copy(), None) for W in _matrices(checkpoint)]
    weights = [W for W, _ in scores_in_spikes(checkpoint.net, layers)]
    if bias is None:
        return weights
    _require_dense_for_bias(checkpoint)
    if len(weights[0]) < 2:
        raise wrong_argument("bias", "None for a network with one input", repr(bias))
    return [tuple(layer) for layer in layers_with_biases(source, weights)]


def to_torch(source: Any, bias: str | None = None) -> Any:
    r"""Return the ReLU network that a spiking network approximates as a module of PyTorch.

    Parameters
    ----------
    source : Checkpoint, Simulator or estimator
        The spiking network.
    bias : {"input"} or None, default=None
        As for :func:`to_relu`.

    Returns
    -------
    torch.nn.Sequential
        Linear and ReLU in turn, without a ReLU at the end, in double precision: no weight is
        rounded. Its input is ``x * input_scale``. In place of a Linear, Conv2D becomes Conv2d, and
        AveragePool2D AvgPool2d. Images have the shape (channels, height, width), and there is a
        Flatten between an image and a Linear.

    Raises
    ------
    ValueError
        If an argument is not allowed.
    ImportError
        If PyTorch is not installed.

    Warns
    -----
    ApproximationWarning
        If pools have a weight here that is rounded, and a mean there is exact.
    """
    if choice("bias", bias, (None, "input")) == "input":
        return module_of_layers(to_relu(source, bias))
    checkpoint = checkpoint_of(source)
    if (message := note_on_inexact_pools(checkpoint.net)) is not None:
        warnings.warn(message, ApproximationWarning, stacklevel=2)
    return module_of_network(checkpoint)


def _matrices(checkpoint: Checkpoint) -> list[NDArray[Any]]:
    """Return the weights of each layer as one matrix."""
    net = checkpoint.net
    return [
        as_matrix(c, W if c.constant_weight is None else constant_in(net, c))
        for c, W in zip(net.connections, checkpoint.state.weights, strict=True)
    ]


def _require_dense_for_bias(checkpoint: Checkpoint) -> None:
    if not all(isinstance(c, DenseConnection) for c in checkpoint.net.connections):
        allowed = "None for a network whose connections are not all dense"
        raise wrong_argument("bias", allowed, "'input'")
