"""The best dense network on MNIST: one sample at a time, no image moved, turned or noised.

All that helped beyond the paper is joined: wide layers, few steps, targets far apart, outputs that
begin silent, a rate that is halved, and weights that are averaged over the last epochs.
"""

from __future__ import annotations

from typing import Any, Final

from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

#: Sizes of the hidden layers of the best network.
HIDDEN_LAYERS: Final = (800, 800)

#: Test errors of others' dense spiking networks, in percent.
LEE_2016: Final = 1.12
HM2_BP: Final = 1.07

#: Fraction bits with which the grid holds the last rate, and 32 bits the weights.
FRACTION_BITS: Final = 21

_QUIET: Final[dict[str, Any]] = {"n_steps": 5, "weight_init": "quiet"}

VARIANTS: Final = {
    "800-800": Variant(
        12.0,
        (4, 7, 10, 12),
        _QUIET | {"learning_rate": 0.002},
        average=4,
        others=1.0,
        epochs=14,
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    return compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            f"Lee, Delbruck and Pfeiffer (2016): {LEE_2016} %.",
            f"HM2-BP (Jin, Zhang and Li, 2018), 784-800-10: {HM2_BP} %.",
        ],
        line=(LEE_2016, "Lee and others, 2016"),
        name="dense",
        fraction_bits=FRACTION_BITS,
    )
