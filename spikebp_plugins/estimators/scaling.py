r"""Features of any size as input that sends some spikes a step: a power of two and a centre.

.. math::

    x_i' = g \, (2^{e_i} x_i - m_i), \qquad e_i = -\mathrm{rint}(\log_2 \sigma_i)

with the input g for a deviation, the deviation :math:`\sigma_i` of the feature, and its mean
:math:`m_i`, in units of :math:`2^{-e_i}` and rounded to eighths. A stream finds mean and deviation
as it goes. It takes a new exponent, or centre, when the old one is off by more than three quarters
of a unit, so that the network seldom sees its input change. A feature that has not varied yet is 0.

In a stream every operation is one of IEEE doubles, of single features: so it is the same on every
machine. The means of `fit` may differ in their last bits, which exponents and centres seldom show.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.sparsefuncs import mean_variance_axis

from spikebp_plugins.estimators.samples import is_sparse

Array = NDArray[np.float64]

#: Centres are multiples of this.
GRID: Final = 1 / 8
#: The tolerance of an exponent, and of a centre in units of `GRID`.
TOLERANCE: Final = 0.75
#: A variance below this share of the squared mean is an error of rounding.
NEGLIGIBLE: Final = 1e-24


class InputScaling(NamedTuple):
    """The scaling of features to input, with the statistics of the features so far.

    Attributes
    ----------
    spread : float
        g, a power of two.
    factor : ndarray of shape (n_features,)
        :math:`2^{e_i}`, or 0 for a feature that has not varied.
    centre : ndarray of shape (n_features,)
        :math:`m_i`.
    n_seen : float
        Samples seen, each with its weight.
    mean, squares : ndarray of shape (n_features,)
        Their mean, and the sum of their squared distances from it.
    """

    spread: float
    factor: Array
    centre: Array
    n_seen: float
    mean: Array
    squares: Array

    @classmethod
    def unknown(cls, n_features: int, spread: float) -> InputScaling:
        """Return the scaling before the first sample."""
        nothing = np.zeros(n_features)
        return cls(spread, nothing, nothing, 0, nothing, nothing)

    def resized(self, n_features: int) -> InputScaling:
        """Return the scaling of the first features, or of more, which have been 0 so far."""
        if n_features == len(self.mean):
            return self
        arrays: dict[str, Any] = {}
        for name in ("factor", "centre", "mean", "squares"):
            values = getattr(self, name)[:n_features]
            arrays[name] = np.pad(values, (0, n_features - len(values)))
        return self._replace(**arrays)

    def of_all(self, X: Any, weights: Array | None) -> InputScaling:
        """Return the scaling of features whose samples are all there; others are forgotten.

        Parameters
        ----------
        X : ndarray or sparse matrix of shape (n_samples, n_features)
            Features.
        weights : ndarray of shape (n_samples,) or None
            The weight of each sample; None for equal weights.
        """
        if is_sparse(X):
            mean, variance = mean_variance_axis(X, axis=0, weights=weights)
        else:
            mean = np.average(X, axis=0, weights=weights)
            variance = np.average((X - mean) ** 2, axis=0, weights=weights)
        n = X.shape[0] if weights is None else float(weights.sum())
        unknown = self.unknown(X.shape[1], self.spread)
        seen = unknown._replace(n_seen=n, mean=mean, squares=variance * n)
        return seen._renewed()

    def after(self, x: Array) -> InputScaling:
        """Return the scaling after another sample, of shape (n_features,)."""
        n = self.n_seen + 1
        distance = x - self.mean
        mean = self.mean + distance / n
        squares = self.squares + distance * (x - mean)
        return self._replace(n_seen=n, mean=mean, squares=squares)._renewed()

    def in_turn(
        self, X: Array, is_new: NDArray[np.bool_] | None = None
    ) -> tuple[InputScaling, Array]:
        """Return the scaling after samples, and these as input, each scaled by what came so far.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Features, in the order in which they came.
        is_new : ndarray of shape (n_samples,), bool, or None, default=None
            Whether each sample is new; None if all are.

        Returns
        -------
        InputScaling, ndarray of shape (n_samples, n_features)
        """
        scaling, scaled = self, np.empty(X.shape)
        for i, (x, inputs) in enumerate(zip(X, scaled, strict=True)):
            if is_new is None or is_new[i]:
                scaling = scaling.after(x)
            inputs[:] = scaling.scaled(x)
        return scaling, scaled

    def scaled(self, X: Array) -> Array:
        """Return features as input."""
        inputs: Array = (X * self.factor - self.centre) * self.spread
        return inputs

    def restored(self, inputs: Array) -> Array:
        """Return the features that are scaled to some input, of shape (n_samples, n_features).

        Of a feature that has not varied it is the mean.
        """
        varies = self.factor > 0
        known = (inputs / self.spread + self.centre) / np.where(varies, self.factor, 1)
        features: Array = np.where(varies, known, self.mean)
        return features

    def _renewed(self) -> InputScaling:
        variance = self.squares / self.n_seen
        share = variance * (self.factor * self.factor)  # of a unit; 0 if it is not known
        is_off = (share > 2 ** (2 * TOLERANCE)) | (share < 2 ** (-2 * TOLERANCE))
        is_off &= variance > NEGLIGIBLE * (self.mean * self.mean)
        factor, centre = self.factor, self.centre
        if is_off.any():
            # rint(log2 of the deviation) is half of p, rounded down, for a variance of m 2^p with m
            # from 1/2 up to 1.
            _, exponent = np.frexp(variance)
            factor = np.where(is_off, np.ldexp(1.0, -(exponent // 2)), factor)
            before = np.where(self.factor > 0, self.factor, factor)
            centre = centre * (factor / np.where(before > 0, before, 1.0))
        at = self.mean * factor
        is_off = np.abs(at - centre) > TOLERANCE * GRID
        if is_off.any():
            centre = np.where(is_off, np.rint(at / GRID) * GRID, centre)
        return self._replace(factor=factor, centre=centre)
