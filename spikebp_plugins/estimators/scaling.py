r"""Features of any size as input that sends some spikes a step, found as they come.

A feature is of one of two kinds. A dense one is centred, and divided by about its deviation:

.. math:: x_i' = g \, 2^{-10} y_i

with the integer y of its `RunningScale`, and the input g for a deviation. A sparse one, as a word
or a column of a one-hot code, is mostly zero. It is neither centred nor divided by its own
deviation, which would make loud what is rare. One power of two multiplies all of them:

.. math:: y_i = \mathrm{rint}(2^{10 + k - e} x_i), \quad k = \max(\lfloor 5 p / 6 \rfloor - 5, 0)

Here :math:`2^e` is about the root mean square of the lengths of rows of sparse features, and p the
number of bits of the number of these features. An entry is cut at twice that length.

A feature is sparse until more than a quarter of its readings are not zero, of those since the first
that was not, and again once that is less than a sixth. Readings come in blocks, one of each of the
first 16, and then 16 each. Kinds and scales change at the end of a block. All sums are integers, so
that every machine, and a board, finds the same scaling.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.estimators.repetition import WholeWeights
from spikebp_plugins.estimators.running_scale import (
    BITS,
    ONE,
    Integers,
    Mask,
    RunningScale,
)
from spikebp_plugins.estimators.samples import COLUMNS_AT_ONCE, is_sparse
from spikebp_plugins.estimators.target_scaling import TargetScaling

Array = NDArray[np.float64]

#: The first blocks, which are of one sample, and the samples of the others.
SINGLE: Final = 16
BLOCK: Final = 16
#: The deviations at which dense features are cut.
LIMIT: Final = 4
#: A feature is dense if more than one of so many readings is not zero, one more aside, and if
#: there are so many.
DENSE_OF: Final = 4
FEWEST: Final = 3
#: A feature is sparse again if less than one of so many readings is not zero.
SPARSE_OF: Final = 6
#: Counts of readings are halved once there were so many.
MOST_READINGS: Final = 1 << 9
#: The typical length of a row of n sparse features is 2^LENGTH times n to the power of POWER / 6,
#: and at least 1, in deviations of dense ones.
LENGTH: Final = -5
POWER: Final = 5
#: An entry is cut at this times the typical length.
LONGEST: Final = 2


SomeScaling = TypeVar("SomeScaling", "InputScaling", TargetScaling)


def scaling_after(scaling: SomeScaling, X: Array) -> SomeScaling:
    """Return the scaling after samples of shape (n_samples, n_features), all of the same block."""
    n_seen = scaling.n_seen + len(X)
    block = np.concatenate([scaling.waiting, X]) if len(scaling.waiting) else X
    if n_seen > SINGLE and n_seen % BLOCK:
        return scaling._replace(n_seen=n_seen, waiting=block)
    return scaling._replace(n_seen=n_seen, waiting=block[:0]).after_block(block)


def scaled_in_turn(
    scaling: SomeScaling, X: Array, is_new: Mask | None = None
) -> tuple[SomeScaling, Array]:
    """Return the scaling after samples, and these, each as it is scaled when it has come.

    Parameters
    ----------
    scaling : InputScaling or TargetScaling
        The scaling before.
    X : ndarray of shape (n_samples, n_features)
        Samples, in the order in which they came.
    is_new : ndarray of shape (n_samples,), bool, or None, default=None
        Whether each sample is new; None if all are. The first one is.
    """
    if len(X) == 1:  # most of the time of one sample is the number of calls
        scaling = scaling_after(scaling, X)
        return scaling, scaling.scaled(X)
    scaled = np.empty(X.shape)
    new = np.arange(len(X)) if is_new is None else np.flatnonzero(is_new)
    start = done = 0
    while done < len(new):
        size = 1 if scaling.n_seen < SINGLE else BLOCK - scaling.n_seen % BLOCK
        rows = new[done : done + size]
        done += len(rows)
        end = new[done] if done < len(new) else len(X)
        before, scaling = scaling, scaling_after(scaling, X[rows])
        last = rows[-1] if not len(scaling.waiting) else end  # with which a block ends
        if last > start:
            scaled[start:last] = before.scaled(X[start:last])
        if end > last:
            scaled[last:end] = scaling.scaled(X[last:end])
        start = end
    return scaling, scaled


class InputScaling(NamedTuple):
    """The scaling of features to input, with the statistics of the features so far.

    Attributes
    ----------
    spread : float
        g, a power of two.
    n_seen : int
        The samples so far.
    waiting : ndarray of shape (n_waiting, n_features)
        Those of the block that has not ended.
    nonzero, since : ndarray of shape (n_features,), int64
        The readings that were not zero, and the number of samples when the first of them had come;
        -1 if none has.
    dense : ndarray of shape (n_dense,), int64
        The dense features, in ascending order.
    scale : RunningScale
        Their scale.
    length : RunningScale
        The scale of the length of rows of sparse features.
    outlier : tuple of int and float, or None
        The feature and the value of the first reading that was far from all others.
    multiplier, offset, limit : ndarray of shape (n_features,)
        y is the product with the multiplier, rounded, without the offset, and cut at the limit.
    """

    spread: float
    n_seen: int
    waiting: Array
    nonzero: Integers
    since: Integers
    dense: Integers
    scale: RunningScale
    length: RunningScale
    outlier: tuple[int, float] | None
    multiplier: Array
    offset: Array
    limit: Array

    @classmethod
    def unknown(cls, n_features: int, spread: float) -> InputScaling:
        """Return the scaling before the first sample."""
        nothing, zeros = np.zeros(n_features, np.int64), np.zeros(n_features)
        scale = RunningScale.beginning(np.empty(0), LIMIT)
        waiting, dense = np.empty((0, n_features)), nothing[:0]
        seen = (0, waiting, nothing, nothing - 1, dense, scale, _no_length(), None)
        return cls(spread, *seen, zeros, zeros, zeros)

    def resized(self, n_features: int) -> InputScaling:
        """Return the scaling of the first features, or of more, which have been 0 so far."""
        more = n_features - len(self.nonzero)
        if more == 0:
            return self
        widths = ((0, 0), (0, max(more, 0)))
        changes: dict[str, Any] = {
            name: np.pad(getattr(self, name)[..., :n_features], widths[-getattr(self, name).ndim :])
            for name in ("waiting", "nonzero", "multiplier", "offset", "limit")
        }
        since = np.pad(self.since[:n_features], widths[1], constant_values=-1)
        kept = self.dense < n_features
        dense, scale = self.dense[kept], self.scale.take(kept)
        return self._replace(**changes, since=since, dense=dense, scale=scale)

    def of_all(self, X: Any, weights: Array | None) -> InputScaling:
        """Return the scaling of features whose samples are all there; others are forgotten.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (n_samples, n_features)
            Features.
        weights : ndarray of shape (n_samples,) or None
            The weight of each sample; None for equal weights.
        """
        whole = WholeWeights.of(weights, X.shape[0])
        nonzero = (X != 0).T @ whole.times
        is_dense = DENSE_OF * nonzero > whole.total
        dense = np.flatnonzero(is_dense)
        new = self.unknown(X.shape[1], self.spread)
        scale, outlier = new.scale, None
        for start in range(0, len(dense), COLUMNS_AT_ONCE):
            columns = dense[start : start + COLUMNS_AT_ONCE]
            readings = _as_array(X[:, columns])
            found = RunningScale.of_all(readings, whole, LIMIT)
            outlier = outlier or _first_outlier(found, readings, columns, are_all=True)
            scale = scale.joined(found)
        length = new.length if len(dense) == len(is_dense) else _length_of_all(X, dense, whole)
        return new._replace(
            n_seen=whole.total >> whole.bits,
            nonzero=nonzero >> whole.bits,
            since=np.where(nonzero > 0, 0, -1),
            dense=dense,
            scale=scale,
            length=length,
            outlier=outlier,
        )._with_factors(shows_sparse=True)

    @property
    def factor(self) -> Array:
        """What multiplies each feature, of shape (n_features,), before `centre` is subtracted.

        The input is `spread` times the difference. A feature that is not known has 0.
        """
        return self.multiplier / ONE

    @property
    def centre(self) -> Array:
        """The centre of each feature, of shape (n_features,), in deviations; 0 if it is sparse."""
        return self.offset / ONE

    def scaled(self, X: Any) -> Any:
        """Return features as input; a sparse matrix as a sparse one if all features are sparse."""
        unit = self.spread / ONE
        if is_sparse(X) and not len(self.dense):
            limit = self.limit[X.indices]
            with np.errstate(over="ignore"):
                y = np.rint(X.data * self.multiplier[X.indices])
            return type(X)((y.clip(-limit, limit) * unit, X.indices, X.indptr), X.shape)
        with np.errstate(over="ignore"):  # what is infinite will be cut
            inputs = np.rint(_as_array(X) * self.multiplier)
        inputs -= self.offset
        np.maximum(inputs, -self.limit, out=inputs)
        np.minimum(inputs, self.limit, out=inputs)
        inputs *= unit
        return inputs

    def after_block(self, X: Array) -> InputScaling:
        """Return the scaling after the samples of a block, of shape (n_samples, n_features)."""
        are_all_dense = len(self.dense) == len(self.nonzero)
        readings = X if are_all_dense else X[:, self.dense]
        scale, length, outlier = self.scale.after(readings), self.length, self.outlier
        if outlier is None:
            outlier = _first_outlier(self.scale, readings, self.dense)
        if not are_all_dense:
            length = _after_rows(length, _sparse_part(X, self.dense))
        nonzero = self.nonzero + np.add.reduce(X != 0)
        new = self._replace(scale=scale, length=length, outlier=outlier, nonzero=nonzero)
        shows_sparse = self.n_seen >= SINGLE  # before that, many others may turn out to be dense
        return new._with_kinds(X)._with_factors(shows_sparse=shows_sparse)

    def _with_factors(self, *, shows_sparse: bool) -> InputScaling:
        n_sparse = int(np.count_nonzero(self.since >= 0)) - len(self.dense)
        if shows_sparse and n_sparse and self.length.n[0]:
            bits = max(POWER * n_sparse.bit_length() // 6 + LENGTH, 0) + BITS
            is_known = self.since >= 0
            multiplier = np.where(is_known, np.ldexp(1.0, bits - int(self.length.exponent[0])), 0.0)
            limit = np.where(is_known, float(LONGEST << bits), 0.0)
        else:
            multiplier, limit = np.zeros((2, len(self.since)))
        offset = np.zeros(len(self.since))
        multiplier[self.dense] = self.scale.factor
        offset[self.dense] = self.scale.centre * (self.scale.n > 0)
        limit[self.dense] = self.scale.limit
        return self._replace(multiplier=multiplier, offset=offset, limit=limit)

    def _with_kinds(self, X: Array) -> InputScaling:
        """Return the scaling with the kinds that features have after the samples of a block."""
        since = np.where((self.nonzero > 0) & (self.since < 0), self.n_seen, self.since)
        n = np.where(since < 0, 0, self.n_seen - since)
        is_full = n >= MOST_READINGS
        n, nonzero = n >> is_full, self.nonzero >> is_full
        since = np.where(is_full, self.n_seen - n, since)
        was_dense = np.zeros(len(n), np.bool_)
        was_dense[self.dense] = True
        is_dense = np.where(
            was_dense,
            SPARSE_OF * nonzero >= n,
            (nonzero >= FEWEST) & (DENSE_OF * (nonzero - 1) > n),
        )
        new = self._replace(nonzero=nonzero, since=since)
        return new if np.array_equal(was_dense, is_dense) else new._with_dense(is_dense, X)

    def _with_dense(self, is_dense: Mask, X: Array) -> InputScaling:
        """Return the scaling with other dense features; those that are new begin with a block."""
        dense = np.flatnonzero(is_dense)
        kept = is_dense[self.dense]
        added = np.setdiff1d(dense, self.dense)
        begun = RunningScale.beginning(X[-1, added], LIMIT)
        scale = self.scale.take(kept).joined(begun)
        order = np.argsort(np.concatenate([self.dense[kept], added]))
        length = _after_rows(_no_length(), _sparse_part(X, dense))
        return self._replace(dense=dense, scale=scale.take(order), length=length)


def _no_length() -> RunningScale:
    return RunningScale.beginning(np.zeros(1), LIMIT, is_centred=False)


def _as_array(X: Any) -> Array:
    array: Array = X.toarray() if is_sparse(X) else X
    return array


def _sparse_part(X: Any, dense: Integers) -> Any:
    """Return samples with zeros for dense features."""
    part = X.copy()
    if is_sparse(X):
        part.data[np.isin(X.indices, dense)] = 0
    else:
        part[:, dense] = 0
    return part


def _largest(part: Any) -> Array:
    """Return the largest magnitude of each row."""
    largest = np.abs(part).max(axis=1)
    return np.asarray(_as_array(largest), np.float64).ravel()


def _lengths(part: Any, length: RunningScale) -> Array:
    """Return the length of each row, in whole units of the scale of lengths."""

    def units(values: Array) -> Array:
        with np.errstate(over="ignore"):
            rounded: Array = np.rint(values * length.factor)
        return rounded.clip(-length.limit, length.limit)

    if is_sparse(part):
        rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        squared = np.bincount(rows, units(part.data) ** 2, minlength=part.shape[0])
    else:
        squared = np.add.reduce(units(part) ** 2, axis=1)
    lengths: Array = np.floor(np.sqrt(squared)) / length.factor
    return lengths


def _length_of_all(X: Any, dense: Integers, weights: WholeWeights) -> RunningScale:
    """Return the scale of lengths of rows that are all there."""
    part, length = _sparse_part(X, dense), _no_length()
    largest = _largest(part)
    has_length = largest > 0
    if not has_length.any():
        return length
    lengths = _lengths(part, length.begun(np.array([np.median(largest[has_length])])))
    some, times = lengths[has_length, np.newaxis], weights.take(has_length)
    return RunningScale.of_all(some, times, LIMIT, is_centred=False)


def _after_rows(length: RunningScale, part: Array) -> RunningScale:
    """Return the scale of lengths after the rows of a block."""
    largest = _largest(part)
    has_length = largest > 0
    if not has_length.any():
        return length
    if length.n[0] == 0:
        length = length.begun(largest[has_length][:1])
    return length.after(_lengths(part[has_length], length)[:, np.newaxis])


def _first_outlier(
    scale: RunningScale, readings: Array, features: Integers, *, are_all: bool = False
) -> tuple[int, float] | None:
    """Return feature and value of the first reading that is far from all others.

    Where all readings are known, and most of a feature are equal, the others are rare, not wrong.
    """
    is_far = scale.outliers(readings)
    if are_all:
        for i in np.flatnonzero(is_far.any(axis=0)):
            of_one = readings[:, i]
            is_far[:, i] &= 2 * np.count_nonzero(of_one == np.median(of_one)) <= len(of_one)
    rows, columns = np.nonzero(is_far)
    return (int(features[columns[0]]), float(readings[rows[0], columns[0]])) if len(rows) else None
