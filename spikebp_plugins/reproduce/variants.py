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
    halve_after : tuple of int
        Epochs after which the rate is halved.
    changes : dict
        Fields of the definition.
    average : int
        Number of last epochs whose weights are averaged; 0 averages none.
    layers : tuple of Layer
        Layers of a `SpikingNetwork`; if empty, they are dense.
    epochs : int
        How often each training image is shown.
    hidden : tuple of int
        Sizes of dense hidden layers; if empty, those of the experiment.
    """

    halve_after: tuple[int, ...] = ()
    changes: dict[str, Any] = {}  # noqa: RUF012
    average: int = 0
    layers: tuple[Layer, ...] = ()
    epochs: int = EPOCHS
    hidden: tuple[int, ...] = ()


def compared(
    study: Study,
    variants: Mapping[str, Variant],
    hidden: tuple[int, ...],
    *,
    notes: Sequence[str],
    line: tuple[float, str] | None = None,
    name: str | None = None,
    held_out: bool = False,
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
        Sizes of the hidden layers, for variants that name none.
    notes : sequence of str
        Sentences below the table.
    line : tuple of float and str, or None, default=None
        A test error in percent to draw a line at, and the label of the line.
    name : str or None, default=None
        What the title calls the networks; None takes the sizes of the hidden layers.
    held_out : bool, default=False
        Whether to train each variant a second time without the last training images, and to say
        what error it has on these: by that variants are chosen.
    **fields
        Fields that all definitions share.
    """
    # A network that the images do not fit is refused before any is trained.
    nets = {name: nets_of(study, variant, hidden, fields) for name, variant in variants.items()}
    rows = [row_of(name, learned_of(study, variants[name], nets[name])) for name in variants]
    if held_out:
        for row in rows:
            of = row["variant"]
            networks = learned_of(study.held_out(), variants[of], nets[of])
            row["held out, %"] = float(np.mean(errors_of(networks)))
    lengths = sorted({study.epochs(variant.epochs) for variant in variants.values()})
    epochs = " or ".join(map(str, lengths))
    steps = " or ".join(map(str, sorted({net.n_steps for of in nets.values() for net in of})))

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

    conditions = f", T = {steps}, {epochs} epochs, {SEEDS} seeds"
    title = study.title(hidden if name is None else (name,), conditions)
    return Report(title, rows, notes, draw)


def nets_of(
    study: Study, variant: Variant, hidden: tuple[int, ...], fields: Mapping[str, Any]
) -> list[Definition]:
    """Return the definitions of a variant, one for each seed.

    Parameters
    ----------
    study : Study
        The data, and the first seed.
    variant : Variant
        The way to train.
    hidden : tuple of int
        Sizes of the hidden layers, for a variant that names none.
    fields : mapping
        Fields that all definitions of the experiment share.
    """
    layers, sizes = variant.layers, variant.hidden or hidden
    changes = {**fields, **variant.changes}
    seeded = [changes | {"seed": seed} for seed in range(study.seed, study.seed + SEEDS)]
    return [
        study.image_net(*layers, **each) if layers else study.net(*sizes, **each) for each in seeded
    ]


def learned_of(study: Study, variant: Variant, nets: Sequence[Definition]) -> list[TrainedNetwork]:
    """Return the networks of a variant after training."""
    epochs, halve_after, average = variant.epochs, variant.halve_after, variant.average
    return [study.learned(net, epochs, halve_after=halve_after, average=average) for net in nets]


def errors_of(networks: Sequence[TrainedNetwork]) -> list[float]:
    """Return the test errors of networks, of the mean of their last weights if one was taken."""
    return [
        network.test_errors[-1] if network.averaged_error is None else network.averaged_error
        for network in networks
    ]


def row_of(name: str, networks: Sequence[TrainedNetwork]) -> dict[str, Any]:
    """Return the row of a variant, with the means of its networks."""
    errors = errors_of(networks)
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
