r"""The default settings of a network, as one table.

What a sample teaches depends on what it sends: T times its input, and T times its target. So two
steps in which 4 spikes stand for 1, and in which an output is to send some dozens, teach as much as
the paper's ten steps, from a tenth of the samples; and they stand input of half the size, or of
twice. ``docs/defaults.md`` says what was tried, and on which data.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

#: The default of a field that the table settles.
AUTOMATIC: Final[Any] = None


class Settings(NamedTuple):
    """A row of the table: fields of a definition, by their names."""

    n_steps: int
    spikes_per_unit: int
    learning_rate: float
    update: str
    weight_init: str
    label_targets: tuple[float, float]


#: Rates of "normalized" fit any number of inputs, and any size. It adds a number to squared counts
#: that supposes about as many spikes as the row sends.
NORMALIZED: Final = Settings(2, 4, 2.0**-2, "normalized", "quiet", (6.0, 36.0))
#: Where weights change at every step, or with ``update="outer"``.
FRACTIONAL: Final = Settings(2, 4, 2.0**-12, "fractional", "quiet", (6.0, 40.0))
#: For units that send one spike a step at most, and for weights of 8 bits below 1/4.
FEW_BITS: Final = Settings(8, 1, 2.0**-5, "fractional", "quiet", (0.25, 2.0))
#: "Deep Spiking Networks" (O'Connor and Welling, 2016), section 4.
PAPER: Final = Settings(10, 1, 0.01, "fractional", "paper", (0.0, 1.0))
#: One step, finely graded.
GRADED: Final = Settings(1, 8, 2.0**-15, "fractional", "quiet", (12.0, 80.0))

#: The fields, alone or in pairs, that a changed definition takes from the table again if they still
#: had the table's value.
CHOSEN_TOGETHER: Final = (
    ("n_steps", "spikes_per_unit"),
    ("learning_rate",),
    ("bounded",),
    ("weight_init",),
    ("label_targets",),
)

#: Where kernels have many output pixels, the squared counts are summed over all of them.
TIMES_WITH_KERNELS: Final = 4.0
#: That rate is too high where no kernel has more output pixels than these, however large it is.
FEW_PIXELS: Final = 16
SHARE_WITH_FEW_PIXELS: Final = 2.0**-1
#: Weights change more with one update for all steps, which later errors cannot correct, and with
#: drives, which no threshold limits, than with spike counts at every step.
SHARE_OF_LARGE_UPDATES: Final = 2.0**-2
#: With more classes, the targets of wrong outputs would together outweigh that of the right one,
#: and classes would be learned late.
FEW_OUTPUTS: Final = 10
#: With more classes, the right output is asked for more too, since its class comes seldom.
MANY_OUTPUTS: Final = 20
#: Random feedback is far larger than the weights are at first: at the full rate units fall silent.
SHARE_WITH_RANDOM_FEEDBACK: Final = 2.0**-3


def defaults(
    *,
    update: str | None,
    presynaptic: str,
    spikes: str,
    arithmetic: str,
    feedback: str,
    n_layers: int,
    n_outputs: int,
    is_dense: bool,
    most_pixels: int,
) -> dict[str, Any]:
    """Return the defaults of the fields that a definition does not name.

    Parameters
    ----------
    update, presynaptic, spikes, arithmetic, feedback : str
        The fields of that name; `update` may be None.
    n_layers, n_outputs : int
        L, and the units of layer L.
    is_dense : bool
        Whether all connections are dense.
    most_pixels : int
        The largest number of output pixels of a kernel; 0 where there is none.
    """
    row = FRACTIONAL
    if sends_few_spikes(spikes, arithmetic):
        row = FEW_BITS
    elif update in (None, "normalized") and presynaptic == "counts":
        row = NORMALIZED
        if not is_dense:
            row = row._replace(learning_rate=row.learning_rate * TIMES_WITH_KERNELS)
        if 0 < most_pixels <= FEW_PIXELS:
            row = row._replace(learning_rate=row.learning_rate * SHARE_WITH_FEW_PIXELS)
    if update is not None:
        row = row._replace(update=update)
    if update == "outer" or presynaptic == "drive":
        row = row._replace(learning_rate=row.learning_rate * SHARE_OF_LARGE_UPDATES)
    if feedback == "random":
        row = row._replace(learning_rate=row.learning_rate * SHARE_WITH_RANDOM_FEEDBACK)
    targets = targets_of_labels(row, n_layers, n_outputs)
    row = row._replace(label_targets=targets)
    return row._asdict() | {"bounded": row.update == "normalized"}


def sends_few_spikes(spikes: str, arithmetic: str) -> bool:
    """Return whether units send one spike a step or few, given the fields of these names."""
    return spikes == "binary" or arithmetic == "loihi2"


def targets_of_labels(row: Settings, n_layers: int, n_outputs: int) -> tuple[float, float]:
    """Return the targets of wrong outputs and of the right one for the size of a network."""
    wrong, right = row.label_targets
    if n_layers == 1:
        # The target of one class would drive an output below zero for the opposite input, where it
        # has no error: it would never learn its own class.
        return 0.0, right
    if n_outputs > FEW_OUTPUTS:
        wrong = round(8 * wrong * math.sqrt(FEW_OUTPUTS / n_outputs)) / 8
    if n_outputs > MANY_OUTPUTS:
        right = round(8 * right * (n_outputs / MANY_OUTPUTS) ** 0.25) / 8
    return wrong, right
