"""Spikes beside an integer network of rectified units: error against time, operations and memory.

All networks learn on line in integers, in one thread, in C of the same making. The rival
multiplies; it skips zeros everywhere (`integer_relu`). Networks differ in steps, targets and width;
samples may end early, in prediction and while learning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.data.images import error_percent
from spikebp_plugins.network.samples import label_rows
from spikebp_plugins.reproduce.integer_relu import IntegerReluLearner
from spikebp_plugins.reproduce.learners import EarlyLearner, Learner, SpikingLearner
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.reproduce.timing import alternate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 5
HALVE_AFTER: Final = (3, 4)

#: The sizes of the hidden layers where steps and targets are varied, and all widths.
HIDDEN_LAYERS: Final = (200, 200)
WIDTHS: Final = ((100, 50), (200, 200), (300, 300), (800, 800))

#: Images that are timed, and how many each network takes before it is the next one's turn.
TIMED: Final = 5_000
TURN: Final = 500

SPIKING: Final = "spiking"
CLOSED_EARLY: Final = "spiking, closed early"
RELU: Final = "integer ReLU"


class Way(NamedTuple):
    """A way to learn.

    Attributes
    ----------
    kind : str
        The kind of the learner.
    fields : dict
        Fields of the definition.
    others, target : float
        Spikes a step (or activations) that wrong outputs and the right one are to send.
    margins : tuple of float
        Margins at which a prediction ends early.
    strength : float
        By which input is multiplied.
    """

    kind: str
    fields: dict[str, Any]
    others: float
    target: float
    margins: tuple[float, ...] = ()
    strength: float = 1.0

    @property
    def asked(self) -> tuple[float, float]:
        """What a label asks of each wrong output, and of the right one."""
        return self.others, self.target


def _steps(n_steps: int, units: int, bits: int, *of: Any) -> Way:
    """Return a way whose step changes a weight by a number of units of the grid."""
    rate = units * n_steps**2 / 2**bits
    fields = {"n_steps": n_steps, "learning_rate": rate, "fraction_bits": bits}
    return Way(SPIKING, fields, *of)


def _relu(others: float, rate: float = 2.0**-5) -> Way:
    fields = {"n_steps": 1, "learning_rate": rate, "fraction_bits": 14}
    return Way(RELU, fields, others, 1.0)


RELU_WAY: Final = _relu(0.2)
SLOW_RELU_WAY: Final = _relu(0.0, 2.0**-6)
FEW_STEPS: Final = _steps(2, 8, 14, 2.0, 10.0, (1.0, 4.0))
MANY_STEPS: Final = _steps(10, 8, 17, 1.0, 5.0, (0.5, 1.0, 2.0, 4.0, 8.0))
CLOSED: Final = MANY_STEPS._replace(kind=CLOSED_EARLY)

#: The ways that are tried with layers of one size.
WAYS: Final = {
    "T = 1, targets 2 and 10": _steps(1, 16, 14, 2.0, 10.0),
    "T = 2, targets 1 and 5": _steps(2, 20, 14, 1.0, 5.0, (0.5, 1.0, 2.0, 4.0)),
    "T = 2, targets 2 and 10": FEW_STEPS,
    "T = 3, targets 4 and 20": _steps(3, 8, 16, 4.0, 20.0, (1.0, 4.0)),
    "T = 5, targets 1 and 5": _steps(5, 12, 16, 1.0, 5.0, (0.5, 1.0, 2.0, 4.0)),
    "T = 5, targets 1 and 5, half the input": _steps(5, 12, 16, 1.0, 5.0, (1.0, 4.0), 0.5),
    "T = 10, as in the paper": Way(SPIKING, {}, 0.0, 1.0, (0.5, 1.0, 2.0)),
    "T = 10, targets 1 and 5": MANY_STEPS,
    "T = 10, targets 1 and 5, samples closed early": CLOSED,
    "T = 10, targets 4 and 20": _steps(10, 4, 18, 4.0, 20.0, (1.0, 2.0, 4.0, 8.0)),
    "T = 20, targets 1 and 5": _steps(20, 4, 18, 1.0, 5.0),
    "integer ReLU, targets 0 and 1": _relu(0.0),
    "integer ReLU, targets 0.2 and 1": RELU_WAY,
    "integer ReLU, targets 0 and 1, half the rate": SLOW_RELU_WAY,
}

#: The ways that are tried with layers of all sizes.
WIDE_WAYS: Final = {
    "T = 2": FEW_STEPS,
    "T = 10": MANY_STEPS,
    "T = 10, closed early": CLOSED,
    "integer ReLU, targets 0.2 and 1": RELU_WAY,
    "integer ReLU, targets 0 and 1, half the rate": SLOW_RELU_WAY,
}

#: Numbers of 4 bytes of a unit and of an input, in prediction and while learning. A spiking unit
#: has a potential and its spikes; while learning also a backward potential, errors, and the spikes
#: of the sample, which inputs have as well. A rectified unit has a drive, an activation, an error.
_SPIKING_NUMBERS: Final = ((2, 2), (5, 3))
_RELU_NUMBERS: Final = ((2, 0), (3, 0))


class Entry(NamedTuple):
    """A trained network, and what it is compared as.

    Attributes
    ----------
    name : str
        How it learned.
    way : Way
        The same in numbers.
    network : TrainedNetwork
        What was trained.
    """

    name: str
    way: Way
    network: TrainedNetwork

    def learner(self) -> Learner:
        """Return the network in one thread."""
        checkpoint = self.network.checkpoint
        if self.way.kind == RELU:
            return IntegerReluLearner(checkpoint)
        kind = EarlyLearner if self.way.kind == CLOSED_EARLY else SpikingLearner
        return kind.from_checkpoint(checkpoint, n_jobs=1)

    def n_bytes(self, is_learning: bool) -> int:
        """Return the bytes of weights, in the smallest type that holds them, and of states."""
        net, bits = self.network.net, self.network.net.fraction_bits
        assert bits is not None  # arithmetic is fixed
        largest = max(np.abs(matrix).max() for matrix in self.network.weights)
        of_weight = next(n for n in (1, 2, 4, 8) if math.ldexp(largest, bits) < 2 ** (8 * n - 1))
        n_inputs, n_units = net.n_inputs, sum(net.layer_sizes[1:])
        is_relu = self.way.kind == RELU
        of_unit, of_input = (_RELU_NUMBERS if is_relu else _SPIKING_NUMBERS)[is_learning]
        weights = sum(matrix.size for matrix in self.network.weights)
        return of_weight * weights + 4 * (of_unit * n_units + of_input * n_inputs)


def run(study: Study) -> Report:
    """Train all networks, let them predict, then time them in turns."""
    entries = list(_entries(study))
    rows = _measured(study, entries)
    return Report(
        study.title(
            ("spikes and an integer ReLU",), f", {study.epochs(EPOCHS)} epochs, seed {study.seed}"
        ),
        rows,
        [
            "Operations are additions of a weight; of the integer ReLU, multiply-adds.",
            "A row with a margin is the network above it, which ends a prediction once it is sure.",
            "Times depend on the machine; all networks took turns, in one thread.",
        ],
        partial(_draw, rows),
    )


def _entries(study: Study) -> Iterator[Entry]:
    """Train the networks; one that is wanted twice is trained once."""
    for name, way in WAYS.items():
        yield Entry(name, way, _learned(study, way, HIDDEN_LAYERS))
    for name, way in WIDE_WAYS.items():
        for hidden in WIDTHS:
            if hidden != HIDDEN_LAYERS:
                yield Entry(name, way, _learned(study, way, hidden))


def _learned(study: Study, way: Way, hidden: tuple[int, ...]) -> TrainedNetwork:
    scale = study.data.input_scale * way.strength
    return study.learned(
        study.net(*hidden, input_scale=scale, **way.fields),
        EPOCHS,
        way.kind,
        target=way.target,
        others=way.others,
        halve_after=HALVE_AFTER,
    )


class Prediction(NamedTuple):
    """A network that predicts, to the end or until it is sure."""

    entry: Entry
    learner: Learner
    margin: float | None = None

    def scores(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Return the scores of samples."""
        if self.margin is None:
            return self.learner.scores(x)
        assert isinstance(self.learner, SpikingLearner)
        found: NDArray[np.float64]
        found = self.learner.predict(x, margin=self.margin, progress=False).scores
        return found


def _predictions(entry: Entry) -> list[Prediction]:
    learner = entry.learner()
    return [Prediction(entry, learner, margin) for margin in (None, *entry.way.margins)]


def _measured(study: Study, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return a row for each network, and one for each of its margins."""
    x, y = study.test
    predictions = [one for entry in entries for one in _predictions(entry)]
    seconds = _seconds_of_prediction(predictions, x[:TIMED])
    rows = [_row(x, y, *pair) for pair in zip(predictions, seconds, strict=True)]
    of_networks = [row for row in rows if row["margin"] is None]
    targets = [label_rows(y[:TIMED], study.data.n_classes, entry.way.asked) for entry in entries]
    seconds = _seconds_of_training(entries, x[:TIMED], targets)
    for row, entry, time in zip(of_networks, entries, seconds, strict=True):
        learned = entry.network.operations[-1]
        row["training, us"] = 1e6 * time
        row["operations of training"] = learned.total / learned.samples
        row["kB of training"] = entry.n_bytes(is_learning=True) / 1e3
    return rows


def _row(
    x: NDArray[Any], y: NDArray[np.int64], prediction: Prediction, seconds: float
) -> dict[str, Any]:
    entry, learner = prediction.entry, prediction.learner
    before = learner.operations
    error = error_percent(prediction.scores(x), y)
    predicted = learner.operations - before
    return {
        "network": entry.name,
        "hidden": "-".join(map(str, entry.network.net.layer_sizes[1:-1])),
        "margin": prediction.margin,
        "test error, %": error,
        "us": 1e6 * seconds,
        "operations": predicted.total / predicted.samples,
        "kB": entry.n_bytes(is_learning=False) / 1e3,
        "training, us": None,
        "operations of training": None,
        "kB of training": None,
    }


def _seconds_of_prediction(predictions: Sequence[Prediction], x: NDArray[Any]) -> list[float]:
    """Return the seconds of a sample for each, all of which take turns."""

    def predict(_: str, one: Prediction, part: slice) -> None:
        one.scores(x[part])

    return _medians(dict(enumerate(predictions)), predict, len(x))


def _seconds_of_training(
    entries: Sequence[Entry], x: NDArray[Any], targets: Sequence[NDArray[Any]]
) -> list[float]:
    def learn(_: str, one: tuple[Learner, NDArray[Any]], part: slice) -> None:
        learner, asked = one
        learner.learn(x[part], asked[part])

    learners = [entry.learner() for entry in entries]
    pairs = dict(enumerate(zip(learners, targets, strict=True)))
    return _medians(pairs, learn, len(x))


def _medians(competitors: dict[int, Any], call: Callable[..., None], n: int) -> list[float]:
    alternate(competitors, call, min(n, TURN), TURN)  # the first call may compile
    times = alternate(competitors, call, n, TURN)
    return [float(np.median(values)) for values in times.values()]


#: What is drawn against the error: in prediction, and while learning.
_AXES: Final = (
    ("us", "operations", "kB"),
    ("training, us", "operations of training", "kB of training"),
)


def _family(row: Mapping[str, Any]) -> str:
    if row["network"].startswith("integer"):
        return "integer ReLU"
    return "spikes" if row["margin"] is None else "spikes, until sure"


def _draw(rows: Sequence[Mapping[str, Any]], figure: Figure) -> None:
    panels = figure.subplots(2, 3, sharey=True)
    markers = {"integer ReLU": "s", "spikes": "o", "spikes, until sure": "."}
    for line, names in zip(panels, _AXES, strict=True):
        for axes, column in zip(line, names, strict=True):
            for family, marker in markers.items():
                chosen = [row for row in rows if _family(row) == family and row[column] is not None]
                errors = [row["test error, %"] for row in chosen]
                axes.plot([row[column] for row in chosen], errors, marker, label=family)
            axes.set(xscale="log", xlabel=column)
            axes.grid(alpha=0.3, which="both")
        line[0].set_ylabel("test error, %")
    panels[0, 0].legend(fontsize="small")
