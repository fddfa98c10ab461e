"""The commands ``spikebp export-c`` and ``spikebp import-c``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebp_plugins.cli.output import print_table
from spikebp_plugins.common.archive import file_target, unreadable, whole_file
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.checkpoint import Checkpoint

WeightBits = Annotated[
    int | None,
    typer.Option(
        metavar="16|32|64",
        help="Bits of a weight; those of the rest follow.",
        show_default="the fewest with room to learn",
    ),
]


def export_c(
    checkpoint: Annotated[Path, typer.Argument(help="File written by `spikebp train --save`.")],
    output: Annotated[
        Path, typer.Option(help="The file in C; its header and a guide go to the same folder.")
    ] = Path("net.c"),
    weight_bits: WeightBits = None,
    incremental: Annotated[
        bool,
        typer.Option(
            help="Let a sample of one step cost what has changed since the one before; without it "
            "the program is smaller."
        ),
    ] = True,
    state: Annotated[
        Path | None,
        typer.Option(help="Write what was learned to this file, for a board, and no program."),
    ] = None,
) -> None:
    """Write a network as one file in C that goes on learning: on a microcontroller, say.

    It learns the same integers as every back end, without floating point and without a heap.
    """
    from spikebp_plugins.embedded import to_c, to_state_bytes

    if state is not None:
        file_target(state, "state")
        data = to_state_bytes(Checkpoint.load(checkpoint), weight_bits)
        with whole_file(state) as file:
            file.write(data)
        typer.echo(f"{state}: {len(data):,} bytes")
        return
    if output.suffix != ".c":
        raise wrong_argument("output", "the name of a file that ends in .c", repr(str(output)))
    file_target(output, "output")
    program = to_c(Checkpoint.load(checkpoint), weight_bits, output.stem, incremental)
    for path in program.save(output.parent):
        typer.echo(str(path))
    print_table(
        f"Memory of {output.name}, in bytes",
        ("of", "bytes"),
        [(name, f"{n:,}") for name, n in program.memory_by_use().items()],
    )


def import_c(
    state: Annotated[Path, typer.Argument(help="Bytes that a program in C has written.")],
    checkpoint: Annotated[
        Path, typer.Option(help="The checkpoint that the program was made from.")
    ],
    output: Annotated[Path, typer.Option(help="Write the new checkpoint to this file.")],
) -> None:
    """Turn the state of a program in C into a checkpoint, from which any back end can continue."""
    from spikebp_plugins.embedded import from_state_bytes

    file_target(output, "output")
    before = Checkpoint.load(checkpoint)
    try:
        learned = from_state_bytes(state.read_bytes(), before)
    except ValueError as error:
        raise unreadable(state, "state of this network in C", error) from error
    learned.save(output)
    since = learned.state.samples_seen - before.state.samples_seen
    typer.echo(
        f"{output}: {learned.state.samples_seen:,} samples seen, {since:,} since {checkpoint}"
    )
