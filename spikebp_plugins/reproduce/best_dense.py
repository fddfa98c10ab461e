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
    """Train each variant from several seeds, and add up the scores of its networks besides."""
    report = compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            "Together: the scores of the networks of all seeds added up, with their last weights.",
            f"Lee, Delbruck and Pfeiffer (2016): {LEE_2016} %.",
            f"HM2-BP (Jin, Zhang and Li, 2018): {HM2_BP} %.",
        ],
        line=(LEE_2016, "Lee and others, 2016"),
        name="dense",
        **FIELDS,
    )
    rows = [
        row | {"together, %": _together(study, variant)}
        for row, variant in zip(report.rows, VARIANTS.values(), strict=True)
    ]
    return replace(report, rows=rows)


def _together(study: Study, variant: Variant) -> float:
    """Return the test error of the sum of the scores of all networks of a variant."""
    x, y = study.test
    networks = learned_of(study, variant, nets_of(study, variant, HIDDEN_LAYERS, FIELDS))
    scores = []
    for network in networks:
        with network.checkpoint.simulate() as sim:
            scores.append(sim.predict(x, progress=False))
    return error_percent(np.sum(scores, axis=0), y)
