"""Checkpoints: what a network in the order of events has learned, as one small file.

A file is an npz of ``format_version`` (int64, 1), ``definition`` (uint8, the fields
as JSON with sorted keys), ``samples_seen`` (int64), and ``weights_l`` for l = 1..L and
``backward_potential_l`` for l = 1..L-1 in the type of the arithmetic.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.archive import (
    PathLike,
    check_version,
    read_archive,
    scalar,
    unreadable,
    write_archive,
)
from spikebp_plugins.common.errors import REALS, array_of, finite, wrong_argument
from spikebp_plugins.event_order.definition import EventMLP
from spikebp_plugins.network.arithmetic import out_of_range

FORMAT_VERSION: Final = 1
KIND: Final = "checkpoint in the order of events"

#: Potentials stay below it in magnitude, in both arithmetics.
LARGEST_POTENTIAL: Final = 2.0**23


class EventCheckpoint(NamedTuple):
    """A network and what it has learned, from which it can go on.

    Attributes
    ----------
    net : EventMLP
        The definition.
    weights : tuple of ndarray of shape (n_in, n_out)
        :math:`W_1` to :math:`W_L`, in the type of the arithmetic.
    backward_potentials : tuple of ndarray of shape (n_units,)
        Those of layers 1 to L - 1.
    samples_seen : int
        Training samples so far.
    """

    net: EventMLP
    weights: tuple[NDArray[Any], ...]
    backward_potentials: tuple[NDArray[Any], ...]
    samples_seen: int

    @classmethod
    def initial(cls, net: EventMLP, weights: Sequence[Any] | None = None) -> EventCheckpoint:
        """Return what a network begins with.

        Parameters
        ----------
        net : EventMLP
            The definition.
        weights : sequence of array-like of shape (n_in, n_out), or None, default=None
            Initial weights; None draws those of the definition.

        Raises
        ------
        ValueError
            If a matrix has the wrong shape or holds anything but finite real numbers.
        OverflowError
            If a weight is out of range.
        """
        given = net.init_weights() if weights is None else list(weights)
        shapes = [np.shape(matrix) for matrix in given]
        if shapes != list(net.weight_shapes):
            allowed = f"matrices of shapes {list(net.weight_shapes)}"
            raise wrong_argument("weights", allowed, repr(shapes))
        matrices = tuple(_weights(net, l, matrix) for l, matrix in enumerate(given, 1))
        potentials = tuple(np.zeros(n, net.arithmetic) for n in net.layer_sizes[1:-1])
        return cls(net, matrices, potentials, 0)

    def save(self, path: PathLike) -> None:
        """Write the checkpoint, whole or not at all."""
        definition = json.dumps(self.net.to_dict(), sort_keys=True).encode()
        arrays: dict[str, NDArray[Any]] = {
            "format_version": np.array(FORMAT_VERSION, np.int64),
            "definition": np.frombuffer(definition, np.uint8),
            "samples_seen": np.array(self.samples_seen, np.int64),
        }
        learned = (*self.weights, *self.backward_potentials)
        write_archive(path, arrays | dict(zip(_shapes(self.net), learned, strict=True)))

    @classmethod
    def load(cls, path: PathLike) -> EventCheckpoint:
        """Read a checkpoint.

        Raises
        ------
        ValueError
            If the file is no checkpoint of this kind, damaged, or of a newer format.
        """
        arrays = read_archive(path, KIND)
        if not {"format_version", "definition", "samples_seen"} <= arrays.keys():
            raise unreadable(path, KIND, "it holds no definition of a network")
        check_version(path, KIND, "format_version", arrays["format_version"], FORMAT_VERSION)
        try:
            net = EventMLP.from_dict(json.loads(arrays["definition"].tobytes()))
        except (ValueError, RecursionError) as error:
            raise unreadable(path, KIND, error) from error
        seen, n, learned = scalar(arrays["samples_seen"]), net.n_layers, []
        if seen is None or seen < 0:
            raise unreadable(path, KIND, "samples_seen must be a number that is not negative")
        for name, shape in _shapes(net).items():
            array = arrays.get(name)
            limit = net.limit if name.startswith("weights") else LARGEST_POTENTIAL
            if array is None or array.shape != shape or array.dtype != net.arithmetic:
                raise unreadable(path, KIND, f"{name} must be {net.arithmetic} of shape {shape}")
            if not np.all(np.abs(array) < limit):
                raise unreadable(path, KIND, f"{name} must stay below {limit:.6g} in magnitude")
            learned.append(array)
        return cls(net, tuple(learned[:n]), tuple(learned[n:]), seen)


def _shapes(net: EventMLP) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what is learned, by the names that it has in a file."""
    weights = {f"weights_{l}": shape for l, shape in enumerate(net.weight_shapes, 1)}
    hidden = enumerate(net.layer_sizes[1:-1], 1)
    return weights | {f"backward_potential_{l}": (size,) for l, size in hidden}


def _weights(net: EventMLP, l: int, given: Any) -> NDArray[Any]:
    """Return weights in the type of the arithmetic."""
    name, allowed = f"weights of layer {l}", "finite real numbers"
    array = finite(name, array_of(name, given, REALS, allowed), allowed)
    with np.errstate(over="ignore"):
        rounded = array.astype(net.arithmetic)
    largest = float(np.abs(rounded).max())
    if not largest < net.limit:
        raise out_of_range("weight", l, net.limit, largest)
    return rounded
