"""The structure of an estimator's network: what its input is, and the layers below its output."""

from __future__ import annotations

from typing import Any, NamedTuple

from spikebp_plugins.common.errors import is_integer, sizes, wrong_argument
from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense, Layer
from spikebp_plugins.network.connections.notation import layers_of
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition


class Structure(NamedTuple):
    """The shape of an image, and the layers below the output.

    Attributes
    ----------
    hidden_layers : tuple of Layer
        The layers between input and output.
    image_shape : tuple of int or None
        The shape in which the features of a sample are read; None for a plain vector.
    """

    hidden_layers: tuple[Layer, ...]
    image_shape: tuple[int, ...] | None = None

    @classmethod
    def of_sizes(cls, hidden_layer_sizes: Any) -> Structure:
        """Return that of dense layers, given by their sizes or by the size of the only one."""
        return cls(tuple(map(Dense, _checked_sizes(hidden_layer_sizes))))

    @classmethod
    def of_parameters(
        cls, hidden_layer_sizes: Any, connections: Any, image_shape: Any, *, default: Any
    ) -> Structure:
        """Return that which the parameters of an estimator describe, given its default sizes.

        Raises
        ------
        ValueError
            If a parameter is not allowed, or `connections` and `hidden_layer_sizes` are both given.
        """
        dense = cls.of_sizes(hidden_layer_sizes)
        shape = None if image_shape is None else _checked_image_shape(image_shape)
        if connections is None:
            return dense._replace(image_shape=shape)
        if dense != cls.of_sizes(default):
            allowed = f"its default, {default}, if connections are given"
            raise wrong_argument("hidden_layer_sizes", allowed, repr(hidden_layer_sizes))
        layers = layers_of("connections", connections)
        if shape is None and layers and isinstance(layers[0], (Conv2D, AveragePool2D)):
            allowed = f"(height, width) or (height, width, channels) below {layers[0]}"
            raise wrong_argument("image_shape", allowed, "None")
        return cls(layers, shape)

    @classmethod
    def of_network(cls, net: Definition) -> Structure:
        """Return that of a network that an estimator has made."""
        if not isinstance(net, SpikingNetwork):
            return cls.of_sizes(net.layer_sizes[1:-1])
        is_image = len(net.input_shape) > 1
        return cls(tuple(net.layers[:-1]), net.input_shape if is_image else None)

    @property
    def is_dense(self) -> bool:
        """Whether all layers are dense."""
        return all(isinstance(layer, Dense) for layer in self.hidden_layers)

    def network(self, n_inputs: int, n_outputs: int, **fields: Any) -> Definition:
        """Return the network.

        Raises
        ------
        ValueError
            If the layers do not fit each other or the input, or a field is not allowed.
        """
        hidden, shape = self.hidden_layers, self.image_shape
        if shape is None and self.is_dense:
            sizes_of_layers = [layer.n for layer in hidden if isinstance(layer, Dense)]
            return SpikingMLP((n_inputs, *sizes_of_layers, n_outputs), **fields)
        layers = (*hidden, Dense(n_outputs))
        return SpikingNetwork((n_inputs,) if shape is None else shape, layers, **fields)


def _checked_sizes(value: Any) -> tuple[int, ...]:
    name, allowed = "hidden_layer_sizes", "a sequence of positive integers, or one of them"
    if is_integer(value) and value > 0:
        return (int(value),)
    return sizes(name, value, allowed)


def _checked_image_shape(value: Any) -> tuple[int, ...]:
    allowed = "None, (height, width) or (height, width, channels)"
    shape = sizes("image_shape", value, allowed, fewest=2)
    if len(shape) > 3:
        raise wrong_argument("image_shape", allowed, repr(value))
    return shape
