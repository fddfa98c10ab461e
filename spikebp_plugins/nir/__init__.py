r"""Networks as graphs of NIR, the Neuromorphic Intermediate Representation, and graphs as networks.

A network is written as ``Input -> Linear -> IF -> ... -> Linear -> Output``, with Conv2d and
AvgPool2d in place of a Linear where its connections are that, and a Flatten behind images. These
have the shape (channels, height, width) in NIR. NIR's integrate-and-fire units have

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
from typing import Final

import numpy as np

from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.common.archive import PathLike, in_one_line, unreadable, whole_file
from spikebp_plugins.common.errors import ArgumentError, wrong_argument
from spikebp_plugins.network.channels_first import image_size, is_image
from spikebp_plugins.network.checkpoint import Checkpoint, from_arrays, to_arrays
from spikebp_plugins.network.connections import DenseConnection, Shape, SparseConnection
from spikebp_plugins.network.definition import SpikingMLP, SpikingNetwork
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.matrix import as_matrix
from spikebp_plugins.network.state import initial_state

try:
    import h5py
    import nir

    from spikebp_plugins.common.hdf5 import arrays_in
    from spikebp_plugins.nir.reading import GraphContent, GraphLayer, read_graph
    from spikebp_plugins.nir.writing import losses, nodes_of
except ImportError as error:
    raise ImportError(
        'graphs of NIR need the package nir: pip install "spikebp-plugins[nir]"'
    ) from error

#: The entry of a graph's metadata that holds the checkpoint.
METADATA_KEY: Final = "spikebp_plugins"

DIFFERENT_UNITS: Final = (
    "spikes will not be those of the tool that the graph is from: there units start at 0 and are "
    "reset, here they start half a spike below their threshold and subtract it"
)


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
        (n_out, n_in) in single precision; the exact ones are in the metadata. Others are "conv_l",
        with weights of shape (c_out, c_in, k, k), "pool_l", and "flatten_l" before "linear_l".

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
        tool, the definition of the network; None takes ``SpikingMLP.paper(layer_sizes)``, or
        for images ``SpikingNetwork.paper(input_shape, layers, input_layout="channels_first")``.

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
        If the graph is from another tool and has IF nodes: the network's units fire otherwise. If
        the weight of a pool is rounded by more than 1 %.
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
    nodes = nodes_of(checkpoint)
    # NumPy's scalars, because nir cannot write arrays without dimensions.
    arrays = {name: array[()] for name, array in to_arrays(checkpoint).items()}
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={METADATA_KEY: arrays})
    warnings.warn(losses(checkpoint.net), ApproximationWarning, stacklevel=3)
    return graph


def _checkpoint(graph: nir.NIRGraph | PathLike, net: Definition | None) -> Checkpoint:
    if isinstance(graph, (str, os.PathLike)):
        read = _read(graph)
        with _named(graph):
            return _network(read, net)
    return _network(graph, net)


@contextmanager
def _named(path: PathLike) -> Iterator[None]:
    """Prefix errors about the graph in a file with its path."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        kinds = (ArgumentError, OverflowError, ValueError)
        kind = next(kind for kind in kinds if isinstance(error, kind))
        raise kind(f"{os.fspath(path)}: {in_one_line(error)}") from error


def _network(graph: nir.NIRGraph, net: Definition | None) -> Checkpoint:
    if not isinstance(graph, nir.NIRGraph):
        raise wrong_argument("graph", "a nir.NIRGraph or the path of one", repr(graph))
    if METADATA_KEY in graph.metadata:
        return _own(graph, net)
    read = read_graph(graph, net)
    net = _definition(read, net)
    checkpoint = Checkpoint(net, initial_state(net, [layer.weights for layer in read.layers]))
    if any(layer.fires for layer in read.layers):
        warnings.warn(DIFFERENT_UNITS, ApproximationWarning, stacklevel=4)
    return checkpoint


def _definition(read: GraphContent, net: Definition | None) -> Definition:
    """Return the definition of a network from another tool."""
    image, layers = read.image, [layer.layer for layer in read.layers]
    sizes = (image.size, *(layer.connection.n_above for layer in read.layers))
    connections = tuple(layer.connection for layer in read.layers)
    if net is None:
        if not is_image(image) and all(isinstance(c, DenseConnection) for c in connections):
            return SpikingMLP.paper(sizes)
        layout = "channels_first" if image.channels_first else "channels_last"
        return SpikingNetwork.paper(image.sizes, layers, input_layout=layout)
    if net.layer_sizes != sizes:
        raise wrong_argument("layer_sizes of net", f"{sizes}, as in the graph", net.layer_sizes)
    if net.connections != connections:
        raise wrong_argument("net", f"a network of the layers {layers}, as in the graph", net)
    if isinstance(net, SpikingNetwork) and is_image(image):
        given = Shape(net.input_shape)
        if is_image(given) and image_size(given) != image_size(image):
            raise wrong_argument(
                "input_shape of net", f"{image.sizes}, as in the graph", net.input_shape
            )
    return net


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


def _own(graph: nir.NIRGraph, net: Definition | None) -> Checkpoint:
    metadata = graph.metadata[METADATA_KEY]
    if not isinstance(metadata, Mapping):
        raise wrong_argument(f"metadata {METADATA_KEY!r}", "a mapping of arrays", repr(metadata))
    arrays = {name: np.asarray(array) for name, array in metadata.items()}
    checkpoint = from_arrays("the metadata of the graph", arrays)
    if net is not None and net != checkpoint.net:
        raise wrong_argument("net", f"None or {checkpoint.net}, as in the graph", net)
    _compare(read_graph(graph, checkpoint.net).layers, checkpoint)
    return checkpoint


def _compare(layers: list[GraphLayer], checkpoint: Checkpoint) -> None:
    """Raise an error unless the layers of a graph are those of the network in its metadata."""
    connections = checkpoint.net.connections
    for read, connection, weights in zip(
        layers, connections, checkpoint.state.weights, strict=False
    ):
        joined, expected = connection, weights.astype(np.float32)
        if isinstance(connection, SparseConnection):
            joined = DenseConnection(connection.n_below, connection.n_above)
            expected = as_matrix(connection, expected)
        if read.connection != joined or not np.array_equal(read.weights, expected):
            raise _contradiction(f"node {read.name!r} has other weights or connections")
    fires = [read.fires for read in layers]
    if fires != [True] * (len(connections) - 1) + [False]:
        raise _contradiction(f"it has {len(layers)} layers, of which {sum(fires)} fire")


def _contradiction(reason: str) -> ValueError:
    return ValueError(
        f"the graph is no longer the one in its metadata, {reason}: without "
        f"metadata[{METADATA_KEY!r}] it is read like a graph of another tool"
    )
