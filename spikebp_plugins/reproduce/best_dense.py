"""The best dense network on MNIST: one sample at a time, no image moved, turned or noised.

All that helped beyond the paper is joined: wide layers, few steps, targets far apart, outputs that
begin silent, and a rate that is halved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikebp_plugins.data.images import error_percent
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.reproduce.variants import Variant, compared, learned_of, nets_of
from spikebp_plugins.simulation.plots import plot_learning_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
        (8, 12, 15, 17),
        {
            "n_steps": 5,
            "learning_rate": 0.002,
            "weight_init": "quiet",
            "label_targets": (1.0, 12.0),
        },
        epochs=20,
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds, and read its networks in other ways besides."""
    report = compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            f"After {LONGER} steps: each network, and all together with their scores added up.",
            f"Lee, Delbruck and Pfeiffer (2016): {LEE_2016} %.",
            f"HM2-BP (Jin, Zhang and Li, 2018): {HM2_BP} %.",
        ],
        name="dense",
        **FIELDS,
    )
    networks = {
        name: learned_of(study, variant, nets_of(study, variant, HIDDEN_LAYERS, FIELDS))
        for name, variant in VARIANTS.items()
    }
    rows = [dict(row) | _read(study, networks[row["variant"]]) for row in report.rows]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        curves = {
            f"{name}, seed {network.net.seed}": network.test_errors
            for name, of_seeds in networks.items()
            for network in of_seeds
        }
        plot_learning_curves(axes, curves)
        for error, label, style in (
            (LEE_2016, "Lee and others, 2016", "--"),
            (HM2_BP, "HM2-BP, 2018", ":"),
        ):
            axes.axhline(error, color="black", lw=1, ls=style, label=label)
        axes.set_ylim((1, 4) if study.is_the_papers else None)
        axes.legend()

    return replace(report, rows=rows, draw=draw)


def _read(study: Study, networks: Sequence[TrainedNetwork]) -> dict[str, Any]:
    """Return the test errors of networks after more steps, in percent."""
    x, y = study.test
    scores = []
    for network in networks:
        with network.checkpoint.simulate() as sim:
            scores.append(sim.predict(x, n_steps=LONGER, progress=False))
    return {
        f"after {LONGER} steps, %": [error_percent(of_one, y) for of_one in scores],
        "together, %": error_percent(np.sum(scores, axis=0), y),
    }
