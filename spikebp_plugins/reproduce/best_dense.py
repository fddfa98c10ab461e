"""The best dense network on MNIST: one sample at a time, no image moved, turned or noised.

Wide layers, one step of finely graded spikes, targets far apart, outputs that begin silent, and a
rate that is halved. The number of epochs is chosen on training images that are held out.
"""

from __future__ import annotations

from typing import Final

from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

#: Sizes of the hidden layers.
HIDDEN_LAYERS: Final = (800, 800)

#: Test errors of others' dense spiking networks, in percent.
LEE_2016: Final = 1.12
HM2_BP: Final = 1.07

#: The rate, and after which parts of all epochs it is halved.
RATE: Final = 2.0**-16
HALVED_AT: Final = (0.4, 0.6, 0.75, 0.85)


def _trained(epochs: int) -> Variant:
    halve_after = tuple(round(part * epochs) for part in HALVED_AT)
    changes = {
        "n_steps": 1,
        "spikes_per_unit": 8,
        "learning_rate": RATE,
        "fraction_bits": 20,  # with which the grid holds the last rate
        "weight_init": "quiet",
        "label_targets": (16.0, 80.0),
    }
    return Variant(halve_after, changes, epochs=epochs)


VARIANTS: Final = {f"{epochs} epochs": _trained(epochs) for epochs in (10, 20, 30)}


def run(study: Study) -> Report:
    """Train for several numbers of epochs, from several seeds."""
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
