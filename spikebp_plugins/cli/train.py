"""The command ``spikebp train``."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from spikebp_plugins.cli import options
from spikebp_plugins.cli.output import (
    Effort,
    check_folder,
    count,
    duration,
    percent,
    print_epoch,
    print_json,
    print_table,
    ratio,
)
from spikebp_plugins.data.images import Dataset, error_percent, shuffled
from spikebp_plugins.network.checkpoint import Checkpoint, load
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation.simulator import Simulator

INTERRUPTED: Final = Path("spikebp-interrupted.npz")


@options.network_options()
def train(
    context: typer.Context,
    dataset: options.DatasetName = "digits",
    folder: options.Folder = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples", min=1, help="Only the first N training samples.", show_default="all"
        ),
    ] = None,
    epochs: Annotated[
        int,
        typer.Option("--epochs", min=0, help="Epochs in all, those before --resume included."),
    ] = 5,
    shuffle: Annotated[
        bool,
        typer.Option(
            " /--no-shuffle", help="Keep the order of samples in every epoch.", show_default=False
        ),
    ] = True,
    backend: options.BackendName = "compiled",
    resume: Annotated[
        Path | None, typer.Option("--resume", help="Go on from this checkpoint.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write a checkpoint here after every epoch.")
    ] = None,
    as_json: options.Json = False,
    layers: options.Layers = None,
    *,
    given: dict[str, Any],
) -> None:
    """Train a network on a data set, or go on training one.

    Ctrl-C saves a checkpoint and says how to go on. A run that was
    interrupted and resumed ends in the very same checkpoint as one that was not.
    """
    check_folder(save)
    hidden = None if layers is None else options.hidden_sizes(layers)
    before = None if resume is None else load(resume)
    data = options.load_images(dataset, folder, None if before is None else before.net)
    start = _starting_point(before, data, hidden, given, resume)
    options.check_takes_images(start.net)
    course = Course(
        x=data.x_train[:samples],
        y=data.y_train[:samples],
        x_test=data.x_test,
        y_test=data.y_test,
        epochs=epochs,
        seed=start.net.seed if shuffle else None,
    )
    with start.simulate(backend) as sim:
        try:
            results = _run(sim, course, save, as_json)
        except KeyboardInterrupt:
            path = INTERRUPTED if save is None else save
            _save_interrupted(sim, course, path, context.meta[options.ARGUMENTS])
            raise typer.Exit(130) from None
        except OverflowError:
            # What was learned before the sample that failed is worth keeping.
            if save is not None:
                sim.save(save)
            raise
    report = {"backend": backend, "dataset": dataset, **results}
    if as_json:
        print_json(report)
    else:
        _print_report(report, save)


@dataclass(frozen=True, eq=False)
class Course:
    """What a network is to learn, and in which order.

    Attributes
    ----------
    x, y : ndarray
        Training samples and labels.
    x_test, y_test : ndarray
        Test samples and labels.
    epochs : int
        How often each training sample is shown, epochs before a checkpoint included.
    seed : int or None
        Seed of the order; None keeps the samples in order.
    """

    x: NDArray[Any]
    y: NDArray[np.int64]
    x_test: NDArray[Any]
    y_test: NDArray[np.int64]
    epochs: int
    seed: int | None

    def order(self, epoch: int) -> NDArray[Any]:
        """Return the order of samples in an epoch."""
        n_samples = len(self.x)
        return np.arange(n_samples) if self.seed is None else shuffled(n_samples, self.seed, epoch)


def _run(sim: Simulator, course: Course, save: Path | None, as_json: bool) -> dict[str, Any]:
    """Train to the end of the course, and return the results for the report."""
    sim.predict(course.x[:1])  # compiles, before the clock starts
    effort, errors = Effort(sim), []
    n, total = len(course.x), course.epochs * len(course.x)
    while sim.samples_seen < total:
        epoch, position = divmod(sim.samples_seen, n)
        rest = course.order(epoch)[position:]
        x, y = course.x[rest], course.y[rest]
        with effort.measured():
            sim.train(x, y)
        if save is not None:
            sim.save(save)
        errors.append(error_percent(sim.predict(course.x_test), course.y_test))
        print_epoch(epoch, course.epochs, f"test error {percent(errors[-1])}", as_json)
    if save is not None:
        sim.save(save)
    net = sim.net
    return {
        "layers": list(net.layer_sizes),
        "epochs": course.epochs,
        "n_steps": net.n_steps,
        "learning_rate": net.learning_rate,
        "effective_learning_rate": net.effective_learning_rate,
        "fraction_bits": net.fraction_bits,
        "seed": net.seed,
        "definition": net.to_dict(),
        "samples_seen": sim.samples_seen,
        "samples_trained": effort.operations.samples,
        "test_error": error_percent(sim.predict(course.x_test), course.y_test),
        "train_error": error_percent(sim.predict(course.x), course.y),
        "test_error_by_epoch": errors,
        **effort.per_sample(),
    }


def _starting_point(
    before: Checkpoint | None,
    data: Dataset,
    hidden: tuple[int, ...] | None,
    given: Mapping[str, Any],
    path: Path | None,
) -> Checkpoint:
    """Return a new network, or the checkpoint `before` if no given option contradicts it."""
    fields = dict(given)
    if "input_scale" in fields or before is None:
        fields["input_scale"] = data.input_scale * fields.get("input_scale", 1.0)
    if hidden is None:
        hidden = options.HIDDEN_LAYERS if before is None else before.net.layer_sizes[1:-1]
    fields["layer_sizes"] = (data.x_train.shape[1], *hidden, data.n_classes)
    if before is not None:
        _check_agrees(before, fields, path)
        return before
    net = SpikingMLP(**fields)
    return Checkpoint(net, initial_state(net))


def _check_agrees(checkpoint: Checkpoint, wanted: Mapping[str, Any], path: Path | None) -> None:
    """Raise ValueError if options that were given contradict the checkpoint's definition."""
    # Not by load(path, net=...): that would also name fields which only follow from others.
    there = {name: getattr(checkpoint.net, name) for name in wanted}
    changes = ", ".join(
        f"{name} is {there[name]!r} there and {value!r} here"
        for name, value in wanted.items()
        if value != there[name]
    )
    if changes:
        raise ValueError(f"{path} is a checkpoint of another definition: {changes}")


def _save_interrupted(sim: Simulator, course: Course, path: Path, arguments: list[str]) -> None:
    with _without_interrupts():
        sim.save(path)
        command = shlex.join(["spikebp", *_without_resume(arguments), "--resume", str(path)])
        total = course.epochs * len(course.x)
        typer.echo(
            f"interrupted: {path} holds the network after {sim.samples_seen} of {total} samples; "
            f"go on with: {command}",
            err=True,
        )


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C, so that a second one does not interrupt the saving of the checkpoint."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _without_resume(arguments: list[str]) -> list[str]:
    kept = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--resume":
            next(remaining)
        elif not argument.startswith("--resume="):
            kept.append(argument)
    return kept


def _print_report(report: Mapping[str, Any], save: Path | None) -> None:
    operations = report["synaptic_operations_per_sample"]
    dense = report["dense_operations_per_sample"]
    rows = [
        ("layers", "-".join(map(str, report["layers"]))),
        ("steps", str(report["n_steps"])),
        ("learning rate", f"{report['learning_rate']:.4g}"),
        ("learning rate, as rounded", f"{report['effective_learning_rate']:.4g}"),
        ("epochs", str(report["epochs"])),
        ("samples trained", f"{report['samples_trained']:,}"),
        ("test error", percent(report["test_error"])),
        ("training error", percent(report["train_error"])),
        ("time per sample", duration(report["seconds_per_sample"])),
        ("spikes per sample", count(report["spikes_per_sample"])),
        ("synaptic operations per sample", count(operations)),
        ("dense operations per sample", count(dense)),
        ("synaptic / dense", ratio(operations, dense)),
    ]
    if save is not None:
        rows.append(("checkpoint", str(save)))
    print_table(f"{report['dataset']} on {report['backend']}", ("", ""), rows)
