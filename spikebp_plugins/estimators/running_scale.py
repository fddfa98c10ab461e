r"""Centre and scale of readings that keep coming, in integers, which no wrong reading spoils.

A reading x becomes the integer

.. math:: y = \mathrm{clip}(\mathrm{rint}(2^{10 - e} x) - c, \; \pm 2^{10} k)

with the exponent e of its feature, where :math:`2^e` is about its deviation, its centre c, and
the k deviations at which readings are cut. Behind this border there is no floating-point number:
arrays of doubles hold integers of at most 53 bits.

The sums of y and of its square give mean and variance. A cut reading counts as cut, so that what is
far away moves neither by much. At the end of a block of readings e and c are corrected, if the
variance is more than three times that of :math:`2^e`, or less than a third, or if the mean is more
than an eighth of it away from c. A feature is not known before it has varied twice.

Two counters find that a feature has become another one, in another unit, say. It begins anew if
more than a quarter of the last readings are more than 3.5 deviations away, or cut; or if readings
differ, but all of them by less than a sixteenth of the usual difference, for longer than they ever
would. So slow features are not taken for new ones, and neither are those that stay constant: a
reading that has come 16 times in a row does not count.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.all_rows import AllRows, RowsInMemory
from spikebp_plugins.estimators.repetition import WholeWeights

Array = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: The bits of one deviation.
BITS: Final = 10
ONE: Final = 1 << BITS
#: The mean may be so far away from the centre.
OFF_CENTRE: Final = ONE // 8
#: The readings that count of a run of equal ones.
REPEATED: Final = 16
#: Of a feature that is not known: it has two readings, and each of them has come again.
ALL_MET: Final = 7
#: A reading is far beyond half the root of this, in deviations, where at most one of twelve can be
#: for long; or where it is cut.
FAR_SQUARED: Final = 49
#: One of so many may be far. A feature begins anew after so many far ones in a row, or more if
#: others are among them.
FAR_OF: Final = 4
FAR_IN_A_ROW: Final = 32
#: Differences below the usual one divided by this power of two are small.
SMALL_BITS: Final = 4
#: A feature begins anew after so many small differences in a row, over the share of large ones. A
#: large one takes back as many as `SET_BACK`, so that a wrong reading does not prevent it.
SMALL_IN_A_ROW: Final = 32
SET_BACK: Final = 16
#: The differences after which the usual one is known.
FEWEST_CHANGES: Final = 32
#: Fewer readings than this adapt by themselves.
YOUNG: Final = 64
#: Sums of so many readings are halved.
MOST_BITS: Final = 16
#: Exponents have this magnitude at most, so that powers of two stay normal numbers.
LARGEST_EXPONENT: Final = 1000
#: Readings that differ by less than their size divided by this power of two count as equal.
ROUNDING: Final = 40
#: How often the scale of readings that are all there is corrected.
CORRECTIONS: Final = 8
#: The deviations from the centre that are worth a warning, and how many times a difference is the
#: other if a reading is wrong.
OUTLYING: Final = 64


class RunningScale(NamedTuple):
    """The centres and scales of features. Each array has an entry for each of them.

    Attributes
    ----------
    is_centred : bool
        Whether features have centres. Otherwise the centre is 0, and the root mean square takes the
        place of the deviation.
    limit : int
        The largest magnitude of y.
    factor : ndarray of float64
        The integers that a reading of 1 stands for, 2^(10 - e); 0 for a feature that is not known.
    exponent, centre : ndarray of int64
        e and c.
    n, total, squares : ndarray of int64
        The number of readings that count, 0 for a feature that is not known, and the sums of their
        y and of its square.
    n_changes, n_large, changes : ndarray of int64
        The number of readings that differ from the one before, of these differences those that are
        not small, and the sum of all.
    far, small : ndarray of int64
        The counters of readings that are far, and of small differences.
    met : ndarray of int64
        What has come of a feature that is not known: 1 for a second reading, and then 2 for the
        first one again, and 4 for the second.
    last : ndarray of float64
        The last reading; the first one, of a feature that is not known.
    second : ndarray of float64
        The first reading that differs from the first one, of a feature that is not known.
    repeated : ndarray of int64
        How often the last reading has been repeated, `REPEATED` times at most.
    """

    is_centred: bool
    limit: int
    factor: Array
    exponent: Integers
    centre: Integers
    n: Integers
    total: Integers
    squares: Integers
    n_changes: Integers
    n_large: Integers
    changes: Integers
    far: Integers
    small: Integers
    met: Integers
    last: Array
    second: Array
    repeated: Integers

    @classmethod
    def beginning(cls, first: Array, limit: int, *, is_centred: bool = True) -> RunningScale:
        """Return what is known after the first reading of each feature; 0 if they are not centred.

        Parameters
        ----------
        first : ndarray of shape (n_features,)
            Readings.
        limit : int
            The deviations at which readings are cut.
        is_centred : bool, default=True
            Whether the features are centred.
        """
        nothing = np.zeros(len(first), np.int64)
        last = first.astype(np.float64)
        return cls._make([is_centred, limit * ONE, 0 * last, *[nothing] * 11, last, last, nothing])

    @classmethod
    def of_all(
        cls, readings: AllRows, limit: int, *, is_centred: bool = True
    ) -> tuple[RunningScale, Mask, Array]:
        """Return the scale of readings that are all there, and those that are far from all others.

        It begins with the median, and with that of the distances from it, and is corrected until
        it stays.

        Parameters
        ----------
        readings : AllRows
            Readings of some features.
        limit, is_centred
            As for `beginning`.

        Returns
        -------
        scale : RunningScale
            The scale.
        has_outliers : ndarray of shape (n_features,), bool
            Which features have readings that are far from all others. Where most are equal, the
            others are rare, not wrong.
        farthest : ndarray of shape (n_features,)
            The reading of each that is farthest from its centre.
        """
        some = readings.some
        middle = np.median(some, axis=0) if is_centred else np.zeros(some.shape[1])
        halves = np.abs(some / 2 - middle / 2)
        typical = np.array([np.median(half[half > 0]) if half.any() else 0.0 for half in halves.T])
        found = cls.beginning(middle, limit, is_centred=is_centred)
        found, sums = found._started(typical, middle, typical > 0).corrected(readings)
        ends = np.stack([sums.lowest, sums.highest])
        farthest = np.choose(np.abs(found._uncut(ends)).argmax(axis=0), ends)
        has_outliers = found.outliers(farthest)
        if has_outliers.any():
            n_equal = readings.summed(partial(_equal_to, middle), np.add)
            has_outliers &= 2 * n_equal <= sums.n
        return found, has_outliers, farthest

    def corrected(self, readings: AllRows) -> tuple[RunningScale, Sums]:
        """Return the scale that stays as readings correct it, and their sums."""
        found = self
        for some in (RowsInMemory.of(readings.some), readings)[not readings.is_sampled :]:
            for _ in range(CORRECTIONS):
                before, sums = found, some.summed(partial(Sums.of, found), Sums.added)
                found = before._counted(sums, some.bits)
                if all(map(np.array_equal, before[3:5], found[3:5])):
                    break
        return found._replace(last=sums.last, second=sums.last * self.is_centred), sums

    def take(self, places: Any) -> RunningScale:
        """Return some of the features."""
        return RunningScale._make([*self[:2], *(values[places] for values in self[2:])])

    def joined(self, other: RunningScale) -> RunningScale:
        """Return these features and others."""
        pairs = zip(self[2:], other[2:], strict=True)
        return RunningScale._make([*self[:2], *map(np.concatenate, pairs)])

    def units(self, X: Array) -> Array:
        """Return y for readings, of the shape of `X`, which has features in its last axis."""
        y = self._uncut(X)
        return np.clip(y, -self.limit, self.limit, out=y)

    def readings(self, y: Array) -> Array:
        """Return the readings for y; of a feature that is not known, the first one."""
        unit = _power_of_two(self.exponent - BITS)
        readings: Array = np.where(self.n > 0, (y + self.centre) * unit, self.last)
        return readings

    def outliers(self, X: Array) -> Mask:
        """Return which readings, of the shape of `X`, are far from all that was known before."""
        far: Mask = (np.abs(self._uncut(X)) > OUTLYING * ONE) & (self.n >= YOUNG)
        return far

    def after(self, X: Array) -> RunningScale:
        """Return the scale after the rows of a block, of shape (n_rows, n_features)."""
        unknown, thresholds = self.n == 0, self._thresholds()
        if unknown.any() and ((self.last != X).any(axis=0) | (self.met > 0))[unknown].any():
            new = self
            for row in X:  # a feature may begin with any of them
                new = new.begun(row)._summed(row[np.newaxis], *thresholds)
        else:
            new = self._summed(X, *thresholds)
        return new._begun_anew()._halved()._with_centres()._with_exponents()

    def begun(self, x: Array) -> RunningScale:
        """Return the scale with features that are known once they have a reading as well.

        Those with a centre begin with three readings that differ, or with two of which each has
        come again. The one in the middle is the centre, and the larger difference from it is
        typical, unless it is so large that one reading is wrong.
        """
        unknown, is_first, is_second = self.n == 0, x == self.last, x == self.second
        if not self.is_centred:
            return self._started(np.abs(x) / 2, x, unknown)
        has_second = unknown & (self.met > 0) & (self.repeated < REPEATED)
        becomes_second = unknown & ~has_second & ~is_first
        met = self.met | has_second * (2 * is_first + 4 * is_second)
        met = np.where(becomes_second, 1, met)
        new = self._replace(met=met, second=np.where(becomes_second, x, self.second))
        is_third = ~(is_first | is_second)
        three = np.sort([self.last, self.second, np.where(is_third, x, self.last)], axis=0)
        halves = np.sort(np.diff(three / 2, axis=0), axis=0)  # halves of differences are finite
        is_wrong = (halves[0] > 0) & (halves[1] / OUTLYING > halves[0])
        half = np.where(is_wrong, halves[0], halves[1])
        return new._started(half, three[1], has_second & (is_third | (met == ALL_MET)))

    def _uncut(self, X: Array) -> Array:
        with np.errstate(over="ignore"):  # what is infinite will be cut
            y: Array = np.rint(X * self.factor)
        y -= self.centre
        return y

    def _started(self, half: Array, middle: Array, starts: Mask) -> RunningScale:
        """Return the scale with features that are known by half a difference and a centre."""
        starts = starts & (half > np.ldexp(np.abs(middle), -ROUNDING))
        if not starts.any():
            return self
        exponent = _n_bits(half).clip(-LARGEST_EXPONENT, LARGEST_EXPONENT)
        one = np.where(starts, _power_of_two(BITS - exponent), 0.0) * self.is_centred
        begun = {"exponent": exponent, "centre": np.rint(middle * one)}
        begun |= {"n": 1, "squares": ONE * ONE, "met": 0}
        changes: dict[str, Any] = {
            name: np.where(starts, values, getattr(self, name)).astype(np.int64)
            for name, values in begun.items()
        }
        return self._replace(**changes).with_factors()

    def _summed(self, X: Array, far_squared: Integers, small_below: Integers) -> RunningScale:
        """Return the scale with the sums of a block, or of a part of it.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Readings.
        far_squared, small_below : ndarray of shape (n_features,)
            The square of y from which it is far, and what a small difference is below.
        """
        known = self.n > 0
        rows = np.concatenate([self.last[np.newaxis], X])
        y = self.units(rows)
        differences = np.abs(y[1:] - y[:-1])
        varies = rows[1:] != rows[:-1]
        place = np.arange(1, len(X) + 1)[:, np.newaxis]
        since = place - np.maximum.accumulate(np.where(varies, place, -self.repeated))
        counts = (since < REPEATED) & known
        y = y[1:] * counts
        squares = y * y
        n, n_changes = np.add.reduce(counts), np.add.reduce(varies & known)
        n_small = np.add.reduce(varies & (differences < small_below))
        n_large = n_changes - n_small
        n_far = np.add.reduce((squares >= far_squared) & counts)
        return self._replace(
            n=self.n + n,
            total=self.total + np.add.reduce(y).astype(np.int64),
            squares=self.squares + np.add.reduce(squares).astype(np.int64),
            n_changes=self.n_changes + n_changes,
            n_large=self.n_large + n_large,
            changes=self.changes + np.add.reduce(differences).astype(np.int64),
            far=self.far + FAR_OF * n_far - n,
            small=self.small + n_small - SET_BACK * n_large,
            last=np.where(known, X[-1], self.last),
            repeated=np.minimum(since[-1], REPEATED),
        )

    def _counted(self, sums: Sums, bits: int) -> RunningScale:
        """Return the scale with these sums alone, times 2^-bits, and corrected by them."""
        by = max(sums.n.bit_length() - MOST_BITS, bits)
        new = self._replace(
            n=np.where(self.n > 0, max(sums.n >> by, 1), 0),
            total=sums.total >> by,
            squares=sums.squares >> by,
        )
        return new._with_centres(are_nearest=True)._with_exponents(are_nearest=True)

    def _begun_anew(self) -> RunningScale:
        known, young = self.n > 0, self.n < YOUNG
        far = np.where(young, 0, np.maximum(self.far, 0))
        small = np.maximum(self.small, 0)
        new = self._replace(far=far, small=small)
        # Where large differences are rare anyway, more small ones in a row mean nothing.
        is_quiet = (small > 0) & (small * self.n_large >= SMALL_IN_A_ROW * self.n_changes)
        ends = known & ((far >= FAR_IN_A_ROW * (FAR_OF - 1)) | is_quiet)
        if not ends.any():
            return new
        kept = [np.where(ends, 0, values) for values in new[2:-3]]
        return RunningScale._make([*self[:2], *kept, *self[-3:]]).with_factors()

    def _halved(self) -> RunningScale:
        changes: dict[str, Any] = {}
        for count, *sums in (
            ("n", "total", "squares"),
            ("n_changes", "n_large", "changes"),
        ):
            is_full = getattr(self, count) >> MOST_BITS > 0
            if is_full.any():
                changes |= {name: getattr(self, name) >> is_full for name in (count, *sums)}
        return self._replace(**changes)

    def _with_centres(self, *, are_nearest: bool = False) -> RunningScale:
        """Return the scale with other centres, where they are off, or may be nearer."""
        if not self.is_centred:
            return self
        n = np.maximum(self.n, 1)
        is_off = (np.abs(self.total) > OFF_CENTRE * n) | are_nearest
        if not is_off.any():
            return self
        by: Integers = np.where(is_off, (2 * self.total + n) // (2 * n), 0)  # the mean, rounded
        return self._replace(
            centre=self.centre + by,
            total=self.total - by * self.n,
            squares=self.squares - 2 * by * self.total + by * by * self.n,
        )

    def _with_exponents(self, *, are_nearest: bool = False) -> RunningScale:
        """Return the scale with other exponents, where they are off, or may be nearer."""
        n = np.maximum(self.n, 1)
        variance = self._variance()
        of_one = n * n << 2 * BITS
        is_off = (variance > 3 * of_one) | (3 * variance < of_one) | are_nearest
        is_off &= variance > 0
        if not is_off.any():
            return self
        # log2 of the deviation, rounded, is half the bits of the variance, rounded down.
        by = np.where(is_off, _n_bits(variance // (n * n)) // 2 - BITS, 0)
        # No unit is below what doubles resolve.
        least = _n_bits(self.centre) - ROUNDING - BITS
        by = np.maximum(by, np.maximum(least, -LARGEST_EXPONENT - self.exponent))
        by = np.minimum(by, LARGEST_EXPONENT - self.exponent)
        new = self._replace(
            exponent=self.exponent + by,
            centre=_divided(self.centre, by),
            total=_divided(self.total, by),
            squares=_divided(self.squares, 2 * by),
            changes=_divided(self.changes, by),
        )
        return new._with_centres(are_nearest=are_nearest).with_factors()

    def with_factors(self) -> RunningScale:
        """Return the scale with the factors that its exponents say."""
        factor = np.where(self.n > 0, _power_of_two(BITS - self.exponent), 0.0)
        return self._replace(factor=factor)

    def _thresholds(self) -> tuple[Integers, Integers]:
        """Return the square of y from which it is far, and what a small difference is below."""
        n = np.maximum(self.n, 1)
        far_squared = FAR_SQUARED * (self._variance() // (n * n)) // 4
        usual = self.changes // np.maximum(self.n_changes, 1)
        is_known = self.n_changes >= FEWEST_CHANGES
        far_squared = np.clip(far_squared, 1, self.limit * self.limit)
        return far_squared, np.where(is_known, usual >> SMALL_BITS, 0)

    def _variance(self) -> Integers:
        """Return n² times the variance of y, or its mean square."""
        squares: Integers = self.n * self.squares
        return squares - self.total * self.total if self.is_centred else squares


class Sums(NamedTuple):
    """Sums of readings by their weights, exact in any parts.

    Attributes
    ----------
    n : int
        The sum of the weights.
    total, squares : ndarray of shape (n_features,), int64
        The sums of y and of its square.
    lowest, highest, last : ndarray of shape (n_features,)
        The least, the largest and the last reading.
    """

    n: int
    total: Integers
    squares: Integers
    lowest: Array
    highest: Array
    last: Array

    @classmethod
    def of(cls, scale: RunningScale, X: Array, weights: WholeWeights) -> Sums:
        """Return the sums of readings, of shape (n_readings, n_features), in units of a scale."""
        y = scale.units(X).astype(np.int64)
        total, squares = weights.times @ y, weights.times @ (y * y)
        lowest = np.minimum.reduce(X, initial=math.inf)
        highest = np.maximum.reduce(X, initial=-math.inf)
        last = X[-1] if len(X) else np.zeros(X.shape[1])
        return cls(weights.total, total, squares, lowest, highest, last)

    def added(self, later: Sums) -> Sums:
        """Return the sums of these readings and of later ones."""
        return Sums(
            self.n + later.n,
            self.total + later.total,
            self.squares + later.squares,
            np.minimum(self.lowest, later.lowest),
            np.maximum(self.highest, later.highest),
            later.last if later.n else self.last,
        )


def _equal_to(middle: Array, X: Array, weights: WholeWeights) -> Integers:
    """Return how often the readings of each feature are these."""
    times: Integers = weights.times @ (middle == X)
    return times


def _n_bits(numbers: NDArray[Any]) -> Integers:
    """Return p for numbers of magnitude m 2^p, with m from 1/2 up to 1; 0 for 0."""
    exponents: Integers = np.frexp(numbers.astype(np.float64))[1].astype(np.int64)
    return exponents


def _power_of_two(exponents: Integers) -> Array:
    powers: Array = np.ldexp(1.0, exponents.astype(np.intc))  # the type that NumPy has everywhere
    return powers


def _divided(numbers: Integers, by: Integers) -> Integers:
    """Return integers divided by powers of two and rounded; multiplied by negative ones."""
    right, left = np.maximum(by, 0), np.maximum(-by, 0)
    half = np.left_shift(1, right) >> 1
    divided: Integers = (numbers + half >> right) << left
    return divided
