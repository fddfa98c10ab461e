"""The command ``spikebp demo``: a first look at what the network does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer

from spikebp_plugins.cli.compare import compare_on_images
from spikebp_plugins.cli.options import HELP, BackendName, Json, load_images
from spikebp_plugins.cli.output import (
    CostMeter,
    percent,
    print_epoch,
    print_json,
    print_table,
    ratio,
)
from spikebp_plugins.common.archive import file_target
from spikebp_plugins.common.figures import count
from spikebp_plugins.conversion.relu import relu_scores, train_relu
from spikebp_plugins.data.images import Dataset, error_percent, shuffled
from spikebp_plugins.network.definition import SpikingMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.simulation import comparison
from spikebp_plugins.simulation.simulator import Simulator
from spikebp_plugins.simulation.trace import Trace

# Two hidden layers let errors travel backward as spikes.
HIDDEN_LAYERS: Final = (100, 100)
EPOCHS: Final = 40
#: At 0.1 the ReLU network falls silent, and at 0.02 it learns more slowly.
RELU_RATE: Final = 0.05

#: So few that even the slowest back end is done soon.
SAMPLES_COMPARED: Final = 50

SPIKING: Final = "spiking network"
RELU: Final = "ReLU network"


class DemoResults(NamedTuple):
    """The results of training both networks.

    Attributes
    ----------
    errors : dict of list of float
        Test errors in percent after each epoch, by the name of the network.
    training, prediction : CostMeter
        Work of the spiking network in training, and in the last prediction of the test samples.
    trace : Trace
        The spikes of the first test sample.
    """

    errors: dict[str, list[float]]
    training: CostMeter
    prediction: CostMeter
    trace: Trace


def demo(
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to learn.")] = EPOCHS,
    seed: Annotated[int, typer.Option(help=HELP["seed"])] = 0,
    backend: BackendName = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Compare all back ends in the end, also those that compile."),
    ] = False,
    output: Annotated[Path, typer.Option(help="File for the picture.")] = Path("spikebp-demo.png"),
    as_json: Json = False,
) -> None:
    """Learn small digits with spikes, compared with a ReLU network of the same shape.

    Both see the same samples, one at a time, each with settings that suit it.
    Then the network goes on learning on all back ends that are installed, which must be equal.
    It takes some seconds, and draws a picture of learning curves and spikes.
    """
    if output is not None:
        file_target(output, "output")
    data = load_images("digits", None)
    net = SpikingMLP(
        (data.x_train.shape[1], *HIDDEN_LAYERS, data.n_classes),
        input_scale=data.input_scale,
        seed=seed,
    )
    typer.echo("learning small digits ...", err=as_json)
    names = comparison.all_backends() if every else comparison.quick_backends()
    with Simulator(net, backend) as sim:
        lesson = _learn(sim, data, epochs, as_json)
        learned = sim.checkpoint()
    report = {"backend": backend or sim.backend, "dataset": data.name, "epochs": epochs}
    report |= _report(net, lesson)
    if not as_json:
        _print_report(report)
    _draw(output, lesson, int(data.y_test[0]), as_json)
    typer.echo(f"going on on {', '.join(names)} ...", err=as_json)
    compared = compare_on_images(learned, names, data, SAMPLES_COMPARED)
    if as_json:
        print_json(report | {"comparison": compared.to_dict()})
    else:
        samples = f"The network goes on learning from {SAMPLES_COMPARED} samples"
        compared.print(samples, "On each back end the same")
    if not compared.comparison.equal:
        raise typer.Exit(1)


def _learn(sim: Simulator, data: Dataset, epochs: int, as_json: bool) -> DemoResults:
    net = sim.net
    weights = SpikingMLP.paper(net.layer_sizes, seed=net.seed).init_weights()
    # The spiking network scales its input itself; the ReLU network needs pixels in [0, 1].
    x_train, x_test = (x * data.input_scale for x in (data.x_train, data.x_test))
    training, prediction = CostMeter(sim), CostMeter(sim)
    spiking: list[float] = []
    relu: list[float] = []
    for epoch in range(epochs):
        order = shuffled(len(x_train), net.seed, epoch)
        y = data.y_train[order]
        with training.measured():
            sim.train(data.x_train[order], y)
        weights = train_relu(weights, x_train[order], y, RELU_RATE)
        spiking.append(error_percent(sim.predict(data.x_test), data.y_test))
        relu.append(error_percent(relu_scores(weights, x_test), data.y_test))
        text = f"test error {percent(spiking[-1])} with spikes, {percent(relu[-1])} with ReLU"
        print_epoch(epoch, epochs, text, as_json)
    with prediction.measured():
        sim.predict(data.x_test)
    trace = sim.predict(data.x_test[:1], record=True)
    return DemoResults({SPIKING: spiking, RELU: relu}, training, prediction, trace)


def _report(net: Definition, lesson: DemoResults) -> dict[str, Any]:
    def work(effort: CostMeter) -> dict[str, float | None]:
        # Without the time: one network is in C and the other is NumPy, so it says nothing.
        return {k: v for k, v in effort.per_sample().items() if k != "seconds_per_sample"}

    return {
        "layers": list(net.layer_sizes),
        "n_steps": net.n_steps,
        "learning_rate": net.learning_rate,
        "seed": net.seed,
        "test_error": lesson.errors[SPIKING][-1],
        "relu_test_error": lesson.errors[RELU][-1],
        "test_error_by_epoch": lesson.errors[SPIKING],
        "relu_test_error_by_epoch": lesson.errors[RELU],
        "training": work(lesson.training),
        "prediction": work(lesson.prediction),
    }


def _print_report(report: Mapping[str, Any]) -> None:
    epochs = str(report["epochs"])
    rows = [
        ("epochs", epochs, epochs, ""),
        ("test error", percent(report["test_error"]), percent(report["relu_test_error"]), ""),
    ]
    for phase in ("training", "prediction"):
        spikes = count(report[phase]["spikes_per_sample"])
        rows.append((f"spikes per sample, {phase}", spikes, "", ""))
    for phase in ("training", "prediction"):
        synaptic = report[phase]["synaptic_operations_per_sample"]
        dense = report[phase]["dense_operations_per_sample"]
        quotient = ratio(synaptic, dense)
        rows.append((f"operations per sample, {phase}", count(synaptic), count(dense), quotient))
    layers = "-".join(map(str, report["layers"]))
    print_table(
        f"Digits, {layers} units",
        ("", SPIKING, RELU, "ratio"),
        rows,
        "Operations of the spiking network add; those of the ReLU network multiply and add.",
    )


def _draw(path: Path, lesson: DemoResults, label: int, as_json: bool) -> None:
    from spikebp_plugins.simulation.plots import save_learning_picture

    answer = int(np.argmax(lesson.trace.scores[0]))
    title = f"Spikes for a test image of a {label}, taken for a {answer}"
    try:
        save_learning_picture(path, lesson.errors, lesson.trace, title)
    except ImportError as error:
        typer.echo(f"no picture: {error}", err=as_json)
    else:
        typer.echo(f"picture: {path}", err=as_json)
