"""Compares ways to train a network, each from several seeds, in a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.simulation.plots import name_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 20
SEEDS: Final = 3


class Variant(NamedTuple):
    """A way to train.

    Attributes
    ----------
    target : float
        Spikes that the output of the right class is to send in a step.
    halve_after : tuple of int
        Epochs after which the rate is halved.
    changes : dict
        Fields of the definition.
    average : int
        Number of last epochs whose weights are averaged; 0 averages none.
    others : float
        Spikes that all other outputs are to send in a step.
    """

    target: float = 1.0
    halve_after: tuple[int, ...] = ()
    changes: dict[str, Any] = {}  # noqa: RUF012
    average: int = 0
    others: float = 0.0


def compared(
    study: Study,
    variants: Mapping[str, Variant],
    hidden: tuple[int, ...],
    *,
    notes: Sequence[str],
    line: tuple[float, str] | None = None,
    **fields: Any,
) -> Report:
    """Train each variant from several seeds.

    Parameters
    ----------
    study : Study
        The data, and the folder of trained networks.
    variants : mapping of str to Variant
        The ways to train by their names.
    hidden : tuple of int
        Sizes of the hidden layers.
    notes : sequence of str
        Sentences below the table.
    line : tuple of float and str, or None, default=None
        A test error in percent to draw a line at, and the label of the line.
    **fields
        Fields that all definitions share.
    """
    rows = [
        _row(name, _learned(study, variant, hidden, fields)) for name, variant in variants.items()
    ]
    epochs = study.epochs(EPOCHS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for i, row in enumerate(rows):
            axes.plot(row["each, %"], [i] * len(row["each, %"]), "o", color="C0")
            axes.plot(row["test error, %"], i, "k|", ms=14)
        if line is not None:
            axes.axvline(line[0], color="black", lw=1, ls=":", label=line[1])
            axes.legend()
        name_rows(axes, [row["variant"] for row in rows])
        axes.set_xlabel(f"test error after {epochs} epochs, %")

    title = study.title(hidden, f", T = 10, {epochs} epochs, {SEEDS} seeds")
    return Report(title, rows, notes, draw)


def _learned(
    study: Study, variant: Variant, hidden: tuple[int, ...], fields: Mapping[str, Any]
) -> list[TrainedNetwork]:
    options = variant._asdict()
    changes = dict(fields) | options.pop("changes")
    changes["input_scale"] = study.data.input_scale * changes.pop("input", 1.0)
    seeds = range(study.seed, study.seed + SEEDS)
    nets = [study.net(*hidden, **changes, seed=seed) for seed in seeds]
    return [study.learned(net, EPOCHS, **options) for net in nets]


def _row(name: str, networks: list[TrainedNetwork]) -> dict[str, Any]:
    errors = [
        network.test_errors[-1] if network.averaged_error is None else network.averaged_error
        for network in networks
    ]
    totals = [sum(epoch.total for epoch in network.operations) for network in networks]
    samples = sum(epoch.samples for epoch in networks[0].operations)
    return {
        "variant": name,
        "test error, %": float(np.mean(errors)),
        "each, %": errors,
        "training error, %": float(np.mean([network.train_error for network in networks])),
        "operations per sample": float(np.mean(totals)) / samples,
    }
