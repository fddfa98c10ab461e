"""The command ``spikebp compare``: whether back ends are equal, or two traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from spikebp_plugins.cli import options
from spikebp_plugins.cli.layers import Connections, HiddenLayers, LayerSizes
from spikebp_plugins.cli.output import duration, percent, print_json, print_table
from spikebp_plugins.common.archive import file_target
from spikebp_plugins.common.errors import wrong_argument
from spikebp_plugins.data.images import Dataset, error_percent
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation import comparison
from spikebp_plugins.simulation.comparison import Comparison
from spikebp_plugins.simulation.trace import Difference, Trace

#: The quantities that are compared with those of the first back end, one by one.
QUANTITIES: Final = ("spikes", "errors", "scores", "weights")


@options.network_options(without=("input_coding", "input_scale"))
def compare(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Two files written by `Trace.save`, instead of back ends."),
    ] = None,
    backends: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...",
            help="Back ends, with options behind a colon; the others are compared with the first.",
            show_default="those that run here and compile little",
        ),
    ] = None,
    dataset: options.DatasetName = "digits",
    folder: options.Folder = None,
    samples: Annotated[int, typer.Option(min=1, help="Training samples, and test samples.")] = 50,
    output: Annotated[
        Path | None, typer.Option(help="Draw spikes of all back ends to this file.")
    ] = None,
    as_json: options.Json = False,
    layers: LayerSizes = None,
    connections: Connections = None,
    *,
    given: dict[str, Any],
) -> None:
    """Train one network on several back ends, and say where they first differ.

    Exits with 0 if all spikes, errors, scores and weights are equal, and with 1 if not.
    """
    if traces:
        _compare_files(traces, as_json)
        return
    if output is not None:
        file_target(output, "output")
    body = HiddenLayers.given(layers, connections) or HiddenLayers()
    names = comparison.quick_backends() if backends is None else split_backends(backends)
    data = options.load_images(dataset, folder)
    net = body.network(data, {"input_scale": data.input_scale} | given)
    options.check_memory(net)
    start = Checkpoint(net, initial_state(net))
    compared = compare_on_images(start, names, data, samples)
    if as_json:
        about = {"dataset": dataset, "samples": samples, "definition": net.to_dict()}
        print_json(about | compared.to_dict())
    else:
        compared.print(
            f"{samples} samples of {dataset}",
            "Each learned from these samples once, which teaches little unless --samples is large",
        )
    if output is not None:
        _draw(output, compared.comparison, as_json)
    if not compared.comparison.equal:
        raise typer.Exit(1)


def split_backends(text: str) -> list[str]:
    """Return the names in a list whose commas also separate the options of a back end."""
    names: list[str] = []
    for part in text.split(","):
        if "=" in part and ":" not in part and names and ":" in names[-1]:
            names[-1] += f",{part}"
        else:
            names.append(part.strip())
    if len(set(names)) < len(names):
        raise wrong_argument("backends", "different from each other", repr(text))
    if len(names) < 2:
        raise wrong_argument("backends", "two or more, to compare with the first", repr(text))
    return names


class ImageComparison(NamedTuple):
    """A comparison on images, with the test errors in percent of each back end."""

    comparison: Comparison
    test_errors: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return the values for JSON: whether all are equal, and how far each back end agrees."""
        rows = zip(*self.comparison, self.test_errors, strict=True)
        return {
            "equal": self.comparison.equal,
            "backends": {
                run.backend: {
                    "equal": agreed.equal,
                    **agreed._asdict(),
                    "first_difference": _as_json(agreed.first_difference),
                    "test_error": error,
                    "seconds": run.seconds,
                }
                for run, agreed, error in rows
            },
        }

    def print(self, title: str, caption: str) -> None:
        """Print a row for each back end, and a line for each that differs."""
        runs, agreements = self.comparison
        first = runs[0].backend
        rows = [
            (
                run.backend,
                percent(error),
                *("equal" if getattr(agreed, name) else "different" for name in QUANTITIES),
                duration(run.seconds),
            )
            for run, agreed, error in zip(runs, agreements, self.test_errors, strict=True)
        ]
        shown = runs[0].training
        sent = sum(int(abs(k).sum()) for k in shown.spikes)
        returned = sum(int(abs(e).sum()) for e in (shown.errors or [])[1:])
        spikes = f"{sent:,} spikes and {returned:,} error spikes in {first}"
        columns = ("back end", "test error", *QUANTITIES, "time")
        print_table(f"{title}, compared with {first}", columns, rows, f"{caption}: {spikes}.")
        for run, agreed in zip(runs, agreements, strict=True):
            if agreed.first_difference is not None:
                typer.echo(
                    f"{run.backend} and {first}: in {agreed.phase}, {agreed.first_difference}; "
                    f"{100 * agreed.equal_samples:.1f} % of samples have equal spikes, weights "
                    f"differ by at most {agreed.largest_weight_difference:.3g}"
                )


def compare_on_images(
    start: Checkpoint, backends: Sequence[str], data: Dataset, samples: int
) -> ImageComparison:
    """Train a network on the first training images on each back end, then show test images."""
    x, y, x_test = data.x_train[:samples], data.y_train[:samples], data.x_test[:samples]
    compared = comparison.compare_backends(start, backends, x, y, x_test)
    y_test = data.y_test[:samples]
    errors = [error_percent(run.prediction.scores, y_test) for run in compared.runs]
    return ImageComparison(compared, errors)


def _as_json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else difference._asdict()


def _draw(path: Path, compared: Comparison, as_json: bool) -> None:
    from spikebp_plugins.simulation.plots import save_comparison_picture

    runs = compared.runs
    differences = [a.first_difference for a in compared.agreements if a.phase == "training"]
    last = len(runs[0].training.scores) - 1
    sample = min((d.sample for d in differences if d and d.sample is not None), default=last)
    pictures = {run.backend: run.training for run in runs}
    save_comparison_picture(path, pictures, sample, f"Spikes of training sample {sample}")
    typer.echo(f"picture: {path}", err=as_json)


def _compare_files(paths: Sequence[Path], as_json: bool) -> None:
    if len(paths) != 2:
        raise wrong_argument("traces", "two files", str(len(paths)))
    difference = Trace.diff(*(Trace.load(path) for path in paths))
    if as_json:
        print_json({"equal": difference is None, "first_difference": _as_json(difference)})
    elif difference is None:
        typer.echo("equal in every spike, error, score and weight")
    else:
        typer.echo(str(difference))
    if difference is not None:
        raise typer.Exit(1)
