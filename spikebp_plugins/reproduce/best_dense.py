"""The best dense network on MNIST: one sample at a time, no image moved, turned or noised.

Wide layers, few steps, targets far apart, outputs that begin silent, and a rate that is halved.
Steps and epochs are chosen on training images that are held out.
"""

from __future__ import annotations

from typing import Any, Final

from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

#: Sizes of the hidden layers.
HIDDEN_LAYERS: Final = (800, 800)

#: Test errors of others' dense spiking networks, in percent.
LEE_2016: Final = 1.12
HM2_BP: Final = 1.07

#: After which parts of all epochs the rate is halved.
HALVED_AT: Final = (0.4, 0.6, 0.75, 0.85)

#: Each grid holds the last rate, and 32 bits hold the weights on it.
ONE_STEP: Final[dict[str, Any]] = {
    "n_steps": 1,
    "spikes_per_unit": 8,
    "learning_rate": 2.0**-16,
    "fraction_bits": 20,
    "weight_init": "quiet",
    "label_targets": (16.0, 80.0),
}
FIVE_STEPS: Final[dict[str, Any]] = {
    "n_steps": 5,
    "learning_rate": 0.002,
    "fraction_bits": 21,
    "weight_init": "quiet",
    "label_targets": (1.0, 12.0),
}


def _variant(changes: dict[str, Any], epochs: int) -> Variant:
    return Variant(tuple(int(part * epochs) for part in HALVED_AT), changes, epochs=epochs)


VARIANTS: Final = {
    "T = 1, 10 epochs": _variant(ONE_STEP, 10),
    "T = 1, 20 epochs": _variant(ONE_STEP, 20),
    "T = 1, 30 epochs": _variant(ONE_STEP, 30),
    "T = 5, 20 epochs": _variant(FIVE_STEPS, 20),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    return compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            f"Lee, Delbruck and Pfeiffer (2016): {LEE_2016} %.",
            f"HM2-BP (Jin, Zhang and Li, 2018): {HM2_BP} %.",
        ],
        line=(HM2_BP, "HM2-BP, 2018"),
        held_out=True,
    )
