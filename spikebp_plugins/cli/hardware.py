"""The command ``spikebp hardware-report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebp_plugins.cli.options import DatasetName, Folder, Json, check_fits, load_images
from spikebp_plugins.cli.output import count, print_json, print_table
from spikebp_plugins.common.errors import integer
from spikebp_plugins.network.checkpoint import load


def hardware_report(
    checkpoint: Annotated[Path, typer.Argument(help="File written by `spikebp train --save`.")],
    dataset: DatasetName = "digits",
    folder: Folder = None,
    samples: Annotated[int, typer.Option(help="Training samples to show.")] = 200,
    learn: Annotated[bool, typer.Option(help="Learn from them, or predict only.")] = True,
    as_json: Json = False,
) -> None:
    """Say what a network would need of a neuromorphic chip: bits, neurons, synapses, spikes.

    Simulated: the network is shown samples in the reference, and every variable is looked at.
    """
    from spikebp_plugins.simulation.hardware_report import (
        CHIP_NEURONS,
        CHIP_SYNAPSES,
        by_quantity,
        hardware_report,
    )

    samples = integer("samples", samples, 1)
    trained = load(checkpoint)
    net = trained.net
    data = load_images(dataset, folder, net)
    check_fits(net, data)
    x, y = data.x_train[:samples], data.y_train[:samples]
    report = hardware_report(trained, x, y if learn else None)
    if as_json:
        print_json({"dataset": dataset, "learning": learn} | report.to_dict())
        return
    layers = range(net.n_layers + 1)
    rows = []
    for quantity, widths in by_quantity(report.widths).items():
        by_layer = {width.layer: width for width in widths}
        parts = [width.saturating for width in widths if width.saturating is not None]
        rows.append(
            [
                quantity,
                f"{min(width.lowest for width in widths):,}",
                f"{max(width.highest for width in widths):,}",
                " / ".join(str(by_layer[l].bits) if l in by_layer else "-" for l in layers),
                str(widths[0].chip_bits),
                f"{100 * max(parts):.3g} %" if parts else "-",
            ]
        )
    did = f"{'learning from' if learn else 'predicting'} {len(x)} samples of {data.name}"
    title = f"{'-'.join(map(str, net.layer_sizes))}, {did}: bits of each variable"
    bits = f"bits in layers {' / '.join(map(str, layers))}"
    print_table(title, ("variable", "lowest", "highest", bits, "chip", "saturating"), rows)
    operations, n = report.operations, report.operations.samples
    print_table(
        "size and work",
        ("", "network", "chip"),
        [
            ["neurons", f"{report.neurons:,}", f"{CHIP_NEURONS:,}"],
            ["synapses, both directions", f"{report.synapses:,}", f"{CHIP_SYNAPSES:,}"],
            ["time steps per training sample", str(report.steps_per_sample), ""],
            ["spikes per sample", count(operations.spikes / n), ""],
            ["error spikes per sample", count(operations.errors / n), ""],
            ["synaptic operations per sample", count(operations.total / n), ""],
        ],
    )
    if net.arithmetic == "loihi2":
        typer.echo(f"8-bit weights with weight_exponent={net.weight_exponent}.")
    else:
        typer.echo(
            f"The weights are not yet rounded to 8 bits: with arithmetic='loihi2', "
            f"weight_exponent={report.weight_exponent} reaches all of them."
        )
    typer.echo("Simulated, not measured on a chip; the chip's sizes are those published.")
