r"""Samples of the past that a network learns again, so that it does not forget them.

Sample i, counted from 0, is learned; then r samples that are kept are learned again; then it is
kept itself or not. A buffer of capacity c keeps each of the samples so far with the same
probability (algorithm R of A. Waterman, in J. S. Vitter, "Random sampling with a reservoir", ACM
Transactions on Mathematical Software 11, 1985): the first c are kept, and sample i then takes

.. math:: \mathrm{slot}_i = u_{i,0} \bmod (i + 1)

if it is below c. The samples in these slots are learned again:

.. math:: u_{i,k} \bmod \min(i, c), \qquad k = 1, \dots, r.

Each number :math:`u_{i,k}` of 64 bits is that at the position i (1 + r) + k in a stream of
SplitMix64 that follows from the seed. So it depends on nothing but the seed and the number of
samples before, however these were divided among calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.common.synchronized import synchronized
from spikebp_plugins.network.draws import draw_key, numbers_of
from spikebp_plugins.network.fields import LARGEST_SEED, Definition
from spikebp_plugins.network.samples import check_batch, is_by_step, real_array, real_targets
from spikebp_plugins.network.sparse_rows import (
    RowsApart,
    SparseRows,
    is_sparse,
    rows_of_array,
    rows_of_matrix,
)

Array = NDArray[Any]

#: Samples or targets, as a buffer keeps them.
Kept = TypeVar("Kept", Array, RowsApart)

#: The most samples that a buffer may hold, or have seen: with 64 bits all of them can be numbered.
MOST_SAMPLES: Final = 2**48
#: The most samples that are learned again for each new one.
MOST_REPLAYED: Final = 1000
#: Memory for so many samples is allocated at first; it grows with the samples.
FIRST_ROOM: Final = 16


@dataclass(frozen=True, eq=False)
class Mixture:
    """New samples, each followed by those that are learned again.

    Attributes
    ----------
    x : ndarray of shape (n_mixed, ...), or sparse
        Samples in the order in which to learn them. Those of a buffer of lists are a sparse matrix
        of SciPy, or `SparseRows` where a back end learns.
    y : ndarray of shape (n_mixed, ...)
        Their targets.
    is_new : ndarray of shape (n_mixed,), bool
        Which of them are new.
    first : int
        The number of samples that the buffer had seen before.
    slots : ndarray of shape (n_new,), int64
        The slot in which the buffer keeps each new sample; -1 if it does not keep it.
    """

    x: Any
    y: Array
    is_new: NDArray[np.bool_]
    first: int
    slots: NDArray[np.int64]


class _BufferState(NamedTuple):
    """The content of a buffer: memory for samples and targets, and the number of samples seen."""

    x: Array | RowsApart | None
    y: Array | None
    n_seen: int


class ReplayBuffer:
    """Samples of the past that a network learns again, so that it does not forget them.

    It keeps up to `capacity` samples, each of those so far with the same probability (reservoir
    sampling), and hands some of them out after each new one. All draws follow from the seed and
    from how many samples came before: learned in one call or in many, over files and on any back
    end, a network learns the same integers.

    Samples and targets are kept in the type in which they come: 8-bit pixels take a byte each. Rows
    of a sparse matrix, and events of a stream, are kept as lists of their entries, and take no
    memory for what is zero. The first sample decides on the type for all, and whether they are
    lists. Input that stays the same is kept once, until samples come whose input changes from step
    to step; and so are labels until real targets come.

    Hand it to ``Simulator.train`` or ``Simulator.stream``, and save it with
    ``Simulator.save(path, replay=buffer)``. A network of another kind learns from a `mix`.
    Threads may share a buffer: calls wait for each other. Copies and pickles are buffers of their
    own that go on from here.

    Parameters
    ----------
    capacity : int
        The most samples that it keeps.
    n_replayed : int, default=1
        The number of samples that are learned again for each new one, drawn with replacement.
    seed : int, default=0
        Seed of all draws.

    Examples
    --------
    >>> import numpy as np
    >>> buffer = ReplayBuffer(3)
    >>> with Simulator(SpikingMLP((4, 8, 2), seed=1), backend="reference") as sim:
    ...     scores = sim.train(np.eye(4), [0, 1, 0, 1], replay=buffer)
    ...     sim.samples_seen  # four new ones, and one more for each but the first
    7
    >>> len(buffer), buffer.n_seen, scores.shape
    (3, 4, (4, 2))
    """

    def __init__(self, capacity: int, *, n_replayed: int = 1, seed: int = 0) -> None:
        settings = {
            "capacity": integer("capacity", capacity, 1, MOST_SAMPLES),
            "n_replayed": integer("n_replayed", n_replayed, 1, MOST_REPLAYED),
            "seed": integer("seed", seed, 0, LARGEST_SEED),
        }
        self.__setstate__(settings | {"x": None, "y": None, "n_seen": 0})

    @synchronized
    def __getstate__(self) -> dict[str, Any]:
        names = ("capacity", "n_replayed", "seed", "x", "y", "n_seen")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._capacity: int = state["capacity"]
        self._n_replayed: int = state["n_replayed"]
        self._seed: int = state["seed"]
        self._lock, self._key = RLock(), draw_key(self._seed)
        x = None if state["x"] is None else _as_kept(_rows_of(state["x"]), None)
        self._kept = _BufferState(x, state["y"], state["n_seen"])
        #: The mixture that is being learned; the samples kept before, in the same form; a function
        #: that counts the samples that a network has learned, and its first value.
        self._pending: tuple[Mixture, _BufferState, Callable[[], int], int] | None = None
        #: The definition that all samples are known to fit.
        self._checked: Definition | None = None

    def copy(self) -> ReplayBuffer:
        """Return an independent copy."""
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        return other

    @property
    def capacity(self) -> int:
        """The largest number of samples that it keeps."""
        return self._capacity

    @property
    def n_replayed(self) -> int:
        """The number of samples that are learned again for each new one."""
        return self._n_replayed

    @property
    def seed(self) -> int:
        """Seed of all draws."""
        return self._seed

    @property
    @synchronized
    def n_seen(self) -> int:
        """New samples so far, kept or not."""
        return self._settled().n_seen

    @property
    @synchronized
    def x(self) -> Any:
        """A copy of the samples, of shape (n_kept, ...), sparse if it came so; None before any."""
        x = self._settled().x
        if isinstance(x, RowsApart):
            return x[: len(self)].joined().matrix()
        return None if x is None else x[: len(self)].copy()

    @property
    @synchronized
    def y(self) -> Array | None:
        """A copy of their labels, of shape (n_kept,), or targets; None before the first."""
        y = self._settled().y
        return None if y is None else y[: len(self)].copy()

    @property
    @synchronized
    def nbytes(self) -> int:
        """The bytes that samples and targets take."""
        x, y, _ = self._settled()
        return 0 if x is None or y is None else x[: len(self)].nbytes + y[: len(self)].nbytes

    def __len__(self) -> int:
        return min(self.n_seen, self._capacity)

    def __repr__(self) -> str:
        settings = f"n_replayed={self._n_replayed}, seed={self._seed}"
        return f"{type(self).__name__}({self._capacity}, {settings}): {len(self)} samples"

    @synchronized
    def mix(self, x: Any, y: Any) -> Mixture:
        """Return new samples, each followed by those to learn again; nothing changes.

        Parameters
        ----------
        x : array-like of shape (n_samples, ...), or sparse
            New samples.
        y : array-like of shape (n_samples, ...)
            Their labels or targets.

        Returns
        -------
        Mixture
            Named fields x, y and is_new; `keep` is to be told of it once it has been learned.

        Raises
        ------
        ValueError
            If the arrays have another type or shape than the samples in the buffer.
        """
        return _for_users(self._checked_mixture(x, y))

    def _checked_mixture(self, x: Any, y: Any) -> Mixture:
        x, y = _rows_of(x), real_array("y", y)
        x = x if isinstance(x, SparseRows) else real_array("x", x)
        if len(x.shape) < 1 or y.ndim < 1 or len(x) != len(y):
            shapes = f"shapes {x.shape} and {y.shape}"
            raise wrong_argument("x and y", "of the same number of samples", shapes)
        return self._mixed(x, y, self._settled())

    def _mixed(self, x: Array | SparseRows, y: Array, kept: _BufferState) -> Mixture:
        _check_like("x", x, x if kept.x is None else kept.x)
        _check_like("y", y, y if kept.y is None else kept.y)
        new_x = _as_kept(x, kept.x)
        old_x = new_x[:0] if kept.x is None else kept.x
        old_y = y[:0] if kept.y is None else kept.y
        sources, is_new, slots = self._drawn(kept.n_seen, len(x))
        n_kept = min(kept.n_seen, self._capacity)
        is_old = sources < n_kept

        def mixed(old: Kept, new: Kept) -> Kept:
            rows = _room(old, len(sources))
            rows[is_old], rows[~is_old] = old[sources[is_old]], new[sources[~is_old] - n_kept]
            return rows

        rows = mixed(old_x, new_x)
        if isinstance(rows, RowsApart):
            rows = rows.joined()
        return Mixture(rows, mixed(old_y, y), is_new, kept.n_seen, slots)

    @synchronized
    def keep(self, mixture: Mixture, n_learned: int | None = None) -> None:
        """Keep the drawn samples of a mixture that has been learned.

        Parameters
        ----------
        mixture : Mixture
            The last that `mix` has returned.
        n_learned : int or None, default=None
            The number of its samples that have been learned; None stands for all.

        Raises
        ------
        ValueError
            If the buffer has gone on since that mixture was made.
        """
        n = len(mixture.is_new)
        n = n if n_learned is None else integer("n_learned", n_learned, 0, n)
        if mixture.first != self.n_seen:
            allowed = f"made after {self.n_seen} samples, which the buffer has seen"
            raise wrong_argument("mixture", allowed, f"one made after {mixture.first}")
        self._checked = None
        self._pending = replace(mixture, x=_rows_of(mixture.x)), self._kept, lambda: n, 0
        self.settle()

    @contextmanager
    def learning(
        self, x: Any, y: Any, count: Callable[[], int], net: Definition | None = None
    ) -> Iterator[Mixture]:
        """Return a context that gives the mixture of new samples, which is learned in it.

        Whatever happens in it, and whenever an interrupt comes, the buffer has seen those new
        samples that have been learned.

        Parameters
        ----------
        x, y : array-like of shape (n_samples, ...)
            As for `mix`.
        count : callable
            Returns how many samples the network has ever learned.
        net : Definition or None, default=None
            The definition that x and y have been checked against; what is kept is checked too, and
            takes a form that all samples have.

        Raises
        ------
        ValueError
            As for `mix`, or if the network could not learn the samples in the buffer.
        """
        with self._lock:
            kept = self._settled()
            if net is None:
                mixture = self._checked_mixture(x, y)
            else:
                x, y, kept = self._in_one_form(net, x, y)
                mixture = self._mixed(x, y, kept)
            self._checked = net
            # From here on, until `settle`, the content of the buffer follows from the number of
            # samples learned: an interrupt in between loses nothing.
            self._pending = mixture, kept, count, count()
            try:
                yield mixture
            finally:
                self.settle()

    @synchronized
    def settle(self) -> None:
        """Keep the samples of the last mixture that have been learned so far, and end it.

        A simulator does so before it learns anything else, since an interrupt may have come so late
        in a call that the buffer would take the samples of the next one for its own.
        """
        self._settled()
        self._pending = None

    def _settled(self) -> _BufferState:
        """Keep the new samples that have been learned, and return the content of the buffer.

        To call it again changes nothing. Memory beyond the kept samples may have any values.
        """
        if self._pending is None:
            return self._kept
        mixture, in_one_form, count, before = self._pending
        rows = np.flatnonzero(mixture.is_new[: count() - before])
        n_seen = mixture.first + len(rows)
        if n_seen > self._kept.n_seen:
            kept = in_one_form if self._kept.n_seen == mixture.first else self._kept
            x, y = self._room_for(min(n_seen, self._capacity), mixture, kept)
            slots = mixture.slots[: len(rows)]
            rows, slots = rows[slots >= 0], slots[slots >= 0]
            new = mixture.x
            new_x = new.apart(rows) if isinstance(new, SparseRows) else new[rows]
            x[slots], y[slots] = new_x, mixture.y[rows]  # the last of equal slots stays
            self._kept = _BufferState(x, y, n_seen)
        return self._kept

    def _room_for(self, n: int, mixture: Mixture, kept: _BufferState) -> tuple[Any, Array]:
        """Return arrays for n samples: the present ones or larger copies of them."""
        x: Any = kept.x
        y = kept.y
        if x is None or y is None:
            x, y = _as_kept(mixture.x[:0], None), mixture.y[:0]
        if n <= len(x):
            return x, y
        n = min(self._capacity, max(n, 2 * len(x), FIRST_ROOM))

        def grown(old: Kept) -> Kept:
            rows = _room(old, n)
            rows[: len(old)] = old
            return rows

        return grown(x), grown(y)

    def _in_one_form(
        self, net: Definition, x: Array | SparseRows, y: Array
    ) -> tuple[Array | SparseRows, Array, _BufferState]:
        """Return new samples of a network and the kept ones in the same form.

        If any input changes from step to step, all samples have input for each step. If any targets
        are real, labels become real targets.
        """
        kept_x, kept_y, n_seen = self._settled()
        if kept_x is None or kept_y is None:
            return x, y, self._kept
        if self._checked is not net and self._checked != net:
            try:
                if check_batch(net, self.x, self.y).has_unlabeled:
                    raise ValueError("some have no label")
            except ValueError as error:
                allowed = "a buffer of samples that the network could learn"
                raise wrong_argument("replay", allowed, f"one of others: {error}") from error
        if is_by_step(net, x) != is_by_step(net, kept_x):
            x, kept_x = _input_by_step(net, x), _input_by_step(net, kept_x[: len(self)])
        if y.ndim != kept_y.ndim:
            y, kept_y = (real_targets(net, values) for values in (y, kept_y))
        if y.ndim != kept_y.ndim:
            y, kept_y = (_by_step(net, values) for values in (y, kept_y))
        return x, y, _BufferState(kept_x, kept_y, n_seen)

    def _drawn(
        self, first: int, n: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
        """Return the samples to learn for n new ones, which of them are new, and their slots.

        Samples are given by index: kept ones by their slot, new ones by the numbers behind these.
        """
        each = 1 + self._n_replayed
        numbers = numbers_of(self._key, n * each, first * each).reshape(n, each)
        seen = np.arange(first, first + n, dtype=np.uint64)
        n_kept = np.minimum(seen, np.uint64(self._capacity))
        is_full = seen >= np.uint64(self._capacity)
        slots = np.where(is_full, numbers[:, 0] % (seen + np.uint64(1)), seen).astype(np.int64)
        slots[slots >= self._capacity] = -1
        drawn = numbers[:, 1:] % np.maximum(n_kept, np.uint64(1))[:, np.newaxis]
        n_before, taken_by = min(first, self._capacity), dict[int, int]()
        sources: list[int] = []
        is_new: list[bool] = []
        for i, (slot, again) in enumerate(zip(slots.tolist(), drawn.tolist(), strict=True)):
            again = again if first + i else []  # before the first sample there is none to draw
            sources += [n_before + i, *(taken_by.get(other, other) for other in again)]
            is_new += [True, *[False] * len(again)]
            if slot >= 0:
                taken_by[slot] = n_before + i
        return np.array(sources, np.int64), np.array(is_new, bool), slots


def _room(like: Kept, n: int) -> Kept:
    """Return room for n samples or targets like others."""
    if isinstance(like, RowsApart):
        return RowsApart.room(n, like.n_units, like.dtype)
    return np.empty((n, *like.shape[1:]), like.dtype)


def _rows_of(x: Any) -> Any:
    """Return samples that are no sparse matrix; of one return the rows."""
    return rows_of_matrix("x", x) if is_sparse(x) else x


def _for_users(mixture: Mixture) -> Mixture:
    """Return a mixture with a sparse matrix for rows that list their units."""
    x = mixture.x
    return replace(mixture, x=x.matrix()) if isinstance(x, SparseRows) else mixture


def _as_kept(x: Array | SparseRows, kept: Array | RowsApart | None) -> Any:
    """Return new samples in the form of those that are kept, which the first ones choose."""
    if isinstance(kept, RowsApart) or (kept is None and isinstance(x, SparseRows)):
        rows = x if isinstance(x, SparseRows) else rows_of_array(x.reshape(len(x), -1))
        return rows.apart(dtype=None if kept is None else kept.dtype)
    if isinstance(x, SparseRows):
        assert kept is not None
        return x.dense().reshape(len(x), *kept.shape[1:])
    return x


def _by_step(net: Definition, values: Array) -> Array:
    """Return input or targets with a row for each step."""
    return values if values.ndim == 3 else np.repeat(values[:, np.newaxis], net.n_steps, axis=1)


def _input_by_step(net: Definition, x: Any) -> Any:
    """Return input with that of each step, in its form."""
    if is_by_step(net, x):
        return x
    if not isinstance(x, (SparseRows, RowsApart)):
        return _by_step(net, x)
    rows = x if isinstance(x, SparseRows) else x.joined()
    by_sample = rows[np.repeat(np.arange(len(rows)), net.n_steps)].by_sample(net.n_steps)
    return by_sample if isinstance(x, SparseRows) else by_sample.apart()


def _check_like(name: str, new: Array | SparseRows, kept: Array | SparseRows | RowsApart) -> None:
    """Refuse samples of another shape than those that are kept, or of a type beyond theirs.

    Lists have all steps of a sample one behind the other, of which an array has a row each.
    """
    are_arrays = isinstance(new, np.ndarray) and isinstance(kept, np.ndarray)
    one, other = (each.shape[1:] for each in (new, kept))
    is_like = one == other if are_arrays else math.prod(one) == math.prod(other)
    if not is_like or not np.can_cast(new.dtype, kept.dtype, "safe"):
        allowed = f"of {kept.dtype} and shape {('n_samples', *kept.shape[1:])}, as in the buffer"
        raise wrong_argument(name, allowed, f"an array of {new.dtype} and shape {new.shape}")
