"""Convolutions that learn by spikes: how good small and larger ones become on MNIST.

The paper has dense networks alone; the rules of this project hold for any connections. All
variants are shown one sample at a time, as they are: no image is moved, turned or noised.
"""

from __future__ import annotations

from typing import Final

from spikebp_plugins.network.connections import Conv2D, Dense
from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.reproduce.variants import Variant, compared

EPOCHS: Final = 10

#: Sizes of the hidden layers of the network without convolutions.
HIDDEN_LAYERS: Final = (300, 300)

#: Test error of SpikeGrad, in percent.
SPIKEGRAD: Final = 0.6

#: Fraction bits with which the grid holds a sixteenth of the smallest rate to within 1 %.
FRACTION_BITS: Final = 24

#: The epochs after which rates are halved.
_LATE: Final = (3, 5, 7, 8)
_LATER: Final = (4, 6, 8)


def _two_kernels(
    first: int, second: int, learning_rate: float, halve_after: tuple[int, ...], average: int
) -> Variant:
    """Return a network of two convolutions with these channels.

    Its outputs begin at zero: none falls silent for good, as some do at these rates from others.
    """
    return Variant(
        5.0,
        halve_after,
        {"learning_rate": learning_rate, "weight_init": "quiet"},
        average=average,
        epochs=EPOCHS,
        layers=(Conv2D(first, 5, stride=2), Conv2D(second, 5, stride=2), Dense(10)),
    )


VARIANTS: Final = {
    "300-300, dense": Variant(5.0, _LATE, {"learning_rate": 0.005}, others=1.0, epochs=EPOCHS),
    "conv16k5s2, conv32k5s2": _two_kernels(16, 32, 0.01, _LATE, average=3),
    "conv32k5s2, conv64k5s2": _two_kernels(32, 64, 0.02, _LATER, average=4),
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
