"""The commands ``spikebp export-c`` and ``spikebp import-c``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from spikebp_plugins.cli.output import print_table
from spikebp_plugins.common.archive import file_target, read_archive, unreadable, whole_file
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.network.checkpoint import OF_ESTIMATOR, Checkpoint, from_arrays

if TYPE_CHECKING:
    from spikebp_plugins.estimators.estimator import SpikingEstimator

    Learned = Checkpoint | SpikingEstimator

#: A power of two by its exponent.
POWER: Final = re.compile(r"2(?:\^|\*\*)([+-]?\d{1,4})", re.ASCII)

WeightBits = Annotated[
    int | None,
    typer.Option(
        metavar="16|32|64",
        help="Bits of a weight; those of the rest follow.",
        show_default="the fewest with room to learn",
    ),
]
FeatureBits = Annotated[
    int,
    typer.Option(metavar="16|32", help="Bits of a feature of a classifier, which is an integer."),
]
Unit = Annotated[
    str,
    typer.Option(
        metavar="NUMBER",
        help="What a feature of 1 stands for in partial_fit: a power of two, such as 2^-10.",
    ),
]


def export_c(
    learned: Annotated[
        Path, typer.Argument(help="File written by `spikebp train --save`, or by a classifier.")
    ],
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
    feature_bits: FeatureBits = 32,
    unit: Unit = "1",
) -> None:
    """Write a network as one file in C that goes on learning: on a microcontroller, say.

    It learns the same integers as every back end, without floating point and without a heap.
    """
    from spikebp_plugins.embedded import to_c, to_state_bytes

    of_features = feature_bits, _number(unit)
    if state is not None:
        file_target(state, "state")
        data = to_state_bytes(learned_in(learned), weight_bits, *of_features)
        with whole_file(state) as file:
            file.write(data)
        typer.echo(f"{state}: {len(data):,} bytes")
        return
    if output.suffix != ".c":
        raise wrong_argument("output", "the name of a file that ends in .c", repr(str(output)))
    file_target(output, "output")
    network = learned_in(learned)
    program = to_c(network, weight_bits, output.stem, incremental, *of_features)
    for path in program.save(output.parent):
        typer.echo(str(path))
    print_table(
        f"Memory of {output.name}, in bytes",
        ("of", "bytes"),
        [(name, f"{n:,}") for name, n in program.sizes.by_use().items()],
    )


def import_c(
    state: Annotated[Path, typer.Argument(help="Bytes that a program in C has written.")],
    checkpoint: Annotated[
        Path, typer.Option(help="The checkpoint, or the classifier, that it was made from.")
    ],
    output: Annotated[
        Path, typer.Option(help="Write the new checkpoint, or classifier, to this file.")
    ],
    unit: Unit = "1",
) -> None:
    """Turn the state of a program in C into a file of the kind that the program was made from.

    Any back end can continue from it.
    """
    from spikebp_plugins.embedded import from_state_bytes

    of_one = _number(unit)
    file_target(output, "output")
    before = learned_in(checkpoint)
    try:
        after = from_state_bytes(state.read_bytes(), before, of_one)
    except ValueError as error:
        raise unreadable(state, "state of this network in C", error) from error
    after.save(output)
    seen, seen_before = map(_samples_seen, (after, before))
    typer.echo(f"{output}: {seen:,} samples seen, {seen - seen_before:,} since {checkpoint}")


def learned_in(path: Path) -> Learned:
    """Return the estimator that a file holds, or else the checkpoint."""
    arrays = read_archive(path, "checkpoint")
    if OF_ESTIMATOR not in arrays:
        return from_arrays(str(path), arrays)
    # scikit-learn takes seconds to import, and a checkpoint does not need it.
    from spikebp_plugins.estimators.estimator import SpikingEstimator

    return SpikingEstimator.load(path)


def _samples_seen(learned: Learned) -> int:
    checkpoint = learned if isinstance(learned, Checkpoint) else learned.checkpoint_
    return checkpoint.state.samples_seen


def _number(text: str) -> float:
    """Return the number that the text of an option is, as 0.25 or 2^-2."""
    power = POWER.fullmatch(text)
    try:
        return 2.0 ** int(power[1]) if power else float(text)
    except (ValueError, OverflowError):
        raise wrong_argument("unit", "a power of two, such as 0.25 or 2^-2", repr(text)) from None
