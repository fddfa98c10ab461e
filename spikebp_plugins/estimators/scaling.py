r"""Features of any size as input that sends some spikes a step, found as they come.

A feature is of one of two kinds. A dense one is centred, and divided by about its deviation:

.. math:: x_i' = g \, 2^{-10} y_i

with the integer y of its `RunningScale`, and the input g for a deviation. A sparse one, as a word
or a column of a one-hot code, is mostly zero. It is neither centred nor divided by its own
deviation, which would make loud what is rare. One power of two multiplies all of them:

.. math::

    y_i = \mathrm{rint}(2^{10 + k - e} x_i), \quad
    k = \min(\max(\lfloor 5 p / 6 \rfloor - 5, 0), 6)

Here :math:`2^e` is about the root mean square of the lengths of rows of sparse features, and p the
number of bits of the number of these features: of all for which weights were drawn, known or not,
or of those that have come so far in a network that grows, where k is at most 3. An entry is cut at
twice that length, and at 16 deviations, since larger counts drive a unit by more than they teach
it.

A feature is sparse until more than a quarter of its readings are not zero, of those since the first
that was not and 3 more, or 16 more where most features are zero; and again once that is less than a
sixth. Readings come in blocks, one of each of the first 16, and then 16 each. Kinds and scales
change at the end of a block. All sums are integers, so that every machine, and a board, finds the
same scaling.

What a block costs follows its readings that are not zero, and the dense features: a sparse feature
cannot become dense while it is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.all_rows import AllRows, Rows
from spikebp_plugins.estimators.feature_counts import FeatureCounts
from spikebp_plugins.estimators.repetition import WholeWeights
from spikebp_plugins.estimators.running_scale import (
    BITS,
    ONE,
    Integers,
    Mask,
    RunningScale,
)
from spikebp_plugins.estimators.target_scaling import TargetScaling
from spikebp_plugins.network.sparse_rows import SparseRows, joined_rows, rows_of_entries

Array = NDArray[np.float64]
#: The first blocks, which are of one sample, and the samples of the others.
SINGLE: Final = 16
BLOCK: Final = 16
#: The deviations at which dense features are cut.
LIMIT: Final = 4
#: A feature is dense if more than one of so many readings is not zero.
DENSE_OF: Final = 4
#: In a stream so many that are zero are counted besides; and so many if less than half of the known
#: features are not zero in a block, where words that come again soon are no dense features.
DOUBT: Final = 3
DOUBT_OF_WORDS: Final = 16
#: A feature is sparse again if less than one of so many readings is not zero.
SPARSE_OF: Final = 6
#: The typical length of a row of n sparse features is 2^LENGTH times n to the power of POWER / 6,
#: at least 1, and at most 2^LONGEST, in deviations of dense ones. The first weights of a network
#: that grows are large: longer rows would leave 32 bits, and move all weights to 64.
LENGTH: Final = -5
POWER: Final = 5
LONGEST: Final = 6
LONGEST_GROWING: Final = 3
#: An entry is cut at so many times the typical length, and at so many deviations.
TIMES_TYPICAL: Final = 2
LARGEST: Final = 16


SomeScaling = TypeVar("SomeScaling", "InputScaling", TargetScaling)


def scaling_after(scaling: SomeScaling, X: Any) -> SomeScaling:
    """Return the scaling after samples of shape (n_samples, n_features), all of the same block."""
    n_seen = scaling.n_seen + len(X)
    if n_seen > SINGLE and n_seen % BLOCK:  # what waits is a copy: callers use arrays again
        waiting: Any = (*scaling.waiting, X.copy())
        return scaling._replace(n_seen=n_seen, waiting=waiting)
    block = _joined([*scaling.waiting, X]) if scaling.waiting else X
    return scaling._replace(n_seen=n_seen, waiting=()).after_block(block)


def scaled_in_turn(
    scaling: SomeScaling, X: Any, is_new: Mask | None = None
) -> tuple[SomeScaling, Any]:
    """Return the scaling after samples, and these, each as it is scaled when it has come.

    The scaling before is used up.

    Parameters
    ----------
    scaling : InputScaling or TargetScaling
        The scaling before.
    X : ndarray of shape (n_samples, n_features), or SparseRows
        Samples, in the order in which they came.
    is_new : ndarray of shape (n_samples,), bool, or None, default=None
        Whether each sample is new; None if all are. The first one is.
    """
    if isinstance(scaling, InputScaling):
        scaling.counts.at(scaling.n_seen)  # samples after these have been refused
    if len(X) == 1:  # most of the time of one sample is the number of calls
        scaling = scaling_after(scaling, X)
        return scaling, scaling.scaled(X)
    scaled = [scaling.scaled(X[:0])]
    new = np.arange(len(X)) if is_new is None else np.flatnonzero(is_new)
    start = done = 0
    while done < len(new):
        size = 1 if scaling.n_seen < SINGLE else BLOCK - scaling.n_seen % BLOCK
        rows = new[done : done + size]
        done += len(rows)
        end = new[done] if done < len(new) else len(X)
        before, scaling = scaling, scaling_after(scaling, X[rows])
        last = end if scaling.waiting else rows[-1]  # with which a block ends
        if last > start:
            scaled.append(before.scaled(X[start:last]))
        if end > last:
            scaled.append(scaling.scaled(X[last:end]))
        start = end
    return scaling, _joined(scaled)


class InputScaling(NamedTuple):
    """The scaling of features to input, with the statistics of the features so far.

    Attributes
    ----------
    spread : float
        g, a power of two.
    n_seen : int
        The samples so far.
    waiting : tuple of ndarray or SparseRows, of shape (.., n_features)
        Those of the block that has not ended.
    counts : FeatureCounts
        How often each feature has not been zero.
    n_known : int
        The features that have ever not been zero.
    dense : ndarray of shape (n_dense,), int64
        The dense features, in ascending order.
    scale : RunningScale
        Their scale.
    length : RunningScale
        The scale of the length of rows of sparse features.
    outlier : tuple of int and float, or None
        The feature and the value of the first reading that was far from all others.
    sparse_bits : int or None
        2 to this power is y for a row of sparse features of typical length; None if it is not
        known.
    grows : bool
        Whether the network has inputs for those features alone that have come.
    """

    spread: float
    n_seen: int
    waiting: tuple[Rows, ...]
    counts: FeatureCounts
    n_known: int
    dense: Integers
    scale: RunningScale
    length: RunningScale
    outlier: tuple[int, float] | None
    sparse_bits: int | None
    grows: bool

    @classmethod
    def unknown(cls, n_features: int, spread: float, *, grows: bool = False) -> InputScaling:
        """Return the scaling before the first sample."""
        scale, length = RunningScale.beginning(np.empty(0), LIMIT), _no_length()
        counts, dense = FeatureCounts(n_features), np.empty(0, np.int64)
        return cls(spread, 0, (), counts, 0, dense, scale, length, None, None, grows)

    def resized(self, n_features: int) -> InputScaling:
        """Return the scaling of the first features, or of more, which have been 0 so far."""
        if n_features == len(self.counts):
            return self
        counts = self.counts.resized(n_features, self.n_seen)
        n_known = int(np.count_nonzero(counts.at(self.n_seen)[:, 1] >= 0))
        kept = self.dense < n_features
        dense, scale = self.dense[kept], self.scale.take(kept)
        waiting = tuple(_resized(rows, n_features) for rows in self.waiting)
        return self._replace(
            waiting=waiting, counts=counts, n_known=n_known, dense=dense, scale=scale
        )

    def copy(self) -> InputScaling:
        """Return an independent copy."""
        counts = self.counts.resized(len(self.counts), self.n_seen)
        return self._replace(counts=counts)

    def of_all(self, rows: AllRows) -> InputScaling:
        """Return the scaling of features whose samples are all there; others are forgotten."""
        nonzero = rows.summed(_nonzero, np.add)
        dense = np.flatnonzero(DENSE_OF * nonzero > rows.total)
        new = self.unknown(len(nonzero), self.spread)
        scale, length, outlier = new.scale, new.length, None
        if len(dense):
            readings = rows.read_by(partial(_dense_readings, dense))
            scale, has_outliers, farthest = RunningScale.of_all(readings, LIMIT)
            if has_outliers.any():
                first = has_outliers.argmax()
                outlier = int(dense[first]), float(farthest[first])
        if len(dense) < np.count_nonzero(nonzero):
            length = _length_of_all(rows, dense)
        return new._replace(
            n_seen=rows.total >> rows.bits,
            counts=FeatureCounts.of_all(nonzero, rows.bits),
            n_known=int(np.count_nonzero(nonzero)),
            dense=dense,
            scale=scale,
            length=length,
            outlier=outlier,
        )._with_sparse_bits()

    @property
    def factor(self) -> Array:
        """What multiplies each feature, of shape (n_features,), before `centre` is subtracted.

        The input is `spread` times the difference. A feature that is not known has 0.
        """
        factor: Array = np.where(self._is_known, self._sparse_factor / ONE, 0.0)
        factor[self.dense] = self.scale.factor / ONE
        return factor

    @property
    def centre(self) -> Array:
        """The centre of each feature, of shape (n_features,), in deviations; 0 if it is sparse."""
        centre = np.zeros(len(self.counts))
        centre[self.dense] = self.scale.centre / ONE
        return centre

    def without_unknown(self, X: Rows) -> Rows:
        """Return features with zeros in place of those that no sample had."""
        if self.n_known == len(self.counts):
            return X
        if isinstance(X, SparseRows):
            since = self.counts.at(self.n_seen)[X.unit, 1]
            return replace(X, number=X.number * (since >= 0))
        return X * self._is_known

    def scaled(self, X: Rows) -> Any:
        """Return features as input, lists as lists."""
        unit = self.spread / ONE
        if isinstance(X, SparseRows):
            if not len(self.dense):
                number = self._sparse_units(X.number)
                number *= unit
                return SparseRows(X.begin, X.unit, number, X.n_units)
            parts = Readings.of(X, self.dense)
            others = self._sparse_units(parts.value) * unit
            rows = rows_of_entries(parts.row, parts.feature, others, X.shape)
            return rows.with_entries(self.dense, self.scale.units(parts.dense) * unit)
        if len(self.dense) == len(self.counts):
            inputs = self.scale.units(X)
        else:
            inputs = self._sparse_units(X)
            inputs[..., self.dense] = self.scale.units(X[..., self.dense])
        inputs *= unit
        return inputs

    def after_block(self, X: Rows) -> InputScaling:
        """Return the scaling after the samples of a block, of shape (n_samples, n_features)."""
        block = Readings.of(X, self.dense)
        scale, length, outlier = self.scale, self.length, self.outlier
        if len(self.dense):
            scale = self.scale.after(block.dense)
            if outlier is None:
                outlier = _first_outlier(self.scale, block.dense, self.dense)
        length = _after_rows(length, block)
        of_dense = np.add.reduce(block.dense != 0)
        n_new = self.counts.add(block.feature, 1, self.n_seen)
        if len(self.dense):
            self.counts.add(self.dense, of_dense, self.n_seen)
        n_known, n_nonzero = self.n_known + n_new, len(block.feature) + int(of_dense.sum())
        new = self._replace(scale=scale, length=length, outlier=outlier, n_known=n_known)
        are_words = 2 * n_nonzero < n_known * len(X)
        new = new._with_kinds(X, block.feature, DOUBT_OF_WORDS if are_words else DOUBT)
        # In the first samples, many others may turn out to be dense.
        return new._with_sparse_bits() if self.n_seen >= SINGLE else new

    @property
    def _is_known(self) -> Mask:
        is_known: Mask = self.counts.at(self.n_seen)[:, 1] >= 0
        return is_known

    @property
    def _sparse_factor(self) -> float:
        """The integer that a reading of 1 of a sparse feature stands for; 0 if it is not known."""
        if self.sparse_bits is None:
            return 0.0
        return math.ldexp(1.0, self.sparse_bits - int(self.length.exponent[0]))

    def _sparse_units(self, X: Array) -> Array:
        """Return y for readings of sparse features."""
        if self.sparse_bits is None:
            return np.zeros(X.shape)
        factor = self._sparse_factor
        # The factor is a power of two: it makes no difference that readings are cut before.
        limit = min(TIMES_TYPICAL << self.sparse_bits, LARGEST * ONE) / factor
        y: Array = np.minimum(X, limit)
        np.maximum(y, -limit, out=y)
        y *= factor
        return np.rint(y, out=y)

    def _with_sparse_bits(self) -> InputScaling:
        n_sparse = (self.n_known if self.grows else len(self.counts)) - len(self.dense)
        if not (n_sparse and self.length.n[0]):
            return self._replace(sparse_bits=None)
        bits = POWER * n_sparse.bit_length() // 6 + LENGTH
        longest = LONGEST_GROWING if self.grows else LONGEST
        return self._replace(sparse_bits=min(max(bits, 0), longest) + BITS)

    def _with_kinds(self, X: Rows, features: Integers, doubt: int) -> InputScaling:
        """Return the scaling with the kinds that features have after the samples of a block.

        Parameters
        ----------
        X : ndarray or SparseRows
            The block.
        features : ndarray
            Its sparse features that were not zero.
        doubt : int
            The readings that are counted besides.
        """
        nonzero, n = self.counts.shares(self.dense, self.n_seen)
        stays = SPARSE_OF * nonzero >= n
        nonzero, n = self.counts.shares(features, self.n_seen)
        turns = DENSE_OF * (nonzero - 1) > n + doubt
        if stays.all() and not turns.any():
            return self
        added = np.unique(features[turns])
        begun = RunningScale.beginning(_last_of(X, added), LIMIT)
        scale = self.scale.take(stays).joined(begun)
        dense = np.concatenate([self.dense[stays], added])
        order = np.argsort(dense)
        length = _after_rows(_no_length(), Readings.of(X, dense[order]))
        return self._replace(dense=dense[order], scale=scale.take(order), length=length)


class Readings(NamedTuple):
    """Readings of samples by the kind of their features.

    Attributes
    ----------
    dense : ndarray of shape (n_samples, n_dense)
        Those of dense features.
    row, feature, value : ndarray of shape (n,)
        Sample, feature and value of those of others that are not zero, sample by sample.
    """

    dense: Array
    row: Integers
    feature: Integers
    value: Array

    @classmethod
    def of(cls, X: Rows, dense: Integers) -> Readings:
        """Return the readings of samples, of which some features are dense."""
        if isinstance(X, np.ndarray):
            if len(dense) == X.shape[1]:
                nothing = np.empty(0, np.int64)
                return cls(X, nothing, nothing, np.empty(0))
            others = X
            if len(dense):
                others = X.copy()
                others[:, dense] = 0
            row, feature = np.nonzero(others)
            return cls(X[:, dense], row, feature, others[row, feature])
        row, feature, value = X.row_of_each, X.unit.astype(np.int64), X.number
        is_other = value != 0
        readings = np.zeros((len(X), len(dense)))
        if len(dense):
            place = np.minimum(np.searchsorted(dense, feature), len(dense) - 1)
            is_dense = dense[place] == feature
            readings[row[is_dense], place[is_dense]] = value[is_dense]
            is_other &= ~is_dense
        return cls(readings, row[is_other], feature[is_other], value[is_other])


def _joined(parts: Sequence[Any]) -> Any:
    """Return samples one behind the other; lists if some are lists."""
    if all(type(part) is np.ndarray for part in parts):
        return np.concatenate(parts)
    return joined_rows([part for part in parts if len(part)] or parts)


def _resized(X: Rows, n_features: int) -> Rows:
    """Return the first features of samples, or more, which are 0."""
    if isinstance(X, SparseRows):
        return X.resized(n_features)
    resized, n = np.zeros((len(X), n_features)), min(n_features, X.shape[1])
    resized[:, :n] = X[:, :n]
    return resized


def _last_of(X: Rows, features: Integers) -> Array:
    """Return the readings of features in the last sample."""
    last = X[-1] if isinstance(X, np.ndarray) else X[len(X) - 1 :].dense()[0]
    readings: Array = last[features]
    return readings


def _nonzero(X: Rows, weights: WholeWeights) -> Integers:
    """Return how often each feature is not zero."""
    if isinstance(X, np.ndarray):
        counts: Integers = (X != 0).T @ weights.times
        return counts
    # Sums of integers below 2^36 are exact.
    times = weights.times[X.row_of_each] * (X.number != 0)
    return np.bincount(X.unit, times, minlength=X.shape[1]).astype(np.int64)


def _no_length() -> RunningScale:
    return RunningScale.beginning(np.zeros(1), LIMIT, is_centred=False)


def _largest(readings: Readings) -> tuple[Integers, Array]:
    """Return where the entries of each row that has some begin, and its largest magnitude."""
    begin = np.flatnonzero(np.diff(readings.row, prepend=-1))
    return begin, np.maximum.reduceat(np.abs(readings.value), begin)


def _lengths(readings: Readings, begin: Integers, length: RunningScale) -> Array:
    """Return the length of each row that has entries, in whole units of the scale of lengths."""
    with np.errstate(over="ignore"):
        units = np.rint(readings.value * length.factor)
    units = units.clip(-length.limit, length.limit)
    squares = np.add.reduceat(units * units, begin)
    lengths: Array = np.floor(np.sqrt(squares))[:, np.newaxis] / length.factor
    return lengths


def _dense_readings(dense: Integers, X: Rows, weights: WholeWeights) -> tuple[Array, WholeWeights]:
    """Return the readings of dense features."""
    if isinstance(X, np.ndarray) and len(dense) == X.shape[1]:
        return X, weights
    return X[:, dense] if isinstance(X, np.ndarray) else Readings.of(X, dense).dense, weights


def _largest_entries(dense: Integers, X: Rows, weights: WholeWeights) -> tuple[Array, WholeWeights]:
    """Return the largest magnitude of each row that has entries, of shape (n_rows, 1)."""
    readings = Readings.of(X, dense)
    begin, largest = _largest(readings)
    return largest[:, np.newaxis], weights.take(readings.row[begin])


def _lengths_by(
    length: RunningScale, dense: Integers, X: Rows, weights: WholeWeights
) -> tuple[Array, WholeWeights]:
    """Return the length of each row that has entries, of shape (n_rows, 1)."""
    readings = Readings.of(X, dense)
    begin, _ = _largest(readings)
    return _lengths(readings, begin, length), weights.take(readings.row[begin])


def _most(X: Array, _weights: WholeWeights) -> Array:
    """Return the largest of readings that are not negative, of shape (1,)."""
    most: Array = np.maximum.reduce(X, initial=0.0)
    return most


def _length_of_all(rows: AllRows, dense: Integers) -> RunningScale:
    """Return the scale of lengths of rows that are all there, of which some have entries."""
    largest = rows.read_by(partial(_largest_entries, dense))
    some = largest.some
    typical = np.median(some, axis=0) if len(some) else largest.summed(_most, np.maximum)
    begun = _no_length().begun(typical)
    return begun.corrected(rows.read_by(partial(_lengths_by, begun, dense)))[0]


def _after_rows(length: RunningScale, readings: Readings) -> RunningScale:
    """Return the scale of lengths after the rows of a block."""
    if not len(readings.row):
        return length
    begin, largest = _largest(readings)
    if length.n[0] == 0:
        length = length.begun(largest[:1])
    return length.after(_lengths(readings, begin, length))


def _first_outlier(
    scale: RunningScale, readings: Array, features: Integers
) -> tuple[int, float] | None:
    """Return feature and value of the first reading that is far from all others."""
    rows, columns = np.nonzero(scale.outliers(readings))
    return (int(features[columns[0]]), float(readings[rows[0], columns[0]])) if len(rows) else None
