"""Convolutions that learn by spikes: how good small and larger ones become on MNIST.

The paper has dense networks alone; the rules of this project hold for any connections. All
variants are shown one sample at a time, as they are: no image is moved, turned or noised.
"""

from __future__ import annotations

from typing import Final

from spikebp_plugins.network.connections import AveragePool2D, Conv2D, Dense
from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

EPOCHS: Final = 10
#: The network with a pool still learns then, and goes on for as long again.
MORE_EPOCHS: Final = 20

#: Sizes of the hidden layers of the network without convolutions.
HIDDEN_LAYERS: Final = (300, 300)

#: Test error of SpikeGrad, in percent.
SPIKEGRAD: Final = 0.6

#: Fraction bits with which the grid holds a sixteenth of the smallest rate to within 0.1 %, and
#: with which 32 bits hold the weights.
FRACTION_BITS: Final = 21

#: The epochs after which rates are halved.
_LATE: Final = (3, 5, 7, 8)
_LATER: Final = (4, 6, 8)
_LATEST: Final = (8, 12, 15, 17)


def _convolutions(
    *layers: Conv2D | AveragePool2D,
    rate: float,
    halve_after: tuple[int, ...],
    average: int,
    epochs: int = EPOCHS,
) -> Variant:
    """Return a network of these layers below its outputs.

    Its outputs begin at zero: none falls silent for good, as some do at these rates from others.
    """
    changes = {"learning_rate": rate, "weight_init": "quiet", "label_targets": (0.0, 5.0)}
    all_layers = (*layers, Dense(10))
    return Variant(halve_after, changes, average, all_layers, epochs)


VARIANTS: Final = {
    "300-300, dense": Variant(
        _LATE, {"learning_rate": 0.005, "label_targets": (1.0, 5.0)}, epochs=EPOCHS
    ),
    "conv16k5s2, conv32k5s2": _convolutions(
        Conv2D(16, 5, stride=2), Conv2D(32, 5, stride=2), rate=0.01, halve_after=_LATE, average=3
    ),
    "conv32k5s2, conv64k5s2": _convolutions(
        Conv2D(32, 5, stride=2), Conv2D(64, 5, stride=2), rate=0.02, halve_after=_LATER, average=4
    ),
    "conv24k5s2p2, conv64k5, pool2": _convolutions(
        Conv2D(24, 5, stride=2, padding=2),
        Conv2D(64, 5),
        AveragePool2D(2),
        rate=0.015,
        halve_after=_LATEST,
        average=4,
        epochs=MORE_EPOCHS,
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    return compared(
        study,
        VARIANTS,
        HIDDEN_LAYERS,
        notes=[
            "Operations are those of training; a dense network of that shape multiplies besides.",
            "SpikeGrad (Thiele, Bichler and Dupret, 2019), also by error spikes: 99.4 % right.",
        ],
        line=(SPIKEGRAD, "SpikeGrad"),
        name="convolutions",
        fraction_bits=FRACTION_BITS,
    )
