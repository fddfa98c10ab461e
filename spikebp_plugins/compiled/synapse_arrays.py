"""How the weights of each kind of connection lie in the flat arrays of the kernels."""

from __future__ import annotations

from typing import Any, Final

from numpy.typing import NDArray

from spikebp_plugins.compiled.kernels.vectors import whole_vectors
from spikebp_plugins.network.connections import Connection, DenseConnection

Array = NDArray[Any]


class DenseArrays:
    """W and B as flat arrays of rows, each filled up with zeros to a whole number of vectors.

    Parameters
    ----------
    connection : DenseConnection
        The connection.
    lanes : int
        How many numbers a vector has.
    """

    def __init__(self, connection: DenseConnection, lanes: int) -> None:
        self._below, self._above = connection.n_below, connection.n_above
        #: The lengths of the flat arrays of W and of B.
        self.n_weights = self._below * whole_vectors(self._above, lanes)
        self.n_backward = self._above * whole_vectors(self._below, lanes)

    def weights(self, flat: Array) -> Array:
        """Return the view of shape (n_below, n_above) of the flat array of W."""
        return flat.reshape(self._below, -1)[:, : self._above]

    def backward(self, flat: Array) -> Array:
        """Return the view of shape (n_above, n_below) of the flat array of B."""
        return flat.reshape(self._above, -1)[:, : self._below]


#: The class that lays out each kind of connection.
KINDS: Final[dict[type[Connection], Any]] = {DenseConnection: DenseArrays}
