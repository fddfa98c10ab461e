"""The layout of the weights of connections in the engine, and the rows of weights of each unit.

Rows are multiples of PADDING numbers, filled up with zeros.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.engine.structs import CFan, CWiring
from spikebp_plugins.network.connections import (
    AveragePooling,
    Connection,
    Convolution,
    DenseConnection,
    SparseConnection,
    SynapseList,
)
from spikebp_plugins.network.fields import Definition

Array = NDArray[Any]

#: Numbers in a row are a multiple of this, whatever the processor.
PADDING: Final = 16


def padded(n: int) -> int:
    """Return the length of a row of n numbers."""
    return -n % PADDING + n


class Fan(NamedTuple):
    """The rows through which the units of a layer send, as ``struct fan`` has them.

    Attributes
    ----------
    first, last : ndarray of shape (n_units,)
        The first row of each unit in the lists below, and the row behind its last.
    offset : ndarray of shape (n_units,)
        The offset of the unit's channel, which is added to `begin`.
    n_synapses : ndarray of shape (n_units,)
        The synapses of each unit.
    target, begin : ndarray of shape (n_rows,)
        The unit that receives the first weight of a row, and where the row begins for channel 0.
    length : int
        The number of weights in a row.
    """

    first: Array
    last: Array
    offset: Array
    n_synapses: Array
    target: Array
    begin: Array
    length: int


class DenseLayout:
    """W and B by rows.

    Parameters
    ----------
    connection : DenseConnection
        The connection.
    """

    def __init__(self, connection: DenseConnection) -> None:
        self._below, self._above = connection.n_below, connection.n_above
        #: The numbers of W and of B.
        self.n_weights = self._below * padded(self._above)
        self.n_backward = self._above * padded(self._below)

    def weights(self, flat: Array) -> Array:
        """Return the view of shape (n_below, n_above) of the flat array of W."""
        return flat.reshape(self._below, -1)[:, : self._above]

    def backward(self, flat: Array) -> Array:
        """Return the view of shape (n_above, n_below) of the flat array of B."""
        return flat.reshape(self._above, -1)[:, : self._below]


class ConvolutionLayout:
    """W by kernel offset and channel below, B by kernel offset and channel above, each in rows.

    Parameters
    ----------
    connection : Convolution
        The connection.
    """

    def __init__(self, connection: Convolution) -> None:
        self._connection = connection
        self._shape = connection.weight_shape
        *_, self._below, self._above = self._shape
        self._up, self._down = padded(self._above), padded(self._below)
        self._offsets = self._shape[0] * self._shape[1]
        #: The numbers of W and of B.
        self.n_weights = self._offsets * self._below * self._up
        self.n_backward = self._offsets * self._above * self._down

    def weights(self, flat: Array) -> Array:
        """Return the view of shape (k, k, c_in, c_out) of the flat array of W."""
        return flat.reshape(*self._shape[:3], -1)[..., : self._above]

    def backward(self, flat: Array) -> Array:
        """Return the view of shape (k, k, c_in, c_out) of the flat array of B."""
        return flat.reshape(*self._shape[:2], self._above, -1)[..., : self._below].swapaxes(2, 3)

    def wiring(self, has_random_feedback: bool) -> CWiring:
        """Return the connection as the engine has it."""
        connection, below, above = self._connection, self._below, self._above
        units = connection.below.pixels("Conv2D").reshape(-1, below)
        # The pixel of each unit below, and the pixels below each output pixel.
        pixel, channel = np.empty((2, connection.n_below), np.int32)
        pixel[units], channel[units] = np.ogrid[: len(units), :below]
        exists = connection.patches >= 0
        output_pixel, offset = map(as_int32, np.nonzero(exists))
        pixel_below = connection.patches[exists]
        units_above = np.arange(connection.n_above, dtype=np.int32)
        down = _fan(
            output_pixel,
            units_above // above,
            units_above % above * self._down,
            connection.fan_in_of_units,
            units[pixel_below, 0],
            offset * (above * self._down),
            self._down,
        )
        order = np.argsort(pixel_below, kind="stable")
        up = _fan(
            pixel_below[order],
            pixel,
            channel * self._up,
            connection.fan_out_of_units,
            output_pixel[order] * above,
            offset[order] * (below * self._up),
            self._up,
        )
        wiring = _wiring(self, connection, up, down, self.n_backward)
        wiring.is_kernel, wiring.channels_below, wiring.channels = True, below, above
        return wiring


class ListLayout:
    """W and B as lists of weights, in the order of the connection.

    Parameters
    ----------
    connection : SynapseList
        The connection.
    """

    def __init__(self, connection: SynapseList) -> None:
        self._connection = connection
        self._n_learned = int(np.prod(connection.weight_shape))
        #: The numbers of W and of B, among them a constant weight.
        self.n_weights = self.n_backward = padded(max(self._n_learned, 1))

    def weights(self, flat: Array) -> Array:
        """Return the view of the weights that learn."""
        return flat[: self._n_learned]

    def backward(self, flat: Array) -> Array:
        """Return the view of the backward weights of the weights that learn."""
        return flat[: self._n_learned]

    def wiring(self, has_random_feedback: bool) -> CWiring:
        """Return the connection as the engine has it, in which B may be W."""
        connection = self._connection
        i, j, w = map(as_int32, connection.listed())
        below, above = map(as_int32, map(np.arange, (connection.n_below, connection.n_above)))
        order = np.argsort(j, kind="stable")
        fan_in, fan_out = connection.fan_in_of_units, connection.fan_out_of_units
        up = _fan(i, below, 0 * below, fan_out, j, w, 1)
        down = _fan(j[order], above, 0 * above, fan_in, i[order], w[order], 1)
        has_own = has_random_feedback and connection.constant_weight is None
        return _wiring(self, connection, up, down, self.n_backward if has_own else 0)


def _fan(
    sender: Array,
    sender_of: Array,
    offset: Array,
    n_synapses: Array,
    target: Array,
    begin: Array,
    length: int,
) -> Fan:
    """Return rows that are sorted by their senders, given the sender of each row and each unit."""
    first, last = (
        as_int32(np.searchsorted(sender, sender_of, side=side)) for side in ("left", "right")
    )
    return Fan(first, last, offset, n_synapses, target, begin, length)


def _wiring(layout: Any, connection: SynapseList, up: Fan, down: Fan, n_backward: int) -> CWiring:
    check_int32(max(layout.n_weights, n_backward))  # so no product of indices has wrapped
    held: list[Array] = []

    def at(values: Array) -> int:
        held.append(as_int32(values))
        return int(held[-1].ctypes.data)

    def fan(of: Fan) -> CFan:
        return CFan(*(at(values) for values in of[:-1]), of.length)

    wiring = CWiring(
        up=fan(up),
        down=fan(down),
        times_met=at(connection.times_met),
        n_weights=layout.n_weights,
        n_backward=n_backward,
        most_uses=connection.most_uses,
        learns=connection.constant_weight is None,
    )
    wiring.held = held  # as long as the engine reads them
    return wiring


def as_int32(values: Array) -> Array:
    """Return indices as int32, the type of indices in the engine.

    Raises
    ------
    OverflowError
        If an index does not fit.
    """
    check_int32(values.max(initial=0))
    return np.ascontiguousarray(values, np.int32)


def check_int32(highest: int) -> None:
    """Refuse an index, or a number of weights, that int32 does not hold."""
    if highest > np.iinfo(np.int32).max:
        raise OverflowError("a connection must have fewer than 2**31 weights and synapses")


#: The class that lays out each kind of connection.
KINDS: Final[dict[type[Connection], Any]] = {
    DenseConnection: DenseLayout,
    Convolution: ConvolutionLayout,
    SparseConnection: ListLayout,
    AveragePooling: ListLayout,
}


class Connections:
    """The connections of a definition as structs of the engine, shared by all of its networks.

    Parameters
    ----------
    net : Definition
        The definition.

    Attributes
    ----------
    layouts : list
        The layout of each connection's weights.
    address : int or None
        The address of their structs; None if all are dense.
    """

    def __init__(self, net: Definition) -> None:
        self.layouts: list[Any] = [KINDS[type(one)](one) for one in net.connections]
        self.address: int | None = None
        if not net.is_dense:
            wirings = [
                CWiring()
                if isinstance(layout, DenseLayout)
                else layout.wiring(net.feedback == "random")
                for layout in self.layouts
            ]
            # Both are kept: the array has copies of structs, which hold what they point to.
            self._held = (CWiring * len(wirings))(*wirings), wirings
            self.address = ctypes.addressof(self._held[0])
