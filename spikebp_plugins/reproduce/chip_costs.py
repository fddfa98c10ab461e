"""The costs of the timing and the numbers of a chip: delays, 8-bit weights, fixed feedback.

Simulated; none of it was run on a chip.
"""

from __future__ import annotations

from typing import Any, Final

from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

HIDDEN_LAYERS: Final = (200, 200)

#: Fixed random feedback needs a smaller rate: with the paper's, outputs fall silent for good.
SMALLER_RATE: Final = 0.001

_PIPELINED: Final[dict[str, Any]] = {"timing": "pipelined"}
_RANDOM: Final[dict[str, Any]] = {"feedback": "random", "learning_rate": SMALLER_RATE}
#: Half of `SMALLER_RATE`, which is halved twice: 26 fraction bits hold the last rate too.
_SLOWER: Final[dict[str, Any]] = _PIPELINED | {
    "feedback": "random",
    "learning_rate": SMALLER_RATE / 2,
    "fraction_bits": 26,
}


def _chip(weight_exponent: int) -> dict[str, Any]:
    return _PIPELINED | {"arithmetic": "loihi2", "weight_exponent": weight_exponent}


VARIANTS: Final = {
    "immediate": Variant(),
    "pipelined": Variant(changes=_PIPELINED),
    "pipelined, 8-bit weights up to 1/8": Variant(changes=_chip(-10)),
    "pipelined, 8-bit weights up to 1/4": Variant(changes=_chip(-9)),
    "pipelined, 8-bit weights up to 1/2": Variant(changes=_chip(-8)),
    "immediate, random feedback": Variant(changes=_RANDOM),
    "pipelined, random feedback": Variant(changes=_PIPELINED | _RANDOM),
    "pipelined, random feedback, smaller rate, targets 1 and 3": Variant(
        (3, 6), _SLOWER | {"label_targets": (1.0, 3.0)}
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    return compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            f"The learning rate is 0.01, and {SMALLER_RATE} with random feedback.",
            f"The smaller one is {SMALLER_RATE / 2}, halved after epochs 3 and 6.",
            "All of this is simulated; nothing was run on a chip.",
        ],
    )
