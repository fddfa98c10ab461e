"""The best dense network on MNIST: one sample at a time, no image moved, turned or noised.

All that helped beyond the paper is joined: wide layers, few steps, targets far apart, outputs that
begin silent, a rate that is halved, and weights that are averaged over the last epochs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from spikebp_plugins.data.images import error_percent
from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared, learned_of, nets_of

#: Sizes of the hidden layers of the best network.
HIDDEN_LAYERS: Final = (800, 800)

#: Test errors of others' dense spiking networks, in percent.
LEE_2016: Final = 1.12
HM2_BP: Final = 1.07

#: What all have in common: a grid that holds the last rate, and on which 32 bits hold the weights.
FIELDS: Final[dict[str, Any]] = {"fraction_bits": 21}

#: Steps after which networks that learn in few are read too: what has been learned is the same.
LONGER: Final = 20

VARIANTS: Final = {
    "800-800, T = 5, targets 1 and 12": Variant(
        12.0,
        (4, 6, 8),
        {"n_steps": 5, "learning_rate": 0.002, "weight_init": "quiet"},
        average=4,
        others=1.0,
        epochs=10,
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds, and read its networks in other ways besides."""
    report = compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            "The test error is that of weights averaged over the last epochs, as T steps show it;",
            f"then that of the last weights, after T steps and after {LONGER} steps.",
            f"Together: the scores after {LONGER} steps, added up over the networks of all seeds.",
            f"Lee, Delbruck and Pfeiffer (2016): {LEE_2016} %.",
            f"HM2-BP (Jin, Zhang and Li, 2018): {HM2_BP} %.",
        ],
        line=(LEE_2016, "Lee and others, 2016"),
        name="dense",
        **FIELDS,
    )
    rows = [
        dict(row) | _read(study, variant)
        for row, variant in zip(report.rows, VARIANTS.values(), strict=True)
    ]
    return replace(report, rows=rows)


def _read(study: Study, variant: Variant) -> dict[str, Any]:
    """Return test errors of the last weights, in percent."""
    x, y = study.test
    networks = learned_of(study, variant, nets_of(study, variant, HIDDEN_LAYERS, FIELDS))
    scores = []
    for network in networks:
        with network.checkpoint.simulate() as sim:
            scores.append(sim.predict(x, n_steps=LONGER, progress=False))
    return {
        "last weights, %": [network.test_errors[-1] for network in networks],
        f"after {LONGER} steps, %": [error_percent(of_one, y) for of_one in scores],
        "together, %": error_percent(np.sum(scores, axis=0), y),
    }
