"""MNIST: spiking networks compared with the ReLU network, and each with the other's weights.

This repeats the paper's section on experiments. The authors' figures are those of its table and of
their published program, in percent of images in a wrong class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spikebp_plugins.conversion.relu import relu_scores
from spikebp_plugins.data.images import error_percent
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.simulation.plots import plot_learning_curves
from spikebp_plugins.simulation.simulator import Simulator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 20
HIDDEN_LAYERS: Final = ((200, 200), (300, 300))

EVENT_ORDER: Final = "event order"

#: How each network learns: the kind, and the fields of its definition.
NETWORKS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "ReLU": ("ReLU", {}),
    "spiking, fractional": ("spiking", {}),
    "spiking, outer": ("spiking", {"update": "outer"}),
    "event order, fractional": (EVENT_ORDER, {}),
    "event order, outer": (EVENT_ORDER, {"update": "outer"}),
}

RELU_RUN_SPIKING: Final = "ReLU, run spiking"
FRACTIONAL_RUN_AS_RELU: Final = "spiking, fractional, run as ReLU"
OUTER_RUN_AS_RELU: Final = "spiking, outer, run as ReLU"
CONVERTED: Final = (RELU_RUN_SPIKING, FRACTIONAL_RUN_AS_RELU, OUTER_RUN_AS_RELU)


class ErrorRates(NamedTuple):
    """Test and training error in percent; None where the authors give no figure."""

    test: float | None
    train: float | None


#: The errors that the authors report.
AUTHORS: Final[dict[tuple[tuple[int, ...], str], ErrorRates]] = {
    ((200, 200), "ReLU"): ErrorRates(1.81, 0.23),
    ((200, 200), "spiking, fractional"): ErrorRates(2.34, 0.93),
    ((200, 200), "spiking, outer"): ErrorRates(2.68, 1.59),
    ((200, 200), "event order, fractional"): ErrorRates(2.34, 0.93),
    ((200, 200), "event order, outer"): ErrorRates(2.68, 1.59),
    ((200, 200), RELU_RUN_SPIKING): ErrorRates(1.92, 0.25),
    ((200, 200), FRACTIONAL_RUN_AS_RELU): ErrorRates(2.20, 0.88),
    ((200, 200), OUTER_RUN_AS_RELU): ErrorRates(2.79, 1.68),
    ((300, 300), "ReLU"): ErrorRates(1.63, None),
    ((300, 300), "spiking, fractional"): ErrorRates(2.07, None),
    ((300, 300), "event order, fractional"): ErrorRates(2.07, None),
}


def run(study: Study) -> Report:
    """Train all networks; run the ReLU network as a spiking one, and spiking ones as ReLU."""
    rows: list[dict[str, Any]] = []
    curves: dict[str, dict[str, list[float]]] = {}
    for hidden in HIDDEN_LAYERS:
        learned = {}
        for name, (kind, changes) in NETWORKS.items():
            make = study.event_net if kind == EVENT_ORDER else study.net
            learned[name] = study.learned(make(*hidden, **changes), EPOCHS, kind)
            curves.setdefault(_words(hidden), {})[name] = learned[name].test_errors
        for name, errors in _results(study, hidden, learned):
            rows.append(row(hidden, name, errors, authors=study.is_the_papers))
    epochs = study.epochs(EPOCHS)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(curves), sharey=True)
        for axes, (sizes, errors) in zip(panels, curves.items(), strict=True):
            plot_learning_curves(axes, errors)
            axes.set(title=sizes, ylim=(1, 20) if study.is_the_papers else None)

    title = f"{study.data.name}, T = 10, {epochs} epochs, seed {study.seed}"
    notes = ["The authors' network is that of event order; 300-300 is their best network."]
    return Report(title, rows, notes, draw)


def _results(
    study: Study, hidden: tuple[int, ...], learned: dict[str, TrainedNetwork]
) -> Iterator[tuple[str, ErrorRates]]:
    for name, network in learned.items():
        yield name, ErrorRates(network.test_errors[-1], network.train_error)
    yield RELU_RUN_SPIKING, _run_spiking(study, study.net(*hidden), learned["ReLU"])
    yield FRACTIONAL_RUN_AS_RELU, _run_as_relu(study, learned["spiking, fractional"])
    yield OUTER_RUN_AS_RELU, _run_as_relu(study, learned["spiking, outer"])


def _run_spiking(study: Study, net: Definition, network: TrainedNetwork) -> ErrorRates:
    with Simulator(net, weights=network.weights) as sim:
        return ErrorRates(*(error_percent(sim.predict(x), y) for x, y in (study.test, study.train)))


def _run_as_relu(study: Study, network: TrainedNetwork) -> ErrorRates:
    scale = study.data.input_scale
    weights = network.weights
    sets = (study.test, study.train)
    return ErrorRates(*(error_percent(relu_scores(weights, x * scale), y) for x, y in sets))


def row(hidden: tuple[int, ...], name: str, errors: ErrorRates, authors: bool) -> dict[str, Any]:
    """Return a row of the table, with the authors' figures if `authors` is true."""
    theirs = AUTHORS.get((hidden, name)) if authors else None
    return {
        "layers": _words(hidden),
        "network": name,
        "test error, %": errors.test,
        "training error, %": errors.train,
        "authors, test": theirs and theirs.test,
        "authors, training": theirs and theirs.train,
    }


def _words(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden))
