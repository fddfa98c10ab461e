"""Learning with integers alone: the network of NITRO-D and of PocketNN, learned by spikes.

All numbers here are integers in units of 2**-f. The test errors of the others are those that they
report; `BatchMethod` counts their memory and work from their programs. Their operations are
multiply-adds, and those of spikes additions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from spikebp_plugins.embedded import to_c
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.reproduce.variants import SEEDS, Variant, learned_of, nets_of, row_of
from spikebp_plugins.simulation.hardware_report import by_quantity, hardware_report
from spikebp_plugins.simulation.plots import name_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIDDEN_LAYERS: Final = (100, 50)

#: Training images with which the bits of all variables are measured, by the reference.
MEASURED: Final = 100

_STEPS: Final[dict[str, Any]] = {"n_steps": 5, "weight_init": "he"}

#: The ways to train, and the bits of a weight in memory and in the program in C that is counted.
#: With 14 fraction bits 16 bits hold weights below 2, and the last rate is 2^-f.
VARIANTS: Final = {
    "spikes, 16-bit weights": (
        Variant(
            (8, 14),
            _STEPS | {"fraction_bits": 14, "learning_rate": 0.006, "label_targets": (1.0, 4.0)},
            average=5,
        ),
        16,
    ),
    "spikes, 32-bit weights": (
        Variant(
            (8, 13, 17),
            _STEPS | {"fraction_bits": 18, "learning_rate": 0.004, "label_targets": (1.0, 8.0)},
            average=4,
        ),
        32,
    ),
}

#: The measured quantities, and their names in the table.
QUANTITIES: Final = {
    "weight": "weights",
    "potential when it fires": "potentials",
    "backward potential when it fires": "backward potentials",
}

#: The test error of the network in floating point, in percent, as NITRO-D's authors report it.
IN_FLOATS: Final = 2.0


@dataclass(frozen=True)
class BatchMethod:
    """A method that learns from batches, with the memory that it needs and its multiply-adds.

    While it learns it keeps the input of each sample of a batch, and for each unit of each sample
    the sum that it receives, its output and its error, besides the gradient of each weight.

    Attributes
    ----------
    error : float
        The test error that its authors report, in percent.
    batch_size : int
        Samples in a batch.
    integer_bytes, input_bytes : int
        Bytes of each integer in its program, and of each pixel.
    learned, fixed : int
        Numbers that learn, and fixed ones that errors go through.
    units : int
        Units above the input, also those of layers that serve learning alone.
    returned : int
        Multiply-adds that bring the errors of a sample to the layers below.
    """

    error: float
    batch_size: int
    integer_bytes: int
    input_bytes: int
    learned: int
    fixed: int
    units: int
    returned: int

    def row(self, name: str, n_inputs: int) -> dict[str, Any]:
        """Return the row of the table."""
        of_sample = n_inputs * self.input_bytes + 3 * self.units * self.integer_bytes
        gradients = self.learned * self.integer_bytes
        return {
            "network": name,
            "test error, %": self.error,
            "each, %": None,
            "averaged, %": None,
            "fraction bits": None,
            **dict.fromkeys(f"bits of {of}" for of in QUANTITIES.values()),
            "bytes of weights": (self.learned + self.fixed) * self.integer_bytes,
            "bytes of state": gradients + self.batch_size * of_sample,
            # Forward, and the product of input and error for each weight.
            "operations per sample": float(2 * self.learned + self.returned),
        }


#: The weights of 784-100-50-10, its units, and what its authors' programs have besides.
_SYNAPSES: Final = 784 * 100 + 100 * 50 + 50 * 10
_UNITS: Final = 100 + 50 + 10

RIVALS: Final = {
    # Biases learn too. Errors of the output go to each hidden layer through fixed weights.
    "PocketNN": BatchMethod(
        error=3.02,
        batch_size=20,
        integer_bytes=4,
        input_bytes=4,
        learned=_SYNAPSES + _UNITS,
        fixed=10 * (100 + 50),
        units=_UNITS,
        returned=10 * (100 + 50),
    ),
    # Each hidden layer learns from the error of an output of its own.
    "NITRO-D": BatchMethod(
        error=2.64,
        batch_size=64,
        integer_bytes=4,
        input_bytes=1,
        learned=_SYNAPSES + 10 * (100 + 50),
        fixed=0,
        units=_UNITS + 10 + 10,
        returned=10 * (100 + 50),
    ),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds, and count memory and work."""
    rows = [_row(study, name, *how) for name, how in VARIANTS.items()]
    if study.is_the_papers:
        n_inputs = study.data.x_train.shape[1]
        rows += [rival.row(name, n_inputs) for name, rival in RIVALS.items()]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, row in enumerate(rows):
            each = row["each, %"] or []
            axes.plot(each, [i] * len(each), "o", color="C0")
            axes.plot(row["test error, %"], i, "k|", ms=14)
        axes.axvline(IN_FLOATS, color="black", lw=1, ls=":", label="in floating point")
        axes.legend()
        name_rows(axes, [f"{row['network']}\n{_kilobytes(row):,.0f} KB" for row in rows])
        axes.set_xlabel("test error, %, with the memory that learning takes")

    conditions = f", integers alone, T = {_STEPS['n_steps']}, {SEEDS} seeds"
    notes = [
        f"The same network in floating point, as NITRO-D's authors report it: {IN_FLOATS} %.",
        "Operations are additions for spikes, and multiply-adds for NITRO-D and PocketNN.",
        "Bits are those that hold all values seen while images are learned, after training.",
    ]
    return Report(study.title(HIDDEN_LAYERS, conditions), rows, notes, draw)


def _kilobytes(row: Mapping[str, Any]) -> float:
    """Return the memory of weights and of all that learning needs."""
    return float(row["bytes of weights"] + row["bytes of state"]) / 1000


def _row(study: Study, name: str, variant: Variant, weight_bits: int) -> dict[str, Any]:
    networks = learned_of(study, variant, nets_of(study, variant, HIDDEN_LAYERS, {}))
    # Of the weights as they are at the end: to average takes memory of its own.
    errors = [network.test_errors[-1] for network in networks]
    found = row_of(name, networks)
    needed = [_bits(study, network) for network in networks]
    memory = _memory([network.checkpoint for network in networks], weight_bits)
    return {
        "network": name,
        "test error, %": float(np.mean(errors)),
        "each, %": errors,
        "averaged, %": found["test error, %"],
        "fraction bits": networks[0].net.fraction_bits,
        **{f"bits of {of}": max(bits[of] for bits in needed) for of in QUANTITIES.values()},
        **memory,
        "operations per sample": found["operations per sample"],
    }


def _bits(study: Study, network: TrainedNetwork) -> dict[str, int]:
    """Return the bits that hold each quantity in every layer, measured during more learning."""
    x, y = (array[:MEASURED] for array in study.train)
    widths = by_quantity(hardware_report(network.checkpoint, x, y, progress=False).widths)
    return {of: max(width.bits for width in widths[q]) for q, of in QUANTITIES.items()}


def _memory(checkpoints: Sequence[Checkpoint], weight_bits: int) -> dict[str, int]:
    """Return the bytes of weights and of all else; refuse weights that do not fit their bits."""
    programs = [to_c(checkpoint, weight_bits) for checkpoint in checkpoints]
    by_use = programs[0].sizes.by_use()
    return {
        "bytes of weights": by_use["weights"],
        "bytes of state": by_use["together"] - by_use["weights"],
    }
