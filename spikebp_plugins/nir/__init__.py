r"""Networks as graphs of NIR, the Neuromorphic Intermediate Representation, and graphs as networks.

A network is written as ``Input -> Linear -> IF -> ... -> Linear -> Output``. NIR's
integrate-and-fire units have

.. math::
    \dot{v} = r I, \qquad v > v_{threshold}: \text{fire, } v \leftarrow v_{reset},

and start at 0. A unit of this network fires above 1/2 and subtracts 1. It sends the same spikes as
a unit that fires above 1, subtracts 1 and starts at 1/2: :math:`k = \lceil v - 1/2 \rceil`. So the
graph has ``v_threshold = 1`` and ``v_reset = 0``. Then a spike costs 1 for tools that reset and for
tools that subtract the threshold, and only the start at 1/2 is lost. With ``v_threshold = 1/2`` and
``v_reset = -1/2`` nothing would be lost in continuous time, but in tools that subtract the
threshold, or know no other reset than 0, units would fire twice as often.

What NIR cannot express is in the metadata of the graph, as the arrays of a checkpoint, so that
:func:`from_nir` gives back exactly the same network. ``docs/nir.md`` says what other tools make of
a graph.

Needs nir: ``pip install "spikebp-plugins[nir]"``.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.common.archive import PathLike, in_one_line, unreadable, whole_file
from spikebp_plugins.common.errors import (
    REALS_AND_BOOLEANS,
    ArgumentError,
    array_of,
    wrong_argument,
)
from spikebp_plugins.network.checkpoint import Checkpoint, from_arrays, to_arrays
from spikebp_plugins.network.connections import require_dense
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state

try:
    import h5py
    import nir

    from spikebp_plugins.common.hdf5 import arrays_in
except ImportError as error:
    raise ImportError(
        'graphs of NIR need the package nir: pip install "spikebp-plugins[nir]"'
    ) from error

#: The entry of a graph's metadata that holds the checkpoint.
METADATA_KEY: Final = "spikebp_plugins"

#: The nodes that a graph may have, and their order.
KINDS: Final = (nir.Input, nir.Linear, nir.Affine, nir.IF, nir.Output)
ALLOWED: Final = "a chain of Input, Linear (or Affine without bias), IF, .., Linear, Output"


def to_nir(checkpoint: Checkpoint) -> nir.NIRGraph:
    """Return a network as a graph of NIR.

    The input of the graph is what enters the first weights: the signed spike counts of layer 0,
    or ``x * input_scale`` not turned into spikes. The output, summed over the steps and divided by
    their number, is the scores of `predict`.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network; ``Simulator.checkpoint()`` makes one.

    Returns
    -------
    nir.NIRGraph
        Nodes "input", "linear_1", "if_1", .., "linear_L", "output", with weights of shape
        (n_out, n_in) in single precision; the exact ones are in the metadata.

    Warns
    -----
    ApproximationWarning
        Always: it says what other tools will not read from the graph.
    """
    return _graph(checkpoint)


def save_nir(path: PathLike, checkpoint: Checkpoint) -> None:
    """Write a network to a file of NIR (HDF5), whole or not at all.

    Parameters
    ----------
    path : str or path-like
        The file, which is replaced if it exists and keeps its permissions; a link is
        followed, and what is no regular file refused.
    checkpoint : Checkpoint
        The network.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.

    Warns
    -----
    ApproximationWarning
        Always: it says what other tools will not read from the graph.
    """
    buffer = io.BytesIO()
    nir.write(buffer, _graph(checkpoint))
    with whole_file(path) as file:
        file.write(buffer.getvalue())


def from_nir(graph: nir.NIRGraph | PathLike, net: Definition | None = None) -> Checkpoint:
    r"""Return the network that a graph of NIR describes.

    A graph from :func:`to_nir` gives back the network that it was made of, exactly. One from
    another tool gives a network that has yet to learn. Its units are those of the graph, scaled so
    that a spike costs 1: from weights W before units of resistance r, the new weights are
    :math:`W r / (v_{threshold} - v_{reset})`, rounded to the grid.

    Parameters
    ----------
    graph : nir.NIRGraph, str or path-like
        The graph, or the file that holds it.
    net : Definition or None, default=None
        For a graph from :func:`to_nir`, the definition that it must have. For a graph from another
        tool, the definition of the network; None takes ``SpikingMLP(layer_sizes)``.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file or the graph is damaged, of another definition, or something that this network
        cannot be: a node of another kind, a bias, a branch or a loop, shapes that do not fit.
    OverflowError
        If a weight is out of the range of the grid.

    Warns
    -----
    ApproximationWarning
        If the graph is from another tool and has IF nodes: the network's units fire otherwise.
    """
    return _checkpoint(graph, net)


def load_nir(path: PathLike, net: Definition | None = None) -> Checkpoint:
    """Return the network that a file of NIR describes: :func:`from_nir` for a path.

    Parameters
    ----------
    path : str or path-like
        The file.
    net : Definition or None, default=None
        As in :func:`from_nir`.

    Returns
    -------
    Checkpoint

    Raises
    ------
    FileNotFoundError, ValueError, OverflowError
        As :func:`from_nir`.

    Warns
    -----
    ApproximationWarning
        As :func:`from_nir`.
    """
    return _checkpoint(path, net)


def _graph(checkpoint: Checkpoint) -> nir.NIRGraph:
    net = checkpoint.net
    require_dense("checkpoint", net.connections)
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([net.n_inputs]))}
    for layer, weights in enumerate(checkpoint.state.weights, 1):
        # Other tools compute in single precision, and not all of them convert what they read.
        nodes[f"linear_{layer}"] = nir.Linear(np.ascontiguousarray(weights.T, np.float32))
        if layer < net.n_layers:
            one = np.ones(net.layer_sizes[layer], np.float32)
            nodes[f"if_{layer}"] = nir.IF(r=one, v_threshold=one.copy(), v_reset=0 * one)
    nodes["output"] = nir.Output(np.array([net.n_outputs]))
    # NumPy's scalars, because nir cannot write arrays without dimensions.
    arrays = {name: array[()] for name, array in to_arrays(checkpoint).items()}
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={METADATA_KEY: arrays})
    warnings.warn(_losses(net), ApproximationWarning, stacklevel=3)
    return graph


def _losses(net: Definition) -> str:
    losses = ["what this network learns by"]
    if net.n_layers > 1:
        losses += ["that units start half a spike below their threshold and subtract it"]
        if net.spikes == "graded":
            losses += ["that they may fire several times in a step"]
    return f"other tools will not see {', or '.join(losses)}; docs/nir.md measures what that costs"


def _checkpoint(graph: nir.NIRGraph | PathLike, net: Definition | None) -> Checkpoint:
    if isinstance(graph, (str, os.PathLike)):
        read = _read(graph)
        with _named(graph):
            return _network(read, net)
    return _network(graph, net)


@contextmanager
def _named(path: PathLike) -> Iterator[None]:
    """Begin the message of an error about the graph in a file with the path."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        kinds = (ArgumentError, OverflowError, ValueError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        raise kind(f"{os.fspath(path)}: {in_one_line(error)}") from error


def _network(graph: nir.NIRGraph, net: Definition | None) -> Checkpoint:
    if not isinstance(graph, nir.NIRGraph):
        raise wrong_argument("graph", "a nir.NIRGraph or the path of one", repr(graph))
    layers = _layers(graph)
    if METADATA_KEY in graph.metadata:
        return _own(graph.metadata[METADATA_KEY], layers, net)
    weights = [layer.weights for layer in layers]
    sizes = (len(weights[0]), *(matrix.shape[1] for matrix in weights))
    if net is None:
        net = SpikingMLP(sizes)
    elif net.layer_sizes != sizes:
        raise wrong_argument("layer_sizes of net", f"{sizes}, as in the graph", net.layer_sizes)
    checkpoint = Checkpoint(net, initial_state(net, weights))
    if any(layer.fires for layer in layers):
        warnings.warn(
            "spikes will not be those of the tool that the graph is from: there units start at 0 "
            "and are reset, here they start half a spike below their threshold and subtract it",
            ApproximationWarning,
            stacklevel=4,
        )
    return checkpoint


def _read(path: PathLike) -> nir.NIRGraph:
    with open(path, "rb") as file:
        data = io.BytesIO(file.read())
    try:
        with h5py.File(data, "r") as file:
            arrays_in(file, data.getvalue())
        # Types are checked afterwards, with messages that say what a network needs.
        return nir.read(data, type_check=False)
    except Exception as error:
        # A damaged file can make h5py and nir raise almost any type of error.
        raise unreadable(path, "graph of NIR", error) from error


class _Layer(NamedTuple):
    """Weights of shape (n_in, n_out), and whether units behind them fire."""

    name: str
    weights: NDArray[np.float64]
    fires: bool


def _own(metadata: Any, layers: list[_Layer], net: Definition | None) -> Checkpoint:
    if not isinstance(metadata, Mapping):
        raise wrong_argument(f"metadata {METADATA_KEY!r}", "a mapping of arrays", repr(metadata))
    arrays = {name: np.asarray(array) for name, array in metadata.items()}
    checkpoint = from_arrays("the metadata of the graph", arrays)
    if net is not None and net != checkpoint.net:
        raise wrong_argument("net", f"None or {checkpoint.net}, as in the graph", net)
    expected = checkpoint.state.weights
    for layer, weights in zip(layers, expected, strict=False):
        if not np.array_equal(layer.weights, weights.astype(np.float32)):
            raise _contradiction(f"node {layer.name!r} has other weights")
    fires = [layer.fires for layer in layers]
    if fires != [True] * (len(expected) - 1) + [False]:
        raise _contradiction(f"it has {len(layers)} layers, of which {sum(fires)} fire")
    return checkpoint


def _contradiction(reason: str) -> ValueError:
    return ValueError(
        f"the graph is no longer the one in its metadata, {reason}: without "
        f"metadata[{METADATA_KEY!r}] it is read like a graph of another tool"
    )


def _layers(graph: nir.NIRGraph) -> list[_Layer]:
    first, *between, last = _chain(graph)
    size = _size(first, graph.nodes[first].input_type)
    layers: list[_Layer] = []
    for name in between:
        node = graph.nodes[name]
        waits = bool(layers) and not layers[-1].fires
        if isinstance(node, nir.IF):
            if not waits:
                raise _refused(f"IF node {name!r} with no Linear before it")
            layers[-1] = _firing(layers[-1], name, node)
        else:
            if waits:
                raise _refused(f"node {name!r} with no IF between it and {layers[-1].name!r}")
            layers.append(_linear(name, node, size))
            size = layers[-1].weights.shape[1]
    if not layers:
        raise _refused("no Linear")
    if _size(last, graph.nodes[last].output_type) != size:
        raise _refused(f"Output node {last!r} of another shape than the {size} units before it")
    return layers


def _chain(graph: nir.NIRGraph) -> list[str]:
    """Return the names of the nodes from Input to Output."""
    for name, node in graph.nodes.items():
        if not isinstance(node, KINDS):
            raise _refused(f"node {name!r} of type {type(node).__name__}")
    followers: dict[str, str] = {}
    reached: set[str] = set()
    for source, target in graph.edges:
        for name in (source, target):
            if name not in graph.nodes:
                raise _refused(f"an edge of {name!r}, which is no node")
        if source in followers:
            raise _refused(f"node {source!r} with more than one edge from it")
        if target in reached or isinstance(graph.nodes[target], nir.Input):
            raise _refused(f"node {target!r} with more edges to it than a chain has")
        followers[source] = target
        reached.add(target)
    chain = list(graph.inputs)
    if len(chain) != 1:
        raise _refused(f"Input nodes {chain}")
    while chain[-1] in followers:
        chain.append(followers[chain[-1]])
    apart = [name for name in graph.nodes if name not in chain]
    if apart:
        raise _refused(f"node {apart[0]!r}, to which nothing leads from the Input")
    if not isinstance(graph.nodes[chain[-1]], nir.Output):
        raise _refused(f"node {chain[-1]!r} at the end, with no Output behind it")
    return chain


def _size(name: str, types: Mapping[str, Any]) -> int:
    shapes = [np.atleast_1d(np.asarray(shape)) for shape in types.values()]
    if len(shapes) != 1 or shapes[0].shape != (1,) or shapes[0].dtype.kind not in "iu":
        found = [shape.tolist() for shape in shapes]
        raise _refused(f"node {name!r} of shape {found}, not of one dimension")
    return int(shapes[0][0])


def _linear(name: str, node: nir.Linear | nir.Affine, n_inputs: int) -> _Layer:
    if isinstance(node, nir.Affine) and np.any(_numbers(name, "bias", node.bias)):
        raise _refused(f"Affine node {name!r} with a bias")
    weights = _numbers(name, "weight", node.weight)
    if weights.ndim != 2 or weights.shape[1] != n_inputs:
        raise _refused(f"weights of {name!r} of shape {weights.shape} behind {n_inputs} units")
    return _Layer(name, weights.T, fires=False)


def _firing(layer: _Layer, name: str, node: nir.IF) -> _Layer:
    shape = layer.weights.shape[1:]
    r, threshold, reset = (
        _numbers(name, field, getattr(node, field)) for field in ("r", "v_threshold", "v_reset")
    )
    # A parameter without dimensions, as Norse writes it, is that of all units.
    for values in (r, threshold, reset):
        if values.shape not in ((), shape):
            raise _refused(f"IF node {name!r} of shape {values.shape} behind {shape[0]} units")
    if not (np.all(r > 0) and np.all(threshold > 0) and np.all(threshold > reset)):
        raise _refused(f"IF node {name!r} whose r, v_threshold or cost of a spike is not positive")
    return layer._replace(weights=layer.weights * (r / (threshold - reset)), fires=True)


def _numbers(name: str, field: str, values: Any) -> NDArray[np.float64]:
    try:
        numbers = array_of(field, values, REALS_AND_BOOLEANS, "numbers").astype(np.float64)
    except (TypeError, ValueError):
        raise _refused(f"{field} of node {name!r} that is no array of numbers") from None
    if not np.all(np.isfinite(numbers)):
        raise _refused(f"{field} of node {name!r} that is not finite")
    return numbers


def _refused(came: str) -> ValueError:
    return wrong_argument("graph", ALLOWED, came)
