"""The rows of all connections of a network, as kernels read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    wirings = [layout.wiring() for layout in synapses]
    above, below = unit[1:-1], unit[:-2]
    fan_out, fan_in = zip(*map(_synapses_of_units, connections), strict=True)

    def of_layers(values: Iterable[Any], dtype: Any = np.int64) -> Array:
        return np.array([0, *values], dtype)

    return Rows(
        learns=of_layers((c.constant_weight is None for c in connections), np.bool_),
        uses=of_layers((c.most_uses for c in connections), np.float64),
        times_met=_placed(unit[-1], below, [c.times_met for c in connections]),
        up=_fan(unit[-1], below, [w.up for w in wirings], fan_out),
        down=_fan(unit[-1], above, [w.down for w in wirings], fan_in),
        runs=_runs(unit[-1], below, above, wirings),
        column=_placed(unit[-1], above, [w.column for w in wirings]),
        taps=of_layers(w.taps for w in wirings),
        channels=of_layers(w.channels[0] for w in wirings),
        channels_above=of_layers(w.channels[1] for w in wirings),
    )


def _synapses_of_units(connection: Connection) -> tuple[Array, Array]:
    """Return the synapses of each unit below, and of each unit above."""
    if isinstance(connection, SynapseList):
        return connection.fan_out_of_units, connection.fan_in_of_units
    n_below, n_above = connection.n_below, connection.n_above
    return np.full(n_below, n_above), np.full(n_above, n_below)


def _placed(n: int, first: Array, parts: Sequence[Any]) -> Array:
    """Return an array of all units, with what is given for each layer."""
    values = np.zeros(n, np.int64)
    for start, part in zip(first, parts, strict=True):
        values[start : start + len(part)] = part
    return values


def _in_one_list(parts: Sequence[Any], sizes: Sequence[int]) -> tuple[list[Any], Any]:
    """Return parts that are listed one behind the other, and a function that lists a field."""
    starts = accumulate(sizes[:-1], initial=0)
    shifted = [
        part._replace(first=part.first + start, last=part.last + start)
        for part, start in zip(parts, starts, strict=True)
    ]

    def listed(name: str) -> Array:
        values: Array = np.concatenate([getattr(part, name) for part in parts])
        return values

    return shifted, listed


def _fan(n: int, first: Array, lines: Sequence[Lines], n_synapses: Sequence[Array]) -> Fan:
    """Return the rows of all layers in one direction, one layer behind the other."""
    shifted, listed = _in_one_list(lines, [len(one.target) for one in lines])

    def of_units(name: str) -> Array:
        return _placed(n, first, [getattr(one, name) for one in shifted])

    return Fan(
        first=of_units("first"),
        last=of_units("last"),
        offset=of_units("offset"),
        n_synapses=_placed(n, first, n_synapses),
        target=listed("target"),
        place=listed("place"),
        length=np.array([0, *(one.length for one in lines)], np.int64),
    )


def _runs(n: int, below: Array, above: Array, wirings: Sequence[Wiring]) -> Runs:
    """Return the runs of all layers, one layer behind the other."""
    of_layers = [w.runs for w in wirings]
    shifted, listed = _in_one_list(of_layers, [len(runs.start) for runs in of_layers])

    def of_units(name: str) -> Array:
        return _placed(n, above, [getattr(runs, name) for runs in shifted])

    def of_all(values: Iterable[Any]) -> Array:
        return np.array([0, *values], np.int64)

    n_runs = of_all(len(runs.start) for runs in of_layers)
    n_pairs = of_all(runs.size.sum() for runs in of_layers)
    n_below = of_all(above - below)
    return Runs(
        by_place=np.array([False, *(w.by_place for w in wirings)]),
        first=of_units("first"),
        last=of_units("last"),
        start=listed("start"),
        size=listed("size"),
        weight=listed("weight"),
        apart=of_all(runs.apart for runs in of_layers),
        # With so many active units below, a run has UNITS_OF_RUN of them on average.
        many=-(-UNITS_OF_RUN * n_runs * n_below // np.maximum(n_pairs, 1)),
        n_places=of_all(len(w.column) // w.channels[1] for w in wirings),
        n_runs=n_runs,
        n_pairs=n_pairs,
    )
