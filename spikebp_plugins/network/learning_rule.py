r"""How weights learn, as plain numbers: rule 5 of ``docs/semantics.md`` for one definition.

Weights learn at each step, or once when a sample closes. Then

.. math::

    W_l \leftarrow W_l - r_l \, \mathrm{outer}(c_{l-1}, e_l),

where counts and errors are cut off before they teach, and the rate is fixed or divided by the
squared counts,

.. math::

    r_l = \max(1, \lfloor R_l / N_l \rfloor), \qquad N_l = a_l (T g)^2 + \sum_i m_i c_{l-1,i}^2.

Unit i meets the weights of the connection m_i times: once, or as often as a kernel lies on it. That
is the normalized rule of least mean squares (Nagumo and Noda, 1967): an update moves the drive of a
sample by a share of its error that does not depend on how many units spike below, or how often.

What is sent is not cut off. So a sample with one wrong reading of any size teaches at most what one
of the largest usual size would. A fixed rate does not fall where counts are large. There the gain
of an update, :math:`r_l \sum_i m_i c_{l-1,i}^2`, is how much it moves the drive of its sample for
an error of 1. Above 2, a sample that is repeated would be missed by more each time. Bounded weights
do not learn from an update of nearly such a gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

#: With normalized updates the rate of layers below the output is lower by this many bits.
HIDDEN_RATE_BITS: Final = 2
#: There: the numbers that are added to the squared counts of the input, and of the layers above, in
#: units of (T g)**2. With small ones, input of half the size would change weights as much.
ADDED_SQUARES: Final = (4, 24)


#: Where counts are cut off, in units of g a step, for T steps or as many more as a sample has.
LARGEST_COUNT_A_STEP: Final = 16
#: Where errors of hidden layers are, for T steps: they grow with the weights above.
LARGEST_HIDDEN_ERROR_A_STEP: Final = 8
#: Where errors of the output are, as counts, but not below so many times the largest target.
LARGEST_OUTPUT_ERROR_A_STEP: Final = 16
TIMES_TARGET: Final = 2
#: Up to which gain weights learn at a fixed rate. Where they learn at each step it is that of T
#: steps of input, and more in proportion where a sample has more: each step moves less of it.
LARGEST_GAIN: Final = 1.25

#: The largest magnitude of the spike count with which a synapse on a chip learns.
LARGEST_TRACE: Final = 127

#: No count and no sum of errors that stays in range is beyond this.
ENDLESS: Final = 2**63 - 1
#: No squared counts and no gain are as large as the next: below it doubles are exact.
LARGEST_INTEGER: Final = 2**53 - 1
#: The largest part of a limit that is for one step: times any number of steps it fits 64 bits.
MOST_PER_STEP: Final = 2**31


class Limit(NamedTuple):
    """A limit of a magnitude, which may be larger the longer a sample is.

    Attributes
    ----------
    least : int
        The limit of samples that are not too long.
    per_step : int
        That of one step: all steps of input together may have a limit above `least`.
    """

    least: int
    per_step: int = 0

    def after(self, n_steps: int) -> int:
        """Return the limit after so many steps of input."""
        return max(self.least, self.per_step * n_steps)


UNLIMITED: Final = Limit(ENDLESS)


class WeightRule(NamedTuple):
    """How W_l learns.

    Attributes
    ----------
    rate : int
        The rate in units of the last place, or R_l if it is divided.
    added_squares : int
        :math:`a_l (T g)^2`; 0 if the rate is not divided.
    error_limit : Limit
        Where errors, of a step or summed, are cut off.
    """

    rate: int
    added_squares: int
    error_limit: Limit

    def divided_rate(self, squares: int) -> int:
        """Return r_l for the squared counts of a sample, each as often as it meets the weights."""
        return max(1, self.rate // (self.added_squares + squares))


@dataclass(frozen=True)
class LearningRule:
    """How a network learns: all that a back end has to know of it.

    Attributes
    ----------
    learns_once : bool
        Whether errors are summed, and weights learn once, when a sample closes.
    count_limit : Limit
        Where counts are cut off.
    gain_limit : Limit
        Up to which gain, in units of the last place, a connection learns from an update.
    weights : tuple of WeightRule
        The rules of W_1 to W_L.
    """

    learns_once: bool
    count_limit: Limit
    gain_limit: Limit
    weights: tuple[WeightRule, ...]

    @property
    def divides_rate(self) -> bool:
        """Whether each sample divides the rates by its squared counts."""
        return self.weights[0].added_squares > 0

    @property
    def cuts_off(self) -> bool:
        """Whether counts are cut off; then errors may be too."""
        return self.count_limit != UNLIMITED

    @property
    def limits_gain(self) -> bool:
        """Whether there are updates from which a connection does not learn."""
        return self.gain_limit != UNLIMITED

    @property
    def reads_squares(self) -> bool:
        """Whether an update depends on the squared counts of its sample."""
        return self.divides_rate or self.limits_gain

    def learns_from(self, l: int, squares: int, n_steps: int) -> bool:
        """Return whether W_l learns from counts with these squares, after so many steps of input.

        `squares` counts each unit as often as it meets the weights.
        """
        most = min(self.gain_limit.after(n_steps), LARGEST_INTEGER)
        return not self.limits_gain or self.weights[l - 1].rate * squares <= most


def learning_rule_of(
    *,
    update: str,
    bounded: bool,
    is_chip: bool,
    rate: int,
    n_layers: int,
    n_steps: int,
    spikes_per_unit: int,
    fraction_bits: int,
    label_targets: tuple[float, float],
) -> LearningRule:
    """Return the rule by which a definition learns.

    Parameters
    ----------
    update, bounded, n_layers, n_steps, spikes_per_unit, fraction_bits, label_targets : object
        The fields of that name, and L.
    is_chip : bool
        Whether the arithmetic is that of a chip.
    rate : int
        The rate in units of the last place, before it is divided.
    """
    is_normalized, T, g = update == "normalized", n_steps, spikes_per_unit
    counts = of_hidden = of_output = gain = UNLIMITED
    if bounded and not is_normalized:
        most = int(LARGEST_GAIN * 2**fraction_bits)
        gain = Limit(most, 0 if update == "outer" else most // T)
    elif bounded:
        asked = math.ceil(min(TIMES_TARGET * max(map(abs, label_targets)), MOST_PER_STEP))
        each = max(LARGEST_OUTPUT_ERROR_A_STEP * g, asked)
        counts = Limit(LARGEST_COUNT_A_STEP * T * g, LARGEST_COUNT_A_STEP * g)
        of_hidden, of_output = Limit(LARGEST_HIDDEN_ERROR_A_STEP * T * g), Limit(each * T, each)
    if is_chip:
        counts = Limit(LARGEST_TRACE)

    def rule_of(l: int) -> WeightRule:
        is_output = l == n_layers
        limit = of_output if is_output else of_hidden
        if not is_normalized:
            return WeightRule(rate, 0, limit)
        added = ADDED_SQUARES[l > 1] * (T * g) ** 2
        return WeightRule(rate >> (0 if is_output else HIDDEN_RATE_BITS), added, limit)

    weights = tuple(map(rule_of, range(1, n_layers + 1)))
    return LearningRule(update != "fractional", counts, gain, weights)
