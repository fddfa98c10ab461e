"""Writes ReLU networks as modules of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from spikebp_plugins.conversion.layers import AffineLayer, Array
from spikebp_plugins.conversion.sources import scores_in_spikes
from spikebp_plugins.network.channels_first import is_image, kernel_for, rows_for
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import AveragePooling, Convolution
from spikebp_plugins.network.matrix import as_matrix


def module_of_layers(layers: Iterable[tuple[Array, Array | None]]) -> Any:
    """Return a Sequential of Linear and ReLU, given pairs of weights and biases."""
    return _with_relus([_linear(W, b)] for W, b in layers)


def module_of_network(checkpoint: Checkpoint) -> Any:
    """Return a Sequential of the modules that stand for a network's connections, and ReLU."""
    nn = import_module("torch.nn")
    net = checkpoint.net
    stages: list[list[Any]] = []
    given = [AffineLayer(W, None) for W in checkpoint.state.weights]
    layers = scores_in_spikes(net, given)
    for below, connection, (W, _) in zip(net.shapes, net.connections, layers, strict=False):
        if isinstance(connection, Convolution):
            stages.append([_convolution(connection, W)])
        elif isinstance(connection, AveragePooling):
            stages.append([nn.AvgPool2d(connection.layer.size)])
        else:
            flatten = [nn.Flatten()] if is_image(below) else []
            linear = _linear(rows_for(as_matrix(connection, W), below), None)
            stages.append([*flatten, linear])
    return _with_relus(stages)


def _with_relus(stages: Iterable[list[Any]]) -> Any:
    nn = import_module("torch.nn")
    modules = [module for stage in stages for module in (*stage, nn.ReLU())]
    return nn.Sequential(*modules[:-1])


def _linear(W: Array, b: Array | None) -> Any:
    torch = import_module("torch")
    linear = torch.nn.Linear(*W.shape, bias=b is not None, dtype=torch.float64)
    return _filled(linear, W.T, b)


def _convolution(connection: Convolution, W: Array) -> Any:
    torch = import_module("torch")
    layer, channels = connection.layer, connection.weight_shape[2]
    module = torch.nn.Conv2d(
        channels,
        layer.channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        bias=False,
        dtype=torch.float64,
    )
    return _filled(module, kernel_for(W), None)


def _filled(module: Any, weights: NDArray[Any], b: Array | None) -> Any:
    torch = import_module("torch")
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weights.copy()))
        if b is not None:
            module.bias.copy_(torch.from_numpy(b))
    return module
