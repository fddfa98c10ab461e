"""The command ``spikebp reproduce``: the experiments of the paper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikebp_plugins.cli import options
from spikebp_plugins.cli.output import print_json, print_table
from spikebp_plugins.common.archive import file_target
from spikebp_plugins.common.errors import choice, wrong_argument
from spikebp_plugins.data.images import DATASET_NAMES, Dataset

if TYPE_CHECKING:
    from spikebp_plugins.reproduce import Report

#: In the order of the help text. Not from `reproduce.EXPERIMENTS`, which is slow to import.
NAMES = (
    "mnist",
    "ablations",
    "convergence",
    "early-guess",
    "spikes",
    "hardware",
    "convolution",
    "efficiency",
    "speech",
    "best-dense",
    "integer-only",
    "forgetting",
)
#: Stands for each of them in turn.
ALL = "all"


def reproduce(
    experiment: Annotated[
        str, typer.Argument(metavar="|".join((*NAMES, ALL)), help="Which experiment.")
    ],
    quick: Annotated[
        bool, typer.Option("--quick", help="2,000 images and 2 epochs: to see it in a minute.")
    ] = False,
    in_full: Annotated[
        bool,
        typer.Option(
            "--in-full", help="All images also where the slow reference runs alone: hours."
        ),
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(DATASET_NAMES),
            help="Data set of images; speech has one of its own.",
            show_default="mnist",
        ),
    ] = None,
    folder: options.Folder = None,
    results: Annotated[
        Path, typer.Option(help="Folder that keeps trained networks; made if missing.")
    ] = Path("spikebp-reproduce"),
    output: Annotated[Path | None, typer.Option(help="Draw the result to this file.")] = None,
    seed: Annotated[int, typer.Option(help=options.HELP["seed"])] = 0,
    as_json: options.Json = False,
) -> None:
    """Repeat an experiment of the paper, or all, compared with the authors' figures, if any.

    What has been trained is kept after every epoch: after Ctrl-C the same command goes on, and
    experiments share their networks.
    """
    from spikebp_plugins.reproduce import EXPERIMENTS, Study

    chosen = choice("experiment", experiment, (*EXPERIMENTS, ALL))
    if quick and in_full:
        raise wrong_argument("in_full", "left out with quick", "in_full=True")
    is_one, names = chosen != ALL, NAMES if chosen == ALL else (chosen,)
    if output is not None:
        if not is_one:
            raise wrong_argument("output", "left out for all experiments", str(output))
        file_target(output, "output")
    if is_one and dataset is not None and hasattr(EXPERIMENTS[chosen], "load"):
        raise wrong_argument("dataset", f"left out for {chosen}, which has its own", dataset)
    results.mkdir(parents=True, exist_ok=True)
    found = []
    for name in names:
        data = _data(name, dataset, folder)
        report = EXPERIMENTS[name].run(Study(data, results, quick, seed, in_full))
        about = {"experiment": name, "title": report.title, "quick": quick, "seed": seed}
        found.append(about | {"rows": list(report.rows), "notes": list(report.notes)})
        if not as_json:
            _print(report)
        if output is not None:
            from spikebp_plugins.simulation.plots import save_picture

            save_picture(output, report.draw, report.title)
            typer.echo(f"picture: {output}", err=as_json)
    if as_json:
        print_json(found[0] if is_one else {"experiments": found})
    elif quick:
        typer.echo("This was --quick; the authors' figures are those of the whole experiment.")


def _print(report: Report) -> None:
    columns = tuple(report.rows[0])
    rows = [[_text(row[name]) for name in columns] for row in report.rows]
    print_table(report.title, columns, rows)
    for note in report.notes:
        typer.echo(note)


def _data(experiment: str, dataset: str | None, folder: Path | None) -> Dataset:
    """Return the data of an experiment: its own, or a data set of images."""
    from spikebp_plugins.reproduce import EXPERIMENTS

    load: Callable[[Path | None], Dataset] | None = getattr(EXPERIMENTS[experiment], "load", None)
    if load is None:
        return options.load_images("mnist" if dataset is None else dataset, folder)
    return load(folder)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, float):
        size = abs(value)
        return f"{value:,.0f}" if size >= 1000 else f"{value:.2f}" if size >= 1 else f"{value:.3g}"
    return str(value)
