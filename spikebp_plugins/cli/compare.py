"""The command ``spikebp compare``: whether back ends are equal, or two traces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from spikebp_plugins import comparison, trace
from spikebp_plugins.cli import options
from spikebp_plugins.cli.output import (
    check_folder,
    duration,
    error_percent,
    percent,
    print_json,
    print_table,
)
from spikebp_plugins.comparison import Agreement, Run
from spikebp_plugins.definition import SpikingMLP
from spikebp_plugins.errors import wrong_argument
from spikebp_plugins.simulator import Simulator
from spikebp_plugins.trace import Difference, Trace

#: So high that few samples teach the network to spike in all layers.
LEARNING_RATE: Final = 0.1


def compare(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Two files written by `Trace.save`, instead of back ends."),
    ] = None,
    backends: Annotated[
        str | None,
        typer.Option(
            "--backends",
            metavar="NAME,NAME,...",
            help="Back ends, with options behind a colon; the others are compared with the first.",
            show_default="those that run here and compile little",
        ),
    ] = None,
    dataset: options.DatasetName = "digits",
    folder: options.Folder = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, help="Training samples, and test samples.")
    ] = 50,
    output: Annotated[
        Path | None, typer.Option("--output", help="Draw spikes of all back ends to this file.")
    ] = None,
    as_json: options.Json = False,
    layers: options.Layers = None,
    n_steps: options.Steps = None,
    learning_rate: Annotated[
        float,
        options.field_option(
            "learning_rate", "Rate of gradient descent.", "--rate", shown=str(LEARNING_RATE)
        ),
    ] = LEARNING_RATE,
    update: options.Update = None,
    spikes: options.Spikes = None,
    arithmetic: options.Arithmetic = None,
    fraction_bits: options.FractionBits = None,
    backward_init: options.BackwardInit = None,
    feedback: options.Feedback = None,
    seed: options.Seed = None,
) -> None:
    """Train one network on several back ends, and say where they first differ.

    Exits with 0 if all spikes, errors, scores and weights are equal, and with 1 if not.
    In floating point, sums depend on their order: the table then says how far back ends agree,
    and the exit code is 0.
    """
    if traces:
        _compare_files(traces, as_json)
        return
    check_folder(output)
    names = comparison.quick_backends() if backends is None else split_backends(backends)
    data = options.load_images(dataset, folder)
    given: dict[str, Any] = {
        "n_steps": n_steps,
        "learning_rate": learning_rate,
        "update": update,
        "spikes": spikes,
        "arithmetic": arithmetic,
        "fraction_bits": fraction_bits,
        "backward_init": backward_init,
        "feedback": feedback,
        "seed": seed,
    }
    hidden = options.HIDDEN_LAYERS if layers is None else options.hidden_sizes(layers)
    net = SpikingMLP(
        (data.x_train.shape[1], *hidden, data.n_classes),
        input_scale=data.input_scale,
        **{name: value for name, value in given.items() if value is not None},
    )
    for name in names:  # before any of them does long work
        Simulator(net, name).close()
    x, y, x_test = data.x_train[:samples], data.y_train[:samples], data.x_test[:samples]
    runs = [comparison.run_backend(net, name, x, y, x_test) for name in names]
    found = [comparison.agreement(run, runs[0]) for run in runs]
    errors = [error_percent(run.prediction.scores, data.y_test[:samples]) for run in runs]
    equal = all(agreement.equal for agreement in found)
    if as_json:
        about = {"dataset": dataset, "samples": len(x), "definition": net.to_dict()}
        rows = zip(runs, found, errors, strict=True)
        described = {run.backend: describe(run, agreed, error) for run, agreed, error in rows}
        print_json({"equal": equal, **about, "backends": described})
    else:
        print_comparison(f"{len(x)} samples of {dataset}", runs, found, errors)
    if output is not None:
        _draw(output, runs, found, as_json)
    if not equal and net.arithmetic == "fixed":
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
    return names


def describe(run: Run, agreed: Agreement, error: float) -> dict[str, Any]:
    """Return what JSON says of a back end."""
    return {
        "equal": agreed.equal,
        **{name: getattr(agreed, name) for name in ("spikes", "errors", "scores", "weights")},
        "phase": agreed.phase,
        "first_difference": _as_json(agreed.first_difference),
        "equal_samples": agreed.equal_samples,
        "largest_weight_difference": agreed.largest_weight_difference,
        "test_error": error,
        "seconds": run.seconds,
    }


def _as_json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else difference._asdict()


def print_comparison(
    title: str, runs: Sequence[Run], found: Sequence[Agreement], errors: Sequence[float]
) -> None:
    """Print a row for each back end, and a line for each that differs."""
    first = runs[0].backend
    rows = [
        (
            run.backend,
            percent(error),
            *(_word(getattr(agreed, name)) for name in ("spikes", "errors", "scores", "weights")),
            duration(run.seconds),
        )
        for run, agreed, error in zip(runs, found, errors, strict=True)
    ]
    columns = ("back end", "test error", "spikes", "errors", "scores", "weights", "time")
    shown = runs[0].training
    sent = sum(int(abs(k).sum()) for k in shown.spikes)
    returned = sum(int(abs(e).sum()) for e in (shown.errors or [])[1:])
    caption = (
        f"Each learned from these samples once, which teaches little unless --samples is large: "
        f"{sent:,} spikes and {returned:,} error spikes in {first}."
    )
    print_table(f"{title}, compared with {first}", columns, rows, caption)
    for run, agreed in zip(runs, found, strict=True):
        if agreed.first_difference is not None:
            typer.echo(
                f"{run.backend} and {first}: in {agreed.phase}, {agreed.first_difference}; "
                f"{100 * agreed.equal_samples:.1f} % of samples have equal spikes, weights differ "
                f"by at most {agreed.largest_weight_difference:.3g}"
            )


def _word(equal: bool) -> str:
    return "equal" if equal else "different"


def _draw(path: Path, runs: Sequence[Run], found: Sequence[Agreement], as_json: bool) -> None:
    from spikebp_plugins.plots import save_comparison_picture

    differences = [a.first_difference for a in found if a.phase == "training"]
    last = len(runs[0].training.scores) - 1
    sample = min((d.sample for d in differences if d and d.sample is not None), default=last)
    pictures = {run.backend: run.training for run in runs}
    save_comparison_picture(path, pictures, sample, f"Spikes of training sample {sample}")
    typer.echo(f"picture: {path}", err=as_json)


def _compare_files(paths: Sequence[Path], as_json: bool) -> None:
    if len(paths) != 2:
        raise wrong_argument("traces", "two files", str(len(paths)))
    difference = trace.compare(*(Trace.load(path) for path in paths))
    if as_json:
        print_json({"equal": difference is None, "first_difference": _as_json(difference)})
    elif difference is None:
        typer.echo("equal in every spike, error, score and weight")
    else:
        typer.echo(str(difference))
    if difference is not None:
        raise typer.Exit(1)
