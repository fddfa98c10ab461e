"""The definition of a network: everything that changes a number, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from spikebp_plugins.common.docstrings import with_shared_parameters
from spikebp_plugins.common.errors import ArgumentError, choice, integer, sizes, wrong_argument
from spikebp_plugins.network.connections import (
    Connection,
    DenseConnection,
    Layer,
    Shape,
    layer_from_dict,
)
from spikebp_plugins.network.fields import Definition

#: How the units of an input with channels are numbered.
INPUT_LAYOUTS: Final = ("channels_last", "channels_first")
#: The most units of a layer: their numbers are of 32 bits in some engines.
LARGEST_LAYER: Final = 2**31 - 1


@with_shared_parameters
@dataclass(frozen=True, repr=False)
class SpikingMLP(Definition):
    r"""A multi-layer perceptron of spiking units that learns by backpropagation.

    Layers 0..L are joined by weights :math:`W_l` of shape :math:`(n_{l-1}, n_l)` without bias. A
    sample is shown for T steps; ``docs/semantics.md`` states what happens in each.

    The definition holds every number that decides a result, and is the same on every back end.
    It is immutable, hashable, and compares by value.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units in layers 0 (the input) to L (the output); at least two layers.

    Raises
    ------
    ValueError
        If a field has a value that is not allowed, or the rate rounds to zero on the grid.

    Examples
    --------
    >>> net = SpikingMLP((784, 300, 300, 10))
    >>> net.fraction_bits, net.effective_learning_rate
    (17, 0.009918212890625)
    """

    layer_sizes: tuple[int, ...]

    def _settled_layers(self) -> dict[str, object]:
        allowed = "a sequence of at least two positive integers"
        return {"layer_sizes": sizes("layer_sizes", self.layer_sizes, allowed, fewest=2)}

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of layers 0 to L: plain vectors."""
        return tuple(Shape((n,)) for n in self.layer_sizes)

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that lead to layers 1 to L, all of them dense."""
        return tuple(map(DenseConnection, self.layer_sizes[:-1], self.layer_sizes[1:]))


@with_shared_parameters
@dataclass(frozen=True, repr=False)
class SpikingNetwork(Definition):
    r"""A network of spiking units with connections of any kinds, which learns by backpropagation.

    Layers 0..L are joined by connections: sets of synapses, some of which may share a weight.
    Otherwise it is as `SpikingMLP`. Layers are flat vectors wherever numbers go in and out: an
    image is given row by row, the channels of a pixel together. Arrays in the shape of the input
    are taken too, and ``net.layer_shapes`` says how to look at layers.

    Parameters
    ----------
    input_shape : sequence of one to three int
        (n,) for a plain vector, (height, width) or (height, width, channels) for an image.
    layers : sequence of Layer
        Layers 1 to L, each with its connection to the layer below: `Dense`, `Conv2D`,
        `AveragePool2D` or `Sparse`.
    input_layout : {"channels_last", "channels_first"}, default="channels_last"
        Whether the input lists the channels of each pixel, or the pixels of each channel, as
        `EventEncoder` numbers them.

    Raises
    ------
    ValueError
        If a field has a value that is not allowed, or a layer does not fit the one below.

    Examples
    --------
    >>> layers = [Conv2D(16, 5, stride=2), Conv2D(32, 5, stride=2), Dense(10)]
    >>> net = SpikingNetwork((28, 28), layers)
    >>> net.layer_shapes
    ((28, 28), (12, 12, 16), (4, 4, 32), (10,))
    >>> net.weight_shapes
    ((5, 5, 1, 16), (5, 5, 16, 32), (512, 10))
    """

    input_shape: tuple[int, ...]
    layers: Sequence[Layer]
    input_layout: str = "channels_last"

    def _settled_layers(self) -> dict[str, object]:
        allowed = "a sequence of one to three positive integers"
        shape = sizes("input_shape", self.input_shape, allowed, fewest=1)
        if len(shape) > 3:
            raise wrong_argument("input_shape", allowed, repr(self.input_shape))
        is_sequence = isinstance(self.layers, Sequence) and not isinstance(self.layers, str)
        if not is_sequence or not self.layers or not all(isinstance(l, Layer) for l in self.layers):
            allowed = "a sequence of at least one layer, such as Dense(10)"
            raise wrong_argument("layers", allowed, repr(self.layers))
        layout = choice("input_layout", self.input_layout, INPUT_LAYOUTS)
        return {"input_shape": shape, "layers": tuple(self.layers), "input_layout": layout}

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of layers 0 to L, which know how units are numbered."""
        shapes = [Shape(self.input_shape, self.input_layout == "channels_first")]
        for l, layer in enumerate(self.layers, 1):
            try:
                shape = layer.above(shapes[-1])
                integer("its units", shape.size, 1, LARGEST_LAYER)
            except ValueError as error:
                raise ArgumentError(f"layer {l}: {error}") from None
            shapes.append(shape)
        return tuple(shapes)

    @cached_property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units in layers 0 to L."""
        return tuple(shape.size for shape in self.shapes)

    @cached_property
    def connections(self) -> tuple[Connection, ...]:
        """The connections that lead to layers 1 to L."""
        return tuple(
            layer.connect(below, self.seed, l)
            for l, (layer, below) in enumerate(zip(self.layers, self.shapes, strict=False), 1)
        )

    def _plain(self, value: Any) -> Any:
        if isinstance(value, tuple) and value and isinstance(value[0], Layer):
            return [layer.to_dict() for layer in value]
        return super()._plain(value)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SpikingNetwork:
        """Return the definition that :meth:`to_dict` described.

        Raises
        ------
        ValueError
            If a field is unknown, missing or wrong.
        """
        if isinstance(values, Mapping) and isinstance(values.get("layers"), Sequence):
            values = dict(values) | {"layers": list(map(layer_from_dict, values["layers"]))}
        return super().from_dict(values)

    def _repr_of_layers(self, name: str, value: Any) -> list[str]:
        if name == "layers":
            return [f"[{', '.join(map(repr, value))}]"]
        if name == "input_shape":
            return [repr(value)]
        return [] if value == INPUT_LAYOUTS[0] else [f"{name}={value!r}"]


def definition_from_dict(values: Mapping[str, Any]) -> SpikingMLP | SpikingNetwork:
    """Return the definition of either kind that its `to_dict` described.

    Raises
    ------
    ValueError
        If a field is unknown, missing or wrong.
    """
    is_network = isinstance(values, Mapping) and "input_shape" in values
    return SpikingNetwork.from_dict(values) if is_network else SpikingMLP.from_dict(values)


def require_definition(name: str, value: object, *others: str) -> None:
    """Raise an error about the argument `name` unless it is a definition of a network.

    Parameters
    ----------
    name : str
        The argument.
    value : object
        The value to check.
    *others : str
        The other allowed types, for the message.
    """
    if not isinstance(value, Definition):
        allowed = " or ".join(("a SpikingMLP", "a SpikingNetwork", *others))
        raise wrong_argument(name, allowed, repr(value))
