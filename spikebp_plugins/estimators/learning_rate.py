r"""The automatic learning rate of an estimator, which follows the errors of its network.

.. math:: \eta = 2 \, \eta_0 \, 2^{-\lfloor b / 2 \rfloor - h}

with the rate :math:`\eta_0` of the table of defaults, and h of four marks passed: 128, 384, 1,152
and 3,456 samples, times :math:`2^b`. Of K classes each comes once in K samples, and what moves all
outputs moves it too far: from 20 classes on, b is the integer part of :math:`\log_2 (K / 20)`, and
otherwise 0. In epochs, which have the same samples, the rate is halved further where `fit` finds no
gain. In a stream the count begins anew after a label that has not come before, and when errors
rise. That is so if

.. math:: p + s > p_{min} + 2.5 \, s_{min}

with the mean error p of the samples since then, at least 30, and its standard error s; those at the
least p + s so far have the index min. J. Gama and others ("Learning with Drift Detection", 2004)
warn of a change at 2, and are sure of it at 3. An error is 1 for a wrong class; for numbers, it is
their distance. All is computed in integers, of which 2^20 stand for 1, so that a board that follows
its errors takes the same rates. The rate changes after each 8 samples at most, so that simulators
work in blocks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self

#: The initial rate of a stream, as a multiple of the rate in the table of defaults.
TIMES_AT_FIRST: Final = 2.0
#: The samples after which the rate is halved, of up to `TYPICAL_CLASSES` classes.
MARKS: Final[tuple[int, ...]] = tuple(128 * 3**i for i in range(4))
#: With twice as many classes marks are twice as far.
TYPICAL_CLASSES: Final = 20
#: The most halvings in epochs without gain.
MOST_HALVED: Final = 2
#: Errors are checked after so many samples.
INTERVAL: Final = 8
#: The rate rises once the mean error has risen by so many halves of a standard error.
HALVES_OF_RISE: Final = 5
#: The fewest samples whose mean error is significant.
FEWEST: Final = 30
#: An error of 1, as an integer.
ONE: Final = 1 << 20
#: Sums of so many errors are halved.
MOST_ERRORS: Final = 1 << 20
#: More than any p + s.
NOT_YET: Final = 1 << 60


class LearningRate(NamedTuple):
    """A learning rate that falls with the errors it has observed.

    Attributes
    ----------
    first : float
        The rate before the first mark.
    is_fixed : bool
        Whether it stays so.
    n_classes : int
        The classes that are known, from the start or after the last interval; 0 for numbers.
    in_stream : bool
        Whether samples come once, and may be of another kind than those before. An epoch has the
        samples of the epoch before.
    n_seen : int
        All samples so far.
    n_samples : int
        Samples since the count began anew.
    n_halved : int
        Halvings after epochs without gain.
    n_errors : int
        The number of their errors that count.
    total, squares : int
        The sums of these errors, and of their squares.
    least, margin : int
        The least p + s so far, and the standard error then.
    labels : frozenset of int
        The labels that have come.
    begins_anew : bool
        Whether the count does after the present block.
    """

    first: float
    is_fixed: bool
    n_classes: int = 0
    in_stream: bool = True
    n_seen: int = 0
    n_samples: int = 0
    n_halved: int = 0
    n_errors: int = 0
    total: int = 0
    squares: int = 0
    least: int = NOT_YET
    margin: int = 0
    labels: frozenset[int] = frozenset()
    begins_anew: bool = False

    @property
    def now(self) -> float:
        """The rate of the next sample."""
        if self.is_fixed:
            return self.first
        doubled = self.doubled
        passed = sum(mark << doubled <= self.n_samples for mark in MARKS)
        return math.ldexp(self.first, -(doubled // 2 + passed + self.n_halved))

    @property
    def low(self) -> float:
        """The rate after the last mark, for few classes."""
        return self.first if self.is_fixed else math.ldexp(self.first, -len(MARKS))

    @property
    def lowest(self) -> float:
        """The rate after the last mark, and after all halvings in epochs."""
        if self.is_fixed:
            return self.first
        return math.ldexp(self.low, -(self.doubled // 2 + MOST_HALVED))

    @property
    def doubled(self) -> int:
        """How often `TYPICAL_CLASSES` are doubled for the classes so far: b."""
        return max(0, (self.n_classes // TYPICAL_CLASSES).bit_length() - 1)

    def lasts(self, n_samples: int) -> int:
        """Return the number of next samples that are guaranteed to learn at the present rate."""
        if self.is_fixed:
            return n_samples
        doubled = self.doubled
        ahead = [n for mark in MARKS if (n := (mark << doubled) - self.n_samples) > 0]
        if self.in_stream:
            ahead.append(INTERVAL - self.n_seen % INTERVAL)
        return min([n_samples, *ahead])

    @property
    def may_be_halved(self) -> bool:
        """Whether it is halved after epochs without gain."""
        return not self.is_fixed and self.n_halved < MOST_HALVED

    def halved(self) -> Self:
        """Return the rate after epochs without gain."""
        return self._replace(n_halved=self.n_halved + 1)

    def beginning(self) -> Self:
        """Return the rate before the first epoch, or before a stream."""
        return self._replace(n_halved=0)

    def forgetting(self, *, in_stream: bool) -> Self:
        """Return the rate without the errors so far, for samples that come once or in epochs."""
        return self._replace(in_stream=in_stream, n_errors=0, total=0, squares=0, least=NOT_YET)

    def after(self, errors: NDArray[Any], labels: NDArray[Any] | None = None) -> Self:
        """Return the rate after samples, which `lasts` allowed to be learned at the present one.

        Parameters
        ----------
        errors : ndarray of shape (n_samples,)
            The error of the network on each sample.
        labels : ndarray of shape (n_samples,), int, or None, default=None
            Their labels, if they have any.
        """
        if self.is_fixed:
            return self
        n, total, squares = self.n_errors, self.total, self.squares
        least, margin = self.least, self.margin
        has_risen = self.begins_anew
        for error in map(int, np.rint(errors * float(ONE)).tolist()):
            n, total, squares = n + 1, total + error, squares + error * error
            if n >= MOST_ERRORS:
                n, total, squares = n >> 1, total >> 1, squares >> 1
            if n >= FEWEST:
                mean = total // n
                deviation = math.isqrt(max(0, squares // n - mean * mean) // n)
                if mean + deviation < least:
                    least, margin = mean + deviation, deviation
                rise = mean + deviation - least + margin
                has_risen |= 2 * rise > HALVES_OF_RISE * margin
        known = self.labels if labels is None else self.labels | frozenset(labels.tolist())
        has_risen |= len(known) > len(self.labels)
        after = self._replace(
            n_seen=self.n_seen + len(errors),
            n_samples=self.n_samples + len(errors),
            n_errors=n,
            total=total,
            squares=squares,
            least=least,
            margin=margin,
            labels=known,
            begins_anew=has_risen and self.in_stream,
        )
        if after.n_seen % INTERVAL:
            return after
        after = after._replace(n_classes=max(self.n_classes, len(known)))
        if after.begins_anew:
            return after.forgetting(in_stream=True)._replace(n_samples=0, begins_anew=False)
        return after
