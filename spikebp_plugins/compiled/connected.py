"""The rows of all connections of a network, as kernels read them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.compiled.kernels.rows import Fan, Rows
from spikebp_plugins.compiled.kernels.runs import UNITS_OF_RUN, Runs
from spikebp_plugins.compiled.synapse_arrays import Lines, Wiring
from spikebp_plugins.network.connections import Connection, SynapseList

Array = NDArray[Any]


def make_rows(connections: Sequence[Connection], synapses: Sequence[Any], unit: Array) -> Rows:
    """Return the rows of the connections that lead to layers 1 to L.

    Parameters
    ----------
    connections : sequence of Connection
        The connections.
    synapses : sequence
        How each of them is laid out.
    unit : ndarray of shape (L + 2,)
        Where the units of each layer begin in arrays of all units.
    """
    wirings: list[Wiring | None] = [
        layout.wiring() if isinstance(connection, SynapseList) else None
        for connection, layout in zip(connections, synapses, strict=True)
    ]
    above, below = unit[1:-1], unit[:-2]
    fan_out, fan_in = zip(*map(_synapses_of_units, connections), strict=True)

    def of_layers(values: Sequence[Any], dtype: Any = np.int64) -> Array:
        return np.array([0, *values], dtype)

    def of_wirings(otherwise: int, read: Any) -> Array:
        return of_layers([otherwise if w is None else read(w) for w in wirings])

    return Rows(
        is_dense=of_layers([w is None for w in wirings], np.bool_),
        learns=of_layers([c.constant_weight is None for c in connections], np.bool_),
        uses=of_layers([c.most_uses for c in connections], np.float64),
        times_met=_placed(unit[-1], below, [c.times_met for c in connections]),
        up=_fan(unit[-1], below, [w and w.up for w in wirings], fan_out),
        down=_fan(unit[-1], above, [w and w.down for w in wirings], fan_in),
        runs=_runs(unit[-1], below, above, wirings),
        column=_placed(unit[-1], above, [w and w.column for w in wirings]),
        taps=of_wirings(0, lambda w: w.taps),
        channels=of_wirings(0, lambda w: w.channels[0]),
        channels_above=of_wirings(0, lambda w: w.channels[1]),
    )


_NONE = np.zeros(0, np.int64)


def _synapses_of_units(connection: Connection) -> tuple[Array, Array]:
    """Return the synapses of each unit below, and of each unit above."""
    if isinstance(connection, SynapseList):
        return connection.fan_out_of_units, connection.fan_in_of_units
    n_below, n_above = connection.n_below, connection.n_above
    return np.full(n_below, n_above), np.full(n_above, n_below)


def _placed(n: int, first: Array, parts: Sequence[Any]) -> Array:
    """Return an array of all units, with what is given for each layer; None gives zeros."""
    values = np.zeros(n, np.int64)
    for start, part in zip(first, parts, strict=True):
        if part is not None:
            values[start : start + len(part)] = part
    return values


def _in_one_list(parts: Sequence[Any], length: Any) -> tuple[list[Any], Any]:
    """Return parts that are listed one behind the other, and a function that lists a field."""
    sizes = [0 if part is None else len(length(part)) for part in parts]
    starts = list(accumulate(sizes, initial=0))[:-1]
    shifted = [
        None if part is None else part._replace(first=part.first + start, last=part.last + start)
        for part, start in zip(parts, starts, strict=True)
    ]

    def listed(name: str) -> Array:
        of_parts = [getattr(part, name) for part in parts if part is not None]
        values: Array = np.concatenate([_NONE, *of_parts])
        return values

    return shifted, listed


def _fan(n: int, first: Array, lines: Sequence[Lines | None], n_synapses: Sequence[Array]) -> Fan:
    """Return the rows of all layers in one direction, one layer behind the other."""
    shifted, listed = _in_one_list(lines, lambda one: one.target)

    def of_units(name: str) -> Array:
        return _placed(n, first, [one and getattr(one, name) for one in shifted])

    return Fan(
        first=of_units("first"),
        last=of_units("last"),
        offset=of_units("offset"),
        n_synapses=_placed(n, first, n_synapses),
        target=listed("target"),
        place=listed("place"),
        length=np.array([0, *(0 if one is None else one.length for one in lines)], np.int64),
    )


def _runs(n: int, below: Array, above: Array, wirings: Sequence[Wiring | None]) -> Runs:
    """Return the runs of all layers, one layer behind the other."""
    of_layers = [w and w.runs for w in wirings]
    shifted, listed = _in_one_list(of_layers, lambda runs: runs.start)
    # Of all units below, so many are active where a run has UNITS_OF_RUN active ones on average.
    n_below = above - below
    many = [
        0 if runs is None else -(-UNITS_OF_RUN * units * len(runs.size) // max(runs.size.sum(), 1))
        for runs, units in zip(of_layers, n_below.tolist(), strict=True)
    ]

    def of_all(read: Any) -> Array:
        return np.array([0, *(0 if w is None else read(w) for w in wirings)], np.int64)

    return Runs(
        by_place=np.array([False, *(w is not None and w.by_place for w in wirings)]),
        first=_placed(n, above, [runs and runs.first for runs in shifted]),
        last=_placed(n, above, [runs and runs.last for runs in shifted]),
        start=listed("start"),
        size=listed("size"),
        place=listed("place"),
        apart=of_all(lambda w: w.runs.apart),
        many=np.array([0, *many], np.int64),
        n_places=of_all(lambda w: len(w.column) // w.channels[1]),
        n_runs=of_all(lambda w: len(w.runs.start)),
        n_pairs=of_all(lambda w: w.runs.size.sum()),
    )
