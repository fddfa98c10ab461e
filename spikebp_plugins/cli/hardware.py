"""The command ``spikebp hardware-report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikebp_plugins.cli import options
from spikebp_plugins.cli.layers import Connections, HiddenLayers, LayerSizes
from spikebp_plugins.cli.output import print_json, print_table
from spikebp_plugins.common.errors import integer
from spikebp_plugins.data.images import Dataset
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation.core_limits import CoreLimits


@options.network_options(without=("input_coding", "input_scale"))
def hardware_report(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="File written by `spikebp train --save`; without one, a network of the options "
            "below with its initial weights."
        ),
    ] = None,
    dataset: options.DatasetName = "digits",
    folder: options.Folder = None,
    samples: Annotated[int, typer.Option(help="Training samples to show.")] = 200,
    learn: Annotated[bool, typer.Option(help="Learn from them, or predict only.")] = True,
    core_neurons: Annotated[int, typer.Option(help="Neurons of a core.")] = CoreLimits.neurons,
    core_memory: Annotated[int, typer.Option(help="Bytes of a core.")] = CoreLimits.memory,
    as_json: options.Json = False,
    layers: LayerSizes = None,
    connections: Connections = None,
    *,
    given: dict[str, Any],
) -> None:
    """Report what a network would need of a neuromorphic chip: cores, memory, bits and spikes.

    Simulated: the network is shown samples in the reference, and every variable is looked at.
    """
    from spikebp_plugins.simulation.hardware_report import hardware_report

    samples = integer("samples", samples, 1)
    core = CoreLimits(neurons=core_neurons, memory=core_memory)
    body = HiddenLayers.given(layers, connections)
    trained = None if checkpoint is None else Checkpoint.load(checkpoint)
    data = options.load_images(dataset, folder, None if trained is None else trained.net)
    if trained is None:
        trained = _untaught(data, body or HiddenLayers(), given)
    else:
        options.check_beside_checkpoint(given, layers=layers, connections=connections)
    options.check_fits(trained.net, data)
    x, y = data.x_train[:samples], data.y_train[:samples]
    report = hardware_report(trained, x, y if learn else None, core=core)
    if as_json:
        print_json({"dataset": dataset, "learning": learn} | report.to_dict())
        return
    typer.echo(f"{'Learning from' if learn else 'Predicting'} {len(x)} samples of {data.name}.")
    for table in report.tables():
        print_table(*table)
    for note in report.notes():
        typer.echo(note)


def _untaught(data: Dataset, body: HiddenLayers, given: dict[str, Any]) -> Checkpoint:
    """Return a new network for a data set, as `spikebp train` would begin with."""
    net = body.network(data, {"input_scale": data.input_scale} | given)
    options.check_memory(net)
    return Checkpoint(net, initial_state(net))
