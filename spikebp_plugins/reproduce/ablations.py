"""The effect of each part of the algorithm: the test error after four epochs without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from spikebp_plugins.event_order import EventMLP
from spikebp_plugins.network.fields import Definition
from spikebp_plugins.reproduce.study import Report, Study
from spikebp_plugins.simulation.plots import name_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 4
HIDDEN_LAYERS: Final = (200, 200)

#: The training images that the reference is shown, which alone runs some variants and is slow.
REFERENCE_IMAGES: Final = 5_000

_OUTER: Final = {"update": "outer"}

#: The fields that each variant changes, and the authors' test error in percent. Like the authors'
#: baseline, all variants but those of fractional updates learn once a sample.
VARIANTS: Final[dict[str, tuple[dict[str, Any], float | None]]] = {
    "baseline": (_OUTER, 3.38),
    "fractional updates": ({}, 3.10),
    "smoothed gradients": (_OUTER | {"presynaptic": "drive"}, 2.85),
    "smoothed gradients, fractional updates": ({"presynaptic": "drive"}, None),
    "T = 5": (_OUTER | {"n_steps": 5}, 4.41),
    "T = 20": (_OUTER | {"n_steps": 20}, 2.65),
    "backward potentials zeroed": (_OUTER | {"backward_init": "zero"}, 87.87),
    "backward potentials drawn": (_OUTER | {"backward_init": "uniform"}, 3.15),
    "random feedback": (_OUTER | {"feedback": "random"}, None),
    "binary spikes": (_OUTER | {"spikes": "binary"}, None),
}

#: The same of the authors' own network, which handles each spike when it comes.
EVENT_VARIANTS: Final[dict[str, tuple[dict[str, Any], float | None]]] = {
    "event order: baseline": (_OUTER, 3.38),
    "event order: fractional updates": ({}, 3.10),
    "event order: depth-first, errors not held": ({"order": "depth", "hold_error": False}, 81.47),
}


class _Trial(NamedTuple):
    """A network to train, with the images that it sees."""

    name: str
    study: Study
    net: Definition | EventMLP
    how: dict[str, Any]
    authors: float | None


def _trials(study: Study) -> Iterator[_Trial]:
    """Return all variants, and the baseline anew beside those that see fewer images."""
    few = study if study.quick or study.in_full else study.of_images(REFERENCE_IMAGES)
    fewer = "" if few is study else f", {REFERENCE_IMAGES:,} images"
    for name, (changes, authors) in VARIANTS.items():
        net = study.net(*HIDDEN_LAYERS, **changes)
        if _runs_on_reference_alone(net):
            yield _Trial(name + fewer, few, net, {"backend": "reference"}, authors)
            continue
        yield _Trial(name, study, net, {}, authors)
        if name == "baseline" and few is not study:
            yield _Trial(name + fewer, few, net, {}, authors)
    for name, (changes, authors) in EVENT_VARIANTS.items():
        events = study.event_net(*HIDDEN_LAYERS, **changes)
        yield _Trial(name, study, events, {"kind": "event order"}, authors)


def _runs_on_reference_alone(net: Definition) -> bool:
    return net.presynaptic == "drive" or net.backward_init == "uniform"


def run(study: Study) -> Report:
    """Train each variant."""
    rows: list[dict[str, Any]] = []
    for name, shown, net, how, authors in _trials(study):
        learned = shown.learned(net, EPOCHS, **how)
        operations = sum(epoch.total for epoch in learned.operations)
        samples = sum(epoch.samples for epoch in learned.operations)
        rows.append(
            {
                "variant": name,
                "test error, %": learned.test_errors[-1],
                "authors, %": authors if study.is_the_papers else None,
                "operations per sample": operations / samples,
            }
        )
    epochs = study.epochs(EPOCHS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(len(rows))
        axes.barh(places, [row["test error, %"] for row in rows], label="measured", height=0.6)
        known = [i for i in places if rows[i]["authors, %"] is not None]
        axes.plot([rows[i]["authors, %"] for i in known], known, "k|", ms=14, label="authors")
        name_rows(axes, [row["variant"] for row in rows])
        axes.set_xscale("log")
        axes.set_xlabel(f"test error after {epochs} epochs, %")
        axes.legend()

    title = study.title(HIDDEN_LAYERS, f", {epochs} epochs, seed {study.seed}")
    notes = ["With backward potentials zeroed, learning begins from some seeds only."]
    if not study.quick and not study.in_full:
        notes.append(
            f"Smoothed gradients and drawn potentials run on the back end reference alone: rows of "
            f"{REFERENCE_IMAGES:,} images are beside figures of the authors for all of them, which "
            "--in-full shows too."
        )
    return Report(title, rows, notes, draw)
