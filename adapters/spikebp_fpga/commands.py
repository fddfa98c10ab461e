"""The commands ``spikebp export-fpga``, ``import-fpga`` and ``fpga-report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebp_plugins.cli import options

Learned = Annotated[Path, typer.Argument(help="File written by `spikebp train --save`.")]
Lanes = Annotated[
    int | None,
    typer.Option(metavar="1|2|4|8|16", help="Weights that it reads in a clock.", show_default="8"),
]
WeightBits = Annotated[
    int | None,
    typer.Option(help="Bits of a weight, 16 to 32.", show_default="4 more than fraction bits"),
]


def export_fpga(
    learned: Learned,
    output: Annotated[Path, typer.Option(help="Write the project to this folder.")],
    lanes: Lanes = None,
    weight_bits: WeightBits = None,
) -> None:
    """Write a network as a project for an FPGA: a core that goes on learning, a bench and a board.

    It learns the same integers as every back end. The folder's README says what each file is for.
    """
    from spikebp_fpga.export import to_fpga
    from spikebp_plugins.network.checkpoint import Checkpoint

    project = to_fpga(Checkpoint.load(learned), lanes, weight_bits)
    paths = project.save(output)
    typer.echo(f"{output}: {len(paths)} files, of which README.md says what they are for")


def import_fpga(
    dump: Annotated[Path, typer.Argument(help="Folder of the words of all memories.")],
    checkpoint: Annotated[
        Path, typer.Option(help="The checkpoint that the project was made from.")
    ],
    output: Annotated[Path, typer.Option(help="Write the new checkpoint to this file.")],
    samples: Annotated[
        int, typer.Option(help="Samples that it has learned since, which it does not count.")
    ] = 0,
    lanes: Lanes = None,
    weight_bits: WeightBits = None,
) -> None:
    """Turn the memories of a core into a checkpoint, from which any back end can continue."""
    from spikebp_fpga.export import to_fpga
    from spikebp_fpga.memory import checkpoint_from
    from spikebp_plugins.common.archive import file_target
    from spikebp_plugins.common.errors import integer
    from spikebp_plugins.network.checkpoint import Checkpoint

    integer("samples", samples, 0)
    file_target(output, "output")
    before = Checkpoint.load(checkpoint)
    layout = to_fpga(before, lanes, weight_bits).layout
    after = checkpoint_from(dump, before, layout, samples)
    after.save(output)
    typer.echo(f"{output}: {after.state.samples_seen:,} samples seen")


def fpga_report(
    learned: Learned,
    dataset: options.DatasetName = "digits",
    folder: options.Folder = None,
    samples: Annotated[int, typer.Option(help="Training samples to show.")] = 50,
    learn: Annotated[bool, typer.Option(help="Learn from them, or predict only.")] = True,
    place: Annotated[
        bool, typer.Option("--place", help="Place and route it, too, which takes some minutes.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw clocks against spikes into this file.")
    ] = None,
    lanes: Lanes = None,
    weight_bits: WeightBits = None,
    as_json: options.Json = False,
) -> None:
    """Report what a network takes on an FPGA: clocks of a sample, memory, cells and frequency.

    The core is simulated with Verilator, if it is there, and takes the clocks that a formula says.
    """
    from spikebp_fpga.export import to_fpga
    from spikebp_fpga.report import fpga_report as report_of
    from spikebp_plugins.cli.output import print_json, print_table
    from spikebp_plugins.common.errors import integer
    from spikebp_plugins.network.checkpoint import Checkpoint
    from spikebp_plugins.simulation.plots import save_picture

    samples = integer("samples", samples, 1)
    project = to_fpga(Checkpoint.load(learned), lanes, weight_bits)
    data = options.load_images(dataset, folder, project.learned.net)
    options.check_fits(project.learned.net, data)
    x, y = data.x_train[:samples], data.y_train[:samples]
    report = report_of(project, x, y if learn else None, place)
    if figure is not None:
        save_picture(figure, lambda drawn: report.plot(drawn.subplots()), "Clocks follow spikes")
    if as_json:
        print_json({"dataset": dataset} | report.to_dict())
        return
    for table in report.tables():
        print_table(*table)
    for note in report.notes():
        typer.echo(note)
