"""How the weights of each kind of connection lie in the flat arrays of the kernels."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.kernels.vectors import whole_vectors
from spikebp_plugins.network.connections import (
    AveragePooling,
    Connection,
    Convolution,
    DenseConnection,
    SparseConnection,
    SynapseList,
)

Array = NDArray[Any]


class Lines(NamedTuple):
    """The rows through which the units of one layer send, in one direction.

    Attributes
    ----------
    first, last : ndarray of shape (n_units,), int64
        The rows of each unit in the lists that follow.
    offset : ndarray of shape (n_units,), int64
        What its channel adds to the places of these rows.
    target, place : ndarray of shape (n_rows,), int64
        The unit that receives the first weight of a row, and where the row begins for channel 0.
    length : int
        The weights of a row.
    """

    first: Array
    last: Array
    offset: Array
    target: Array
    place: Array
    length: int


class RunsOfUnits(NamedTuple):
    """The runs of units side by side from which the units of one layer receive.

    Attributes
    ----------
    first, last : ndarray of shape (n_units,), int64
        The runs of each unit above in the lists that follow.
    start, size : ndarray of shape (n_runs,), int64
        The first unit below, and how many there are.
    weight : ndarray of shape (n_runs,), int64
        The index in W of the weight for this first unit and channel 0 above.
    apart : int
        How much further on the weight for the next unit is.
    """

    first: Array
    last: Array
    start: Array
    size: Array
    weight: Array
    apart: int


class Wiring(NamedTuple):
    """The synapses of one connection, and its weights in their order: by tap, then by channels.

    Attributes
    ----------
    up, down : Lines
        The rows through which spikes and errors are sent.
    runs : RunsOfUnits
        The runs of units that share weights with those of other places.
    by_place : bool
        Whether the units above lie place by place, each with one unit for each channel.
    column : ndarray of shape (n_above,), int64
        The channel of each unit above.
    channels : tuple of int
        Channels below and above.
    taps : int
        Weights for each pair of channels.
    """

    up: Lines
    down: Lines
    runs: RunsOfUnits
    by_place: bool
    column: Array
    channels: tuple[int, int]
    taps: int


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

    def wiring(self) -> Wiring:
        """Return the rows: all units above are one place, and all units below one run."""
        below, above = np.arange(self._below), np.arange(self._above)
        up, down = self.n_weights // self._below, self.n_backward // self._above
        one = np.zeros(1, np.int64)
        return Wiring(
            up=Lines(0 * below, 0 * below + 1, below * up, one, one, up),
            down=Lines(0 * above, 0 * above + 1, above * down, one, one, down),
            runs=RunsOfUnits(0 * above, 0 * above + 1, one, one + self._below, one, up),
            by_place=True,
            column=above,
            channels=(self._below, self._above),
            taps=1,
        )


class ConvolutionArrays:
    """W by tap and channel below, B by tap and channel above, each a row of channels.

    Rows are filled up with zeros to a whole number of vectors.

    Parameters
    ----------
    connection : Convolution
        The connection.
    lanes : int
        How many numbers a vector has.
    """

    def __init__(self, connection: Convolution, lanes: int) -> None:
        self._connection = connection
        self._shape = connection.weight_shape
        *_, self._below, self._above = self._shape
        self._up, self._down = whole_vectors(self._above, lanes), whole_vectors(self._below, lanes)
        self._taps = self._shape[0] * self._shape[1]
        #: The lengths of the flat arrays of W and of B.
        self.n_weights = self._taps * self._below * self._up
        self.n_backward = self._taps * self._above * self._down

    def weights(self, flat: Array) -> Array:
        """Return the view of shape (k, k, c_in, c_out) of the flat array of W."""
        return flat.reshape(*self._shape[:3], -1)[..., : self._above]

    def backward(self, flat: Array) -> Array:
        """Return the view of shape (k, k, c_in, c_out) of the flat array of B."""
        return flat.reshape(*self._shape[:2], self._above, -1)[..., : self._below].swapaxes(2, 3)

    def wiring(self) -> Wiring:
        """Return the rows."""
        connection, below, above = self._connection, self._below, self._above
        pixels = connection.below.pixels("Conv2D").reshape(-1, below)
        # The pixel of each unit, and the pixels on which each place of the kernel lies.
        pixel, channel = np.empty((2, connection.n_below), np.int64)
        pixel[pixels], channel[pixels] = np.ogrid[: len(pixels), :below]
        of_place = connection.patches[:, ::below]
        exists = of_place >= 0
        place, tap = np.nonzero(exists)
        first_unit = of_place[exists]
        down = _lines(
            place,
            np.arange(connection.n_above) // above,
            np.arange(connection.n_above) % above * self._down,
            first_unit,
            tap * (above * self._down),
            self._down,
        )
        order = np.argsort(pixel[first_unit], kind="stable")
        up = _lines(
            pixel[first_unit][order],
            pixel,
            channel * self._up,
            place[order] * above,
            tap[order] * (below * self._up),
            self._up,
        )
        return Wiring(
            up=up,
            down=down,
            runs=self._runs(channels_last=below == 1 or pixels[0, 1] == pixels[0, 0] + 1),
            by_place=True,
            column=np.arange(connection.n_above) % above,
            channels=(below, above),
            taps=self._taps,
        )

    def _runs(self, channels_last: bool) -> RunsOfUnits:
        # Of neighbours in a row of pixels, all channels lie side by side, or those of each channel.
        connection, (k, *_) = self._connection, self._shape
        order: Array = np.arange(self._taps * self._below).reshape(k, k, self._below)
        apart = self._up
        if not channels_last:
            order, apart = order.swapaxes(1, 2), self._below * self._up
        units = connection.patches[:, order.reshape(k, -1)]
        begins = units >= 0
        length = k * self._below if channels_last else k
        behind = np.arange(units.shape[2]) % length > 0
        begins[..., 1:] &= ~(behind[1:] & (units[..., :-1] >= 0))
        place, *at = np.nonzero(begins)
        start = units[begins]
        # Each of these runs goes on to the next, or to padding.
        size = np.bincount(np.cumsum(begins[units >= 0]) - 1)
        first, last = (
            np.searchsorted(place, np.arange(connection.n_above) // self._above, side=side)
            for side in ("left", "right")
        )
        weights = order.reshape(k, -1)[tuple(at)] * self._up
        return RunsOfUnits(first, last, start, size, weights, apart)


class ListArrays:
    """W and B as lists of weights, in the order of the connection.

    Parameters
    ----------
    connection : SynapseList
        The connection.
    lanes : int
        How many numbers a vector has, of which these kinds have none.
    """

    def __init__(self, connection: SynapseList, lanes: int) -> None:
        self._connection = connection
        self._n_learned = int(np.prod(connection.weight_shape))
        #: The lengths of the flat arrays of W and of B: a constant weight takes a place too.
        self.n_weights = self.n_backward = max(self._n_learned, 1)

    def weights(self, flat: Array) -> Array:
        """Return the view of the weights that learn."""
        return flat[: self._n_learned]

    def backward(self, flat: Array) -> Array:
        """Return the view of the backward weights of those."""
        return flat[: self._n_learned]

    def wiring(self) -> Wiring:
        """Return the rows, of one weight each."""
        connection, (i, j, w) = self._connection, self._connection.synapses
        below, above = np.arange(connection.n_below), np.arange(connection.n_above)
        order = np.argsort(j, kind="stable")
        down = _lines(j[order], above, np.zeros_like(above), i[order], w[order], 1)
        return Wiring(
            up=_lines(i, below, np.zeros_like(below), j, w, 1),
            down=down,
            runs=RunsOfUnits(
                down.first, down.last, down.target, np.ones_like(w), down.place, apart=0
            ),
            by_place=False,
            column=np.zeros_like(above),
            channels=(1, 1),
            taps=self.n_weights,
        )


def _lines(
    sender: Array, sender_of: Array, offset: Array, target: Array, place: Array, length: int
) -> Lines:
    """Return rows that are sorted by their senders, given the sender of each row and each unit."""
    first, last = (np.searchsorted(sender, sender_of, side=side) for side in ("left", "right"))
    return Lines(first, last, offset, target, place, length)


#: The class that lays out each kind of connection.
KINDS: Final[dict[type[Connection], Any]] = {
    DenseConnection: DenseArrays,
    Convolution: ConvolutionArrays,
    SparseConnection: ListArrays,
    AveragePooling: ListArrays,
}
