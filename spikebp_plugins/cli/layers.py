"""The layers of a network, from the options of commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import typer

from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.images import Dataset
from spikebp_plugins.network.connections import Dense, Layer
from spikebp_plugins.network.connections.notation import WORDS, layers_of
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition

HIDDEN_LAYERS: Final = (200, 200)

LayerSizes = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...",
        help="Sizes of hidden layers; may be empty.",
        show_default=",".join(map(str, HIDDEN_LAYERS)),
        rich_help_panel="Network",
    ),
]
Connections = Annotated[
    str | None,
    typer.Option(
        metavar="LAYER,LAYER,...",
        help=f"Layers below the output, instead of --layers: {WORDS}.",
        rich_help_panel="Network",
    ),
]


class HiddenLayers(NamedTuple):
    """The layers below the output.

    Attributes
    ----------
    sizes : tuple of int
        The sizes of dense layers.
    connections : tuple of Layer or None
        Layers of any kinds, on images; None takes dense layers on their pixels.
    """

    sizes: tuple[int, ...] = HIDDEN_LAYERS
    connections: tuple[Layer, ...] | None = None

    @classmethod
    def given(cls, layers: str | None, connections: str | None) -> HiddenLayers | None:
        """Return those that options name, or None if none does.

        Raises
        ------
        ValueError
            If a text is wrong, or both options are given.
        """
        if connections is not None:
            if layers is not None:
                raise wrong_argument("layers", "left out if connections are given", repr(layers))
            return cls(connections=layers_of("connections", connections))
        return None if layers is None else cls(hidden_sizes(layers))

    @property
    def kind(self) -> type[SpikingMLP] | type[SpikingNetwork]:
        """The kind of definition that has them."""
        return SpikingMLP if self.connections is None else SpikingNetwork

    def network(self, data: Dataset, fields: Mapping[str, Any]) -> Definition:
        """Return the network for the images of a data set, given its other fields."""
        return self.kind(**self.fields(data), **fields)

    def fields(self, data: Dataset) -> dict[str, Any]:
        """Return the fields of the definition that say what the layers of a network are."""
        if self.connections is not None:
            layers = (*self.connections, Dense(data.n_classes))
            return {"input_shape": data.image_shape, "layers": layers}
        return {"layer_sizes": (data.x_train.shape[1], *self.sizes, data.n_classes)}


def hidden_sizes(text: str) -> tuple[int, ...]:
    """Return the sizes of hidden layers from the text of an option."""
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        allowed = "sizes of hidden layers, positive integers separated by commas"
        raise wrong_argument("layers", allowed, repr(text))
    return tuple(int(part) for part in parts)
