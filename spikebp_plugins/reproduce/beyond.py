"""Beyond the paper: what closes the gap to its ReLU network at T = 10, and what does not.

All variants are exact and use only what back ends have: targets of several spikes a step, a
learning rate that is halved from one checkpoint to the next, and the options of the definition.
An output with a negative summed drive has no error and learns nothing more. A target above zero
for wrong outputs too keeps their summed drive from staying negative.
"""

from __future__ import annotations

from typing import Final

from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

HIDDEN_LAYERS: Final = (300, 300)

#: Test error of the paper's ReLU network, in percent.
PAPERS_RELU: Final = 1.63

#: Fraction bits with which the grid holds a quarter of the rate to within 1 %.
FRACTION_BITS: Final = 22


_LATE: Final = (10, 15)

VARIANTS: Final = {
    "as in the paper": Variant(),
    "weights averaged over the last 10 epochs": Variant(average=10),
    "smoothed gradients": Variant(changes={"presynaptic": "drive"}),
    "target 2": Variant((0.0, 2.0)),
    "target 3": Variant((0.0, 3.0)),
    "rate halved": Variant(halve_after=_LATE),
    "rate halved, target 2": Variant((0.0, 2.0), _LATE),
    "rate halved, target 3": Variant((0.0, 3.0), _LATE),
    "rate halved, target 3, half the rate": Variant((0.0, 3.0), _LATE, {"learning_rate": 0.005}),
    "rate halved, target 4, half the rate": Variant((0.0, 4.0), _LATE, {"learning_rate": 0.005}),
    "rate halved, targets 1 and 5, half the rate": Variant(
        (1.0, 5.0), _LATE, {"learning_rate": 0.005}
    ),
    "rate halved, input 2": Variant((0.0, 1.0), _LATE, {"input": 2.0, "learning_rate": 0.005}),
    "rate halved, backward potentials drawn": Variant(
        (0.0, 1.0), _LATE, {"backward_init": "uniform"}
    ),
    "rate halved, outer update": Variant((0.0, 1.0), _LATE, {"update": "outer"}),
    "rate halved, binary spikes": Variant((0.0, 1.0), _LATE, {"spikes": "binary"}),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    return compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[f"The paper's ReLU network of this shape has a test error of {PAPERS_RELU} %."],
        line=(PAPERS_RELU, "the paper's ReLU network"),
        fraction_bits=FRACTION_BITS,
    )
