"""The kinds of layers and connections, and the refusal of a kind that an engine lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.network.connections.connection import Connection
from spikebp_plugins.network.connections.convolution import Conv2D
from spikebp_plugins.network.connections.dense import Dense, DenseConnection
from spikebp_plugins.network.connections.layer import Layer
from spikebp_plugins.network.connections.pooling import AveragePool2D
from spikebp_plugins.network.connections.sparse import Sparse

#: The kinds of layers by their names, as files have them.
LAYERS: Final[dict[str, type[Layer]]] = {
    kind.__name__: kind for kind in (Dense, Conv2D, AveragePool2D, Sparse)
}


def layer_from_dict(values: Any) -> Layer:
    """Return the layer that :meth:`Layer.to_dict` described.

    Raises
    ------
    ValueError
        If the kind or a field is unknown, missing or wrong.
    """
    if not isinstance(values, Mapping) or "kind" not in values:
        raise wrong_argument("a layer", "a mapping with 'kind'", repr(values))
    kind = LAYERS[choice("the kind of a layer", values["kind"], LAYERS)]
    known = [field.name for field in fields(kind)]
    given = {
        choice(f"a field of {kind.__name__}", name, known): value
        for name, value in values.items()
        if name != "kind"
    }
    try:
        return kind(**given)
    except TypeError as error:  # a field without a default is missing
        raise wrong_argument(
            "a layer", f"a {kind.__name__} with its fields", repr(values)
        ) from error


def require_dense(name: str, connections: Iterable[Connection]) -> None:
    """Raise an error about the argument `name` unless all connections are dense."""
    if (reason := refused_connections(connections, (DenseConnection,))) is not None:
        raise wrong_argument(name, "a network of dense connections", f"another: {reason}")


def refused_connections(
    connections: Iterable[Connection], known: Collection[type[Connection]]
) -> str | None:
    """Return why an engine for the kinds `known` cannot build these connections, or None."""
    for connection in connections:
        if type(connection) not in known:
            names = ", ".join(kind.kind for kind in known)
            return f"it knows {names} connections, not {connection.kind}"
    return None
