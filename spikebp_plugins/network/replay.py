r"""Samples of the past that a network learns again, so that it does not forget them.

Sample i, counted from 0, is learned; then r samples that are kept are learned again; then it is
kept itself or not. A buffer of capacity c keeps each of the samples so far with the same
probability (algorithm R of A. Waterman, in J. S. Vitter, "Random sampling with a reservoir", ACM
Transactions on Mathematical Software 11, 1985): the first c are kept, and sample i then takes

.. math:: \mathrm{place}_i = u_{i,0} \bmod (i + 1)

if it is below c. Learned again are those at the places

.. math:: u_{i,k} \bmod \min(i, c), \qquad k = 1, \dots, r.

Each number :math:`u_{i,k}` of 64 bits is that at the place i (1 + r) + k in a stream of SplitMix64
that follows from the seed. So it depends on nothing but the seed and how many samples came before,
and it does not matter in what parts these came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.common.turns import Turn, one_at_a_time
from spikebp_plugins.network.draws import draw_key, numbers_of
from spikebp_plugins.network.fields import LARGEST_SEED, Definition
from spikebp_plugins.network.samples import Batch, check_batch, real_array, real_targets

Array = NDArray[Any]

#: The most samples that a buffer may hold, or have seen: with 64 bits all of them can be numbered.
MOST_SAMPLES: Final = 2**48
#: The most samples that are learned again for each new one.
MOST_REPLAYED: Final = 1000
#: Room for so many samples is made at first; it grows as they come.
FIRST_ROOM: Final = 16


@dataclass(frozen=True, eq=False)
class Mixture:
    """New samples, each followed by those that are learned again.

    Attributes
    ----------
    x, y : ndarray of shape (n_mixed, ...)
        Samples and their targets, in the order in which to learn them.
    is_new : ndarray of shape (n_mixed,), bool
        Which of them are new.
    first : int
        How many samples the buffer had seen before.
    places : ndarray of shape (n_new,), int64
        Where the buffer keeps each new sample; -1 if nowhere.
    net : Definition or None
        The definition that all of them have been checked against.
    """

    x: Array
    y: Array
    is_new: NDArray[np.bool_]
    first: int
    places: NDArray[np.int64]
    net: Definition | None = None

    def n_new(self, n_learned: int) -> int:
        """Return how many new samples are among the first that have been learned."""
        return int(np.count_nonzero(self.is_new[:n_learned]))


class _Kept(NamedTuple):
    """What a buffer holds: room for samples and targets, and how many it has seen."""

    x: Array | None
    y: Array | None
    n_seen: int


class ReplayBuffer:
    """Samples of the past that a network learns again, so that it does not forget them.

    It keeps up to `capacity` samples, each of those so far with the same probability (reservoir
    sampling), and hands some of them out after each new one. All draws follow from the seed and
    from how many samples came before: learned in one call or in many, over files and on any back
    end, a network learns the same integers.

    Samples and targets are kept in the type in which they come: 8-bit pixels take a byte each. The
    first sample decides on the type for all. Input that stays the same is kept once, until samples
    come whose input changes from step to step, and so are labels until real targets come.

    Hand it to ``Simulator.train`` or ``Simulator.stream``, and save it with
    ``Simulator.save(path, replay=buffer)``. A network of another kind learns from a `mix`.
    Threads may share a buffer: calls wait for each other. Copies and pickles are buffers of their
    own that go on from here.

    Parameters
    ----------
    capacity : int
        The most samples that it keeps.
    n_replayed : int, default=1
        How many samples are learned again for each new one, drawn with replacement.
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
        self._capacity = integer("capacity", capacity, 1, MOST_SAMPLES)
        self._n_replayed = integer("n_replayed", n_replayed, 1, MOST_REPLAYED)
        self._seed = integer("seed", seed, 0, LARGEST_SEED)
        self._start(_Kept(None, None, 0))

    def _start(self, kept: _Kept) -> None:
        self._turn = Turn()
        self._key = draw_key(self._seed)
        self._now = kept
        #: What is being learned, and a function that says how many of it have been.
        self._learning: tuple[Mixture, Callable[[], int]] | None = None
        #: The definition that all samples are known to fit.
        self._checked: Definition | None = None

    @classmethod
    def of_samples(
        cls, x: Any, y: Any, n_seen: int, capacity: int, *, n_replayed: int = 1, seed: int = 0
    ) -> ReplayBuffer:
        """Return a buffer that goes on from samples which another one has kept.

        Parameters
        ----------
        x : array-like of shape (n_kept, ...)
            The samples, as `x` of the other buffer has them.
        y : array-like of shape (n_kept, ...)
            Their targets.
        n_seen : int
            How many samples the other one has seen.
        capacity, n_replayed, seed
            As for a new buffer.

        Raises
        ------
        ValueError
            If an argument is not allowed, or so many samples seen would have left others.
        """
        buffer = cls(capacity, n_replayed=n_replayed, seed=seed)
        x, y = real_array("x", x), real_array("y", y)
        n_seen = integer("n_seen", n_seen, 0, MOST_SAMPLES)
        n_kept = min(n_seen, buffer.capacity)
        for name, array in (("x", x), ("y", y)):
            if array.ndim < 1 or len(array) != n_kept:
                allowed = f"{n_kept} samples, of {n_seen} that came"
                raise wrong_argument(name, allowed, f"shape {array.shape}")
        if n_kept:
            buffer._now = _Kept(x.copy(), y.copy(), n_seen)
        return buffer

    @property
    def capacity(self) -> int:
        """The most samples that it keeps."""
        return self._capacity

    @property
    def n_replayed(self) -> int:
        """How many samples are learned again for each new one."""
        return self._n_replayed

    @property
    def seed(self) -> int:
        """Seed of all draws."""
        return self._seed

    @property
    def lock(self) -> AbstractContextManager[bool]:
        """What to hold from a `mix` to the end of its learning, where threads share a buffer."""
        return self._turn.lock

    @property
    @one_at_a_time
    def n_seen(self) -> int:
        """New samples so far, kept or not."""
        return self._settled().n_seen

    @property
    @one_at_a_time
    def x(self) -> Array | None:
        """A copy of the samples, of shape (n_kept, ...); None before the first."""
        x = self._settled().x
        return None if x is None else x[: len(self)].copy()

    @property
    @one_at_a_time
    def y(self) -> Array | None:
        """A copy of their labels, of shape (n_kept,), or targets; None before the first."""
        y = self._settled().y
        return None if y is None else y[: len(self)].copy()

    @property
    @one_at_a_time
    def nbytes(self) -> int:
        """The bytes that samples and targets take."""
        kept = self._settled()
        if kept.x is None or kept.y is None:
            return 0
        return int(kept.x[: len(self)].nbytes + kept.y[: len(self)].nbytes)

    def __len__(self) -> int:
        return min(self.n_seen, self._capacity)

    def __repr__(self) -> str:
        settings = f"n_replayed={self._n_replayed}, seed={self._seed}"
        return f"{type(self).__name__}({self._capacity}, {settings}): {len(self)} samples"

    @one_at_a_time
    def __getstate__(self) -> dict[str, Any]:
        names = ("capacity", "n_replayed", "seed")
        settings = {name: getattr(self, name) for name in names}
        return settings | {"x": self.x, "y": self.y, "n_seen": self.n_seen}

    def __setstate__(self, copied: dict[str, Any]) -> None:
        self._capacity, self._n_replayed = copied["capacity"], copied["n_replayed"]
        self._seed = copied["seed"]
        self._start(_Kept(copied["x"], copied["y"], copied["n_seen"]))

    def copy(self) -> ReplayBuffer:
        """Return a buffer of its own that goes on from here."""
        other = type(self).__new__(type(self))
        other.__setstate__(self.__getstate__())
        return other

    @one_at_a_time
    def mix(self, x: Any, y: Any) -> Mixture:
        """Return new samples, each followed by those to learn again; nothing changes.

        Parameters
        ----------
        x : array-like of shape (n_samples, ...)
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
        x, y = real_array("x", x), real_array("y", y)
        if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
            shapes = f"shapes {x.shape} and {y.shape}"
            raise wrong_argument("x and y", "of the same number of samples", shapes)
        return self._mix(x, y, None)

    @one_at_a_time
    def keep(self, mixture: Mixture, n_learned: int | None = None) -> None:
        """Take note that a mixture has been learned, and keep those of its samples that it draws.

        Parameters
        ----------
        mixture : Mixture
            The last that `mix` has returned.
        n_learned : int or None, default=None
            How many of its samples have been learned; None stands for all.

        Raises
        ------
        ValueError
            If the buffer has gone on since that mixture was made.
        """
        n = len(mixture.is_new)
        n = n if n_learned is None else integer("n_learned", n_learned, 0, n)
        with self.learning(mixture, lambda: n):
            pass

    @one_at_a_time
    def mix_batch(self, batch: Batch) -> Mixture:
        """Return the mixture of checked samples; what is kept is checked for their network too."""
        net, kept = batch.net, self._settled()
        if kept.x is not None and self._checked is not net and self._checked != net:
            try:
                check_batch(net, self.x, self.y)
            except ValueError as error:
                allowed = "a buffer of samples that the network could learn"
                raise wrong_argument("replay", allowed, f"one of others: {error}") from error
        assert batch.y is not None
        x, y, kept_x, kept_y = batch.x, batch.y, kept.x, kept.y
        if kept_x is not None and kept_y is not None:
            x, kept_x = _in_one_form(batch, x, kept_x)
            y, kept_y = _in_one_form(batch, _as_rows(net, y, kept_y), _as_rows(net, kept_y, y))
            for name, new, old in (("x", x, kept_x), ("y", y, kept_y)):
                _check_like(name, new, old)  # before what is kept takes another form
            self._now = kept._replace(x=kept_x, y=kept_y)
        self._checked = net
        return self._mix(x, y, net)

    @contextmanager
    def learning(self, mixture: Mixture, n_learned: Callable[[], int]) -> Iterator[None]:
        """Return a context in which a mixture is learned.

        Whatever happens in it, and whenever an interrupt comes, the buffer has seen those new
        samples that have been learned.

        Parameters
        ----------
        mixture : Mixture
            What `mix` has returned.
        n_learned : callable
            Returns how many samples of the mixture have been learned so far.
        """
        with self._turn.lock:
            if mixture.first != self.n_seen:
                allowed = f"made after {self.n_seen} samples, which the buffer has seen"
                raise wrong_argument("mixture", allowed, f"one made after {mixture.first}")
            # From here on what the buffer has seen follows from what has been learned, until it is
            # written down: an interrupt in between loses nothing.
            self._learning = mixture, n_learned
            try:
                yield
            finally:
                self._settled()
                self._learning = None

    def _settled(self) -> _Kept:
        """Keep what has been learned, and return all that is kept. To do it again changes nothing.

        The room beyond what is kept may have any values.
        """
        if self._learning is None:
            return self._now
        mixture, n_learned = self._learning
        n = mixture.n_new(n_learned())
        n_seen = mixture.first + n
        if n_seen <= self._now.n_seen:
            return self._now
        x, y = self._room_for(min(n_seen, self._capacity), mixture)
        places = mixture.places[:n]
        rows = np.flatnonzero(mixture.is_new)[:n][places >= 0]
        places = places[places >= 0]
        x[places], y[places] = mixture.x[rows], mixture.y[rows]  # of one place the last stays
        if mixture.net is not self._checked:
            self._checked = None
        self._now = _Kept(x, y, n_seen)
        return self._now

    def _room_for(self, n: int, mixture: Mixture) -> tuple[Array, Array]:
        """Return arrays for n samples, those that there are or larger copies of them."""
        x, y = self._now.x, self._now.y
        if x is not None and y is not None and len(x) >= n:
            return x, y
        n_kept = 0 if x is None else len(x)
        size = min(self._capacity, max(n, 2 * n_kept, FIRST_ROOM))
        grown = [np.empty((size, *a.shape[1:]), a.dtype) for a in (mixture.x, mixture.y)]
        if x is not None and y is not None:
            grown[0][:n_kept], grown[1][:n_kept] = x, y
        return grown[0], grown[1]

    def _mix(self, x: Array, y: Array, net: Definition | None) -> Mixture:
        kept = self._settled()
        old_x = x[:0] if kept.x is None else kept.x
        old_y = y[:0] if kept.y is None else kept.y
        _check_like("x", x, old_x)
        _check_like("y", y, old_y)
        sources, places = self._drawn(kept.n_seen, len(x))
        n_kept = min(kept.n_seen, self._capacity)
        is_old, at = sources < n_kept, sources
        mixed = []
        for old, new in ((old_x, x), (old_y, y)):
            rows = np.empty((len(at), *old.shape[1:]), old.dtype)
            rows[is_old], rows[~is_old] = old[at[is_old]], new[at[~is_old] - n_kept]
            mixed.append(rows)
        lengths = self._lengths(kept.n_seen, len(x))
        is_new = np.zeros(len(at), bool)
        is_new[np.cumsum(lengths) - lengths] = True
        return Mixture(mixed[0], mixed[1], is_new, kept.n_seen, places, net)

    def _lengths(self, first: int, n: int) -> NDArray[np.int64]:
        """Return how many samples are learned for each new one, with itself."""
        lengths = np.full(n, 1 + self._n_replayed)
        if first == 0:
            lengths[:1] = 1
        return lengths

    def _drawn(self, first: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what to learn for n new samples, and the places at which these are kept.

        Samples that are kept have the numbers of their places, and new ones those behind.
        """
        each = 1 + self._n_replayed
        numbers = numbers_of(self._key, n * each, first * each).reshape(n, each)
        seen = np.arange(first, first + n, dtype=np.uint64)
        n_kept = np.minimum(seen, np.uint64(self._capacity))
        is_full = seen >= np.uint64(self._capacity)
        places = np.where(is_full, numbers[:, 0] % (seen + np.uint64(1)), seen).astype(np.int64)
        places[places >= self._capacity] = -1
        drawn = numbers[:, 1:] % np.maximum(n_kept, np.uint64(1))[:, np.newaxis]
        n_before, taken_by = min(first, self._capacity), dict[int, int]()
        sources: list[int] = []
        for i, (place, again) in enumerate(zip(places.tolist(), drawn.tolist(), strict=True)):
            sources.append(n_before + i)
            if first + i:
                sources += [taken_by.get(slot, slot) for slot in again]
            if place >= 0:
                taken_by[place] = n_before + i
        return np.array(sources, np.int64), places


def _as_rows(net: Definition, y: Array, other: Array) -> Array:
    """Return labels as the targets that they stand for, where others are real targets."""
    return real_targets(net, y) if y.ndim < other.ndim else y


def _in_one_form(batch: Batch, first: Array, second: Array) -> tuple[Array, Array]:
    """Return two arrays with a row for each step if one of them has it."""
    n_axes = max(first.ndim, second.ndim)
    made = [
        np.repeat(array[:, np.newaxis], batch.n_steps, axis=1) if array.ndim < n_axes else array
        for array in (first, second)
    ]
    return made[0], made[1]


def _check_like(name: str, new: Array, kept: Array) -> None:
    """Refuse samples of another shape than those that are kept, or of a type beyond theirs."""
    if new.shape[1:] != kept.shape[1:] or not np.can_cast(new.dtype, kept.dtype, "safe"):
        allowed = f"of {kept.dtype} and shape {('n_samples', *kept.shape[1:])}, as in the buffer"
        raise wrong_argument(name, allowed, f"an array of {new.dtype} and shape {new.shape}")
