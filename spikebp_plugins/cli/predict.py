"""The command ``spikebp predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebp_plugins.cli import options, tables
from spikebp_plugins.cli.output import CostMeter, percent, print_json, print_table
from spikebp_plugins.common.archive import file_target, write_archive
from spikebp_plugins.common.errors import choice
from spikebp_plugins.common.figures import count
from spikebp_plugins.data.images import error_percent
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.simulation.neurobench import neurobench_metrics

SPLITS = ("test", "train")


def predict(
    checkpoint: Annotated[Path, typer.Argument(help="File written by `spikebp train --save`.")],
    table: options.TablePath = None,
    dataset: options.OtherDatasetName = None,
    folder: options.Folder = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="|".join(SPLITS), help="Part of the data set.", show_default="test"),
    ] = None,
    n_steps: Annotated[
        int | None,
        typer.Option(
            "--steps", "--n-steps", help=options.HELP["n_steps"], show_default="as in training"
        ),
    ] = None,
    backend: options.BackendName = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write scores and classes to this npz file; of a table what it says, as CSV."
        ),
    ] = None,
    neurobench: Annotated[
        bool, typer.Option("--neurobench", help="Add what NeuroBench counts, of one batch.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Show a trained network the rows of a table, or the samples of a data set."""
    if output is not None:
        file_target(output, "output")
    if table is not None:
        others = {"dataset": dataset, "folder": folder, "split": split, "steps": n_steps}
        options.check_left_out("with a table", **others, neurobench=neurobench)
        model = tables.learned_from_table(checkpoint, "checkpoint").set_params(backend=backend)
        tables.predict_table(model, table, output, as_json)
        return
    dataset, split = dataset or "digits", choice("split", split or "test", SPLITS)
    trained = Checkpoint.load(checkpoint)
    data = options.load_images(dataset, folder, trained.net)
    options.check_fits(trained.net, data)
    x, y = (data.x_test, data.y_test) if split == "test" else (data.x_train, data.y_train)
    metrics = neurobench_metrics(trained, x, n_steps=n_steps)._asdict() if neurobench else {}
    with trained.simulate(backend) as sim:
        sim.predict(x[:1], n_steps=n_steps)  # compiles, before the clock starts
        effort = CostMeter(sim)
        with effort.measured():
            scores = sim.predict(x, n_steps=n_steps)
    if output is not None:
        write_archive(output, {"scores": scores, "classes": scores.argmax(axis=1)})
    error, shown_on = error_percent(scores, y), backend or sim.backend
    steps = trained.net.n_steps if n_steps is None else n_steps
    if as_json:
        about = {"backend": shown_on, "dataset": dataset, "split": split, "n_steps": steps}
        counted = {"neurobench": metrics} if neurobench else {}
        print_json({**about, "error": error, **effort.per_sample(), **counted})
        return
    rows = [("steps", str(steps)), ("error", percent(error)), *effort.rows()]
    for name, n in metrics.items():
        unit = ", bytes" if name == "footprint" else ""
        rows.append((f"NeuroBench: {name.replace('_', ' ')}{unit}", count(n)))
    print_table(f"{dataset} ({split}) on {shown_on}", ("", ""), rows)
