"""Writes a network as nodes."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.channels_first import image_size, is_image, kernel_for, rows_for
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.connections import AveragePooling, Connection, Convolution, Shape
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.matrix import as_matrix, note_on_inexact_pools


def nodes_of(checkpoint: Checkpoint) -> dict[str, nir.NIRNode]:
    """Return the nodes of a network from Input to Output, by their names."""
    net = checkpoint.net
    shapes = list(net.shapes)
    if not _reads_images(net.connections[0]):
        shapes[0] = Shape((net.n_inputs,))  # numbered as it is here
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array(image_size(shapes[0])))}
    for l, (connection, weights) in enumerate(
        zip(net.connections, checkpoint.state.weights, strict=True), 1
    ):
        below = shapes[l - 1]
        if is_image(below) and not _reads_images(connection):
            whole = {"input": np.array(image_size(below))}
            nodes[f"flatten_{l}"] = nir.Flatten(whole, start_dim=0, end_dim=-1)
        nodes |= _weights(l, below, connection, weights)
        if l < net.n_layers:
            one = np.ones(image_size(shapes[l]), np.float32)
            nodes[f"if_{l}"] = nir.IF(r=one, v_threshold=one.copy(), v_reset=0 * one)
    nodes["output"] = nir.Output(np.array(image_size(shapes[-1])))
    return nodes


def losses(net: Definition) -> str:
    """Return the properties of a network that the nodes cannot express, as one sentence."""
    found = ["what this network learns by"]
    if net.n_layers > 1:
        found += ["that units start half a spike below their threshold and subtract it"]
        if net.spikes == "graded":
            found += ["that they may fire several times in a step"]
    if note_on_inexact_pools(net) is not None:
        found += ["that weights of pools are rounded"]
    return f"other tools will not see {', or '.join(found)}; docs/nir.md measures what that costs"


def _reads_images(connection: Connection) -> bool:
    return isinstance(connection, (Convolution, AveragePooling))


def _weights(
    l: int, below: Shape, connection: Connection, weights: NDArray[Any]
) -> dict[str, nir.NIRNode]:
    if isinstance(connection, AveragePooling):
        size = np.full(2, connection.layer.size)
        return {f"pool_{l}": nir.AvgPool2d(size, size.copy(), np.zeros_like(size))}
    # Other tools compute in single precision, and not all of them convert what they read.
    if isinstance(connection, Convolution):
        layer = connection.layer
        node = nir.Conv2d(
            input_shape=image_size(below)[1:],
            weight=np.ascontiguousarray(kernel_for(weights), np.float32),
            stride=layer.stride,
            padding=layer.padding,
            dilation=1,
            groups=1,
            bias=np.zeros(layer.channels, np.float32),
        )
        return {f"conv_{l}": node}
    matrix = rows_for(as_matrix(connection, weights), below)
    return {f"linear_{l}": nir.Linear(np.ascontiguousarray(matrix.T, np.float32))}
