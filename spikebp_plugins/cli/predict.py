"""The command ``spikebp predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebp_plugins.cli.options import (
    HELP,
    BackendName,
    DatasetName,
    Folder,
    Json,
    check_fits,
    load_images,
)
from spikebp_plugins.cli.output import (
    Effort,
    check_folder,
    count,
    duration,
    percent,
    print_json,
    print_table,
    ratio,
)
from spikebp_plugins.common.archive import write_archive
from spikebp_plugins.common.errors import choice
from spikebp_plugins.data.images import error_percent
from spikebp_plugins.network.checkpoint import load

SPLITS = ("test", "train")


def predict(
    checkpoint: Annotated[Path, typer.Argument(help="File written by `spikebp train --save`.")],
    dataset: DatasetName = "digits",
    folder: Folder = None,
    split: Annotated[
        str, typer.Option("--split", metavar="|".join(SPLITS), help="Part of the data set.")
    ] = "test",
    n_steps: Annotated[
        int | None,
        typer.Option("--steps", "--n-steps", help=HELP["n_steps"], show_default="as in training"),
    ] = None,
    backend: BackendName = "compiled",
    output: Annotated[
        Path | None, typer.Option("--output", help="Write scores and classes to this npz file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a trained network the samples of a data set."""
    split = choice("split", split, SPLITS)
    check_folder(output)
    trained = load(checkpoint)
    data = load_images(dataset, folder, trained.net)
    check_fits(trained.net, data)
    x, y = (data.x_test, data.y_test) if split == "test" else (data.x_train, data.y_train)
    with trained.simulate(backend) as sim:
        sim.predict(x[:1], n_steps=n_steps)  # compiles, before the clock starts
        effort = Effort(sim)
        with effort.measured():
            scores = sim.predict(x, n_steps=n_steps)
    if output is not None:
        write_archive(output, {"scores": scores, "classes": scores.argmax(axis=1)})
    error, per_sample = error_percent(scores, y), effort.per_sample()
    steps = trained.net.n_steps if n_steps is None else n_steps
    if as_json:
        about = {"backend": backend, "dataset": dataset, "split": split, "n_steps": steps}
        print_json({**about, "error": error, **per_sample})
        return
    operations = per_sample["synaptic_operations_per_sample"]
    dense = per_sample["dense_operations_per_sample"]
    rows = [
        ("steps", str(steps)),
        ("error", percent(error)),
        ("time per sample", duration(per_sample["seconds_per_sample"])),
        ("spikes per sample", count(per_sample["spikes_per_sample"])),
        ("synaptic operations per sample", count(operations)),
        ("dense operations per sample", count(dense)),
        ("synaptic / dense", ratio(operations, dense)),
    ]
    print_table(f"{dataset} ({split}) on {backend}", ("", ""), rows)
