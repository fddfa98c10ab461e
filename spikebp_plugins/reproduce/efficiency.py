"""Spikes compared with an integer network of rectified units: error against time of training.

All networks learn on line in integers, in one thread, in C of the same making. The rival
multiplies, and skips what is zero (`integer_relu`). With one step the spiking network is a
quantized network of rectified units too, whose errors are coded as the paper codes them. In all
steps together a sample sends as much, whatever their number, and is asked for as much.

For each width and each kind of network its settings are those with the lowest error on training
images that are held out, in the mean of several seeds. Then networks learn all training images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.network.operations import Operations
from spikebp_plugins.reproduce.learners import LEARNERS, Learner
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork
from spikebp_plugins.reproduce.timing import alternate
from spikebp_plugins.reproduce.variants import SEEDS
from spikebp_plugins.simulation.plots import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 5
HALVE_AFTER: Final = (3, 4)

#: The sizes of the hidden layers.
HIDDEN_LAYERS: Final = ((100, 50), (200, 200), (300, 300), (800, 800))

#: The number of seeds with `quick`.
QUICK_SEEDS: Final = 1

#: Images that are timed, and how many each network takes before it is the next one's turn.
TIMED: Final = 5_000
TURN: Final = 500

#: Spikes that stand for an input of 1 in all steps, and that the right output is to send.
SENT: Final = 8
RIGHT: Final = 80.0

#: The spikes by which an output leads when a sample may end.
MARGINS: Final = (20.0, 40.0)


class Setting(NamedTuple):
    """What may be chosen: fields of the definition, and options of the learner."""

    fields: Mapping[str, Any]
    options: Mapping[str, Any] = {}

    def __str__(self) -> str:
        rate, (wrong, right) = self.fields["learning_rate"], self.fields["label_targets"]
        exponent = math.log2(rate)
        text = f"2^{exponent:g}" if exponent.is_integer() else f"{rate:g}"
        shown = {"rate": text, "targets": f"{wrong:g} and {right:g}"}
        shown |= {name: f"{value:g}" for name, value in self.options.items()}
        return ", ".join(f"{name} {value}" for name, value in shown.items())


class NetworkKind(NamedTuple):
    """A kind of network.

    Attributes
    ----------
    settings : sequence of Setting
        Those to choose from.
    learner : str
        What learns.
    until_sure : str or None
        The name of another kind, whose samples end as soon as an output leads, in training that of
        the label; the settings are those that were chosen for it, with each of `MARGINS`.
    """

    settings: Sequence[Setting] = ()
    learner: str = "spiking"
    until_sure: str | None = None


def _in_steps(n_steps: int) -> NetworkKind:
    settings = [
        Setting(
            {
                "n_steps": n_steps,
                "spikes_per_unit": SENT // n_steps,
                "learning_rate": n_steps**2 * 2.0**exponent,
                "fraction_bits": len(HALVE_AFTER) - exponent,
                "weight_init": "quiet",
                "label_targets": (wrong * RIGHT / n_steps, RIGHT / n_steps),
            }
        )
        for wrong in (0.1, 0.2)
        for exponent in (-14, -15, -16)
    ]
    return NetworkKind(settings)


#: Weights of 14 bits behind the point have 16 in all.
_RECTIFIED: Final = [
    Setting(
        {
            "n_steps": 1,
            "learning_rate": 2.0**exponent,
            "fraction_bits": 14,
            "label_targets": (wrong, 1.0),
        },
        {"error_bits": error_bits},
    )
    for wrong in (0.0, 0.1, 0.2)
    for exponent in (-4, -5, -6)
    for error_bits in (6, 8)
]

RELU: Final = "integer ReLU"
KINDS: Final = {
    **{f"T = {n_steps}": _in_steps(n_steps) for n_steps in (1, 2, 4, 8)},
    **{f"T = {n}, until sure": NetworkKind(until_sure=f"T = {n}") for n in (2, 4, 8)},
    "T = 10, as in the paper": NetworkKind(
        [Setting({"learning_rate": 0.01, "label_targets": (0.0, 1.0)})]
    ),
    RELU: NetworkKind(_RECTIFIED, RELU),
}

#: Numbers of 4 bytes of a unit and of an input, in training and in prediction. A spiking unit has a
#: potential and its spikes; while learning also a backward potential, errors, and the spikes of the
#: sample, which inputs have as well. A rectified unit has a drive, an activation, an error.
_SPIKING_NUMBERS: Final = ((5, 3), (2, 2))
_RELU_NUMBERS: Final = ((3, 0), (2, 0))


class TrainedKind(NamedTuple):
    """Networks of a kind and width, trained from several seeds with the setting that was chosen."""

    name: str
    setting: Setting
    networks: Sequence[TrainedNetwork]

    @property
    def is_relu(self) -> bool:
        """Whether the units are rectified ones."""
        return self.name == RELU

    def learner(self) -> Learner:
        """Return the first network in one thread."""
        threads = {} if self.is_relu else {"n_jobs": 1}
        kind = LEARNERS[KINDS[self.name].learner]
        return kind(self.networks[0].checkpoint, **self.setting.options, **threads)

    def n_bytes(self) -> list[int]:
        """Return the bytes of weights, in the smallest type that holds them, and of states."""
        net, weights = self.networks[0].net, self.networks[0].weights
        bits = net.fraction_bits
        largest = math.ldexp(max(np.abs(matrix).max() for matrix in weights), bits)
        of_weight = next(n for n in (1, 2, 4, 8) if largest < 2 ** (8 * n - 1))
        n_units, n_weights = sum(net.layer_sizes[1:]), sum(matrix.size for matrix in weights)
        numbers = _RELU_NUMBERS if self.is_relu else _SPIKING_NUMBERS
        return [
            of_weight * n_weights + 4 * (of_unit * n_units + of_input * net.n_inputs)
            for of_unit, of_input in numbers
        ]


def run(study: Study) -> Report:
    """Choose settings, train all networks, then time them in turns."""
    kinds = [kind for hidden in HIDDEN_LAYERS for kind in _trained(study, hidden)]
    rows = _measured(study, kinds)
    epochs = study.epochs(EPOCHS)
    return Report(
        study.title(("spikes and an integer ReLU",), f", {epochs} epochs, {_n_seeds(study)} seeds"),
        rows,
        [
            "Pairs of figures are those of a training sample and of a prediction.",
            "The integer ReLU has multiply-adds, and neither additions nor messages.",
            "Times depend on the machine; all networks took turns, in one thread.",
        ],
        partial(_draw, rows),
    )


def _trained(study: Study, hidden: tuple[int, ...]) -> Iterator[TrainedKind]:
    """Choose the setting of each kind of network of one width, and train it."""
    studies = [replace(study, seed=study.seed + i) for i in range(_n_seeds(study))]
    held_out = [each.held_out() for each in studies]
    chosen: dict[str, Setting] = {}
    for name, kind in KINDS.items():
        settings = kind.settings
        if kind.until_sure is not None:
            fields = chosen[kind.until_sure].fields
            settings = [Setting(fields, {"margin": margin}) for margin in MARGINS]
        if len(settings) > 1:
            errors = [
                np.mean([_error(each, hidden, name, setting) for each in held_out])
                for setting in settings
            ]
            settings = [settings[int(np.argmin(errors))]]
        (chosen[name],) = settings
        networks = [each.learned(**_how(each, hidden, name, chosen[name])) for each in studies]
        yield TrainedKind(name, chosen[name], networks)


def _n_seeds(study: Study) -> int:
    return QUICK_SEEDS if study.quick else SEEDS


def _how(study: Study, hidden: tuple[int, ...], name: str, setting: Setting) -> dict[str, Any]:
    """Return how a network is trained, as `Study.learned` takes it."""
    how: dict[str, Any] = {"net": study.net(*hidden, **setting.fields), "kind": KINDS[name].learner}
    return how | {"epochs": EPOCHS, "halve_after": HALVE_AFTER, **setting.options}


def _error(study: Study, hidden: tuple[int, ...], name: str, setting: Setting) -> float:
    try:
        return study.test_errors(**_how(study, hidden, name, setting))[-1]
    except OverflowError:  # the rival's weights have left 16 bits
        return math.inf


def _measured(study: Study, kinds: Sequence[TrainedKind]) -> list[dict[str, Any]]:
    """Return a row for each kind of network and width."""
    x, y = study.test
    learners = [kind.learner() for kind in kinds]
    predicted = [_predicted(learner, x) for learner in learners]
    timed = x[:TIMED], y[:TIMED]
    seconds = {
        "prediction": _medians(learners, lambda one, part: one.scores(timed[0][part])),
        "training": _medians(learners, lambda one, part: one.learn(*(a[part] for a in timed))),
    }
    rows = []
    for i, kind in enumerate(kinds):
        counted = [kind.networks[0].operations[-1], predicted[i]]
        errors = [network.test_errors[-1] for network in kind.networks]
        rows.append(
            {
                "hidden": "-".join(map(str, kind.networks[0].net.layer_sizes[1:-1])),
                "network": kind.name,
                "chosen": str(kind.setting),
                "test error, %": float(np.mean(errors)),
                "each, %": errors,
                "us": [1e6 * seconds[doing][i] for doing in ("training", "prediction")],
                "additions": None if kind.is_relu else _each(counted, "total"),
                "multiply-adds": _each(counted, "multiply_adds"),
                "messages": None if kind.is_relu else _each(counted, "messages"),
                "kB": [n / 1000 for n in kind.n_bytes()],
            }
        )
    return rows


def _predicted(learner: Learner, x: NDArray[Any]) -> Operations:
    before = learner.operations
    learner.scores(x)
    return learner.operations - before


def _each(counted: Sequence[Operations], name: str) -> list[float]:
    """Return how many operations of one name a sample takes."""
    return [getattr(operations, name) / operations.samples for operations in counted]


def _medians(learners: Sequence[Learner], call: Callable[[Learner, slice], object]) -> list[float]:
    """Return the seconds of a sample for each, all of which take turns."""
    competitors = dict(enumerate(learners))

    def called(_: int, learner: Learner, part: slice) -> None:
        call(learner, part)

    alternate(competitors, called, TURN, TURN)  # the first call may have to set up
    return [
        float(np.median(times)) for times in alternate(competitors, called, TIMED, TURN).values()
    ]


def _draw(rows: Sequence[Mapping[str, Any]], figure: Figure) -> None:
    from matplotlib.ticker import LogLocator

    axes = figure.subplots()
    for marker, name in zip("o^sDvP*X.", KINDS, strict=False):
        chosen = [row for row in rows if row["network"] == name]
        times = [row["us"][0] for row in chosen]
        errors = np.array([row["test error, %"] for row in chosen])
        ends = [[end(row["each, %"]) for row in chosen] for end in (min, max)]
        color = COLORS[name == RELU]
        axes.plot(times, errors, f"{marker}-", ms=7, lw=0.8, color=color, label=name)
        axes.errorbar(times, errors, np.abs(ends - errors), fmt="none", lw=1, color=color)
    axes.set(xscale="log", yscale="log", xlabel="training of one sample, µs")
    axes.set_ylabel("test error, %")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
