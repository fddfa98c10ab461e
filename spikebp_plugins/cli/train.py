"""The command ``spikebp train``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from spikebp_plugins.cli import options, output, tables
from spikebp_plugins.cli.interrupts import uninterrupted
from spikebp_plugins.cli.layers import Connections, HiddenLayers, LayerSizes
from spikebp_plugins.common.archive import file_target
from spikebp_plugins.common.errors import integer, wrong_argument
from spikebp_plugins.common.figures import shapes
from spikebp_plugins.data.images import Dataset, error_percent, shuffled
from spikebp_plugins.network.checkpoint import Checkpoint
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.network.state import initial_state
from spikebp_plugins.simulation.simulator import Simulator


@options.network_options()
def train(
    context: typer.Context,
    table: options.TablePath = None,
    target: options.Target = None,
    categories: options.Categories = "",
    without: options.Without = "",
    held_out: options.HeldOut = 0.2,
    dataset: options.OtherDatasetName = None,
    folder: options.Folder = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first N training samples, or rows.", show_default="all"),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Epochs in all: more than those before --resume, if it is given. Of a table the "
            "most epochs.",
            show_default="5; 100 of a table",
        ),
    ] = None,
    shuffle: Annotated[
        bool,
        typer.Option(
            " /--no-shuffle", help="Keep the order of samples in every epoch.", show_default=False
        ),
    ] = True,
    backend: options.BackendName = None,
    resume: Annotated[Path | None, typer.Option(help="Go on from this checkpoint.")] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write a checkpoint here after every epoch.")
    ] = None,
    as_json: options.Json = False,
    layers: LayerSizes = None,
    connections: Connections = None,
    *,
    given: dict[str, Any],
) -> None:
    """Train a network on a table or a data set of images, or go on training one.

    Of a table, --target is learned: its classes by name, or numbers. The model of
    --resume learns the rows of a table in one pass, as they come.

    Ctrl-C, or SIGTERM, saves what was learned. On images it says how to go on: a
    run that was interrupted and resumed ends in the very same checkpoint as one
    that was not.
    """
    if save is not None:
        file_target(save, "save")
    if table is not None:
        options.check_left_out("with a table", dataset=dataset, folder=folder)
        names = options.column_names(categories), options.column_names(without)
        wanted = tables.TableOptions(table, target, *names, held_out, samples)
        if resume is None:
            epochs = integer("epochs", tables.MOST_EPOCHS if epochs is None else epochs, 1)
            parameters = tables.parameters_of(given, layers, connections)
            parameters |= {"shuffle": shuffle, "max_iter": epochs}
            training = tables.TableTraining.of_new(wanted, parameters, backend, as_json)
        else:
            options.check_beside_checkpoint(
                given, layers=layers, connections=connections, epochs=epochs
            )
            training = tables.TableTraining.going_on(wanted, resume, backend, as_json)
        tables.train_on_table(training, save)
        return
    options.check_left_out("without a table", target=target, categories=categories, without=without)
    dataset, epochs = dataset or "digits", 5 if epochs is None else epochs
    body = HiddenLayers.given(layers, connections)
    before = None if resume is None else Checkpoint.load(resume)
    data = options.load_images(dataset, folder, None if before is None else before.net)
    data = replace(data, x_train=data.x_train[:samples], y_train=data.y_train[:samples])
    start = _starting_point(before, data, body, given, resume)
    options.check_takes_images(start.net)
    course = TrainingPlan(data, epochs, start.net.seed if shuffle else None)
    if before is not None:
        _check_goes_on(course, before.state.samples_seen, resume)
    with start.simulate(backend) as sim:
        effort = output.CostMeter(sim)
        try:
            results = _run(sim, course, effort, save, as_json)
        except KeyboardInterrupt:
            path = tables.INTERRUPTED if save is None else save
            _save_interrupted(sim, course, path, context.meta[options.ARGUMENTS])
            raise typer.Exit(130) from None
        except OverflowError:
            # What was learned before the sample that failed is worth keeping.
            if save is not None:
                sim.save(save)
            raise
    report = {"backend": backend or sim.backend, "dataset": dataset, **results}
    if as_json:
        output.print_json(report)
    else:
        _print_report(report, start.net, effort, save)


class TrainingPlan(NamedTuple):
    """The samples that a network is to learn, and their order.

    Attributes
    ----------
    data : Dataset
        The training samples, and those to test on after each epoch.
    epochs : int
        The number of epochs, those before a checkpoint included.
    seed : int or None
        Seed of the order; None keeps the samples in order.
    """

    data: Dataset
    epochs: int
    seed: int | None

    @property
    def total(self) -> int:
        """The number of samples shown in all epochs."""
        return self.epochs * len(self.data.x_train)

    def order(self, epoch: int) -> NDArray[Any]:
        """Return the order of samples in an epoch."""
        n_samples = len(self.data.x_train)
        return np.arange(n_samples) if self.seed is None else shuffled(n_samples, self.seed, epoch)


def _run(
    sim: Simulator, course: TrainingPlan, effort: output.CostMeter, save: Path | None, as_json: bool
) -> dict[str, Any]:
    """Train to the end of the course, and return the results for the report."""
    data, net = course.data, sim.net
    sim.predict(data.x_train[:1])  # compiles, before the clock starts
    errors = []
    while sim.samples_seen < course.total:
        epoch, position = divmod(sim.samples_seen, len(data.x_train))
        rest = course.order(epoch)[position:]
        x, y = data.x_train[rest], data.y_train[rest]
        with effort.measured():
            sim.train(x, y)
        if save is not None:
            sim.save(save)
        errors.append(error_percent(sim.predict(data.x_test), data.y_test))
        text = f"test error {output.percent(errors[-1])}"
        output.print_epoch(epoch, course.epochs, text, as_json)
    if save is not None:
        sim.save(save)
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
        "test_error": error_percent(sim.predict(data.x_test), data.y_test),
        "train_error": error_percent(sim.predict(data.x_train), data.y_train),
        "test_error_by_epoch": errors,
        **effort.per_sample(),
    }


def _starting_point(
    before: Checkpoint | None,
    data: Dataset,
    body: HiddenLayers | None,
    given: Mapping[str, Any],
    path: Path | None,
) -> Checkpoint:
    """Return a new network, or the checkpoint `before` if no given option contradicts it."""
    fields = dict(given)
    if "input_scale" in fields or before is None:
        fields["input_scale"] = data.input_scale * fields.get("input_scale", 1.0)
    if before is not None:
        _check_agrees(before, body, fields if body is None else body.fields(data) | fields, path)
        options.check_fits(before.net, data)
        for kept in (before.replay, before.encoder):
            # It would be lost, and replayed samples do not count as samples of an epoch.
            if kept is not None:
                allowed = "a checkpoint without a replay buffer or an encoder: go on in Python"
                raise wrong_argument("resume", allowed, repr(kept))
        return before
    net = (body or HiddenLayers()).network(data, fields)
    options.check_memory(net)
    return Checkpoint(net, initial_state(net))


def _check_agrees(
    checkpoint: Checkpoint, body: HiddenLayers | None, wanted: Mapping[str, Any], path: Path | None
) -> None:
    """Raise ValueError if options that were given contradict the checkpoint's definition."""
    net = checkpoint.net
    if body is not None and not isinstance(net, body.kind):
        there, here = type(net).__name__, body.kind.__name__
        changes = f"it is a {there} there and a {here} here"
    else:
        # Not by load(path, net=...): that would also name fields which only follow from others.
        changes = ", ".join(
            f"{name} is {there!r} there and {value!r} here"
            for name, value in wanted.items()
            if value != (there := getattr(net, name))
        )
    if changes:
        raise ValueError(f"{path} is a checkpoint of another definition: {changes}")


def _check_goes_on(course: TrainingPlan, samples_seen: int, path: Path | None) -> None:
    """Refuse a plan that the checkpoint has completed already."""
    if samples_seen >= course.total:
        n_samples = len(course.data.x_train)
        allowed = (
            f"at least {samples_seen // n_samples + 1} to go on, for {path} has seen "
            f"{samples_seen / n_samples:.6g} epochs of {n_samples} samples"
        )
        raise wrong_argument("epochs", allowed, course.epochs)


def _save_interrupted(
    sim: Simulator, course: TrainingPlan, path: Path, arguments: list[str]
) -> None:
    with uninterrupted():
        sim.save(path)
        command = shlex.join(["spikebp", *_without_resume(arguments), "--resume", str(path)])
        rest = f"; go on with: {command}" if sim.samples_seen < course.total else ""
        typer.echo(
            f"interrupted: {path} holds the network after {sim.samples_seen} of {course.total} "
            f"samples{rest}",
            err=True,
        )


def _without_resume(arguments: list[str]) -> list[str]:
    kept = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--resume":
            next(remaining)
        elif not argument.startswith("--resume="):
            kept.append(argument)
    return kept


def _print_report(
    report: Mapping[str, Any], net: Definition, effort: output.CostMeter, save: Path | None
) -> None:
    rows = [
        ("layers", shapes(net.layer_shapes)),
        ("steps", str(report["n_steps"])),
        ("learning rate", f"{report['learning_rate']:.4g}"),
        ("learning rate, as rounded", f"{report['effective_learning_rate']:.4g}"),
        ("epochs", str(report["epochs"])),
        ("samples trained", f"{report['samples_trained']:,}"),
        ("test error", output.percent(report["test_error"])),
        ("training error", output.percent(report["train_error"])),
        *effort.rows(),
    ]
    if save is not None:
        rows.append(("checkpoint", str(save)))
    output.print_table(f"{report['dataset']} on {report['backend']}", ("", ""), rows)
