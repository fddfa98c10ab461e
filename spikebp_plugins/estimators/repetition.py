r"""Weights of samples: how often each is shown.

A sample of weight w is shown w times in an epoch. Of what is left of a whole number, epoch i shows

.. math:: \lfloor w (i + 1) + \varphi \rfloor - \lfloor w i + \varphi \rfloor

times, with a phase :math:`\varphi` of its own for each sample: so about as many as the weights sum
to are shown in each epoch. In a stream the fractions of earlier samples of the same class are
carried on.

Weights are rounded to multiples of 2^-20. So a weight of 2 does what a second copy of the sample
would, and 0 what leaving it out would, on every back end, without another rule for the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

#: Weights are multiples of this, so that their sums are exact.
UNIT: Final = 2.0**-20
#: Multiples of this, less their whole parts, are spread evenly between 0 and 1.
GOLDEN: Final = (5**0.5 - 1) / 2


class WholeWeights(NamedTuple):
    """Weights of samples as integers.

    Attributes
    ----------
    times : ndarray of shape (n_samples,), int64
        Weights times 2^bits, less than 2^36 in sum.
    bits : int
        0 for weights that are integers: they count as copies do.
    """

    times: NDArray[np.int64]
    bits: int

    @classmethod
    def of(cls, weights: NDArray[np.float64] | None, n_samples: int) -> Self:
        """Return weights as integers, of samples that count once for None."""
        if weights is None:
            return cls(np.ones(n_samples, np.int64), 0)
        room = 35 - int(np.frexp(weights.sum())[1])
        bits = 0 if np.array_equal(weights, np.rint(weights)) else max(min(20, room), 0)
        return cls(np.rint(np.ldexp(weights, bits)).astype(np.int64), bits)

    @property
    def total(self) -> int:
        """Their sum."""
        return int(self.times.sum())

    def take(self, places: Any) -> Self:
        """Return the weights of some samples."""
        return self._replace(times=self.times[places])


def rounded(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights as multiples of `UNIT`."""
    units: NDArray[np.float64] = np.rint(weights / UNIT)
    return units * UNIT


def shown_in_epoch(weights: NDArray[np.float64], epoch: int) -> NDArray[np.int64]:
    """Return the indices of the samples that an epoch, from 0, shows, in ascending order."""
    weights = rounded(weights)
    phase = (np.arange(len(weights)) * GOLDEN) % 1
    times = np.floor(weights * (epoch + 1) + phase) - np.floor(weights * epoch + phase)
    return np.repeat(np.arange(len(weights)), times.astype(np.int64))


class WeightRemainders:
    """The fractional parts of weights that a stream carries over, for each kind of sample."""

    def __init__(self) -> None:
        self._left: dict[Any, float] = {}

    def copy(self) -> WeightRemainders:
        """Return an independent copy."""
        other = WeightRemainders()
        other._left = self._left.copy()
        return other

    def shown(self, weights: NDArray[np.float64], kinds: NDArray[Any]) -> NDArray[np.int64]:
        """Return the indices of the samples that are shown, in ascending order.

        Parameters
        ----------
        weights : ndarray of shape (n_samples,)
            Weights, which are not negative.
        kinds : ndarray of shape (n_samples,)
            The kind of each sample, a class: fractions are carried over for each kind.
        """
        times = np.zeros(len(weights), np.int64)
        for kind in np.unique(kinds).tolist():
            of_kind = kinds == kind
            # From a half on, so that a fraction of more than a half shows the first sample.
            total = self._left.get(kind, 0.5) + np.cumsum(rounded(weights[of_kind]))
            whole = np.floor(total).astype(np.int64)
            times[of_kind] = np.diff(whole, prepend=0)
            self._left[kind] = float(total[-1] - whole[-1])
        return np.repeat(np.arange(len(weights)), times)
