"""The nodes of a graph, in their order from Input to Output."""

from __future__ import annotations

from typing import Any, Final

import nir
import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import (
    REALS_AND_BOOLEANS,
    ArgumentError,
    array_of,
    wrong_argument,
)

#: The nodes that a graph may have, and their order.
KINDS: Final = (
    *(nir.Input, nir.Linear, nir.Affine, nir.Conv2d, nir.AvgPool2d, nir.Flatten, nir.IF),
    nir.Output,
)
ALLOWED: Final = (
    "a chain of Input, Linear (or Affine without bias), IF, .., Linear, Output, with Conv2d and "
    "AvgPool2d in place of a Linear, and a Flatten behind images"
)


def chain_of(graph: nir.NIRGraph) -> list[str]:
    """Return the names of the nodes from Input to Output; raise ValueError without a chain."""
    for name, node in graph.nodes.items():
        if not isinstance(node, KINDS):
            raise refused(f"node {name!r} of type {type(node).__name__}")
    followers: dict[str, str] = {}
    reached: set[str] = set()
    for source, target in graph.edges:
        for name in (source, target):
            if name not in graph.nodes:
                raise refused(f"an edge of {name!r}, which is no node")
        if source in followers:
            raise refused(f"node {source!r} with more than one edge from it")
        if target in reached or isinstance(graph.nodes[target], nir.Input):
            raise refused(f"node {target!r} with more edges to it than a chain has")
        followers[source] = target
        reached.add(target)
    chain = list(graph.inputs)
    if len(chain) != 1:
        raise refused(f"Input nodes {chain}")
    while chain[-1] in followers:
        chain.append(followers[chain[-1]])
    apart = [name for name in graph.nodes if name not in chain]
    if apart:
        raise refused(f"node {apart[0]!r}, to which nothing leads from the Input")
    if not isinstance(graph.nodes[chain[-1]], nir.Output):
        raise refused(f"node {chain[-1]!r} at the end, with no Output behind it")
    return chain


def numbers(name: str, field: str, values: Any) -> NDArray[np.float64]:
    """Return a field of a node as an array of finite numbers."""
    try:
        array = array_of(field, values, REALS_AND_BOOLEANS, "numbers").astype(np.float64)
    except (TypeError, ValueError):
        raise refused(f"{field} of node {name!r} that is no array of numbers") from None
    if not np.all(np.isfinite(array)):
        raise refused(f"{field} of node {name!r} that is not finite")
    return array


def refused(came: str) -> ArgumentError:
    """Return the error for a graph that no network can represent."""
    return wrong_argument("graph", ALLOWED, came)
