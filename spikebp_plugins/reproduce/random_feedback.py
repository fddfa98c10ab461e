"""Why learning by fixed random feedback breaks down after good epochs, and what holds it.

Errors that come down through random matrices are no gradient: they do not fall with the true ones,
and go on changing hidden units at random. The gate stops units that fall below zero, and none that
rise, so hidden layers send more and more spikes. Each error of an output changes its weights by the
spikes below it; when these are too many the change is larger than twice the error, and overshoots.
An output that has been thrown below zero has no error any more, and is lost for good.

So a rate that stays as it is breaks down sooner or later. One that is halved in time holds: hidden
layers then grow less, and outputs learn less from the same spikes. Targets above zero for wrong
outputs too keep outputs from being lost at the beginning, and do not hold by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.reproduce.variants import SEEDS, Variant, learned_of, nets_of
from spikebp_plugins.simulation.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EPOCHS: Final = 15
HIDDEN_LAYERS: Final = (200, 200)

#: With pipelined timing counts run ahead of errors, so that outputs overshoot earlier.
FIELDS: Final[dict[str, Any]] = {"timing": "pipelined", "feedback": "random"}

#: Fraction bits with which the grid holds an eighth of the rate that is halved to within 1 %.
FRACTION_BITS: Final = 26

#: Test images on which the gain is measured.
MEASURED: Final = 500

#: Where the correction of an error overshoots so far that the error grows.
LARGEST_GAIN: Final = 2

#: The epochs after which rates are halved.
_LATE: Final = (4, 8, 12)


def _variant(rate: float, halve_after: tuple[int, ...] = (), *, raised: bool = False) -> Variant:
    """Return a network with targets 0 and 1 or, if they are raised, 1 and 3."""
    changes = {"learning_rate": rate, "fraction_bits": FRACTION_BITS if halve_after else None}
    right, others = (3.0, 1.0) if raised else (1.0, 0.0)
    return Variant(right, halve_after, changes, others=others, epochs=EPOCHS)


VARIANTS: Final = {
    "targets 0 and 1, rate 0.001": _variant(0.001),
    "targets 0 and 1, rate 0.001, halved": _variant(0.001, _LATE),
    "targets 1 and 3, rate 0.0005": _variant(0.0005, raised=True),
    "targets 1 and 3, rate 0.0005, halved": _variant(0.0005, _LATE, raised=True),
}


def run(study: Study) -> Report:
    """Train each variant from several seeds."""
    networks = {
        name: learned_of(study, variant, nets_of(study, variant, HIDDEN_LAYERS, FIELDS))
        for name, variant in VARIANTS.items()
    }
    x = study.test[0][:MEASURED]
    rows = [_row(name, learned, x) for name, learned in networks.items()]
    epochs = study.epochs(EPOCHS)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
        for column, others in enumerate(sorted({variant.others for variant in VARIANTS.values()})):
            drawn = [name for name, variant in VARIANTS.items() if variant.others == others]
            above, below = panels[:, column]
            for color, name in zip(COLORS, drawn, strict=False):
                for i, network in enumerate(networks[name]):
                    label = name.split(", ", 1)[1] if i == 0 else None
                    _plot(above, network.test_errors, color, label)
                    _plot(below, _spikes(network), color)
            above.set_title(drawn[0].split(", ", 1)[0])
            above.set_yscale("log")
            above.legend(fontsize="small")
            below.set_yscale("log")
            below.set_xlabel("epoch")
        panels[0, 0].set_ylabel("test error, %")
        panels[1, 0].set_ylabel("spikes per training sample")

    title = study.title(
        HIDDEN_LAYERS, f", random feedback, pipelined, {epochs} epochs, {SEEDS} seeds"
    )
    notes = [
        f"The gain is what a sample corrects of an error; above {LARGEST_GAIN} the error grows.",
        "Halved: the rate, after epochs 4, 8 and 12.",
    ]
    return Report(title, rows, notes, draw)


def output_gain(checkpoint: Checkpoint, x: NDArray[Any]) -> float:
    r"""Return how much of a constant error of an output one training sample corrects, on average.

    With fractional updates an error of e spikes in every step changes the drive of an output, when
    the sample is shown again, by

    .. math:: -g\,e, \qquad g = \frac{\eta}{T^3} \sum_i c_i(T) \sum_{\tau=1}^{T} c_i(\tau)

    a step, where :math:`c_i(\tau)` are the spikes that unit i below the output has sent when the
    error of step :math:`\tau` teaches. So 1 corrects the error, and above 2 it grows.

    Parameters
    ----------
    checkpoint : Checkpoint
        A network with ``update="fractional"``.
    x : ndarray of shape (n_samples, n_inputs)
        The samples that are shown, without learning.
    """
    net = checkpoint.net
    with checkpoint.simulate() as sim:
        spikes = sim.predict(x, record=True, progress=False).spikes[-2]
    counts = spikes.cumsum(axis=1)
    last = counts[:, -1:]
    if net.timing == "pipelined":  # the layer below the output is a step ahead of its errors
        counts = np.concatenate([counts[:, 1:], last], axis=1)
    products = (counts * last).sum(axis=(1, 2))
    return float(net.learning_rate / net.n_steps**3 * products.mean())


def _row(name: str, networks: Sequence[TrainedNetwork], x: NDArray[Any]) -> dict[str, Any]:
    errors = [network.test_errors[-1] for network in networks]
    spikes = np.mean([_spikes(network) for network in networks], axis=0)
    return {
        "variant": name,
        "test error, %": float(np.mean(errors)),
        "each, %": errors,
        "lowest, %": [min(network.test_errors) for network in networks],
        "training error, %": float(np.mean([network.train_error for network in networks])),
        "spikes, first and last epoch": [float(spikes[0]), float(spikes[-1])],
        "gain": [output_gain(network.checkpoint, x) for network in networks],
    }


def _spikes(network: TrainedNetwork) -> list[float]:
    """Return the spikes of a training sample in each epoch, those of the input included."""
    return [epoch.spikes / epoch.samples for epoch in network.operations]


def _plot(axes: Axes, values: Sequence[float], color: str, label: str | None = None) -> None:
    axes.plot(range(1, len(values) + 1), values, "o-", ms=3, lw=1, color=color, label=label)
