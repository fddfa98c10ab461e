"""The commands ``spikebp export-fpga`` and ``spikebp import-fpga``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
