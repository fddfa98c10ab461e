"""A guess before the last step: test error against the synaptic operations that it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 20
HIDDEN_LAYERS: Final = (200, 200)

#: A sample stops as soon as its largest summed drive leads the second by this, in spikes.
MARGINS: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)

#: Samples whose spikes are recorded at a time.
BLOCK: Final = 500


class StepReadouts(NamedTuple):
    """The guess after each step, in arrays of shape (n_samples, n_steps).

    `right` says whether the guess is right, `margin` by how many spikes it leads, and `operations`
    how many synaptic operations it took.
    """

    right: NDArray[np.bool_]
    margin: NDArray[np.float64]
    operations: NDArray[np.int64]


def run(study: Study) -> Report:
    """Read the output after each step, and as soon as it leads by each margin."""
    learned = study.learned(study.net(*HIDDEN_LAYERS), EPOCHS)
    shown = _show(study, learned)
    n_samples, n_steps = shown.right.shape
    dense = sum(connection.n_synapses for connection in learned.net.connections)
    rows = [_row(f"{t + 1} steps", shown, np.full(n_samples, t), dense) for t in range(n_steps)]
    for margin in MARGINS:
        sure = shown.margin >= margin
        stop = np.where(sure.any(axis=1), sure.argmax(axis=1), n_steps - 1)
        rows.append(_row(f"margin {margin:g}", shown, stop, dense))

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rules = (("steps", "o-", "after some steps"), ("margin", "s--", "when sure enough"))
        for rule, marker, label in rules:
            chosen = [row for row in rows if rule in row["read after"]]
            operations = [row["operations per sample"] for row in chosen]
            axes.plot(operations, [row["test error, %"] for row in chosen], marker, label=label)
        axes.axvline(dense, color="black", lw=1, ls=":", label="multiply-adds of a dense network")
        axes.set_yscale("log")
        axes.set_xlabel("synaptic operations per sample")
        axes.set_ylabel("test error, %")
        axes.legend()

    title = study.title(HIDDEN_LAYERS, ": guesses before the last step")
    notes = [f"A dense network of this shape does {dense:,} multiply-adds; spikes only add."]
    return Report(title, rows, notes, draw)


def _show(study: Study, learned: TrainedNetwork) -> StepReadouts:
    x, y = study.test
    with learned.checkpoint.simulate() as sim:
        parts = [
            _shown(learned, sim.predict(x[i : i + BLOCK], record=True), y[i : i + BLOCK])
            for i in range(0, len(x), BLOCK)
        ]
    return StepReadouts(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _shown(learned: TrainedNetwork, trace: Any, y: NDArray[np.int64]) -> StepReadouts:
    n_steps = trace.step_scores.shape[1]
    drive = trace.step_scores * np.arange(1, n_steps + 1)[:, np.newaxis]
    two = np.sort(drive, axis=2)[:, :, -2:]
    sent = [np.abs(k).sum(axis=2) for k in trace.spikes[:-1]]
    fan_out = learned.net.layer_sizes[1:]
    operations = sum(k * n for k, n in zip(sent, fan_out, strict=True))
    return StepReadouts(
        right=drive.argmax(axis=2) == y[:, np.newaxis],
        margin=two[:, :, 1] - two[:, :, 0],
        operations=np.cumsum(operations, axis=1),
    )


def _row(name: str, shown: StepReadouts, stop: NDArray[np.int64], dense: int) -> dict[str, Any]:
    samples = np.arange(len(stop))
    operations = float(shown.operations[samples, stop].mean())
    return {
        "read after": name,
        "test error, %": 100 * float((~shown.right[samples, stop]).mean()),
        "mean steps": float(stop.mean()) + 1,
        "operations per sample": operations,
        "operations / dense": operations / dense,
    }
