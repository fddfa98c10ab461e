"""Reads the nodes of a graph as layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import nir
import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.channels_first import (
    has_same_order,
    image_size,
    is_image,
    kernel_from,
    one_number,
    rows_from,
)
from spikebp_plugins.network.connections import (
    AveragePool2D,
    Connection,
    Conv2D,
    Dense,
    Layer,
    Shape,
)
from spikebp_plugins.network.definition import SpikingNetwork
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.nir.chain import chain_of, numbers, refused

#: The dimensions of a Flatten that leaves one dimension, with or without one for a batch.
WHOLE_FLATTENS = ((0, -1), (0, 2), (1, -1), (1, 3))


class GraphLayer(NamedTuple):
    """A layer of a graph.

    Attributes
    ----------
    name : str
        The node of its weights.
    layer : Layer
        The layer of a definition that it is.
    connection : Connection
        Its connection to the layer below.
    weights : ndarray
        The weights of that connection.
    fires : bool
        Whether an IF stands behind it.
    """

    name: str
    layer: Layer
    connection: Connection
    weights: NDArray[np.float64]
    fires: bool = False


class GraphContent(NamedTuple):
    """The content of a graph: the shape of its input, and its layers."""

    image: Shape
    layers: list[GraphLayer]


def read_graph(graph: nir.NIRGraph, net: Definition | None) -> GraphContent:
    """Return the layers of a graph.

    Parameters
    ----------
    graph : nir.NIRGraph
        The graph.
    net : Definition or None
        The definition that the network is to have, for the order of the input's numbers. Without
        one it is that of the graph: channels first.

    Raises
    ------
    ValueError
        If the graph is no chain of nodes that a network here can have.
    """
    first, *between, last = chain_of(graph)
    size = _size(first, graph.nodes[first].input_type)
    image = _input_shape(size, net)
    reader = _Reader(image)
    for name in between:
        reader.read(name, graph.nodes[name])
    if not reader.layers:
        raise refused("no Linear")
    shape = reader.shape
    if _size(last, graph.nodes[last].output_type) != reader.size:
        units = f"{shape.size} units before it"
        raise refused(f"Output node {last!r} of another shape than the {units}")
    if reader.is_flat and not has_same_order(shape):
        raise refused(f"a Flatten before Output node {last!r}, whose units have another order here")
    return GraphContent(image, reader.layers)


def _input_shape(size: tuple[int, ...], net: Definition | None) -> Shape:
    """Return the shape of the input here, given its shape in the graph."""
    if len(size) == 1:
        return Shape(size)
    if isinstance(net, SpikingNetwork):
        of_net = net.shapes[0]
        if image_size(of_net) == size:
            return of_net
    channels, height, width = size
    return Shape((height, width, channels), channels_first=True)


class _Reader:
    """The layers read so far, and the shape of the units behind them."""

    def __init__(self, image: Shape) -> None:
        self.shape = image
        self.is_flat = not is_image(image)
        self.layers: list[GraphLayer] = []

    @property
    def size(self) -> tuple[int, ...]:
        """The shape of the units in the graph."""
        return (self.shape.size,) if self.is_flat else image_size(self.shape)

    def read(self, name: str, node: nir.NIRNode) -> None:
        if isinstance(node, nir.IF):
            self._fire(name, node)
        elif isinstance(node, nir.Flatten):
            self._flatten(name, node)
        else:
            self._require_units_before(name)
            if isinstance(node, nir.Conv2d):
                self._convolution(name, node)
            elif isinstance(node, nir.AvgPool2d):
                self._pool(name, node)
            else:
                self._linear(name, node)

    def _require_units_before(self, name: str) -> None:
        """Refuse weights behind weights; only a mean may follow without units in between."""
        if not self.layers or self.layers[-1].fires:
            return
        last = self.layers[-1]
        if not isinstance(last.layer, AveragePool2D) or len(self.layers) == 1:
            raise refused(f"node {name!r} with no IF between it and {last.name!r}")

    def _linear(self, name: str, node: nir.Linear | nir.Affine) -> None:
        if isinstance(node, nir.Affine) and np.any(numbers(name, "bias", node.bias)):
            raise refused(f"Affine node {name!r} with a bias")
        if not self.is_flat:
            raise refused(f"node {name!r} with no Flatten between it and an image")
        weights, n_inputs = numbers(name, "weight", node.weight), self.shape.size
        if weights.ndim != 2 or weights.shape[1] != n_inputs:
            raise refused(f"weights of {name!r} of shape {weights.shape} behind {n_inputs} units")
        layer = self._fitting(name, Dense, len(weights))
        self._add(name, layer, rows_from(weights.T, self.shape))

    def _convolution(self, name: str, node: nir.Conv2d) -> None:
        channels, *pixels = self._image_before(name)
        if node.input_shape is not None and np.ravel(node.input_shape).tolist() != pixels:
            raise refused(f"input_shape of node {name!r} that is not that of the image before it")
        for field in ("dilation", "groups"):
            if one_number(getattr(node, field)) != 1:
                raise refused(f"{field} of node {name!r} of {getattr(node, field)}, not 1")
        if node.bias is not None and np.any(numbers(name, "bias", node.bias)):
            raise refused(f"Conv2d node {name!r} with a bias")
        weights = numbers(name, "weight", node.weight)
        if weights.ndim != 4 or weights.shape[1] != channels:
            came = f"of shape {weights.shape} behind {channels} channels"
            raise refused(f"weights of {name!r} {came}")
        size = _one_number(name, "kernel of shape", weights.shape[2:])
        stride = _one_number(name, "stride", node.stride)
        padding = _padding(name, node, size, stride)
        layer = self._fitting(name, Conv2D, len(weights), size, stride, padding)
        self._add(name, layer, kernel_from(weights))

    def _pool(self, name: str, node: nir.AvgPool2d) -> None:
        self._image_before(name)
        size = _one_number(name, "kernel_size", node.kernel_size)
        for field, allowed in (("stride", size), ("padding", 0)):
            if one_number(getattr(node, field)) != allowed:
                raise refused(f"{field} of node {name!r} of {getattr(node, field)}, not {allowed}")
        self._add(name, self._fitting(name, AveragePool2D, size), np.zeros(0))

    def _fitting(self, name: str, kind: type[Layer], *values: int) -> Layer:
        try:
            layer = kind(*values)
            layer.above(self.shape)
        except ValueError as error:
            raise refused(f"node {name!r} that does not fit what is before it: {error}") from None
        return layer

    def _add(self, name: str, layer: Layer, weights: NDArray[np.float64]) -> None:
        connection = layer.connect(self.shape, 0, len(self.layers) + 1)
        self.layers.append(GraphLayer(name, layer, connection, weights))
        self.shape = layer.above(self.shape)

    def _image_before(self, name: str) -> tuple[int, ...]:
        if self.is_flat:
            raise refused(f"node {name!r} with no image before it")
        return image_size(self.shape)

    def _flatten(self, name: str, node: nir.Flatten) -> None:
        given = node.input_type["input"]
        if given is not None and tuple(np.ravel(given).tolist()) != self.size:
            raise refused(f"input_type of node {name!r} that is not that of what is before it")
        if not self.is_flat and (int(node.start_dim), int(node.end_dim)) not in WHOLE_FLATTENS:
            raise refused(f"node {name!r} that leaves more than one dimension")
        self.is_flat = True

    def _fire(self, name: str, node: nir.IF) -> None:
        if not self.layers or self.layers[-1].fires:
            raise refused(f"IF node {name!r} with no Linear before it")
        r, threshold, reset = (
            numbers(name, field, getattr(node, field)) for field in ("r", "v_threshold", "v_reset")
        )
        # A parameter without dimensions, as Norse writes it, is that of all units.
        for values in (r, threshold, reset):
            if values.shape not in ((), self.size):
                units = f"{self.size[0]} units" if self.is_flat else f"an image of {self.size}"
                raise refused(f"IF node {name!r} of shape {values.shape} behind {units}")
        if not (np.all(r > 0) and np.all(threshold > 0) and np.all(threshold > reset)):
            came = "r, v_threshold or cost of a spike is not positive"
            raise refused(f"IF node {name!r} whose {came}")
        last = self.layers[-1]
        scaled = _scaled(name, last, np.broadcast_to(r / (threshold - reset), self.size))
        self.layers[-1] = last._replace(weights=scaled, fires=True)


def _scaled(name: str, read: GraphLayer, factors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of a layer, scaled by the factors of the units behind it."""
    if isinstance(read.layer, Dense):
        return read.weights * factors
    if isinstance(read.layer, AveragePool2D):
        if np.any(factors != 1):
            raise refused(f"IF node {name!r} behind a mean, of which a spike does not cost 1")
        return read.weights
    by_channel = factors.reshape(read.weights.shape[3], -1)
    if np.any(by_channel != by_channel[:, :1]):
        raise refused(f"IF node {name!r} whose units are not the same in all pixels of a channel")
    return read.weights * by_channel[:, 0]


def _padding(name: str, node: nir.Conv2d, size: int, stride: int) -> int:
    if isinstance(node.padding, str):
        if node.padding == "valid":
            return 0
        if size % 2 == 0 or stride != 1:
            came = f"a kernel_size of {size} and a stride of {stride}"
            raise refused(f"padding 'same' of node {name!r} with {came}")
        return size // 2
    return _one_number(name, "padding", node.padding)


def _one_number(name: str, field: str, values: Any) -> int:
    number = one_number(values)
    if number is None:
        raise refused(f"{field} {values} of node {name!r}, not the same for rows and columns")
    return number


def _size(name: str, types: Mapping[str, Any]) -> tuple[int, ...]:
    shapes = [np.atleast_1d(np.asarray(shape)) for shape in types.values()]
    if len(shapes) != 1 or shapes[0].shape not in ((1,), (3,)) or shapes[0].dtype.kind not in "iu":
        found = [shape.tolist() for shape in shapes]
        raise refused(f"node {name!r} of shape {found}, not of one dimension or of three")
    return tuple(map(int, shapes[0]))
