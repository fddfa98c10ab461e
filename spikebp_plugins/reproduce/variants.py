"""Compares ways to train a network, each from several seeds, in a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from spikebp_plugins.network.connections import Layer
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.operations import Operations
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
    layers : tuple of Layer
        Layers of a `SpikingNetwork`; if empty, they are dense and have the sizes of `compared`.
    epochs : int
        How often each training image is shown.
    """

    target: float = 1.0
    halve_after: tuple[int, ...] = ()
    changes: dict[str, Any] = {}  # noqa: RUF012
    average: int = 0
    others: float = 0.0
    layers: tuple[Layer, ...] = ()
    epochs: int = EPOCHS


def compared(
    study: Study,
    variants: Mapping[str, Variant],
    hidden: tuple[int, ...],
    *,
    notes: Sequence[str],
    line: tuple[float, str] | None = None,
    name: str | None = None,
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
        Sizes of the hidden layers, for variants that name no layers.
    notes : sequence of str
        Sentences below the table.
    line : tuple of float and str, or None, default=None
        A test error in percent to draw a line at, and the label of the line.
    name : str or None, default=None
        What the title calls the networks; None takes the sizes of the hidden layers.
    **fields
        Fields that all definitions share.
    """
    # A network that the images do not fit is refused before any is trained.
    nets = {name: _nets(study, variant, hidden, fields) for name, variant in variants.items()}
    rows = [_row(name, _learned(study, variants[name], nets[name])) for name in variants]
    lengths = sorted({study.epochs(variant.epochs) for variant in variants.values()})
    epochs = " or ".join(map(str, lengths))

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

    conditions = f", T = 10, {epochs} epochs, {SEEDS} seeds"
    title = study.title(hidden if name is None else (name,), conditions)
    return Report(title, rows, notes, draw)


def learned_from_seeds(
    study: Study, variant: Variant, hidden: tuple[int, ...], **fields: Any
) -> list[TrainedNetwork]:
    """Return networks that are trained in the way of a variant, one from each seed.

    Parameters
    ----------
    study : Study
        The data, the folder of trained networks, and the first seed.
    variant : Variant
        The way to train.
    hidden : tuple of int
        Sizes of the hidden layers, for a variant that names no layers.
    **fields
        Fields of the definition that the variant does not change.
    """
    return _learned(study, variant, _nets(study, variant, hidden, fields))


def _nets(
    study: Study, variant: Variant, hidden: tuple[int, ...], fields: Mapping[str, Any]
) -> list[Definition]:
    layers, changes = variant.layers, {**fields, **variant.changes}
    changes["input_scale"] = study.data.input_scale * changes.pop("input", 1.0)
    seeded = [changes | {"seed": seed} for seed in range(study.seed, study.seed + SEEDS)]
    return [
        study.image_net(*layers, **each) if layers else study.net(*hidden, **each)
        for each in seeded
    ]


def _learned(study: Study, variant: Variant, nets: Sequence[Definition]) -> list[TrainedNetwork]:
    options = variant._asdict()
    for name in ("layers", "changes"):  # which the definitions have
        del options[name]
    return [study.learned(net, **options) for net in nets]


def _row(name: str, networks: list[TrainedNetwork]) -> dict[str, Any]:
    errors = [
        network.test_errors[-1] if network.averaged_error is None else network.averaged_error
        for network in networks
    ]
    operations = sum((epoch for network in networks for epoch in network.operations), Operations())
    return {
        "variant": name,
        "test error, %": float(np.mean(errors)),
        "each, %": errors,
        "training error, %": float(np.mean([network.train_error for network in networks])),
        "weights": sum(weights.size for weights in networks[0].weights),
        "operations per sample": operations.total / operations.samples,
        "operations / dense": operations.total / operations.dense,
    }
